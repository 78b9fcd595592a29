"""What every test may rely on: one thread, one seed, hypothesis without chance."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["SPECC_PLUGINS"] = "none"  # whatever is installed, the suite is the same on every machine
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # workers share the cores, their processes too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script; tests of interruptions need it
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # what is loaded and collected stays; looking through it for what does not takes seconds
import torch  # noqa: E402  # it reads them

import runtime  # noqa: E402, F401  # networks are traced in this process

HEARD = (signal.SIGINT, signal.SIGTERM)
SEED = int(os.environ.get("SPECC_TEST_SEED", "0"))

settings.register_profile("specc", derandomize=True, deadline=None, database=None)
settings.load_profile("specc")
torch.set_num_threads(1)  # where torch was there before


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-dir", type=Path, metavar="DIR", help="compare with every golden trace in DIR (tests/golden)"
    )


def pytest_report_header() -> str:
    return f"specc: seed {SEED} (SPECC_TEST_SEED), hypothesis derandomised"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What forks goes first: once torch has a thread for gradients, it computes none in a fork any more.

    Then the files with most tests, so that no worker has a long one to itself at the end.
    """
    size = Counter(item.path for item in items)
    items.sort(key=lambda item: (not _forks(item), -size[item.path]))


def pytest_collection_finish() -> None:
    """A million objects of torch and pytest are no garbage: who looks for some passes over them, forks too."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # as it comes, a tenth of the suite's time is spent looking for cycles
    gc.enable()


def _forks(item: pytest.Item) -> bool:
    known = vars(getattr(item, "module", None) or item)
    return any("tests.processes" in (getattr(each, "__module__", ""), getattr(each, "__name__", ""))
               for each in known.values())  # fmt: skip


@pytest.fixture(autouse=True)
def signals_are_heard() -> Iterator[None]:
    """A test that leaves signals unheard fails, not one of interruptions that comes after it."""
    before = {number: signal.getsignal(number) for number in HEARD}
    yield
    after = {number: signal.getsignal(number) for number in HEARD}
    for number in HEARD:
        signal.signal(number, before[number])
    assert after == before


@pytest.fixture(scope="session", autouse=True)
def no_line_because_of_the_clock() -> Iterator[None]:
    """What a command says only where it takes long would depend on how busy the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("specc.commands.waiting.LONG", 1e6)
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all workers, and never that of the person who runs the tests."""
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECC_CACHE", str((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "specc-cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_reports() -> Iterator[None]:
    """A run of a test draws no report, which takes longer than most of them; tests of reports draw their own."""
    from runtime.run import reporting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "leave", lambda run: None)
        yield
