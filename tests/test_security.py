"""What comes from a stranger and what it can do: waste bounded time and memory, and nothing else. See docs/security.md.

Every payload here would touch a file, `marker`; nothing may.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import pickle
import re
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.data import DataError
from runtime.data.config import DataConfig
from runtime.data.opening import open_dataset
from runtime.data.sources import pickled
from runtime.data.sources.folders import _check_meta
from runtime.data.sources.idx import read_idx
from runtime.run.environment import git_state
from specc.checking import check_text
from tests.commands import ROOT, Result, specc, surroundings
from tests.documents import Document, document
from tests.small_data import config, encoded, pixels, put

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ESCAPE = "\x1b]0;owned\x07"


@pytest.fixture(autouse=True)
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "marker"
    monkeypatch.setenv("MARKER", str(path))
    yield path
    assert not path.exists(), "a payload was executed"


class Payload:
    """Pickled, a call of `os.system`."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ('touch "$MARKER"',)


def program(folder: Path, name: str) -> None:
    """A program of this name that does nothing but leave the marker."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('#!/bin/sh\ntouch "$MARKER"\n')
    (folder / name).chmod(0o755)


# ------------------------------------------------------------------------------------------- the page


def test_every_point_of_the_page_names_tests_that_are_there() -> None:
    named = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)
    assert len(named) > 30
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_every_test_of_this_file_is_named_on_the_page() -> None:
    own = re.findall(r"^def (test_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.M)
    assert [name for name in own if f"::{name}`" not in PAGE and "page" not in name] == []


# ------------------------------------------------------------------------------------------- the source

EXECUTING = {"exec", "__import__", "system", "popen", "execv", "fork", "run_path", "load_module", "exec_module"}
# of the user, who has said so: `tests/test_foreign.py`, `tests/test_own_data.py`; and what that imports from beside it
OWN_CODE = {"runtime/own_code.py", "runtime/neighbours.py"}
PROCESSES = {
    "runtime/memory/apart.py",
    "specc/comparing/crew.py",
    "specc/system/apart.py",
    "runtime/run/environment.py",
    "runtime/distributed/launcher.py",
    "runtime/distributed/ended.py",  # the launcher's exceptions
    "runtime/data/workers.py",
    "runtime/data/own/sets.py",  # knows a loader that is handed over, and starts none
}  # specc itself, and git
STARTING = {
    "Popen", "launch_agent", "elastic_launch", "start_processes", "spawn", "posix_spawn", "posix_spawnp", "forkpty",
    "ProcessPoolExecutor", "create_subprocess_exec", "DataLoader",
}  # fmt: skip  # whatever begins a process, by its own name
STARTERS = {"subprocess", "multiprocessing", "pty"}  # and whatever has such things in it, be it in torch
UNPICKLING = {"runtime/data/sources/pickled.py"}
PICKLING = {"specc/views/snapshot.py"}  # what PyTorch's memory visualiser reads
TYPING = "specc/docs/examples/"  # does what the pages of the documentation say, for those who write them


def test_nothing_in_the_source_executes_what_it_reads() -> None:
    """No evaluation, no unpickling but the restricted one, no loading of tensors that would, and no further process."""
    for path in [*(ROOT / "specc").rglob("*.py"), *(ROOT / "runtime").rglob("*.py")]:
        _look_at(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", [
    "from torch.distributed.launcher.api import launch_agent\n",
    "import torch\ntorch.distributed.run.elastic_launch(c)\n",
    "import torch.multiprocessing as m\n", "from torch import multiprocessing\n", "import os\nos.posix_spawn('x')\n",
    "import subprocess\n",
])  # fmt: skip
def test_what_begins_a_process_is_noticed_whoever_does_it_for_us(text: str) -> None:
    with pytest.raises(AssertionError):
        _look_at("runtime/new.py", text)


def _look_at(name: str, text: str) -> None:
    for node in [] if name.startswith(TYPING) else ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"marshal", "shelve", "dill", "joblib", "cloudpickle"}, name
            assert "pickle" not in names or name in UNPICKLING | PICKLING, name
            parts = {part for each in names for part in (each or "").split(".")}
            assert not parts & (STARTERS | STARTING) or name in PROCESSES, name
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {each.arg: each.value for each in node.keywords}
            assert called not in ("compile", "eval"), name
            assert called.split(".")[-1] not in EXECUTING or name in OWN_CODE, f"{name}: {called}"
            assert called.split(".")[-1] not in STARTING or name in PROCESSES, f"{name}: {called}"
            assert "shell" not in keywords, name
            assert name not in PICKLING or called.split(".")[-1] not in ("load", "loads", "Unpickler"), name
            if called in ("torch.load", "numpy.load", "np.load"):
                assert ast.unparse(keywords["weights_only"]) == "True", name


# ------------------------------------------------------------------------------------------- a spec

TAGS = (
    '!!python/object/apply:os.system ["touch $MARKER"]',
    "!!python/name:os.system",
    "!!python/module:os",
    '!!python/object/new:os.system ["touch $MARKER"]',
    '!<tag:yaml.org,2002:python/object/apply:os.system> ["touch $MARKER"]',
)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("place", ["{}", "specc: 1\nname: {}", "specc: 1\nname: x\n? {}\n: 1", "<<: {}"])
def test_a_tag_makes_nothing(tag: str, place: str) -> None:
    assert any(found.is_error for found in check_text(place.format(tag), "spec.yaml").diagnostics)


def test_aliases_are_not_multiplied() -> None:
    """A billion of them in a few lines: the text is refused where it begins to grow."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    codes = [found.code for found in check_text("\n".join(lines), "spec.yaml").diagnostics]
    assert set(codes) & {"SPC010", "SPC012"}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "&a [*a]", "a: &a\n  <<: *a"])
