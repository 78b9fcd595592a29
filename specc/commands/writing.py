"""Files that commands write because they were asked to: no other file is replaced unasked."""

from __future__ import annotations

from pathlib import Path

import click

from ..system.files import replacing
from .output import echo
from .shared import fail

force_option = click.option("--force", is_flag=True, help="Replace files that are there.")


def may_write(option: str, target: Path | None, spec: Path, force: bool, why: str = "") -> None:
    """Refuse a file that is there, and the spec itself even by force; nothing where no file was asked for."""
    if target is None or not target.exists():
        return
    if spec.exists() and target.samefile(spec):
        raise click.UsageError(f"{option} {target} is the spec itself{why}: give another file")
    if not force:
        raise click.UsageError(f"{target} exists: give another file, or --force to replace it")


def written(target: Path, content: str | bytes) -> None:
    """Write a file as a whole, and say so."""
    try:
        with replacing(target) as temporary:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        fail(3, f"cannot write {target}: {error.strerror}")
    echo(f"wrote {target}", err=True)
