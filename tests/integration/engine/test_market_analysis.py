"""Volatility and history of a practice market: minutes are kept over restarts, smiles fitted, figures asked for."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from engine.client import EngineClient
from engine.core.analysis import SeriesView, SmileView
from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.series import ChainMinute, StrikeColumns
from engine.core.views import ChainKey
from engine.market.chain_series import is_living
from engine.settings import SeriesSettings
from tests.kit.desk_host import Desk, Exchange, eventually, live_chain, until
from workstation.assembly import Host

FAST = 60.0
"""A market minute a second."""
MINUTE_S = 60
PATIENCE_S = 40.0


def market_now(host: Host) -> datetime:
    """The venue's time."""
    return host.engine.clock.market_now()


def stored_minute(key: ChainKey, at: datetime, day: date, forward: float) -> ChainMinute:
    """A minute of which the forward and its volatility alone were known."""
    nothing = np.empty(0)
    return ChainMinute(
        key=key,
        minute=at,
        day=day,
        spot=None,
        forward=forward,
        atm_strike=None,
        atm_volatility=0.12,
        straddle=None,
        pcr_open_interest=None,
        pcr_volume=None,
        max_pain=None,
        call_open_interest=None,
        put_open_interest=None,
        contracts=0,
        strikes=StrikeColumns(
            strike=nothing,
            call_price=nothing,
            put_price=nothing,
            call_input=np.empty(0, np.uint8),
            put_input=np.empty(0, np.uint8),
            call_volatility=nothing,
            put_volatility=nothing,
            call_open_interest=nothing,
            put_open_interest=nothing,
            call_volume=nothing,
            put_volume=nothing,
        ),
    )


async def minutes(client: EngineClient, key: ChainKey, since: datetime, host: Host, count: int) -> SeriesView:
    """Ask until so many minutes are stored."""

    async def enough() -> SeriesView | None:
        view = await client.series(key, since, market_now(host) + timedelta(minutes=1))
        return view if view.minute.size >= count else None

    return await eventually(enough, f"{count} stored minutes", patience_s=PATIENCE_S)


async def test_history_outlives_the_engine_with_its_gap(desk: Desk) -> None:
    """Minutes of a watched chain are in the database after a restart; those nobody watched are missing, not filled."""
    desk.changed(engine={"series": SeriesSettings(save_s=0.2)})
    async with desk.opened() as host:
        client = host.client
        began = market_now(host)
        key = (await live_chain(client)).key
        await Exchange(host.exchange.root).speed(FAST)
        first = await minutes(client, key, began, host, 4)
        await Exchange(host.exchange.root).speed(1)
        assert np.isfinite(first.columns["forward"]).all()
    async with desk.opened() as host:
        client = host.client
        again = await client.series(key, began, market_now(host))
        size = first.minute.size
        assert again.minute[:size].tolist() == first.minute.tolist()
        np.testing.assert_array_equal(again.columns["straddle"][:size], first.columns["straddle"])
        last = int(again.minute[-1])
        await Exchange(host.exchange.root).speed(FAST)
        resumed = last + 5 * MINUTE_S
        await until(lambda: market_now(host).timestamp() > resumed, "some minutes that nobody watches")
        await live_chain(client)
        whole = await minutes(client, key, began, host, again.minute.size + 2)
        await Exchange(host.exchange.root).speed(1)
        steps = np.diff(whole.minute)
        assert (steps % MINUTE_S == 0).all()
        assert int(steps[again.minute.size - 1]) >= 4 * MINUTE_S
        strike = float(host.client.chain(key).header.atm_strike)  # type: ignore[union-attr, arg-type]
        one = await client.series(key, began, market_now(host), strike=strike, indicators=("call_price_ema_2", "cpr"))
        assert one.minute.size >= first.minute.size
        delta = one.columns["call_delta"] - one.columns["put_delta"]
        assert np.nanmax(np.abs(delta - 1.0)) < 0.05
        assert np.isfinite(one.columns["call_price_ema_2"][2:]).any()
        assert set(one.columns) >= {"call_price_cpr_pivot", "put_price_cpr_top"}
        assert host.client.desk().status.degraded == ()


