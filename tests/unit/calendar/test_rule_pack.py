"""Dated rules: what is in force on a day, files laid over each other, and files that are refused."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from engine.calendar.rule_pack import SHIPPED, DatedRules, RuleLayer, parse_rule_file, read_rule_file
from engine.calendar.rules import read_rules, read_sessions
from engine.calendar.session_rows import session_rows
from engine.calendar.session_table import overlaid
from engine.calendar.sessions import SessionCalendar
from engine.core.errors import SetupError
from engine.core.instruments import Instrument
from engine.core.rulebook import Certainty
from engine.core.vocabulary import Exchange, InstrumentKind

NAME = "mine.toml"
HEAD = "checked = 2026-11-20\n"
FREEZE = """
[[freeze]]
underlying = "NIFTY"
from = 2026-12-01
units = 1200
source = "a circular"
"""
YEAR_2027 = """
[[holidays]]
year = 2027
days = [2027-01-26, 2027-03-22]
source = "a circular"
"""
MUHURAT = """
[[special_sessions]]
day = 2026-11-08
open = 18:15:00
close = 19:15:00
why = "Muhurat"
source = "a circular"
"""


def laid(*texts: str) -> DatedRules:
    """The shipped rules with files over them, the last one on top."""
    layers = [RuleLayer(SHIPPED, read_rule_file())]
    layers += [RuleLayer(f"{number}.toml", parse_rule_file(text, NAME)) for number, text in enumerate(texts)]
    return DatedRules(layers)


def contract(name: str, kind: InstrumentKind, exchange: Exchange = Exchange.NFO) -> Instrument:
    """One contract."""
    return Instrument(
        token=1, exchange_token=1, tradingsymbol="X", exchange=exchange, name=name, kind=kind, segment="NFO-OPT"
    )


@pytest.mark.parametrize(
    ("day", "units"),
    [
        (date(2025, 8, 31), None),
        (date(2025, 9, 1), 900),
        (date(2025, 9, 30), 900),
        (date(2025, 10, 1), None),
        (date(2025, 10, 31), None),
        (date(2025, 11, 1), 600),
        (date(2026, 3, 31), 600),
        (date(2026, 4, 1), 900),
        (date(2026, 6, 30), 900),
        (date(2026, 7, 1), 600),
        (date(2026, 11, 22), 600),
        (None, 600),
    ],
)
def test_freeze_quantity_follows_the_day(day: date | None, units: int | None) -> None:
    """It changed and changed back; of a month that nobody knows it is unknown, not the neighbour's."""
    assert read_rules().freeze_quantity("BANKNIFTY", day) == units


@pytest.mark.parametrize(
    ("name", "day", "units"),
    [
        ("FINNIFTY", date(2025, 11, 30), 1800),
        ("FINNIFTY", date(2026, 1, 31), 1200),
        ("FINNIFTY", date(2026, 2, 15), 1800),
        ("FINNIFTY", date(2026, 3, 15), 1200),
        ("FINNIFTY", date(2026, 4, 1), 1800),
        ("MIDCPNIFTY", date(2025, 3, 31), 4200),
        ("MIDCPNIFTY", date(2025, 4, 1), 2800),
        ("NIFTY", date(2025, 7, 17), 1800),
        ("FOCIT", date(2026, 11, 22), None),
        ("RELIANCE", date(2026, 11, 22), None),
    ],
)
def test_freeze_quantities_of_the_others(name: str, day: date, units: int | None) -> None:
    """Each dated change is in force from its first to its last day."""
    assert read_rules().freeze_quantity(name, day) == units


@pytest.mark.parametrize(
    ("name", "expiry", "units"),
    [
        ("NIFTY", date(2024, 4, 25), 50),
        ("NIFTY", date(2024, 4, 26), 25),
        ("NIFTY", date(2025, 12, 30), 75),
        ("NIFTY", date(2026, 1, 6), 65),
        ("BANKNIFTY", date(2025, 12, 30), 35),
        ("BANKNIFTY", date(2026, 1, 27), 30),
        ("SENSEX", date(2026, 12, 31), 20),
    ],
)
def test_lots_by_expiry(name: str, expiry: date, units: int) -> None:
    """The history of lots, to the day."""
    assert read_rules().dated.lot_size(name, expiry) == units


