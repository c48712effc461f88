"""Joins it all: the pump, the kills in their turn, the engine that is started again, the end, and the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.chaos.aims import Marksman, Missed
from tests.chaos.database import Server
from tests.chaos.door import Door, DoorClosed, DoorRefused
from tests.chaos.events import Watch
from tests.chaos.exchange import Contract, Exchange, Row, effective_posts
from tests.chaos.faults import FaultKeeper
from tests.chaos.orders import OrderBook
from tests.chaos.plan import Aim, Plan, Tally
from tests.chaos.program import Program
from tests.chaos.pump import Pump, Seats
from tests.chaos.verdict import Evidence

SEATS = 2
THREADS = 24
RETRY_S = 0.3
QUOTES_S = 2.0
POSITIONS_S = 5.0
PROGRESS_S = 15.0
SETTLE_S = 300.0
SETTLE_LOOK_S = 1.0
PASSED_ON = 0.92
"""Outages are spread over this part of the orders, so that each meets traffic."""
TRAFFIC = 16
"""Orders that are given while an outage is being aimed, at most."""
ATTEMPTS = 4
OPEN_STATES = frozenset(
    {"QUEUED", "SENDING", "UNKNOWN", "ACCEPTED", "OPEN", "TRIGGER_PENDING", "MODIFYING", "CANCELLING"}
)
FINAL = frozenset({"COMPLETE", "REJECTED", "CANCELLED"})


def say(words: str) -> None:
    """Tell the person at the terminal; standard output is for the result."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


