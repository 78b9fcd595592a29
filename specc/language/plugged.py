"""Values that installed packages add kinds to: the annotations that read them, by the name that the spec gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from ..system.plugins import PluginError, Registry, missing
from .schema import Config, Text, problem


def cannot_be_used(error: PluginError, key: str = "") -> PydanticCustomError:
    """What a package adds is broken: the mistake is shown where the spec names it."""
    return problem("SPC112", str(error), key=key, label="cannot be used", help=error.help)


def _installed(package: str) -> str:
    if missing(package):
        help = "install it, or delete the line if nothing of it is used"
        raise problem("SPC113", f"the package `{package}` is not installed", label="is missing", help=help)
    return package


Package = Annotated[Text, AfterValidator(_installed)]  # the name of a package that is installed


@dataclass(frozen=True, slots=True)
class Plugged:
    """The annotation of a mapping of specc's own kinds, or of one that a package adds.

    Which one it is says the mapping's key `tag`; without a tag it is always the one of a `name`.
    """

    registry: Registry[Any]
    tag: str = ""
    name: str = ""

    @property
    def kinds(self) -> list[type[Config]]:
        """The kinds that were loaded, having been named."""
        loaded = self.registry.loaded
        return [kind for name, kind in loaded.items() if name == (self.name or name)]

    def named(self, value: Any) -> str | None:
        """Which of the kinds that packages add a value is."""
        name = self.name or value.get(self.tag) if isinstance(value, Mapping) else None
        return name if isinstance(name, str) and name in self.registry.added else None

    def read(self, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        """A value of a package's kind, read by it; any other as if there were no packages."""
        if isinstance(value, tuple(self.kinds)):
            return value
        name = self.named(value)
        if name is None:
            return handler(value)
        try:
            kind = self.registry[name]
        except PluginError as error:
            raise cannot_be_used(error, self.tag) from None
        return kind.model_validate(value)

    def write(self, value: Any, handler: core_schema.SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        """The value as it was read."""
        if not isinstance(value, tuple(self.kinds)):
            return handler(value)
        assert isinstance(value, Config)
        return value.model_dump(mode=info.mode, by_alias=info.by_alias, exclude_unset=info.exclude_unset)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        writer = core_schema.wrap_serializer_function_ser_schema(self.write, info_arg=True)
        return core_schema.no_info_wrap_validator_function(self.read, handler(source), serialization=writer)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonDict:
        own = handler(schema)
        names = self.registry.added if self.tag else [self.name]
        added = [
            handler(self.registry[name].__pydantic_core_schema__) for name in names if not self.registry.fault(name)
        ]
        return {"anyOf": [own, *added]} if added else own


def without_arguments(registry: Registry[type[Config]]) -> list[str]:
    """The kinds of packages that need to be told nothing but what they are called: what generators can draw."""
    needed = {
        name: {key for key, field in kind.model_fields.items() if field.is_required()}
        for name, kind in registry.usable_added().items()
    }
    return [name for name, keys in needed.items() if keys <= {"family", "name"}]


@dataclass(frozen=True, slots=True)
class OneOf:
    """The annotation of a text that names one of the things of a registry; `about` is what the schema tells of each."""

    registry: Registry[Any]
    about: str = ""

    def check(self, value: Any) -> Any:
        """The value itself, or the error of a `Literal`."""
        if not isinstance(value, str) or value not in self.registry:
            expected = " or ".join(f"'{name}'" for name in self.registry)
            raise PydanticKnownError("literal_error", {"expected": expected})
        if error := self.registry.fault(value):
            raise cannot_be_used(error)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonDict:
        names: JsonDict = {"enum": [*self.registry], "type": "string"} if self.registry else {"not": {}}
        if not self.about:
            return names
        told = (f"`{name}`: {getattr(known, self.about)}" for name, known in self.registry.usable().items())
        return names | {"description": "; ".join(told)}
