"""`specc init --list` and `--from`: the recipes, found by what they are, and written for the reader."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from specc.checking import check
from specc.language.source import parse
from specc.pipeline import CHECKS, run_passes
from specc.recipes import adapting, own_images, writing
from specc.recipes.catalogue import names, recipe
from specc.recipes.comments import authors
from specc.recipes.own_images import look
from specc.spec.load import loads
from specc.tasks.folders import FolderError

from .commands import specc
from .drawings import folder_of
from .shipped import REPRESENTATIVES

SEGMENTING = ("man_voc", "e2e_cityscapes", "infopro_cityscapes")
FEW = ("quickstart", "man_cifar10", "hpff_fashion_mnist", "ff_cifar10")
MOST = [pytest.param(name, marks=() if name in FEW else pytest.mark.full) for name in names()]


def drawn(path: Path, side: int = 48, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (side, side + 4), 1).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`shapes`, in three classes; `masks`, of four."""
    root = tmp_path_factory.mktemp("own")
    for number in range(40):
        drawn(root / "shapes" / ("cross", "disc", "frame")[number % 3] / f"{number}.png")
    for part in ("train", "val"):
        for number in range(4):
            drawn(root / "masks" / part / "images" / f"{number}.jpg")
            mask = root / "masks" / part / "masks" / f"{number}.png"
            mask.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((52, 48), 255 if number == 3 else number, np.uint8)).save(mask)
    return root


def written(name: str, folder: Path, *words: str) -> tuple[Path, str]:
    """What `init --from` wrote."""
    file = folder / f"{'_'.join([name, *words]).replace('--', '').replace('/', '_')}.yaml"
    result = specc("init", file.name, "--force", "--from", name, *words, cwd=folder)
    assert result.returncode == 0, result.stderr
    return file, file.read_text(encoding="utf-8")


def of_images(name: str) -> str:
    return "masks" if name in SEGMENTING else "shapes"


# ------------------------------------------------------------------------------------------------------------- list


def test_the_list_says_of_every_recipe_what_it_is(tmp_path: Path) -> None:
    head, *rows = [line.split("\t") for line in specc("init", "--list", cwd=tmp_path).stdout.splitlines()]
    assert head == ["recipe", "data set", "blocks", "what it is"]
    assert sorted(row[0] for row in rows) == list(names())
    assert all(len(row) == 4 and len(row[3]) > 15 for row in rows)
    assert ["man_svhn", "svhn", "16"] in [row[:3] for row in rows]
    methods = [row[0].removesuffix(f"_{row[1]}") for row in rows]
    assert methods == sorted(methods), "those of a method stand together"


def test_words_choose_among_the_recipes(tmp_path: Path) -> None:
    rows = specc("init", "--list", "HPFF", "svhn", cwd=tmp_path).stdout.splitlines()[1:]
    assert {row.split("\t")[0] for row in rows} == {"hpff_svhn", "hpff_paper_svhn", "man_hpff_svhn"}
    none = specc("init", "--list", "hpff", "zebra", cwd=tmp_path)
    assert (none.returncode, "no recipe has `hpff` and `zebra`" in none.stderr) == (2, True)


def test_a_recipe_that_is_not_there_is_answered_with_one_that_is(tmp_path: Path) -> None:
    result = specc("init", "--from", "man_cifar", cwd=tmp_path)
    assert result.returncode == 2
    assert "no recipe is called `man_cifar`" in result.stderr
    assert "did you mean `man_cifar10`?" in result.stderr
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------- for its own data


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_written_whole(name: str, tmp_path: Path) -> None:
    """In one file, with the same configuration, but for its name and where the data is."""
    text = adapting.for_its_own_data(recipe(name), tmp_path / f"{name}.yaml").text
    tree, found = parse(text, f"{name}.yaml")
    assert tree is not None
    assert found == []
    assert "extends" not in tree.data
    assert ":-../" not in text
    assert max(map(len, text.splitlines())) <= 120
    there: dict[str, Any] = json.loads(json.dumps(recipe(name).tree.data))
    for document in (tree.data, there):
        document["data"].pop("root", None)
        document["data"].pop("download", None)
    assert tree.data == there


