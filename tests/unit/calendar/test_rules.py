"""The data files: what they say, and that a wrong one is refused with file, key and what is allowed."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from engine.calendar.rules import read_rules, read_sessions
from engine.core.errors import SetupError

DATA = files("engine.calendar") / "data"


def changed(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """A copy of a shipped file with one passage replaced."""
    text = (DATA / name).read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / name
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_shipped_facts_of_the_indices() -> None:
    """Freeze quantities and index tokens are those of the exchanges' circulars and the broker's table."""
    rules = read_rules()
    assert rules.freeze_quantity("NIFTY") == 1800
    assert rules.freeze_quantity("SENSEX") == 1000
    assert rules.index_token("NIFTY") == 256265
    assert rules.index_token("BANKNIFTY") == 260105
    assert rules.index_token("SENSEX") == 265


def test_index_contracts_are_told_from_stock_contracts() -> None:
    """Indices without a row of facts are indices all the same; a stock is none."""
    rules = read_rules()
    assert all(rules.is_index(name) for name in ("NIFTY", "SENSEX", "NIFTYFPI", "SENSEX50", "FOCIT"))
    assert not rules.is_index("RELIANCE")
    assert "FOCIT" not in rules.underlyings


def test_an_unlisted_underlying_has_no_facts() -> None:
    """A stock without a row has no freeze quantity and no index token, not zero."""
    rules = read_rules()
    assert rules.freeze_quantity("RELIANCE") is None
    assert rules.index_token("RELIANCE") is None
    assert rules.underlying_of("RELIANCE") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NIFTY 50", "NIFTY"),
        ("nifty", "NIFTY"),
        ("bank nifty", "BANKNIFTY"),
        ("Nifty Bank", "BANKNIFTY"),
        ("nifty-fin-service", "FINNIFTY"),
        ("BSE Sensex", "SENSEX"),
    ],
)
def test_aliases(text: str, name: str) -> None:
    """Case, blanks and hyphens do not matter in an underlying's name."""
    assert read_rules().underlying_of(text) == name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("freeze_quantity = 1800", 'freeze_quantity = "1800"', "NIFTY.freeze_quantity"),
        ("freeze_quantity = 1800", "freeze_quantity = 0", "NIFTY.freeze_quantity"),
        ("freeze_quantity = 1800", "freeze_kwantity = 1800", "freeze_kwantity"),
        ("index_token = 256265\n", "", "index_token"),
        ('other_indices = ["NIFTYFPI"', "other_indices = [1", "other_indices[0]"),
        ('exchange = "NFO"', 'exchange = "NYSE"', "NIFTY.exchange"),
        ('aliases = ["BSE SENSEX"]', 'aliases = ["Bank Nifty"]', "SENSEX.aliases"),
        ("checked = 2026-11-22", "", "checked"),
        ("expiry_weekday = 1 ", "expiry_weekday = 8 ", "NIFTY.expiry_weekday"),
    ],
)
def test_wrong_underlyings_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    """A wrong value names its file and its key."""
    path = changed(tmp_path, "underlyings.toml", old, new)
    with pytest.raises(SetupError) as refused:
        read_rules(path)
    assert str(path) in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("open = 09:15:00", "open = 915", "derivatives[0].open"),
        ("close = 15:40:00", "close = 09:00:00", "derivatives[1]"),
        ("cash_continuous_close = 15:15:00", "cash_continuous_close = 15:45:00", "cash_continuous_close"),
        ("from = 2026-08-03", "from = 2026-12-07", "one `from`"),
        ("from = 2000-01-01", "from = 2026-01-01", "first_day"),
        ('zone = "Asia/Kolkata"', 'zone = "Asia/Kolkatta"', "zone"),
        ("last_day = 2026-12-31", "last_day = 2027-12-31", "2027"),
        ("days = [2026-01-15", "days = [2025-01-15", "holidays[2].days"),
        ("pre_open = 09:00:00", "pre_open = 09:30:00", "pre_open"),
        ('why = "Muhurat"', 'reason = "Muhurat"', "special_sessions[3]"),
        ("pause = [10:00:00, 11:30:00]", "pause = [11:30:00, 10:00:00]", "special_sessions[1].pause"),
        ("pause = [10:00:00, 11:30:00]", "pause = [10:00:00, 12:30:00]", "special_sessions[1].pause"),
        ("day = 2024-05-18", "day = 2024-03-02", "2024-03-02 twice"),
        ("day = 2026-11-08", "day = 2026-02-01", "unknown_sessions"),
        ("year = 2024", "year = 2023", "2024"),
        ('certainty = "medium"', 'certainty = "perhaps"', "holidays[0].certainty"),
        ("checked = 2026-11-22", "checked = [", "TOML"),
    ],
)
def test_wrong_sessions_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    """A wrong, missing, unknown or contradicting key names its file and itself."""
    path = changed(tmp_path, "sessions.toml", old, new)
    with pytest.raises(SetupError) as refused:
        read_sessions(path)
    assert str(path) in str(refused.value)
    assert words in str(refused.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is a refusal with that path."""
    with pytest.raises(SetupError, match=r"nowhere\.toml"):
        read_sessions(tmp_path / "nowhere.toml")


def test_regimes_may_stand_in_any_order(tmp_path: Path) -> None:
    """The table is ordered by day whatever the order in the file."""
    path = changed(tmp_path, "sessions.toml", "from = 2000-01-01", "from = 2023-06-01")
    text = path.read_text(encoding="utf-8")
    first, second, rest = text.split("[[derivatives]]", 2)
    path.write_text(f"{first}[[derivatives]]{rest}\n[[derivatives]]{second}", encoding="utf-8")
    days = [regime.since for regime in read_sessions(path).derivatives]
    assert days == [date(2023, 6, 1), date(2026, 8, 3), date(2026, 12, 7)]
