"""Golden traces as specs: one function turns a trace's `config` into a spec, one fills parameters, one compares."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import specc
from runtime import Session
from runtime.engine.modules import BatchNorm
from specc.spec.load import loads

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trace:
    path: Path
    content: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        return self.content["config"]

    @classmethod
    def read(cls, path: Path) -> Trace:
        return cls(path, json.loads(path.read_text()))


# ---------------------------------------------------------------------------------------------- config -> spec


def spec_of(config: dict[str, Any]) -> dict[str, Any]:
    """A spec in the public language that computes what the trace's reference code computes."""
    last = [len(config["stage_blocks"]), config["stage_blocks"][-1] - 1]
    cuts = [position_name(split) for split in config["splits"] if split != last]  # some tables list the end too
    return {
        "specc": 1,
        "name": "golden",
        "data": {
            "dataset": "synthetic", "batch_size": config["batch_size"], "image_size": config["image_size"],
            "channels": 3, "classes": config["classes"], "samples": config["batch_size"],
            "mean": config["dataset_mean"], "std": config["dataset_std"],
        },
        "backbone": backbone_of(config),
        "split": {"after": cuts},
        "train": {
            "optimizer": {key: config["optimizer"][key] for key in ("lr", "momentum", "nesterov", "weight_decay")}
            | {"name": "sgd"},
            "zero_weight_heads": "keep",
        },
    } | (method_of(config)(config) if cuts else end_to_end(config))  # fmt: skip


def position_name(split: list[int]) -> str:
    stage, block = split
    return "stem" if stage == 0 else f"stage{stage}.{block}"


def backbone_of(config: dict[str, Any]) -> dict[str, Any]:
    blocks, arch = config["stage_blocks"], config["arch"]
    depth = (3 if config["block"] == "bottleneck" else 2) * sum(blocks) + 2
    if len(blocks) == 3:
        return {"family": "resnet_cifar", "depth": depth, "widths": config["widths"]}
    if "resnext" not in arch:
        return {"family": "resnet", "depth": depth}
    groups = re.search(r"(\d+)x(\d+)d", arch + (" 32x4d" if depth == 50 else " 32x8d"))  # where `arch` is silent
    assert groups
    return {"family": "resnext", "depth": depth, "groups": int(groups[1]), "width_per_group": int(groups[2])}


def weights(config: dict[str, Any], key: str) -> list[float]:
    return [float(unit[key]) for unit in config["unit_weights"] if key in unit]


def classifier_of(config: dict[str, Any], weight: list[float] | float) -> dict[str, Any]:
    loss = "contrastive" if config["local_loss_mode"] == "contrast" else "cross_entropy"
    aux = config["aux"]
    return {"layers": aux["classifier"], "hidden": aux["feature_dim"], "loss": loss, "weight": weight}


def end_to_end(config: dict[str, Any]) -> dict[str, Any]:
    return {}


def infopro(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "auxiliary": {
            "classifier": classifier_of(config, weights(config, "classification_weight")),
            "reconstruction": {"weight": weights(config, "reconstruction_weight")},
        }
    }


def man(config: dict[str, Any]) -> dict[str, Any]:
    return infopro(config) | ema_links(config)


def ema_links(config: dict[str, Any]) -> dict[str, Any]:
    return {"ema_links": [{"from": "next", "momentum": config["ema_momentum"], "bias": "branch"}]}


def hpff(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "auxiliary": {"classifier": classifier_of(config, 1.0)},
        "levels": [
            {"name": "independent", "window": 1, "weight": config["independent_weight"], "skip": [0]},
            {
                "name": "cascade", "window": 2, "weight": config["cascade_weight"],
                "auxiliary": {
                    "classifier": {"weight": weights(config, "cascade_classification_weight_before_cascade_weight")},
                    "reconstruction": {
                        "weight": weights(config, "cascade_reconstruction_weight_before_cascade_weight"),
                        "patches": {"grid": [2, 2], "weights": "separate", "fuse": "losses"},
                    },
                },
            },
        ],
    } | per_unit_statistics()  # fmt: skip


