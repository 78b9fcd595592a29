"""A Chromium without a window: where it is, how it is started, and what a page says and asks for while it is open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
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
def chromium(path: str) -> Iterator[Page]:
    """The one page of a browser, whose profile goes with it: another page would be another process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser.new_page(reduced_motion="reduce")
        finally:
            browser.close()


@dataclass
class Visit:
    """An opened page, with what it said on the console and what it could not or must not ask for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Write down whatever goes wrong meanwhile."""
        heard = {"console": self._says, "pageerror": self._fails, "request": self._asks,
                 "requestfailed": self._lacks, "response": self._gets}  # fmt: skip
        for event, listener in heard.items():
            self.page.on(event, listener)
        try:
            yield
        finally:
            for event, listener in heard.items():
                self.page.remove_listener(event, listener)

    def _says(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.said.append(f"{message.type}: {message.text}")

    def _fails(self, error: Error) -> None:
        self.said.append(f"error: {error}")

    def _asks(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname != "localhost":
            self.asked.append(f"from outside: {request.url}")

    def _lacks(self, request: Request) -> None:
        self.asked.append(f"failed: {request.url} ({request.failure})")

    def _gets(self, response: Response) -> None:
        if response.status >= 400:
            self.asked.append(f"{response.status}: {response.url}")


@contextmanager
def visit(page: Page, address: str, setting: Setting) -> Iterator[Visit]:
    """Open an address as somebody with this screen would, and wait until it is drawn."""
    page.goto("about:blank")
    page.set_viewport_size({"width": setting.width, "height": HEIGHT.get(setting.width, 900)})
    page.emulate_media(color_scheme=setting.scheme)
    here = Visit(page)
    with here.listening():
        page.goto(address)
        page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame)).then(() => {})")
        page.evaluate(f"{LOOKS}\nglobalThis.look = look;")
        yield here
