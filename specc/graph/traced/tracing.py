"""Who traces: a tracer in this process where one has registered, else one in a process of its own. No torch in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from pydantic import TypeAdapter, ValidationError

from ...diagnostics.notices import doing
from ...system.apart import answered
from ..graph import BackboneGraph
from ..ops import ShapeError
from ..ops.source import PACKAGES, Source
from ..problems import BackboneError, Problem
from . import cache

Tracer = Callable[[Source], BackboneGraph]
PROGRAM = ("-P", "-m", "runtime.trace")
_here: list[Tracer] = []
_given: dict[Source, BackboneGraph] = {}  # of modules that Python handed over, the last ones
_MOST_GIVEN = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tracer in a process of its own says, as JSON: one of the three."""

    graph: BackboneGraph | None = None
    problems: tuple[Problem, ...] = ()
    misfit: str = ""  # what the network says of images of this shape


@lru_cache(maxsize=1)
def answers() -> TypeAdapter[Answer]:
    """Reads and writes answers."""
    return TypeAdapter(Answer)


@lru_cache(maxsize=1)
def sources() -> TypeAdapter[Source]:
    """Reads and writes sources."""
    return TypeAdapter(Source)


def trace_here(tracer: Tracer) -> None:
    """Have networks traced by `tracer` from now on: torch is here anyway."""
    _here[:] = [tracer]


def graph_of(source: Source) -> BackboneGraph:
    """The graph of a network, out of the cache where it is in there; raises `BackboneError` or `ShapeError`."""
    key = cache.key(source)
    graph = _given.get(source) or cache.load(key)
    if graph is None:
        if source.kind == "traced" and not _here:
            raise gone(source)
        with doing(f"tracing {_called(source)}, which is done once"):
            graph = _here[0](source) if _here else _apart(source)
            cache.save(key, graph)
    return graph


def give(source: Source, graph: BackboneGraph) -> None:
    """Have the graph of a module that Python handed over known in this process, whatever becomes of the cache."""
    _given.pop(source, None)
    _given[source] = graph
    for oldest in list(_given)[:-_MOST_GIVEN]:
        del _given[oldest]


def gone(source: Source) -> BackboneError:
    """A module that was traced from Python is not in this process, and neither is its graph."""
    text = f"`{source.name}` is a module that was traced in Python, and no such module is here"
    help = ("in Python: `specc.compile(spec, backbone=specc.trace(module, example))`",
            "for the command line a file makes the network: `backbone: {module: nets.py:make_net}`")  # fmt: skip
    return BackboneError(Problem("SPC313", text, source.where, "not here", help))


def _called(source: Source) -> str:
    return f"{source.kind}'s `{source.name[:40]}`" if PACKAGES[source.kind] else f"`{source.name[-40:]}`"


def missing(source: Source, why: str) -> BackboneError:
    """There is no tracer for the network."""
    needed = " and ".join(("torch", *PACKAGES[source.kind]))
    text = f"`{source.kind}: {source.name}` has to be traced once, which needs {needed}: {why}"
    return BackboneError(Problem("SPC309", text, source.where, "not in the cache", (f"install {needed}",)))


def _ended(source: Source, said: str) -> BackboneError:
    """The process that traced it ended without an answer: torch cannot be imported there, or the code ended it."""
    if said.startswith(("ImportError", "ModuleNotFoundError")):
        return missing(source, said)
    text = f"{_called(source)} ended the process that traced it: {said}"
    return BackboneError(Problem("SPC308", text, source.where, "cannot be traced"))


def _apart(source: Source) -> BackboneGraph:
    """Traced by Python in another process, which ends with it."""
    for package in ("torch", *PACKAGES[source.kind]):
        if find_spec(package) is None:
            raise missing(source, f"there is no {package}")
    line, said = answered(PROGRAM, sources().dump_json(source))
    try:
        answer = answers().validate_json(line)
    except ValidationError:
        raise _ended(source, said) from None
    if answer.misfit:
        raise ShapeError(answer.misfit)
    if answer.graph is None:
        raise BackboneError(*answer.problems)
    return answer.graph