def test_it_is_called_as_its_recipe_where_no_other_name_is_given(tmp_path: Path) -> None:
    result = specc("init", "--from", "quickstart", cwd=tmp_path)
    assert result.stdout == "wrote quickstart.yaml; next: specc validate quickstart.yaml\n"
    assert check(tmp_path / "quickstart.yaml").diagnostics == ()


def test_what_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("mine")
    refused = specc("init", "--from", "quickstart", cwd=tmp_path)
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    assert (tmp_path / "quickstart.yaml").read_text() == "mine"
    assert specc("init", "--from", "quickstart", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "quickstart.yaml").read_text() != "mine"


@pytest.mark.parametrize("name", ["man_cifar10", "quickstart", "infopro_cityscapes"])
def test_what_its_authors_wrote_beside_a_key_stays_beside_it(name: str, tmp_path: Path) -> None:
    text = adapting.for_its_own_data(recipe(name), tmp_path / "x.yaml").text
    own = re.findall(r"^ +[^#\n]*\S +# (.+)$", recipe(name).tree.text, re.M)
    assert own
    assert [comment for comment in own if f"# {comment}" not in text] == []


def test_a_comment_on_another_data_set_is_not_inherited() -> None:
    """SVHN is cropped otherwise than CIFAR-10, whose recipe it extends."""
    assert ("data", "augment") in authors(recipe("man_cifar10").tree).beside
    assert ("data", "augment") not in authors(recipe("man_svhn").tree).beside


# ---------------------------------------------------------------------------------------------- for images of one's own


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_right_for_a_folder_of_ones_own(name: str, folder: Path) -> None:
    draft = adapting.for_images(
        recipe(name), look(folder / of_images(name), adapting.kind_of(recipe(name))), folder / "x"
    )
    spec = loads(draft.text, str(folder / "x.yaml"))
    assert spec.config.data.classes == 3
    assert max(map(len, draft.text.splitlines())) <= 120
    if name not in SEGMENTING:  # whose networks are torchvision's: tracing them takes seconds
        assert [str(found) for found in run_passes(spec, CHECKS).diagnostics] == []


@pytest.mark.parametrize("name", MOST)
def test_it_is_within_its_budget_and_says_what_a_step_takes(name: str, folder: Path) -> None:
    file, text = written(name, folder, "--data", of_images(name))
    report = check(file)
    assert [str(found) for found in report.diagnostics] == []
    assert re.search(r"memory: .*# .*a step of this spec is predicted to take [\d.]+ [KMG]iB", text)


def test_classes_and_sizes_are_those_of_the_folder(folder: Path) -> None:
    _, text = written("man_cifar10", folder, "--data", "shapes")
    assert re.search(r"classes: 3 +# the folders", text)
    assert re.search(r"dataset: image_folder +# cifar10 in the recipe; 3 classes: cross, disc, frame", text)
    assert re.search(r"image_size: 32 +# pixels, as in the recipe; yours are 48 pixels wide and 52 high", text)
    text = adapting.for_images(recipe("man_voc"), look(folder / "masks", "mask_folder"), folder / "x").text
    assert re.search(r"classes: 3 +# the largest value in some masks, plus one", text)


def test_what_belongs_to_other_images_is_left_out_and_said_so(folder: Path) -> None:
    file, text = written("man_fashion_mnist", folder, "--data", "shapes")
    assert "# Left out: data.resplit: true (folders of images cannot be split anew)." in text
    spec = check(file).spec
    assert spec is not None
    assert not spec.config.data.resplit


def test_batches_are_smaller_where_there_are_few_images_and_so_is_the_rate(folder: Path) -> None:
    file, text = written("man_cifar10", folder, "--data", "shapes")
    spec = check(file).spec
    assert spec is not None
    assert (spec.config.data.batch_size, spec.config.train.optimizer.lr) == (8, 0.00625)
    assert "# 1024 in the recipe, 1 step an epoch with your 36 images" in text
    assert "# lr: 0.8 in the recipe, for 128 times as large batches" in text
    assert "# as in the recipe: 2,000 steps with your images, 19,600 with the recipe's" in text


