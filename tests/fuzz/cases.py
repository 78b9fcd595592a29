"""A case of the fuzzer: what is checked, and what must be true of the answer."""

from __future__ import annotations

import copy
import random
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from specc.checking import Report, check_text, examine
from specc.diagnostics import SpecError
from specc.diagnostics.pages import titles
from specc.diagnostics.render import render
from specc.language.source import parse
from specc.pipeline import compile_spec
from specc.plan.sound import read
from specc.spec.load import _reading, parse_spec
from tests.fuzz.damage import damaged, somewhere
from tests.fuzz.paths import at, walk
from tests.fuzz.trees import NAME, is_plain, tree, yaml
from tests.fuzz.values import KEYS, NUMBERS, WORDS, nasty

SECONDS = 5.0  # of the processor's time
ROOT = Path(__file__).parents[2]
WRONG = "tests/specs_bad"
FOLDERS = ("specs", "tests/networks", "tests/regressions", WRONG)
SHALLOW = {"resnet_cifar": 14, "resnet": 18, "resnext": 50, "wide_resnet": 50}


class TooLongError(BaseException):
    """A case took more than `SECONDS`; no `except Exception` may swallow it."""


@dataclass(frozen=True)
class Case:
    """A document and what is changed on the command line."""

    data: Any
    overrides: tuple[str, ...] = ()
    as_text: bool = False
    kept: bool = False  # whether the plan is written and read as well, which takes most of the time


@dataclass(frozen=True)
class Failure:
    """What went wrong: `where` tells causes apart."""

    where: str
    told: str
    case: Case


@cache
def documents() -> tuple[Any, ...]:
    """All specs that there are, each with what it extends, as plain data; the deep ones cut down to a few layers."""
    return (*sound_documents(), *_read([WRONG]))


@cache
def sound_documents() -> tuple[Any, ...]:
    """Those with nothing wrong: damage to them gets further."""
    return _read([folder for folder in FOLDERS if folder != WRONG])


def files(*folders: str) -> list[Path]:
    """The specs that there are, or those in some folders."""
    return [path for folder in folders or (*FOLDERS,) for path in sorted((ROOT / folder).glob("*.yaml"))]


def _read(folders: Sequence[str]) -> tuple[Any, ...]:
    return tuple(data for path in files(*folders) if isinstance(data := plain(path), dict) and data)


def plain(path: Path) -> Any:
    """A spec with what it extends, as plain data and shallow; None where it is no YAML."""
    from specc.spec.extend import extend

    found, _ = parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
    if found is None:
        return None
    data = extend(found).tree.data
    return _small(data)


def _small(data: Any) -> Any:
    """The same with fewer layers in fewer blocks: what is said of a deep network is said of a flat one."""
    backbone, split = data.get("backbone"), data.get("split")
    shallow = SHALLOW.get(str(backbone.get("family"))) if isinstance(backbone, dict) else None
    if shallow and isinstance(depth := backbone.get("depth"), int) and depth > shallow:
        data = {**data, "backbone": {**backbone, "depth": shallow}}
        if isinstance(split, dict) and isinstance(blocks := split.get("blocks"), int):
            data["split"] = {**split, "blocks": min(blocks, 4)}
    return data


def make(seed: int, number: int) -> Case:
    """Case `number` of a seed."""
    draw = random.Random(f"{seed}/{number}")
    base = draw.choice(documents() if draw.random() < 0.2 else sound_documents())
    overrides = tuple(_override(base, draw) for _ in range(draw.choice((1, 1, 2, 5)))) if draw.random() < 0.15 else ()
    data = base if overrides and draw.random() < 0.7 else damaged(base, draw, documents())
    return Case(data, overrides, draw.random() < 0.05, draw.random() < 0.15)


