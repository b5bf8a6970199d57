# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may restart while others are not healthy."""

from __future__ import annotations

import http.server
import threading
import types

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import peers as subject
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import Health
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.peers import Peers, ask, may_restart

NAMES = ("master1", "master2", "master3")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Time passes by sleep alone."""
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(subject, "time", clock)


def peers(own="master2", names=NAMES, **further):
    return Peers(own, {name: Health(url=name) for name in names}, **further)


def states(**ill):
    """A probe by which these hosts answer so: a text, or a list of what each look gets, the last of them for all that follow."""
    looks = {name: list(answers) if isinstance(answers, list) else [answers] for name, answers in ill.items()}

    def probe(health):
        answers = looks.get(health.url, [None])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return probe


@pytest.mark.parametrize(
    ("asked", "ill", "refused"),
    [
        (peers(), {}, {}),
        (peers(), {"master1": "refused"}, {"master1": "refused"}),
        (peers(), {"master1": "x", "master3": "y"}, {"master1": "x", "master3": "y"}),
        # What is ill itself loses nothing by its restart, whoever else is.
        (peers(), {"master2": "x"}, {}),
        (peers(), {"master1": "x", "master2": "y"}, {}),
        (peers(), {"master1": "x", "master2": "y", "master3": "z"}, {}),
        # A single member has nobody to ask, ill or not; nor has one whose peers do not exist yet.
        (peers(names=["master2"]), {}, {}),
        (peers(names=["master2"]), {"master2": "x"}, {}),
        (peers(names=[]), {}, {}),
        # Where one is enough, another may be ill.
        (peers(enough=1), {"master1": "x"}, {}),
        (peers(enough=1), {"master1": "x", "master3": "y"}, {"master1": "x", "master3": "y"}),
        (peers(enough=1, names=["master2"]), {}, {}),
        # What the run knows already counts, whatever the host answers now.
        (peers(failed=("master3",)), {}, {"master3": subject.FAILED}),
        (peers(failed=("master3",)), {"master3": "x"}, {"master3": "x"}),
        (peers(failed=("master3",)), {"master2": "x"}, {}),
    ],
)
def test_who_may_restart(asked, ill, refused):
    verdict = ask(asked, states(**ill))
    assert verdict.refused == bool(refused)
    if refused:
        assert verdict.ill == refused
    assert verdict.repair == (asked.own in ill and bool(verdict.ill))


def test_an_election_is_waited_for():
    """All members answer that they have no leader, for a moment."""
    election = ["no leader"] * 3 + [None]
    verdict = ask(peers(), states(**dict.fromkeys(NAMES, election)))
    assert not verdict.ill and not verdict.repair


def test_one_that_is_ill_for_a_moment_is_not_ill():
    """It would go while another is away."""
    verdict = ask(peers(), states(master1="refused", master2=["no leader", None]))
    assert verdict.refused and set(verdict.ill) == {"master1"}


def test_nobody_is_asked_without_peers():
    def probe(health):
        pytest.fail("asked")

    assert not may_restart(None, probe).refused
    assert not ask(peers(names=["master2"]), probe).refused


def test_what_the_controller_sends():
    raw = {
        "own": "a",
        "members": {"a": {"url": "http://a/"}, "b": {"tcp": "192.0.2.1:1"}},
        "enough": 1,
        "failed": ["b"],
    }
    assert Peers.of(raw) == Peers("a", {"a": Health(url="http://a/"), "b": Health(tcp="192.0.2.1:1")}, 1, ("b",))
    assert Peers.of(None) is None and Peers.of({}) is None


@pytest.fixture(name="server")
def run_server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/well" else 503)
            self.end_headers()

        def log_message(self, *_words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_real_servers_are_asked(server):
    members = {"own": Health(tcp=server), "well": Health(url=f"http://{server}/well"), "accepts": Health(tcp=server)}
    assert not may_restart(Peers("own", members)).ill
    members = {**members, "ill": Health(url=f"http://{server}/ill"), "gone": Health(tcp="127.0.0.1:1")}
    verdict = may_restart(Peers("own", members))
    assert verdict.refused and set(verdict.ill) == {"ill", "gone"}
    # A certificate that is not there is no reason to fail, and none to call a host well.
    members = {"own": Health(tcp=server), "other": Health(url=f"https://{server}/", ca="/no/such/file")}
    assert may_restart(Peers("own", members)).refused
