# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of age and ssh, with which archives are encrypted and opened."""

from __future__ import annotations

import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup.archive import (
    CHUNK,
    BackupError,
    Refused,
    pyrage,
)


def read_recipients(texts: t.Sequence[str]) -> list[t.Any]:
    """Public keys: C(age1...), or those of ssh. Raises Refused for others."""
    found, problems = [], []
    for text in texts:
        words = text.strip()
        try:
            found.append(
                pyrage.ssh.Recipient.from_str(words)
                if words.startswith("ssh-")
                else pyrage.x25519.Recipient.from_str(words)
            )
        except pyrage.RecipientError as error:
            problems.append(
                f"recipients: {words[:24]!r} is no public key of age (age1...) or ssh (ssh-ed25519, ssh-rsa): {error}"
            )
    if problems:
        raise Refused(problems)
    return found


def read_identities(path: str) -> list[t.Any]:
    """Private keys in a file of age-keygen, or of ssh without a passphrase. Raises BackupError."""
    try:
        with open(path, "rb") as file:
            text = file.read(CHUNK)
    except OSError as error:
        raise BackupError(f"identity {path}: {error.strerror}. Name the file with the private key") from error
    try:
        if b"-----BEGIN" in text:
            return [pyrage.ssh.Identity.from_buffer(text)]
        lines = [line.strip() for line in text.decode().splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, UnicodeDecodeError) as error:
        # Not the text of the error: it may quote the key.
        raise BackupError(
            f"identity {path} has no private key of age (AGE-SECRET-KEY-1...) or of ssh that can be used"
        ) from error
    if not found:
        raise BackupError(f"identity {path} has no private key of age (AGE-SECRET-KEY-1...) or of ssh")
    return found
