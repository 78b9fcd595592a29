"""Check 3: the data set's facts and the backbone's graph with all shapes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path as FilePath

from ..diagnostics import Diagnostic, Label, Severity
from ..graph.families import Foreign
from ..graph.families.foreign import OwnModule
from ..graph.families.traced_family import TracedFamily
from ..graph.graph import BackboneGraph, Layer
from ..graph.layers import Layers
from ..graph.ops import RangeError, ShapeError, show
from ..graph.problems import BackboneError, Problem
from ..spec.load import Spec
from ..spec.models import SpecModel
from ..spec.own_data import folder_of, known_of, own_code, placed
from ..spec.roots import ROOT, data_root, elsewhere
from ..tasks.datasets import INFO, OPTIONS, DatasetInfo, OptionError, ResolvedData
from ..tasks.folders import LAYOUT, FolderError, class_layout, classes_of
from ..tasks.inputs import dtype_of_samples, told
from ..tasks.own.facts import OWN, OwnDataError
from ..tasks.registry import TASKS
from ..tasks.task import Task
from .draft import Draft

SMALL = ("larger images (`data.image_size`), or a backbone that shrinks them less",)
_DATA_CODES = {"missing": "SPC601", "other": "SPC602", "length": "SPC603"}


def expand(draft: Draft) -> Draft:
    """Expand `backbone:` into a graph for the data set's images."""
    spec = draft.spec
    task = TASKS[spec.config.task]
    spec = spec.with_config(placed(spec, spec.config))
    draft = replace(draft, spec=spec)
    try:
        data = resolve_data(draft)
    except OptionError as error:
        return draft.updated(_wrong_task(draft, task) if error.kind == "target" else _wrong_data(draft, error))
    except OwnDataError as error:
        return draft.updated(
            spec.error(error.code, str(error), *own_code(spec), label="cannot be had", help=error.help)
        )
    except FolderError as error:
        return draft.updated(spec.error("SPC607", str(error), *ROOT, label="no data set", help=error.help))
    if (other := _other_inputs(spec, data)) is not None:
        return draft.updated(other)
    spec = spec.with_config(_decided(spec.config, data))
    draft = reading(replace(draft, spec=spec), data)
    spec = draft.spec
    draft = draft.updated(*_large_batch(draft, data))
    backbone = built(draft, data)
    if isinstance(backbone, tuple):
        return draft.updated(*backbone)
    if backbone.layers[-1].shape != task.output.shape(data):
        return draft.updated(_wrong_end(draft, task, data, backbone.layers[-1]))
    remarks = [_located(draft, problem, Severity.NOTE) for problem in spec.config.backbone.remarks(data.shape)]
    return draft.updated(*remarks, *_exhausted(draft, data, backbone), data=data, backbone=backbone)


def reading(draft: Draft, data: ResolvedData) -> Draft:
    """The draft whose backbone is where the spec says, and reads what samples are."""
    spec = draft.spec
    return replace(draft, spec=spec.with_config(_reading(_placed(spec, spec.config), data)))


def built(draft: Draft, data: ResolvedData) -> BackboneGraph | tuple[Diagnostic, ...]:
    """The backbone's graph for such samples, or why there is none."""
    spec = draft.spec
    try:
        return spec.config.network(data)
    except RangeError as error:
        message = f"the backbone cannot be built: {error}"
        return (spec.error("SPC206", message, "backbone", label="asks for what there cannot be", key=True),)
    except ShapeError as error:
        return (_small_images(draft, data, error),)
    except BackboneError as error:
        return tuple(_located(draft, problem) for problem in error.problems)


def _placed(spec: Spec, config: SpecModel) -> SpecModel:
    """The configuration with the backbone's file as seen from the file that names it, or from the shell."""
    backbone = config.backbone
    if not isinstance(backbone, Foreign):
        return config
    return config.model_copy(update={"backbone": backbone.placed(folder_of(spec, "backbone", backbone.kind))})


def _reading(config: SpecModel, data: ResolvedData) -> SpecModel:
    """The configuration with a network of somebody else's that reads what the samples are."""
    if not isinstance(config.backbone, Foreign):
        return config
    return config.model_copy(update={"backbone": config.backbone.model_copy(update={"inputs": data.parts})})


