"""What has to be right about every page. A check returns complaints; a page without any is fine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT

from .chromium import Visit

Check = Callable[[Visit], list[str]]
AXE = {
    "resultTypes": ["violations"],
    "preload": False,  # nothing is loaded from elsewhere
    "rules": {"landmark-unique": {"enabled": False}},  # Material's buttons that copy code are many equal landmarks
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
SPARE = 3  # tabulators more than controls: a browser also stops at what scrolls
MOST = 1000  # tabulators, after which a page lets nobody out


def console(visit: Visit) -> list[str]:
    """Nothing is said on the console."""
    return visit.said


def requests(visit: Visit) -> list[str]:
    """Nothing is missing, and nothing comes from elsewhere."""
    return visit.asked


def layout(visit: Visit) -> list[str]:
    """Nothing is wider than the screen."""
    return visit.page.evaluate("look.layout()")


def accessible(visit: Visit) -> list[str]:
    """The rules of WCAG AA that a program can check: contrast, headings, alternatives, language, title and more."""
    visit.page.evaluate(AXE_SCRIPT)
    result = visit.page.evaluate("options => axe.run(options)", AXE)
    return [f"{rule['id']}: {_told(node)}" for rule in result["violations"] for node in rule["nodes"]]


def _told(node: dict[str, Any]) -> str:
    why = next((each["message"] for kind in ("any", "all", "none") for each in node[kind]), "")
    return f"{node['target'][-1]} {node['html'][:120]} {why}"


def contrast(visit: Visit) -> list[str]:
    """Text can be told from what is behind it, in drawings too."""
    return visit.page.evaluate("look.contrast()")


def figures(visit: Visit) -> list[str]:
    """Every figure shows its data."""
    return visit.page.evaluate("look.figures()")


def keyboard(visit: Visit) -> list[str]:
    """The tabulator goes to every control, and one sees where it is."""
    ahead, pressed = visit.page.evaluate("look.controls()"), 0
    while ahead and pressed < MOST:
        for _ in range(ahead + SPARE):
            visit.page.keyboard.press("Tab")
        pressed, ahead = pressed + ahead + SPARE, visit.page.evaluate("look.ahead()")
    return visit.page.evaluate("look.walked()")


CHECKS: dict[str, Check] = {
    check.__name__: check for check in (layout, contrast, figures, accessible, keyboard, console, requests)
}
AT_A_GLANCE = ("layout", "contrast", "figures", "console", "requests")


def complaints(visit: Visit, names: Iterable[str] = CHECKS) -> list[str]:
    """All of them, each with the name of its check."""
    return [f"{name}: {told}" for name in names for told in CHECKS[name](visit)]
