"""Every fault the exchange knows, drawn by chance over the whole run, and told anew to each new exchange process."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from tests.chaos.exchange import Exchange
from tests.chaos.plan import Aim, Plan, Tally

LOOK_S = 1.0
PLAIN = (
    *("drop_answer", "delay", "error_429", "error_500", "error_502", "error_503", "error_504", "html_502"),
    *("timeout_400", "accepted_500", "accepted_502", "accepted_503", "accepted_504", "accepted_html_502"),
    *("accepted_timeout_400", "reset_before", "reset_after", "hold"),
)
"""Faults of order requests; they share the run's rate evenly."""
RESTARTS = ("restart_before", "restart_after")
RESTART_SHARE = 0.05
UPDATES = {"duplicate_update": 0.03, "reorder_update": 0.03, "drop_update": 0.03, "delay_update": 0.03}
FRAMES = {"duplicate_frame": 0.004, "reorder_frame": 0.004, "truncate_frame": 0.002, "unknown_packet": 0.002}
SOCKETS = {"silent_socket": 0.001, "half_dead_socket": 0.001, "close_sockets": 0.002, "refuse_handshake": 0.2}
OTHERS = {"stale_book": 0.01, "reject": 0.005, "slice_failure": 0.3}
APART = frozenset({"pause_at", "expire_tokens"})
"""Not drawn: whoever aims asks for them."""
BESIDE_SHARE = 0.3
"""Of triggers and conversions: they are few, so they meet more."""
HOLD_SHARE, LONG_HOLD_SHARE = 0.2, 0.5
"""Of those faults; and of the held ones, those that are carried out only after they were presumed not to have been."""
PAST_TIMEOUT_S = 2.0
PAST_WINDOW_S = 5.0
LONG_HOLD_EVERY = 250
"""Every so many orders one is accepted only after its window is over and it was presumed absent."""


def rates(plan: Plan) -> dict[str, Any]:
    """The plan of faults as the exchange takes it."""
    each = plan.fault_rate / len(PLAIN)
    requests: dict[str, Any] = dict.fromkeys(PLAIN, each)
    requests["hold"] = {"rate": each, "seconds": plan.order_timeout_s + PAST_TIMEOUT_S}
    requests["delay"] = {"rate": each, "seconds": plan.order_timeout_s / 5}
    requests |= dict.fromkeys(RESTARTS, plan.fault_rate * RESTART_SHARE / len(RESTARTS))
    return requests | UPDATES | FRAMES | SOCKETS | OTHERS if plan.fault_rate else {}


class FaultKeeper:
    """Keeps the plan in force and counts what struck.

    Args:
        exchange: The exchange.
        plan: The run.
        tally: Where strikes are counted.
    """

    def __init__(self, exchange: Exchange, plan: Plan, tally: Tally) -> None:
        self._exchange = exchange
        self._plan = plan
        self._tally = tally
        self._ended: Counter[str] = Counter()
        """Of exchange processes that have ended."""
        self._met: Counter[str] = Counter()
        self._process = 0
        self._processes = 0
        self._generation = 0
        self._over = False
        self._random = random.Random(plan.seed)  # noqa: S311 - a test's choices, repeatable by seed

    async def run(self) -> None:
        """Keep it for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Count, and tell the plan to a process that does not know it."""
        try:
            process = self._exchange.process()
            if process != self._process:
                self._ended += self._met
                self._met = Counter()
                if not self._over:
                    await self._tell_plan()
                self._process = process
                self._processes += 1
            met = Counter(await self._exchange.faults_met())
            if met.total() < self._met.total():  # a new process, which has not said yet that it is one
                self._ended += self._met
            self._met = met
        except (OSError, ValueError):
            return
        finally:
            # The process that a restart ends takes its own count of it along.
            restarts = max(0, self._processes - 1 - self._tally.outages[Aim.EXCHANGE])
            self._tally.faults = dict(self._ended + self._met) | {"restart": restarts}

    async def renew(self) -> None:
        """Forget what was asked for and has not struck, let go what is stopped, and draw anew.

        A gate at which nobody waits any more would hold some later order until long after its window.
        """
        await self._exchange.clear_faults()
        if not self._over:
            await self._tell_plan()

    async def _tell_plan(self) -> None:
        self._generation += 1
        await self._exchange.plan_faults(self._plan.seed * 1000 + self._generation, rates(self._plan))

    async def end(self) -> None:
        """No more faults."""
        self._over = True
        await self._exchange.clear_faults()

    async def before_request(self, method: str, path: str) -> None:
        """Let the next request of a kind that the plan does not draw for meet a fault, by chance."""
        if not self._plan.fault_rate or self._over or self._random.random() >= BESIDE_SHARE:
            return
        kind = self._random.choice([kind for kind in PLAIN if kind != "hold"])
        timeout_s = self._plan.order_timeout_s
        seconds = timeout_s / 5
        if self._random.random() < HOLD_SHARE:
            kind, seconds = "hold", timeout_s + PAST_TIMEOUT_S
            if self._random.random() < LONG_HOLD_SHARE:
                seconds += self._plan.unknown_window_s + PAST_WINDOW_S
        try:
            await self._exchange.arm(kind, method=method, path=path, seconds=seconds)
        except OSError:
            return

    async def before(self, number: int) -> None:
        """Let an order of this number be accepted late, if it is its turn."""
        if self._plan.fault_rate and number % LONG_HOLD_EVERY == LONG_HOLD_EVERY // 4:
            seconds = self._plan.order_timeout_s + self._plan.unknown_window_s + PAST_WINDOW_S
            try:
                await self._exchange.arm("hold", method="POST", path="/orders", seconds=seconds)
            except OSError:
                return
