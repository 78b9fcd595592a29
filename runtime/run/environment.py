"""What the figures of a run depend on besides the plan: versions, the machine, and the state of the code around it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import specc
from specc.system import plugins

from ..engine.device import describe
from ..engine.heap import policy

_LIBRARIES = (
    "torch", "torchvision", "numpy", "pillow", "safetensors", "pydantic", "networkx", "ruamel.yaml", "rich", "click",
    "scikit-learn", "scipy",
)  # fmt: skip
_PATIENCE = 10  # seconds that git may take


def environment(device: torch.device | None = None) -> dict[str, Any]:
    """All of it, as JSON knows it."""
    return {
        "specc": specc.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in _LIBRARIES},
        "cuda": torch.version.cuda,
        "cudnn": _cudnn(),
        **hardware(device),
        "freed_memory": None if device and device.type == "cuda" else policy(),
        "git": git_state(Path.cwd()),
        "plugins": dict(plugins.used),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def hardware(device: torch.device | None = None) -> dict[str, Any]:
    """What the times depend on."""
    return {
        "processor": processor(),
        "gpu": _gpu(device),
        "cores": cores(),
        "threads": torch.get_num_threads(),
    }


def _gpu(device: torch.device | None) -> str | None:
    """Its name; one that has died has none to tell, and a run that ends of that has a summary all the same."""
    try:
        return describe(device) if device and device.type == "cuda" else None
    except RuntimeError:
        return None


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor by its maker's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, "") or platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out in a folder, and whether tracked files differ from it; None outside of git.

    A repository may come from a stranger, and its configuration can name programs that git would start. So git compares
    the files under an empty configuration in place of the repository's.
    """
    try:
        asked = ("--show-toplevel", "HEAD", "--git-path", "objects", "--git-path", "index")
        top, commit, objects, index = _git(folder, "rev-parse", *asked).splitlines()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    try:
        dirty = _differs(Path(top), commit, folder / objects, folder / index)
    except (OSError, subprocess.SubprocessError):
        dirty = None  # it takes too long, or needs what the configuration says
    return {"commit": commit, "dirty": dirty}


def _cudnn() -> int | None:
    """Its version; asking loads all of it, and opens every device."""
    try:
        return torch.backends.cudnn.version() if torch.cuda.is_available() else None
    except (RuntimeError, AssertionError):  # a driver that is counted and cannot be used, which is said of each device
        return None


def _differs(top: Path, commit: str, objects: Path, index: Path) -> bool:
    with TemporaryDirectory() as own:
        (Path(own) / "HEAD").write_text(commit + "\n")
        (Path(own) / "refs").mkdir()
        places = {"DIR": own, "WORK_TREE": top, "OBJECT_DIRECTORY": objects, "INDEX_FILE": index, "OPTIONAL_LOCKS": 0}
        asked = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
        return bool(_git(top, *asked, **{f"GIT_{name}": str(value) for name, value in places.items()}))


def _git(folder: Path, *arguments: str, **variables: str) -> str:
    """What git answers."""
    program = shutil.which("git")
    if program is None:
        raise OSError("there is no git")
    done = subprocess.run(
        [program, "-c", "core.fsmonitor=false", *arguments], cwd=folder, env={**os.environ, **variables},
        stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_PATIENCE,
    )  # fmt: skip
    return os.fsdecode(done.stdout)
