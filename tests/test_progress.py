"""How a run is shown while it goes on: how fast, how long still, what it does; as a picture or in lines."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from rich.console import Console

from runtime.run import launch  # noqa: F401  not anew in every process of its own
from runtime.run import progress as shown
from runtime.run.frame import ROWS, History, Scene, drawn, losses, spark
from runtime.run.pace import HORIZON, METERED, Pace
from runtime.run.progress import Lines, Picture, progress_on
from runtime.run.shown import Facts
from specc.diagnostics.notices import counted, doing, watched

from . import processes
from .documents import document
from .test_waiting import Clock, Terminal


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread looks at the clock: tests do."""

    class Still:
        def __init__(self, tick: object) -> None:
            pass

        def stop(self) -> None:
            pass

    monkeypatch.setattr(shown, "Ticker", Still)
    monkeypatch.setenv("TERM", "xterm")


def loss(value: float) -> dict[str, torch.Tensor]:
    return {"unit0.independent": torch.tensor(value), "unit1.independent": torch.tensor(value / 2)}


# ---------------------------------------------------------------------------------------------- how fast, how long


def paced(epochs: int = 3, steps: int = 10) -> tuple[Pace, Clock]:
    clock = Clock()
    pace = Pace(epochs, clock)
    pace.epoch_begins(0, steps)
    return pace, clock


def test_the_time_left_is_that_of_all_steps_and_all_evaluations() -> None:
    pace, clock = paced(epochs=3, steps=10)
    for step in range(1, 11):
        clock.now += 2
        pace.step_done(step, seen=True)
    assert (pace.step_seconds, pace.left(), pace.between) == (2, 40, None)  # nothing is known of evaluations
    clock.now += 5  # one of them
    pace.epoch_begins(1, 10)
    clock.now += 2
    pace.step_done(1, seen=True)
    assert (pace.step_seconds, pace.left()) == (2, 2 * 19 + 5 * 2)
    assert pace.left_of_epoch() == 18


def test_the_time_left_goes_by_while_nothing_is_done() -> None:
    pace, clock = paced(epochs=1)
    for step in range(1, 6):
        clock.now += 2
        pace.step_done(step, seen=True)
    clock.now += 3
    assert pace.left() == 7
    clock.now += 1_000
    assert pace.left() == 0


def test_the_first_steps_which_are_measured_do_not_count_as_soon_as_there_are_others() -> None:
    pace, clock = paced(steps=100)
    for step in range(1, 10):
        clock.now += 50 if step <= METERED else 1
        pace.step_done(step, seen=True)
    assert pace.step_seconds == 1


def test_the_speed_is_that_of_the_last_minute() -> None:
    pace, clock = paced(steps=1000)
    for step in range(1, 400):
        clock.now += 1 if step < 200 else 3
        pace.step_done(step, seen=True)
    assert HORIZON < 3 * 199
    assert pace.step_seconds == pytest.approx(3)


def test_steps_that_nobody_has_waited_for_are_no_measure_of_speed() -> None:
    pace, clock = paced(steps=100)
    for step in range(1, 41):  # of a GPU: the host is done at once, until it waits for all of them
        waits = step % 10 == 0
        clock.now += 20 if waits else 0.001
        pace.step_done(step, seen=waits)
    assert pace.step_seconds == pytest.approx(2, rel=0.01)
    assert pace.step == 40


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_has_only_the_rest_of_it_to_do() -> None:
    clock = Clock()
    pace = Pace(2, clock)
    pace.epoch_begins(1, 10)
    clock.now += 2
    pace.step_done(7, seen=True)
    assert pace.left() == 6


# ---------------------------------------------------------------------------------------------- the picture


