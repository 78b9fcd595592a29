"""The page of benchmarks/rivals.py: nothing on it that is not in the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from specc.fit.crossing import ALIKE
from specc.fit.verdict import called, listed
from specc.language.schema import show_bytes

Document = dict[str, Any]
NETWORKS = ("ResNet-32", "ResNet-110", "ResNet-152", "ViT-B/16", "ConvNeXt-T")
SHARES = (0.5, 0.3, 0.15, 0.08)
STAR = r"\*"
HEAD = """# What is fastest in little memory

Networks in 50, 30, 15 and 8 % of the memory that end-to-end training takes: what of everything that fits is the
fastest, exact training or local learning? `python -m benchmarks.rivals` asks it and leaves a file a network in
`docs/rivals/`, of which this page is made.

**Nothing here was measured.** Peaks are those that specc plans; times are predicted by data sheet, for one device a
network, and say nothing of accuracy. Two that differ by less than {alike} are taken as alike, and then the exact one is
preferred: its gradients are those of the whole network, though micro-batches change what batch norm sees. The
precision stays the network's own; where that is fp32 the verdict ends with what bf16 comes to. `specc fit SPEC --rivals
--budget 2GiB` compares for your network, and after `specc doctor --calibrate` with what your own device takes
([time](time.md), [methods](methods.md)).
"""
TABLE = ("| network | budget | fastest that fits | time | best exact | best local |", "|---|---|---|---|---|---|")
ROWS = ("| way to train | changes | peak | time | FLOPs | fits | front |", "|---|---|---:|---:|---:|---|---|")


def text(documents: Sequence[Document]) -> str:
    """The page."""
    lines = [HEAD.format(alike=f"{ALIKE:.0%}"), *counted(documents), *TABLE]
    lines += [row(document, case) for document in documents for case in document["cases"]]
    for document in documents:
        lines += section(document)
    return "\n".join(lines).rstrip() + "\n"


def winner(case: Document) -> str:
    """Which side is the faster: `exact`, `local`, or `neither`, as nothing fits."""
    chosen = next((each for each in case["rows"] if each["name"] == case["chosen"]), None)
    return "neither" if chosen is None else "local" if chosen["local"] else "exact"


def counted(documents: Sequence[Document]) -> Iterator[str]:
    """Where local learning wins and where it loses."""
    sides: dict[str, list[str]] = {"exact": [], "local": [], "neither": []}
    for document in documents:
        for side, names in sides.items():
            shares = [f"{case['share']:.0%}" for case in document["cases"] if winner(case) == side]
            names += [f"{document['network']} in {listed(shares)}"] if shares else []
    says = {"exact": "Local learning loses, or is no faster by more than " + f"{ALIKE:.0%}",
            "local": "Local learning wins", "neither": "Nothing that was looked at fits"}  # fmt: skip
    for side, names in sides.items():
        if names:
            yield f"- **{says[side]}**: {'; '.join(names)}."
    found = {document["network"]: {case["share"] for case in document["cases"]} for document in documents}
    missing = {name: [f"{each:.0%}" for each in SHARES if each not in found.get(name, ())] for name in NETWORKS}
    if any(missing.values()):
        said = "; ".join(f"{name} in {listed(shares)}" for name, shares in missing.items() if shares)
        yield f"- Not compared yet: {said}."
    yield ""


def row(document: Document, case: Document) -> str:
    """A case in a line."""
    sides = [case["exact"], case["local"]]
    best = {"exact": sides[0], "local": sides[1], "neither": None}[winner(case)]
    first = "nothing" if best is None else f"**{best['what']}**"
    times = f"{best['relative_time']:.2f}×" if best else "–"
    others = ("does not fit" if each is None else f"{each['what']}, {each['relative_time']:.2f}×" for each in sides)
    budget = f"{case['share']:.0%}, {show_bytes(case['budget_bytes'])}"
    return f"| {document['network']} | {budget} | {first} | {times} | {' | '.join(others)} |"


def section(document: Document) -> Iterator[str]:
    """A network: how it is trained, and what is said under every budget."""
    size, seconds = document["image_size"], 1000 * document["end_to_end_seconds"]
    yield f"\n## {document['network']}\n"
    yield (f"{document['batch_size']} images of {size} × {size} a step, {document['optimizer']}, "
           f"{document['precision']}, on an {document['device']} ({document['source']}). End to end a step takes "
           f"{show_bytes(document['end_to_end_bytes'])} and {seconds:.0f} ms. Local methods: "
           f"{listed(document['methods'])}.")  # fmt: skip
    for case in document["cases"]:
        verdict = case["verdict"]
        yield f"\n**In {case['share']:.0%}**: {verdict[:1].upper()}{verdict[1:]}\n"
        yield '<details markdown="1"><summary>All that were compared</summary>\n'
        yield from ROWS
        yield from map(rival, case["rows"])
        yield from limits(case)
        yield "\n</details>"


def rival(each: Document) -> str:
    """A row of a case."""
    blocks = f", {each['blocks']} blocks" if each["local"] else ""
    settings = "".join(f", `{setting}`" for setting in each["settings"] if len(setting) < 60)
    settings += ", some layers computed again" * any(len(setting) >= 60 for setting in each["settings"])
    changes = ", ".join(each["changes"]) or "nothing"
    return (f"| {called(each['method'])}{blocks}{settings} | {changes} | {show_bytes(each['predicted_peak_bytes'])} | "
            f"{each['relative_time']:.2f}× | {each['extra_flops']:+.0%} | {'yes' if each['fits'] else 'no'} | "
            f"{STAR * each['pareto']} |")  # fmt: skip


def limits(case: Document) -> Iterator[str]:
    """What the search has left out."""
    for each in case["left_out"]:
        yield f"\n{called(each['method'])} cannot stand on this network: {each['why']}."
    if case["equal_parts"]:
        yield f"\nCut into parts that keep equally much, not searched: {listed(case['equal_parts'])}."
    if case["all_or_nothing"]:
        yield f"\nWith all recomputation or none, not what lies between: {listed(case['all_or_nothing'])}."
