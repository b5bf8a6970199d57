# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import documents
import fields
import pytest


@dataclass
class Made:
    """The certificates of one document, by both, and the arguments that the module was given."""

    document: documents.Document
    cfssl: Path
    module: Path
    arguments: dict
    result: dict
    pairs: dict[str, fields.Pair] = field(default_factory=dict)


def make(document: documents.Document, directory: Path) -> Made:
    cfssl, files, module = (directory / way for way in ("cfssl", "files", "module"))
    asked_at = fields.now()
    documents.by_cfssl(document, cfssl)
    document.lay_out(files)
    arguments = documents.asked(document, files)
    module_asked_at = fields.now()
    result = documents.by_module(arguments, module)
    made = Made(document, cfssl, module, arguments, result)
    for name in ("ca", *(certificate.name for certificate in document.certificates)):
        made.pairs[name] = fields.Pair(
            fields.Certificate.read(cfssl, name, asked_at), fields.Certificate.read(module, name, module_asked_at)
        )
    return made


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> dict[str, Made]:
    """All documents and what is beyond them, each by cfssl and by the module."""
    return {document.name: make(document, tmp_path_factory.mktemp("document")) for document in documents.COMPARED}


SUMMARY: list[str] = []


def pytest_terminal_summary(terminalreporter) -> None:
    for line in SUMMARY:
        terminalreporter.write_line(line)
