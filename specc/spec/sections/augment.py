"""`data.augment`: a list of augmentations, each its name alone, or its name with arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, core_schema

from ...language.plugged import OneOf, Plugged
from ...language.schema import Config, problem
from ..augmentations import AUGMENTATIONS, Augmentation


class Chosen(Config):
    """One augmentation."""

    aliases: ClassVar[dict[str, str]] = {
        "random_horizontal_flip": "horizontal_flip", "flip": "horizontal_flip", "hflip": "horizontal_flip",
        "mirror": "horizontal_flip", "random_vertical_flip": "vertical_flip", "vflip": "vertical_flip",
        "crop": "random_crop", "pad": "random_crop", "rotate": "random_rotation", "rotation": "random_rotation",
        "affine": "random_affine", "shear": "random_affine", "perspective": "random_perspective",
        "elastic": "elastic_transform", "jitter": "color_jitter", "colour_jitter": "color_jitter",
        "grayscale": "random_grayscale", "grey": "random_grayscale", "blur": "gaussian_blur",
        "noise": "gaussian_noise", "cutout": "random_erasing", "erasing": "random_erasing",
        "sharpness": "adjust_sharpness", "trivial_augment_wide": "trivial_augment", "randaug": "rand_augment",
    }  # fmt: skip

    @property
    def name(self) -> str:
        """Which one."""
        return next(self._given())

    @property
    def augmentation(self) -> Augmentation:
        """The one, with its arguments."""
        found: Augmentation = getattr(self, self.name)
        return found

    def _given(self) -> Iterator[str]:
        return (name for name in type(self).model_fields if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one_alone(self) -> Chosen:
        given = list(self._given())
        if len(given) != 1:
            message = f"an item of the list is one augmentation, and this is {len(given) or 'none'}"
            help = "put each behind a `- ` of its own: the list is their order"
            raise problem("SPC107", message, key=given[-1] if given else "", label="one at a time", help=help)
        return self

    @model_serializer(mode="wrap")
    def _written(self, handler: core_schema.SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


def _field(name: str) -> Any:
    """The type of what stands behind an augmentation's name, and what is said of it."""
    if name in AUGMENTATIONS.added:
        kind: Any = Annotated[Augmentation | None, Plugged(AUGMENTATIONS, name=name)]
        return kind, Field(None, description=f"an augmentation of `{AUGMENTATIONS.origin(name)}`")
    kind = AUGMENTATIONS.own[name]
    alone = kind.model_fields[kind.bare].rebuild_annotation() if kind.bare else kind
    told = f"; alone: `{kind.bare}`" if kind.bare else ""
    return kind | alone | None, Field(None, description=f"{_first_line(kind)}{told}")


def _first_line(kind: type[Augmentation]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


Step: Any = create_model("Step", __base__=Chosen, __doc__=Chosen.__doc__, **{n: _field(n) for n in AUGMENTATIONS})


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """The annotation of an item of the list: `flip` and `{mixup: 0.2}` are read as mappings of mappings."""

    def read(self, value: Any) -> Any:
        """What stands there, written out; what is no augmentation stays as it is."""
        if isinstance(value, Mapping):
            return {name: _arguments(name, given) for name, given in value.items()}
        return {NAME.check(value): {}} if isinstance(value, str) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonDict:
        return {"anyOf": [NAME.__get_pydantic_json_schema__(schema, handler), handler(schema)]}


def _arguments(name: Any, given: Any) -> Any:
    """The arguments behind a name: none at all, or one for all of them."""
    if given is None:
        return {}
    bare = AUGMENTATIONS.own[name].bare if name in AUGMENTATIONS.own else ""
    return {bare: given} if bare and not isinstance(given, Mapping | Augmentation) else given


NAME = OneOf(AUGMENTATIONS)
Steps = Annotated[list[Annotated[Step, WrittenOut()]], Field(min_length=1, max_length=64)]