def test_no_nesting_is_too_deep_for_an_answer(text: str) -> None:
    assert any(found.is_error for found in check_text(text, "spec.yaml").diagnostics)


def test_a_parent_may_be_any_file_and_nothing_of_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_text("-----BEGIN KEY-----\nc2VjcmV0\nname: secret-of-mine\n")
    os.mkfifo(tmp_path / "pipe")
    for parent in ("id_rsa", str(tmp_path / "id_rsa"), "pipe", "/dev/zero", "/dev/stdin", ".", "id_rsa\0.yaml"):
        (tmp_path / "spec.yaml").write_text(json.dumps({"extends": parent}))
        done = specc("validate", "spec.yaml", cwd=tmp_path)
        assert done.returncode == 1
        assert "c2VjcmV0" not in done.stdout + done.stderr


def test_the_environment_is_read_in_paths_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that a spec asks for gets into no name, no description and no message."""
    monkeypatch.setenv("TOKEN", "s3cret")
    asked = "${TOKEN}"
    for parts in ({"name": asked}, {"description": asked}, {"backbone": {"family": asked}}, {"extends": asked}):
        found = check_text(json.dumps(document() | parts), "spec.yaml")
        assert not any("s3cret" in str(each) for each in found.diagnostics)
        assert found.spec is None or "s3cret" not in repr(found.spec.config)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/b", "", ".", "-rf", "a\nb", ESCAPE, "$(touch $MARKER)", "a b"])
def test_the_name_of_a_run_is_no_path(name: str) -> None:
    assert any(found.is_error for found in check_text(json.dumps(document(name=name)), "spec.yaml").diagnostics)


# ------------------------------------------------------------------------------------------- data sets


def test_a_pickle_that_calls_is_refused_before_it_does() -> None:
    """Also where it hides behind what an array needs."""
    inner = pickle.dumps({"data": Payload(), "labels": [0]})
    for content in (inner, pickle.dumps(Payload(), 0), pickle.dumps([Payload()] * 3, 2)):
        with pytest.raises(ValueError, match=r"names (posix|nt)\.system"):
            pickled._batch("data_batch_1", content)


@pytest.mark.parametrize("name", ["builtins eval", "numpy.core.multiarray scalar", "numpy load", "codecs open"])
def test_a_pickle_names_nothing_but_arrays(name: str) -> None:
    with pytest.raises(ValueError, match="no part of an array"):
        pickled._batch("data_batch_1", b"c" + name.replace(" ", "\n").encode() + b"\n(tR.")


def test_a_pickle_of_few_bytes_does_not_grow() -> None:
    """Bytes that are written as hexadecimal numbers, forty times over, would take a tebibyte."""
    content = b"c_codecs\nencode\np0\n0" + b"Vx\np1\n0"
    for _ in range(40):
        content += b"g0\n(g1\nVhex\ntRp1\n0"
    with pytest.raises(ValueError, match="its bytes are written as 'hex'"):
        pickled._batch("data_batch_1", content + b"g1\n.")


def test_what_is_no_original_is_not_unpickled(tmp_path: Path) -> None:
    for name in (*pickled._TRAIN, *pickled._TEST):
        put(tmp_path, {name: pickle.dumps(Payload())})
    with pytest.raises(DataError, match="is not the original file"):
        open_dataset(config("cifar10", tmp_path))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(touch) show\nshowpage\n"
CALLING = {"eps.png": EPS, "eps.jpg": EPS, "eps.tif": EPS, "dos.png": b"\xc5\xd0\xd3\xc6" + bytes(28) + EPS}


@pytest.mark.parametrize("name", CALLING)
def test_no_image_starts_a_program(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would have Ghostscript draw it, whatever the file is called."""
    for each in ("gs", "gswin64c", "gswin32c", "djpeg", "cjpeg"):
        program(tmp_path / "bin", each)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    refused(tmp_path, name, CALLING[name])


