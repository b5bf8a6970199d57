# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The examples of the filter's documentation and of docs/01-certificates.md, as a user copies them, with the files of document 000."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import documents
import tools
import yaml
from cryptography import x509
from test_verifiers import Question, accepted

PAGE = tools.ROOT / "docs" / "01-certificates.md"


def play(directory: Path, tasks: list[dict], *options: str, **variables: object) -> str:
    """The output of a playbook, run by somebody with this home directory."""
    playbook = directory / "playbook.yml"
    playbook.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}])
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {
        "HOME": str(directory),
        "NO_COLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(tools.ROOT / ".collections"),
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), playbook, *options]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_of_the_filter(tmp_path):
    example = yaml.safe_load(yaml.safe_load((tools.ROOT / "plugins/filter/cfssl.yml").read_text())["EXAMPLES"])
    shutil.copytree(documents.FILES / "000", tmp_path / "TLS/k8s")
    planned = play(tmp_path, example, "--check", "--diff")
    assert "changed=1" in planned and "CN=system:kube-proxy" in planned
    assert not list(tmp_path.glob("TLS/k8s/*.pem"))
    play(tmp_path, example)
    pki = tmp_path / "TLS/k8s"
    accepted([Question(pki / f"{name}.pem", pki / "ca.pem", "client") for name in ("etcd", "k8s", "kube-proxy")])
    assert "changed=0" in play(tmp_path, example)


def test_the_settings_on_the_page(tmp_path):
    """What the page puts into group_vars, as the role `ca` hands it on to the filter pki."""
    shutil.copytree(documents.FILES / "000", tmp_path / "TLS/k8s")
    shutil.copy(documents.FILES / "000/kube-proxy-csr.json", tmp_path / "TLS/k8s/calico-csr.json")
    (settings,) = [
        yaml.safe_load(block)
        for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if block.startswith("tls:")
    ]
    asked = (
        "{{ {'endpoint_address': '10.33.0.100', 'service_network': '10.96.0.0/16', 'dns_domain': 'cluster.local', 'subject': ca_subject, "
        "'key': ca_key, 'ca_validity': ca_authority_validity, 'certificates': ca_certificates} | hardway.kubernetes.pki }}"
    )
    task = {
        "hardway.kubernetes.certificates": {
            "path": str(tmp_path / "pki"),
            "cas": "{{ asked.cas }}",
            "certificates": "{{ asked.certificates }}",
        }
    }
    play(tmp_path, [task], asked=asked, **settings)
    authority = x509.load_pem_x509_certificate((tmp_path / "pki/ca.pem").read_bytes())
    assert authority.subject.rfc4514_string() == "CN=kubernetes,OU=System,O=k8s,L=BeiJing,ST=BeiJing,C=CN"
    assert authority.public_key().key_size == 2048
    assert (authority.not_valid_after_utc - authority.not_valid_before_utc).days == 36500
    accepted([Question(tmp_path / "pki/calico.pem", tmp_path / "pki/ca.pem", "client")])
