"""What is known of a device: rates, bandwidth, memory; measured there, or of its data sheet. Nothing of plans.

`specc doctor --calibrate` measures a device and keeps what it finds in the user's cache; sheets of GPUs come along.
"""

from __future__ import annotations

from .finding import UnknownProfile, find, here, names, sheets
from .model import Profile
from .store import folder, save, stored

__all__ = ["Profile", "UnknownProfile", "find", "folder", "here", "names", "save", "sheets", "stored"]
