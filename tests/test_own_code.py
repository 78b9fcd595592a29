"""Code of the user's own is known by all that it imports from beside it, and by nothing of where it lies."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.own_code import called, module_of
from specc.checking import load
from specc.pipeline import compile_spec
from specc.system.own_code import digest_of, parameters_of

from .documents import Document, document

FILES = {
    "nets.py": "import parts\nfrom blocks.wide import Wide\ndef late():\n    from . import no\n    import seldom\n",
    "parts.py": "WIDTH = 4\n",
    "seldom.py": "",
    "blocks/__init__.py": "",
    "blocks/wide.py": "from .norms import norm\nfrom ..parts import WIDTH\nclass Wide: pass\n",
    "blocks/norms.py": "import nets\n",
    "unused.py": "",
    "parts.txt": "",
    "blocks/unused.py": "",
}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_change_counts_in_what_is_imported_alone(name: str, code: Path) -> None:
    before = digest_of(str(code / "nets.py"))
    (code / name).write_text(FILES[name] + "# another line\n")
    assert (digest_of(str(code / "nets.py")) == before) == ("unused" in name or name.endswith(".txt"))


@pytest.mark.parametrize("text", ["import (\n", "\0", "not " * 200_000 + "1", "a" + ".b" * 200_000],
                         ids=["wrong", "binary", "too deep", "too long"])  # fmt: skip
def test_a_file_that_is_no_python_is_known_by_its_content(text: str, code: Path) -> None:
    """Whoever imports it says what is wrong with it."""
    for name in ("parts.py", "nets.py"):
        before = digest_of(str(code / "nets.py"))
        (code / name).write_text(text)
        assert digest_of(str(code / "nets.py")) != before
    with pytest.raises(FileNotFoundError):
        digest_of(str(code / "nowhere.py"))


def test_a_function_may_import_what_lies_beside_it_when_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "beside_specc_test.py").write_text("WIDTH = 7\n")
    file = tmp_path / "late.py"
    file.write_text("def make():\n    import beside_specc_test\n    return beside_specc_test.WIDTH\n")
    before = list(sys.path)
    try:
        assert called(str(file), "make", module_of(str(file), digest_of(str(file))).make) == 7
    finally:
        sys.modules.pop("beside_specc_test", None)
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def make(a, /, num_classes=3, *, b=1, **more): pass", {"a", "num_classes", "b"}),
        ("class make:\n  def other(self, x): pass\n  def __init__(self, width=2): pass", {"self", "width"}),
        ("class make: pass", None),  # of its base, if any
        ("@changed\ndef make(width): pass", None),
        ("@dataclass\nclass make:\n  def __init__(self): pass", None),
        ("def make(): pass\nmake = partial(other, 3)", None),
        ("def make(): pass\nfrom elsewhere import *", None),
        ("if True:\n  def make(): pass", None),
        ("from elsewhere import make", None),
        ("make = lambda: 3", None),
        ("def make(", None),
        ("", None),
    ],
)
def test_what_a_function_asks_for_is_read_where_its_file_says_it(
    tmp_path: Path, text: str, found: set[str] | None
) -> None:
    (tmp_path / "nets.py").write_text(text)
    assert parameters_of(str(tmp_path / "nets.py"), "make") == found


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Two folders with files of the same names, imported, and what was imported before."""
    known = set(sys.modules)
    for folder in ("one", "two"):
        (tmp_path / folder / "inner_specc_test").mkdir(parents=True)
        (tmp_path / folder / "inner_specc_test" / "__init__.py").write_text("from .deep import DEEP\n")
        (tmp_path / folder / "inner_specc_test" / "deep.py").write_text(f"DEEP = {folder!r}\n{LATE}")
        (tmp_path / folder / "beside_specc_test.py").write_text(f"from inner_specc_test import DEEP as WHOSE\n{LATE}")
        (tmp_path / folder / "late_specc_test.py").write_text(f"WHOSE = {folder!r}\n")
        (tmp_path / folder / "nets.py").write_text(f"import beside_specc_test as own\n{LATE}")
    yield {name: module_of(file := str(tmp_path / name / "nets.py"), digest_of(file)) for name in ("one", "two")}
    for name in set(sys.modules) - known:
        if "specc_test" in name:
            del sys.modules[name]


LATE = """
def late():
    import late_specc_test
    import inner_specc_test.deep as deep
    return late_specc_test.WHOSE + deep.DEEP


def inner():
    import inner_specc_test.deep as deep
    return deep
"""


def test_files_of_the_same_names_in_two_folders_are_each_their_own(folders: dict[str, Any]) -> None:
    assert {name: module.own.WHOSE for name, module in folders.items()} == {"one": "one", "two": "two"}
    for name in ("one", "two", "two", "one"):
        assert called(folders[name].__file__, "late", folders[name].own.late) == name * 2
        again = called(folders[name].__file__, "again", lambda: importlib.import_module("beside_specc_test"))
        assert again is folders[name].own, "each is imported once"

    def nested() -> list[str]:
        others = called(folders["two"].__file__, "late", folders["two"].own.late)
        return [others, folders["one"].own.late()]

    assert called(folders["one"].__file__, "nested", nested) == ["twotwo", "oneone"]


def test_a_function_imports_what_lies_beside_its_own_file_whoever_calls_it(folders: dict[str, Any]) -> None:
    """As a forward is called: by somebody who knows nothing of files."""
    before = list(sys.path), list(sys.meta_path)
    for name in ("one", "two", "two", "one"):
        assert [each.late() for each in (folders[name], folders[name].own)] == [name * 2] * 2
        assert folders[name].own.inner().late() == name * 2, "within a package too"
    assert (sys.path, sys.meta_path) == before


def test_what_lies_beside_a_file_that_has_changed_is_imported_anew(folders: dict[str, Any]) -> None:
    file = Path(folders["one"].__file__)
    (file.parent / "beside_specc_test.py").write_text("WHOSE = 'another'\n")
    assert module_of(str(file), digest_of(str(file))).own.WHOSE == "another"
    assert folders["two"].own.WHOSE == "two"


NETS = """
from torch import nn


class Odd(nn.Module):
    def forward(self, x):
        return x.cumsum(1) + x


def make_net():
    return nn.Sequential(nn.Conv2d(1, 4, 3), Odd(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))
"""


def spec_in(folder: Path, nets: str = NETS) -> Path:
    own: Document = {"backbone": {"module": "nets.py:make_net"}, "split": {"blocks": 1}, "auxiliary": {}}
    folder.mkdir()
    (folder / "nets.py").write_text(nets)
    (folder / "spec.yaml").write_text(json.dumps(document(**own)))
    return folder / "spec.yaml"


def test_plans_of_the_same_code_are_alike_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    here, there, other = (
        compile_spec(load(spec_in(tmp_path / name, nets)))[0]
        for name, nets in {"here": NETS, "there": NETS, "other": NETS + "# another line\n"}.items()
    )
    assert str(tmp_path) in here.to_json(), "a part of the network names its file"
    assert here.to_json() != there.to_json()
    assert here.fingerprint == there.fingerprint != other.fingerprint
    assert os.path.isabs(here.config.backbone.module)  # type: ignore[union-attr]
