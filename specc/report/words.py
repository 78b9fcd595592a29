"""Numbers as a report writes them."""

from __future__ import annotations

from ..language.schema import show_bytes as show_bytes

SHARES = {"accuracy", "label_accuracy", "pixel_accuracy", "mean_iou", "mean_average_precision"}


def figure(name: str, value: float | None) -> str:
    """A metric, or a loss: those between 0 and 1 as parts of a hundred.

    >>> figure("accuracy", 0.97222), figure("loss", 0.12345), figure("loss", None)
    ('97.22 %', '0.1234', '–')
    """
    if value is None:
        return "–"
    return f"{value:.2%}".replace("%", " %") if name in SHARES else f"{value:.4g}"


def named(metric: str) -> str:
    """A metric in words: ``mean_iou`` is `mean IoU`."""
    return metric.replace("_", " ").replace("iou", "IoU")


def sentence(text: str) -> str:
    """With a capital letter, the others as they are.

    >>> sentence("mean IoU")
    'Mean IoU'
    """
    return text[:1].upper() + text[1:]


def seconds(value: float) -> str:
    """A time as people read it.

    >>> seconds(0.00012), seconds(0.25), seconds(75), seconds(7300)
    ('0.12 ms', '250 ms', '1 min 15 s', '2 h 2 min')
    """
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 60:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def share(part: float, whole: float) -> str:
    """A part of a whole.

    >>> share(3, 4), share(1, 0)
    ('75 %', '–')
    """
    return f"{part / whole:.0%}".replace("%", " %") if whole else "–"


def plural(count: int, word: str) -> str:
    """
    >>> plural(1, "epoch"), plural(3, "epoch")
    ('1 epoch', '3 epochs')
    """
    return f"{count:,} {word}{'s' * (count != 1)}"
