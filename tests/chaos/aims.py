"""Brings the system to a named moment and kills it there; whatever held it there is let go afterwards.

Nothing in the engine helps: the exchange stops a request at a gate, the database makes a write wait for a lock, and
the moment is looked at from both sides before the kill counts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from tests.chaos.database import LOST, Hold, Server
from tests.chaos.events import Event, Watch
from tests.chaos.exchange import Exchange
from tests.chaos.intents import OUTSIDE_PREFIX, Kind
from tests.chaos.plan import Aim, Plan
from tests.chaos.program import Program

MOMENT_S = 8.0
"""How long a moment is waited for."""
WRITE_S = 3.0
"""How long a write that must come is waited for."""
GATE_S = 90.0
BURST = 20
"""More than a second's budget, so that some of it is journalled and waits."""
KILL_DELAYS_S = (0.0, 0.0, 0.002, 0.005, 0.01, 0.03, 0.1, 0.3)
ERRAND_SHARE = 0.3
BIRTH_SHARE = 0.5
"""Of the orders that are journalled and unsent: those of which the engine never hears that they are journalled."""
LOOK_S = 0.02
LONGEST_RELEASE_S = 3.0
EXPIRED_S = 1.0


class Missed(Exception):
    """The moment did not come, or could not be shown to be that one; the message says why."""


