"""The printing commands: standard output is data, standard error is words, and no number is bent."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.commands import Command, Interpretation, PlaceOrder, ShowChain
from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.identifiers import AccountId
from engine.core.orders import Trade
from engine.core.views import ChainKey, ChainView, Check, DoctorView
from engine.core.vocabulary import QuoteState
from tests.kit.plain_engine import ACCOUNT, MARKET_TIME, STRIKES, PlainEngine
from tests.kit.two_accounts import SECOND, TwoAccountEngine
from workstation.cli import listings
from workstation.cli.chain import chain
from workstation.cli.doctor import doctor
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_table


async def traded() -> PlainEngine:
    """An engine with one filled order."""
    engine = PlainEngine()
    command: Command = PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol))
    await engine.submit(command)
    return engine


def table(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Printed rows, split at two blanks."""
    lines = capsys.readouterr().out.splitlines()
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


@pytest.mark.parametrize("name", ["orders", "trades", "positions", "strategies", "funds"])
async def test_every_listing_is_json_on_request(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """One document on standard output, nothing on standard error, amounts as texts."""
    engine = await traded()
    assert await getattr(listings, name)(engine, as_json=True) is ExitCode.DONE
    output = capsys.readouterr()
    assert output.err == ""
    document = json.loads(output.out)
    if name == "trades":
        assert document[0]["price"] == "100.05"


async def test_orders_are_listed_with_exact_prices(capsys: pytest.CaptureFixture[str]) -> None:
    """Number, state, units and price as they are."""
    engine = await traded()
    await listings.orders(engine, as_json=False)
    row = table(capsys)[1]
    assert row[:3] == ["o1", "COMPLETE", "BUY"]
    assert "65/65" in row
    assert "100.05" in row


async def test_trades_are_shown_in_indian_time(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person reads is IST, and says so."""
    await listings.trades(await traded(), as_json=False)
    assert "11:00:00 IST" in table(capsys)[1][0]


async def test_a_fine_tick_is_not_rounded_away(capsys: pytest.CaptureFixture[str]) -> None:
    """A price with four decimals is shown with four."""
    engine = await traded()

    async def trades() -> tuple[Trade, ...]:
        (fill,) = await PlainEngine.trades(engine)
        return (msgspec.structs.replace(fill, price=Decimal("83.4525")),)

    engine.trades = trades  # type: ignore[method-assign]
    await listings.trades(engine, as_json=False)
    assert "83.4525" in capsys.readouterr().out


async def test_a_partial_total_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A sum that lacks a leg is marked, money has its sign and Indian grouping."""
    await listings.strategies(PlainEngine(), as_json=False)
    row = table(capsys)[1]
    assert row == ["#1", "main", "1", "+1,274.00", "0.00 partial", "+1,241.50"]


async def test_funds_are_grouped_the_indian_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Nine lakh."""
    await listings.funds(PlainEngine(), as_json=False)
    rows = dict(table(capsys)[1:])
    assert rows["free"] == "9,00,000.10"
    assert rows["utilisation"] == "10.0%"


def test_an_empty_table_has_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    """No rows is an answer."""
    print_table(["order", "state"], [])
    assert capsys.readouterr().out == "order  state\n"


async def test_the_preflight_exits_with_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """A blocker is a refusal; a note is not."""
    engine = PlainEngine()
    assert await doctor(engine, as_json=False) is ExitCode.DONE

    async def blocked() -> DoctorView:
        checks = (Check(name="disk", outcome="block", message="1 MB free"), Check(name="x", outcome="note", message=""))
        return DoctorView(at=MARKET_TIME, checks=checks)

    engine.doctor = blocked  # type: ignore[method-assign]
    assert await doctor(engine, as_json=False) is ExitCode.REFUSED
    output = capsys.readouterr()
    assert "block disk" in output.out
    assert "0 pass  1 note  1 block" in output.err


class HalfStrikes(PlainEngine):
    """A plain engine with strikes between whole numbers, whose quotes may be stale or missing."""

    state: QuoteState = QuoteState.LIVE

    def chain(self, key: ChainKey, since: int = 0) -> ChainView | None:
        """The chain with its strikes moved by a half."""
        view = super().chain(key, since)
        if view is None:
            return None
        calls, puts = (
            msgspec.structs.replace(side, state=side.state * 0 + self.state) for side in (view.calls, view.puts)
        )
        return msgspec.structs.replace(view, strikes=view.strikes + 0.5, calls=calls, puts=puts)

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """Knows ``show nifty 50`` too."""
        if text.lower() == "show nifty 50":
            return Interpretation(text=text, wish=ShowChain(underlying="NIFTY"))
        return await super().interpret(text)


async def print_chain(engine: PlainEngine, name: str = "nifty", expiry: str | None = None, **options: Any) -> ExitCode:
    """One chain, without waiting."""
    chosen: dict[str, Any] = {"as_json": False, "everything": True, "wait_s": 0.0, **options}
    return await chain(engine, name, expiry, **chosen)


async def test_a_chain_is_printed_and_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each strike, and no watch is left."""
    engine = PlainEngine()
    engine.set_price(engine.keys[0], 1, math.nan)
    assert await print_chain(engine, expiry="w0") is ExitCode.DONE
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 1 + len(STRIKES)
    assert "—" in output.out.splitlines()[2]
    assert "forward 24,011.40 parity A" in output.err
    assert engine.live_watches == 0


async def test_a_strike_between_whole_numbers_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """23,800.5 is not 23,800."""
    await print_chain(HalfStrikes())
    assert "23800.50" in capsys.readouterr().out


async def test_stale_quotes_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """An old price is not printed as a live one."""
    engine = HalfStrikes()
    engine.state = QuoteState.STALE
    await print_chain(engine)
    output = capsys.readouterr()
    assert output.out.splitlines()[1].count("~") == 2
    assert "~ STALE" in output.err


async def test_a_chain_that_nothing_is_known_of_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A table of dashes is not an answer."""
    engine = HalfStrikes()
    engine.state = QuoteState.UNKNOWN
    assert await print_chain(engine) is ExitCode.UNAVAILABLE
    assert capsys.readouterr().out == ""


async def test_an_alias_finds_its_underlying(capsys: pytest.CaptureFixture[str]) -> None:
    """By the language's own list."""
    assert await print_chain(HalfStrikes(), "nifty 50", as_json=True) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["key"]["underlying"] == "NIFTY"


async def test_an_unknown_expiry_lists_what_there_is() -> None:
    """With its labels."""
    with pytest.raises(InvalidInput, match="w0/m0 2026-11-24, w1/m1/q0 2026-12-29"):
        await print_chain(PlainEngine(), expiry="w9")
    with pytest.raises(UnknownInstrument):
        await print_chain(PlainEngine(), "NOSUCH")


@pytest.mark.parametrize("name", ["orders", "trades", "positions", "strategies", "funds"])
async def test_rows_of_several_accounts_say_whose_they_are(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """In the first column and in every JSON row; with one named there is no other's row and no such column."""
    engine = TwoAccountEngine()
    request = engine.request(engine.instruments[0].tradingsymbol)
    for account in (ACCOUNT, SECOND):
        await engine.submit(PlaceOrder(request=request, account=account))
    listing = getattr(listings, name)
    await listing(engine, as_json=False)
    rows = table(capsys)
    assert rows[0][0] == "account"
    assert {row[0] for row in rows[1:]} == {ACCOUNT, SECOND}
    await listing(engine, SECOND, as_json=False)
    alone = capsys.readouterr().out
    assert "account" not in alone.splitlines()[0]
    assert ACCOUNT not in alone
    await listing(engine, as_json=True)
    everyone = json.loads(capsys.readouterr().out)
    assert {_owner(row) for row in everyone} == {ACCOUNT, SECOND}
    await listing(engine, SECOND, as_json=True)
    mine = json.loads(capsys.readouterr().out)
    assert {_owner(row) for row in (mine if isinstance(mine, list) else [mine])} == {SECOND}
    with pytest.raises(InvalidInput, match=f"it has {ACCOUNT}, {SECOND}"):
        await listing(engine, "QQ0000", as_json=True)


def _owner(row: dict[str, Any]) -> str:
    return str(row.get("account") or row["strategy"]["account"])
