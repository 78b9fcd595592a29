"""What pyproject.toml cannot say: a wheel holds the recipes of `specs/` and the reference of `docs/` inside of `specc`.

An installation that is edited (`pip install -e`) reads them where they lie.
"""

from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
RECIPES, REFERENCE = Path("specc/recipes"), Path("specc/docs")  # beside one another, so that a recipe finds its schema


def carried() -> Iterator[tuple[Path, Path]]:
    """Each file from outside of the packages, and where it goes."""
    for path in sorted((ROOT / "specs").rglob("*.yaml")):
        yield path, RECIPES / path.relative_to(ROOT / "specs")
    for name in ("spec-reference.md", "spec.schema.json"):
        yield ROOT / "docs" / name, REFERENCE / name


class BuildPy(build_py):
    """Builds the packages, then puts into them what lies outside."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            for source, target in carried():
                placed = Path(self.build_lib, target)
                self.mkpath(str(placed.parent))
                self.copy_file(str(source), str(placed))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What is built."""
        more = [] if self.editable_mode else [str(Path(self.build_lib, target)) for _, target in carried()]
        return [*super().get_outputs(include_bytecode), *more]


setup(cmdclass={"build_py": BuildPy})
