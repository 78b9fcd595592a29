"""The pages that are looked at: how each is written, once a session and only if somebody asks for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

from ..commands import specc
from .chromium import SETTINGS, Setting

ROOT = Path(__file__).parents[2]
DOCS = "docs/"


class Shelf:
    """Pages by name, as addresses; whatever was begun for them ends with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: dict[str, Path] = {}
        self.ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.close()

    def address(self, name: str) -> str:
        """Where a page is, which is written if it is not yet."""
        if name.startswith(DOCS):
            return f"{self.site}/{name.removeprefix(DOCS)}.html"
        if name not in self.written:
            folder = self.folder / name
            folder.mkdir(parents=True)
            self.written[name] = PAGES[name](folder)
        return self.written[name].as_uri()

    @cached_property
    def site(self) -> str:
        """The documentation, built and served as it is published."""
        return self.ends.enter_context(served(documentation(self.folder)))


def documentation(folder: Path) -> Path:
    """The site, built from a copy of what it is made of."""
    source = folder / "site"
    source.mkdir()
    shutil.copytree(ROOT / "docs", source / "docs")
    shutil.copy(ROOT / "mkdocs.yml", source)
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict"]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return source / "site"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on this machine."""
    with ThreadingHTTPServer(("localhost", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def block_diagram(folder: Path) -> Path:
    """What `specc graph` writes of two levels with EMA links and patches."""
    target = folder / "graph.html"
    done = specc("graph", ROOT / "specs" / "man_hpff_fashion_mnist.yaml", "-o", target, cwd=folder)
    assert done.returncode == 0, done.stderr
    return target


PAGES: Mapping[str, Callable[[Path], Path]] = {"graph": block_diagram}


def documented() -> list[str]:
    """The pages of the documentation, if there is a site of it."""
    folder = ROOT / "docs" if (ROOT / "mkdocs.yml").exists() else None
    return (
        sorted(f"{DOCS}{page.relative_to(folder).with_suffix('')}" for page in folder.rglob("*.md")) if folder else []
    )


DOCUMENTED = documented()
CLOSELY = [*PAGES, *(name for name in DOCUMENTED if name.removeprefix(DOCS) in ("index", "methods"))]


def visits() -> list[tuple[str, Setting]]:
    """Every page at every setting, but most of the documentation, whose pages look alike, at one each, in turn."""
    turns = [(name, SETTINGS[i % len(SETTINGS)]) for i, name in enumerate(DOCUMENTED) if name not in CLOSELY]
    return [(name, setting) for name in CLOSELY for setting in SETTINGS] + turns
