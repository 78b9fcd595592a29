"""Runs the parts one after another: each with its share of the time that is left, each ended when that is over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import documents
from .calibration import restore
from .documents import DONE, FAILED, UNFINISHED, Document
from .parts import Part

ROOT = Path(__file__).parents[2]
LAST = 2000  # characters of what a process said at its end
GRACE = 5.0  # seconds between asking a process to end and ending it
SLACK = 0.97  # of its share: what a part may take itself, so that it can end of its own accord

Environment = dict[str, str]


def shares(parts: Sequence[Part], seconds: float) -> float:
    """The limit of the first of some parts: what one leaves over falls to those after it."""
    return seconds * parts[0].share / sum(part.share for part in parts)


def environment(cache: str) -> Environment:
    """Of a part: specc from here, a cache that nobody else has, one machine like another."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "SPECC_CACHE": cache, "SPECC_PLUGINS": "none", "PYTHONUNBUFFERED": "1"}


def machine_of(device: str) -> Document:
    """What the device is, asked in a process of its own; `error` says why it cannot be used."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run([sys.executable, "-P", "-m", "benchmarks.gpu.machine", device], cwd=ROOT, check=False,
                              env=environment(cache), capture_output=True, text=True)  # fmt: skip
    try:
        found: Document = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": _end_of(done.stderr) or f"ended with {done.returncode} and without a word"}
    return found


def run_all(
    parts: Sequence[Part], device: str, folder: Path, seconds: float, machine: Document, again: bool,
    tell: Callable[[str], None],
) -> list[Document]:  # fmt: skip
    """Every part that is not there yet; their documents, in order."""
    end, found = time.monotonic() + seconds, []
    with _cache(folder) as cache:
        for i, part in enumerate(parts):
            there = documents.read(folder, part.name)
            if again:
                documents.path_of(folder, part.name).unlink(missing_ok=True)
            elif there and there["status"] == DONE and documents.same_machine(there, machine):
                tell(f"{part.title}: is there already, of {there['date'][:10]} (--again measures anew)")
                found.append(there)
                continue
            limit = shares(parts[i:], end - time.monotonic())
            tell(f"{part.title}: at most {limit:.0f} seconds")
            found.append(run_part(part, device, folder, limit, machine, environment(cache)))
            tell(f"{part.title}: {ending(found[-1])}")
    return found


@contextmanager
def _cache(folder: Path) -> Iterator[str]:
    """A cache for this command alone, in which an earlier calibration of this device is, if it was made."""
    with tempfile.TemporaryDirectory(prefix="specc-gpu-") as cache:
        restore(folder, Path(cache))
        yield cache


def command_of(part: Part, device: str, folder: Path, limit: float) -> list[str]:
    """What does a part."""
    return [sys.executable, "-P", "-m", "benchmarks.gpu.work", part.name, device, f"{SLACK * limit:.1f}", str(folder)]


def run_part(part: Part, device: str, folder: Path, limit: float, machine: Document, env: Environment) -> Document:
    """One part in a process of its own, which is ended with all that it began when its time is over."""
    began, why = time.monotonic(), ""
    with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            command_of(part, device, folder, limit), cwd=ROOT, env=env, stderr=said, start_new_session=True
        )
        try:
            process.wait(timeout=max(limit, 0.0))
        except subprocess.TimeoutExpired:
            why = f"ended after {limit:.0f} seconds, its share of the time"
        finally:
            _end(process)
        said.seek(0)
        text = said.read()
    if not why and process.returncode:
        why = _end_of(text) or f"ended with {process.returncode} and without a word"
    return _told(part, folder, machine, why, text, time.monotonic() - began)


def _end(process: subprocess.Popen[Any]) -> None:
    """The process and whatever it began."""
    for sign, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue


def _end_of(text: str) -> str:
    """The last line, which says what went wrong."""
    return next(iter(text.strip().splitlines()[-1:]), "")


def _told(part: Part, folder: Path, machine: Document, why: str, text: str, seconds: float) -> Document:
    """The document as the process left it, with what went wrong and what led to it."""
    found = documents.read(folder, part.name)
    if found is None or not documents.same_machine(found, machine):
        found = documents.begun(part.name, machine, "", "") | {"seconds": round(seconds, 1)}
        why = why or "left no figures"
    if why:
        said = text.strip()[-LAST:].replace(f"{ROOT}{os.sep}", "")
        found |= {"status": UNFINISHED if why.startswith("ended after") else FAILED, "error": why, "said": said}
        documents.write(folder, found)
    return found


def ending(document: Document) -> str:
    """How a part went, in a line."""
    wrong = [row for row in document["rows"] if row.get("error")]
    good = len(document["rows"]) - len(wrong)
    parts = [f"{document['status']} in {document['seconds']:.0f} s", f"{good} cases"]
    parts += [f"{len(wrong)} went wrong"] if wrong else []
    last = (document["error"] or "").strip().splitlines()
    return ", ".join(parts) + (f": {last[-1]}" if last else "")
