"""The chain as a table and as JSON: what is printed is what the engine gives."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from engine.core.analysis import SmileView
from engine.core.views import ChainKey
from engine.core.vocabulary import InstrumentKind, QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.unit.presenters.conftest import KEY
from workstation.cli.chain import chain
from workstation.cli.chain_convention import CONVENTION_WORDS, Convention
from workstation.cli.exit_codes import ExitCode

ROW = 23


@pytest.fixture
def engine() -> FakeEngineClient:
    """A made-up market; nothing is watched."""
    return FakeEngineClient(FixedClock())


async def printed(
    engine: FakeEngineClient,
    capsys: pytest.CaptureFixture[str],
    *,
    as_json: bool = False,
    everything: bool = False,
    convention: Convention = Convention.FORWARD,
) -> tuple[str, str]:
    """Data and words of the command."""
    code = await chain(engine, "NIFTY", "w0", as_json=as_json, everything=everything, wait_s=1.0, convention=convention)
    assert code is ExitCode.DONE
    assert engine.watched == {}
    return capsys.readouterr()


async def test_all_adds_value_and_interest(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """Theoretical value, mispricing, parts of the price, spread, liquidity and build-up of every strike."""
    out, words = await printed(engine, capsys, everything=True)
    engine.watched[KEY] = 1
    view = engine.chain(KEY)
    assert view is not None
    rows = out.splitlines()[1:]
    assert len(rows) == len(view.strikes)
    calls = view.calls
    expected = [
        f"{calls.theoretical[ROW]:.2f}",
        f"{calls.mispricing[ROW]:+.2f}",
        f"{calls.intrinsic[ROW]:.2f}",
        f"{calls.extrinsic[ROW]:.2f}",
        f"{calls.spread_percent[ROW]:.2f}",
        f"{calls.liquidity[ROW]:.0f}",
    ]
    cells = rows[ROW].split()
    place = cells.index(f"{view.strikes[ROW]:.0f}")
    assert cells[place - 7 : place - 1] == expected
    assert cells[place - 1] in {"N", "LB", "SB", "LU", "SC"}
    for word in ("one sigma", "risk reversal", "GEX", "put walls"):
        assert word in words


async def test_the_short_table_stays_short(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --all: the strikes around the money and the columns that always were."""
    out, words = await printed(engine, capsys)
    heading, *rows = out.splitlines()
    assert "theor" not in heading
    assert len(rows) == 21
    assert "one sigma" not in words


async def test_unknown_is_never_a_number(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """A contract without a quote has a dash in every added column."""
    engine.chains[KEY].states[ROW, InstrumentKind.CALL] = QuoteState.UNKNOWN
    out, _ = await printed(engine, capsys, everything=True)
    cells = out.splitlines()[1 + ROW].split()
    assert cells[cells.index("24550") - 7 : cells.index("24550")] == ["—"] * 7


async def test_json_carries_every_column(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole view: new columns and header figures under their own names."""
    out, _ = await printed(engine, capsys, as_json=True)
    document = json.loads(out)
    assert document["header"]["risk_reversal"] == pytest.approx(-0.0182)
    assert {"theoretical", "mispricing", "liquidity", "build_up"} <= set(document["calls"])


@pytest.mark.parametrize("convention", [Convention.NSE, Convention.KITE])
async def test_another_convention_is_printed_and_named(
    engine: FakeEngineClient, capsys: pytest.CaptureFixture[str], convention: Convention
) -> None:
    """The out-of-the-money side has the convention's volatility, the other a dash; Greeks stay; words say which."""
    plain, said = await printed(engine, capsys)
    assert CONVENTION_WORDS[convention] not in said
    out, words = await printed(engine, capsys, convention=convention)
    assert words.startswith(f"IV: {CONVENTION_WORDS[convention]} Out-of-the-money sides only")
    engine.watched[KEY] = 1
    smile = await engine.smile(KEY)
    asked = smile.nse if convention is Convention.NSE else smile.kite
    assert smile.forward is not None
    seen = 0
    for before, after in zip(plain.splitlines()[1:], out.splitlines()[1:], strict=True):
        old, new = before.split(), after.split()
        middle = len(new) // 2
        strike = float(new[middle])
        # Around the strike stand vega, theta, gamma and delta, then the volatility.
        call, put = middle - 5, middle + 5
        row = smile.strikes.tolist().index(strike)
        shown = f"{asked[row] * 100:.2f}"
        is_call = strike >= smile.forward
        assert (new[call], new[put]) == ((shown, "—") if is_call else ("—", shown))
        assert [*new[:call], *new[call + 1 : put], *new[put + 1 :]] == [
            *old[:call],
            *old[call + 1 : put],
            *old[put + 1 :],
        ]
        seen += old[call if is_call else put] != shown
    assert seen == 21


async def test_a_convention_in_json_stands_beside_the_desks_own(
    engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Name, words and one volatility per strike; the chain's own columns stay what they are."""
    plain, _ = await printed(engine, capsys, as_json=True)
    out, _ = await printed(engine, capsys, as_json=True, convention=Convention.NSE)
    document, usual = json.loads(out), json.loads(plain)
    told = document.pop("convention")
    assert told["name"] == "nse"
    assert "all other figures stay on the forward" in told["words"]
    assert len(told["volatility"]) == len(told["is_call"]) == len(document["strikes"])
    assert told["reason"] == ""
    assert document["calls"]["implied_volatility"] == usual["calls"]["implied_volatility"]
    assert "convention" not in usual


async def test_an_unknown_convention_says_why(engine: FakeEngineClient, capsys: pytest.CaptureFixture[str]) -> None:
    """No figure stands in for one that cannot be had: dashes in every row, and the reason in words."""

    class Frozen(FakeEngineClient):
        async def smile(self, key: ChainKey) -> SmileView:
            found = await super().smile(key)
            return msgspec.structs.replace(
                found, nse=np.full(found.strikes.size, np.nan), reason="the index does not move"
            )

    out, words = await printed(Frozen(FixedClock()), capsys, convention=Convention.NSE)
    assert "Unknown: the index does not move." in words
    for line in out.splitlines()[1:]:
        cells = line.split()
        assert cells[len(cells) // 2 - 5] == cells[len(cells) // 2 + 5] == "—"
