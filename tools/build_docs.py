# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation's site into build/docs/site: the pages of the tree, and the reference that antsibull-docs makes of plugins and roles.

    make docs

Sphinx builds it of copies in build/docs/source, where each page keeps its path. A link to a plugin leads to its reference, one to another file
of the tree to the repository. A link that leads nowhere ends the build with 1, a warning of Sphinx likewise.
"""

from __future__ import annotations

import html.parser
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "docs"
SOURCE, SITE = BUILD / "source", BUILD / "site"
COLLECTION = "hardway.kubernetes"
ANTSIBULL = ["collection", "--use-current", "--squash-hierarchy", "--fail-on-error"]
IMAGES = {".gif", ".jpg", ".png", ".svg"}
LINK = re.compile(r"(?<=\]\()(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
#: The contents of a page of the reference: the theme shows its own beside each page.
CONTENTS = re.compile(r"^\.\. contents::\n(?: +:.*\n)+", re.MULTILINE)
PROJECT = [
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "CHANGELOG.md",
    "examples/README.md",
    "sandbox/README.md",
]


def tree() -> list[Path]:
    """The files that git knows, or would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ":!.collections"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()})


def reference(path: Path) -> str:
    """The page that antsibull-docs makes of a plugin's file; empty if there is none."""
    kind = {"modules": "module"}.get(path.parent.name, path.parent.name)
    page = f"reference/{path.stem}_{kind}.rst"
    return page if path.parts[0] == "plugins" and (SOURCE / page).is_file() else ""


def rewrite(text: str, page: Path, repository: str) -> str:
    """A page's text with its links as they are on the site; *page* is its path in the tree."""

    def target(match: re.Match[str]) -> str:
        if urllib.parse.urlsplit(match["path"]).scheme:
            return match[0]
        path = Path(os.path.normpath(page.parent / match["path"]))
        anchor = match["anchor"] or ""
        if path == Path("README.md"):
            return f"/index.md{anchor}"
        if path.suffix == ".md" or path.suffix in IMAGES or not (ROOT / path).exists():
            return match[0]
        found = reference(path)
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"/{found}{anchor}" if found else f"{repository}/{kind}/main/{path}{anchor}"

    return LINK.sub(target, text)


def toctree(caption: str, pages: list[str]) -> str:
    return (
        "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", ":maxdepth: 1", "", *pages, "```", ""])
        if pages
        else ""
    )


def contents(pages: list[Path]) -> str:
    """The site's contents, which stand below the front page's text: every page in one place."""
    names = [str(page) for page in pages if page != Path("README.md")]
    numbered = [name for name in names if re.match(r"docs/\d", name)]
    chapters = {
        "Guide": numbered,
        "Topics": [name for name in names if re.fullmatch(r"docs/[^/]+", name) and name not in numbered],
        "Decisions": [name for name in names if name.startswith("docs/adr/")],
        "Roles": [name for name in names if name.startswith("roles/")],
        "Reference": ["reference/index"],
        "Project": [name for name in PROJECT if name in names],
    }
    listed = {name for chapter in chapters.values() for name in chapter}
    chapters["Others"] = [name for name in names if name not in listed]
    return "\n".join(toctree(caption, chapter) for caption, chapter in chapters.items())


def write_source() -> None:
    """Everything that Sphinx reads."""
    shutil.rmtree(BUILD, ignore_errors=True)
    # antsibull-docs wants a directory that others cannot write into
    (SOURCE / "reference").mkdir(parents=True, mode=0o755)
    bin_directory = Path(sys.executable).parent
    subprocess.run(
        [bin_directory / "antsibull-docs", *ANTSIBULL, "--dest-dir", SOURCE / "reference", COLLECTION],
        env={
            **os.environ,
            "PATH": f"{bin_directory}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        },
        check=True,
    )
    for page in (SOURCE / "reference").glob("*.rst"):
        page.write_text(CONTENTS.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(ROOT / "tools" / "docs" / "conf.py", SOURCE)
    (SOURCE / "_static").mkdir()
    shutil.copy(ROOT / "tools" / "docs" / "site.css", SOURCE / "_static")
    repository = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["repository"]
    files = [path for path in tree() if path.parts[0] not in {".github", "tests"}]
    pages = [path for path in files if path.suffix == ".md"]
    for path in (path for path in files if path.suffix in {".md", *IMAGES}):
        copy = SOURCE / ("index.md" if path == Path("README.md") else path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copy(ROOT / path, copy)
            continue
        text = rewrite((ROOT / path).read_text(encoding="utf-8"), path, repository)
        copy.write_text(text if copy.name != "index.md" else f"{text}\n{contents(pages)}", encoding="utf-8")


class Page(html.parser.HTMLParser):
    """The links of a page of the site, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors.update(values[name] or "" for name in ("id", "name") if name in values)
        link = values.get("href" if tag in {"a", "link"} else "src")
        if link and not urllib.parse.urlsplit(link).scheme and not link.startswith("//"):
            self.links.add(link)


def broken_links() -> list[str]:
    """Links within the site that lead to no file, or to no anchor of it."""
    pages = {path: Page(path) for path in sorted(SITE.rglob("*.html"))}
    broken = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urllib.parse.urlsplit(link)
            target = Path(os.path.normpath(path.parent / urllib.parse.unquote(parts.path))) if parts.path else path
            if not target.is_file():
                broken.append(f"{path.relative_to(SITE)}: {link}: no such file")
            elif target in pages and urllib.parse.unquote(parts.fragment) not in pages[target].anchors:
                broken.append(f"{path.relative_to(SITE)}: {link}: no such anchor")
    return broken


def main() -> int:
    write_source()
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "--fail-on-warning", "--quiet", "--jobs", "auto"]
    code = subprocess.run([*sphinx, SOURCE, SITE], check=False).returncode
    broken = broken_links() if SITE.is_dir() else []
    print("\n".join(broken), end="\n" if broken else "")
    if code or broken:
        print("Fix: correct the pages above in the tree; a page in build/docs/source has the path of its original.")
        return 1
    print(f"{SITE / 'index.html'}: {len(list(SITE.rglob('*.html')))} pages, all links within them lead somewhere")
    return 0


if __name__ == "__main__":
    sys.exit(main())
