"""``python -m specc``, which Python begins with the folder that one is in: nothing more is imported from there.

A folder of somebody else's may hold a `torch.py`. The command `specc` looks nowhere else from its first line on.
"""

import os
import sys

if sys.path and sys.path[0] in ("", os.getcwd()) and os.path.dirname(os.path.dirname(__file__)) != os.getcwd():
    del sys.path[0]

from .cli import main

main()
