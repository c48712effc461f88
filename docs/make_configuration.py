"""Writes config.toml from the settings' own defaults and docstrings: ``python -m docs.make_configuration``."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterator
from datetime import time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from workstation.settings import Configuration

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 118
HEAD = """\
# All settings with their defaults. Copy what you want to change into a file of your own, named by --config or kept as
# config.toml in the platform's configuration folder. Any value can also be given by the environment:
# WORKSTATION_SECTION_KEY, for example WORKSTATION_VENUE_SEED=11 or WORKSTATION_ORDERS_BUDGET_PER_SECOND=8.
# Unknown and ill-typed keys are refused with the file, the key and what is allowed.
"""


def field_words(kind: type[Any]) -> dict[str, str]:
    """The docstring under each field of a settings struct, its own or one it inherits."""
    words: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            words |= own_words(base)
    return words


def own_words(kind: type[Any]) -> dict[str, str]:
    """The docstring under each field that the struct itself names."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    words = {}
    for field, following in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            words[field.target.id] = " ".join(str(following.value.value).split())
    return words


def comment(text: str) -> Iterator[str]:
    """Comment lines."""
    yield from (f"# {line}" for line in textwrap.wrap(text, WIDTH))


def literal(value: object) -> str | None:
    """A TOML value; ``None`` where TOML has no word for it."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case Enum() | str():
            return f'"{value}"'
        case Decimal():
            return f'"{value}"'
        case timedelta():
            return f'"{msgspec.to_builtins(value)}"'
        case int() | float():
            return repr(value)
        case tuple():
            return "[" + ", ".join(filter(None, map(literal, value))) + "]"
        case dict() if not value:
            return "{}"
    if isinstance(value, time):
        return value.isoformat()
    raise TypeError(f"no TOML for {value!r}")


def section(name: str, settings: msgspec.Struct) -> Iterator[str]:
    """One section and its subsections."""
    kind = type(settings)
    yield ""
    yield f"[{name}]"
    yield from comment((inspect.getdoc(kind) or "").partition("\n")[0])
    words = field_words(kind)
    nested = []
    for field in msgspec.structs.fields(kind):
        value = getattr(settings, field.name)
        if isinstance(value, msgspec.Struct):
            nested.append((f"{name}.{field.name}", value))
            continue
        if field.name in words:
            yield from comment(words[field.name])
        text = literal(value)
        yield f"# {field.name} is not set" if text is None else f"{field.name} = {text}"
    for inner, value in nested:
        yield from section(inner, value)


def document() -> str:
    """The whole file."""
    defaults = Configuration()
    lines = [HEAD.rstrip("\n")]
    for field in msgspec.structs.fields(Configuration):
        lines += section(field.name, getattr(defaults, field.name))
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the file."""
    (ROOT / "config.toml").write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
