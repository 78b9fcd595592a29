"""Check 3b: the file that the backbone begins with is there, and its tensors are those of the network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FilePath

from ..diagnostics import Diagnostic, Severity
from ..graph.families.foreign import TimmModel
from ..graph.families.torchvision_model import TorchvisionModel
from ..language.source import CLI, Path
from ..spec.sections.weights import Weights
from ..system.environment import expand_path
from ..weights.header import NoWeightsError, WeightsError
from ..weights.matching import match, tensors_of
from ..weights.published import of_timm, of_torchvision
from ..weights.shards import INDEX, digest_of, entries_of, is_safe
from .draft import Draft

AT: Path = ("weights",)
PRETRAINED = "pretrained"


def check_weights(draft: Draft) -> Draft:
    """Find the file, and say in the configuration which it is: its numbers decide those of the run."""
    asked = draft.spec.config.weights
    if asked is None:
        return draft
    try:
        file = _found(draft, asked)
        digest = digest_of(file)
    except WeightsError as error:
        found = draft.spec.error("SPC623", str(error), *AT, label="no such weights", help=error.help)
        known = isinstance(asked, Weights) and asked.sha256 is not None and isinstance(error, NoWeightsError)
        return draft.updated(_late(found) if known else found)
    own = asked if isinstance(asked, Weights) else Weights(file=file)
    wrong = list(_another(draft, own, digest, file))
    own = Weights(file=file, strict=own.strict, prefix=own.prefix, sha256=digest)
    config = draft.spec.config.model_copy(update={"weights": own})
    draft = replace(draft, spec=draft.spec.with_config(config)).updated(*wrong)
    if wrong or not is_safe(file):  # torch's own files are looked at by who has torch
        return draft
    try:
        return draft.updated(*_unlike(draft, own))
    except WeightsError as error:
        return draft.updated(draft.spec.error("SPC623", str(error), *AT, label="cannot be read", help=error.help))


def _found(draft: Draft, asked: str | Weights) -> str:
    """The file that is meant."""
    backbone = draft.spec.config.backbone
    named = asked if isinstance(asked, str) else asked.file
    if named is not None and named != PRETRAINED:
        return _placed(draft, named)
    own = asked if isinstance(asked, Weights) else Weights(file=PRETRAINED)
    if isinstance(backbone, TorchvisionModel) and own.timm is None:
        return of_torchvision(backbone.torchvision, own.torchvision or "DEFAULT")
    if isinstance(backbone, TimmModel) and own.torchvision is None:
        return of_timm(backbone.timm, own.timm)
    what = f"`{own.torchvision or own.timm or PRETRAINED}`"
    raise WeightsError(f"{what} is of models of torchvision and timm, and the backbone is none of these",
                       ("name a file: `weights: model.safetensors`",))  # fmt: skip


def _placed(draft: Draft, named: str) -> str:
    """The path as seen from the file that names it, or from the shell."""
    spec = draft.spec
    path = next((each for each in ((*AT, "file"), AT) if each in spec.tree.values), AT)
    said = spec.span(*path).file if path in spec.tree.values else spec.tree.name
    found = FilePath(os.path.abspath(expand_path(named, "" if said == CLI else os.path.dirname(said))))
    if found.is_file():
        return str(found)
    what = "is a folder" if found.is_dir() else "is not there"
    folder = found if found.is_dir() else found.parent
    near = sorted(each.name for end in (".safetensors", INDEX) for each in folder.glob(f"*{end}"))[:5]
    here = FilePath(os.path.abspath(named))
    help = [f"in that folder: {', '.join(near)}"] if near else []
    help += ["a path is as seen from the file that it is written in"] if here != found and here.is_file() else []
    raise NoWeightsError(f"the weights {found} {what}".replace("weights", "file of weights", 1), tuple(help))


def _late(found: Diagnostic) -> Diagnostic:
    """Of a file that is known by what is in it only a run that begins needs it, none that goes on."""
    help = ("a run that goes on needs it no more, one that begins does", *found.help)
    return replace(found, severity=Severity.WARNING, help=help)


def _another(draft: Draft, own: Weights, digest: str, file: str) -> Iterator[Diagnostic]:
    if own.sha256 not in (None, digest):
        message = f"{file} is another file than the one that is asked for: its SHA-256 is {digest}"
        yield draft.spec.error("SPC623", message, *AT, "sha256", label="not of this file")


def _unlike(draft: Draft, own: Weights) -> Iterator[Diagnostic]:
    """What of the file and the network does not match: an error, or where that is right a list."""
    assert own.file is not None
    spec = draft.spec
    found = match(tensors_of(draft.graph.nodes), spec.config.backbone, entries_of(own.file), own)
    if found.heads:
        message = f"{found.heads} tensors of auxiliary networks in {own.file} are left: these begin anew"
        yield spec.note("SPC625", message, *AT, label="not the backbone's")
    if found.whole:
        return
    help = (*found.lines(), *((f"with `prefix: {found.prefix}` names match",) if found.prefix else ()))
    if not found.pairs:
        message = f"{own.file} has no tensor of the backbone"
        yield spec.error("SPC624", message, *AT, label="of another network", help=help)
    elif own.strict:
        message = f"{own.file} is not of this backbone, to the last tensor"
        more = f"`weights: {{file: {os.path.basename(own.file)}, strict: false}}` begins what does not match anew"
        yield spec.error("SPC624", message, *AT, label="does not match", help=(*help, more))
    else:
        anew = len(found.missing) + len(found.other)
        message = f"{anew} tensor{'s' * (anew != 1)} of the backbone begin anew"
        message += f", {len(found.left)} of the file are left" if found.left else ""
        yield spec.warning("SPC624", message, *AT, label="not all of it matches", help=help)
