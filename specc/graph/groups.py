"""``define:``, named groups of layers with parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from ..language.schema import Config, Matching, Text, problem
from .patterns import OWN_KEYS, InnerItem, LayerEntry, Pattern, is_parameter
from .problems import Path, Problem

GroupName = Annotated[Text, Matching(r"[A-Za-z][A-Za-z0-9_]*", "letters, digits and `_`, starting with a letter")]
ParameterName = Annotated[Text, Matching(r"[a-z][a-z0-9_]*", "small letters, digits and `_`, starting with a letter")]
_TAKEN = ("op", *OWN_KEYS)


class Definition(Config):
    """A named group of layers: `{name: block1, group: NAME, PARAMETER: value}` puts them in its place.

    They become `block1.INNER`, or `block1.0.INNER` where the use has a `repeat`; `block1` is the last of them. `$name`
    stands for a parameter, as a whole value or in a list. Inside, `from:` reads what is inside and the group's inputs.
    """

    parameters: list[ParameterName] = Field([], description="what the values beside `group:` are called")
    defaults: dict[ParameterName, Any] = Field({}, description="values of the parameters that a use may leave out")
    inputs: Annotated[list[ParameterName], Field(min_length=1)] = Field(
        ["input"], description="what the layers of the use's `from:` are called inside; the first layer reads the first"
    )
    layers: Annotated[list[InnerItem], Field(min_length=1)] = Field(description="the group's own list of layers")

    aliases: ClassVar[dict[str, str]] = {
        "params": "parameters", "args": "parameters", "arguments": "parameters", "default": "defaults",
        "input": "inputs", "body": "layers",
    }  # fmt: skip

    @model_validator(mode="after")
    def _names(self) -> Definition:
        for name in self.parameters:
            if name in _TAKEN:
                message = f"`{name}` is a key that every layer may have, so no parameter is called so"
                raise problem("SPC109", message, key="parameters", label="another name is needed")
        for name in self.defaults:
            if name not in self.parameters:
                message = f"the default of `{name}` is that of no parameter"
                raise problem("SPC211", message, key="defaults", beside="parameters", label="unknown parameter")
        return self

    def used_parameters(self) -> set[str]:
        """The parameters that its layers speak of."""
        values: list[Any] = [(layer.repeat, layer.expect) for layer in self.layers]
        for layer in self.layers:
            if isinstance(layer.entry, Pattern):
                values += [*layer.entry.arguments.values(), *layer.entry.each.values()]
        return set(_names_in(values))

    def used_groups(self) -> Iterator[tuple[int, str]]:
        """The groups that its layers are, each with its place in the list."""
        yield from ((i, layer.group) for i, layer in enumerate(self.layers) if layer.group is not None)


Definitions = Mapping[str, Definition]


def _names_in(value: Any) -> Iterator[str]:
    if is_parameter(value):
        yield value[1:]
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _names_in(item)


def at_group(name: str, *more: str | int) -> Path:
    """Where the spec speaks of a group."""
    return ("backbone", "define", name, *more)


def circles(definitions: Definitions) -> dict[str, Problem]:
    """The groups that contain themselves, with what is to be said at the layer that closes the circle."""
    found: dict[str, Problem] = {}

    def visit(name: str, chain: tuple[str, ...]) -> None:
        for i, inner in definitions[name].used_groups():
            if inner in (circle := (*chain, name)):
                around = [*circle[circle.index(inner) :], inner]
                text = "a group cannot contain itself: " + " → ".join(f"`{group}`" for group in around)
                closing = Problem("SPC213", text, at_group(name, "layers", i, "group"), "closes the circle")
                found.update({group: closing for group in around if group not in found})
            elif inner in definitions and inner not in done:
                visit(inner, circle)
        done.add(name)

    done: set[str] = set()
    for name in definitions:
        if name not in done:
            visit(name, ())
    return found


def unused(definitions: Definitions, layers: list[LayerEntry]) -> Iterator[Problem]:
    """Groups that no layer is, and parameters that no layer of their group speaks of."""
    waiting = [layer.group for layer in layers if layer.group is not None]
    named = {*waiting, *(inner for definition in definitions.values() for _, inner in definition.used_groups())}
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in used:
            used.add(name)
            waiting += [inner for _, inner in definitions[name].used_groups()]
    for name, definition in definitions.items():
        if name not in used and named <= definitions.keys():  # else it may be the one that is misspelt
            yield Problem("SPC214", f"no layer is a `{name}`", at_group(name), "never used", named=True, warning=True)
        for i, parameter in enumerate(definition.parameters):
            if parameter not in definition.used_parameters():
                text = f"no layer of the group `{name}` speaks of its parameter `{parameter}`"
                yield Problem("SPC214", text, at_group(name, "parameters", i), "never used", warning=True)