def refused(folder: Path, name: str, content: bytes) -> None:
    """An image folder with such a file in it says which one it is."""
    good = encoded_png()
    files = {f"{half}/{label}/good.png": good for half in ("train", "val") for label in "ab"}
    root = put(folder / "data", files | {f"train/a/{name}": content})
    (folder / "spec.yaml").write_text(json.dumps(folder_spec(root)))
    done = specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=folder)
    assert done.returncode in (1, 3), done.stderr
    assert name in done.stderr


def test_what_is_to_be_told_of_an_image_may_be_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "gs")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "spec.yaml").write_text(json.dumps(document(split={"blocks": 1}, train={"epochs": 1})))
    assert specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path).returncode == 0
    files = put(tmp_path / "images", CALLING | {f"a{ESCAPE}.png": EPS, "large.png": large_png(100_000, 100_000)})
    os.mkfifo(files / "pipe.png")
    for words in ([files], [*files.iterdir()], ["/dev/zero"], ["nowhere\n  = help: rm"], ["run/plan.json"]):
        done = specc("predict", "run", *words, cwd=tmp_path)
        assert done.returncode == 3, words
        assert "\n  = help: rm" not in done.stderr


def encoded_png() -> bytes:
    from PIL import Image

    return encoded(Image.fromarray(pixels(8, 8, 3)), "PNG")


def folder_spec(root: Path) -> Document:
    data = {"dataset": "image_folder", "root": str(root), "image_size": 8, "classes": 2, "batch_size": 2}
    return document(data=data, split={"blocks": 1}, train={"epochs": 1})


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def large_png(width: int, height: int) -> bytes:
    """A few kilobytes that stand for so many pixels, or for text without end."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


def test_an_image_of_any_size_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    tracemalloc.start()
    refused(tmp_path, "large.png", large_png(100_000, 100_000))
    assert tracemalloc.get_traced_memory()[1] < 1 << 28
    tracemalloc.stop()


def test_a_compressed_file_is_unpacked_no_further_than_its_data_set_goes(tmp_path: Path) -> None:
    """A gibibyte of zeros behind the header of two labels."""
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(struct.pack(">HBBI", 0, 8, 1, 2))
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match="goes on after its end"):
        read_idx(path, ())
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_a_download_is_the_original_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of somebody else's is not unpacked: it would write beside the data set."""
    from torchvision.datasets import utils

    def another(url: str, filename: str | Path, *_: Any, **__: Any) -> None:
        with tarfile.open(filename, "w:gz") as archive:
            member = tarfile.TarInfo("../marker")
            archive.addfile(member, io.BytesIO())

    monkeypatch.setattr(utils, "_urlretrieve", another)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    with pytest.raises(DataError, match="cannot be fetched"):
        open_dataset(DataConfig("cifar10", root=str(tmp_path / "data"), download=True))


@pytest.mark.parametrize("content", [({"../../x": ("a",)}, ["n01440764"]), ({"n01440764": ("a",)}, ["../x"])])
def test_the_list_of_classes_in_a_folder_is_imagenets(content: Any, tmp_path: Path) -> None:
    """torchvision would make folders of the names in it, and move images into them."""
    torch.save(content, tmp_path / "meta.bin")
    with pytest.raises(ValueError, match="other names than those of ImageNet"):
        _check_meta(tmp_path / "meta.bin")


