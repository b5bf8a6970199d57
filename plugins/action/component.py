# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import json
import os
import re
import zlib

import yaml
from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.yaml.dumper import AnsibleDumper
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.merge import argument, merged
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout.lock import Turn, TurnRefused

HOST_MODULE = "hardway.kubernetes.component_apply"
KEY_MODE = "0600"


class ActionModule(ActionBase):
    """Renders a component on the controller and hands it to the host in one call."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self._call_vars = task_vars
        name, payload = self.described(self._as_its_host(task_vars))
        result.update(self._reconcile(name, payload))
        if result.get("failed"):
            result["msg"] = f"{name} on {self._task_vars['inventory_hostname']}: {result.get('msg', 'failed')}"
        return result

    def described(self, task_vars):
        """The component's name, and the whole of it as the host gets it."""
        self._task_vars = task_vars
        _unused, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        args = {key: value for key, value in args.items() if value is not None}
        return args["name"], _encode(self._describe(args))

    def _as_its_host(self, task_vars):
        """What templates see: with delegate_to the variables of the host that gets the component, so that it gets what its own run would bring."""
        delegate = self._task.delegate_to
        if not delegate or delegate == task_vars["inventory_hostname"]:
            return task_vars
        hostvars = task_vars["hostvars"]
        if delegate not in hostvars:
            raise AnsibleActionFail(
                f"delegate_to: {delegate} is no host of the inventory, so nothing is known of what it should have"
            )
        return {**task_vars, **hostvars.raw_get(delegate)}

    def _reconcile(self, name, payload):
        """No-ops and first starts run on all hosts at once; restarts of what runs go one host at a time."""
        result = self._call(payload, defer_restart=True)
        if not result.get("deferred"):
            return result
        run = C.DEFAULT_LOCAL_TMP  # one per ansible-playbook, shared by its workers
        host = self._task_vars["inventory_hostname"]
        try:
            with Turn(self._variable("cluster_dir"), name, host, run) as turn:
                result = self._call(payload, defer_restart=False)
                if result.get("failed") or result.get("unreachable"):
                    turn.failed()
        except TurnRefused as error:
            return {"failed": True, "msg": str(error)}
        return result

    def _call(self, payload, defer_restart):
        return self._execute_module(
            module_name=HOST_MODULE,
            module_args={"payload": payload, "defer_restart": defer_restart},
            task_vars=self._call_vars,
        )

    # from the task's words to what the host gets

    def _describe(self, args):
        if args["state"] == "absent":  # what it would be is not asked: nothing is rendered
            return {"name": args["name"], "absent": True}
        unit = args.get("unit")
        return {
            "name": args["name"],
            "service": args.get("service") or (f"{args['name']}.service" if unit else None),
            "unit": self._render(unit, self._arguments(args.get("arguments"))) if unit else None,
            "user": args.get("user"),
            "directories": self._directories(args),
            "files": [self._file(item) for item in args["files"] + self._pki_files(args)],
            "artifacts": [self._artifact(name) for name in args["artifacts"]],
            "tools": [self._artifact(name) for name in args["tools"]],
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

    @staticmethod
    def _directories(args):
        for directory in args["directories"]:
            _check_mode_text(directory["path"], directory["mode"])
        pki = args.get("pki")
        own = [{"path": pki["path"], "mode": "0700", "owner": pki["owner"], "group": pki["owner"]}] if pki else []
        return args["directories"] + own

    def _pki_files(self, args):
        pki = args.get("pki")
        if not pki:
            return []
        directory = self._variable("cluster_pki")
        effects = [(pki["files"], "restart"), (pki["reloaded"], "none")]
        return [
            {
                "dest": os.path.join(pki["path"], name),
                "src": os.path.join(directory, source),
                "mode": KEY_MODE if source.endswith(("-key.pem", ".key")) else "0644",
                "owner": pki["owner"],
                "group": pki["owner"],
                "on_change": effect,
            }
            for files, effect in effects
            for name, source in files.items()
        ]

    def _file(self, item):
        item = {key: value for key, value in item.items() if value is not None}
        _check_mode_text(item["dest"], item["mode"])
        described = {
            "path": item["dest"],
            **{key: item[key] for key in ("mode", "owner", "group", "on_change") if key in item},
        }
        if item.get("state") == "absent":
            return {**described, "absent": True}
        if "src" in item:
            return {**described, **self._source(item["src"])}
        if "template" in item:
            text = self._render(item["template"], item.get("vars"))
            if item.get("merge"):
                text = _text(merged(self._yaml(item["template"], text), item["merge"]))
        elif "content" in item:
            text = _text(item["content"])
        else:
            raise AnsibleActionFail(f"{item['dest']}: has neither template, src nor content: give one of them")
        return {**described, "content": base64.b64encode(text.encode()).decode()}

    def _arguments(self, arguments):
        if not arguments:
            return {}
        template = arguments["template"]
        values = merged(self._yaml(template, self._render(template)), arguments.get("merge") or {})
        return {"component_arguments": [_word(f"--{name}={argument(values[name])}") for name in sorted(values)]}

    @staticmethod
    def _yaml(template, text):
        try:
            return yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            raise AnsibleActionFail(
                f"template {template} is not YAML once rendered, look at the settings that it uses: {error}"
            ) from error

    def _source(self, source):
        pending = self._pending().get(source)
        if pending and self._task.check_mode:
            return {"pending": f"would change: {pending}"}
        try:
            with open(self._find_needle("files", source), "rb") as stream:
                return {"content": base64.b64encode(stream.read()).decode()}
        except (AnsibleError, FileNotFoundError) as error:
            if self._task.check_mode:
                return {"pending": "would be created"}
            raise AnsibleActionFail(
                f"{source}: not on the controller; the role hardway.kubernetes.ca makes it: run site.yml, or restore the state directory"
            ) from error

    def _pending(self):
        """What the PKI would reissue, known in check mode from the call that described it: path -> reason."""
        planned = self._task_vars.get("ca_pki") or {}
        directory = self._variable("cluster_pki")
        files = [
            (item, f"{item['name']}.pem") for kind in ("certificates", "bundles") for item in planned.get(kind, [])
        ]
        files += [
            (item, item["name"] + end) for item in planned.get("keys", []) for end in (".pem", "-key.pem", ".key")
        ]
        pending = {
            os.path.join(directory, name): item.get("reason") or "reissued"
            for item, name in files
            if item.get("changed")
        }
        tokens = self._task_vars.get("ca_tokens") or {}
        if tokens.get("changed"):
            pending[tokens["path"]] = "its users"
        return pending

    def _render(self, template, variables=None):
        source = self._find_needle("templates", template)
        text = trust_as_template(self._loader.get_text_file_contents(source))
        searchpath = [os.path.dirname(source)]
        templar = self._templar.copy_with_new_env(
            searchpath=searchpath, available_variables={**self._task_vars, **(variables or {})}
        )
        rendered = templar.template(
            text, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": True}
        )
        if not isinstance(rendered, str | None):
            raise AnsibleActionFail(
                f"template {template} renders to a value that is not text: add a filter such as to_json"
            )
        return rendered or ""

    def _artifact(self, name):
        locked = self._variable("cluster_locked_artifacts")
        if name in locked:
            return {"name": name, **locked[name]}
        lock = self._variable("cluster_lock_file")
        raise AnsibleActionFail(
            f"artifact {name} is not in the lock file {lock}: run site.yml without --tags, or correct the name"
        )

    def _images(self, images):
        if not images:
            return None
        if self._variable("cluster_image_source") != "archive":
            return None
        wanted = [self._artifact(f"image-{name}") for name in images["wanted"]]
        return {
            **images,
            "wanted": [{"ref": image["ref"], "url": image["url"], "sha256": image["sha256"]} for image in wanted],
        }

    def _variable(self, name):
        value = self._templar.template(self._task_vars.get(name))
        if value is None:
            raise AnsibleActionFail(
                f"{name} is not set: the role that calls component must depend on hardway.kubernetes.cluster"
            )
        return value


def _text(content):
    return (
        content
        if isinstance(content, str)
        else yaml.dump(content, Dumper=AnsibleDumper, default_flow_style=False, sort_keys=False)
    )


def _word(text):
    """One word of a unit's command line (systemd.service(5), COMMAND LINES)."""
    text = text.replace("%", "%%").replace("$", "$$")
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"' if re.search(r'[\s"\'\\;]', text) else text