def _other_inputs(spec: Spec, data: ResolvedData) -> Diagnostic | None:
    """A network that does not take the several inputs of a sample, or takes several where a sample is one."""
    backbone = spec.config.backbone
    reads = getattr(backbone, "inputs", ())
    if reads == data.parts or (isinstance(backbone, Foreign) and not reads):
        return None
    has, takes = (told(parts) if parts else "one input" for parts in (data.parts, reads))
    help = ("a module of your own takes several inputs: `backbone: {module: nets.py:make_net}`",) * (not reads)
    return spec.error("SPC301", f"the network takes {takes}, and the data set's samples are {has}", "backbone",
                      label="reads other inputs", key=True, help=help,
                      secondary=spec.beside("whose samples these are", *own_code(spec)))  # fmt: skip


def _wrong_task(draft: Draft, task: Task) -> Diagnostic:
    spec, name = draft.spec, draft.spec.config.data.dataset
    message = f"the task `{task.name}` learns {task.learns}, which the data set `{name}` does not have"
    able = [info.name for info in INFO.usable().values() if _suits(task, info)]
    asked = [other.name for other in TASKS.usable().values() if _suits(other, INFO[name])]
    help = (f"data sets for it: {', '.join(able)}", f"what `{name}` is for: `task: {' or '.join(asked)}`")
    beside = spec.beside("the data set", "data", "dataset")
    return spec.error("SPC606", message, "task", label="not what the data set is for", secondary=beside, help=help)


def _suits(task: Task, info: DatasetInfo) -> bool:
    """Whether a data set has what a task learns, and of such samples."""
    return task.kind in info.targets and task.input.dtype in info.holds


def _wrong_end(draft: Draft, task: Task, data: ResolvedData, last: Layer) -> Diagnostic:
    """The network does not give what the task's loss compares with the targets."""
    spec, backbone, wanted = draft.spec, draft.spec.config.backbone, show(task.output.shape(data))
    own = ("layers", len(backbone.layers) - 1) if isinstance(backbone, Layers) else ()
    what = f"last layer `{last.name}`" if own else "backbone"
    message = f"the {what} gives {show(last.shape)}, but `{task.name}` with {data.classes} classes takes {wanted}"
    help = ("a 1×1 `conv` to the classes, then `resize` to the image, give a number a class and pixel",)
    told = ("its function is told how many classes there are where it asks for `num_classes`",)
    helps = help * (task.kind == "map") + told * (isinstance(backbone, OwnModule) and not backbone.asks)
    return spec.error("SPC304", message, "backbone", *own, label=f"must give {wanted}", key=not own,
                      help=helps, secondary=spec.beside("what is learnt", "task"))  # fmt: skip


def _exhausted(draft: Draft, data: ResolvedData, backbone: BackboneGraph) -> Iterator[Diagnostic]:
    """A warning where strides go on after the features are down to one pixel."""
    strided = (layer for layer in backbone.layers for node in layer.nodes
               if node.in_shapes[0][1:] == (1, 1) and getattr(node.op, "stride", 1) not in (1, (1, 1)))  # fmt: skip
    for layer in islice(strided, 1):
        message = f"`{layer.name}` shrinks features that are 1×1 already: images of {show(data.image_size)} are small"
        yield draft.spec.warning("SPC310", message, *layer.path, label="nothing left to shrink", help=SMALL,
                                 secondary=_image_size(draft, data), key=len(layer.path) == 1)  # fmt: skip


def _image_size(draft: Draft, data: ResolvedData) -> tuple[Label, ...]:
    """Where the spec decides how large the images are."""
    text = show(data.image_size) + " pixels"
    return draft.spec.beside(text, "data", "image_size") or draft.spec.beside(text, "data", "dataset")


def _located(draft: Draft, problem: Problem, severity: Severity = Severity.ERROR) -> Diagnostic:
    """A problem of the user's own graph, or a remark on it, at its place."""
    spec = draft.spec
    related = tuple(Label(spec.span(*path), text) for path, text in problem.related)
    found = spec.error(problem.code, problem.message, *problem.path, label=problem.label, help=problem.help,
                       secondary=related, key=problem.named)  # fmt: skip
    return replace(found, severity=Severity.WARNING if problem.warning else severity)


def _wrong_data(draft: Draft, error: OptionError) -> Diagnostic:
    spec = draft.spec
    dataset = spec.beside("the data set", "data", "dataset")
    code, option = _DATA_CODES[error.kind], ("data", error.option)
    if option in spec.tree.values:
        return spec.error(code, str(error), *option, label="does not fit the data set", secondary=dataset)
    label = f"`{error.option}` is missing" if error.kind == "missing" else "does not fit"
    where = ("data", "dataset") if dataset else ("data",)
    of_folder = error.option == "classes" and INFO[spec.config.data.dataset].foldered
    help = (f"add `{error.option}:` under `data`", *(elsewhere(spec) if of_folder else ()))
    folder = spec.beside("the folder", *ROOT) if of_folder else ()
    return spec.error(code, str(error), *where, label=label, help=help, secondary=folder)


