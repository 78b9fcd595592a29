"""What a search over cuts leaves out: places where several tensors cross."""

from __future__ import annotations

from collections.abc import Iterator

from ..compiler.draft import Draft
from ..diagnostics import Diagnostic

AT = ("split", "fit")


def left_out(draft: Draft) -> Iterator[Diagnostic]:
    """A note where the network could be cut at more places than those that one tensor alone crosses."""
    narrow = {*draft.graph.cut_choices}
    wide = [name for name in draft.graph.tiers[-1] if name not in narrow]
    if not wide:
        return
    more = f"{len(wide)} more {'are' if len(wide) > 1 else 'is'} left out, where several tensors do"
    message = f"`fit` looks at the places that one tensor alone crosses, here {len(narrow)}: {more}"
    shown = ", ".join(f"`{name}`" for name in wide[:3]) + (", ..." if len(wide) > 3 else "")
    help = (f"cuts there can be named, after {shown}: `split: {{after: [...]}}`",)
    at = AT if AT in draft.spec.tree.values else ("split",)
    yield draft.spec.note("SPC510", message, *at, label="not at every cut", help=help, key=True)
