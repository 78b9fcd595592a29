"""Which pages are followed, what is held of each, and how what they show is brought up to date."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...checking import check
from .fences import Fence, fences, page_notes
from .following import Followed, Typed, follow
from .pictures import made, words
from .typist import typist

PICTURE = re.compile(r"pictures/([\w.-]+\.svg)")
ELSEWHERE = ("gpu.md", "results.md")  # made of files of figures by scripts of their own
GROUND = "specc: 1\nname: ground\nbackbone: {family: resnet_cifar, depth: 20}\nsplit: {blocks: 4}\n"


@dataclass(frozen=True, slots=True)
class Page:
    """A page written by hand."""

    name: str  # from the root of the repository
    text: str

    @property
    def held_by(self) -> str | None:
        """The test that holds the whole page, where this mechanism does not."""
        return page_notes(self.text).get("held-by")

    @property
    def skipped(self) -> list[tuple[Fence, str]]:
        """The blocks that are not run, with the reasons."""
        return [(fence, why) for fence in fences(self.text) if (why := fence.skipped) is not None]

    @property
    def pictures(self) -> list[str]:
        """The pictures that it shows."""
        return list(dict.fromkeys(PICTURE.findall(self.text)))


def pages(root: Path, generated: Sequence[str]) -> list[Page]:
    """All pages that are not written by `python -m specc.docs` as a whole."""
    paths = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    names = [path.relative_to(root).as_posix() for path in paths]
    own = [name for name in names if name.removeprefix("docs/") not in {*generated, *ELSEWHERE}]
    return [Page(name, (root / name).read_text(encoding="utf-8")) for name in own]


def followed(page: Page, folder: Path, typed: Typed | None = None) -> Followed:
    """Follow a page in an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return follow(page.text, folder, typed or typist(folder.parent / "cache"), files=page.held_by is None)


def wrong_specs(page: Page, folder: Path) -> Iterator[str]:
    """What is wrong with the page's YAML: every block is a spec, goes over one, or says why it is neither."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ground.yaml").write_text(GROUND, encoding="utf-8")
    for number, fence in enumerate(each for each in fences(page.text) if each.language == "yaml"):
        if fence.skipped or "fragment" in fence.notes:
            continue
        path = folder / (fence.title or f"block{number}.yaml")
        path.write_text(_whole(fence), encoding="utf-8")
        wanted = "exit" in fence.notes
        errors = [found for found in check(path).diagnostics if found.is_error]
        if bool(errors) != wanted:
            yield f"{page.name}:{fence.line}: " + ("; ".join(map(str, errors)) or "nothing is wrong with it")


def _whole(fence: Fence) -> str:
    if re.search(r"^(specc|extends):", fence.body, re.M):
        return fence.body
    return f"extends: {fence.notes.get('over', 'ground.yaml')}\nname: fragment\n{fence.body}"


def refresh(root: Path, found: Sequence[Page]) -> Iterator[str]:
    """Follow pages, and write anew what they show where it is not true any more; say which, and what went wrong."""
    for page in found:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made) / "page"
            done = followed(page, folder)
            yield from (f"{page.name}: {step}" for step in done.wrong if step.code != step.wanted)
            if done.text != page.text:
                (root / page.name).write_text(done.text, encoding="utf-8")
                yield f"wrote {page.name}"
            yield from _pictures(root, page, folder)


def _pictures(root: Path, page: Page, folder: Path) -> Iterator[str]:
    for name, text in made(folder, page.pictures):
        path = root / "docs" / "pictures" / name
        if not path.exists() or words(path.read_text(encoding="utf-8")) != words(text):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            yield f"wrote docs/pictures/{name}"
