"""Runs of several processes as people start them: whole Pythons, torchrun, several machines, SLURM; a minute each.

What goes wrong among ranks is in `tests/test_launching.py`, where a process costs no import.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from specc.runs.checkpoints import exists
from tests.commands import ROOT, surroundings
from tests.documents import document
from tests.forked import family, is_alive, listening, still_open

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for what is left behind where Linux has it"),
]
PATIENCE = 300.0  # seconds; a deadlock must end a test
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
SPECC = (sys.executable, "-m", "specc")
ON = ("--device", "cpu", "--no-report", "--run-dir", "run")
ENDLESS = {"epochs": 100_000}


class Apart:
    """A command, which says what it does in `said`."""

    def __init__(self, words: Sequence[str | Path], folder: Path, **variables: str) -> None:
        self.path = folder / f"said{len(list(folder.glob('said*')))}"
        env = surroundings() | {"OMP_NUM_THREADS": "1"} | variables
        with self.path.open("w") as said:
            self.process = subprocess.Popen(list(map(str, words)), cwd=folder, env=env, stdout=said, stderr=said,
                                            start_new_session=True)  # fmt: skip
        self.members: list[int] = []
        self.ports: set[str] = set()

    @property
    def said(self) -> str:
        return self.path.read_text(errors="replace")

    def until(self, done: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.1)
        self.members = family(self.process.pid)
        self.ports = listening(self.members)

    def ends(self) -> tuple[int, str]:
        code = self.process.wait(PATIENCE)
        end = time.monotonic() + 30
        while (any(map(is_alive, self.members)) or still_open(self.ports)) and time.monotonic() < end:
            time.sleep(0.1)
        assert not [pid for pid in self.members if is_alive(pid)]
        assert still_open(self.ports) == set()
        return code, self.said

    def kill(self) -> None:
        for pid in filter(is_alive, {*self.members, *family(self.process.pid)}):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Callable[..., Apart]]:
    all: list[Apart] = []

    def start(*words: str | Path, **variables: str) -> Apart:
        all.append(Apart(words, tmp_path, **variables))
        return all[-1]

    yield start
    for each in all:
        each.kill()


def put(folder: Path, name: str = "spec.json", **parts: Any) -> str:
    """A spec of few steps, in a file."""
    parts = {"data": document()["data"] | {"samples": 12}, "train": {"epochs": 2}} | parts
    (folder / name).write_text(json.dumps(document(**parts)))
    return name


def whole(folder: Path) -> Mapping[str, Any]:
    """What is said of a run that was trained to its end."""
    found: Mapping[str, Any] = json.loads((folder / "run" / "summary.json").read_text())
    assert found["status"] == "completed"
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def ranks_of(launcher: int) -> list[int]:
    """The processes that train, of all that a launcher has started."""
    return [pid for pid in family(launcher)[1:] if b"\0-m\0specc\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


# ------------------------------------------------------------------------------------------- one machine


@pytest.mark.parametrize("form", [
    pytest.param((*TORCHRUN, "-m", "specc"), id="module"),
    pytest.param((*TORCHRUN, str(Path(sys.executable).with_name("specc"))), id="script"),
    pytest.param((*TORCHRUN, "--no-python", str(Path(sys.executable).with_name("specc"))), id="command"),
])  # fmt: skip
def test_torchrun_starts_a_run(form: Sequence[str], tmp_path: Path, apart: Callable[..., Apart]) -> None:
    code, said = apart(*form, "run", put(tmp_path), *ON).ends()
    assert code == 0, said
    assert whole(tmp_path)
    assert said.count("training tiny on ") == 1, "one rank speaks"
    assert "2 processes train copies of the network, devices.data_parallel=2" in said


def test_a_run_of_several_processes_ends_with_a_line_that_names_the_killed_one_and_is_gone_on_with(
    tmp_path: Path, apart: Callable[..., Apart]
) -> None:
    run = apart(*SPECC, "run", put(tmp_path, train=ENDLESS), *ON, "--nproc", "2")
    run.until(lambda: exists(tmp_path / "run"))
    before = len(run.said.splitlines())
    os.kill(ranks_of(run.process.pid)[1], signal.SIGKILL)
    code, said = run.ends()
    error, *help = [line for line in said.splitlines()[before - 1 :] if line.startswith(("error", "  = "))]
    assert (code, error) == (3, "error: rank 1 was killed (signal 9): the machine may have run out of memory")
    again = shlex.split(help[-1].partition("then: specc ")[2])
    assert again == ["resume", "run", "--nproc", "2"]
    resumed = apart(*SPECC, *again, "--device", "cpu", "--no-report")
    resumed.until(lambda: "resuming tiny from " in resumed.said)
    resumed.process.send_signal(signal.SIGINT)
    assert resumed.ends()[0] == 130


# ------------------------------------------------------------------------------------------- several machines


def nodes(port: int, address: str = "127.0.0.1") -> Sequence[str]:
    return ("--nproc", "1", "--nodes", "2", "--rendezvous", f"{address}:{port}", "--timeout", "60")


def test_two_launchers_train_one_run(tmp_path: Path, apart: Callable[..., Apart]) -> None:
    spec, place = put(tmp_path), nodes(free_port())
    ends = [each.ends() for each in [apart(*SPECC, "run", spec, *ON, *place) for _ in range(2)]]
    assert [code for code, _ in ends] == [0, 0], ends
    assert whole(tmp_path)


def test_two_torchruns_train_one_run(tmp_path: Path, apart: Callable[..., Apart]) -> None:
    place = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}")
    words = (sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", *place)
    ends = [each.ends() for each in [apart(*words, "-m", "specc", "run", put(tmp_path), *ON) for _ in range(2)]]
    assert [code for code, _ in ends] == [0, 0], ends
    assert whole(tmp_path)


def test_two_launchers_with_other_specs_end_and_both_say_why(tmp_path: Path, apart: Callable[..., Apart]) -> None:
    place = nodes(free_port())
    specs = [put(tmp_path), put(tmp_path, "other.json", train={"epochs": 3})]
    ends = [each.ends() for each in [apart(*SPECC, "run", spec, *ON, *place) for spec in specs]]
    for code, said in ends:
        assert code == 3
        assert "error: rank 1 has another spec than rank 0\n" in said
    assert not (tmp_path / "run").exists()


def test_a_killed_rank_ends_the_launchers_of_all_machines(tmp_path: Path, apart: Callable[..., Apart]) -> None:
    spec, place = put(tmp_path, train=ENDLESS), nodes(free_port())
    runs = [apart(*SPECC, "run", spec, *ON, *place) for _ in range(2)]
    for each in runs:
        each.until(lambda: exists(tmp_path / "run"))
    (victim,) = ranks_of(runs[1].process.pid)
    os.kill(victim, signal.SIGKILL)
    (first, said), (second, killed) = (each.ends() for each in runs)
    assert (first, second) == (3, 3)
    assert re.search(r"^error: rank [01] was killed \(signal 9\)", killed, re.M), killed
    assert re.search(r"^error: rank [01],? .*(is gone|has ended|did not answer)", said, re.M), said
    assert "frame #" not in said + killed, "torch's pages"


@pytest.fixture
def two_hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a cable between them; the first one's address is 10.99.0.1."""
    names = [f"specc{os.getpid()}{side}" for side in "ab"]
    commands = [
        *(f"netns add {name}" for name in names),
        f"-n {names[0]} link add cable type veth peer name cable netns {names[1]}",
        *(f"-n {name} addr add 10.99.0.{i}/24 dev cable" for i, name in enumerate(names, 1)),
        *(f"-n {name} link set {device} up" for name in names for device in ("cable", "lo")),
    ]
    if shutil.which("ip") is None:
        pytest.skip("no `ip`")
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"ip {command}: {done.stderr}")
        yield names[0], names[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_two_machines_train_one_run(tmp_path: Path, two_hosts: tuple[str, str], apart: Callable[..., Apart]) -> None:
    spec, place = put(tmp_path), nodes(29500, "10.99.0.1")
    runs = [
        apart("ip", "netns", "exec", host, *SPECC, "run", spec, *ON, *place, GLOO_SOCKET_IFNAME="cable")
        for host in two_hosts
    ]
    ends = [each.ends() for each in runs]
    assert [code for code, _ in ends] == [0, 0], ends
    assert whole(tmp_path)


# ------------------------------------------------------------------------------------------- SLURM

SRUN = """#!/bin/bash
# starts its words on two machines, and passes a signal on to them
while [[ $1 == --* ]]; do shift; done
"$@" & first=$!
"$@" & second=$!
trap 'kill -USR1 $first $second' USR1
most=0
for task in $first $second; do
    wait $task; code=$?
    while [ $code -eq 138 ]; do wait $task; code=$?; done   # of the signal
    if [ $code -gt $most ]; then most=$code; fi
done
exit $most
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then echo 127.0.0.1; else echo "$@" >> "$SLURM_SUBMIT_DIR/requeued"; fi
"""


def batch(folder: Path) -> Path:
    """The script of the documentation, for two machines of one process each, and what it calls."""
    page = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    text = page[page.index("#!/bin/bash") :].partition("```")[0]
    for old, new in (("--nproc 8", "--nproc 1"), (":29500", f":{free_port()}"), ("spec.yaml", "spec.json")):
        assert old in text
        text = text.replace(old, new)
    for name, content in (("job.sh", text), ("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    return folder / "job.sh"


def test_a_job_of_slurm_saves_before_its_time_is_over_and_goes_on_when_it_is_queued_again(
    tmp_path: Path, apart: Callable[..., Apart]
) -> None:
    put(tmp_path, train=ENDLESS)
    script, folder = batch(tmp_path), tmp_path / "runs" / "job-7"
    programs = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    slurm = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]",
             "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "PATH": programs}  # fmt: skip
    for begins, times in (("training tiny on ", 1), ("resuming tiny from ", 2)):
        job = apart("bash", script, **slurm)
        job.until(lambda job=job, begins=begins: begins in job.said and exists(folder))
        job.process.send_signal(signal.SIGUSR1)
        code, said = job.ends()
        assert code == 130, said
        assert "error: interrupted; checkpoint saved" in said or "error: interrupted" in said, said
        assert (tmp_path / "requeued").read_text() == "requeue 7\n" * times
