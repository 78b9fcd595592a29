"""Freed memory stays with the process: what the runtime asks of glibc, and when it asks nothing."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from runtime.engine import heap
from runtime.engine.heap import allocator, keep_freed_memory, policy
from runtime.run.environment import environment

from .commands import specc
from .documents import document

needs_glibc = pytest.mark.skipif(allocator() is None, reason="another malloc than glibc's")


class Library:
    """A C library that remembers what was asked of its mallopt."""

    def __init__(self, most: int = 2**31) -> None:
        self.most = most
        self.asked: list[tuple[int, int]] = []

    def mallopt(self, parameter: int, value: int) -> int:
        self.asked.append((parameter, value))
        return int(parameter == heap.M_TRIM_THRESHOLD or value <= self.most)


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*heap.VARIABLES, heap.TUNABLES):
        monkeypatch.delenv(name, raising=False)


def asked(monkeypatch: pytest.MonkeyPatch, library: Library) -> bool:
    monkeypatch.setattr(heap, "allocator", lambda: "2.39")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return keep_freed_memory.__wrapped__()


def test_glibc_is_asked_to_hand_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    assert asked(monkeypatch, library)
    assert library.asked == [(-1, 2**31 - 1), (-3, 1 << 30)]


def test_an_older_glibc_takes_less_for_large(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(most=32 << 20)
    assert asked(monkeypatch, library)
    assert library.asked[1:] == [(-3, 1 << 30), (-3, 32 << 20)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("MALLOC_MMAP_THRESHOLD_", "65536"),
        ("MALLOC_TOP_PAD_", "0"),
        ("MALLOC_MMAP_MAX_", "0"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=128:glibc.cpu.x86_shstk=on"),
    ],
)
def test_the_users_own_word_on_malloc_stands(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    library = Library()
    assert not asked(monkeypatch, library)
    assert library.asked == []
    assert policy() == f"as {name} says (glibc 2.39)"


def test_tunables_of_something_else_are_no_word_on_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.cpu.x86_shstk=on")
    assert asked(monkeypatch, Library())


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def preloaded(address: object, place: object) -> int:
        place._obj.file = b"/usr/lib/libjemalloc.so.2"
        return 1

    class Preloaded(Library):
        malloc = ctypes.CDLL(None).malloc
        dladdr = staticmethod(preloaded)

        gnu_get_libc_version = Mock(return_value=b"2.39")

    library = Preloaded()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert allocator() is None
    assert not keep_freed_memory.__wrapped__()
    assert library.asked == []
    assert policy() == "as the allocator has it, which is not glibc's"


def test_a_system_without_glibc_has_nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # musl, macOS: no `gnu_get_libc_version`
    assert allocator() is None
    assert not keep_freed_memory.__wrapped__()


FAULTED_AGAIN = """
import resource, torch
from runtime.engine.heap import keep_freed_memory

torch.set_num_threads(1)
assert keep_freed_memory()

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(1 << 20) for _ in range(8)]  # of 4 MiB, a thousand pages, each
    del held  # more at once than glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(pages() for _ in range(6)))
"""


@needs_glibc
def test_what_is_freed_is_not_faulted_in_again() -> None:
    """In a process of its own: where memory is found depends on all that a process did before."""
    command = [sys.executable, "-c", FAULTED_AGAIN]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 200


def test_a_run_on_a_processor_keeps_what_is_freed_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    monkeypatch.setattr("runtime.run.launch.keep_freed_memory", lambda: calls.append(True))
    (tmp_path / "spec.yaml").write_text(json.dumps(document(train={"epochs": 1})))
    assert specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path).returncode == 0
    assert calls == [True]
    assert json.loads((tmp_path / "run/env.json").read_text())["freed_memory"] == policy()


def test_what_becomes_of_freed_memory_is_nothing_of_a_gpu() -> None:
    assert environment(torch.device("cuda"))["freed_memory"] is None
    assert "kept" in environment(torch.device("cpu"))["freed_memory"] or allocator() is None
