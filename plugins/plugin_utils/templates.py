# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Template files, rendered as Ansible's own module template renders them."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Mapping

from ansible.template import trust_as_template

OVERRIDES = {"trim_blocks": True, "lstrip_blocks": True}


def render_file(templar: t.Any, loader: t.Any, source: str, variables: Mapping[str, t.Any]) -> t.Any:
    """What the template at the path *source* renders to with *variables*; it includes files of its own directory."""
    text = trust_as_template(loader.get_text_file_contents(source))
    own = templar.copy_with_new_env(searchpath=[os.path.dirname(source)], available_variables=variables)
    return own.template(text, escape_backslashes=False, overrides=OVERRIDES)
