"""What is installed and what is published: a wheel with the recipes and the reference, an sdist with everything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from .commands import surroundings

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta as build; print(build.build_{}(sys.argv[1]))"


def tracked() -> list[str]:
    """The files of the repository."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:  # an sdist, unpacked
        return unpacked()
    return sorted(name for name in found.stdout.split("\0") if name and (ROOT / name).is_file())


def unpacked() -> list[str]:
    """The files of an sdist without those that building and testing make."""
    made = re.compile(r"(^|/)(__pycache__|\.\w+_cache|[\w.]+\.egg-info|\.hypothesis)/|^(PKG-INFO|setup\.cfg)$")
    names = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
    return sorted(name for name in names if not made.search(name))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's files: building leaves traces."""
    folder = tmp_path_factory.mktemp("source")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def built(kind: str, source: Path) -> Path:
    target = source.with_name(f"{source.name}-{kind}")
    subprocess.run(
        [sys.executable, "-c", BUILD.format(kind), str(target)],
        cwd=source, env=surroundings() | {"PYTHONPATH": ""}, capture_output=True, check=True,
    )  # fmt: skip
    (found,) = target.iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return built("wheel", source)


def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_a_wheel_holds_the_packages_with_all_their_files(wheel: Path) -> None:
    ours = {name for name in tracked() if name.startswith(("specc/", "runtime/"))}
    assert ours - in_wheel(wheel) == set()


def test_a_wheel_holds_the_recipes_and_the_reference(wheel: Path) -> None:
    recipes = {f"specc/recipes/{name.removeprefix('specs/')}" for name in tracked() if name.startswith("specs/")}
    assert len(recipes) > 60
    reference = {"specc/docs/spec-reference.md", "specc/docs/spec.schema.json"}
    assert (recipes | reference) - in_wheel(wheel) == set()


def test_a_wheel_holds_nothing_else(wheel: Path) -> None:
    assert {name.partition("/")[0] for name in in_wheel(wheel)} == {"specc", "runtime", "specc-0.1.0.dist-info"}
    assert [name for name in in_wheel(wheel) if "__pycache__" in name or name.endswith(".pyc")] == []


def test_an_sdist_holds_the_whole_repository(source: Path) -> None:
    made = {"PKG-INFO", "setup.cfg"}
    with tarfile.open(built("sdist", source)) as file:
        names = {member.name.partition("/")[2] for member in file.getmembers() if member.isfile()}
    assert {name for name in names if ".egg-info/" not in name} - made == set(tracked())


TYPED = (
    ("init", "--list", "man", "cifar10"),
    ("init", "--from", "man_fashion_mnist"),
    ("init", "--from", "man_cifar10", "--data", "shapes", "mine.yaml"),
    ("validate", "man_fashion_mnist.yaml", "mine.yaml"),
    ("plan", "mine.yaml"),
    ("explain", "SPC204"),
    ("schema",),
)


def test_an_installed_wheel_works_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    """Its files are unpacked, as an installer does; what it depends on is there already."""
    site, home = tmp_path / "site", tmp_path / "home"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    for name in ("disc", "cross"):
        (home / "shapes" / name).mkdir(parents=True)
    program = (
        "import contextlib, os, sys; sys.path.insert(0, os.environ['SITE'])\n"
        "import specc; assert specc.__file__.startswith(os.environ['SITE']), specc.__file__\n"
        "from specc.cli import main\n"
        f"for words in {TYPED!r}:\n"
        "    try: main(list(words))\n"
        "    except SystemExit as ended: assert not ended.code, (words, ended.code)\n"
    )
    env = {k: v for k, v in surroundings().items() if k != "PYTHONPATH"} | {"SITE": str(site)}
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=home, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "man_cifar10\tcifar10\t15\tMAN on InfoPro" in done.stdout
    assert "mine.yaml: ok" in done.stdout
