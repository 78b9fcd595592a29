"""Every page that specc writes can be read on a phone and on a desk, by day and by night, with and without a mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .checks import AT_A_GLANCE, CHECKS, complaints
from .chromium import Setting, visit
from .pages import CLOSELY, Shelf, others, visits

VISITS = [
    *(pytest.param(*each, id=f"{each[0]}-{each[1]}") for each in visits()),
    *(pytest.param(*each, id=f"{each[0]}-{each[1]}", marks=pytest.mark.full) for each in others()),
]


@pytest.mark.parametrize(("name", "setting"), VISITS)
def test_a_page_is_as_it_should_be(browser: Page, shelf: Shelf, name: str, setting: Setting) -> None:
    with visit(browser, shelf.address(name), setting) as here:
        assert complaints(here, CHECKS if name in CLOSELY else AT_A_GLANCE) == []
