"""The rates file: what it says on which day, and that a wrong one is refused with file, key and what is allowed."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from engine.charges.contracts import Contract
from engine.charges.rates import ChargeRates, ChargeTable, read_charge_rates
from engine.core.errors import InvalidInput, SetupError
from engine.core.vocabulary import Exchange, InstrumentKind
from tests.unit.charges.samples import NIFTY_CALL, NIFTY_FUTURE, OCTOBER, SENSEX_PUT

SHIPPED = files("engine.charges") / "data" / "charges.toml"
FOCUSED_IT = Contract(exchange=Exchange.BFO, kind=InstrumentKind.CALL, underlying="FOCIT")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """A copy of the shipped file with one passage replaced."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "charges.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("day", "option_sell", "option_exercise", "future_sell"),
    [
        (date(2024, 10, 1), "0.001", "0.00125", "0.0002"),
        (date(2026, 3, 31), "0.001", "0.00125", "0.0002"),
        (date(2026, 4, 1), "0.0015", "0.0015", "0.0005"),
        (date(2027, 3, 31), "0.0015", "0.0015", "0.0005"),
    ],
)
def test_transaction_tax_by_day(day: date, option_sell: str, option_exercise: str, future_sell: str) -> None:
    """Each Finance Act holds from its own day on, up to the day before the next."""
    rates = read_charge_rates()
    assert rates.leg(NIFTY_CALL, day).stt_sell == Decimal(option_sell)
    assert rates.leg(NIFTY_FUTURE, day).stt_sell == Decimal(future_sell)
    assert rates.exercise(NIFTY_CALL, day).stt == Decimal(option_exercise)


def test_each_row_names_its_source_and_the_file_its_check() -> None:
    """No rate stands without where it is from."""
    table = msgspec.toml.decode(SHIPPED.read_bytes(), type=ChargeTable)
    rows = [*table.brokerage, *table.stt, *table.transaction, *table.sebi, *table.stamp, *table.gst]
    assert len(rows) > 10
    assert all(row.source.strip() for row in rows)
    assert read_charge_rates().checked == table.checked


def test_a_day_before_the_first_row_is_unknown() -> None:
    """No rate is carried backwards: the sentence names the charge and where its rates begin."""
    rates = read_charge_rates()
    with pytest.raises(
        InvalidInput, match=r"transaction charge of options on NFO of 2024-09-30 .*2024-10-01"
    ) as caught:
        rates.leg(NIFTY_CALL, date(2024, 9, 30))
    assert caught.value.field == "day"
    with pytest.raises(InvalidInput, match=r"brokerage of 2024-09-30"):
        rates.exercise(NIFTY_CALL, date(2024, 9, 30))


def test_a_day_beyond_the_horizon_is_unknown() -> None:
    """The newest row does not hold for ever: after the stated last day charges are not known."""
    rates = read_charge_rates()
    rates.leg(NIFTY_CALL, rates.last_day)
    with pytest.raises(InvalidInput, match="stated up to 2027-03-31") as caught:
        rates.leg(NIFTY_CALL, rates.last_day + timedelta(days=1))
    assert caught.value.field == "day"


def test_an_underlying_with_its_own_rows_pays_by_them_alone() -> None:
    """Before its first row it does not fall back to the rate of the others."""
    rates = read_charge_rates()
    assert rates.leg(FOCUSED_IT, date(2026, 5, 11)).transaction == 0
    with pytest.raises(InvalidInput, match="FOCIT options on BFO of 2026-05-10"):
        rates.leg(FOCUSED_IT, date(2026, 5, 10))


@pytest.mark.parametrize("kind", [InstrumentKind.EQUITY, InstrumentKind.INDEX])
def test_only_options_and_futures_have_rates(kind: InstrumentKind) -> None:
    """Shares and indices are refused in words."""
    with pytest.raises(InvalidInput, match="kept for options") as caught:
        read_charge_rates().leg(Contract(exchange=Exchange.NFO, kind=kind, underlying="NIFTY"), OCTOBER)
    assert caught.value.field == "kind"


