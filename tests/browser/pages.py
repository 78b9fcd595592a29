"""The pages that are looked at: how each is written, once a session and only if somebody asks for it."""

from __future__ import annotations

import json
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

from tests.commands import specc

from .chromium import SETTINGS, Setting
from .trained import LOCAL, WHOLE, trained

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"
DOCS = "docs/"
SEARCHED = (
    20  # sections that can be found: a page that is opened indexes all there are, which takes longer than it does
)


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
        return self.file(name).as_uri()

    def file(self, name: str) -> Path:
        """The file of a page."""
        if name not in self.written:
            folder = self.folder / name
            folder.mkdir(parents=True)
            self.written[name] = PAGES[name](self, folder)
        return self.written[name]

    @cached_property
    def site(self) -> str:
        """The documentation, built and served as it is published."""
        return self.ends.enter_context(served(documentation(self.folder)))


def documentation(folder: Path) -> Path:
    """The site, built from a copy of what it is made of, with less to search."""
    source = folder / "site"
    source.mkdir()
    shutil.copytree(ROOT / "docs", source / "docs")
    shutil.copy(ROOT / "mkdocs.yml", source)
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict"]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    index = source / "site" / "search.json"
    found = json.loads(index.read_text(encoding="utf-8"))
    found["items"] = found["items"][:SEARCHED]
    index.write_text(json.dumps(found), encoding="utf-8")
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


def written(*words: str | Path, cwd: Path, page: Path) -> Path:
    """The page that a command writes."""
    done = specc(*words, "-o", page, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return page


def graph(_: Shelf, folder: Path) -> Path:
    """Two levels with EMA links and patches."""
    return written("graph", SPECS / "man_hpff_fashion_mnist.yaml", cwd=folder, page=folder / "graph.html")


def layers(_: Shelf, folder: Path) -> Path:
    """Every layer of a network in five blocks."""
    words = ("graph", SPECS / "quickstart.yaml", "split={blocks: 5}", "--layers")
    return written(*words, cwd=folder, page=folder / "graph.html")


def many(_: Shelf, folder: Path) -> Path:
    """As many blocks as there can be."""
    words = ("graph", SPECS / "dgl_cifar10.yaml", "backbone.depth=110", "split={blocks: 56}")
    return written(*words, cwd=folder, page=folder / "graph.html")


def report(_: Shelf, folder: Path) -> Path:
    """Of one run."""
    run = trained(LOCAL, folder)
    return written("report", run, cwd=folder, page=run / "report.html")


def reports(shelf: Shelf, folder: Path) -> Path:
    """Of two runs, side by side."""
    runs = shelf.file("report").parent, trained(WHOLE, folder)
    return written("report", *runs, cwd=folder, page=folder / "report.html")


PAGES: Mapping[str, Callable[[Shelf, Path], Path]] = {
    "graph": graph, "graph-layers": layers, "graph-many": many, "report": report, "reports": reports,
}  # fmt: skip


def documented() -> list[str]:
    """The pages of the documentation, if there is a site of it."""
    folder = ROOT / "docs" if (ROOT / "mkdocs.yml").exists() else None
    return (
        sorted(f"{DOCS}{page.relative_to(folder).with_suffix('')}" for page in folder.rglob("*.md")) if folder else []
    )


DOCUMENTED = documented()
CLOSELY = {"report", "graph", "docs/index"}  # with every check: two of them take longer than all others


ACROSS = SETTINGS[0], SETTINGS[3]  # both widths and both schemes: hardly a mistake needs one of the other two


def visits() -> list[tuple[str, Setting]]:
    """Every page at both widths and in both schemes; most of the documentation, whose pages look alike, at one each."""
    turns = [(name, SETTINGS[i % len(SETTINGS)]) for i, name in enumerate(DOCUMENTED) if name not in CLOSELY]
    most = [*PAGES, *(name for name in DOCUMENTED if name in CLOSELY)]
    return [(name, setting) for name in most for setting in ACROSS] + turns


def others() -> list[tuple[str, Setting]]:
    """What is left of every page at every setting."""
    now = set(visits())
    every = (*PAGES, *DOCUMENTED)
    return [each for name in every for setting in SETTINGS if (each := (name, setting)) not in now]
