"""A Chromium without a window: where it is, how it is started, and what a page says and asks for while it is open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",  # nothing outside of this machine has an address
)  # fmt: skip
LOOKS = "\n".join(
    (Path(__file__).parent / "look" / f"{name}.js").read_text(encoding="utf-8")
    for name in ("base", "layout", "colours", "figures", "keyboard")
)


class Setting(NamedTuple):
    """Whose screen it is."""

    width: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


SETTINGS = tuple(Setting(width, scheme) for width in (360, 1440) for scheme in ("light", "dark"))
HEIGHT = {360: 780, 1440: 900}


def found() -> str | None:
    """The Chromium on the PATH."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A browser with a profile of its own, which goes with it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """An opened page, with what it said on the console and what it could not or must not ask for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Write down whatever goes wrong from here on."""
        self.page.on(
            "console", lambda it: it.type in ("warning", "error") and self.said.append(f"{it.type}: {it.text}")
        )
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", self._asks)
        self.page.on("requestfailed", lambda it: self.asked.append(f"failed: {it.url} ({it.failure})"))
        self.page.on("response", lambda it: it.status >= 400 and self.asked.append(f"{it.status}: {it.url}"))

    def _asks(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname != "localhost":
            self.asked.append(f"from outside: {request.url}")


@contextmanager
def visit(browser: Browser, address: str, setting: Setting) -> Iterator[Visit]:
    """Open a page as somebody with this screen would, and wait until it is drawn."""
    viewport = {"width": setting.width, "height": HEIGHT.get(setting.width, 900)}
    context = browser.new_context(viewport=viewport, color_scheme=setting.scheme, reduced_motion="reduce")
    try:
        here = Visit(context.new_page())
        here.listen()
        here.page.goto(address)
        here.page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame)).then(() => {})")
        here.page.evaluate(f"{LOOKS}\nglobalThis.look = look;")
        yield here
    finally:
        context.close()
