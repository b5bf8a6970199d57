# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile each Jinja text once.

ansible-core compiles a text each time it renders it; a plan for many hosts renders the same few hundred texts for each of them, and half
of its time went there.
"""

from __future__ import annotations

import contextlib
import typing as t

import jinja2

try:
    # Whether backslashes in strings are doubled is part of what a text compiles to (ansible-core 2.19 to 2.21).
    from ansible._internal._templating._jinja_bits import _TemplateCompileContext
except ImportError:  # another ansible-core: as slow as without this
    _TemplateCompileContext = None

#: Attributes of an environment on which the compiled code depends.
_SYNTAX = ("trim_blocks", "lstrip_blocks", "keep_trailing_newline", "variable_start_string", "block_start_string")


@contextlib.contextmanager
def compiled_once() -> t.Iterator[None]:
    """Within it, this process compiles a text of the same syntax once."""
    if _TemplateCompileContext is None:
        yield
        return
    known: dict[t.Any, t.Any] = {}
    compile_text = jinja2.Environment.compile

    def compile_or_reuse(self: jinja2.Environment, source: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if not isinstance(source, str) or args or kwargs:
            return compile_text(self, source, *args, **kwargs)
        context = _TemplateCompileContext.current(optional=True)
        syntax = tuple(getattr(self, name) for name in _SYNTAX)
        key = (str(source), type(self), syntax, bool(context and context.escape_backslashes))
        if key not in known:
            known[key] = compile_text(self, source)
        return known[key]

    jinja2.Environment.compile = compile_or_reuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        jinja2.Environment.compile = compile_text  # type: ignore[method-assign]
