"""Who asks the first samples: this process where torch is there anyway, else one of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from pydantic import TypeAdapter, ValidationError

from ...diagnostics.notices import doing
from ...system.apart import answered
from ...system.trust import TRUST, trusted
from . import source as kept
from .facts import Facts, OwnDataError
from .source import DataSource

Asker = Callable[[DataSource], Facts]
PROGRAM = ("-P", "-m", "runtime.data.own")
_here: list[Asker] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process of its own says, as JSON: one of the two."""

    facts: Facts | None = None
    error: str = ""
    help: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def answers() -> TypeAdapter[Answer]:
    """Reads and writes answers."""
    return TypeAdapter(Answer)


@lru_cache(maxsize=1)
def sources() -> TypeAdapter[DataSource]:
    """Reads and writes sources."""
    return TypeAdapter(DataSource)


def ask_here(asker: Asker) -> None:
    """Have data sets asked by `asker` from now on: torch is here anyway."""
    _here[:] = [asker]


def facts_of(source: DataSource) -> Facts:
    """What the data sets are, out of the cache where it is in there; raises `OwnDataError`."""
    facts = kept.load(source)
    if facts is None:
        check_trusted(source)
        with doing(f"asking {source.called} what the data are, which is done once"):
            facts = _here[0](source) if _here else _apart(source)
        kept.save(source, facts)
    return facts


def check_trusted(source: DataSource) -> None:
    """Raise `OwnDataError` unless somebody said that this code may be run."""
    if not trusted():
        what = f"the data sets are what `{source.function}` of {source.file} makes"
        help = (f"read the file; then `--trust-code`, or {TRUST}=1, has it imported and called",)
        raise OwnDataError(f"{what}, and nobody said that this code may be run", help, "SPC312")


def _apart(source: DataSource) -> Facts:
    """Asked by Python in another process, which ends with it."""
    if find_spec("torch") is None:
        raise OwnDataError(f"{source.called} has to be asked once what the data are, which needs torch")
    line, said = answered(PROGRAM, sources().dump_json(source))
    try:
        answer = answers().validate_json(line)
    except ValidationError:
        raise OwnDataError(f"{source.called} ended the process that called it: {said}") from None
    if answer.facts is None:
        raise OwnDataError(answer.error, answer.help)
    return answer.facts
