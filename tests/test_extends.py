"""`extends:`: what is merged, what replaced, where messages point, and that it changes only the number of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import specc
from specc.checking import Report, check, check_text
from specc.cli import main
from specc.graph.families import FAMILIES
from specc.language import source
from specc.language.schema import Config
from specc.language.source import Tree
from specc.spec.dump import dump
from specc.spec.extend import extend
from specc.spec.load import Spec, loads
from specc.spec.lookup import all_mappings, keys_of
from specc.testing.strategies import Document, specs

from .documents import document
from .test_source import text_at

PARENT = """specc: 1
name: parent
data: {dataset: cifar10, batch_size: 128}
backbone: {family: resnet_cifar, depth: 20, widths: [8, 8, 16, 32]}
split: {blocks: 3, by: flops}
auxiliary:
  classifier: {layers: 1c2f, hidden: 64}
  reconstruction: {weight: {first: 5.0, last: 1.0}}
train:
  epochs: 40
  optimizer: {name: sgd, lr: 0.1, weight_decay: 0.001}
  schedule: {name: cosine, warmup_epochs: 3, count_from: 1}
budget: {memory: 1 GiB}
"""


def merged(folder: Path, child: str, parent: str = PARENT) -> Document:
    """The data of a child over a parent."""
    tree = tree_of(folder, child, parent)
    data: Document = tree.data
    return data


def tree_of(folder: Path, child: str, parent: str = PARENT) -> Tree:
    (folder / "base").mkdir(exist_ok=True)
    (folder / "base" / "parent.yaml").write_text(parent, encoding="utf-8")
    (folder / "child.yaml").write_text(f"extends: base/parent.yaml\n{child}", encoding="utf-8")
    tree, found = source.read(folder / "child.yaml")
    assert tree is not None
    assert not found
    extended = extend(tree)
    assert extended.diagnostics == ()
    assert extended.whole
    return extended.tree


# ------------------------------------------------------------------------------------------- what is merged


@pytest.mark.parametrize(
    ("child", "at", "expected"),
    [
        ("name: child\n", "name", "child"),
        ("name: child\n", "data", {"dataset": "cifar10", "batch_size": 128}),
        ("data: {dataset: svhn}\n", "data", {"dataset": "svhn", "batch_size": 128}),
        ("train: {epochs: 2}\n", "train.optimizer.lr", 0.1),
        ("backbone: {widths: [4, 4, 4, 4]}\n", "backbone.widths", [4, 4, 4, 4]),
        ("budget: null\n", "budget", None),
        ("auxiliary: {reconstruction: null}\n", "auxiliary.reconstruction", None),
        ("auxiliary: {reconstruction: {weight: 2.0}}\n", "auxiliary.reconstruction.weight", 2.0),
        ("auxiliary: {reconstruction: {weight: {last: 0.0}}}\n", "auxiliary.reconstruction.weight",
         {"first": 5.0, "last": 0.0}),
        ("auxiliary: {pointwise: {}}\n", "auxiliary.classifier", {"layers": "1c2f", "hidden": 64}),
        # of the same kind, or without a word about the kind: merged
        ("split: {blocks: 4}\n", "split", {"blocks": 4, "by": "flops"}),
        ("split: {by: memory}\n", "split", {"blocks": 3, "by": "memory"}),
        ("backbone: {depth: 32}\n", "backbone.widths", [8, 8, 16, 32]),
        ("backbone: {family: resnet_cifar, depth: 32}\n", "backbone.widths", [8, 8, 16, 32]),
        ("train: {optimizer: {lr: 0.4}}\n", "train.optimizer", {"name": "sgd", "lr": 0.4, "weight_decay": 0.001}),
        # of another kind: replaced as a whole
        ("split: {after: [stage1.0]}\n", "split", {"after": ["stage1.0"]}),
        ("split: {fit: {}}\n", "split", {"fit": {}}),
        ("backbone: {family: resnet}\n", "backbone", {"family": "resnet"}),
        ("backbone: {torchvision: vgg11}\n", "backbone", {"torchvision": "vgg11"}),
        ("backbone: {layers: []}\n", "backbone", {"layers": []}),
        ("train: {optimizer: {name: adamw}}\n", "train.optimizer", {"name": "adamw"}),
        ("train: {schedule: {name: constant}}\n", "train.schedule", {"name": "constant"}),
    ],
)  # fmt: skip
def test_what_a_child_says_and_what_it_leaves(tmp_path: Path, child: str, at: str, expected: Any) -> None:
    data = merged(tmp_path, child)
    assert "extends" not in data
    for part in at.split("."):
        data = data[part]
    assert data == expected


def test_a_kind_that_the_parent_leaves_open_does_not_replace(tmp_path: Path) -> None:
    data = merged(tmp_path, "train: {optimizer: {name: adamw}}\n", "train: {optimizer: {lr: 0.1}}\n")
    assert data == {"train": {"optimizer": {"name": "adamw", "lr": 0.1}}}


def test_the_keys_that_tell_kinds_apart_are_keys_and_every_union_has_them() -> None:
    for where, model in all_mappings():
        assert set(model.alternatives) <= set(keys_of(model)), where
    assert all(model.alternatives for model in FAMILIES.own.values() if issubclass(model, Config))


def test_a_line_of_parents_each_relative_to_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "base" / "deep").mkdir(parents=True)
    (tmp_path / "base" / "deep" / "first.yaml").write_text(PARENT, encoding="utf-8")
    (tmp_path / "base" / "second.yaml").write_text(
        "extends: deep/first.yaml\nsplit: {after: [stage1.0]}\n", encoding="utf-8"
    )
    (tmp_path / "third.yaml").write_text("extends: base/second.yaml\nsplit: {blocks: 2}\n", encoding="utf-8")
    report = check(tmp_path / "third.yaml")
    assert report.spec is not None
    assert report.spec.config.split.by == "layers"  # not the first's `flops`: the second said something else
    assert len(report.sources) == 3


def test_text_extends_relative_to_its_name(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text(PARENT, encoding="utf-8")
    assert check_text("extends: parent.yaml", str(tmp_path / "no_file.yaml")).diagnostics == ()


def test_overrides_come_last(tmp_path: Path) -> None:
    tree_of(tmp_path, "train: {epochs: 3}\n")
    overrides = ["train.epochs=5", "split={after: [stage1.0]}", "train.optimizer.lr=0.3"]
    spec = check(tmp_path / "child.yaml", overrides).spec
    assert spec is not None
    assert (spec.config.train.epochs, spec.config.split.after, spec.config.train.optimizer.lr) == (5, ["stage1.0"], 0.3)


# ------------------------------------------------------------------------------------------- where messages point


def places_in(report: Report) -> list[tuple[str, str, int, int]]:
    spans = [(d.code, d.span) for d in report.diagnostics if d.span]
    return [(code, Path(span.file).name, span.line, span.column) for code, span in spans]


def test_messages_point_into_the_file_that_is_to_blame(tmp_path: Path) -> None:
    parent = PARENT.replace("epochs: 40", "epochs: -1").replace("lr: 0.1", "rl: 0.1")
    tree_of(tmp_path, "split: {blocks: 400}\nauxiliary: {classifier: {hiden: 3}}\n", parent)
    found = places_in(check(tmp_path / "child.yaml"))
    assert found == [
        ("SPC104", "parent.yaml", 10, 11),
        ("SPC101", "parent.yaml", 11, 26),
        ("SPC402", "child.yaml", 2, 17),
        ("SPC101", "child.yaml", 3, 26),
    ]


def test_one_message_may_show_both_files(tmp_path: Path) -> None:
    tree_of(tmp_path, "train: {epochs: 2}\n")
    (found,) = check(tmp_path / "child.yaml").diagnostics  # a warm-up as long as the training
    assert [Path(span.file).name for span in found.spans] == ["parent.yaml", "child.yaml"]


def test_what_is_missing_is_missing_in_the_child(tmp_path: Path) -> None:
    tree_of(tmp_path, "train: {epochs: 2}\n", "specc: 1\nname: parent\n")
    assert places_in(check(tmp_path / "child.yaml")) == [("SPC102", "child.yaml", 2, 1)]


def test_a_file_that_is_not_there_is_looked_for_among_its_neighbours(tmp_path: Path) -> None:
    tree_of(tmp_path, "")
    report = check_text("extends: base/parant.yaml\ntrain: {epoch: 2}\n", str(tmp_path / "child.yaml"))
    assert [d.code for d in report.diagnostics] == ["SPC026", "SPC101"]
    assert report.diagnostics[0].help[0] == "did you mean `base/parent.yaml`?"


@pytest.mark.parametrize("name", ['"\\0"', '""', ".", "a/" * 3000, '"\\ud800"'])
def test_no_name_raises(tmp_path: Path, name: str) -> None:
    report = check_text(f"extends: {name}\n", str(tmp_path / "child.yaml"))
    assert [d.code for d in report.diagnostics] in (["SPC026"], ["SPC006"], ["SPC019", "SPC026"])


def test_a_link_to_itself_is_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n", encoding="utf-8")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert [d.code for d in check(tmp_path / "a.yaml").diagnostics] == ["SPC027"]


# ------------------------------------------------------------------------------------------- properties


KINDS = {key for _, model in all_mappings() for key in model.alternatives}  # another value here replaces all around it


@st.composite
def parted(draw: st.DrawFn, whole: Document) -> tuple[Document, Document]:
    """A document as a parent and a child whose merging gives it back."""
    parent: Document = {}
    child: Document = {}
    for key, value in whole.items():
        home = draw(st.sampled_from(("parent", "child", "both")))
        if home == "both" and isinstance(value, dict):
            replaced = other_kind(key, value) if KINDS & value.keys() else st.nothing()
            parent[key], child[key] = draw(parted(value) | replaced)
        if home == "both" and not isinstance(value, dict):
            others = st.just(value) if key in KINDS else st.sampled_from((0, "x", None, [1], {"a": 1}))
            parent[key], child[key] = draw(others), value
        if home != "both":
            (parent if home == "parent" else child)[key] = value
    return parent, child


def other_kind(key: str, value: Document) -> st.SearchStrategy[tuple[Document, Document]]:
    """The child says everything, over a parent that is of another kind."""
    kinds: dict[str, Document] = {
        "split": {"blocks": 99, "by": "memory"} if "after" in value else {"after": ["nowhere"]},
        "backbone": {"torchvision": "none"},
        "optimizer": {"name": "other", "rate": 3},
        "schedule": {"name": "other", "gamma": 3},
    }
    return st.just((kinds.get(key, {}), value))


@st.composite
def lines(draw: st.DrawFn) -> tuple[Document, list[Document]]:
    """A valid spec, and a line of specs that says the same, the eldest first."""
    whole = draw(specs())
    first, rest = draw(parted(whole))
    eldest, second = draw(parted(first))
    return whole, draw(st.sampled_from(([first, rest], [eldest, second, rest])))


def written(folder: Path, line: list[Document]) -> Path:
    """The line as files; the path of the youngest."""
    for i, each in enumerate(line):
        link = {"extends": f"{i - 1}.yaml"} if i else {}
        (folder / f"{i}.yaml").write_text(json.dumps(link | each, indent=1), encoding="utf-8")
    return folder / f"{len(line) - 1}.yaml"


def loaded(line: list[Document]) -> Spec:
    with TemporaryDirectory() as folder:
        return specc.load(written(Path(folder), line))


@given(lines())
@settings(max_examples=25)
def test_a_line_of_specs_is_the_spec_written_out(drawn: tuple[Document, list[Document]]) -> None:
    whole, line = drawn
    spec = loaded(line)
    assert spec.tree.data == whole
    assert spec.config == loads(json.dumps(whole)).config
    assert "extends" not in dump(spec.config)
    assert loads(dump(spec.config)).config.model_dump() == spec.config.model_dump()


@given(lines())
@settings(max_examples=25)
def test_extending_changes_no_plan(drawn: tuple[Document, list[Document]]) -> None:
    whole, line = drawn
    assert specc.compile(loaded(line)).fingerprint == specc.compile(loads(json.dumps(whole))).fingerprint


@given(lines())
@settings(max_examples=25)
def test_any_end_of_a_line_may_be_written_out(drawn: tuple[Document, list[Document]]) -> None:
    """Merging the first two of three and extending the result is the same as extending one after the other."""
    _, line = drawn
    with TemporaryDirectory() as folder:
        tree, _ = source.read(written(Path(folder), line[:-1]))
        assert tree is not None
        data = extend(tree).tree.data
    assert loaded([data, line[-1]]).tree.data == loaded(line).tree.data


@given(lines())
@settings(max_examples=25)
def test_every_value_stands_where_its_span_says(drawn: tuple[Document, list[Document]]) -> None:
    _, line = drawn
    tree = loaded(line).tree
    assert set(tree.values) == {path for path, _ in walk(tree.data)}
    assert set(tree.keys) == {path for path, _ in walk(tree.data) if path and not isinstance(path[-1], int)}
    for path, value in walk(tree.data):
        if path:  # the root is the youngest file's
            span = tree.values[path]
            text = json.loads(text_at(tree.sources[span.file], span))
            assert text == value or isinstance(value, dict), path


def walk(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, value in items:
        yield from walk(value, (*path, part))


# ------------------------------------------------------------------------------------------- runs


def test_a_run_holds_the_spec_as_written_and_as_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree_of(tmp_path, "split: {blocks: 2}\n", json.dumps(document(budget={"memory": "1 GiB"})))
    child, run = tmp_path / "child.yaml", tmp_path / "run"
    override = "train.optimizer={name: sgd, lr: 0.05}"
    result = CliRunner().invoke(main, ["run", "child.yaml", override, "--device", "cpu", "--run-dir", "run"])
    assert result.exit_code == 0, result.output
    assert (run / "spec.yaml").read_text() == child.read_text()
    resolved = YAML(typ="safe").load((run / "spec.resolved.yaml").read_text())
    assert "extends" not in resolved
    assert resolved["split"]["blocks"] == 2
    assert resolved["train"]["optimizer"]["lr"] == 0.05
    summary = json.loads((run / "summary.json").read_text())
    assert specc.compile(run / "spec.resolved.yaml").fingerprint == summary["plan_fingerprint"]
    for path in (child, tmp_path / "base" / "parent.yaml"):
        path.unlink()  # the run needs neither
    result = CliRunner().invoke(main, ["resume", "run", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert json.loads((run / "summary.json").read_text())["spec_sha256"] == summary["spec_sha256"]


def test_the_hash_is_that_of_the_merged_spec(tmp_path: Path) -> None:
    from runtime.run.rundir import spec_hash

    def digest(batch: int) -> str:
        tree_of(tmp_path, "name: child\n", PARENT.replace("128", str(batch)))
        return spec_hash(dump(specc.load(tmp_path / "child.yaml").config))

    assert digest(128) == digest(128) != digest(64)
