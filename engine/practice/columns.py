"""Rows out of tables that are dataclasses of arrays."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.practice.noise import IntArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Table = TypeVar("Table", bound=DataclassInstance)


def taken(table: Table, rows: IntArray) -> Table:
    """Return the table with the given rows, in that order and as often as named; what is no array stays as it is."""
    columns: dict[str, Any] = {}
    for field in fields(table):
        column = getattr(table, field.name)
        if isinstance(column, np.ndarray):
            columns[field.name] = column[rows]
    return replace(table, **columns)
