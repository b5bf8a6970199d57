# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import yaml

from ansible_collections.hardway.kubernetes.plugins.doc_fragments.api import ModuleDocFragment
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import api_argument_spec


def test_the_fragment_and_the_code_have_the_same_options() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    described = {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented.items()
    }
    assert api_argument_spec(more={"type": "str"}) == {**described, "more": {"type": "str"}}