def per_unit_statistics() -> dict[str, Any]:
    return {"batch_norm": {"default": "per_unit", "stem": 1}}


def dgl(config: dict[str, Any]) -> dict[str, Any]:
    return {"auxiliary": {"pointwise": {"weight": weights(config, "classification_weight")}}}


def predsim(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "auxiliary": {
            "pooled_linear": {"features": 512, "weight": weights(config, "classification_weight")},
            "similarity": {"weight": weights(config, "similarity_weight")},
        }
    }


def auglocal(config: dict[str, Any]) -> dict[str, Any]:
    aux = config["aux"]
    pyramid = aux["pyramid_coeff"] if aux["pyramid"] else 0.0
    weight = weights(config, "classification_weight")
    return {"auxiliary": {"augmented": {"depth": aux["depth"], "pyramid": pyramid, "weight": weight}}}


def infopro_imagenet(config: dict[str, Any]) -> dict[str, Any]:
    own = [imagenet_unit(config, unit, unit["reconstruction_weight"]) for unit in config["unit_weights"]]
    return {"auxiliary": {}, "levels": [{"name": "independent", "window": 1, "units": own}]}


def man_imagenet(config: dict[str, Any]) -> dict[str, Any]:
    return infopro_imagenet(config) | ema_links(config)


def hpff_imagenet(config: dict[str, Any]) -> dict[str, Any]:
    """The sum over four quarters of the decoder's output is four times the loss of the whole image."""
    key = "reconstruction_weight_on_sum_of_4_patch_bce"
    own = [imagenet_unit(config, unit, 4 * unit[key]) for unit in config["unit_weights"] if key in unit]
    again = dict.fromkeys(first_block(config), 2)  # the first block runs once more, for nothing
    return {
        "auxiliary": {},
        "levels": [{"name": "cascade", "window": 2, "units": own}],
        "batch_norm": {"default": "per_unit", "stem": 1, **again},
    }


def first_block(config: dict[str, Any]) -> list[str]:
    stage, last = config["splits"][0]
    whole = [f"stage{s}" for s in range(1, stage)]
    return whole + [f"stage{stage}.{b}" for b in range(last + 1)]


# The decoders of the ImageNet code, by the width of the stage that the unit ends in: a 1×1 convolution to 128 channels,
# then sizes (of images of 224) and channels in turn. Its tables of splits reach 512 and 1024 only. 256 and 2048 are
# guesses: 512 without the first doubling, and 1024 as it is.
DECODERS = {
    256: [(112, 12), (224, 3)],
    512: [(56, 32), (112, 12), (224, 3)],
    1024: [(112, 64), (56, 32), (112, 16), (224, 3)],
    2048: [(112, 64), (56, 32), (112, 16), (224, 3)],
}


