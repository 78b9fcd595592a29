"""One sentence on who wins under a budget, in plain words, of what was computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..language.schema import show_bytes
from .crossing import ALIKE
from .rivals import Rival, Rivals

NAMES = {"e2e": "end-to-end training", "dgl": "DGL", "infopro": "InfoPro", "man": "MAN", "hpff": "HPFF",
         "predsim": "PredSim", "auglocal": "AugLocal",
         "lls": "LLS", "sff": "SFF", "ff": "FF", "dsn": "DSN", "man_hpff": "MAN and HPFF", "manpp": "MAN++",
         "own": "this spec's own heads"}  # fmt: skip


def verdict(found: Rivals) -> str:
    """Who is the fastest that fits, what the other side takes, and below which budget local learning is faster."""
    return f"{'; '.join(_parts(found))}."


def _parts(found: Rivals) -> Iterator[str]:
    exact, local = found.fastest(local=False), found.fastest(local=True)
    budget = show_bytes(found.budget)
    if exact is None and local is None:
        yield from _nothing(found, budget)
        return
    if exact is None or (local is not None and local.ratio < exact.ratio * (1 - ALIKE)):
        assert local is not None
        yield f"the fastest that fits {budget} is local: {said(local)}, {_ratio(found, local)}"
        yield _against(found, exact)
    elif not exact.turned:
        yield f"end-to-end training fits {budget} as it is: nothing has to change"
        yield from _local(found, local)
    elif local is not None and local.ratio < exact.ratio:
        ours = f"{said(exact)}, {_ratio(found, exact)}{_price(exact)}"
        yield f"nothing that fits {budget} is faster by more than {ALIKE:.0%} than {ours}, and its gradients are exact"
        yield from _local(found, local)
    else:
        yield f"the fastest that fits {budget} is {said(exact)}, {_ratio(found, exact)}{_price(exact)}"
        yield from _local(found, local)
    yield from _where(found)
    yield from _in_less_precision(found, exact, local)


def _nothing(found: Rivals, budget: str) -> Iterator[str]:
    """What comes nearest, where nothing in the spec's own precision fits."""
    own, other = found.plain.config.train.precision, found.quickest
    if other is not None:
        yield f"nothing in {own} fits {budget}; {way(other)} does, {_ratio(found, other)}{_price(other)}"
        return
    lowest = [each for each in (found.floor(local=False), found.floor(local=True)) if each is not None]
    least = min(lowest, key=lambda rival: rival.candidate.peak)
    what = said(least) if least.candidate.config.train.precision == own else way(least)
    yield f"nothing here fits {budget}: the lowest peak is {show_bytes(least.candidate.peak)}, of {what}"


def _against(found: Rivals, exact: Rival | None) -> str:
    if exact is None:
        floor = found.floor(local=False)
        assert floor is not None
        return f"nothing exact does, whose lowest peak is {show_bytes(floor.candidate.peak)} ({said(floor)})"
    return f"the fastest that is exact, {said(exact)}, takes {exact.ratio:.2f}×"


def _local(found: Rivals, local: Rival | None) -> Iterator[str]:
    if local is not None:
        yield f"the best local method, {said(local)}, takes {local.ratio:.2f}×"
    elif (floor := found.floor(local=True)) is not None:
        yield f"no local method does, whose lowest peak is {show_bytes(floor.candidate.peak)} ({said(floor)})"


def _where(found: Rivals) -> Iterator[str]:
    if found.wins is not None:
        low, high = found.wins.lowest, show_bytes(_round(found.wins.highest))
        where = f"below about {high}" if low is None else f"between about {show_bytes(_round(low))} and {high}"
        yield f"local learning is faster by more than {ALIKE:.0%} {where} only"
    elif any(row.local for row in found.rows):
        yield f"local learning is faster by more than {ALIKE:.0%} under no budget"


def _round(size: int) -> int:
    """Two digits of what is an estimate."""
    unit = 1 << (10 * ((size.bit_length() - 1) // 10))
    return int(float(f"{size / unit:.2g}") * unit)


def _in_less_precision(found: Rivals, exact: Rival | None, local: Rival | None) -> Iterator[str]:
    """Where less precision would be faster than all that keeps it."""
    best, chosen = min((each.ratio for each in (exact, local) if each), default=0.0), found.quickest
    if chosen is not None and chosen.ratio < best * (1 - ALIKE):
        yield f"in {chosen.candidate.config.train.precision} it is {said(chosen)}, {chosen.ratio:.2f}×"


def called(method: str) -> str:
    """What people call it."""
    return NAMES.get(method, method)


def listed(methods: Sequence[str]) -> str:
    """Several of them."""
    names = [called(each) for each in methods]
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def said(rival: Rival) -> str:
    """What it is: `end-to-end training with 4 micro-batches`, `DGL in 5 blocks with recomputation`."""
    config = rival.candidate.config
    blocks = rival.candidate.blocks
    what = f"{called(rival.method)} in {blocks} block{'s' * (blocks > 1)}" if rival.local else "end-to-end training"
    slices = [f"{config.train.micro_batches} micro-batches"] if config.train.micro_batches > 1 else []
    again = ["recomputation"] if config.train.recompute else []
    return f"{what} with {' and '.join([*slices, *again])}" if slices or again else what


def way(rival: Rival) -> str:
    """The same, with the precision that it is in."""
    precision = rival.candidate.config.train.precision
    return said(rival) if precision == "fp32" else f"{said(rival)} in {precision}"


def _ratio(found: Rivals, rival: Rival) -> str:
    unit = "step time" if rival.candidate.seconds is not None else "FLOPs"
    return (
        f"{rival.ratio:.2f}× {'the ' if rival.local else 'its '}unlimited {unit}{' end to end' if rival.local else ''}"
    )


def _price(rival: Rival) -> str:
    """What it changes in the numbers, if anything."""
    return f" ({', '.join(rival.changes)})" if rival.changes else ""
