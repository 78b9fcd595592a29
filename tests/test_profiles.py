"""Device profiles: files, names, and what is not one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from specc.profiles import Profile, UnknownProfile, find, folder, here, names, save, sheets, stored

SHEET = find("rtx3090")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made(**changes: object) -> Profile:
    """What a calibration might have given."""
    fields = {"name": "my-cpu", "kind": "cpu", "source": "calibrated", "date": "2026-01-01T00:00:00+00:00"}
    return replace(SHEET, **(fields | changes))


def test_every_sheet_is_named_as_its_file_and_says_where_its_figures_are_from() -> None:
    assert sheets()
    for sheet in sheets():
        assert find(sheet.name) == sheet
        assert (sheet.source, sheet.kind) == ("data sheet", "cuda")
        assert sheet.memory_bytes
        assert sheet.sources
        assert sheet.date == ""


def test_a_profile_is_kept_and_found_by_its_name_and_by_its_path() -> None:
    path = save(made())
    assert path == folder() / "my-cpu.json"
    assert stored() == (made(),)
    assert find("my-cpu") == find(str(path)) == made()
    assert names()[0] == "my-cpu"
    assert here("cpu") == made()
    assert here("cuda") is None


def test_the_newest_profile_of_this_machine_is_taken() -> None:
    save(made(name="old"))
    save(made(name="new", date="2026-02-01T00:00:00+00:00"))
    found = here("cpu")
    assert found is not None
    assert found.name == "new"


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UnknownProfile, match="no device profile `rtx3900`") as caught:
        find("rtx3900")
    assert caught.value.help[0] == "did you mean `rtx3090`?"


def test_what_is_wrong_with_a_file_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(asdict(made()) | {"bandwith": 1}))
    with pytest.raises(UnknownProfile, match=r"no device profile is in .*x\.json: bandwith: \w[\w ]+$"):
        find(str(path))
    path.write_text('{"a": 1')
    with pytest.raises(UnknownProfile, match=r"x\.json: Invalid JSON: EOF while parsing[\w ]+$"):
        find(str(path))


GOOD = json.dumps(asdict(made()))
DAMAGED = {
    "empty": b"",
    "cut off": GOOD[: len(GOOD) // 2].encode(),
    "not text": b"\xff\xfe\x00\x01" * 50,
    "another document": b"[1, 2, 3]",
    "null": b"null",
    "another version": GOOD.replace('"format_version": 1', '"format_version": 2').encode(),
    "no bandwidth": GOOD.replace('"bandwidth": 936000000000.0', '"bandwidth": 0').encode(),
    "not a number": GOOD.replace('"bandwidth": 936000000000.0', '"bandwidth": NaN').encode(),
    "a name that is a path": GOOD.replace('"my-cpu"', '"../../x"').encode(),
    "a missing key": GOOD.replace('"device"', '"devise"').encode(),
    "a key that nobody reads": GOOD.replace('{"format_version"', '{"bandwith": 1, "format_version"', 1).encode(),
    "no rates": json.dumps(asdict(made()) | {"rates": {}}).encode(),
    "a rate of nothing": json.dumps(asdict(made()) | {"rates": {"matmul": {}}}).encode(),
    "lines of its own": json.dumps(asdict(made(device="a\nerror: b"))).encode(),
    "times that are no numbers": json.dumps(asdict(made(bandwidth=1e-300, launch_seconds=1e300))).encode(),
    "deep": b"[" * 100_000,
    "endless": b" " * (5 << 20) + GOOD.encode(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_none_that_is_stored_and_is_told_where_it_is_named(name: str) -> None:
    folder().mkdir(parents=True)
    path = folder() / "damaged.json"
    path.write_bytes(DAMAGED[name])
    assert stored() == ()
    with pytest.raises(UnknownProfile, match="device profile") as caught:
        find(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["nowhere/x.json", "x.json", "./"])
def test_a_file_that_cannot_be_read_is_told(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownProfile, match="cannot read"):
        find(path)
