"""The reference of the spec language, one page."""

from __future__ import annotations

from specc.docs.pages import filled
from specc.graph.macros import MACROS
from specc.graph.ops import OPS
from specc.reference.language import knob_table, op_section, section
from specc.spec.json_schema import json_schema
from specc.spec.lookup import all_mappings


def reference() -> str:
    """The page as Markdown."""
    schema = json_schema()
    mappings = (section(where, model, schema) for where, model in all_mappings())
    ops = (op_section(name, schema) for name in (*OPS, *MACROS))
    return filled("spec-reference.md", mappings="\n".join(mappings), knobs=knob_table(), ops="\n".join(ops))
