"""`make gpu`: on stand-ins where there is no GPU, with nothing installed that the machine with one may lack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement

from benchmarks.gpu import calibration, documents, page, running
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.memory import spread
from benchmarks.gpu.parts import NAMES, PARTS, Part
from benchmarks.gpu.predicting import sheet_of
from benchmarks.gpu.work import Work
from specc import profiles

ROOT = Path(__file__).parents[1]
THERE = ("torch", "torchvision", "numpy", "networkx", "click", "rich", "scikit-learn", "safetensors", "hypothesis",
         "pytest", "pydantic", "ruamel.yaml")  # fmt: skip
MACHINE = {"kind": "cuda", "device": "NVIDIA H200", "bytes": 150754820096, "driver": "580.1", "torch": "2.11.0",
           "cuda": "13.0", "cudnn": 91002, "python": "3.12.3", "architecture": "x86_64"}  # fmt: skip
CPU = torch.device("cpu")
QUICK = ("golden", "memory", "steps", "rivals", "offload")
Document = dict[str, Any]


def document(part: str, *rows: Document, **changes: Any) -> Document:
    made = documents.begun(part, MACHINE, f"python -m benchmarks.gpu --only {part}", "2026-01-31T12:00:00+00:00")
    return made | {"status": "done", "seconds": 12.0, "rows": list(rows)} | changes


# ---------------------------------------------------------------------------------------------- the page


def test_the_page_is_what_its_files_say() -> None:
    shown = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert page.text(page.FIGURES) == shown, "python -m benchmarks.gpu page"


def test_without_files_the_page_says_that_none_was_measured(tmp_path: Path) -> None:
    assert "**None was measured yet**" in page.text(tmp_path)
    documents.write(tmp_path, document("golden"))
    assert "None was measured" not in page.text(tmp_path)
    assert "Not measured yet: Calibration" in page.text(tmp_path)


def test_every_figure_of_the_page_is_in_a_file(tmp_path: Path) -> None:
    row = {"name": "ResNet", "predicted_bytes": 95 << 20, "requested_bytes": 98 << 20, "allocated_bytes": 100 << 20,
           "reserved_bytes": 128 << 20, "measured_seconds": 0.04, "calibrated_seconds": 0.036}  # fmt: skip
    documents.write(tmp_path, document("memory", row))
    shown = page.text(tmp_path)
    assert "| ResNet | 95 MiB | 98 MiB | 100 MiB | 128 MiB | -3.06% | -5.00% | – | – | 40 | -10% | – |" in shown
    assert "NVIDIA H200, 140.4 GiB, driver 580.1, torch 2.11.0, CUDA 13.0, cuDNN 91002, Python 3.12.3." in shown
    documents.write(tmp_path, document("memory", row | {"allocated_bytes": 50 << 20}))
    assert "+90.00% |" in page.text(tmp_path)


def test_times_are_compared_over_all_rows(tmp_path: Path) -> None:
    rows = [{"name": str(i), "calibrated_seconds": c, "measured_seconds": m}
            for i, (c, m) in enumerate([(1.0, 2.0), (3.0, 3.0), (5.0, 4.0)])]  # fmt: skip
    documents.write(tmp_path, document("memory", *rows))
    said = "Step times calibrated here, on 3 specs: 25% off in the median, 50% at most; rank correlation 1.000."
    assert said in page.text(tmp_path)


def test_a_sheet_is_found_by_the_name_that_the_driver_says() -> None:
    names = {"NVIDIA H200": "h200", "NVIDIA GeForce RTX 4090": "rtx4090", "NVIDIA L40S": None, "NVIDIA L4": "l4",
             "NVIDIA A100-SXM4-80GB": "a100", "NVIDIA A100-PCIE-40GB": "a100-pcie", "NVIDIA H100 PCIe": "h100-pcie",
             "NVIDIA A100-SXM4-40GB": "a100-40gb", "NVIDIA H100 80GB HBM3": "h100", "cpu": None}  # fmt: skip
    found = {name: sheet_of(name, profiles.sheets()) for name in names}
    assert {name: sheet and sheet.name for name, sheet in found.items()} == names


def test_what_went_wrong_and_what_is_of_another_machine_is_on_the_page(tmp_path: Path) -> None:
    bad = {"name": "vit", "error": "out of\nmemory | <b>"}
    documents.write(tmp_path, document("memory", bad, status="unfinished", error="ended after 9 seconds"))
    documents.write(tmp_path, document("golden", machine=MACHINE | {"device": "NVIDIA L4"}))
    shown = page.text(tmp_path)
    assert "**Unfinished**: ended after 9 seconds" in shown
    assert "- vit: out of memory / &lt;b>" in shown
    assert "NVIDIA L4" in shown
    assert "(golden)." in shown
    assert "(memory)." in shown


def test_stand_ins_are_called_so(tmp_path: Path) -> None:
    documents.write(tmp_path, document("golden", machine=MACHINE | {"kind": "cpu", "device": "cpu"}))
    assert "Stand-ins on a CPU, which say nothing of a GPU: cpu" in page.text(tmp_path)


def test_there_are_as_many_files_as_a_machine_hands_back() -> None:
    assert len(NAMES) <= 8


# ---------------------------------------------------------------------------------------------- parts as processes


def scripted(monkeypatch: pytest.MonkeyPatch, **scripts: str) -> list[str]:
    """Parts that are little scripts; the names of those that ran."""
    ran: list[str] = []

    def command(part: Part, device: str, folder: Path, limit: float) -> list[str]:
        ran.append(part.name)
        return [sys.executable, "-S", "-c", scripts[part.name], str(folder)]

    monkeypatch.setattr(running, "command_of", command)
    return ran


def parts(*names: str) -> list[Part]:
    return [Part(name, name.capitalize(), 1) for name in names]


def run(names: Iterable[str], folder: Path, seconds: float = 60.0, again: bool = False) -> list[Document]:
    return running.run_all(parts(*names), "cuda", folder, seconds, MACHINE, again, lambda _: None)


def writes(part: str, *rows: Document, status: str = "done") -> str:
    text = json.dumps(document(part, *rows, status=status))
    return f"import sys, pathlib; pathlib.Path(sys.argv[1], '{part}.json').write_text({text!r})"


def test_a_part_that_fails_says_so_and_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = writes("memory", {"name": "a"}, status="unfinished") + "; raise RuntimeError('no such kernel')"
    ran = scripted(monkeypatch, golden="import sys; sys.exit(3)", memory=wrong, cuda=writes("cuda"))
    run(("golden", "memory", "cuda"), tmp_path)
    golden, memory, cuda = (documents.read(tmp_path, name) or {} for name in ("golden", "memory", "cuda"))
    assert ran == ["golden", "memory", "cuda"]
    assert (golden["status"], golden["error"]) == ("failed", "ended with 3 and without a word")
    assert (memory["status"], memory["error"]) == ("failed", "RuntimeError: no such kernel")
    assert memory["rows"] == [{"name": "a"}], "what it had is kept"
    assert "Traceback" in memory["said"]
    assert cuda["status"] == "done"


def test_a_part_is_ended_with_all_that_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = ("import subprocess, sys, pathlib; child = subprocess.Popen(['sleep', '60']); "
            "pathlib.Path(sys.argv[1], 'pid').write_text(str(child.pid)); child.wait()")  # fmt: skip
    scripted(monkeypatch, golden=slow)
    began = time.monotonic()
    found = run(("golden",), tmp_path, seconds=2.0)[0]
    assert time.monotonic() - began < 30
    assert (found["status"], found["error"]) == ("unfinished", "ended after 2 seconds, its share of the time")
    status = Path("/proc", (tmp_path / "pid").read_text(), "status")
    for _ in range(100):  # until the child is gone, or waits for somebody to take note
        if not status.exists() or "zombie" in status.read_text():
            break
        time.sleep(0.05)
    assert not status.exists() or "zombie" in status.read_text()


def test_what_is_there_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {name: writes(name, {"name": "new"}) for name in ("golden", "memory", "cuda")}
    ran = scripted(monkeypatch, **scripts)
    documents.write(tmp_path, document("golden"))
    documents.write(tmp_path, document("memory", status="unfinished"))
    documents.write(tmp_path, document("cuda", machine=MACHINE | {"torch": "2.12.0"}))
    run(scripts, tmp_path)
    assert ran == ["memory", "cuda"]
    run(scripts, tmp_path)
    assert ran == ["memory", "cuda"]
    run(scripts, tmp_path, again=True)
    assert ran == ["memory", "cuda", "golden", "memory", "cuda"]


def test_the_time_is_divided_by_shares_and_what_is_left_over_passed_on() -> None:
    some = [Part("a", "A", 1), Part("b", "B", 3), Part("c", "C", 2)]
    assert running.shares(some, 60.0) == 10.0
    assert running.shares(some[1:], 59.0) == pytest.approx(59 * 3 / 5)
    assert running.shares(some[2:], 58.0) == 58.0


def test_a_part_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    first = Work("memory", CPU, 100.0, tmp_path)
    first.row("a", "fine", figure=1)
    first.row("b", "wrong", error="out of memory")
    again = Work("memory", CPU, 100.0, tmp_path)
    assert again.has("a")
    assert not again.has("b"), "what went wrong is tried once more"
    assert again.has("c", needs=1000.0), "there is no time for it"
    again.end()
    kept = documents.read(tmp_path, "memory") or {}
    assert (kept["status"], kept["error"]) == ("unfinished", "no time was left for 1 of the cases")
    assert [row["name"] for row in kept["rows"]] == ["a"]


def test_a_cache_gets_nothing_outside_of_its_room(tmp_path: Path) -> None:
    files = {"profiles/a.json": {"a": 1}, "../b.json": {}, "/tmp/specc-surely-not.json": {}, "elsewhere/c.json": {}}
    documents.write(tmp_path, document("calibration", facts={"files": files}))
    calibration.restore(tmp_path, tmp_path / "cache")
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")]
    assert sorted(written) == ["cache/profiles/a.json", "calibration.json"]
    assert not Path("/tmp/specc-surely-not.json").exists()


def test_however_many_are_measured_they_cover_the_range() -> None:
    order = spread(range(34))
    assert sorted(order) == list(range(34))
    assert order[:3] == [0, 33, 16]
    assert (spread([]), spread([1])) == ([], [1])


# ---------------------------------------------------------------------------------------------- the command


def test_without_a_gpu_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("benchmarks.gpu.__main__.machine_of", lambda device: {"error": f"{device}: none here"})
    assert main(["--out", str(tmp_path / "out")]) == 2
    assert "error: cuda: none here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["--device", "cpu"]) == 2
    assert "name a folder with --out" in capsys.readouterr().err


def test_make_installs_wheels_beside_the_python_and_hands_everything_on(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH | $@" >> "$0.log"\n')
    python.chmod(0o755)
    (tmp_path / "pydantic-2.whl").touch()
    words = [f"GPU_PYTHON={python}", f"WHEELS={tmp_path}", f"OUT={tmp_path}/out", "MINUTES=9", "ONLY=golden memory"]
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")}
    subprocess.run(["make", "gpu", *words], cwd=ROOT, env=env, check=True, capture_output=True)
    install, measure = (tmp_path / "python.log").read_text().splitlines()
    site = measure.partition(" | ")[0]
    assert install.endswith(f"--no-index --no-deps --no-compile --target {site} {tmp_path}/pydantic-2.whl")
    assert measure.endswith(f"-m benchmarks.gpu --out {tmp_path}/out --minutes 9 --only golden --only memory")
    assert not Path(site).exists()


# ---------------------------------------------------------------------------------------------- all of it


def closure(names: Iterable[str]) -> set[str]:
    """The distributions of some names and what they need themselves, extras left out."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = plain(waiting.pop())
        if name in found:
            continue
        try:
            needs = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def refused() -> list[str]:
    """Modules that are installed here and may be missing there."""
    allowed = closure(THERE)
    return sorted(
        module for module, names in packages_distributions().items()
        if not allowed & set(map(plain, names)) and module not in ("specc", "runtime", "benchmarks", "tests")
    )  # fmt: skip


