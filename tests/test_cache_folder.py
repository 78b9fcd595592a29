"""Where specc keeps what it can make again."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from specc.system.environment import cache_folder

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPECC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_folder_that_is_named_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@linux
def test_else_it_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "specc"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "specc"


@linux
def test_a_user_without_a_home_has_one_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it is for a number without a name
    assert cache_folder() == Path(tempfile.gettempdir()) / "specc"


def test_so_does_one_of_an_older_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: Path("~/.cache/specc"))
    assert cache_folder() == Path(tempfile.gettempdir()) / "specc"
