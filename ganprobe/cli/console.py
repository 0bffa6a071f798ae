"""What commands print: tables, JSON, and progress bars on standard error."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ganprobe.progress import Bar

__all__ = ["command_line", "print_json", "print_table", "progress", "say", "width"]

_WIDTH_OF_A_PIPE = 200  # it has none; leave lines whole


def say(sentence: str) -> None:
    """Tell the user something beside the results, on standard error."""
    click.echo(f"ganprobe: {' '.join(sentence.split())}", err=True)


def print_json(value: object) -> None:
    """Write a value as indented JSON to standard output."""
    click.echo(json.dumps(value, indent=1))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()
) -> None:
    """Write a table to standard output; the columns in `numbers` are set to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False, width=width()).print(table)


def width() -> int:
    """Of lines on standard output, in letters."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else _WIDTH_OF_A_PIPE


@contextmanager
def progress(total: int, what: str) -> Iterator[Bar]:
    """A bar on standard error with count, rate and time left; nothing where it is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=total, rate="")

        class _Task:
            def advance(self, n: int = 1) -> None:
                bars.advance(task, n)
                speed = bars.tasks[0].speed
                bars.update(task, rate=f"{speed:,.0f}/s" if speed else "")

        yield _Task()


def command_line() -> str:
    """The command as it was typed, for the provenance."""
    return shlex.join(["ganprobe", *sys.argv[1:]])
