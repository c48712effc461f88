"""The analysis half of ``EngineClient``: types, bounds and words are the same over every road."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from engine.core.errors import InvalidInput, UnknownInstrument, UnknownStrategy
from engine.core.identifiers import StrategyNumber
from engine.core.views import ChainKey
from tests.contract.client.harness import ClientHarness

NO_STRATEGY = StrategyNumber(999)
PARTS = ("delta", "gamma", "theta", "vega", "vanna", "vomma", "rate", "spread", "charges", "unexplained", "residual")


async def first_strategy(harness: ClientHarness) -> StrategyNumber:
    """The default strategy's number."""
    return (await harness.client.strategies())[0].strategy.number


async def test_a_payoff_is_an_axis_and_two_curves(harness: ClientHarness) -> None:
    """Arrays of one length that nobody can write to, and a reason where something is missing."""
    view = await harness.client.payoff(await first_strategy(harness), points=41)
    assert view.prices.shape == view.at_expiry.shape == view.now.shape
    assert view.prices.size in {0, 41}
    assert not view.prices.flags.writeable
    assert view.at.tzinfo is not None
    if np.isnan(view.now).any() or not view.prices.size:
        assert view.reason


async def test_a_scenario_has_the_asked_axes(harness: ClientHarness) -> None:
    """One row per shift of volatility, one column per move."""
    view = await harness.client.scenario(await first_strategy(harness), moves=[-0.02, 0.0, 0.02], shifts=[-0.01, 0.01])
    assert view.moves.tolist() == [-0.02, 0.0, 0.02]
    assert view.shifts.tolist() == [-0.01, 0.01]
    assert [row.size for row in view.profit] == [3, 3]
    assert [row.size for row in view.delta] == [3, 3]


async def test_an_attribution_sums_to_the_change(harness: ClientHarness) -> None:
    """To the paisa: what the parts leave is the residual."""
    view = await harness.client.attribution(await first_strategy(harness))
    assert view.since <= view.at
    assert {type(getattr(view, name)) for name in PARTS} == {Decimal}
    assert sum(getattr(view, name) for name in PARTS) == view.total


async def test_what_is_not_there_is_refused_in_words(harness: ClientHarness) -> None:
    """An unknown strategy, underlying or expiry, and an indicator nobody has."""
    client, key = harness.client, harness.chain_key
    for wish in (client.payoff(NO_STRATEGY), client.scenario(NO_STRATEGY), client.attribution(NO_STRATEGY)):
        with pytest.raises(UnknownStrategy, match="999"):
            await wish
    with pytest.raises(UnknownInstrument):
        await client.smile(ChainKey("NOTHING", key.expiry))
    with pytest.raises(UnknownInstrument):
        await client.volatility("NOTHING")
    at = client.desk().status.session.market_time
    with pytest.raises(InvalidInput, match="ema"):
        await client.series(key, at - timedelta(hours=1), at, indicators=["crystal ball"])


async def test_a_smile_is_one_row_per_strike(harness: ClientHarness) -> None:
    """Of a chain that exists, watched or not; a missing fit has its reason."""
    view = await harness.client.smile(harness.chain_key)
    columns = (view.quoted, view.fitted, view.theoretical, view.call_mispricing, view.put_mispricing)
    assert {column.shape for column in columns} == {view.strikes.shape}
    if view.grade == "none":
        assert view.reason


async def test_volatilities_are_figures_or_reasons(harness: ClientHarness) -> None:
    """An alias is understood; without stored days there is no rank, and it is said."""
    view = await harness.client.volatility(harness.alias)
    assert view.terms
    assert [term.expiry for term in view.terms] == sorted(term.expiry for term in view.terms)
    if view.rank is None:
        assert view.reason
    assert view.current is None or (math.isfinite(view.current) and view.current > 0)


async def test_a_series_is_columns_beside_its_minutes(harness: ClientHarness) -> None:
    """Oldest first, each column as long as the minutes, indicators under their names."""
    at = harness.client.desk().status.session.market_time
    view = await harness.client.series(harness.chain_key, at - timedelta(hours=1), at, indicators=["ema"])
    assert "ema" in view.columns
    assert {column.size for column in view.columns.values()} == {view.minute.size}
    assert view.minute.tolist() == sorted(view.minute.tolist())
    strike = await harness.client.series(harness.chain_key, at - timedelta(hours=1), at, strike=24_000.0)
    assert strike.strike == 24_000.0
