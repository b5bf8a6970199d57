# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pages of the documentation that several programs write: each owns the chapters under its headings, and leaves the others'."""

from __future__ import annotations

import re
from pathlib import Path


def chapters(text: str) -> dict[str, str]:
    """The page's chapters by their headings; what stands above the first one has the empty heading."""
    head, *rest = re.split(r"^## ", text, flags=re.MULTILINE)
    return {"": head} | {heading: body for heading, _newline, body in (part.partition("\n") for part in rest)}


def put_chapter(page: Path, heading: str, body: str) -> None:
    """Write a chapter in the place of the one of this heading, or at the end."""
    parts = chapters(page.read_text(encoding="utf-8")) | {heading: body}
    head = parts.pop("")
    texts = [head.strip(), *(f"## {title}\n\n{text.strip()}" for title, text in parts.items())]
    page.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
