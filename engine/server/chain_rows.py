"""A chain on the wire: a header, the strikes, one part per row, and the ages of all quotes as one part.

Ages move by themselves, so they are no change of a row: they travel together, once a second at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, get_type_hints

import msgspec
import numpy as np
import numpy.typing as npt

from engine.core.views import ChainColumns, ChainHeader, ChainKey, ChainView, Floats, Integers
from engine.market.chain_changes import RowChanges
from engine.server import wire

HEADER: Final = "header"
STRIKES: Final = "strikes"
AGES: Final = "ages"
AGE_COLUMN: Final = "age_s"
COLUMNS: Final = tuple(field.name for field in msgspec.structs.fields(ChainColumns) if field.name != AGE_COLUMN)
"""A row on the wire is ``[call values, put values]``, each in this order."""
_DTYPES: Final[dict[str, type[np.generic]]] = {
    name: hint.__args__[1].__args__[0]  # numpy's array type: shape, dtype[scalar]
    for name, hint in get_type_hints(ChainColumns).items()
}
_AGE_DIGITS: Final = 1
AGE_STEP_S: Final = 1.0
"""A mirrored chain's ages are moved on so often when nothing comes that says them."""
_Row = tuple[list[Any], list[Any]]


def row_parts(view: ChainView, rows: npt.NDArray[np.intp]) -> dict[str, bytes]:
    """The parts of some rows, by their numbers."""
    sides = [_values(side, rows) for side in (view.calls, view.puts)]
    return {
        str(row): wire.encode([call, put]) for row, call, put in zip(rows.tolist(), sides[0], sides[1], strict=True)
    }


def frame_parts(view: ChainView) -> dict[str, bytes]:
    """The parts beside the rows, without the ages."""
    return {HEADER: wire.encode(view.header), STRIKES: wire.encode(view.strikes)}


def ages_part(view: ChainView) -> dict[str, bytes]:
    """The ages of all quotes, calls then puts, seconds."""
    ages = [np.round(side.age_s, _AGE_DIGITS) for side in (view.calls, view.puts)]
    return {AGES: wire.encode(ages)}


def _values(side: ChainColumns, rows: npt.NDArray[np.intp]) -> list[tuple[Any, ...]]:
    return list(zip(*(wire.plain_values(getattr(side, name)[rows]) for name in COLUMNS), strict=True))


