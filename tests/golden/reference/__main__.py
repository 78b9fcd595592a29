"""Write traces of unseen configurations: `python -m tests.golden.reference DIR [--all] [--only WORD ...]`."""

from __future__ import annotations

import argparse
import json
from itertools import chain
from pathlib import Path

import torch

from .cases import fast, thorough
from .trace import trace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--all", action="store_true", help="the slow ones too: what the authors' scripts can be asked")
    parser.add_argument("--only", nargs="*", metavar="WORD", help="only cases whose name has one of these in it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name, config in chain(fast(), thorough() if arguments.all else ()):
        if not arguments.only or any(word in name for word in arguments.only):
            (arguments.directory / f"{name}.json").write_text(json.dumps({"case": name} | trace(config)))
            print(name, flush=True)


if __name__ == "__main__":
    main()
