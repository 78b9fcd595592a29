"""A page of its own around pictures: no network, no script, light and dark, on a telephone and on a desk."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .diagram import Diagram
from .drawing import Picture, to_inline
from .palette import css

STYLE = """\
*{box-sizing:border-box}
html{color-scheme:light dark;background:var(--specc-paper)}
body{margin:0 auto;padding:1rem;max-width:47rem;color:var(--specc-ink);font:1rem/1.5 var(--specc-font);\
overflow-wrap:anywhere}
h1{font-size:1.375rem;line-height:1.25;margin:.25rem 0}
p{margin:.25rem 0 1.25rem;color:var(--specc-muted)}
figure{margin:0}
svg{display:block;width:100%;height:auto;max-width:720px}
.narrow{display:none}
details{margin:1.5rem 0;border-top:1px solid var(--specc-grid);padding-top:.75rem}
summary{cursor:pointer;font-weight:600}
summary:focus-visible{outline:2px solid var(--specc-accent);outline-offset:2px}
ol{padding-left:0;list-style:none}
ol>li{margin:.75rem 0}
ul{padding-left:1.25rem;margin:.25rem 0;color:var(--specc-muted)}
@media (max-width:751px){.wide{display:none}.narrow{display:block}.narrow svg{max-width:340px;margin:0 auto}}
"""


def page(found: Diagram, wide: Picture, narrow: Picture) -> str:
    """A block diagram with its words, in HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(wide.title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{css()}{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(found.name)}</h1>\n<p>{escape(found.summary)}</p>\n"
        f'<figure>\n<div class="wide">{to_inline(wide)}</div>\n'
        f'<div class="narrow">{to_inline(narrow)}</div>\n</figure>\n'
        f"<details>\n<summary>In words</summary>\n<ol>\n{''.join(_words(found))}</ol>\n</details>\n"
        "</main>\n</body>\n</html>\n"
    )


def _words(found: Diagram) -> Iterable[str]:
    """Every block with what ends there."""
    for block in found.blocks:
        units = "".join(f"<li>{escape('; '.join(unit.lines))}</li>" for unit in found.ending(block.index))
        about = f"{block.span}: {block.parameters:,} parameters, gives {block.output}"
        yield f"<li><strong>Block {block.index}</strong> {escape(about)}{f'<ul>{units}</ul>' if units else ''}</li>\n"