@pytest.mark.parametrize(
    ("reference", "low", "high"),
    [("10", "0", "30"), ("50", "30", "70"), ("50.05", "30.03", "70.07"), ("200", "120", "280")],
)
def test_limit_price_protection_of_nse_index_options(reference: str, low: str, high: str) -> None:
    """Twenty rupees up to a premium of fifty, forty percent above, and never below nothing."""
    band = read_rules().price_band(contract("NIFTY", InstrumentKind.CALL), Decimal(reference), date(2026, 11, 22))
    assert band == (Decimal(low), Decimal(high))


def test_bands_that_nobody_published_are_unknown() -> None:
    """Index options of BSE have none here; FOCIT has its own; before its first day and for an index there is none."""
    rules, day = read_rules(), date(2026, 11, 22)
    call = InstrumentKind.CALL
    assert rules.price_band(contract("SENSEX", call, Exchange.BFO), Decimal(100), day) is None
    assert rules.price_band(contract("FOCIT", call, Exchange.BFO), Decimal(50), day) == (Decimal(0), Decimal(130))
    assert rules.price_band(contract("NIFTY", call), Decimal(100), date(2022, 10, 30)) is None
    assert rules.price_band(contract("NIFTY", InstrumentKind.INDEX), Decimal(100), day) is None
    assert rules.price_band(contract("RELIANCE", InstrumentKind.FUTURE), Decimal(100), day) is None


def test_ticks_of_one_underlying_before_those_of_its_kind() -> None:
    """NIFTY's futures have their own tick, a new index's any that index futures have."""
    dated, day = read_rules().dated, date(2026, 11, 22)
    assert dated.ticks(Exchange.NFO, "index future", "NIFTY", day) == (Decimal("0.10"),)
    assert Decimal("0.20") in dated.ticks(Exchange.NFO, "index future", "NIFTYFPI", day)
    assert dated.ticks(Exchange.NFO, "stock option", "SAIL", date(2025, 11, 2)) == (Decimal("0.05"),)
    assert Decimal("0.01") in dated.ticks(Exchange.NFO, "stock option", "SAIL", date(2025, 11, 3))
    assert dated.ticks(Exchange.MCX, "stock option", "GOLD", day) == ()


def test_weekdays_of_expiry_have_a_history() -> None:
    """Thursday, then Tuesday from September 2025; weeklies of BANKNIFTY ended."""
    dated = read_rules().dated
    weekdays = [
        row.weekday
        for day in (date(2025, 8, 31), date(2025, 9, 1))
        if (row := dated.expiry("NIFTY", "weekly", day)) is not None
    ]
    assert weekdays == ["THU", "TUE"]
    weekly = dated.expiry("BANKNIFTY", "weekly", date(2026, 1, 1))
    assert weekly is not None
    assert weekly.weekday == "none"
    assert dated.expiry("RELIANCE", "monthly", date(2026, 1, 1)) is None


def test_a_ban_list_is_of_its_own_day() -> None:
    """Shipped there is none; loaded it counts on its day alone, and an empty one is known to be empty."""
    text = HEAD + "".join(
        f'[[ban]]\nfrom = {day}\nsymbols = {names}\nsource = "NSE"\n'
        for day, names in (("2026-11-19", '["SAIL", "RBLBANK"]'), ("2026-11-20", "[]"))
    )
    dated = laid(text)
    assert dated.ban_list(date(2026, 11, 18)) is None
    assert dated.ban_list(date(2026, 11, 19)) == frozenset({"SAIL", "RBLBANK"})
    assert dated.ban_list(date(2026, 11, 20)) == frozenset()
    assert dated.ban_list(date(2026, 11, 23)) is None
    assert read_rules().ban_list(date(2026, 11, 19)) is None
    assert [row.value for row in dated.rows(date(2026, 11, 20)) if row.topic == "ban"] == ["none"]
    assert not [row for row in dated.rows(date(2026, 11, 23)) if row.topic == "ban"]


