"""Which findings are mere consequences of others: those that were derived from a part of the spec that is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from ...diagnostics import Diagnostic
from ...language.source import Path, Tree
from ...spec.load import paths_at

Pattern = tuple[str, ...]  # a path in the spec; `*` stands for any one part

_IMAGES = (
    "data.dataset", "data.module", "data.args", "data.image_size", "data.channels", "data.classes", "data.samples",
)  # fmt: skip
_SHAPES = (*_IMAGES, "backbone")
_BLOCKS = ("backbone", "split")
_WINDOWS = (*_BLOCKS, "levels.*.name", "levels.*.window", "levels.*.skip")
_HEADS = (*_SHAPES, *_WINDOWS, "auxiliary.*", "levels.*.auxiliary", "levels.*.units")
_LINKS = (*_SHAPES, *_WINDOWS, "ema_links.*.from", "ema_links.*.layers", "ema_links.*.levels")

# Which parts of the spec the findings of a code were derived from, as dotted paths: of one code, or of all that begin
# alike. Where one of the parts has an error of its own, the finding may be nothing but a consequence, so it is not
# reported. Codes that are not here: any part.
NEEDS: dict[str, tuple[str, ...]] = {
    # names
    "SPC201": ("backbone",),
    "SPC202": ("levels.*.name",),
    "SPC207": ("levels.*.name",),
    "SPC208": ("levels.*.skip", "levels.*.units"),
    "SPC209": ("backbone",),
    "SPC214": ("backbone",),
    "SPC217": ("backbone",),
    "SPC218": ("task",),
    # graph and shapes
    "SPC3": _SHAPES,
    "SPC304": (*_SHAPES, "task"),
    "SPC305": ("backbone",),
    "SPC306": ("backbone",),
    # blocks and units, heads, links
    "SPC40": ("backbone",),
    "SPC402": _BLOCKS,
    "SPC405": (*_BLOCKS, "levels.*.window"),
    "SPC406": (*_BLOCKS, "levels.*.window"),
    "SPC407": ("levels.*.skip", "levels.*.units"),
    "SPC41": _HEADS,
    "SPC412": (*_HEADS, "levels.*.weight"),
    "SPC413": (*_HEADS, "levels.*.weight"),
    "SPC419": (*_HEADS, "task"),
    "SPC42": _LINKS,
    "SPC429": ("backbone", "train.recompute"),
    "SPC430": ("backbone", "train.recompute"),
    "SPC431": ("backbone", "train.recompute"),
    "SPC432": (*_BLOCKS, "train.recompute"),
    "SPC433": _HEADS,
    "SPC434": ("backbone", "train.freeze"),
    "SPC435": (*_LINKS, "train.freeze"),
    "SPC436": _BLOCKS,
    "SPC437": _WINDOWS,
    "SPC438": _BLOCKS,
    # budget
    "SPC504": ("budget",),
    "SPC507": ("budget", "train", *_HEADS),
    "SPC509": ("split", "train.recompute", "backbone"),
    "SPC510": ("split", "backbone"),
    "SPC508": ("budget", "train", *_HEADS),
    "SPC506": ("split", "levels", "auxiliary"),
    # data and training
    "SPC60": _IMAGES,
    "SPC603": (*_IMAGES, "data.mean", "data.std"),
    "SPC604": (*_IMAGES, "data.batch_size"),
    "SPC605": (*_HEADS, "ema_links.*", "data.batch_size"),
    "SPC606": ("task", "data.dataset", "data.module"),
    "SPC608": (*_IMAGES, "task"),
    "SPC609": (*_HEADS, "task"),
    "SPC611": ("train.epochs", "train.schedule"),
    "SPC612": ("train.epochs", "train.schedule"),
    "SPC618": ("train.graphs", "train.precision", "train.optimizer", "train.schedule"),
    "SPC620": ("train.micro_batches",),
    "SPC623": ("backbone", "weights"),
    "SPC624": (*_SHAPES, "weights"),
    "SPC625": ("backbone", "weights"),
    "SPC650": ("data.dataset", "data.validation"),
    "SPC621": (*_HEADS, "train.micro_batches"),
    "SPC622": (*_IMAGES, "train.micro_batches"),
    "SPC680": ("split", "devices.block_parallel"),
    "SPC681": ("split", "devices.after"),
    "SPC682": (*_IMAGES, "train.micro_batches", "devices.data_parallel"),
    "SPC683": (*_HEADS, "devices.data_parallel"),
    "SPC684": ("train.precision", "devices.block_parallel"),
    "SPC685": ("backbone", *_HEADS, "devices.*"),
    "SPC686": (*_HEADS, *_LINKS, "train", "devices.*", "schedule"),
    "SPC687": (*_WINDOWS, "budget", "devices.*"),
    "SPC660": (*_IMAGES, "task", "data.augment.*"),
    "SPC661": (*_HEADS, "task", "data.augment.*"),
    "SPC662": ("data.augment.*",),
    "SPC690": ("devices.*", "train.*", "ema_links.*"),
}


def reliable(found: Iterable[Diagnostic], unreliable: frozenset[Path], tree: Tree) -> tuple[Diagnostic, ...]:
    """The findings that rest on nothing unreliable."""
    return tuple(d for d in found if not unreliable or not _rests_on(d, unreliable, tree))


def _rests_on(diagnostic: Diagnostic, unreliable: frozenset[Path], tree: Tree) -> bool:
    own = paths_at([diagnostic.span] if diagnostic.span else [], tree)
    begins = max((known for known in NEEDS if diagnostic.code.startswith(known)), key=len, default="")
    patterns = [tuple(path.split(".")) for path in NEEDS.get(begins, ("*",))]
    needs = {_bind(pattern, path) for pattern in patterns for path in own or {()}}
    return any(_overlap(need, path) for need in needs for path in unreliable)


def _bind(pattern: Pattern, own: Path) -> Pattern:
    """The pattern for a finding at `own`: of a list that it stands in, only its own item matters.

    >>> _bind(("levels", "*", "window"), ("levels", 2, "skip"))
    ('levels', '2', 'window')
    >>> _bind(("levels", "*", "window"), ("auxiliary",))
    ('levels', '*', 'window')
    """
    if "*" not in pattern or len(own) <= (at := pattern.index("*")) or pattern[:at] != own[:at]:
        return pattern
    return (*pattern[:at], str(own[at]), *pattern[at + 1 :]) if at else pattern


def _overlap(pattern: Pattern, path: Path) -> bool:
    """Whether one lies inside of the other.

    >>> _overlap(("levels", "*", "window"), ("levels", 1)), _overlap(("levels", "*", "window"), ("levels", 1, "name"))
    (True, False)
    """
    return all(part in ("*", other) for part, other in zip(pattern, map(str, path), strict=False))
