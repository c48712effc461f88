"""``workstation bars``: what is printed is what the engine gives, and what is missing is said beside it."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from engine.core.bars import BarInterval
from engine.core.errors import InvalidInput, UnknownInstrument
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from workstation.cli.bars import bars
from workstation.cli.exit_codes import ExitCode
from workstation.cli.main import main
from workstation.formatting import IST


@pytest.fixture
def engine() -> FakeEngineClient:
    """A made-up market at 11:02 of Thursday 14 January 2027."""
    return FakeEngineClient(FixedClock())


async def printed(
    engine: FakeEngineClient,
    words: str = "nifty",
    interval: str = "5m",
    *,
    start: str | None = None,
    end: str | None = None,
    indicators: str = "",
    as_json: bool = False,
) -> ExitCode:
    """Run the command."""
    return await bars(engine, words, interval, start=start, end=end, indicators=indicators, as_json=as_json)


async def test_today_is_printed_in_columns(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """Each candle of today in Indian time with its indicators; the index has no volume; the newest is running."""
    assert await printed(engine, indicators="ema_20, rsi_14") is ExitCode.DONE
    said = capsys.readouterr()
    key, interval, begin, end, asked = engine.bars_asked[-1]
    assert (interval, asked) == (BarInterval.MINUTES_5, ("ema_20", "rsi_14"))
    assert begin == datetime(2027, 1, 14, tzinfo=IST)
    view = await engine.bars(key, interval, begin, end, indicators=asked)
    lines = said.out.splitlines()
    assert lines[0].split() == ["start", "open", "high", "low", "close", "volume", "oi", "ema_20", "rsi_14", "remarks"]
    assert len(lines) == 1 + len(view.start) == 23
    for row, line in enumerate(lines[1:]):
        figures = [view.open[row], view.high[row], view.low[row], view.close[row]]
        told = [view.columns["ema_20"][row], view.columns["rsi_14"][row]]
        assert line.split()[2:10] == [*(f"{value:.2f}" for value in figures), "—", "—", *(f"{v:.2f}" for v in told)]
    assert lines[1].startswith("2027-01-14 09:15")
    assert lines[-1].endswith("running")
    assert said.err == "NSE:NIFTY 50 (first of 2: name more for another)\n"


async def test_a_contract_has_volume_and_interest(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole units, and the source of a candle that was not watched as a whole."""
    engine.partial_minutes = (1,)
    await printed(engine, "nifty 24350 pe w0", "1m")
    lines = capsys.readouterr().out.splitlines()
    key, interval, begin, end, _ = engine.bars_asked[-1]
    view = await engine.bars(key, interval, begin, end)
    assert lines[1].split()[6:] == [f"{view.volume[0]:.0f}", f"{view.open_interest[0]:.0f}"]
    assert lines[2].endswith("partial")


async def test_a_document_has_everything(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON with columns, gaps and note; what is missing is said on standard error as well."""
    engine.missing_candles = ((10, 25),)
    engine.bars_note = "The broker has none."
    await printed(engine, indicators="ema_20", as_json=True)
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["instrument"] == {"exchange": "NSE", "tradingsymbol": "NIFTY 50"}
    assert len(document["gaps"]) == 1
    assert "missing: 15 min from 2027-01-14 09:25 to 2027-01-14 09:40" in said.err
    assert "The broker has none." in said.err


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2027-01-12", "2027-01-12", "2027-01-11T18:30", "2027-01-12T18:30"),
        ("2027-01-13T10:00", "2027-01-13T11:00", "2027-01-13T04:30", "2027-01-13T05:30"),
        ("2027-01-13T10:00+00:00", None, "2027-01-13T10:00", "2027-01-14T05:33:41"),
    ],
)
async def test_spans_are_of_india(engine: FakeEngineClient, start: str, end: str | None, first: str, last: str) -> None:
    """A day is meant as a whole; a moment without a zone is Indian; without an end it is now."""
    await printed(engine, start=start, end=end)
    _, _, begin, finish, _ = engine.bars_asked[-1]
    assert (begin, finish) == (datetime.fromisoformat(f"{first}Z"), datetime.fromisoformat(f"{last}Z"))


async def test_wrong_words_are_refused_with_what_is_allowed(engine: FakeEngineClient) -> None:
    """A length, a moment, a span, an indicator and an instrument that are none."""
    with pytest.raises(InvalidInput, match=r'"7m" is no candle length; there are 1m, 3m, 5m, 15m, 60m\.'):
        await printed(engine, interval="7m")
    with pytest.raises(InvalidInput, match=r'--from: "monday" is neither a day such as'):
        await printed(engine, start="monday")
    with pytest.raises(InvalidInput, match=r"--from 2027-01-13 00:00 is not before --to 2027-01-12 00:00"):
        await printed(engine, start="2027-01-13", end="2027-01-11")
    with pytest.raises(InvalidInput, match=r'There is no indicator "macd"'):
        await printed(engine, indicators="macd")
    with pytest.raises(UnknownInstrument, match='No instrument answers to "xyz" today'):
        await printed(engine, "xyz")


async def test_no_candle_is_said_and_is_no_success(
    engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing on standard output, the span and the note in words, and another exit code."""
    engine.bars_known = False
    engine.bars_note = "The broker has none."
    assert await printed(engine) is ExitCode.UNAVAILABLE
    said = capsys.readouterr()
    assert said.out == ""
    assert "The broker has none." in said.err
    assert "No candle of NSE:NIFTY 50 from 2027-01-14 00:00 to 2027-01-14 11:03" in said.err


def test_the_command_line_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Its help names its options; --from is not taken for the practice market's --start."""
    with pytest.raises(SystemExit) as ended:
        main(["bars", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in ("--from", "--to", "--indicators", "--json"):
        assert option in text
