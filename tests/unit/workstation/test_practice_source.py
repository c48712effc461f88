"""The identity of a practice market: the same source is the same venue, any other is another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import SetupError
from workstation.practice_venue import PracticeSource, Relay, is_default_market, practice_source, venue_id
from workstation.settings import VenueSettings

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


def test_a_tape_is_a_venue_by_its_header(tmp_path: Path) -> None:
    """Wherever it lies, and by whichever of its files it is named; another header is another venue."""
    for name, content in (("one", b"a"), ("moved", b"a"), ("other", b"b")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "header.json").write_bytes(content)
        (folder / "000001.tape").write_bytes(b"")
    one, moved, other = (identity(tape=tmp_path / name) for name in ("one", "moved", "other"))
    assert one == moved == identity(tape=tmp_path / "one" / "000001.tape")
    assert one != other
    assert one.startswith("replay-")
    assert len(one) <= 19
    with pytest.raises(SetupError, match="There is no tape at"):
        identity(tape=tmp_path / "none")


def test_the_settings_name_the_market_of_each_kind(tmp_path: Path) -> None:
    """A tape needs its folder, paper its feed; live has no practice market; anything else is refused in words."""
    replay = practice_source(VenueSettings(kind="replay", tape=str(tmp_path), start="2026-11-19T11:00:00+05:30"))
    assert (replay.tape, replay.start) == (tmp_path, "auto")
    paper = VenueSettings(kind="paper", relay_root="https://r", relay_stream="wss://s")
    assert practice_source(paper).relay == Relay("https://r", "wss://s")
    assert venue_id(paper) == "paper"
    assert venue_id(VenueSettings(kind="live")) == "live"
    assert not any(is_default_market(settings) for settings in (paper, VenueSettings(kind="live")))
    assert is_default_market(VenueSettings())
    with pytest.raises(SetupError, match="needs the folder of a tape"):
        practice_source(VenueSettings(kind="replay"))
    with pytest.raises(SetupError, match="is none of practice, replay, paper, live"):
        practice_source(VenueSettings(kind="demo"))