def test_the_list_of_classes_in_a_folder_is_no_program(tmp_path: Path) -> None:
    torch.save(({"n01440764": Payload()}, ["n01440764"]), tmp_path / "meta.bin")
    with pytest.raises(ValueError, match="damaged"):
        _check_meta(tmp_path / "meta.bin")


def test_the_names_of_classes_drive_no_terminal(tmp_path: Path) -> None:
    """They are the names of folders; in files of the run they stand as JSON has them."""
    good = encoded_png()
    for number, evil in enumerate((f"a{ESCAPE}", "a\n  = help: rm -rf ~", "$(touch $MARKER); `touch $MARKER`")):
        files = {f"{half}/{name}/x.png": good for half in ("train", "val") for name in (evil, "b")}
        spec = folder_spec(put(tmp_path / f"data{number}", files))
        (tmp_path / "spec.yaml").write_text(json.dumps(spec))
        run = f"run{number}"
        said = [specc("run", "spec.yaml", "--device", "cpu", "--run-dir", run, cwd=tmp_path)]
        assert said[0].returncode == (0 if evil.isprintable() else 3), said[0].stderr
        said += [specc(*words, cwd=tmp_path) for words in (("export", run), ("resume", run))]
        assert not any("\x1b" in done.stdout + done.stderr for done in said)
        assert not any("\n  = help: rm" in done.stdout + done.stderr for done in said)


# ------------------------------------------------------------------------------------------- the environment


def test_a_repository_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration may name some, for every file that git looks at."""
    repository = tmp_path / "repository"
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@x", "-C", str(repository))
    repository.mkdir()
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    (repository / "spec.yaml").write_text("specc: 1\n")
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run([*git, *words], check=True)
    program(tmp_path / "bin", "evil")
    evil = str(tmp_path / "bin" / "evil")
    for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "filter.evil.clean",
                "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.evil.command",
                "diff.external", "core.askPass", "credential.helper", "gpg.program"):  # fmt: skip
        subprocess.run([*git, "config", key, evil], check=True)
    subprocess.run([*git, "config", "core.hooksPath", str(tmp_path / "bin")], check=True)
    (repository / "spec.yaml").write_text("specc: 1 # changed\n")
    state = git_state(repository)
    assert state is not None
    assert state["dirty"] in (True, None)


def test_a_folder_of_somebody_elses_hides_no_module(tmp_path: Path) -> None:
    """Neither from the command, whose path does not begin there, nor from `python -m specc`."""
    for name in ("torch", "numpy", "click", "runtime", "ruamel", "pydantic", "networkx", "rich", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("import os\nopen(os.environ['MARKER'], 'w')\n")
    (tmp_path / "spec.yaml").write_text(json.dumps(document()))
    done = apart("-m", "specc", "plan", "spec.yaml", "--trace", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def apart(*words: str, cwd: Path, **variables: str) -> Result:
    variables |= surroundings() | {"MARKER": os.environ["MARKER"]}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("value", ["evil:run", "evil"])
def test_the_environment_names_no_plug_in(value: str, tmp_path: Path) -> None:
    """`SPECC_PLUGINS` switches those off that are installed, and on none."""
    (tmp_path / "evil.py").write_text("import os\nopen(os.environ['MARKER'], 'w')\n")
    (tmp_path / "spec.yaml").write_text(json.dumps(document()))
    words = "from specc.cli import main; main()"
    done = apart("-P", "-c", words, "validate", "spec.yaml", cwd=tmp_path, SPECC_PLUGINS=value)
    assert done.returncode == 0, done.stderr


def test_every_file_has_the_mode_that_the_user_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of runs, exports and caches; nothing is left that only its owner could read, or that everybody could write to."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    train = {"epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-6}}
    spec = document(train=train, backbone={"torchvision": "squeezenet1_1"}, split={"blocks": 1})
    spec["data"] |= {"image_size": 32, "channels": 3}
    before = os.umask(0o027)
    try:
        (tmp_path / "spec.yaml").write_text(json.dumps(spec))
        for words in (("run", "spec.yaml", "--device", "cpu", "--run-dir", "run"), ("export", "run"),
                      ("export", "run", "-o", "out.pt", "--to", "torchvision")):  # fmt: skip
            done = specc(*words, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
    finally:
        os.umask(before)
    places = [path for path in tmp_path.rglob("*") if path.name != "spec.yaml"]
    assert {path.suffix for path in places} >= {".safetensors", ".pt", ".json", ".csv", ".yaml"} - {".yaml"}
    for path in places:
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640), path