def histories(count: int) -> dict[str, History]:
    found = {f"unit{i}.independent": History() for i in range(count)}
    for i, history in enumerate(found.values()):
        for step in range(50):
            history.add(10 / (step + i + 1))
    return found


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("width", [24, 60, 80, 120])
@pytest.mark.parametrize("units", [1, 2, 8, 16, 60])
def test_a_picture_fits_the_terminal(units: int, width: int, plain: bool) -> None:
    parts = ["1873 images a second", "1 h 12 min left", "memory 412 MiB now", "at most 530 MiB of 600 MiB (allocator)"]
    scene = Scene("epoch 12/400", 412, 781, "evaluating 12/40", parts, histories(units))
    lines = drawn(scene, width, plain=plain)
    assert all(line.cell_len < width for line in lines)
    text = "\n".join(line.plain for line in lines)
    assert all(part in text for part in parts if len(part) < width) or width < 60
    assert "412/781" in text
    assert "evaluating 12/40" in text or width < 60
    if plain:
        text.encode("ascii")
    assert len(lines) <= 5 + ROWS or width < 60


def test_every_unit_has_a_history_where_there_is_room_and_a_character_where_there_is_not() -> None:
    few, many = ([*losses(histories(count), 79, plain=False)] for count in (8, 60))
    assert sum(line.count(".") for line in few) == 8  # as many figures
    assert len(many[1]) == 60


def test_a_history_of_any_length_is_the_whole_of_it() -> None:
    history = History()
    for step in range(1_000):
        history.add(float(step))
    assert 6 <= len(history.figures) < 12
    assert history.figures == sorted(history.figures)
    assert history.figures[0] < 100 < 800 < history.figures[-1]


def test_losses_that_are_no_numbers_are_shown_as_that() -> None:
    assert spark([1.0, float("nan"), float("inf"), 2.0], plain=False) == "▁??█"


def picture(screen: Terminal, clock: Clock, width: int = 80) -> Picture:
    return Picture(Console(file=screen, width=width, highlight=False), 3, clock)


def test_a_terminal_shows_what_the_run_does_and_is_left_as_it_was() -> None:
    screen, clock = Terminal(), Clock()
    run = picture(screen, clock)
    run.run_begins(Facts(batch=100, memory=lambda: ["memory 412 MiB now"]))
    run.epoch_begins(0, 10)
    for step in range(1, 6):
        clock.now += 2
        run.step_done(step, loss(1.5))
    run.live.refresh()
    said = screen.getvalue()
    for part in (
        "5/10",
        "50 images a second",
        "at least 50 s left",
        "memory 412 MiB now",
        "1.500",
        "0.750",
        "training",
    ):
        assert part in said
    with watched(run), doing("evaluating") as so_far:
        so_far(3, 9)
        run.live.refresh()
    assert "evaluating 3/9" in screen.getvalue()
    run.close()
    hidden, given_back = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().rindex(given_back) > screen.getvalue().rindex(hidden)
    assert screen.getvalue().index(given_back) < screen.getvalue().index("5/10")  # before anything can go wrong


def test_a_picture_whose_lines_were_broken_by_a_narrower_terminal_is_taken_away_as_a_whole() -> None:
    screen, clock = Terminal(), Clock()
    run = picture(screen, clock, width=100)
    run.epoch_begins(0, 10)
    run.live.refresh()
    assert "\x1b[J" not in screen.getvalue()
    (wide,) = run._widths  # one line, three of which there are when each has room for less than half of it
    run.console.width = wide // 2 - 1
    run.live.refresh()
    assert screen.getvalue().count("\x1b[2A\x1b[J") == 1
    run.close()


def test_a_picture_is_drawn_between_two_steps_and_by_another_thread_only_where_there_are_none() -> None:
    run, times = picture(Terminal(), clock := Clock()), list[float]()
    run.live.refresh = lambda: times.append(round(clock.now - 100, 2))
    run.epoch_begins(0, 1000)
    for step in range(1, 9):
        clock.now += 0.25
        run.step_done(step, loss(1.0))
        run.tick()
    assert times == [0.5, 1.0, 1.5, 2.0]
    for _ in range(16):
        clock.now += 0.25
        run.tick()
    assert times[4:] == [3.0, 4.0, 5.0, 6.0]


def test_the_units_losses_are_looked_at_now_and_then() -> None:
    run = Lines(Console(file=io.StringIO()), 3, clock := Clock())
    run.epoch_begins(0, 1000)
    for step in range(1, 101):
        clock.now += 0.01
        run.step_done(step, loss(step))
    assert [len(history.figures) for history in run.units.values()] == [4, 4]


# ---------------------------------------------------------------------------------------------- plain lines