class ChainMirror:
    """A chain rebuilt from its parts, with the rows that changed since any sequence that a reader saw.

    Its sequences are counted here, so that they grow whatever becomes of the engine. Its quotes grow old here too.

    Args:
        key: Which chain.
        monotonic: This machine's clock, seconds.
    """

    def __init__(self, key: ChainKey, monotonic: Callable[[], float]) -> None:
        self._key = key
        self._monotonic = monotonic
        self._view: ChainView | None = None
        self._sequence = 0
        self._aged_at = 0.0
        self._changes = RowChanges(0)
        self._since = 0

    def view(self, since: int) -> ChainView | None:
        """The newest picture; the same object while nothing is different."""
        view = self._view
        if view is not None and self._monotonic() - self._aged_at >= AGE_STEP_S:
            view = self._grown_older(view)
        if view is not None and since != self._since:
            self._since = since
            self._view = msgspec.structs.replace(view, changed=self._changes.since(since, view.sequence))
        return self._view

    def _grown_older(self, view: ChainView) -> ChainView:
        """The picture with every quote as old as it is by now; no row counts as changed."""
        now = self._monotonic()
        sides = []
        for side in (view.calls, view.puts):
            ages = side.age_s + (now - self._aged_at)
            ages.flags.writeable = False
            sides.append(msgspec.structs.replace(side, age_s=ages))
        self._aged_at = now
        self._sequence += 1
        changed = self._changes.since(self._since, self._sequence)
        self._view = msgspec.structs.replace(
            view, sequence=self._sequence, calls=sides[0], puts=sides[1], changed=changed
        )
        return self._view

    def take(self, *, is_snapshot: bool, parts: dict[str, msgspec.Raw]) -> None:
        """Keep what arrived; a snapshot without parts means that the chain is not shown any more.

        Raises:
            msgspec.DecodeError: it is not a chain.
        """
        before = None if is_snapshot else self._view
        if before is None and HEADER not in parts:
            self._view = None
            return
        header = wire.decode(parts[HEADER], ChainHeader) if HEADER in parts else None
        if STRIKES in parts:
            strikes = wire.decode_as(parts[STRIKES], Floats)
            if before is None or not np.array_equal(before.strikes, strikes):
                before = _unknown(self._key, strikes, header)
                self._changes = RowChanges(strikes.size)
        if before is None:
            raise msgspec.ValidationError("a chain without its strikes")
        rows = [_row(name) for name in parts if name not in {HEADER, STRIKES, AGES}]
        sides = _with_rows(before, rows, [wire.decode_as(parts[str(row)], _Row) for row in rows])
        if AGES in parts:
            ages = wire.decode_as(parts[AGES], tuple[Floats, Floats])
            sides = [msgspec.structs.replace(side, age_s=age) for side, age in zip(sides, ages, strict=True)]
            self._aged_at = self._monotonic()
        self._sequence += 1
        changed = np.zeros(before.strikes.size, dtype=np.bool_)
        changed[rows] = True
        self._changes.mark(changed, self._sequence)
        self._view = ChainView(
            key=self._key,
            sequence=self._sequence,
            strikes=before.strikes,
            header=header or before.header,
            calls=sides[0],
            puts=sides[1],
            changed=self._changes.since(self._since, self._sequence),
        )

    def suspect(self, stale: int, unknown: int) -> None:
        """Every quote that was known is suspect from now on: its state becomes ``stale``."""
        view = self._view
        if view is None:
            return
        sides = []
        for side in (view.calls, view.puts):
            states = np.where(side.state == unknown, side.state, np.uint8(stale))
            states.flags.writeable = False
            sides.append(msgspec.structs.replace(side, state=states))
        self._sequence += 1
        self._changes.mark(np.ones(view.strikes.size, dtype=np.bool_), self._sequence)
        changed = self._changes.since(self._since, self._sequence)
        self._view = msgspec.structs.replace(
            view, sequence=self._sequence, calls=sides[0], puts=sides[1], changed=changed
        )


def _row(name: str) -> int:
    """A row's number.

    Raises:
        msgspec.ValidationError: the part is no row.
    """
    if not name.isdecimal():
        raise msgspec.ValidationError(f'a chain with a part "{name}"')
    return int(name)


def _unknown(key: ChainKey, strikes: Floats, header: ChainHeader | None) -> ChainView:
    """A chain of which nothing is known but its strikes."""
    if header is None:
        raise msgspec.ValidationError("a chain without its header")
    columns: dict[str, Any] = {}
    for name, dtype in _DTYPES.items():
        columns[name] = np.full(strikes.size, np.nan if issubclass(dtype, np.floating) else 0, dtype=dtype)
    side = ChainColumns(**columns)
    nothing: Integers = np.empty(0, dtype=np.intp)
    return ChainView(key=key, sequence=0, strikes=strikes, header=header, calls=side, puts=side, changed=nothing)


def _with_rows(before: ChainView, rows: Sequence[int], values: Sequence[Any]) -> list[ChainColumns]:
    """Both sides with some rows set; read-only copies, so that a picture given out never changes.

    Raises:
        msgspec.ValidationError: a row is not there, or holds something else than its columns.
    """
    if not rows:
        return [before.calls, before.puts]
    if max(rows) >= before.strikes.size:
        raise msgspec.ValidationError(f"row {max(rows)} of a chain of {before.strikes.size}")
    sides = []
    for place, side in enumerate((before.calls, before.puts)):
        widths = {len(row[place]) for row in values}
        if widths != {len(COLUMNS)}:
            raise msgspec.ValidationError(f"rows of {sorted(widths)} columns, {len(COLUMNS)} were expected")
        columns = zip(*(row[place] for row in values), strict=True)
        changes: dict[str, Any] = {}
        for name, column in zip(COLUMNS, columns, strict=True):
            array = getattr(side, name).copy()
            try:
                array[list(rows)] = wire.column(column, _DTYPES[name])
            except ValueError as error:
                raise msgspec.ValidationError(f"{name}: {error}") from error
            array.flags.writeable = False
            changes[name] = array
        sides.append(msgspec.structs.replace(side, **changes))
    return sides
