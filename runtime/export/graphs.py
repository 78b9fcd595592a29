"""A network as a graph of calls: torch.export's program and ONNX, for batches of any size, without local paths."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ..errors import RunError
from .trained import Trained

FACTS = "specc.json"  # the file in a .pt2 that holds the facts
NEEDED = "ONNX needs further packages: pip install 'specc[onnx]'"
_LOCAL = (
    "stack_trace",
    "nn_module_stack",
    "source_fn_stack",
    "torch_fn",
    "from_node",
)  # of a node: files, classes here


def to_program(trained: Trained) -> bytes:
    """The program in torch's archive: a zip of JSON and of tensors as they lie in memory."""
    file = io.BytesIO()
    program = _program(trained)
    program.example_inputs = None  # or they would be pickled
    with _quiet():
        torch.export.save(program, file, extra_files={FACTS: json.dumps(trained.facts, allow_nan=False)})
    return file.getvalue()


def from_program(trained: Trained, content: bytes) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    """What an archive computes, and its facts."""
    extra: dict[str, Any] = {FACTS: ""}
    with _quiet():
        run = torch.export.load(io.BytesIO(content), extra_files=extra).module()
    return run, json.loads(extra[FACTS])


def to_onnx(trained: Trained) -> bytes:
    """An ONNX model with one input, `images`, and one output, `logits`."""
    onnx = _needed("onnx", "onnxscript", "onnxruntime")[0]
    with _quiet():
        try:
            done: Any = torch.onnx.export(
                _program(trained), dynamo=True, verbose=False, input_names=["images"], output_names=["logits"],
                dynamic_shapes={"images": {0: "batch"}},
            )  # fmt: skip
        except Exception as error:
            raise _untranslated(trained, "ONNX has no words for", error) from error
    model = done.model_proto
    _forget(model)
    for name, value in trained.facts.items():
        model.metadata_props.add(key=name, value=value)
    try:
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
    except Exception as error:
        raise RunError(f"the ONNX model is not a valid one: {_first_line(error)}", (_OTHERS,)) from error
    return content


def from_onnx(trained: Trained, content: bytes) -> tuple[Callable[[Tensor], Tensor], dict[str, str]]:
    """What onnxruntime computes by a model, and its facts."""
    (runtime,) = _needed("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])

    return run, dict(session.get_modelmeta().custom_metadata_map)


_OTHERS = "`--to safetensors` writes the weights alone, whatever the network does"


def _program(trained: Trained) -> ExportedProgram:
    """The network for batches of any size."""
    example = next(trained.batches())
    with _quiet(), torch.no_grad():
        try:
            program = torch.export.export(
                trained.predictor, (example,), dynamic_shapes=({0: Dim("batch", min=1)},), strict=False
            )
        except Exception as error:
            raise _untranslated(trained, "torch.export cannot follow", error) from error
    for node in program.graph.nodes:
        for name in _LOCAL:
            node.meta.pop(name, None)
    return program


def _untranslated(trained: Trained, what: str, error: BaseException) -> RunError:
    message = f"{what} the network of `{trained.plan.name}`: {type(error).__name__}: {_first_line(error)}"
    return RunError(message, (_OTHERS,))


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "")[:200]


def _forget(model: Any) -> None:
    """Take out what the exporter notes of files and classes on this machine."""
    graph = model.graph
    functions = [node for function in model.functions for node in function.node]
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer, *functions):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.metadata_props[:]


def _needed(*names: str) -> list[Any]:
    """Packages that only ONNX needs."""
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise RunError(f"{NEEDED} ({error})", ("or take `--to torch_export`, which needs torch alone",)) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remarks on its own workings."""
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
