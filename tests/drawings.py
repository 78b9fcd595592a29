"""Drawings of shapes, in the mixture of files that people have: two formats, colours, grey, palettes, turned pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("disc", "cross", "frame")
_TURN = 274  # EXIF's tag of which side is up


def draw(shape: str, generator: np.random.Generator) -> Image.Image:
    """A bright shape somewhere on a dark ground."""
    height, width = (int(side) for side in generator.integers(36, 64, 2))
    image = Image.new("RGB", (width, height), tuple(int(c) for c in generator.integers(0, 90, 3)))
    colour, pen = tuple(int(c) for c in generator.integers(150, 256, 3)), ImageDraw.Draw(image)
    size = int(generator.integers(18, 28))
    left, top = (int(generator.integers(0, side - size)) for side in (width, height))
    box, middle = (left, top, left + size, top + size), size // 2
    if shape == "disc":
        pen.ellipse(box, fill=colour)
    elif shape == "frame":
        pen.rectangle(box, outline=colour, width=3)
    else:
        pen.line((left + middle, top, left + middle, top + size), fill=colour, width=4)
        pen.line((left, top + middle, left + size, top + middle), fill=colour, width=4)
    return image


def save(image: Image.Image, path: Path, kind: int) -> None:
    """As one of the kinds of files that there are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == 0:
        image.convert("CMYK").save(path.with_suffix(".jpg"), quality=95)
    elif kind == 1:  # a camera that was held upright
        exif = Image.Exif()
        exif[_TURN] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpeg"), quality=95, exif=exif)
    elif kind == 2:
        deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(deep).save(path.with_suffix(".png"))
    else:
        modes = ("RGB", "L", "RGBA", "P", "LA")
        image.convert(modes[kind % len(modes)]).save(path.with_suffix(".png" if kind % 2 else ".PNG"))


def folder_of(root: Path, count: int, seed: int = 0) -> Path:
    """So many drawings in the folders of their shapes."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        shape = SHAPES[number % len(SHAPES)]
        save(draw(shape, generator), root / shape / f"{number:03}", number // len(SHAPES) % 9)
    return root