class Marksman:
    """Aims.

    Args:
        program: The program under test.
        exchange: The exchange.
        server: The database server.
        watch: What happens at the exchange.
        plan: The run.
        chance: Source of choices.
        burst: Gives so many orders of an account at once.
        kill: Kills the engine.
        errand: Begins a trigger or a conversion of an account.
        renew: Takes back what was asked of the exchange and has not struck.
    """

    def __init__(
        self,
        *,
        program: Program,
        exchange: Exchange,
        server: Server,
        watch: Watch,
        plan: Plan,
        chance: random.Random,
        burst: Callable[[str, int], None],
        kill: Callable[[], Awaitable[None]],
        errand: Callable[[str, Kind], None],
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self._program = program
        self._exchange = exchange
        self._server = server
        self._watch = watch
        self._plan = plan
        self._random = chance
        self._burst = burst
        self._kill = kill
        self._errand = errand
        self._renew = renew
        self._later: set[asyncio.Task[None]] = set()
        self.expiries = 0
        """How often every token was refused for a while."""

    async def shoot(self, aim: Aim) -> None:
        """Kill at a moment.

        Raises:
            Missed: it did not come, or could not be shown to be that one.
        """
        shots = {
            Aim.UNSENT: self._unsent,
            Aim.UNACCEPTED: self._unaccepted,
            Aim.UNANSWERED: self._unanswered,
            Aim.UNJOURNALLED: self._unjournalled,
            Aim.UNLEDGERED: self._unledgered,
            Aim.RANDOM: self._at_random,
            Aim.DATABASE: self._database,
            Aim.EXCHANGE: self._exchange_itself,
        }
        await self.finish()  # a gate that the last shot still holds is not this one's
        try:
            await shots[aim]()
        except LOST as error:
            raise Missed(f"{type(error).__name__}: {error}") from error

    async def finish(self) -> None:
        """Wait for what is still to be let go."""
        await asyncio.gather(*self._later)

    async def _unsent(self) -> None:
        """The journal has the order; the exchange has never heard of it."""
        if self._random.random() < BIRTH_SHARE:
            await self._unsent_at_birth()
            return
        account = self._random.choice(self._exchange.accounts)
        async with self._hold() as hold:
            self._burst(account, BURST)
            found = await hold.waiting_order(account, MOMENT_S)
            if found is None:
                raise Missed(f"no order of {account} waits to be sent")
            if self._random.random() < 0.5:
                # Later in the same moment: its next line, SENDING, is on its way to the journal.
                await hold.is_waited_for(WRITE_S)
            await self._kill()
            await self._exchange.back(instead_of=0)
            if await self._exchange.posted(found[1]):
                raise Missed(f"o{found[0]} had left")

    async def _unsent_at_birth(self) -> None:
        """The write that journals a new order waits for a lock; it is taken after its engine has died."""
        account = self._random.choice(self._exchange.accounts)
        async with Hold(self._server, end_waiters=False) as hold:
            await hold.new_orders()
            before = await hold.orders_made()
            self._burst(account, 1)
            if not await hold.is_waited_for(WRITE_S):
                raise Missed("no order is being journalled")
            await self._kill()
            await hold.let_go()
            deadline = time.monotonic() + WRITE_S
            while not (made := await hold.orders_made() - before):
                if time.monotonic() > deadline:
                    raise Missed("what was being journalled ended with its engine")
                await asyncio.sleep(LOOK_S)
            await self._exchange.back(instead_of=0)
            if sent := [tag for tag in made if await self._exchange.posted(tag)]:
                raise Missed(f"{sent} had left")

    async def _unaccepted(self) -> None:
        """The request has arrived; the exchange has done nothing with it, and may never."""
        then = self._random.choice(["go_on", "go_on", "discard"])
        event = await self._stopped_at("received", then=then, errand=True)
        await self._kill()
        self._release_later(event["tag"], self._random.choice([0.0, 1.0, LONGEST_RELEASE_S]))

    async def _unanswered(self) -> None:
        """The order stands at the exchange; nobody has been told."""
        event = await self._stopped_at("accepted", errand=True)
        await self._kill()
        self._release_later(event["tag"], self._random.choice([0.0, 0.0, 1.0]))

    async def _unjournalled(self) -> None:
        """The answer has left the exchange; the write that would keep it waits for a lock of ours."""
        async with self._hold() as hold:
            event = await self._stopped_at("accepted", placements=True)
            tag, account = event["tag"], event["account"]
            answered = self._watch.expect(lambda other: (other["tag"], other["what"]) == (tag, "answered"))
            state = await hold.order_of(account, tag)
            await self._exchange.release(tag)
            if state != "SENDING":
                raise Missed(f"{tag} was {state} already when its answer was held")
            await _come(answered, WRITE_S)
            if not await hold.is_waited_for(WRITE_S):
                raise Missed(f"nobody journals the answer to {tag}")
            await self._kill()
            if (state := await hold.order_of(account, tag)) != "SENDING":
                raise Missed(f"{tag} is {state} in the journal")

    async def _unledgered(self) -> None:
        """The order has traded; the fill's entry in the ledger waits for a lock of ours."""
        async with self._hold() as hold:
            await hold.ledger()
            event = await _come(self._watch.expect(lambda event: event["what"] == "filled"), MOMENT_S)
            if not await hold.is_waited_for(MOMENT_S):
                raise Missed(f"nobody books the fill {event['detail']}")
            await self._kill()
            if await hold.is_booked(event["account"], event["order_id"], event["detail"]):
                raise Missed(f"the fill {event['detail']} is booked")

    async def _at_random(self) -> None:
        """Anywhere; now and then just after the session was refused for a while, which a new engine gets over."""
        if self._plan.fault_rate and self._random.random() < 0.3:
            await self._exchange.arm("expire_tokens", seconds=EXPIRED_S)
            self.expiries += 1
            await asyncio.sleep(2 * EXPIRED_S)
        await asyncio.sleep(self._random.choice(KILL_DELAYS_S))
        await self._kill()

    async def _database(self) -> None:
        await asyncio.sleep(self._random.choice(KILL_DELAYS_S))
        self._server.kill()
        connection = await self._server.connect()
        connection.terminate()

    async def _exchange_itself(self) -> None:
        await asyncio.sleep(self._random.choice(KILL_DELAYS_S))
        process = self._exchange.process()
        self._exchange.kill()
        await self._exchange.back(process)

    def _hold(self) -> Hold:
        return Hold(self._server, end_waiters=self._random.random() < 0.5)

    async def _stopped_at(
        self, point: str, *, then: str = "go_on", placements: bool = False, errand: bool = False
    ) -> Event:
        """Let the next request that changes something stop at a gate; with ``errand`` often one that is no order.

        Raises:
            Missed: none came there.
        """
        while True:
            paused = self._watch.expect(lambda event: (event["what"], event["detail"]) == ("paused", point))
            await self._exchange.arm("pause_at", point=point, seconds=GATE_S, then=then)
            if errand and self._random.random() < ERRAND_SHARE:
                account = self._random.choice(self._exchange.accounts)
                self._errand(account, self._random.choice([Kind.TRIGGER, Kind.CONVERSION]))
            try:
                event = await _come(paused, MOMENT_S)
            except Missed:
                await self._renew()
                raise
            request = self._watch.of_tag(event["tag"], "request_received")
            is_placement = request is not None and request["detail"].startswith("POST /orders")
            if not event["tag"].startswith(OUTSIDE_PREFIX) and (is_placement or not placements):
                return event
            await self._exchange.release(event["tag"])

    def _release_later(self, tag: str, seconds: float) -> None:
        async def release() -> None:
            await asyncio.sleep(seconds)
            try:
                await self._exchange.release(tag)
            except OSError:
                return  # it was killed, and its gates with it

        task = asyncio.create_task(release())
        self._later.add(task)
        task.add_done_callback(self._later.discard)


async def _come(future: asyncio.Future[Event], seconds: float) -> Event:
    """An event that must come in time.

    Raises:
        Missed: it does not.
    """
    try:
        return await asyncio.wait_for(future, seconds)
    except TimeoutError:
        raise Missed(f"what was waited for did not happen at the exchange within {seconds:g} s") from None
