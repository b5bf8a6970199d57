"""Errors that end a command: what is wrong, where, and what to do."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox cannot do what it was asked for."""


class Interrupted(Exception):
    """The command was told to stop (SIGINT, SIGTERM)."""
