"""The browser of the tests, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from .chromium import NAMES, chromium, found
from .pages import Shelf


@pytest.fixture(scope="session")
def browser() -> Iterator[Page]:
    path = found()
    if path is None:
        pytest.skip(
            f"pages are not opened: no browser on the PATH ({', '.join(NAMES)}); Debian's package is `chromium`"
        )
    with chromium(path) as started:
        yield started


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with Shelf(tmp_path_factory.mktemp("pages")) as pages:
        yield pages