class Driver:
    """One run.

    Args:
        program: The program under test.
        plan: How much of what.
    """

    def __init__(self, program: Program, plan: Plan) -> None:
        self._program = program
        self._plan = plan
        self._random = random.Random(plan.seed)  # noqa: S311 - a test's choices, repeatable by seed
        self._seats = Seats(SEATS)
        self._began = time.monotonic()
        self.tally = Tally()
        self.exchange: Exchange
        self._contracts: list[Contract] = []
        self._books: list[OrderBook] = []
        self._pump: Pump

    @property
    def given(self) -> int:
        """Orders given: as many as asked for, or a few more when an outage needed traffic."""
        return self._pump.given

    async def run(self) -> Evidence:
        """Start, pump, kill, settle, and gather the evidence."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        await self._program.start_engine()
        self.exchange = Exchange(self._program.exchange_root, self._program.folder, self._plan.accounts)
        await self.exchange.open()
        self._say("an engine runs")
        self._contracts = await self.exchange.contracts()
        await self.exchange.refresh(self._contracts)
        chances = [random.Random(self._random.random()) for _ in self.exchange.accounts]  # noqa: S311 - as above
        self._books = [
            OrderBook(account, chance, self._contracts)
            for account, chance in zip(self.exchange.accounts, chances, strict=True)
        ]
        faults = FaultKeeper(self.exchange, self._plan, self.tally)
        watch = Watch(self.exchange)
        self._pump = Pump(
            program=self._program,
            plan=self._plan,
            tally=self.tally,
            seats=self._seats,
            books=self._books,
            faults=faults,
            chance=random.Random(self._random.random()),  # noqa: S311 - as above
        )
        marksman = Marksman(
            program=self._program,
            exchange=self.exchange,
            server=Server(self._program.folder),
            watch=watch,
            plan=self._plan,
            chance=random.Random(self._random.random()),  # noqa: S311 - as above
            burst=self._pump.burst,
            kill=self._kill,
        )
        keepers = (
            self._keep_doors_open(),
            self._keep_quotes(),
            self._keep_positions(),
            self._tell(),
            watch.run(),
            faults.run(),
        )
        # One group: a helper that dies must end the run at once, or the workers wait for its door for ever.
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(keeper) for keeper in keepers]
            async with asyncio.TaskGroup() as work:
                work.create_task(self._pump.run())
                work.create_task(self._make_outages(marksman))
            self._say("all orders are given")
            await faults.end()
            await marksman.finish()
            await self._settle()
            await faults.look()
            self.tally.faults["expire_tokens"] = marksman.expiries
            for helper in helpers:
                helper.cancel()
        self._say("nothing moves any more")
        return await self._gather()

    async def stop_exchange(self) -> None:
        """End the exchange; one that has gone with the engine is no error."""
        with contextlib.suppress(OSError):
            await self.exchange.stop()

    # ---- outages

    async def _make_outages(self, marksman: Marksman) -> None:
        """Each in its turn, at its place among the orders; the pump does not run away from them."""
        turns = [aim for aim, count in self._plan.outages().items() for _ in range(count)]
        self._random.shuffle(turns)
        step = self._plan.orders * PASSED_ON / (len(turns) + 1) if turns else 0.0
        for turn, aim in enumerate(turns):
            place = int(step * (turn + 1))
            self._pump.limit(place)
            await self._pump.reach(place)
            for _ in range(ATTEMPTS):
                await self._seats.open.wait()
                await self.exchange.back(instead_of=0)
                # Traffic to aim into, beyond what was asked for if need be; the pump does not run away from it.
                self._pump.limit(self._pump.given + TRAFFIC)
                try:
                    await marksman.shoot(aim)
                except Missed as miss:
                    self.tally.missed[aim] += 1
                    say(f"{aim} was missed: {miss}")
                else:
                    self.tally.outages[aim] += 1
                    self._say(aim)
                    break
            # An outage is over when there is an engine again; the next one needs one to kill.
            await self._seats.open.wait()
        self._pump.finish()

    async def _kill(self) -> None:
        self._seats.open.clear()
        await self._program.kill_engine()

    # ---- what is kept up

    async def _keep_doors_open(self) -> None:
        """Start an engine whenever there is none, and keep the seats connected to it."""
        while True:
            if not self._program.is_running:
                await self._program.start_engine()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    doors = [
                        await stack.enter_async_context(Door(self._program.socket)) for _ in range(self._seats.count)
                    ]
                    self._seats.doors = doors
                    self._seats.open.set()
                    await doors[0].closed()
            except DoorClosed:
                await asyncio.sleep(RETRY_S)
            finally:
                self._seats.open.clear()
                self._seats.doors = []
            if not self._program.is_running and not self._program.may_end:
                self.tally.deaths += 1
                say(f"the engine ended by itself: {self._program.last_words()}")

    async def _keep_quotes(self) -> None:
        while True:
            await asyncio.sleep(QUOTES_S)
            with contextlib.suppress(*self.exchange.passing):
                await self.exchange.refresh(self._contracts)

    async def _keep_positions(self) -> None:
        while True:
            await asyncio.sleep(POSITIONS_S)
            with contextlib.suppress(*self.exchange.passing):
                rows = await self.exchange.net_positions()
                for book in self._books:
                    book.take_positions(rows)

    async def _tell(self) -> None:
        """Say how far it is."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            tally, done = self.tally, sum(self.tally.outages.values())
            self._say(
                f"{self._pump.given} of {self._plan.orders} orders, "
                f"{len(tally.promised)} taken, {done} of {sum(self._plan.outages().values())} outages, "
                f"{sum(tally.missed.values())} missed, {sum(tally.faults.values())} faults, {tally.deaths} deaths"
            )

    def _say(self, words: str) -> None:
        say(f"{time.monotonic() - self._began:7.1f} s  {words}")

    # ---- the end

    async def _settle(self) -> None:
        """Cancel what rests, and wait until nothing is on its way any more, on either side."""
        deadline = time.monotonic() + SETTLE_S
        why = ""
        while time.monotonic() < deadline:
            door = await self._seats.door()
            if door is None:
                continue
            try:
                why = await self._what_moves(door)
                if not why:
                    return
                await door.call("submit", command={"type": "cancel_orders", "everything": True})
            except DoorRefused as error:
                why = str(error)
            except self.exchange.passing as error:  # the door's end is an OSError too
                why = str(error)
            await asyncio.sleep(SETTLE_LOOK_S)
        say(f"not settled within {SETTLE_S:g} s: {why}")

    async def _what_moves(self, door: Door) -> str:
        """Why it is not over; empty when it is."""
        unfinished = [row["seq"] for row in self.exchange.requests() if not row.get("outcome")]
        if unfinished:
            return f"requests {unfinished[:5]} are not finished at the exchange"
        theirs = await self.exchange.orders()
        resting = [row["order_id"] for row in theirs if row["status"] not in FINAL]
        rows = await door.call("orders")
        moving = [f"o{row['number']} {row['state']}" for row in rows if row["state"] in OPEN_STATES]
        if resting or moving:
            return f"resting there {resting[:5]}, moving here {moving[:5]}"
        there, here = _filled(theirs), sum(int(row["quantity"]) for row in await door.call("trades"))
        if here != there:
            return f"{here} units booked here, {there} traded there"
        mismatches = _mismatches(await door.call("execution_health"))
        return f"the engine itself finds {mismatches[:5]}" if mismatches else ""

    async def _gather(self) -> Evidence:
        names = ("strategies", "orders", "trades", "why")
        strategies, ours, our_trades, health = await asyncio.gather(*(self._program.listing(name) for name in names))
        return Evidence(
            ours=ours,
            our_trades=our_trades,
            our_legs=[
                {**value["leg"], "account": strategy["strategy"]["account"]}
                for strategy in strategies
                for value in strategy["legs"]
            ],
            theirs=await self.exchange.orders(),
            their_trades=await self.exchange.trades(),
            posts_by_tag=effective_posts(self.exchange.requests()),
            mismatches=tuple(_mismatches(health)),
            their_net=await self.exchange.net_positions(),
            promised=dict(self.tally.promised),
            accounts=dict(self.tally.accounts),
            refused=frozenset(self.tally.refused),
            broken=tuple(self.tally.broken),
        )


def _mismatches(health: list[Row]) -> list[str]:
    """What the engine's own reconciliation has found and not explained, of all accounts."""
    return [str(words) for row in health for words in row["mismatches"]]


def _filled(rows: list[Row]) -> int:
    return sum(int(row["filled_quantity"]) for row in rows)


def table(plan: Plan, tally: Tally) -> list[str]:
    """The kills as lines of a table."""
    lines = [f"{'killed at':<24}{'wanted':>8}{'met':>6}{'missed tries':>14}"]
    wanted: dict[Any, int] = dict(plan.outages())
    lines += [f"{aim:<24}{wanted[aim]:>8}{tally.outages[aim]:>6}{tally.missed[aim]:>14}" for aim in Aim]
    return lines
