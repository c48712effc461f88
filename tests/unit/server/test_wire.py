"""Values on the wire: nothing is lost, nothing is invented, and what cannot travel is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from engine.core.views import Codes, Floats, Integers
from engine.core.vocabulary import Mark
from engine.server import wire


class Sample(msgspec.Struct, frozen=True, eq=False):
    """One of each kind."""

    floats: Floats
    integers: Integers
    codes: Codes
    rows: npt.NDArray[np.intp]
    money: dict[Mark, Decimal]
    at: datetime


def sample(floats: list[float]) -> Sample:
    """A sample with these floats."""
    return Sample(
        np.array(floats),
        np.array([-(2**53) + 1, 0, 2**53 - 1], dtype=np.int64),
        np.array([0, 255], dtype=np.uint8),
        np.array([1], dtype=np.intp),
        {Mark.LAST: Decimal("414.8175"), Mark.EXIT: Decimal("-0.00")},
        datetime(2026, 11, 19, 3, 45, 0, 123456, tzinfo=UTC),
    )


def test_everything_survives_the_way_there_and_back() -> None:
    """Digits, kinds, keys and times are the same on the other side."""
    sent = sample([0.1, -0.0, 1e-300, 29151.225000000002])
    received = wire.decode(wire.encode(sent), Sample)
    assert received.floats.tolist() == sent.floats.tolist()
    assert math.copysign(1, received.floats[1]) == -1
    assert received.integers.tolist() == sent.integers.tolist()
    assert received.codes.dtype == np.uint8
    assert received.rows.dtype == np.intp
    assert received.money == sent.money
    assert str(received.money[Mark.EXIT]) == "-0.00"
    assert all(isinstance(mark, Mark) for mark in received.money)
    assert received.at == sent.at


def test_not_a_number_and_the_infinities_are_kept_apart() -> None:
    """Unknown stays unknown, unlimited stays unlimited."""
    received = wire.decode(wire.encode(sample([math.nan, math.inf, -math.inf, 1.5])), Sample).floats
    assert math.isnan(received[0])
    assert received[1:].tolist() == [math.inf, -math.inf, 1.5]


def test_the_wire_is_plain_json() -> None:
    """Any program can read it: no NaN literal, amounts as texts."""
    text = wire.encode(sample([math.nan, math.inf])).decode()
    assert '"floats":[null,"inf"]' in text
    assert '"last":"414.8175"' in text


def test_received_columns_are_read_only() -> None:
    """Nobody scribbles on a shared picture."""
    received = wire.decode(wire.encode(sample([1.0])), Sample)
    with pytest.raises(ValueError, match="read-only"):
        received.floats[0] = 2.0


def test_empty_columns_travel() -> None:
    """No rows is a value too."""
    assert wire.decode(wire.encode(sample([])), Sample).floats.size == 0


def test_numpy_scalars_travel_as_numbers() -> None:
    """A scalar out of an array is a number like any other."""
    assert wire.encode([np.int64(5), np.float64(0.5), np.bool_(True)]) == b"[5,0.5,true]"


@pytest.mark.parametrize("value", [np.zeros((2, 2)), object(), {1, 2}.__iter__()])
def test_what_has_no_form_is_refused(value: object) -> None:
    """A value that would arrive as something else is not sent."""
    with pytest.raises(TypeError, match="cannot be sent"):
        wire.encode([value])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'["1"]', Floats),
        (b"[true]", Floats),
        (b"[1.5]", Integers),
        (b"[null]", Integers),
        (b"[256]", Codes),
        (b"[-1]", Codes),
        (b"[99999999999999999999]", Integers),
        (b'{"a":1}', Floats),
        (b"[[1]]", Floats),
    ],
)
def test_columns_of_another_kind_are_refused(text: bytes, kind: object) -> None:
    """A column is never guessed from something else."""
    with pytest.raises(msgspec.ValidationError):
        wire.decode_as(text, kind)
