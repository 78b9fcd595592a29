"""docs/your-own-images.md as somebody new would try it: three commands from a folder to the names of classes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from specc.checking import check

from .commands import specc
from .drawings import SHAPES, folder_of

PAGE = Path(__file__).parents[1] / "docs" / "your-own-images.md"
QUICKLY = ("data.image_size=16", "data.augment=none", "backbone.depth=8", "split.blocks=2", "train.epochs=10")


def commands() -> list[list[str]]:
    """What the page has typed."""
    return [shlex.split(line)[1:] for line in re.findall(r"^\$ (specc .+?)(?:  +#.*)?$", PAGE.read_text(), re.M)]


def test_three_commands_lead_from_a_folder_to_the_names_of_classes(tmp_path: Path) -> None:
    folder_of(tmp_path / "shapes", 200)
    folder_of(tmp_path / "new", 30, seed=1)
    written, trained, predicted = commands()[:3]
    assert (written[0], trained[0], predicted[0]) == ("init", "run", "predict")
    result = specc(*written, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "3 classes: cross, disc, frame; next: specc run shapes.yaml" in result.stdout
    result = specc(*trained, *QUICKLY, "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "note: there is no test folder: 20 of 200 images are held out to test on" in result.stderr
    assert float(re.findall(r"test accuracy ([\d.]+)%", result.stdout)[0]) > 60
    for shape in SHAPES:
        (tmp_path / "new.jpg").write_bytes(next((tmp_path / "new" / shape).glob("*.jpg")).read_bytes())
        result = specc(*predicted, "--device", "cpu", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert any(name in result.stdout for name in SHAPES)
    result = specc("predict", predicted[1], "new", "--device", "cpu", "--format", "json", cwd=tmp_path)
    found = json.loads(result.stdout)["images"]
    right = [Path(each["image"]).parent.name == each["classes"][0]["class"] for each in found]
    assert len(right) == 30
    assert sum(right) > 18


def test_what_the_page_types_besides_is_typed_right(tmp_path: Path) -> None:
    folder_of(tmp_path / "shapes", 12)
    assert specc(*commands()[0], cwd=tmp_path).returncode == 0
    others = [words for words in commands()[3:] if words[0] == "run"]
    assert others
    for _, spec, *overrides in others:
        report = check(tmp_path / spec, [word for word in overrides if "=" in word])
        assert [found.code for found in report.diagnostics if found.is_error] == []


# --- init ---


def test_a_spec_of_images_is_written_beside_them_or_elsewhere(tmp_path: Path) -> None:
    folder_of(tmp_path / "my images", 6)
    (tmp_path / "specs").mkdir()
    for file in ("a.yaml", "specs/on.yaml", "specs/1e3.yaml", "specs/---.yaml"):
        result = specc("init", file, "--images", "my images", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        report = check(tmp_path / file)
        assert report.diagnostics == ()
        assert report.spec is not None
    again = specc("init", "a.yaml", "--images", "my images", cwd=tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("folders", "match"),
    [((), "shapes has no class folders"), (("one",), "one class, `one`"), (("Train/a", "Train/b"), "but no train/")],
)
def test_a_folder_that_is_no_data_set_gets_no_spec(tmp_path: Path, folders: tuple[str, ...], match: str) -> None:
    for folder in folders:
        (tmp_path / "shapes" / folder).mkdir(parents=True)
    result = specc("init", "--images", "shapes", cwd=tmp_path)
    assert result.returncode == 2
    assert match in result.stderr
    assert not (tmp_path / "spec.yaml").exists()


def test_names_of_classes_are_no_yaml(tmp_path: Path) -> None:
    for name in ("ROOT", "a: [", "# b", "x\u2028y"):
        (tmp_path / "shapes" / name).mkdir(parents=True)
    result = specc("init", "--images", "shapes", cwd=tmp_path)
    assert result.returncode == 2
    assert "which no text can hold" in result.stderr
    (tmp_path / "shapes" / "x\u2028y").rmdir()
    assert specc("init", "--images", "shapes", cwd=tmp_path).returncode == 0
    assert check(tmp_path / "spec.yaml").diagnostics == ()
