"""docs/rivals.md: five networks in a half and less of their memory, as `specc fit --rivals` predicts them.

    python -m benchmarks.rivals [--only NAME] [--out FOLDER]    compare what is not compared yet, then write the page
    python -m benchmarks.rivals page [--out FOLDER]             write the page of the files that are there

Times are those of data sheets, so no GPU is needed, and no torch. Each network leaves a file, which is written anew
after every budget: what was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from specc import profiles
from specc.fit.comparison import Comparison
from specc.fit.rivals import Rival, Rivals
from specc.fit.verdict import said
from specc.pipeline import CHECKS, run_passes
from specc.recipes.methods import USUAL, of_spec
from specc.spec.dump import dump
from specc.spec.load import Spec, loads
from specc.views.rivals import rivals_document

from . import rivals_page

Document = dict[str, Any]
FOLDER = Path(__file__).parents[1] / "docs" / "rivals"
BUDGETS = (0.5, 0.3, 0.15, 0.08)  # of what end-to-end training takes
SGD: Document = {"optimizer": {"name": "sgd", "lr": 0.8, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
                 "memory_format": "channels_last"}  # fmt: skip
ADAMW: Document = {"optimizer": {"name": "adamw", "lr": 1e-3}}
BF16: Document = {"precision": "bf16"}


@dataclass(frozen=True)
class Network:
    """A network as it is trained end to end, and the device it is trained on."""

    name: str
    backbone: Document
    train: Document
    size: int = 224
    classes: int = 1000
    batch: int = 256
    device: str = "a100"
    methods: Sequence[str] = field(default=USUAL)

    @property
    def slug(self) -> str:
        """Its name in names of files."""
        return "".join(each for each in self.name.lower() if each.isalnum())

    @property
    def spec(self) -> Spec:
        """End-to-end training of it on noise."""
        data = {"dataset": "synthetic", "image_size": self.size, "channels": 3, "classes": self.classes}
        document = {"specc": 1, "name": self.slug, "data": data | {"samples": self.batch, "batch_size": self.batch}}
        document |= {"backbone": self.backbone, "train": self.train, "split": {"blocks": 1}}
        return loads(json.dumps(document, allow_nan=False), self.name).on("cuda")

    @cached_property
    def comparison(self) -> Comparison:
        """All of its rivals."""
        return Comparison(run_passes(self.spec, CHECKS), profiles.find(self.device))


def _cifar(name: str, depth: int) -> Network:
    return Network(name, {"family": "resnet_cifar", "depth": depth}, SGD, 32, 10, 1024, "rtx3090")


NETWORKS = (
    _cifar("ResNet-32", 32),
    _cifar("ResNet-110", 110),
    Network("ResNet-152", {"family": "resnet", "depth": 152}, SGD | BF16),
    Network("ViT-B/16", {"family": "vit"}, ADAMW | BF16),
    Network("ConvNeXt-T", {"family": "convnext"}, ADAMW | BF16 | {"memory_format": "channels_last"}),
)


def compared(network: Network, folder: Path, budgets: Sequence[float] = BUDGETS) -> Document:
    """The file of a network, with whatever is missing in it added."""
    path = folder / f"{network.slug}.json"
    document: Document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else begun(network)
    for share in budgets:
        if any(case["share"] == share for case in document["cases"]):
            continue
        began = time.process_time()
        case = case_of(network, share)
        document["cases"].append(case | {"seconds": round(time.process_time() - began, 1)})
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        print(f"{network.name} in {share:.0%}, {document['cases'][-1]['seconds']} s: {case['verdict']}", flush=True)
    return document


def begun(network: Network) -> Document:
    """What is true under every budget."""
    plain, profile = network.comparison.plain, profiles.find(network.device)
    if plain is None:
        raise RuntimeError(f"{network.name} cannot be trained end to end")
    return {
        "format_version": 1, "network": network.name, "image_size": network.size, "batch_size": network.batch,
        "precision": plain.config.train.precision, "optimizer": plain.config.train.optimizer.name,
        "device_profile": profile.name, "device": profile.device, "source": profile.source,
        "methods": list(network.methods), "end_to_end_bytes": plain.peak, "end_to_end_seconds": plain.seconds,
        "layers": len(network.comparison.draft.graph.layers), "cases": [],
    }  # fmt: skip


def case_of(network: Network, share: float) -> Document:
    """The rivals in one part of the memory of end-to-end training: what the command says, and who is the fastest."""
    comparison = network.comparison
    assert comparison.plain is not None
    methods = of_spec(comparison.base, network.methods)
    found = comparison.under(int(share * comparison.plain.peak), methods)
    assert found is not None
    return {"share": share, "exact": best(found, local=False), "local": best(found, local=True),
            **rivals_document(found, "cuda"), "spec": of_chosen(found)}  # fmt: skip


def best(found: Rivals, *, local: bool) -> Document | None:
    """The fastest that fits of one side, in the precision of the network."""
    rival = found.fastest(local=local)
    return None if rival is None else {"name": rival.name, "what": said(rival), "relative_time": rival.ratio}


def of_chosen(found: Rivals) -> str | None:
    """The spec that the verdict is for."""
    rival: Rival | None = found.chosen
    return None if rival is None else dump(rival.candidate.config)


def there(folder: Path) -> Iterator[Document]:
    """The files of the networks, in their order."""
    for path in (folder / f"{network.slug}.json" for network in NETWORKS):
        if path.exists():
            yield json.loads(path.read_text(encoding="utf-8"))


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", nargs="?", choices=("run", "page"), default="run")
    parser.add_argument("--only", choices=[network.name for network in NETWORKS], help="one network")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER", help="by default docs/rivals")
    given = parser.parse_args(words)
    for network in NETWORKS if given.do == "run" else ():
        if given.only in (None, network.name):
            compared(network, given.out)
    given.out.with_suffix(".md").write_text(rivals_page.text(list(there(given.out))), encoding="utf-8")


if __name__ == "__main__":
    main()