def _small_images(draft: Draft, data: ResolvedData, error: ShapeError) -> Diagnostic:
    if data.parts:
        message = f"the backbone does not take samples of {told(data.parts)}: {error}"
        return draft.spec.error("SPC301", message, "backbone", label="reads others", key=True)
    if dtype_of_samples(data.shape, data.parts) == "int64":
        return _other_texts(draft, data, error)
    if isinstance(draft.spec.config.backbone, TracedFamily):
        return _other_images(draft, data, error)
    message = f"the backbone does not fit images of {show(data.image_size)} pixels: {error}"
    return draft.spec.error("SPC301", message, "backbone", label="a feature map vanishes", key=True, help=SMALL,
                            secondary=_image_size(draft, data))  # fmt: skip


def _other_texts(draft: Draft, data: ResolvedData, error: ShapeError) -> Diagnostic:
    """What reads tokens reads other ones."""
    message = f"the backbone does not take texts of {show(data.shape)} tokens: {error}"
    beside = draft.spec.beside("the tokens of a text", "data", "length")
    return draft.spec.error("SPC301", message, "backbone", label="reads others", key=True, secondary=beside)


def _other_images(draft: Draft, data: ResolvedData, error: ShapeError) -> Diagnostic:
    """Code of somebody else's reads other images, for whatever reason."""
    message = f"the backbone does not take images of {show(data.shape)}: {error}"
    beside = draft.spec.beside("the channels of an image", "data", "channels")
    help: tuple[str, ...] = (
        "`data.channels` and `data.image_size` say what an image is, where the data set leaves that open",
    )
    if len(set(data.image_size)) > 1:
        help += ("it may read squares alone: `image_size` of one number",)
    return draft.spec.error("SPC301", message, "backbone", label="reads others", key=True, help=help,
                            secondary=(*beside, *_image_size(draft, data)))  # fmt: skip


def _large_batch(draft: Draft, data: ResolvedData) -> Iterator[Diagnostic]:
    batch, size = draft.spec.config.data.batch_size, data.train_size
    if 0 < size < batch:
        message = f"a batch of {batch} is larger than the training set of {size:,}: every step takes all of it"
        beside = draft.spec.beside("the data set", "data", "dataset")
        samples = draft.spec.config.samples
        help = (
            f"memory is predicted for {batch} {samples} a step; `batch_size: {size}` predicts what will be trained",
        )
        yield draft.spec.warning("SPC604", message, "data", "batch_size", label="never full", help=help,
                                 secondary=beside)  # fmt: skip


def resolve_data(draft: Draft) -> ResolvedData:
    """The data set's facts under the spec's options; `OptionError` says which option is missing or contradicts it.

    `FolderError` where its folder is there, and does not say which classes there are; `OwnDataError` where code that
    makes the data cannot be asked.
    """
    data, task = draft.spec.config.data, TASKS[draft.spec.config.task]
    kind, input = task.kind, task.input.dtype
    asked = {key: getattr(data, key) for key in OPTIONS}
    if data.dataset in OWN:
        return known_of(draft.spec).resolved(data.dataset, kind, input, **asked).holding_out(data.validation)
    names = _listed_classes(draft.spec) if INFO[data.dataset].foldered else ()
    found = INFO[data.dataset].resolved(target=kind, input=input, class_names=names, **asked)
    return found.holding_out(data.validation)


def _listed_classes(spec: Spec) -> tuple[str, ...]:
    """The classes that have folders. Where the spec says how many there are, the folders may come later."""
    said, root = spec.config.data.classes is not None, FilePath(os.path.expanduser(data_root(spec)))
    try:
        if layout := class_layout(root):
            return classes_of(layout)
    except FolderError:
        if said:
            return ()
        raise
    if said:
        return ()
    if os.path.isdir(root):
        raise FolderError(f"{os.path.abspath(root)} has no folders in it", f"the layout is {LAYOUT}")
    what = f"needs `classes`: the folder in which they would be counted is not there, {os.path.abspath(root)}"
    raise OptionError("missing", "classes", f"the data set `{spec.config.data.dataset}` {what}")


def _decided(config: SpecModel, data: ResolvedData) -> SpecModel:
    """The configuration with the number of classes that the folders gave."""
    if config.data.classes is not None or not INFO[config.data.dataset].foldered:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"classes": data.classes})})