def _override(data: Any, draw: random.Random) -> str:
    parts = [str(part) for part in somewhere(data, draw)]
    if draw.random() < 0.3:
        parts.insert(draw.randrange(len(parts) + 1), draw.choice((*KEYS, "0", "-1", "", "999999999999")))
    value = nasty(draw, 1)
    text = yaml(value) if draw.random() < 0.8 else str(draw.choice((*WORDS, *NUMBERS, "[1", "{a: 1}", "*x", "&a [*a]")))
    return ".".join(parts) + draw.choice(("=", "=", "=", "=", "", "==", " = ")) + text


def answer(case: Case) -> Report:
    """What specc says."""
    if case.as_text or not is_plain(case.data) or not isinstance(case.data, dict):
        return check_text(yaml(case.data), NAME, case.overrides)
    return examine(_reading(tree(case.data), [], case.overrides, {NAME: ""}))


def sound(case: Case) -> None:
    """Check a case: the answer can be shown and means what it says, and what is valid can be compiled and kept."""
    report = answer(case)
    assert all(d.code in titles() for d in report.diagnostics), "unknown code"
    assert (report.spec is None) == any(d.is_error for d in report.diagnostics), "no spec without an error"
    assert all(d.span or d.code.startswith("SPC5") for d in report.diagnostics), "nowhere"
    render(report.diagnostics, report.sources).encode()
    if report.spec is not None and (case.kept or report.spec.config.budget is None):  # else it was compiled just now
        try:
            plan = compile_spec(report.spec)[0]
        except SpecError:
            return
        if not case.kept:
            return
        text = plan.to_json()
        assert "Infinity" not in text, "not finite"
        assert "NaN" not in text, "not a number"
        assert read(text).to_json() == text, "another plan"


def judge(case: Case) -> Failure | None:
    """What is wrong with how a case is answered; None where nothing is."""
    try:
        with limited():
            sound(case)
    except TooLongError:
        return Failure("too long", f"more than {SECONDS:g} s", case)
    except Exception as error:  # this is what we are looking for
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if "/specc/" in f.filename or "fuzz" in f.filename
        ]
        last = frames[-1]
        where = f"{type(error).__name__} in {Path(last.filename).name}:{last.name}"
        return Failure(where, f"{where}, line {last.lineno}: {error}"[:500], case)
    return None


@contextmanager
def limited() -> Iterator[None]:
    """`TooLongError` after `SECONDS` of this process's time, however busy the machine is."""

    def stop(*_: Any) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def smaller(failure: Failure, tries: int = 150) -> Failure:
    """The same failure of a case with less in it."""
    left = 15 if failure.where == "too long" else tries
    progress = True
    while progress and left > 0:
        progress = False
        for candidate in _parts(failure.case):
            left -= 1
            found = judge(candidate) if left >= 0 else None
            if found is not None and found.where == failure.where:
                failure, progress = found, True
                break
    return failure


def _parts(case: Case) -> Iterator[Case]:
    """The case without one of its parts, the largest first."""
    for i in range(len(case.overrides)):
        yield replace(case, overrides=(*case.overrides[:i], *case.overrides[i + 1 :]))
    for path in sorted(walk(case.data), key=len):
        data = copy.deepcopy(case.data)
        del at(data, path[:-1])[path[-1]]
        yield replace(case, data=data)


@contextmanager
def without(module: str) -> Iterator[None]:
    """Whoever imports the module fails."""
    before = sys.modules.get(module)
    sys.modules[module] = None
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not None:
            sys.modules[module] = before


def search(seed: int, numbers: Sequence[int]) -> list[Failure]:
    """The failures among some cases, one of each cause, made smaller."""
    found: dict[str, Failure] = {}
    with without("torchvision"):  # importing it takes longer than a case may
        for number in numbers:
            failure = judge(make(seed, number))
            if failure is not None and failure.where not in found:
                found[failure.where] = smaller(failure)
    return list(found.values())


__all__ = ["Case", "Failure", "documents", "judge", "make", "parse_spec", "search", "smaller", "sound"]
