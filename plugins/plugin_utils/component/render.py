# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component rendered for a host: its declaration and the settings become what the host gets."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import os
import re
import typing as t
import zlib
from collections.abc import Mapping

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.yaml.dumper import AnsibleDumper

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.arguments import ARGUMENTS
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.declarations import Declaration
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.merge import argument, merged
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.catalogue import certificates_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.settings import Settings
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout import peers
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.templates import render_file


class RenderError(AnsibleError):
    """What of a component cannot be rendered, and how to fix it."""


@dataclasses.dataclass
class Renderer:
    """Renders the components of one role for one host.

    *templar* knows *variables*, which are those of the host as the role sees them; *loader* is Ansible's.
    """

    templar: t.Any
    loader: t.Any
    variables: dict[str, t.Any]
    role_path: str
    check_mode: bool = False
    #: settings of the cluster that were rendered already
    rendered: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def is_wanted(self, declaration: Declaration) -> bool:
        """Whether the host has the component."""
        return declaration.is_for(self.variables.get("group_names") or []) and all(
            self.templar.evaluate_conditional(condition) for condition in declaration.when
        )

    def phase(self, declaration: Declaration) -> str:
        return self.templar.template(declaration.phase)

    def wants_visit(self, declaration: Declaration) -> bool:
        return any(self.templar.evaluate_conditional(condition) for condition in declaration.visit_when)

    def describe(self, declaration: Declaration) -> dict[str, t.Any]:
        """The whole of the component, as the host gets it.

        :raises AnsibleError: what is wrong in the declaration or in the settings that it uses
        """
        return self._describe(declaration.name, self._valid(declaration, declaration.arguments, ARGUMENTS))

    def peers(self, declaration: Declaration) -> dict[str, t.Any]:
        """Who has to be healthy before this host restarts it, as the host gets it; empty where the component has no peers."""
        if not declaration.peers:
            return {}
        declared = self._valid(declaration, declaration.peers, peers.ARGUMENTS)
        replaced = declaration.arguments.get("replaces")
        components = [declaration.name, *([replaced] if replaced else [])]
        hostvars = self.variables.get("hostvars")
        names = [str(member["name"]) for member in declared["members"]]
        new = [name for name in names if hostvars and peers.is_new(hostvars.raw_get(name), components)]
        return peers.to_ask(declared, self.variables["inventory_hostname"], new)

    def _valid(self, declaration: Declaration, raw: Mapping[str, t.Any], spec: Mapping[str, t.Any]) -> dict[str, t.Any]:
        validated = ArgumentSpecValidator(spec).validate(self.templar.template(dict(raw)))
        if validated.error_messages:
            place = f"roles/{declaration.role}/components/{declaration.key}.yml"
            raise RenderError(f"{place}: {'; '.join(validated.error_messages)}")
        return {key: value for key, value in validated.validated_parameters.items() if value is not None}

    def _describe(self, name: str, args: dict[str, t.Any]) -> dict[str, t.Any]:
        if args["state"] == "absent":  # what it would be is not asked: nothing is rendered
            return {"name": name, "absent": True}
        unit = args.get("unit")
        return {
            "name": name,
            "service": args.get("service") or (f"{name}.service" if unit else None),
            "unit": self._render(unit, self._arguments(args.get("arguments"))) if unit else None,
            "user": args.get("user"),
            "directories": _directories(args),
            "files": [self._file(item) for item in args["files"] + self._pki_files(name, args)],
            "artifacts": [self._artifact(item) for item in args["artifacts"]],
            "tools": [self._artifact(item) for item in args["tools"]],
            "apply": args.get("apply"),
            "validate": args.get("validate"),
            "images": self._images(args.get("images")),
            "overwrites_environment": args["overwrites_environment"],
            "replaces": args.get("replaces"),
            "health": {key: value for key, value in (args.get("health") or {}).items() if value is not None},
            "install_dir": self._variable("cluster_install_dir"),
            "bin_dir": self._variable("cluster_bin_dir"),
            "download_timeout": self._variable("cluster_download_timeout"),
        }

    def _pki_files(self, name: str, args: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
        """The component's certificates and keys, by the table of certificates."""
        if not args["certificates"]:
            return []
        owner = (args.get("pki") or {}).get("owner", "root")
        directory = self._variable("cluster_pki")
        return [
            {
                "dest": path,
                "src": os.path.join(directory, file.source),
                "mode": file.mode,
                "owner": owner,
                "group": owner,
                # What the process rereads by itself needs nothing.
                "on_change": "none" if file.effect == "reread" else file.effect,
            }
            for path, file in certificates_of(name, self._certificates, self.variables["inventory_hostname"]).items()
        ]

    @functools.cached_property
    def _certificates(self) -> Settings:
        return Settings.of(self._variable("cluster_certificate_settings"))

    def _file(self, item: Mapping[str, t.Any]) -> dict[str, t.Any]:
        item = {key: value for key, value in item.items() if value is not None}
        _check_mode_text(item["dest"], item["mode"])
        kept = ("mode", "owner", "group", "on_change", "shown")
        described: dict[str, t.Any] = {str(key): item[key] for key in kept if key in item}
        described["path"] = item["dest"]
        if item.get("state") == "absent":
            return {**described, "absent": True}
        if "src" in item:
            return {**described, **self._source(item["src"])}
        if "template" in item:
            text = self._render(item["template"], item.get("vars"))
            if item.get("merge"):
                text = _text(merged(_yaml(item["template"], text), item["merge"]))
        elif "content" in item:
            text = _text(item["content"])
        else:
            raise RenderError(f"{item['dest']}: has neither template, src nor content. Fix: give one of them")
        return {**described, "content": base64.b64encode(text.encode()).decode()}

    def _arguments(self, arguments: Mapping[str, t.Any] | None) -> dict[str, t.Any]:
        if not arguments:
            return {}
        template = arguments["template"]
        values = merged(_yaml(template, self._render(template)), arguments.get("merge") or {})
        return {"component_arguments": [word(f"--{name}={argument(values[name])}") for name in sorted(values)]}

    def _source(self, source: str) -> dict[str, t.Any]:
        pending = self._pending.get(source) if self.check_mode else None
        if pending:
            return {"pending": f"would change: {pending}"}
        try:
            with open(os.path.join(self.role_path, "files", source), "rb") as stream:
                return {"content": base64.b64encode(stream.read()).decode()}
        except FileNotFoundError as error:
            if self.check_mode:
                return {"pending": "would be created"}
            raise RenderError(
                f"{source} is not on the controller; the role hardway.kubernetes.ca makes it. "
                "Fix: run site.yml, or restore the state directory"
            ) from error

    @functools.cached_property
    def _pending(self) -> dict[str, str]:
        """What the PKI would reissue, known in check mode from the call that described it: path -> reason."""
        planned = self.variables.get("ca_pki") or {}
        directory = self._variable("cluster_pki")
        kinds = ("certificates", "bundles")
        files = [(item, f"{item['name']}.pem") for kind in kinds for item in planned.get(kind, [])]
        ends = (".pem", "-key.pem", ".key")
        files += [(item, item["name"] + end) for item in planned.get("keys", []) for end in ends]
        pending = {
            os.path.join(directory, name): item.get("reason") or "reissued"
            for item, name in files
            if item.get("changed")
        }
        tokens = self.variables.get("ca_tokens") or {}
        if tokens.get("changed"):
            pending[tokens["path"]] = "its users"
        return pending

    def _render(self, template: str, variables: Mapping[str, t.Any] | None = None) -> str:
        source = self._find("templates", template)
        rendered = render_file(self.templar, self.loader, source, {**self.variables, **(variables or {})})
        if not isinstance(rendered, (str, type(None))):
            raise RenderError(
                f"template {template} renders to a value that is not text. Fix: add a filter such as to_json"
            )
        return rendered or ""

    def _find(self, kind: str, name: str) -> str:
        """A path of its own, or a file of the role."""
        path = os.path.join(self.role_path, kind, name)
        if not os.path.exists(path):
            raise RenderError(f"{path} is not there. Fix: correct its name in the declaration")
        return path

    def _artifact(self, name: str) -> dict[str, t.Any]:
        locked = self._variable("cluster_locked_artifacts")
        if name in locked:
            return {"name": name, **locked[name]}
        lock = self._variable("cluster_lock_file")
        raise RenderError(
            f"artifact {name} is not in the lock file {lock}. Fix: run site.yml without --tags, or correct the name"
        )

    def _images(self, images: Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
        if not images or self._variable("cluster_image_source") != "archive":
            return None
        wanted = [self._artifact(f"image-{name}") for name in images["wanted"]]
        kept = ("ref", "url", "sha256")
        return {**images, "wanted": [{key: image[key] for key in kept} for image in wanted]}

    def _variable(self, name: str) -> t.Any:
        if name not in self.rendered:
            self.rendered[name] = self.templar.template(self.variables.get(name))
        if self.rendered[name] is None:
            raise RenderError(f"{name} is not set. Fix: the component's role must depend on hardway.kubernetes.cluster")
        return self.rendered[name]


def _directories(args: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    for directory in args["directories"]:
        _check_mode_text(directory["path"], directory["mode"])
    pki = args.get("pki")
    own = [{"path": pki["path"], "mode": "0700", "owner": pki["owner"], "group": pki["owner"]}] if pki else []
    return args["directories"] + own


def _yaml(template: str, text: str) -> t.Any:
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise RenderError(
            f"template {template} is not YAML once rendered. Fix: look at the settings that it uses: {error}"
        ) from error


def _text(content: t.Any) -> str:
    if isinstance(content, str):
        return content
    return yaml.dump(content, Dumper=AnsibleDumper, default_flow_style=False, sort_keys=False)


def word(text: str) -> str:
    """One word of a unit's command line (systemd.service(5), COMMAND LINES)."""
    text = text.replace("%", "%%").replace("$", "$$")
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"' if re.search(r'[\s"\'\\;]', text) else text


def _check_mode_text(path: str, mode: str) -> None:
    if not re.fullmatch("[0-7]{4}", mode):
        raise RenderError(
            f'{path}: mode {mode} is not four octal digits. Fix: write it as text, in quotes, like "0644"'
        )


def encode(description: Mapping[str, t.Any]) -> str:
    """A description as it travels to the host."""
    return base64.b64encode(zlib.compress(json.dumps(description).encode(), 1)).decode()
