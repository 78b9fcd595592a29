"""What YAML text is made of: leaves, lists and mappings, each with where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from specc.language import scalars


@dataclass(slots=True, eq=False)
class Node:
    """A value and where it stands; `size` and `depth` are those of its text with the aliases expanded."""

    start: int
    end: int
    size: int = 1
    depth: int = 0


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A leaf; `text` is what was written, without quotes."""

    value: scalars.Scalar = None
    text: str = ""
    plain: bool = False

    @property
    def name(self) -> str | int:
        """What it is called as a key: units are numbered, everything else has a word."""
        return self.value if type(self.value) is int else self.text


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """Key and value pairs without duplicates, and the mappings that `<<` merges in."""

    pairs: list[tuple[Scalar, Node]] = field(default_factory=list)
    merged: list[Mapping] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Alias(Node):
    """`*name`, standing for another node."""

    target: Node = field(default_factory=lambda: Scalar(0, 0))


def dealias(node: Node) -> Node:
    """The node itself, or the one that an alias stands for."""
    return node.target if isinstance(node, Alias) else node