async def test_a_live_chain_shows_its_smile_and_extras(desk: Desk) -> None:
    """Columns, header and smile of a watched practice chain agree with each other and are known where they can be."""
    async with desk.opened() as host:
        client = host.client
        view = await live_chain(client)
        key = view.key

        async def fitted() -> SmileView | None:
            found = await client.smile(key)
            return found if found.grade != "none" else None

        smile = await eventually(fitted, "a fitted smile")
        now = client.chain(key)
        assert now is not None
        view = now
        header, rows = view.header, np.abs(view.strikes - (view.header.atm_strike or 0.0)).argsort()[:10]
        assert is_living(view)
        assert header.spot_source == "index"
        assert header.smile_grade == smile.grade
        assert header.carry is not None
        assert header.expected_move == header.straddle
        assert header.gamma_exposure is not None
        assert header.call_walls
        assert header.put_walls
        for side in (view.calls, view.puts):
            np.testing.assert_allclose(
                (side.intrinsic + side.extrinsic)[rows], (side.theoretical + side.mispricing)[rows], atol=1e-9
            )
            assert (np.abs(side.mispricing[rows]) < 5.0).all()
            assert (side.spread_percent[rows] >= 0).all()
            assert ((side.liquidity[rows] >= 0) & (side.liquidity[rows] <= 100)).all()
        for convention in (smile.nse, smile.kite):
            rows_known = np.isfinite(convention) & np.isfinite(smile.quoted)
            assert rows_known.sum() > 10
            assert (np.abs(convention - smile.quoted)[rows_known] < 0.1).all()
            assert not np.array_equal(convention[rows_known], smile.quoted[rows_known])
        near = np.isfinite(smile.quoted) & np.isin(smile.strikes, view.strikes[rows])
        np.testing.assert_allclose(smile.fitted[near], smile.quoted[near], atol=0.02)
        other = (await client.expiries("NIFTY"))[2].expiry
        unwatched = await client.smile(ChainKey("NIFTY", other))
        assert unwatched.grade == "none"
        assert "watch" in unwatched.reason
        assert np.isnan(unwatched.fitted).all()


async def test_the_cone_of_stored_minutes(desk: Desk) -> None:
    """A session before today at 12 % in the database: an hour has its spread, two sessions say what they lack."""
    async with desk.opened() as host:
        client, parts = host.client, host.engine.parts
        key = (await live_chain(client)).key
        session = host.engine.day.calendar.session_before(host.engine.day.today())
        assert session is not None
        step = 0.12 / math.sqrt(252 * (session.close - session.open).total_seconds() / MINUTE_S)
        path = 24_000.0 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, step, 280)))
        await parts.repositories.chain_series.save(
            [
                stored_minute(key, session.open + number * timedelta(minutes=1), session.day, forward)
                for number, forward in enumerate(path.tolist())
            ]
        )
        view = await client.volatility("NIFTY")
        hour, *_, longest = view.cone
        levels = [hour.lowest, hour.lower_quartile, hour.median, hour.upper_quartile, hour.highest]
        spread = [level for level in levels if level is not None]
        assert len(spread) == len(levels)
        assert spread == sorted(spread)
        assert hour.median == pytest.approx(0.12, rel=0.25)
        assert hour.until is not None
        assert hour.until >= session.day
        assert (longest.window, longest.median) == ("2 sessions", None)
        assert "are needed" in longest.reason
        whole = view.realised[-1]
        assert view.current is not None
        assert whole.volatility is not None
        assert view.spread == pytest.approx(view.current - whole.volatility)


async def test_where_volatility_stands(desk: Desk) -> None:
    """Live expiries make the term structure, the others are named; futures give a basis; a short history no rank."""
    async with desk.opened() as host:
        client = host.client
        key = (await live_chain(client)).key
        await live_chain(client, expiry=1)
        view = await client.volatility("nifty 50")
        assert view.underlying == "NIFTY"
        live = [term for term in view.terms if term.at == view.at]
        assert [term.expiry for term in live] == [term.expiry for term in view.terms[:2]]
        assert all(term.atm_volatility is not None for term in live)
        assert live[0].forward_volatility == pytest.approx(live[0].atm_volatility)
        assert all(term.atm_volatility is None for term in view.terms[2:])
        assert "nothing known today" in view.reason
        assert view.rank is None
        assert "no rank" in view.reason
        assert view.basis is not None
        assert view.basis_annual is not None
        assert abs(view.basis_annual) < 0.5
        assert 0 < (view.rollover or 0.0) < 100
        assert (view.cone, view.spread) == ((), None)
        with pytest.raises(UnknownInstrument):
            await client.volatility("NOWHERE")
        now = market_now(host)
        with pytest.raises(InvalidInput, match="Indicators: ema, rsi"):
            await client.series(key, now - timedelta(hours=1), now, indicators=("macd",))
        with pytest.raises(InvalidInput, match="no zone"):
            await client.series(key, now.replace(tzinfo=None), now)
