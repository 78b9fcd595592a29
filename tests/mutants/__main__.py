"""Make each mistake in a copy of the code, run its tests there, and say which were not noticed.

    python -m tests.mutants [-j 2] [-v] [--at-once] [NAME...]

A NAME is a room (`memory`), a mutant (`memory.3`) or a file. Before, all tests run once on the copy as it is. Ends
with 1 where one that can be noticed was not, does not apply, or where a test fails without any mistake.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from .mutant import ROOT, Mutant, mutants

COPIED = ("specc", "runtime", "tests", "specs", "benchmarks", "docs", "README.md", "pyproject.toml", "Makefile")
LIMIT = 600.0  # seconds; a mistake that hangs is noticed as well
FORK = get_context("fork")  # what takes long to import, torch above all, is imported once


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Try the mistakes.")
    parser.add_argument("-j", type=int, default=2, dest="jobs", help="how many at once")
    parser.add_argument("-v", action="store_true", dest="shown", help="show what the tests say of survivors")
    parser.add_argument("--at-once", action="store_true", help="do not run the tests without any mistake first")
    parser.add_argument("names", nargs="*", help="rooms, mutants or files; all by default")
    args = parser.parse_args()
    chosen = [(name, m) for name, m in mutants() if not args.names or wanted(name, m, args.names)]
    imports()
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        trees = [copy(Path(folder) / str(i)) for i in range(args.jobs)]
        if not args.at_once and not sound(trees, chosen):
            return 1
        found = list(tried(chosen, trees, shown=args.shown))
    return concluded(found)


def wanted(name: str, mutant: Mutant, names: Sequence[str]) -> bool:
    return any(name == each or name.partition(".")[0] == each or mutant.file == each for each in names)


def imports() -> None:
    """Everything heavy that is not ours: what is ours must come from the copy, and plugins from pytest."""
    import click.testing
    import networkx
    import pydantic
    import pytest
    import rich
    import torch
    import torch._subclasses
    import torchvision

    torch.set_num_threads(1)
    assert all((click, networkx, pydantic, pytest, rich, torchvision))


def copy(target: Path) -> Path:
    """The code as it is, and nothing of git, caches and runs."""
    target.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".hypothesis", "runs")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, target / name)
    return target


def sound(trees: Sequence[Path], chosen: Sequence[tuple[str, Mutant]]) -> bool:
    """Whether all tests pass without a mistake."""
    tests = list(dict.fromkeys(test for _, m in chosen for test in m.tests))
    with ThreadPoolExecutor(len(trees)) as pool:
        shares = [tuple(tests[i :: len(trees)]) for i in range(len(trees))]
        found = list(pool.map(lambda tree, share: tested(tree, share, 10 * LIMIT) if share else (0, ""), trees, shares))
    for code, said in found:
        if code != 0:
            print(said, f"without any mistake the tests end with {code}", sep="\n", file=sys.stderr)
    return all(code == 0 for code, _ in found)


def tried(chosen: Sequence[tuple[str, Mutant]], trees: Sequence[Path], *, shown: bool) -> list[tuple[str, Mutant, str]]:
    """What became of each mutant, as many at once as there are copies."""
    todo: SimpleQueue[tuple[str, Mutant] | None] = SimpleQueue()
    found: list[tuple[str, Mutant, str]] = []
    for each in (*chosen, *[None] * len(trees)):
        todo.put(each)

    def work(tree: Path) -> None:
        while (each := todo.get()) is not None:
            began = time.monotonic()
            outcome, said = fate(tree, each[1])
            found.append((*each, outcome))
            print(f"{outcome:14} {each[0]:13} {time.monotonic() - began:5.1f} s  {each[1].why}", flush=True)
            if shown and outcome not in ("caught", "hangs"):
                print(said, flush=True)

    threads = [Thread(target=work, args=(tree,)) for tree in trees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def fate(tree: Path, mutant: Mutant) -> tuple[str, str]:
    """What the tests say of a mutant, in one word, and at length."""
    try:
        with mistaken(tree, mutant):
            code, said = tested(tree, mutant.tests, LIMIT)
    except AssertionError as error:
        return "does not apply", str(error)
    return {0: "SURVIVED", 1: "caught", -1: "hangs"}.get(code, f"broken ({code})"), said


@contextmanager
def mistaken(tree: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with the mistake in it."""
    before = mutant.apply(tree)
    try:
        yield
    finally:
        (tree / mutant.file).write_text(before, encoding="utf-8")


def tested(tree: Path, tests: Sequence[str], limit: float) -> tuple[int, str]:
    """pytest's exit code (-1: it took too long) and what it said, from a process of its own."""
    with tempfile.NamedTemporaryFile("r", prefix="mutant", encoding="utf-8", errors="replace") as log:
        process = FORK.Process(target=child, args=(tree, tests, log.name))
        process.start()
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
            return -1, log.read()
        return process.exitcode if process.exitcode is not None else 3, log.read()


def child(tree: Path, tests: Sequence[str], log: str) -> None:
    """Run tests on the copy; nothing that was compiled from other text may be used."""
    import pytest

    os.environ |= {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    os.chdir(tree)
    sys.path[:] = [str(tree), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
    sys.dont_write_bytecode = True
    for name in [n for n in sys.modules if n.partition(".")[0] in ("specc", "runtime", "tests", "benchmarks")]:
        del sys.modules[name]
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = pytest.main(["-x", "-q", "-m", "", "-p", "no:cacheprovider", *tests])  # the full versions, too
    Path(log).write_text(said.getvalue(), encoding="utf-8")
    sys.stdout.flush()
    os._exit(int(code))


def concluded(found: Sequence[tuple[str, Mutant, str]]) -> int:
    """The count, and the exit code."""
    noticed = sum(outcome in ("caught", "hangs") for *_, outcome in found)
    excused = [(name, m) for name, m, outcome in found if outcome == "SURVIVED" and m.survives]
    for name, m in excused:
        print(f"{name} may survive: {m.survives}")
    print(f"{noticed} of {len(found)} mistakes were noticed, {len(excused)} cannot be")
    return int(noticed + len(excused) < len(found))


if __name__ == "__main__":
    sys.exit(main())