def _check_mode_text(path, mode):
    if not re.fullmatch("[0-7]{4}", mode):
        raise AnsibleActionFail(
            f'{path}: mode {mode} is not four octal digits: write it as text, in quotes, like "0644"'
        )


def _encode(description):
    return base64.b64encode(zlib.compress(json.dumps(description).encode(), 1)).decode()


_MODE_AND_OWNER = {
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
_ON_CHANGE = {"type": "str", "choices": ["restart", "reload", "none"], "default": "restart"}

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "artifacts": {"type": "list", "elements": "str", "default": []},
    "tools": {"type": "list", "elements": "str", "default": []},
    "user": {"type": "str"},
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            **_MODE_AND_OWNER,
            "mode": {"type": "str", "default": "0755"},
        },
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "dest": {"type": "path", "required": True},
            "template": {"type": "str"},
            "src": {"type": "str"},
            "content": {"type": "raw"},
            "merge": {"type": "dict"},
            **_MODE_AND_OWNER,
            "on_change": _ON_CHANGE,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "vars": {"type": "dict"},
        },
    },
    "pki": {
        "type": "dict",
        "options": {
            "path": {"type": "path", "required": True},
            "owner": {"type": "str", "default": "root"},
            "files": {"type": "dict", "default": {}},
            "reloaded": {"type": "dict", "default": {}},
        },
    },
    "unit": {"type": "str"},
    "arguments": {
        "type": "dict",
        "options": {"template": {"type": "str", "required": True}, "merge": {"type": "dict"}},
    },
    "service": {"type": "str"},
    "overwrites_environment": {"type": "bool", "default": False},
    "replaces": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "apply": {"type": "list", "elements": "str"},
    "validate": {"type": "list", "elements": "str"},
    "images": {
        "type": "dict",
        "options": {
            "wanted": {"type": "list", "elements": "str", "required": True},
            "list_command": {"type": "list", "elements": "str", "required": True},
            "load_command": {"type": "list", "elements": "str", "required": True},
        },
    },
    "health": {
        "type": "dict",
        "options": {
            "url": {"type": "str"},
            "ca": {"type": "path"},
            "verify": {"type": "bool", "default": True},
            "certificate": {"type": "path"},
            "key": {"type": "path"},
            "tcp": {"type": "str"},
            "command": {"type": "list", "elements": "str"},
            "timeout": {"type": "float", "default": 120},
            "hold": {"type": "float", "default": 0},
            "skip": {"type": "bool", "default": False},
        },
    },
}
