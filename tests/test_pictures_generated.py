"""Any valid spec can be drawn, recorded and written down, and what is written keeps apart."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

import specc
from specc.compiler.variants import end_to_end
from specc.pictures.blocks import block_diagram
from specc.pictures.chart import chart
from specc.pictures.diagram import diagram
from specc.pictures.drawing import Picture, to_inline
from specc.pictures.graph_text import to_dot, to_mermaid
from specc.pictures.timeline import memory_timeline
from specc.views.snapshot import snapshot_document
from specc.views.timeline import timeline

from .documents import Document, documents, spec_of


def apart(picture: Picture) -> bool:
    """Whether all texts of a picture are inside of it, none over another."""
    axes = picture.figure.axes
    texts = [t for each in axes for t in (*each.texts, *(each.get_yticklabels() if each.axison else ()))]
    boxes: list[Any] = [text.get_window_extent() for text in texts if text.get_text()]
    right, top = picture.figure.bbox.x1, picture.figure.bbox.y1
    inside = all(min(box.x0, box.y0, right - box.x1, top - box.y1) > -0.6 for box in boxes)
    return inside and not any(one.padded(-1.5).overlaps(other.padded(-1.5))
                              for i, one in enumerate(boxes) for other in boxes[i + 1 :])  # fmt: skip


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_any_spec_can_be_drawn(document: Document) -> None:
    plan = specc.compile(spec_of(document))
    whole, found = end_to_end(plan), timeline(plan)
    assert found.highest.bytes == plan.memory.peak_bytes
    assert len(chart(found, timeline(whole) if whole else None, 60).split("\n")) > 14
    assert snapshot_document(plan)["segments"][0]["total_size"] >= plan.memory.peak_bytes
    shown = diagram(plan)
    assert to_dot(shown).endswith("}\n")
    assert to_mermaid(shown).count("subgraph") == 0
    for picture in (block_diagram(plan, 340), memory_timeline(plan, whole, 340), memory_timeline(plan, whole, 720)):
        assert to_inline(picture).startswith("<svg")
        assert apart(picture)
