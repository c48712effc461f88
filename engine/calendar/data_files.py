"""Reads data files: TOML to typed tables, and one kind of error that names the file, the key and what is allowed."""

from __future__ import annotations

from datetime import date, time
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from engine.core.errors import SetupError

DATA_FOLDER: Final = "data"
DataFile = Path | Traversable
_Table = TypeVar("_Table")


def shipped(name: str) -> Traversable:
    """One of the files that come with the program."""
    return files("engine.calendar") / DATA_FOLDER / name


def text_of(source: DataFile) -> str:
    """What a file says.

    Raises:
        SetupError: it cannot be read, or is not text in UTF-8.
    """
    try:
        return source.read_bytes().decode("utf-8")
    except OSError as error:
        raise SetupError(f"{source} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise SetupError(f"{source} is not TOML: {error}.") from error


def parsed(text: str, name: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        SetupError: it is not TOML.
    """
    try:
        return dict(msgspec.toml.decode(text))
    except msgspec.DecodeError as error:
        raise SetupError(f"{name} is not TOML: {error}.") from error


def converted(value: object, kind: type[_Table], name: str, within: str = "") -> _Table:
    """Turn parsed TOML into ``kind``; the error keeps msgspec's own path to the key.

    Raises:
        SetupError: a key is missing, unknown or ill-typed.
    """
    try:
        return msgspec.convert(value, kind, builtin_types=(date, time), str_keys=True)
    except msgspec.ValidationError as error:
        words = str(error).replace("`$", f"`{within}") if within else str(error).replace("`$.", "`")
        raise SetupError(f"{name}: {words}.") from error


def refusal(name: str, key: str, words: str) -> SetupError:
    """The error for a key whose value cannot be."""
    return SetupError(f"{name}: `{key}` {words}.")
