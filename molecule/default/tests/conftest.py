"""What every scenario's tests have."""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from machines import fixture_machine

__all__ = ["fixture_machine"]