def test_a_loaded_row_lies_over_the_shipped_one() -> None:
    """Of the same topic, subject and day the newer layer counts; a new day is a change of its own."""
    replaced = FREEZE.replace("2026-12-01", "2025-03-01")
    dated = laid(HEAD + FREEZE, HEAD + replaced)
    assert dated.freeze_quantity("NIFTY", date(2026, 11, 30)) == 1200
    dated = laid(HEAD + FREEZE)
    assert dated.freeze_quantity("NIFTY", date(2026, 11, 30)) == 1800
    assert dated.freeze_quantity("NIFTY", date(2026, 12, 1)) == 1200
    row = next(row for row in dated.rows(date(2026, 11, 30)) if (row.topic, row.subject) == ("freeze", "NIFTY"))
    assert row.until == date(2026, 11, 30)
    assert (row.origin, row.checked) == (SHIPPED, date(2026, 8, 22))
    row = next(row for row in dated.rows(date(2026, 12, 1)) if (row.topic, row.subject) == ("freeze", "NIFTY"))
    assert (row.origin, row.checked, row.until) == ("0.toml", date(2026, 11, 20), None)
    assert "1,200 units" in row.value


def test_every_row_in_force_says_why() -> None:
    """Each fact of a day has a source, a certainty and the day it was checked; none is in force outside of its days."""
    for day in (date(2024, 6, 3), date(2025, 7, 17), date(2026, 11, 22), date(2030, 1, 1)):
        rows = tuple(read_rules().dated.rows(day))
        assert rows
        assert len({(row.topic, row.subject) for row in rows}) == len(rows)
        for row in rows:
            assert row.value
            assert row.source
            assert row.since is not None
            assert row.since <= day
            assert row.until is None or day <= row.until


def test_uncertain_hours_of_the_broker_are_marked() -> None:
    """The square-off hour is from memory, and after the session change there is none."""
    old = {row.subject: row for row in read_rules().dated.rows(date(2026, 7, 1)) if row.topic == "hours"}
    assert old["MIS square-off, derivatives"].certainty is Certainty.LOW
    assert not [row for row in read_rules().dated.rows(date(2026, 8, 3)) if row.topic == "hours"]