def test_other_segments_have_no_rates() -> None:
    """A commodity option is refused, not priced as an equity one."""
    with pytest.raises(InvalidInput, match="Charges on MCX are not known"):
        read_charge_rates().leg(
            Contract(exchange=Exchange.MCX, kind=InstrumentKind.CALL, underlying="CRUDEOIL"), OCTOBER
        )


def test_a_future_is_not_exercised() -> None:
    """There are no exercise rates for it."""
    with pytest.raises(InvalidInput, match="only options are exercised"):
        read_charge_rates().exercise(NIFTY_FUTURE, OCTOBER)


def test_a_file_may_leave_an_exchange_out(tmp_path: Path) -> None:
    """What the file does not rate is not known; the rest is."""
    text = SHIPPED.read_text(encoding="utf-8")
    head, *rows = text.split("[[transaction]]")
    rows[-1], tail = rows[-1].split("# Regulator's", 1)
    kept = [row for row in rows if "NFO" in row]
    path = tmp_path / "nse.toml"
    path.write_text("[[transaction]]".join([head, *kept]) + "\n# " + tail, encoding="utf-8")
    rates = read_charge_rates(path)
    assert rates.leg(NIFTY_CALL, OCTOBER).transaction > 0
    with pytest.raises(InvalidInput, match="transaction charge of SENSEX PE on BFO is not known"):
        rates.leg(SENSEX_PUT, OCTOBER)


def test_rows_may_stand_in_any_order(tmp_path: Path) -> None:
    """The day decides, not the place in the file."""
    table = msgspec.toml.decode(SHIPPED.read_bytes(), type=ChargeTable)
    turned = msgspec.structs.replace(table, stt=table.stt[::-1], transaction=table.transaction[::-1])
    assert ChargeRates(turned).leg(NIFTY_CALL, date(2025, 6, 2)) == read_charge_rates().leg(
        NIFTY_CALL, date(2025, 6, 2)
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('option_sell = "0.0015"', 'option_sell = "0.15"', r"stt\[2\].option_sell.*less than 0.01"),
        ('option_sell = "0.0015"', 'option_sell = "-0.0015"', r"stt\[2\].option_sell.*at least 0"),
        ('option_sell = "0.0015"', 'option_sell = "NaN"', r"stt\[2\].option_sell"),
        ('option_sell = "0.0015"', 'option_sell = "much"', r"stt\[2\].option_sell"),
        ('option_sell = "0.0015"\n', "", "option_sell"),
        ('option_sell = "0.0015"', 'option_sel = "0.0015"', "option_sel"),
        ('rate = "0.18"', 'rate = "18"', r"gst\[0\].rate.*less than 1"),
        ('option_order = "20"', 'option_order = "2000"', r"brokerage\[0\].option_order.*less than 1000"),
        ('exchange = "NFO"', 'exchange = "MCX"', r"transaction\[0\].exchange.*NFO or BFO"),
        ('exchange = "NFO"', 'exchange = "NYSE"', r"transaction\[0\].exchange"),
        ('kind = "option"', 'kind = "options"', r"transaction\[0\].kind"),
        ("from = 2026-04-01", "from = 2024-10-01", "`stt` has two rows with `from` 2024-10-01"),
        ("from = 2026-03-01", "from = 2024-10-01", "options on NFO.*two rows"),
        ("last_day = 2027-03-31", "last_day = 2026-03-31", "`last_day` is 2026-03-31, before the row of `stt`"),
        ("checked = 2026-11-22\n", "", "checked"),
        ("[[sebi]]", "[[seby]]", "seby"),
        ("[[gst]]", "[[gst]", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    """The error names the file and the key, and says what is allowed."""
    path = changed(tmp_path, old, new)
    with pytest.raises(SetupError, match=words) as caught:
        read_charge_rates(path)
    assert str(path) in str(caught.value)


def test_a_charge_without_rows_is_refused() -> None:
    """An empty list would make every day unknown without saying why."""
    table = msgspec.toml.decode(SHIPPED.read_bytes(), type=ChargeTable)
    with pytest.raises(ValueError, match="`sebi` has no row"):
        ChargeRates(msgspec.structs.replace(table, sebi=()))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path and the system's reason."""
    with pytest.raises(SetupError, match=r"none\.toml cannot be read"):
        read_charge_rates(tmp_path / "none.toml")
