"""How commands print: data to standard output as JSON or as aligned columns, words to standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from engine.server import wire


def print_json(value: object) -> None:
    """One JSON document and a newline; amounts are strings so that no digit is lost."""
    document = msgspec.json.format(wire.encode(value), indent=2)
    sys.stdout.write(document.decode("utf-8") + "\n")


def print_json_line(value: object) -> None:
    """One JSON document on one line, flushed: for programs that wait for it."""
    sys.stdout.write(wire.encode(value).decode("utf-8") + "\n")
    sys.stdout.flush()


def print_words(text: str) -> None:
    """A sentence for the person."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: frozenset[int] = frozenset({0})
) -> None:
    """Aligned columns; those in ``left`` to the left, figures to the right."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    for row in (headings, *rows):
        cells = (
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def print_text(text: str) -> None:
    """Ready-made lines of data."""
    sys.stdout.write(text + "\n")