def imagenet_unit(config: dict[str, Any], unit: dict[str, Any], reconstruction: float) -> dict[str, Any]:
    """InfoPro's ImageNet heads for one unit."""
    width = config["widths"][unit["split"][0]]
    shapes = [(width // 4, 1, 1), (256, 3, 2), (512, 3, 2), (2048, 1, 1)]
    classifier = [{"op": "conv_bn_relu", "out": out, "k": k, "stride": stride} for out, k, stride in shapes]
    decoder: list[dict[str, Any]] = [{"op": "conv_bn_relu", "out": 128, "k": 1, "bias": True}]
    for size, out in DECODERS[width]:
        kind = "conv" if out == 3 else "conv_bn_relu"  # no batch norm before the sigmoid
        decoder += [
            {"op": "resize", "size": size * config["image_size"] // 224},
            {"op": kind, "out": out, "bias": True},
        ]
    return {
        "unit": unit["unit"],
        "auxiliary": {
            "classifier": {"layers": classifier, "weight": float(unit["classification_weight"])},
            "reconstruction": {"layers": decoder, "weight": float(reconstruction)},
        },
    }


METHODS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "end-to-end": end_to_end, "InfoPro": infopro, "MAN": man, "HPFF": hpff, "DGL": dgl, "PredSim": predsim,
    "AugLocal": auglocal, "InfoPro bottleneck": infopro_imagenet, "MAN bottleneck": man_imagenet,
    "HPFF bottleneck": hpff_imagenet,
}  # fmt: skip


def method_of(config: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return METHODS.get(f"{config['method']} {config['block']}") or METHODS[config["method"]]


def session_of(config: dict[str, Any], device: torch.device = CPU) -> Session:
    document = spec_of(config)
    document["train"]["batch_norm_updates"] = document.pop("batch_norm", {})
    return Session(specc.compile(loads(json.dumps(document), "golden")), device, torch.float64)


# ---------------------------------------------------------------------------------------------- names and fill


def canonical(name: str, config: dict[str, Any]) -> str:
    """Our name of a tensor -> the trace's."""
    unit, _, rest = name.partition(".")
    if not unit.startswith("unit"):
        return name
    level, _, rest = rest.partition(".")
    if config["method"] == "HPFF":
        return f"{unit}.{level}.{rest}"
    for ours in ("pointwise", "pooled_linear", "augmented"):  # the traces call every local classifier that
        rest = rest.replace(f"{ours}.", "classifier.", 1) if rest.startswith(ours) else rest
    return f"{unit}.{rest}" if rest.startswith(("ema.", "bias.")) else f"{unit}.aux.{rest}"


def draw(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode("utf-8"))))


def filled(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Section 1 of the traces' README."""
    z = draw(name).standard_normal(shape)
    if len(shape) == 4:
        return z * np.sqrt(2 / (shape[2] * shape[3] * shape[0]))
    if len(shape) == 2:
        return z * np.sqrt(1 / shape[1])
    return 1 + 0.1 * z if name.endswith("weight") else 0.1 * z


@torch.no_grad()
def fill(session: Session, config: dict[str, Any]) -> None:
    for name, parameter in session.named_parameters():
        parameter.copy_(torch.from_numpy(filled(canonical(name, config), tuple(parameter.shape))))


def batch(config: dict[str, Any], suffix: str = "") -> tuple[Tensor, Tensor]:
    shape = (config["batch_size"], 3, config["image_size"], config["image_size"])
    mean, std = (np.array(config[key]).reshape(1, 3, 1, 1) for key in ("dataset_mean", "dataset_std"))
    images = (draw("input:images" + suffix).random(shape) - mean) / std
    labels = draw("input:labels" + suffix).integers(0, config["classes"], config["batch_size"])
    return torch.from_numpy(images), torch.from_numpy(labels)


# ---------------------------------------------------------------------------------------------- comparison


def probe(name: str, tensor: Tensor) -> tuple[float, float]:
    values = tensor.detach().cpu().numpy()
    direction = draw("probe:" + name).standard_normal(values.shape)
    return float(np.linalg.norm(values)), float((values * direction).sum())


@dataclass
class Report:
    """Every figure that is further from the trace than its tolerance, and how many were compared."""

    compared: int = 0
    wrong: list[str] | None = None
    worst: float = 0.0  # of the differences, in parts of their tolerances

    def check(self, what: str, got: float, want: float, tolerance: float) -> None:
        self.compared += 1
        self.worst = max(self.worst, abs(got - want) / tolerance if tolerance else 0.0)
        if not abs(got - want) <= tolerance:
            self.wrong = [*(self.wrong or []), f"{what}: {got!r}, the trace has {want!r}"]

    def check_probe(self, what: str, tensor: Tensor, want: list[float], tol: float) -> None:
        norm, dot = probe(what, tensor)
        self.check(f"|{what}|", norm, want[0], tol * want[0] + 1e-12)
        if want[0] > 1e-12:  # rounding noise has no direction
            self.check(f"{what} . probe", dot, want[1], tol * want[0] + 1e-12)

    def check_all(self, what: str, got: Tensor, want: list[Any], tol: float) -> None:
        values = np.array(want)
        self.check(
            what, float(np.abs(got.detach().cpu().numpy() - values).max()), 0.0, tol * float(np.linalg.norm(values))
        )


def tolerances(config: dict[str, Any]) -> tuple[float, float]:
    """(single step, three steps), section 4 of the traces' README."""
    three = 1e-7 if config["method"] == "DGL" else 1e-5 if config["block"] == "bottleneck" else 1e-8
    return 1e-8, three


def compare(trace: Trace) -> Report:
    report = Report()
    compare_single_step(trace, report)
    compare_three_steps(trace, report)
    return report


def compare_single_step(trace: Trace, report: Report, device: torch.device = CPU) -> None:
    config, want = trace.config, trace.content["single_step"]
    session = session_of(config, device)
    fill(session, config)
    tol, _ = tolerances(config)
    step = session.train_step(*batch(config), update=False)
    compare_losses(session, step, want["losses"], tol, report)
    report.check_all("logits", step.logits, want["logits"], tol)
    names = {canonical(name, config): parameter for name, parameter in session.named_parameters()}
    shapes = {name: list(parameter.shape) for name, parameter in names.items()}
    assert shapes == trace.content["parameter_shapes"]
    for name, expected in want["grads"].items():
        gradient = names[name].grad
        assert (gradient is None) == (expected is None), name
        if gradient is not None:
            report.check_probe(name, gradient, expected, tol)
    compare_buffers(session, config, want["bn_buffers_after_forward"], tol, report)
    for name, expected in want.get("ema_params_after_forward", {}).items():
        report.check_probe(name, names[name], expected, tol)


def compare_losses(session: Session, step: Any, want: list[dict[str, Any]], tol: float, report: Report) -> None:
    for entry in want:
        units = [u for u in session.plan.units if u.end == entry["unit"]]
        total = sum(float(step.total[u.name]) for u in units)
        report.check(f"unit {entry['unit']} total", total, entry["total"], tol * max(1.0, abs(entry["total"])))
        for component, unit, term in components(units, entry):
            got = float(step.losses[unit][term])
            expected = entry[component]
            expected = expected[0] if isinstance(expected, list) else expected
            report.check(f"{unit} {component}", got, expected, tol * max(1.0, abs(expected)))


def components(units: list[Any], entry: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(the trace's name of a loss, our unit, our term)."""
    by_level = {unit.level: unit.name for unit in units}
    for component in entry:
        if component in ("reconstruction", "classification", "similarity"):
            yield component, units[0].name, component
        elif component == "independent_classification":
            yield component, by_level["independent"], "classification"
        elif component == "cascade_classification":
            yield component, by_level["cascade"], "classification"
        elif component == "cascade_reconstruction_sum_of_patches":
            yield component, by_level["cascade"], "reconstruction"
        elif component == "final_ce_independent_then_cascade":
            yield component, by_level["independent"], "classification"


def compare_buffers(session: Session, config: dict[str, Any], want: dict[str, Any], tol: float, report: Report) -> None:
    buffers = {canonical(name, config): buffer for name, buffer in session.named_buffers()}
    for name, expected in want.items():
        report.check_probe(name, buffers[name], expected, tol)


def compare_three_steps(trace: Trace, report: Report, device: torch.device = CPU) -> None:
    config, want = trace.config, trace.content["three_steps"]
    session = session_of(config, device)
    fill(session, config)
    _, tol = tolerances(config)
    for i, expected in enumerate(want["steps"]):
        step = session.train_step(*batch(config, f":step{i}"))
        compare_losses(session, step, expected["losses"], tol, report)
        report.check_all(f"logits of step {i}", step.logits, expected["logits"], tol)
    names = {canonical(name, config): parameter for name, parameter in session.named_parameters()}
    for name, expected in want["params"].items():
        report.check_probe(name, names[name], expected, tol)
    compare_buffers(session, config, want["bn_buffers"], tol, report)
    buffers = {canonical(name, config): buffer for name, buffer in session.named_buffers()}
    for name, count in want["bn_num_batches_tracked"].items():
        report.check(name, int(buffers[name]), count, 0)
    report.check_all("evaluation logits", session.predict(batch(config, ":eval")[0]), want["eval_logits"], tol)


def count_batch_norms(session: Session) -> int:
    return sum(isinstance(m, BatchNorm) for net in session.model.networks.values() for m in net.modules())
