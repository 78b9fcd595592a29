"""`train.instructions`: what packages add to every training step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ...language.plugged import OneOf, Plugged
from ...language.schema import Config
from ...system.plugins import Registry

ADDITIONS: Registry[type[Config]] = Registry("instruction", Config, {})


class Addition(Config):
    """Instructions of a kind of its own, which a package adds to a step; its fields are the arguments in a spec."""

    kind: Annotated[str, OneOf(ADDITIONS)] = Field(description="which of those that installed packages add")

    instruction: ClassVar[type[Any]]  # a subclass of `specc.plan.Extension`, whose `kind` is the same

    def into(self, program: Sequence[Any]) -> Iterable[Any]:
        """A program that is right, with the instructions put in; hazards decide the order in which it runs."""
        raise NotImplementedError


ADDITIONS.base = Addition
AnyAddition = Annotated[Addition, Plugged(ADDITIONS, "kind")]