def lines() -> tuple[Lines, Clock, io.StringIO]:
    out, clock = io.StringIO(), Clock()
    run = Lines(Console(file=out, width=200, highlight=False), 3, clock)
    run.run_begins(Facts(batch=32))
    return run, clock, out


def test_no_half_minute_passes_without_a_line() -> None:
    run, clock, out = lines()
    run.epoch_begins(0, 1000)
    begun, said = clock.now, [clock.now]
    while clock.now < begun + 200:
        clock.now += 1
        run.step_done(int(clock.now - begun), loss(1.5))
        before = out.getvalue()
        run.tick()
        said += [clock.now] * (out.getvalue() != before)
    assert {b - a for a, b in pairwise(said)} == {30}
    first = out.getvalue().splitlines()[0]
    assert first == "epoch 1/3  step 30/1000  loss 0.7500  32 images a second  at least 49 min 30 s left"


def test_an_evaluation_and_a_step_of_a_minute_have_their_lines_too() -> None:
    run, clock, out = lines()
    run.epoch_begins(1, 10)
    clock.now += 31
    run.tick()
    with watched(run), doing("evaluating") as so_far:
        for _ in counted(range(4), so_far, 4):
            clock.now += 31
            run.tick()
    assert out.getvalue().splitlines() == [
        "epoch 2/3  step 0/10  beginning",
        *(f"epoch 2/3  step 0/10  evaluating {done}/4" for done in range(4)),
    ]


def test_a_line_is_written_only_where_there_was_none_for_half_a_minute() -> None:
    run, clock, out = lines()
    row = {"epoch": 1, "lr": 0.1, "seconds": 20.0, "test_accuracy": 0.5, "test_loss": 1.0, "train_accuracy": 0.5}
    for _ in range(5):
        clock.now += 20
        run.tick()
        run.epoch_ends(row)
    assert len(out.getvalue().splitlines()) == 5
    assert run.tick() == 30


def test_who_has_asked_a_run_to_end_is_heard_at_once() -> None:
    run, clock, out = lines()
    run.run_begins(Facts(batch=32, stopping=lambda: True))
    run.epoch_begins(1, 10)
    clock.now += 31
    run.tick()
    assert "stopping after this step" in out.getvalue()


def test_pictures_are_for_terminals_that_can_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for stream, name, kind in (
        (io.StringIO(), "xterm", Lines),
        (Terminal(), "dumb", Lines),
        (Terminal(), "xterm", Picture),
    ):
        monkeypatch.setenv("TERM", name)
        run = progress_on(Console(file=stream), 1)
        assert type(run) is kind
        run.close()


# ---------------------------------------------------------------------------------------------- a real terminal


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("ended", ["itself", "SIGTERM"])
def test_a_run_on_a_terminal(ended: str, terminal: tuple[int, int], tmp_path: Path) -> None:
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    spec = tmp_path / "spec.yaml"
    data = {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 80, "batch_size": 8}
    epochs = 2 if ended == "itself" else 500
    spec.write_text(json.dumps(document(data=data, train={"epochs": epochs})))

    def on_it() -> None:
        os.dup2(theirs, 2)
        os.environ.pop("NO_COLOR", None)

    child = processes.started("run", spec, "--device", "cpu", "--run-dir", tmp_path / "run", before=on_it)
    said = b""
    waits = ended == "SIGTERM"
    while not child.ended():
        said += _read(ours)
        if waits and b"loss of each unit" in said:
            child.kill(signal.SIGTERM)
            waits = False
    said += _read(ours)
    text = said.decode()
    assert child.wait().returncode == (0 if ended == "itself" else 130)
    assert termios.tcgetattr(theirs) == before
    assert "training" in text
    assert "images a second" in text
    hidden, given_back = "\x1b[?25l", "\x1b[?25h"
    assert text.rindex(given_back) > text.rindex(hidden)
    after = text[text.rindex("━" if "━" in text else "─") :]
    assert "\x1b[2K" in after  # the last picture was taken away
    if ended == "itself":
        assert "epoch 2/2  lr 0.1" in text


def _read(terminal: int) -> bytes:
    said = b""
    while select.select([terminal], [], [], 0.05)[0]:
        said += os.read(terminal, 1 << 16)
    return said
