"""What a shell completes as somebody types a command; nothing of what the command then does.

All of it is asked of files and names: no model is loaded, as a shell waits for the answer.
"""

from __future__ import annotations

from .shells import SHELLS, VARIABLE, prepare, script

__all__ = ["SHELLS", "VARIABLE", "prepare", "script"]
