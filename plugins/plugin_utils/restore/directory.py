# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a restore has to know of the cluster's directory on the controller."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import cluster_directory
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.model import Directory

PENDING = "etcd-restore.json"
# A CA as it was issued, of each generation; not its key, and not the bundle of several.
AUTHORITY = re.compile(r"(ca|etcd-ca)(-.*)?(?<!bundle)(?<!key)[.]pem")
BLOCK = 1024 * 1024


class UnreadableDirectory(HardwayError):
    """A file of the cluster's directory that is none of ours."""


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read(path: str, pki: str, encryption_keys: Sequence[str]) -> Directory:
    """The directory at *path*, with its certificates in *pki*; *encryption_keys* are the names of the keys in use."""
    authorities = [each for each in _entries(Path(pki)) if AUTHORITY.fullmatch(each.name)]
    keys = [key for key in (Path(pki) / f"{name}.key" for name in encryption_keys) if key.exists()]
    return Directory(
        path,
        frozenset(map(sha256_of, authorities)),
        frozenset(map(sha256_of, keys)),
        cluster_directory.noted(path),
        _pending(Path(path) / PENDING),
    )


def _entries(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else []


def _pending(path: Path) -> Mapping[str, t.Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found[name] for name in ("id", "sha256", "revision", "origin")}
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableDirectory(
            f"{path}: is not what a restore of etcd wrote ({error}).\n  Fix: Remove it, and name the source of the restore."
        ) from error
