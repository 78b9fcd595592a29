"""Spans of time as people read them."""

from __future__ import annotations

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def show_seconds(seconds: float) -> str:
    """The two largest units.

    >>> [show_seconds(s) for s in (0.4, 7.26, 59.7, 61, 3599, 7500, 200_000)]
    ['0.4 s', '7.3 s', '60 s', '1 min 1 s', '59 min 59 s', '2 h 5 min', '2 d 7 h']
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    left, shown = round(seconds), list[str]()
    for name, size in _UNITS:
        if left >= size or shown:
            shown.append(f"{left // size} {name}")
            left %= size
    return " ".join(part for part in shown[:2] if not part.startswith("0 "))


def show_age(seconds: float) -> str:
    """The largest unit alone, and seconds are not worth counting.

    >>> [show_age(s) for s in (-3, 59, 61, 7300, 90_000)]
    ['now', 'now', '1 min', '2 h', '1 d']
    """
    found = next(((name, size) for name, size in _UNITS[:-1] if seconds >= size), None)
    return f"{int(seconds // found[1])} {found[0]}" if found else "now"
