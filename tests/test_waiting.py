"""What is said while somebody waits."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from specc.cli import main
from specc.commands import waiting
from specc.commands.waiting import CLEAR, DOTS, Waiting
from specc.diagnostics.notices import counted, doing, notice, progress, watched
from specc.graph.families import TorchvisionModel
from specc.graph.families.resnet_cifar import ResNetCifar
from specc.system.streams import animated
from tests.documents import document
from tests.watching import Diary


class Clock:
    """A clock that goes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self.charset = encoding

    @property
    def encoding(self) -> str:
        return self.charset

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No thread looks at the clock: tests do."""

    class Still:
        def __init__(self, tick: object) -> None:
            pass

        def stop(self) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr(waiting, "Ticker", Still)
        patch.setattr(waiting, "LONG", 2.0)
        yield


# ---------------------------------------------------------------------------------------------- what is told


def test_what_is_done_inside_of_another_thing_is_told_with_how_far_it_is() -> None:
    with watched(diary := Diary()), doing("the whole"), doing("a part") as so_far:
        assert diary.open == 2
        assert list(counted("abc", so_far, 3)) == ["a", "b", "c"]
    assert (diary.begun, diary.counts, diary.open) == (["the whole", "a part"], [(0, 3), (1, 3), (2, 3)], 0)


def test_what_ends_with_an_error_is_over_as_well() -> None:
    with pytest.raises(ValueError), watched(diary := Diary()), doing("what fails"):
        raise ValueError
    assert diary.open == 0


def test_nobody_need_watch() -> None:
    with doing("alone") as so_far:
        so_far(1, 2)
        progress("still alone")


def test_notices_end_with_who_listens() -> None:
    heard: list[str] = []
    with notice.heard(heard.append):
        notice("one")
    notice("two")
    assert heard == ["one"]


# ---------------------------------------------------------------------------------------------- away from a terminal


def test_a_line_is_written_after_two_seconds_and_then_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    watcher = Waiting(io.StringIO(), moving=False, clock=clock)
    said: dict[float, str] = {}
    with watched(watcher), doing("the whole"), doing("a part") as so_far:
        for clock.now in (100.0, 101.9, 102.0, 103.0, 131.9, 132.0):
            so_far(int(clock.now) - 100, 40)
            watcher.tick()
            said[clock.now] = capsys.readouterr().err
    spoken = {at: text for at, text in said.items() if text}
    assert spoken == {102.0: "a part 2/40 ...\n", 132.0: "a part 32/40 ...\n"}
    assert capsys.readouterr() == ("", "")


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    watcher = Waiting(io.StringIO(), moving=False, clock=clock)
    for _ in range(5):  # each of them anew
        with watched(watcher), doing("something"):
            clock.now += 1.9
            watcher.tick()
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------------------------------------- on a terminal


def test_a_line_comes_after_some_tenths_of_a_second_and_goes() -> None:
    clock, screen = Clock(), Terminal()
    watcher = Waiting(screen, moving=True, clock=clock)
    with watched(watcher), doing("looking at the images") as so_far:
        watcher.tick()
        assert screen.getvalue() == ""
        clock.now += 0.5
        so_far(3, 7)
        watcher.tick()
        shown = screen.getvalue()
        assert re.fullmatch(rf"\r\x1b\[2K[{DOTS}] looking at the images 3/7", shown)
    assert screen.getvalue() == shown + CLEAR


def test_a_line_is_never_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    clock, screen = Clock(), Terminal()
    watcher = Waiting(screen, moving=True, clock=clock)
    with watched(watcher), doing("something with a long name\x1b[31m"):
        clock.now += 1
        watcher.tick()
        assert len(screen.getvalue().removeprefix(CLEAR)) == 19


def test_what_lets_nothing_be_shown_while_it_goes_on_is_shown_before() -> None:
    screen, log = Terminal(), io.StringIO()
    for stream, moving in (screen, True), (log, False):
        with watched(Waiting(stream, moving=moving, clock=Clock())), doing("loading", at_once=True):
            assert ("loading" in stream.getvalue()) == moving
    assert screen.getvalue().endswith(CLEAR)


def test_a_terminal_without_dots_has_strokes() -> None:
    clock, screen = Clock(), Terminal("ascii")
    watcher = Waiting(screen, moving=True, clock=clock)
    with watched(watcher), doing("something"):
        clock.now += 1
        watcher.tick()
    screen.getvalue().encode("ascii")


def test_a_notice_does_not_end_up_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    clock, screen = Clock(), Terminal()
    watcher = Waiting(screen, moving=True, clock=clock)
    with watched(watcher), notice.heard(watcher.say), doing("something"):
        clock.now += 1
        watcher.tick()
        notice("by the way")
        assert screen.getvalue().endswith(CLEAR)
    assert capsys.readouterr().err == "by the way\n"


def test_colours_that_are_asked_for_elsewhere_make_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert not animated(io.StringIO())
    assert animated(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not animated(Terminal())


# ---------------------------------------------------------------------------------------------- commands


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec of a model that is traced by something quick."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    backbone = ResNetCifar(family="resnet_cifar", depth=8).expand
    monkeypatch.setattr("specc.graph.traced.tracing._here", [lambda source: backbone(source.image, source.classes)])
    data = {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": 4, "samples": 24, "batch_size": 6}
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(document(backbone={"torchvision": "swin_t"}, data=data, split={"blocks": 1})))
    return path


@pytest.mark.parametrize("command", [["validate"], ["graph"], ["plan"], ["plan", "--format", "json"]])
def test_what_takes_long_is_said_on_stderr(command: list[str], spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = CliRunner().invoke(main, [command[0], str(spec), *command[1:]])
    monkeypatch.setattr(Waiting, "ends", _looks_before(Waiting.ends))
    monkeypatch.setattr(waiting, "LONG", 0.0)
    monkeypatch.setattr(waiting, "AGAIN", 0.0)
    slow = CliRunner().invoke(main, [command[0], str(spec), *command[1:]])
    assert (quick.exit_code, slow.exit_code) == (0, 0)
    assert "compiling tiny ..." in slow.stderr
    assert "compiling" not in quick.stderr
    assert quick.stdout == slow.stdout


def _looks_before(ends: object) -> object:
    def looked(self: Waiting) -> None:
        self.tick()
        ends(self)

    return looked


def test_a_model_is_traced_once_and_that_is_told(spec: Path) -> None:
    for told in (True, False):
        with watched(diary := Diary()):
            TorchvisionModel(torchvision="swin_t").expand((3, 8, 8), 4)
        assert any("tracing torchvision's `swin_t`" in what for what in diary.begun) == told


def test_a_program_that_does_not_watch_hears_nothing(spec: Path, capfd: pytest.CaptureFixture[str]) -> None:
    TorchvisionModel(torchvision="swin_t").expand((3, 8, 8), 4)
    assert capfd.readouterr() == ("", "")
