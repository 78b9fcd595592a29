"""The page about diagnostics: the formats for programs, with one example in each, and the table of codes."""

from __future__ import annotations

from specc.checking import check_text
from specc.diagnostics.pages import titles
from specc.diagnostics.render import FORMATS, render

EXAMPLE = """specc: 1
name: example
backbone: {family: resnet_cifar, depth: 20}
split: {blocks: 4}
levels:
  - {name: local, window: 1}
  - {name: local, window: 2}
"""
HEAD = """# Diagnostics

<!-- generated: python -m specc.docs -->

`specc validate SPEC...` reports everything that is wrong with the specs, in the order of the files. Errors that only
follow from other errors are left out. `--format` chooses how:

| format | for | goes to |
|---|---|---|
| `human` (default) | people: the text, marks under it, help; colour on a terminal without `NO_COLOR` | stderr |
| `concise` | grep and editors: `file:line:column: severity[CODE]: message` | stdout |
| `json` | programs: one document, see below | stdout |
| `github` | GitHub Actions: workflow commands that annotate the lines of a pull request | stdout |
| `sarif` | code-scanning tools: SARIF 2.1.0 | stdout |

Exit codes: 0, no errors (warnings and notes are allowed); 1, at least one error; 2, wrong command line or a file that
cannot be read. Lines and columns count characters from 1, and the end is exclusive. What was given on the command
line (`key=value`) has the file `<cli>`, one line an argument.
"""
JSON_FIELDS = """`format_version` changes only when a field is renamed, removed or gets another meaning; new fields may
be added at any time.

| field | meaning |
|---|---|
| `errors`, `warnings`, `notes` | how many there are |
| `diagnostics[].code` | stable code; `specc explain CODE` explains it |
| `diagnostics[].severity` | `error`, `warning` or `note` |
| `diagnostics[].message` | one sentence |
| `diagnostics[].span` | `file`, `line`, `column`, `end_line`, `end_column`; null where there is no place |
| `diagnostics[].label` | a remark on the place itself |
| `diagnostics[].secondary` | further places, each with `span` and `text` |
| `diagnostics[].help` | what to do, a list of sentences |
"""
PHASES = {
    "0": "YAML and command line", "1": "keys and values", "2": "names", "3": "graph and shapes", "4": "local learning",
    "5": "budget", "6": "data and training",
}  # fmt: skip


def formats() -> str:
    """The page as Markdown."""
    report = check_text(EXAMPLE, "example.yaml")
    parts = [HEAD, "The examples all show what is wrong with this spec:", f"```yaml\n{EXAMPLE}```\n"]
    for name in FORMATS:
        language = "json" if name in ("json", "sarif") else "text"
        parts.append(f"## `--format {name}`\n")
        if name == "json":
            parts.append(JSON_FIELDS)
        parts.append(f"```{language}\n{render(report.diagnostics, report.sources, name)}\n```\n")
    return "\n".join([*parts, codes()])


def codes() -> str:
    """The table of all codes."""
    lines = ["## All codes", "", "Codes are stable: one is never given another meaning.", ""]
    for digit, phase in PHASES.items():
        lines += [f"### {phase}", "", "| code | title |", "|---|---|"]
        lines += [f"| {code} | {title} |" for code, title in titles().items() if code[3] == digit]
        lines.append("")
    return "\n".join(lines)