def test_made_up_markets_are_made_of_the_rules_in_force() -> None:
    """The undated figures of made-up markets are those of the dated rules on the day they were checked."""
    rules = read_rules()
    for name in rules.underlyings:
        rule, on = rules.rule(name), rules.checked
        assert rule is not None
        assert rules.freeze_quantity(name, on) == rule.freeze_quantity
        assert rules.dated.lot_size(name, on) == rule.lot_size
        assert rules.dated.strike_step(name, on) == rule.strike_step
        assert rules.dated.ticks(rule.exchange, "index option", name, on) == (rule.option_tick,)
        assert rules.dated.ticks(rule.exchange, "index future", name, on) == (rule.future_tick,)
        monthly = rules.dated.expiry(name, "monthly", on)
        assert monthly is not None
        assert monthly.weekday == ("MON", "TUE", "WED", "THU", "FRI")[rule.expiry_weekday]
        weekly = rules.dated.expiry(name, "weekly", on)
        assert weekly is not None
        assert (weekly.weekday != "none") == rule.weekly


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("units = 1200", "units = 0", "`freeze[0].units` is 0"),
        ("units = 1200", 'units = "1200"', "freeze[0].units"),
        ("units = 1200", "unit = 1200", "unit"),
        ("from = 2026-12-01\n", "", "from"),
        ("from = 2026-12-01", "from = 2026-12-01\nuntil = 2026-11-30", "freeze[0].until"),
        ('source = "a circular"', 'source = " "', "freeze[0].source"),
        ('underlying = "NIFTY"', 'underlying = ""', "freeze[0]"),
        ("[[freeze]]", "[[frieze]]", "frieze"),
        (HEAD, "", "checked"),
        (HEAD, "checked = [\n", "TOML"),
        (FREEZE, FREEZE + FREEZE, "second row of NIFTY"),
        (FREEZE, "[review_days]\nlot = 0\n", "review_days.lot"),
        (FREEZE, '[[ban]]\nfrom = 2026-11-19\nsymbols = ["sail"]\nsource = "x"\n', "ban[0].symbols"),
        (
            FREEZE,
            (
                '[[band]]\nexchange = "NFO"\ncontracts = "index option"\nfrom = 2026-11-19\npoints = "20"\n'
                'percent = "140"\nsource = "x"\n'
            ),
            "band[0].percent",
        ),
        (
            FREEZE,
            (
                '[[tick]]\nexchange = "NFO"\ncontracts = "index options"\nfrom = 2026-11-19\nticks = ["0.05"]\n'
                'source = "x"\n'
            ),
            "tick[0].contracts",
        ),
        (
            FREEZE,
            '[[tick]]\nexchange = "NFO"\ncontracts = "index option"\nfrom = 2026-11-19\nticks = []\nsource = "x"\n',
            "tick[0].ticks",
        ),
        (
            FREEZE,
            '[[step]]\nunderlying = "NIFTY"\nfrom = 2026-11-19\npoints = "nan"\nsource = "x"\n',
            "step[0].points",
        ),
    ],
)
def test_wrong_files_are_refused(old: str, new: str, words: str) -> None:
    """A wrong, missing, unknown or contradicting key names its file and itself."""
    text = HEAD + FREEZE
    assert old in text
    with pytest.raises(SetupError) as refused:
        parse_rule_file(text.replace(old, new, 1), NAME)
    assert NAME in str(refused.value)
    assert words in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere, and bytes that are no text, are refusals with that path."""
    with pytest.raises(SetupError, match=r"nowhere\.toml"):
        read_rule_file(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match=r"bytes\.toml is not TOML"):
        read_rule_file(tmp_path / "bytes.toml")


def test_a_loaded_holiday_list_makes_its_year_known() -> None:
    """The year after the shipped lists is unknown until its list is loaded; from then on it is like any other."""
    calendar = SessionCalendar(read_sessions())
    assert not calendar.covers(date(2027, 1, 27))
    rows = parse_rule_file(HEAD + YEAR_2027, NAME).sessions()
    assert rows is not None
    calendar.take(overlaid(read_sessions(), rows, NAME))
    assert not calendar.is_trading_day(date(2027, 1, 26))
    assert calendar.is_trading_day(date(2027, 1, 27))
    assert calendar.is_trading_day(date(2026, 12, 31))
    assert not calendar.covers(date(2028, 1, 1))
    found = {
        row.subject: row for row in session_rows(calendar.table, date(2027, 5, 1), lambda _table, _day: "mine.toml")
    }
    assert found["2027"].checked == date(2026, 11, 20)
    assert "Mon 22 Mar" in found["2027"].value


def test_a_year_cannot_be_jumped_over() -> None:
    """A list of 2028 without one of 2027 would leave a hole in what is known."""
    rows = parse_rule_file(HEAD + YEAR_2027.replace("2027", "2028"), NAME).sessions()
    assert rows is not None
    with pytest.raises(SetupError, match=r"mine\.toml: `holidays` leaves 2027 without a list"):
        overlaid(read_sessions(), rows, NAME)


def test_loaded_hours_settle_a_session_of_unknown_hours() -> None:
    """The row of the day in a loaded file takes the place of the unknown."""
    rows = parse_rule_file(HEAD + MUHURAT, NAME).sessions()
    assert rows is not None
    calendar = SessionCalendar(overlaid(read_sessions(), rows, NAME))
    session = calendar.session(date(2026, 11, 8))
    assert session is not None
    assert session.close - session.open == timedelta(hours=1)
    assert calendar.table.unknown_sessions == ()
    assert parse_rule_file(HEAD + FREEZE, NAME).sessions() is None


def test_the_shipped_file_reads_as_it_says_it_does() -> None:
    """Each table of the shipped file is used, and every topic with a time for review has facts."""
    file = read_rule_file()
    assert {name for name, _, _ in file.facts()} == {"lot", "freeze", "step", "tick", "expiry", "band", "fact"}
    topics = {row.topic for row in DatedRules([RuleLayer(SHIPPED, file)]).rows(date(2026, 7, 31))}
    assert set(file.review_days) <= topics
    assert (files("engine.calendar") / "data" / "rules.toml").is_file()
