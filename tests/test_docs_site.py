"""The documentation as a site: built in strict mode, offline, every page in the navigation, every link with an end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
MADE = ("script", "link", "img", "iframe", "source", "use", "object")  # what a browser fetches by itself


class Read(HTMLParser):
    """What a page links to, what it fetches, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src", "srcset", "data") and value:
                canonical = ("rel", "canonical") in attrs
                (self.fetched if tag in MADE and not canonical else self.links).append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built beside the checkout, where no network is needed."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    line = [sys.executable, "-m", "zensical", "build", "--strict"]
    env = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_COLOR": "1"}
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    assert done.returncode == 0, said
    assert "arning" not in said
    return folder / "site"


@pytest.fixture(scope="module")
def read(site: Path) -> dict[Path, Read]:
    return {path: Read(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_in_the_navigation() -> None:
    nav = re.findall(r"[\w/.-]+\.md", str(YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"]))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(nav) == pages, "name new pages under `nav` of mkdocs.yml"
    assert len(nav) == len(set(nav))


def test_every_link_has_an_end(read: dict[Path, Read], site: Path) -> None:
    lost = []
    for path, page in read.items():
        for link in [] if path.name == "404.html" else [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = read[target].anchors if target in read else {""}
            if not target.is_file() or (parts.fragment and target in read and unquote(parts.fragment) not in known):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert lost == []


def test_nothing_on_a_page_is_fetched_from_elsewhere(read: dict[Path, Read], site: Path) -> None:
    strange = [(path.name, link) for path, page in read.items() for link in page.fetched if urlsplit(link).netloc]
    assert strange == []
    own = (site / "stylesheets" / "specc.css").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", own)
    # the theme loads these from elsewhere where a page asks for them
    text = "".join(path.read_text(encoding="utf-8") for path in read)
    assert not re.search(r'class="[^"]*\b(mermaid|glightbox|pyodide)\b', text)


def test_what_is_searched_is_on_the_pages(site: Path) -> None:
    index = (site / "search.json").read_text(encoding="utf-8")
    assert "SPC501" in index
    assert "micro_batches" in index
