"""What a look at all images found, as diagnostics of the spec that names their folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from specc.diagnostics import Diagnostic
from specc.spec.load import Spec
from specc.spec.roots import ROOT
from specc.tasks.datasets import ResolvedData
from specc.tasks.folders import listed

from ..data.inspection import Seen

LISTING = "skipped.csv"  # in the run directory: the images that are left out, and why
_SHOWN = 5  # of what would be a long list
_TINY = 2  # times smaller than the size that they are resized to
_VARIED = 10  # times as large as the smallest
_THIN = 3  # times as long as wide


def report(spec: Spec, seen: Sequence[Seen], info: ResolvedData) -> Iterator[Diagnostic]:
    """Images that cannot be read, classes that have none besides, and sizes that surprise."""
    if bad := [each for each in seen if each.error]:
        yield _unreadable(spec, bad, len(seen))
    yield from _without_images(spec, seen, info)
    yield from _sizes(spec, [each for each in seen if not each.error], info)


def _unreadable(spec: Spec, bad: Sequence[Seen], count: int) -> Diagnostic:
    shown = [each.error for each in bad[:_SHOWN]]
    more = [f"and {len(bad) - _SHOWN:,} more"] if len(bad) > _SHOWN else []
    message = f"{len(bad):,} of {count:,} images cannot be read"
    if spec.config.data.on_bad_image == "skip":
        message += f" and are left out: {LISTING} in the run directory lists them"
        return spec.warning("SPC640", message, *ROOT, label="in this folder", help=[*shown, *more])
    ways = ["replace or remove them, or have them left out: data.on_bad_image=skip"]
    return spec.error("SPC640", message, *ROOT, label="in this folder", help=[*shown, *more, *ways])


def _without_images(spec: Spec, seen: Iterable[Seen], info: ResolvedData) -> Iterator[Diagnostic]:
    """A class all of whose images are left out."""
    labels = [(each.truth, each.error) for each in seen if isinstance(each.truth, int)]
    if names := [info.class_name(label) for label in sorted(_labels(labels) - _labels(labels, readable=True))]:
        message = f"no image can be read of {listed(names)}"
        yield spec.error("SPC641", message, *ROOT, label="a class without images", help=["add images to its folder"])


def _labels(found: Iterable[tuple[int, str]], *, readable: bool = False) -> set[int]:
    return {label for label, error in found if not (readable and error)}


def _sizes(spec: Spec, seen: Sequence[Seen], info: ResolvedData) -> Iterator[Diagnostic]:
    """Warnings of images that hardly look like others once they are resized."""
    if not seen:
        return
    by_size = sorted(seen, key=lambda each: min(each.width, each.height))
    smallest, largest, size = by_size[0], by_size[-1], min(info.image_size)
    if tiny := [each for each in seen if min(each.width, each.height) * _TINY < size]:
        message = f"{len(tiny):,} of {len(seen):,} images are less than half of `image_size`: {_show(smallest)}"
        help = ("they are enlarged, and show less than they seem to: a smaller `image_size`, or remove them",)
        yield _at_size(spec, message, "is larger", help)
    if min(largest.width, largest.height) >= _VARIED * min(smallest.width, smallest.height):
        message = f"images are of very different sizes: {_show(smallest)}, {_show(largest)}"
        help = ("all are resized to one size, so things in them will be of very different sizes too",)
        yield _at_size(spec, message, "the size of all", help)
    if thin := [each for each in seen if max(each.width, each.height) > _THIN * min(each.width, each.height)]:
        longest = max(thin, key=lambda each: max(each.width, each.height) / min(each.width, each.height))
        message = f"{len(thin):,} of {len(seen):,} images are more than {_THIN} times as long as wide: {_show(longest)}"
        yield _at_size(
            spec, message, "cut out of the middle", ("what is beyond the middle is never seen: cut them up",)
        )


def _at_size(spec: Spec, message: str, label: str, help: Sequence[str]) -> Diagnostic:
    return spec.warning("SPC642", message, "data", "image_size", label=label, help=help)


def _show(seen: Seen) -> str:
    return f"{seen.name} has {seen.height}×{seen.width} pixels"
