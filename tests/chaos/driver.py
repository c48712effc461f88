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
from tests.chaos.ending import Ending
from tests.chaos.errands import Errands
from tests.chaos.events import Watch
from tests.chaos.evidence import Evidence
from tests.chaos.exchange import Contract, Exchange
from tests.chaos.faults import FaultKeeper
from tests.chaos.menu import Menu
from tests.chaos.orders import OrderBook
from tests.chaos.plan import Aim, Plan, Tally
from tests.chaos.program import Program
from tests.chaos.pump import Pump
from tests.chaos.seats import Seats

SEATS = 2
THREADS = 24
RETRY_S = 0.3
QUOTES_S = 2.0
POSITIONS_S = 5.0
PLANS_S = 4.0
PROGRESS_S = 15.0
PASSED_ON = 0.92
"""Outages are spread over this part of the orders, so that each meets traffic."""
TRAFFIC = 24
"""Orders that are given while an outage is being aimed, at most."""
ATTEMPTS = 8


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
        errands = Errands(
            plan=self._plan,
            tally=self.tally,
            seats=self._seats,
            faults=faults,
            exchange=self.exchange,
            menu=Menu(self._plan.seed, random.Random(self._random.random()), self._contracts),  # noqa: S311 - as above
            chance=random.Random(self._random.random()),  # noqa: S311 - as above
            submit=self._pump.submit,
        )
        self._pump.errands = errands
        ending = Ending(
            program=self._program,
            exchange=self.exchange,
            seats=self._seats,
            tally=self.tally,
            errands=errands,
            watch=watch,
            say=say,
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
            errand=self._pump.begin_errand,
            renew=faults.renew,
        )
        keepers = (
            self._keep_doors_open(),
            self._keep_quotes(),
            self._keep_positions(),
            self._keep_plans(ending),
            self._tell(ending),
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
            await errands.finish()
            await faults.end()
            await marksman.finish()
            await ending.settle()
            await faults.look()
            self.tally.faults["expire_tokens"] = marksman.expiries
            self._say("nothing moves any more")
            evidence = await ending.gather()
            for helper in helpers:
                helper.cancel()
        return evidence

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

    async def _keep_plans(self, ending: Ending) -> None:
        """The program lists the newest plans alone, so they are taken down while they are listed."""
        while True:
            await asyncio.sleep(PLANS_S)
            door = await self._seats.door()
            if door is not None:
                with contextlib.suppress(DoorClosed, DoorRefused):
                    await ending.keep_plans(door)

    async def _tell(self, ending: Ending) -> None:
        """Say how far it is."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            tally, done = self.tally, sum(self.tally.outages.values())
            why = f"; {ending.waits_for}" if ending.waits_for else ""
            if self._pump.errands is not None and self._pump.given >= self._plan.orders:
                why += f"; under way {self._pump.errands.waiting()}"
            self._say(
                f"{self._pump.given} of {self._plan.orders} orders, "
                f"{len(tally.promised)} taken, {done} of {sum(self._plan.outages().values())} outages, "
                f"{sum(tally.missed.values())} missed, {sum(tally.faults.values())} faults, {tally.deaths} deaths{why}"
            )

    def _say(self, words: str) -> None:
        say(f"{time.monotonic() - self._began:7.1f} s  {words}")


def table(plan: Plan, tally: Tally) -> list[str]:
    """The kills as lines of a table."""
    lines = [f"{'killed at':<24}{'wanted':>8}{'met':>6}{'missed tries':>14}"]
    wanted: dict[Any, int] = dict(plan.outages())
    lines += [f"{aim:<24}{wanted[aim]:>8}{tally.outages[aim]:>6}{tally.missed[aim]:>14}" for aim in Aim]
    return lines