HOOK = """
import sys
REFUSED = frozenset({names!r})
class Without:
    def __init__(self, finder):
        self._finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition('.')[0] in REFUSED else self._finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self._finder, name)
sys.meta_path[:] = map(Without, sys.meta_path)
"""


TOGETHER = """
import sys
parts, folder = sys.argv[3:], sys.argv[2]
import tests.test_on_a_gpu
from benchmarks.gpu import calibration, work
for part in parts:
    sys.argv[1:] = [part, 'cpu', '600', folder]
    work.main()
"""


def measured(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python in which nothing else can be imported."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOOK.format(names=refused()))
    path = os.pathsep.join([str(site), str(ROOT)])
    return subprocess.run([sys.executable, *words], cwd=ROOT, text=True, check=False, capture_output=True,
                          env=os.environ | {"PYTHONPATH": path})  # fmt: skip


def test_the_hook_refuses_what_may_be_missing() -> None:
    names = refused()
    assert {"matplotlib", "platformdirs", "xdist", "jsonschema", "onnx"} <= set(names)
    assert not {"torch", "torchvision", "sklearn", "pydantic", "ruamel", "PIL", "scipy"} & set(names)


def test_parts_run_on_stand_ins_where_only_that_is_installed(tmp_path: Path) -> None:
    """In one process, which is cheaper; without those that begin processes of their own."""
    done = measured(tmp_path, "-c", TOGETHER, "-", str(tmp_path), *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in QUICK:
        found = documents.read(tmp_path, name) or {}
        assert (found["status"], found["machine"]["kind"]) == ("done", "cpu")
        assert found["rows"]
        assert not [row for row in found["rows"] if row.get("error")]


@pytest.mark.full
@pytest.mark.slow
def test_the_whole_command_runs_on_stand_ins(tmp_path: Path) -> None:
    done = measured(tmp_path, "-m", "benchmarks.gpu", "--device", "cpu", "--minutes", "60", "--out",
                    str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = {part.name: documents.read(tmp_path / "out", part.name) or {} for part in PARTS}
    assert {name: each.get("status") for name, each in found.items()} == dict.fromkeys(NAMES, "done")
    assert all(each["rows"] for each in found.values())
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".json"]
    assert "Not measured yet" not in page.text(tmp_path / "out")
