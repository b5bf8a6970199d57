# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for Python on a host: it runs no module, writes down what it was sent, and answers from a book.

Called with the directory of the test and the name of the host. The module comes on standard input (pipelining), or as a file.
"""

from __future__ import annotations

import ast
import base64
import json
import pathlib
import re
import sys
import typing as t
import zlib

STATE = pathlib.Path(sys.argv[1])
HOST = sys.argv[2]
#: Modules of the collection. What others return goes to the terminal by Ansible's own hands.
OURS = {path.stem for path in pathlib.Path(__file__).parents[3].joinpath("plugins/modules").glob("*.py")}


def call_of(text: str) -> tuple[str, dict[str, t.Any]]:
    """The module's name, and its arguments without what Ansible adds."""
    name = re.search(r"^module_fqn='(?:[\w.]+[.])?(\w+)',$", text, re.MULTILINE)
    params = re.search(r"^params=(.+),$", text, re.MULTILINE)
    if not name or not params:
        raise SystemExit(f"no module: {text[-400:]}")
    given = json.loads(ast.literal_eval(params[1]))["ANSIBLE_MODULE_ARGS"]
    arguments = {key: value for key, value in given.items() if not key.startswith("_ansible_")}
    if "payload" in arguments:
        arguments["payload"] = readable(json.loads(zlib.decompress(base64.b64decode(arguments["payload"]))))
    return name[1], arguments


def readable(value: t.Any) -> t.Any:
    """A payload with the text of its files in place of base64."""
    if isinstance(value, dict):
        return {key: text_of(item) if key == "content" else readable(item) for key, item in value.items()}
    return [readable(item) for item in value] if isinstance(value, list) else value


def text_of(content: t.Any) -> t.Any:
    return base64.b64decode(content).decode() if isinstance(content, str) else content


def main() -> None:
    text = pathlib.Path(sys.argv[3]).read_text(encoding="utf-8") if len(sys.argv) > 3 else sys.stdin.read()
    module, arguments = call_of(text)
    with (STATE / f"{HOST}.calls").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps({"module": module, "arguments": arguments}, sort_keys=True) + "\n")
    book = json.loads((STATE / "book.json").read_text(encoding="utf-8"))
    answer: t.Any = book.get(HOST, {}).get(module, book["*"].get(module, {"changed": False}))
    lies = json.loads((STATE / "lies.json").read_text(encoding="utf-8")).get(HOST)
    if lies is not None:
        answer = lies["answers"].get(module, answer)
        if isinstance(answer, dict):
            # The facts that a module is asked for stay: without them the host would not get far.
            facts = {**lies["besides"].get("ansible_facts", {}), **answer.get("ansible_facts", {})}
            ours = lies["ours"] if module in OURS else {}
            answer = {**answer, **lies["besides"], "ansible_facts": facts, **ours}
    sys.stdout.write(answer if isinstance(answer, str) else json.dumps(answer))


if __name__ == "__main__":
    main()
