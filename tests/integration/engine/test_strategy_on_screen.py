"""The Strategy screen over a real engine on the practice exchange, in process and through the door."""

from __future__ import annotations

import re

import pytest

from engine.client import EngineClient
from engine.core.vocabulary import Mark
from tests.kit.desk_host import Desk, Exchange, Option, attached, filled, live_chain, say, stand_still, until
from workstation.app import WorkstationApp
from workstation.formatting import decimal_text, money, rounded
from workstation.presenters.settings import TerminalSettings
from workstation.screen_clock import ScreenClock
from workstation.widgets.panes import LinePane

SIZE = (200, 60)
WAITING = "asking"


def shown(app: WorkstationApp, name: str) -> str:
    """What stands in a pane of the screen on top, with single blanks."""
    pane = app.screen.query_one(f"#{name}", LinePane)
    return re.sub(r"\s+", " ", " ".join(pane.render_line(y).text for y in range(pane.size.height)))


async def look(client: EngineClient, number: int) -> None:
    """Open the strategy's screen and compare what stands there with what the client says."""
    app = WorkstationApp(client, TerminalSettings(mark=Mark.MID), ScreenClock(client))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(*str(number), "g", "s")
        await until(lambda: app.screen.query("#strategy-head"), "the screen")
        names = ("payoff", "scenario", "m2m", "moved")
        await until(lambda: not any(WAITING in shown(app, name) for name in names), "every answer")
        await until(lambda: " LIVE " in shown(app, "legs"), "the quotes of the legs")
        value = next(value for value in await client.strategies() if value.strategy.number == number)
        view = await client.payoff(value.strategy.number)
        parts = await client.attribution(value.strategy.number)
        payoff = shown(app, "payoff")
        assert f"even {' '.join(decimal_text(point, 0) for point in view.break_evens)} " in payoff
        assert f"best unlimited worst {money(view.max_loss)} " in payoff
        assert view.charges is not None
        assert f"charges {money(-view.charges)}" in payoff
        net, at_exit = value.net[Mark.MID], value.net_at_exit
        assert net is not None
        head = shown(app, "strategy-head")
        assert f"Gross mid {money(value.profit[Mark.MID])} net {money(net)} exit net {money(at_exit)} " in head
        legs = shown(app, "legs")
        for leg in value.legs:
            assert decimal_text(leg.leg.holding.average_price, 2) in legs
            assert decimal_text(leg.marks[Mark.MID] or 0, 2) in legs
        assert f"all {money(value.profit[Mark.MID])} {money(value.delta)} {money(value.theta)}" in legs
        greeks = [[int(word.replace(",", "")) for word in row] for row in re.findall(r"(\S+) (\S+) LIVE", legs)]
        assert value.delta is not None
        assert sum(row[0] for row in greeks) == rounded(value.delta, 0)
        assert f"sum {money(parts.total)}" in shown(app, "moved")
        assert "-0.5%" in shown(app, "scenario")
        await pilot.press("escape")
        await until(lambda: app.screen.query("#chain"), "the Desk")


@pytest.mark.parametrize("road", ["local", "remote"])
async def test_figures_are_those_of_the_engine(desk: Desk, road: str) -> None:
    """A long straddle from fills on the exchange: what the screen shows is what the client says, over either road."""
    async with desk.opened(with_door=True) as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        chain = await live_chain(client)
        receipt = await say(client, "new straddle-one")
        assert receipt.strategy is not None
        for kind in ("ce", "pe"):
            await filled(client, f"buy 1L {Option(chain, kind).words} @ ask+2 into straddle-one")
        await stand_still(client, exchange)
        if road == "local":
            await look(client, receipt.strategy)
            return
        async with attached(host) as remote:
            await look(remote, receipt.strategy)
