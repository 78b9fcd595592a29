"""The shipped recipes: every one compiles within its budget, says who it is, and repeats nothing that it inherits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from specc.language.source import read
from specc.plan import Plan
from specc.spec.extend import extend

from .mutations import walk
from .shipped import compiled, loaded

FOLDER = Path(__file__).parents[1] / "specs"
RECIPES = sorted(FOLDER.glob("*.yaml"))
BASES = sorted(FOLDER.glob("base/*.yaml"))
SHIPPED = [*RECIPES, *BASES]
DATASETS = ("cifar10", "svhn", "stl10", "imagenet", "fashion_mnist")
METHODS = ("e2e", "dgl", "infopro", "auglocal", "man", "man_paper", "hpff", "hpff_paper", "man_hpff")
ABLATIONS = (
    "man_ema_only", "hpff_independent_only", "hpff_cascade_only", "hpff_without_patches",
    "predsim", "lls", "dsn", "manpp", "sff", "ff",
)  # fmt: skip
WARNINGS: dict[str, set[str]] = {}  # what a recipe is warned of because its paper or code does so
PAPER = re.compile(r"\b\d{4}\.\d{4,5}\b")


def every(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def plan_of(name: str) -> Plan:
    return compiled(FOLDER / f"{name}.yaml")[0]


def test_every_method_has_a_recipe_for_every_data_set() -> None:
    wanted = {f"{method}_{dataset}" for method in METHODS for dataset in DATASETS}
    wanted |= {f"{method}_{dataset}" for method in ABLATIONS for dataset in ("cifar10", "fashion_mnist")}
    wanted |= {"e2e_cityscapes", "infopro_cityscapes", "man_voc"}
    assert wanted <= {path.stem for path in RECIPES}


@every(SHIPPED)
def test_it_compiles_within_its_budget(path: Path) -> None:
    spec = loaded(path)
    plan, warnings = compiled(path)
    assert {d.code for d in (*warnings, *spec.warnings)} == WARNINGS.get(path.stem, set())
    assert plan.config.budget is not None
    assert plan.memory.peak_bytes <= plan.config.budget.memory <= 10 * plan.memory.peak_bytes


@every(SHIPPED)
def test_it_is_named_after_its_file_and_says_what_it_is(path: Path) -> None:
    config, text = loaded(path).config, path.read_text(encoding="utf-8")
    schema, empty, first, *_ = text.splitlines()
    up = "../" * len(path.relative_to(FOLDER).parts)
    assert schema == f"# yaml-language-server: $schema={up}docs/spec.schema.json"
    assert empty == "#"
    assert first.startswith("# ")
    assert max(map(len, text.splitlines())) <= 120
    assert config.name == path.stem
    if path in RECIPES and path.stem != "quickstart":
        assert path.stem.endswith(config.data.dataset)


@every([path for path in RECIPES if not path.stem.startswith(("e2e", "quickstart"))])
def test_it_names_a_paper_or_is_an_ablation(path: Path) -> None:
    head = "".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    assert PAPER.search(head) or "Ablation of" in head


@every(SHIPPED)
def test_it_repeats_nothing_that_it_inherits(path: Path) -> None:
    tree, _ = read(path)
    assert tree is not None
    if "extends" not in tree.data:
        return
    parent, _ = read(path.parent / tree.data["extends"])
    assert parent is not None
    inherited = dict(walk(extend(parent).tree.data))
    own = {at: value for at, value in leaves(tree.data) if at != ("extends",)}
    assert {at: value for at, value in own.items() if at in inherited and inherited[at] == value} == {}


def leaves(data: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Plain values and whole lists, which replace what they stand over."""
    for at, value in walk(data):
        if not isinstance(value, dict) and not any(isinstance(part, int) for part in at):
            yield at, value


# ------------------------------------------------------------------------------------------- what is compared


@pytest.mark.parametrize("dataset", DATASETS)
def test_all_methods_train_one_backbone_with_one_recipe(dataset: str) -> None:
    configs = [plan_of(f"{method}_{dataset}").config for method in METHODS]
    assert len({config.backbone.model_dump_json() for config in configs}) == 1
    assert len({config.data.model_dump_json() for config in configs}) == 1
    own = {"batch_norm_updates"}
    assert len({config.train.model_dump_json(exclude=own) for config in configs}) == 1


@pytest.mark.parametrize("method", METHODS[1:])
def test_fashion_mnist_is_cut_into_nine_blocks_of_all_70000_images(method: str) -> None:
    plan = plan_of(f"{method}_fashion_mnist")
    assert len(plan.blocks) == 9
    assert plan.config.data.resplit


@pytest.mark.parametrize(
    ("recipe", "reconstruction", "classification"),
    [
        ("infopro_cifar10", [5 - 4.8 * k / 14 for k in range(15)], [0.05 + 0.45 * k / 14 for k in range(15)]),
        ("man_cifar10", [5 * (1 - s / 14) for s in (1,) * 4 + (2,) * 5 + (3,) * 5], None),
        ("man_svhn", [5 * (1 - s / 14) for s in (1,) * 5 + (2,) * 5 + (3,) * 5], None),
        ("man_paper_cifar10", [5 * (1 - k / 14) for k in range(14)], [0.5 * (1 - k / 14) for k in range(14)]),
        ("hpff_cifar10", [0.999 * 5 * (1 - k / 14) for k in range(1, 14)], None),
        ("hpff_without_patches_cifar10", [0.999 * 20 * (1 - k / 14) for k in range(1, 14)], None),
    ],
)
def test_weights_are_those_of_the_released_code(
    recipe: str, reconstruction: list[float], classification: list[float] | None
) -> None:
    heads = [head for unit in plan_of(recipe).units for head in unit.heads]
    assert [h.weight for h in heads if h.term == "reconstruction"] == pytest.approx(reconstruction, rel=1e-3)
    if classification is not None:
        assert [h.weight for h in heads if h.name == "classifier"] == pytest.approx(classification, rel=1e-2)


@pytest.mark.parametrize(
    ("recipe", "classes", "size"), [("infopro_cityscapes", 19, (512, 1024)), ("man_voc", 21, (512,) * 2)]
)
def test_a_deeplab_is_cut_and_judged_as_the_released_code_does(
    recipe: str, classes: int, size: tuple[int, int]
) -> None:
    """13 of the third stage's 23 blocks in the first; a classifier of its pixels, and the image again."""
    plan = plan_of(recipe)
    assert [block.layers[-1] for block in plan.blocks] == ["backbone.layer3.12", "classifier.4"]
    local, final = plan.units
    assert [(head.term, head.loss, head.weight) for head in local.heads] == [
        ("segmentation", "pixel_cross_entropy", 1.0), ("reconstruction", "bce", 1.5),
    ]  # fmt: skip
    classifier, decoder = (plan.networks[head.networks[0]].graph for head in local.heads)
    assert classifier.shape == (classes, *size)
    assert [node.shape[0] for node in classifier.nodes if node.op.name == "conv"] == [512, classes]
    assert [node.shape[0] for node in decoder.nodes if node.op.name == "conv"] == [128, 32, 12, 3]
    assert [head.loss for head in final.heads] == ["pixel_cross_entropy"]
    assert [link.momentum for link in local.links] == ([0.995] if recipe == "man_voc" else [])