def test_a_tiny_size_is_multiplied_where_the_images_show_more(folder: Path) -> None:
    assert re.search(r"image_size: 32 +# pixels, 8 in the recipe", written("quickstart", folder, "--data", "shapes")[1])


def test_grey_images_are_read_in_grey(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        drawn(tmp_path / "scans" / name, side=8, mode="L")
    _, text = written("quickstart", tmp_path, "--data", "scans")
    assert re.search(r"channels: 1 +# read in grey", text)
    assert re.search(r"image_size: 8 +# pixels, as in the recipe", text)
    drawn(tmp_path / "scans" / "a" / "colour.png", side=8)
    assert "channels" not in written("quickstart", tmp_path, "--data", "scans")[1]


def test_a_budget_that_no_step_fits_is_raised() -> None:
    draft = adapting.for_its_own_data(recipe("man_fashion_mnist"), Path("x.yaml"))
    adapting.budgeted(draft, 100 << 20)
    assert draft.document["budget"]["memory"] == "128 MiB"
    assert "48 MiB in the recipe; a step of this spec is predicted to take 100 MiB" in draft.text
    adapting.budgeted(draft, 128 << 20)
    assert draft.document["budget"]["memory"] == "128 MiB"


def test_images_that_cannot_be_read_are_no_reason_to_stop(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "shapes" / name).mkdir(parents=True)
        (tmp_path / "shapes" / name / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    images = look(tmp_path / "shapes", "image_folder")
    assert (images.training, images.sizes, images.grey, images.side) == (2, (), False, 0)
    assert "none that could be read" in written("quickstart", tmp_path, "--data", "shapes")[1]


def test_a_recipe_for_masks_wants_masks_and_any_other_does_not(folder: Path) -> None:
    with pytest.raises(FolderError, match="no masks to learn from"):
        look(folder / "shapes", "mask_folder")
    with pytest.raises(FolderError, match="a mask for every image"):
        look(folder / "masks", "image_folder")
    result = specc("init", "x.yaml", "--from", "man_voc", "--data", "shapes", cwd=folder)
    assert (result.returncode, "the layout is train/images" in result.stderr) == (2, True)


def test_one_is_trained(tmp_path: Path) -> None:
    folder_of(tmp_path / "shapes", 24)
    file, _ = written("quickstart", tmp_path, "--data", "shapes")
    small = ("train.epochs=1", "data.image_size=16", "train.schedule.warmup_epochs=0", "backbone.depth=14")
    result = specc("run", file.name, *small, "--run-dir", "run", "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "test accuracy" in result.stdout


# ------------------------------------------------------------------------------------------------------------ writing


def remarked(path: tuple[str | int, ...]) -> str:
    return f"about {path[-1]}"


@pytest.mark.parametrize("path", REPRESENTATIVES, ids=lambda path: path.stem)
def test_what_is_written_is_read_as_the_same(path: Path) -> None:
    document = recipe(path.stem).tree.data
    text = writing.Writer(remarked, lambda path: ["below"]).text(document)
    tree, found = parse(text, "x.yaml")
    assert tree is not None
    assert (found, tree.data) == ([], document)


@pytest.mark.parametrize(
    "value",
    ["a: [", "# no comment", "yes", "1e3", "", " x", "null", "é層", "'", '"', "a\\b", "x" * 200, True, None, 1e-5, 5e-5,
     "x: ", "x:y", "x #", "1:", "a,b", "on", "0x1f", ".5", "-1", "${A:-b}/c", {"one": {"only": 1}}, [{"a": 1}],
     [[1, 2], [3]], [], {}, "- x", "*a", "&b", "!c", "%", "@", "`d`", "0o7", "12:30"],
    ids=repr,
)  # fmt: skip
def test_no_value_is_read_as_another(value: Any) -> None:
    document = {"section": {"key": value, "list": [value, {"inner": value, "more": [value]}]}, "last": value}
    tree, found = parse(writing.Writer(remarked, lambda path: []).text(document), "x.yaml")
    assert tree is not None
    assert [each for each in found if each.is_error] == []
    assert tree.data == document


def test_the_examples_in_docstrings_hold() -> None:
    for module in (adapting, own_images, writing):
        assert doctest.testmod(module).failed == 0
