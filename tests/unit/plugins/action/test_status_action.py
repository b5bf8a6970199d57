# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page as a file: what hosts and the API tell stays text in it, and it is replaced whole."""

from __future__ import annotations

import html.parser
import stat

import pytest

from ansible_collections.hardway.kubernetes.plugins.action import status as subject
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import Cell, Finding, Page, Section

HOSTILE = [
    "<script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    "\"><a href='javascript:alert(1)'>x</a>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp;",
]
# The elements of an empty page: text of others may add none.
ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "h1",
    "h2",
    "p",
    "span",
    "dl",
    "div",
    "dt",
    "dd",
    "ul",
    "li",
    "strong",
}
ALLOWED |= {"table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "tabindex", "role", "aria-label", "scope"}


class Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes |= {name for name, value in attrs}

    def handle_data(self, data):
        self.text += data


def page(text: str) -> Page:
    """A page with this text at every place that a text can have."""
    section = Section(text, [text, text], lines=[text])
    section.add(text, Cell(text, "critical"))
    return Page(text, text, [(text, Cell(text, "ok"))], [Finding("critical", text, text, text)], [section])


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(subject.as_html(page(text)))
    return reader


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(text):
    reader, plain = read(text), read("plain")
    assert reader.elements == plain.elements, "they add no element"
    assert set(reader.elements) <= ALLOWED and reader.attributes <= ATTRIBUTES
    assert reader.text.count(text) == plain.text.count("plain") > 8, "they are shown as they are"


def test_the_page_needs_nothing_from_elsewhere():
    text = subject.as_html(page("plain"))
    assert not any(word in text for word in ("http:", "https:", "src=", "href=", "url(", "@import", "<script"))
    assert "default-src 'none'" in text


def test_the_page_is_replaced_whole_and_is_its_owner_s(tmp_path):
    path = tmp_path / "status.html"
    assert subject.write(str(path), "before") == ""
    with open(path, encoding="utf-8") as opened:
        assert subject.write(str(path), "after") == ""
        assert opened.read() == "before", "who has it open keeps what was there"
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_a_page_that_cannot_be_written_is_no_end(tmp_path):
    assert (
        subject.write(str(tmp_path / "none" / "status.html"), "x")
        == "the page cannot be written: No such file or directory"
    )
