"""The terminal on a practice market: what the Volatility screen and the chain show is what the engine says."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import numpy as np

from engine.settings import SeriesSettings
from tests.kit.desk_host import Desk, Exchange, eventually, live_chain, stand_still, until
from workstation.app import WorkstationApp
from workstation.dialogs.base import TextDialog
from workstation.formatting import (
    decimal_text,
    expiry_day,
    lakh_units,
    signed_price,
    strike,
    volatility,
    volatility_points,
)
from workstation.presenters.settings import TerminalSettings
from workstation.presenters.smile import mispriced
from workstation.screen_clock import ScreenClock
from workstation.screens.volatility import VolatilityScreen
from workstation.widgets.panes import LinePane

FAST = 60.0
"""A market minute a second."""
MINUTES = 3
PATIENCE_S = 40.0


def lines(app: WorkstationApp, name: str) -> list[str]:
    """What stands in a pane of the screen on top."""
    pane = app.screen.query_one(f"#{name}", LinePane)
    return [pane.render_line(y).text for y in range(pane.size.height)]


def page(app: WorkstationApp) -> str:
    """The page of the Volatility screen with single blanks."""
    return " ".join(" ".join(lines(app, "volatility-page")).split())


async def test_the_screen_shows_what_the_engine_knows(desk: Desk) -> None:
    """On a market that stands still, figures of smile, strikes, expiries and stored minutes equal EngineClient's."""
    desk.changed(engine={"series": SeriesSettings(save_s=0.2)})
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        key = (await live_chain(client)).key
        began = host.engine.clock.market_now()
        await exchange.speed(FAST)

        async def stored() -> bool:
            view = await client.series(key, began, host.engine.clock.market_now() + timedelta(minutes=1))
            return view.minute.size >= MINUTES

        await eventually(stored, f"{MINUTES} stored minutes", patience_s=PATIENCE_S)
        await stand_still(client, exchange)
        app = WorkstationApp(client, TerminalSettings(underlying=key.underlying), ScreenClock(client))
        async with app.run_test(size=(200, 60)) as pilot:
            await until(lambda: app.shows_chain, "a chain with prices")
            await pilot.press("g", "v")
            assert isinstance(app.screen, VolatilityScreen)
            smile = await client.smile(key)
            assert smile.grade in {"A", "B", "C"}
            expected = [
                f"smile {smile.grade}",
                f"RR 25 {volatility_points(smile.risk_reversal)}",
                f"fly 25 {volatility_points(smile.butterfly)}",
                f"forward {decimal_text(smile.forward or 0.0, 1)}",
            ]
            for item in (*mispriced(smile, 2)[0], *mispriced(smile, 2)[1]):
                cells = [
                    strike(item.strike),
                    volatility(float(smile.quoted[item.row])),
                    volatility(float(smile.theoretical[item.row])),
                    signed_price(float(smile.call_mispricing[item.row])),
                    signed_price(float(smile.put_mispricing[item.row])),
                ]
                expected.append(" ".join(cells))
            standing = await client.volatility(key.underlying)
            nearest = standing.terms[0]
            expected.append(f"{volatility(nearest.atm_volatility)} {volatility(nearest.forward_volatility)}")
            expected.append(f"of {standing.days} day")
            assert standing.cone[0].until is not None
            expected.append(f"cone to {expiry_day(standing.cone[0].until)}")
            series = await client.series(key, began, host.engine.clock.market_now() + timedelta(minutes=1))
            values = series.columns["atm_volatility"] * 100
            latest = values[np.isfinite(values)][-1]
            expected.append(f"ATM IV {decimal_text(float(latest), 2)} ")
            await until(
                lambda: all(words in page(app) for words in expected),
                "the engine's figures on the screen",
                patience_s=PATIENCE_S,
            )
            await pilot.press("i")
            await until(lambda: "EMA 20" in page(app), "the indicator beside the minutes")
            assert "no indicator" not in page(app)
            await pilot.press("escape")
            await until(lambda: len(app.screen_stack) == 1, "the Desk again")


async def test_the_columns_show_what_the_engine_knows(desk: Desk) -> None:
    """Greeks, open interest, walls and value of the ATM call, read off the Desk, equal the chain's own columns."""
    async with desk.opened() as host:
        client = host.client
        key = (await live_chain(client)).key
        await stand_still(client, Exchange(host.exchange.root))
        app = WorkstationApp(client, TerminalSettings(underlying=key.underlying), ScreenClock(client))
        async with app.run_test(size=(160, 45)) as pilot:
            await until(lambda: app.shows_chain, "a chain with prices")
            view = client.chain(key)
            assert view is not None
            row = int(np.argmin(np.abs(view.strikes - (view.header.atm_strike or 0.0))))
            name = f" {strike(float(view.strikes[row]))}"
            assert np.isfinite(view.calls.theoretical[row])

            def wanted(words: str) -> str:
                now = client.chain(key)
                assert now is not None
                calls = now.calls  # as it is now: a smile may have been fitted once more
                return {
                    "greeks": f"{calls.gamma[row]:.4f}".replace("0.", ".", 1),
                    "open interest": lakh_units(float(calls.open_interest[row])),
                    "value": f"{calls.theoretical[row]:.2f}",
                }[words]

            def shows(words: str) -> bool:
                shown = [line for line in lines(app, "chain") if name in line.replace("<", " ")]
                return words in lines(app, "head")[0] and any(wanted(words) in line for line in shown)

            for words in ("greeks", "open interest", "value"):
                await pilot.press("c")
                await until(partial(shows, words), f"the {words} columns")
            await pilot.press("v")
            await until(lambda: isinstance(app.screen, TextDialog), "the figures")
            said = " ".join(" ".join(lines(app, "body")).split())
            assert f"risk reversal {volatility_points(view.header.risk_reversal)}" in said
            assert f"smile {view.header.smile_grade}" in said
