"""The identity of a practice market: the same source is the same venue, any other is another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import SetupError
from workstation.practice_venue import PracticeSource

DEFAULT = PracticeSource(seed=7, start="auto")


def identity(**changes: object) -> str:
    """The venue of a source that differs from the default one."""
    values = {"seed": 7, "start": "auto", "instruments": None, "snapshot": None, **changes}
    return PracticeSource(**values).venue_id(default=DEFAULT)  # type: ignore[arg-type]


def test_the_default_market_has_a_plain_name() -> None:
    """It is the one most people ever see."""
    assert identity() == "practice"


def test_every_difference_is_another_venue(tmp_path: Path) -> None:
    """Seed, start, each file and its part in it."""
    file = tmp_path / "input"
    file.write_bytes(b"one")
    names = [
        identity(),
        identity(seed=8),
        identity(start="2026-11-19T11:00:00+05:30"),
        identity(instruments=file),
        identity(snapshot=file),
        identity(instruments=file, snapshot=file),
    ]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() and len(name) <= 19 for name in names)


def test_a_file_counts_by_what_is_in_it(tmp_path: Path) -> None:
    """Moved or copied it is the same market, changed it is another."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    assert identity(snapshot=first) == identity(snapshot=second)
    second.write_bytes(b"two")
    assert identity(snapshot=first) != identity(snapshot=second)


def test_a_missing_file_is_refused_by_its_option(tmp_path: Path) -> None:
    """Wherever it is noticed first."""
    gone = tmp_path / "gone"
    with pytest.raises(SetupError, match="--instruments: there is no file"):
        identity(instruments=gone)
    with pytest.raises(SetupError, match="--snapshot: there is no file"):
        PracticeSource(seed=7, start="auto", snapshot=tmp_path).check()
