"""Whether specs that are compared are trained alike: on the same data, as long, from the same seed, in like batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..diagnostics import Diagnostic, Label
from ..language.source import Path
from ..spec.dump import plain
from ..spec.load import Spec
from ..spec.resuming import differences, dotted, written
from ..tasks.datasets import INFO

_READING = {"workers", "download", "on_bad_image"}  # how the data are read, and not which
TRAINED: tuple[Path, ...] = (("train", "epochs"), ("train", "seed"))


def unlike(specs: Sequence[Spec], *, trained: bool, seeded: bool = False) -> list[Diagnostic]:
    """A warning for every key in which a spec differs from the first one, and in which a comparison is of it alone.

    `seeded`: all of them get the same seeds, whatever they say.
    """
    first, *others = specs
    keys = [key for key in (TRAINED if trained else ()) if not (seeded and key == ("train", "seed"))]
    return [found for spec in others for found in _unlike(first, spec, keys)]


def _unlike(first: Spec, spec: Spec, keys: Sequence[Path]) -> Iterator[Diagnostic]:
    for path, (one, other) in differences(plain(first.config), plain(spec.config)):
        if _matters(path, first, keys):
            name = dotted(path)
            message = f"`{spec.config.name}` is compared with `{first.config.name}`, and has another `{name}`"
            yield spec.warning(
                "SPC670", message, *path, label=f"{written(other)} here",
                help=(f"for all of them the same: --set {name}={written(one)}",),
                secondary=(Label(first.span(*path), f"{written(one)} there"),),
            )  # fmt: skip


def _matters(path: Path, first: Spec, keys: Sequence[Path]) -> bool:
    if path[0] == "task" or path in keys:
        return True
    if path[0] != "data" or (path[1:2] and path[1] in _READING):
        return False
    own = INFO[first.config.data.dataset].classes is None  # published ones are the same wherever they lie
    return path != ("data", "root") or own
