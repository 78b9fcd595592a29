"""Test accuracy over the memory of a step: one dot a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specc.pictures.drawing import Picture, Tips, drawn, new_figure, text_width
from specc.pictures.palette import ACCENT, INK, MUTED, WARN

WIDTH, HEIGHT, SIZE = 720, 420, 10


@dataclass(frozen=True, slots=True)
class Dot:
    """`exact`: trained with the gradients of backpropagation."""

    name: str
    mebibytes: float
    accuracy: float
    deviation: float
    exact: bool


@drawn
def accuracy_by_memory(dots: Sequence[Dot]) -> Picture:
    """Up is better, and so is left."""
    figure, tips = new_figure(WIDTH, HEIGHT), Tips()
    axes = figure.add_axes((54 / WIDTH, 46 / HEIGHT, (WIDTH - 74) / WIDTH, (HEIGHT - 84) / HEIGHT))
    axes.set_xlim(0, 1.12 * max(dot.mebibytes for dot in dots))
    low, high = min(d.accuracy - d.deviation for d in dots), max(d.accuracy + d.deviation for d in dots)
    axes.set_ylim(low - 2, high + 2)
    axes.set_xlabel("measured peak of a step, MiB", fontsize=SIZE)
    what = "test accuracy, %: mean and deviation of three seeds"
    figure.text(10 / WIDTH, 1 - 20 / HEIGHT, what, fontsize=SIZE, color=MUTED.light)
    for dot in dots:
        colour = WARN if dot.exact else ACCENT
        axes.plot([dot.mebibytes] * 2, [dot.accuracy - dot.deviation, dot.accuracy + dot.deviation], color=colour.light,
                  linewidth=1, alpha=0.55)  # fmt: skip
        (mark,) = axes.plot(dot.mebibytes, dot.accuracy, marker="o", markersize=6, color=colour.light)
        tips.add(mark, f"{dot.name}: {dot.accuracy:.1f} ± {dot.deviation:.1f} % in {dot.mebibytes:.2f} MiB")
    figure.canvas.draw()
    taken: list[tuple[float, float, float, float]] = []
    points = [tuple(axes.transData.transform((d.mebibytes, d.accuracy))) for d in dots]
    for dot, (x, y) in sorted(zip(dots, points, strict=True), key=lambda pair: -pair[1][1]):
        left, bottom = _free(x, y, text_width(dot.name, SIZE), taken, points)
        figure.text(left / WIDTH, bottom / HEIGHT, dot.name, fontsize=SIZE,
                    color=(WARN if dot.exact else INK).light)  # fmt: skip
    best = max(dots, key=lambda dot: dot.accuracy)
    summary = f"{len(dots)} dots. The most accurate: {best.name}, {best.accuracy:.1f} % in {best.mebibytes:.2f} MiB."
    return Picture("Test accuracy over memory, Fashion-MNIST", summary, figure, tips)


def _free(x: float, y: float, size: float, taken: list[tuple[float, float, float, float]],
          points: Sequence[tuple[float, ...]]) -> tuple[float, float]:  # fmt: skip
    """A place for a text beside its dot, on no other text and no other dot; the last of all where there is none."""
    for left, bottom in ((x + 8, y - 3), (x - 8 - size, y - 3), (x - size / 2, y + 8), (x - size / 2, y - 17),
                         (x + 8, y + 8), (x + 8, y - 15), (x - 8 - size, y + 8), (x - 8 - size, y - 15)):  # fmt: skip
        box = (left - 2, bottom - 3, left + size + 2, bottom + SIZE + 1)
        hit = any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
        over = any(box[0] - 3 < p[0] < box[2] + 3 and box[1] - 3 < p[1] < box[3] + 3 for p in points if p != (x, y))
        if not hit and not over and left >= 0 and left + size <= WIDTH:
            break
    taken.append(box)
    return left, bottom
