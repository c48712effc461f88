"""A tape played in this process, with an ear that hears all that is sent and a trader who trades against it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from engine.practice.contracts import Contract
from engine.practice.frame_packets import PacketBoard, PacketRun
from engine.practice.frame_stream import FrameHub
from engine.practice.noise import IntArray
from engine.practice.orders import Order
from engine.practice.playback import PlaybackRequest
from engine.practice.settings import ExchangeSettings, ServiceSettings
from engine.practice.tape_timeline import instants
from engine.practice.tape_venue import open_tape
from engine.tape.reader import TapeReader
from tests.kit.practice_tapes import SECOND_NS

DEADLINE_S = 20.0
FASTEST = 60.0

Sent = list[tuple[str, Any]]


class Ear(FrameHub):
    """A ticker whose one subscriber wants everything, and never keeps the player waiting."""

    def __init__(self, settings: ServiceSettings, board: PacketBoard) -> None:
        super().__init__(settings, board, conflates=False, tokens_limit=0)
        self.heard: Sent = []
        self.updates: list[dict[str, Any]] = []

    def tell(self, text: str) -> None:
        data = json.loads(text)["data"]
        self.heard.append((data["event"], data["ns"]))

    def order_update(self, data: dict[str, Any]) -> None:
        self.updates.append(data)

    def frame(self, frame: bytes, runs: list[PacketRun], slots: list[IntArray]) -> None:
        self.heard.append(("frame", frame))


class Desk:
    """A tape that is played in this process, and a trader."""

    def __init__(self, state: Path, tape: Path, *, play: bool = False) -> None:
        state.mkdir(parents=True, exist_ok=True)
        service = ServiceSettings()
        settings = ExchangeSettings(state=state, tape=tape, speed=FASTEST, play=play, service=service)
        self.venue = open_tape(settings, tape)
        self.exchange, self.player = self.venue.exchange, self.venue.player
        self.ear = Ear(service, self.exchange.market.board)
        self.player._hub = self.ear
        self.exchange.changes.redirect(self.ear.order_update)

    @property
    def state(self) -> str:
        """``paused``, ``playing``, ``seeking`` or ``ended``."""
        return self.player.view().state

    def act(self, **asked: Any) -> None:
        """Ask the player; times in seconds from the start of the tape."""
        if "seek" in asked:
            asked["seek_ns"] = self.venue.reader.start_ns + round(asked.pop("seek") * SECOND_NS)
        self.player.act(PlaybackRequest(**asked))

    async def until(self, met: Callable[[], bool], what: str) -> None:
        """Let the player run until something is so."""
        async with asyncio.timeout(DEADLINE_S):
            while not met():  # noqa: ASYNC110 - the player needs the loop, and nothing else is to be waited for
                await asyncio.sleep(0)
        assert met(), what

    async def stands(self) -> None:
        """Let the player run until it stands or has ended."""
        await self.until(lambda: self.state in {"paused", "ended"}, "the player to stand")

    async def sought(self, seconds: float) -> None:
        """Bring the tape to a second and let it stand there."""
        self.act(play=False, seek=seconds)
        await self.stands()

    def contract(self) -> Contract:
        """A recorded call near the money."""
        floor = self.exchange.floor
        calls = [floor.contract(token) for token in floor.day.universe.row_of if floor.contract(token).kind == "CE"]
        spot = int(floor.quotes.index_last[0])
        return min(calls, key=lambda row: abs(row.strike - spot))

    def touch(self, contract: Contract) -> tuple[int, int]:
        """Best bid and best ask (paise)."""
        row = self.exchange.floor.row(contract.token)
        assert row is not None
        quotes = self.exchange.floor.quotes
        return int(quotes.bid_price[row, 0]), int(quotes.ask_price[row, 0])

    def place(self, contract: Contract, side: str, price: int) -> Order:
        """Place one lot at a limit (paise) and let the exchange act on it."""
        order_id = self.exchange.desk.place(
            "regular",
            {
                "exchange": contract.exchange,
                "tradingsymbol": contract.symbol,
                "transaction_type": side,
                "order_type": "LIMIT",
                "product": "NRML",
                "quantity": str(contract.lot),
                "price": f"{price / 100:.2f}",
            },
        )
        self.exchange.desk.process(order_id)
        return self.exchange.ledger.orders[order_id]


@contextlib.asynccontextmanager
async def playing(state: Path, tape: Path, **more: Any) -> AsyncIterator[Desk]:
    """A desk whose player runs; afterwards it is gone as after a kill."""
    desk = Desk(state, tape, **more)
    task = asyncio.create_task(desk.player.run())
    try:
        yield desk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        desk.venue.close()


def expected(tape: Path) -> Sent:
    """What a tape sends from its beginning to its end."""
    reader = TapeReader(tape)
    sent: Sent = []
    for instant in instants(reader):
        sent.append(("time", instant.market_ns))
        sent.extend((word, instant.market_ns) for word in instant.words)
        sent.extend(("frame", frame) for frame in instant.frames)
    sent.append(("end", reader.end_ns))
    reader.close()
    return sent
