"""Weights that torchvision and timm publish, where they were downloaded already. Nothing is imported or fetched.

Which file torchvision's names stand for is read in its source text.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..diagnostics import did_you_mean
from .header import WeightsError


def of_torchvision(model: str, name: str) -> str:
    """The file of torchvision's weights of a model in torch's cache; `WeightsError` where it is not there."""
    known = _published(model)
    if not known:
        raise WeightsError(f"torchvision publishes no weights of `{model}`")
    if name not in known:
        raise WeightsError(f"torchvision has no weights `{name}` of `{model}`", did_you_mean(name, known))
    path = hub() / known[name].rpartition("/")[2]
    if not path.is_file():
        help = (f"download {known[name]} there, or call torchvision's `get_model({model!r}, weights={name!r})` once",)
        raise WeightsError(f"the weights `{name}` of `{model}` are not in the cache: looked for {path}", help)
    return str(path)


def of_timm(model: str, tag: str | None) -> str:
    """The file of timm's weights of a model in Hugging Face's cache; `WeightsError` where it is not there."""
    base, _, own = model.partition(".")
    tag, folder = tag or own or None, hugging_face()
    pattern = f"models--timm--{base}.{tag}" if tag else f"models--timm--{base}.*"
    found = sorted(each for each in folder.glob(pattern) if _snapshot(each))
    if len(found) == 1:
        return str(_snapshot(found[0]))
    tags = [each.name.partition(f"--{base}.")[2] for each in found]
    if tags:
        help = (f"say which: `weights: {{timm: {tags[0]}}}`",)
        raise WeightsError(f"the cache has several weights of `{model}`: {', '.join(tags)}", help)
    help = (f"`timm.create_model({model!r}, pretrained=True)` downloads them once, or name a file",)
    looked = f"{folder / pattern / 'snapshots' / '*' / 'model.safetensors'}"
    raise WeightsError(f"weights of `{model}` are not in the cache: looked for {looked}", help)


def hub() -> Path:
    """Where torch keeps what it has downloaded."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def hugging_face() -> Path:
    """Where Hugging Face's library keeps what it has downloaded."""
    if own := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(own).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def _snapshot(folder: Path) -> Path | None:
    """The file of the revision that is used, or of the one that there is."""
    try:
        revision = (folder / "refs" / "main").read_text().strip()
    except (OSError, ValueError):
        revision = "*"
    found = [each for each in folder.glob(f"snapshots/{revision}/model.safetensors") if each.is_file()]
    return found[0] if len(found) == 1 else None


def _published(model: str) -> dict[str, str]:
    """Addresses of torchvision's weights of a model, by name, `DEFAULT` included."""
    found = find_spec("torchvision")
    folders = [Path(each) / "models" for each in (found.submodule_search_locations or ())] if found else []
    wanted = model.replace("_", "").lower() + "weights"
    for path in (each for folder in folders for kind in ("*.py", "segmentation/*.py") for each in folder.glob(kind)):
        text = path.read_text(encoding="utf-8")
        if "_Weights" in text:
            for node in ast.parse(text).body:
                if isinstance(node, ast.ClassDef) and node.name.replace("_", "").lower() == wanted:
                    return _aliased(dict(_members(node)))
    return {}


def _members(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Each name with its address, or with the name that it stands for."""
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
            if isinstance(each.value, ast.Name):
                yield each.targets[0].id, each.value.id
            elif isinstance(each.value, ast.Call):
                said = (key.value for key in each.value.keywords if key.arg == "url")
                yield from ((each.targets[0].id, url.value) for url in said
                            if isinstance(url, ast.Constant) and isinstance(url.value, str))  # fmt: skip


def _aliased(members: dict[str, str]) -> dict[str, str]:
    return {name: members.get(value, value) for name, value in members.items() if "/" in members.get(value, value)}
