"""What glibc does with the memory that a step frees.

It hands back to the system what lies free at the end of the heap, and every large tensor, and the next step faults
each page in again: up to a quarter of its time. A run has glibc keep it, unless the user or another allocator decides.
"""

from __future__ import annotations

import ctypes
import os
import re
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
NEVER = 2**31 - 1
LARGE = (1 << 30, 32 << 20)  # before glibc 2.35 the second is the most that it takes
VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_")
TUNABLES = "GLIBC_TUNABLES"


class _Place(ctypes.Structure):
    """What `dladdr` says of an address."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("at", ctypes.c_void_p),
    )


def allocator() -> str | None:
    """The version of glibc where `malloc` is its own; None where another library stands in its place."""
    try:
        program = ctypes.CDLL(None)
        version, place = program.gnu_get_libc_version, _Place()
        version.restype = ctypes.c_char_p
        found = program.dladdr(ctypes.cast(program.malloc, ctypes.c_void_p), ctypes.byref(place))
    except (OSError, AttributeError, TypeError):  # Windows has no program to ask, others no glibc in it
        return None
    name = os.path.basename(place.file or b"").decode(errors="replace")
    return version().decode() if found and re.match(r"libc([.-].*)?\.so", name) else None


def wish() -> str | None:
    """Where the user has said what malloc is to do."""
    if "glibc.malloc." in os.environ.get(TUNABLES, ""):
        return TUNABLES
    return next((name for name in VARIABLES if name in os.environ), None)


def policy() -> str:
    """What becomes of freed memory in a run on a processor, in words."""
    version = allocator()
    if version is None:
        return "as the allocator has it, which is not glibc's"
    if said := wish():
        return f"as {said} says (glibc {version})"
    return f"kept for the next step (glibc {version})"


@cache
def keep_freed_memory() -> bool:
    """Have glibc keep what is freed, once for this process; whether it does."""
    if allocator() is None or wish() is not None:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_TRIM_THRESHOLD, NEVER)) and any(mallopt(M_MMAP_THRESHOLD, size) for size in LARGE)
