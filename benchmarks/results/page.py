"""The page as text, from the files in docs/results/ and the prose in page.md."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from specc.pictures.drawing import to_svg

from .picture import Dot, accuracy_by_memory
from .settings import DECOUPLED, EPOCHS, LIMIT, METHODS, ROOT, Setting, decoupled, settings

FILES = ROOT / "docs" / "results"
FIGURES, STEPS, EARLIER, PUBLISHED = (
    FILES / f"{name}.json" for name in ("fashion_mnist", "steps", "eight_epochs", "published")
)
PICTURE = FILES / "accuracy_by_memory.svg"
PAGE = ROOT / "docs" / "results.md"
PROSE = Path(__file__).parent / "page.md"
MIB = 2**20


@cache
def document(path: Path) -> Any:
    """What a file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def runs(name: str) -> list[dict[str, Any]]:
    """Of every seed."""
    return [run for run in document(FIGURES)["runs"] if run["name"] == name]


def accuracies(name: str) -> list[float]:
    """On the test images, of every seed, in parts of a hundred."""
    return [100 * run["test"]["accuracy"] for run in runs(name)]


def accuracy(name: str) -> str:
    """Mean and sample standard deviation."""
    return spread(accuracies(name))


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation."""
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def peak(name: str, kind: str = "measured") -> float:
    """The highest of a step, in MiB."""
    return max(run[f"{kind}_peak_bytes"] for run in runs(name)) / MIB


def ratio(name: str) -> float:
    """Of a step's processor time to end-to-end training's."""
    took = document(STEPS)["milliseconds"]
    return float(took[name] / took["e2e"])


def flops(name: str) -> float:
    """Of a forward, heads and branches included, relative to the backbone's alone."""
    return float(runs(name)[0]["flops_per_image"] / runs("e2e")[0]["flops_per_image"])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    head = list(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def own(name: str) -> str:
    """The classifiers of the first, the worst and the last unit, where units have some."""
    units = [statistics.mean(each) for each in zip(*(run["units"] for run in runs(name)), strict=True)]
    return f"{100 * units[0]:.0f} / {100 * min(units):.0f} / {100 * units[-1]:.0f}" if len(units) > 1 else "–"


def setting_rows() -> Iterator[list[str]]:
    """Every method at one setting."""
    for method, name in METHODS.items():
        yield [f"`{method}_fashion_mnist`", name, accuracy(method), own(method), f"{peak(method, 'predicted'):.2f}",
               f"{peak(method):.2f}", f"{ratio(method):.2f}", f"{flops(method):.2f}"]  # fmt: skip


def label(each: Setting) -> str:
    """A setting in words."""
    changes = {"train.micro_batches=2": "two micro-batches", "train.recompute=true": "recomputation"}
    return ", ".join((METHODS[each.recipe], *(changes[key] for key in each.overrides)))


def within() -> list[Setting]:
    """What takes no more than the limit, end-to-end training first, then by accuracy."""
    found = [each for each in settings() if each.timed and peak(each.name) * MIB <= LIMIT]
    return sorted(found, key=lambda each: (each.recipe != "e2e", -statistics.mean(accuracies(each.name))))


def memory_rows() -> Iterator[list[str]]:
    """What fits under the limit."""
    for each in within():
        yield [label(each), f"{peak(each.name):.2f}", f"{ratio(each.name):.2f}", accuracy(each.name)]


def too_large() -> str:
    """The methods that the limit leaves no way for."""
    fits = {each.recipe for each in within()}
    return " and ".join(f"{name} ({peak(method):.1f} MiB)" for method, name in METHODS.items() if method not in fits)


def epochs_in(time: float) -> int:
    """How many of those that were trained, end to end with recomputation, fit into the time of so many plain ones."""
    return max((n for n in (1, *EPOCHS) if n * ratio("e2e_recompute") <= time), default=0)


def time_rows() -> Iterator[list[str]]:
    """A method's epoch beside end-to-end training for as long."""
    for method, name in sorted(METHODS.items(), key=lambda item: ratio(item[0])):
        if method != "e2e":
            n = epochs_in(ratio(method))
            found = accuracy("e2e" if n == 1 else f"e2e_{n}") if n else "–"
            yield [name, f"{ratio(method):.2f}", accuracy(method), str(n) if n else "–", found]


def decoupled_rows() -> Iterator[list[str]]:
    """MAN over several ranks that do not wait for one another, below MAN on one."""
    for ranks, ahead, epochs in DECOUPLED:
        name = decoupled(ranks, ahead, epochs)
        layout = f"`decoupled`, {ranks} ranks" if ranks > 1 else "one device, or `synchronous` stages"
        yield [str(epochs), layout, str(ahead) if ranks > 1 else "–", f"{peak(name):.2f}", accuracy(name),
               listed(accuracies(name))]  # fmt: skip


def listed(values: Iterable[float]) -> str:
    """One after the other."""
    return ", ".join(f"{value:.2f}" for value in values)


def earlier_rows() -> Iterator[list[str]]:
    """The runs of eight epochs."""
    for row in document(EARLIER)["rows"]:
        errors = row["test_error"]
        yield [
            row["recipe"],
            row["what"],
            listed(errors),
            f"{statistics.mean(errors):.2f}",
            f"{statistics.stdev(errors):.2f}",
        ]


def published_rows() -> Iterator[list[str]]:
    """Steps beside those of the published schedule."""
    for row in document(PUBLISHED)["rows"]:
        yield [row["what"], f"{row['published_ms']} ms", f"{row['specc']:.2f}", f"{row['channels_last']:.2f}",
               f"{row['published_mib']} MiB", f"{row['specc_peak']:.2f}"]  # fmt: skip


def dots() -> Iterator[Dot]:
    """One a method, and one a way to train end to end in less memory."""
    for each in settings():
        if each.group == "setting" or (each.group == "memory" and each.recipe == "e2e"):
            found = accuracies(each.name)
            yield Dot(label(each), peak(each.name), statistics.mean(found), statistics.stdev(found),
                      exact=each.recipe == "e2e")  # fmt: skip


def picture() -> str:
    """Accuracy over memory, as SVG."""
    return to_svg(accuracy_by_memory(list(dots())))


def text() -> str:
    """The whole page."""
    step = ("peak, MiB", "step, × end to end", "test accuracy, %")
    return Template(PROSE.read_text(encoding="utf-8")).substitute(
        processor=document(FIGURES)["hardware"]["processor"],
        torch=document(FIGURES)["hardware"]["torch"].partition("+")[0],
        rounds=document(STEPS)["rounds"],
        images=f"{64 * runs('e2e')[0]['steps']:,}",
        limit=f"{LIMIT // MIB}",
        end_to_end_ms=f"{document(STEPS)['milliseconds']['e2e']:.0f}",
        setting=table(("recipe", "method", "test accuracy, %", "own classifiers: first / worst / last unit, %",
                       "predicted peak, MiB", "measured peak, MiB", "step, × end to end", "FLOPs, ×"), setting_rows()),
        memory=table(("what", *step), memory_rows()),
        too_large=too_large(),
        recompute_mib=f"{peak('e2e_recompute'):.2f}",
        recompute_ratio=f"{ratio('e2e_recompute'):.2f}",
        time=table(("method", "its epoch, in those of end-to-end training", "test accuracy, %",
                    "epochs of end-to-end training in that time", "test accuracy, %"), time_rows()),
        decoupled=table(("epochs", "layout", "`staleness`", "measured peak, MiB", "test accuracy, %", "seeds 0, 1, 2"),
                        decoupled_rows()),
        earlier=table(("recipe", "what it is", "test error, % (three seeds)", "mean", "spread"), earlier_rows()),
        published=table(("configuration", "published step", "specc", "specc, `channels_last`", "published peak",
                         "specc"), published_rows()),
    )  # fmt: skip
