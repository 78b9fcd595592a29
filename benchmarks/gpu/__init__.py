"""One command for a GPU: what can only be measured on one, in at most 25 minutes and without a network.

    make gpu [WHEELS=FOLDER] [OUT=FOLDER]
    python -m benchmarks.gpu [--device cuda] [--out docs/gpu] [--minutes 25] [--only PART]... [--again]
    python -m benchmarks.gpu page [--out docs/gpu]

Each part (`parts.py`) is a process of its own with a share of the time (`running.py`), and leaves one small JSON file
(`documents.py`). A part that is there, of this device, is not measured again, and of one that ran out of time only what
is missing; one that fails says so in its file, and the next one begins. `docs/gpu.md` is made from the files
(`page.py`). With `--device cpu` everything runs on stand-ins, a few seconds each: nothing of that goes into docs/.

Nothing but PyTorch, torchvision, numpy, networkx, click, rich, scikit-learn, safetensors, hypothesis, pytest, pydantic
and ruamel.yaml is needed, and what these need themselves.
"""
