"""What is known of a device: rates, bandwidth, memory and its margin; measured there or of its data sheet. No plans.

`specc doctor --calibrate` measures a device and keeps what it finds in the user's cache; sheets of GPUs come along.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .finding import UnknownProfile, find, here, matching, newest_with_margin, sheets, with_margins
    from .margin import Margin, Sample
    from .model import Profile
    from .places import folder, names
    from .store import save, stored

__all__ = [
    "Margin", "Profile", "Sample", "UnknownProfile", "find", "folder", "here", "matching", "names",
    "newest_with_margin", "save", "sheets", "stored", "with_margins",
]  # fmt: skip

_LAZY = {
    "finding": ("UnknownProfile", "find", "here", "matching", "newest_with_margin", "sheets", "with_margins"),
    "margin": ("Margin", "Sample"),
    "model": ("Profile",),
    "places": ("folder", "names"),
    "store": ("save", "stored"),
}  # a shell that completes names loads no model


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module 'specc.profiles' has no attribute '{name}'")
