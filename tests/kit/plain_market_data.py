"""The market-data half of the small engines: candles, rules, the engine room and a tape, with a state of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np

from engine.core.bars import BarInterval, BarSource, BarsView
from engine.core.errors import InvalidInput, Refused, UnknownInstrument
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.operations import (
    AccountHealth,
    ConnectionView,
    GapView,
    OperationsView,
    QueueView,
    RecorderView,
    RefusedView,
)
from engine.core.replay import SPEED_MAX, SPEED_MIN, ReplayAction, ReplayView
from engine.core.rulebook import Certainty, Contradiction, RuleRow, RulesView
from engine.core.vocabulary import QuoteState

AT = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
MINUTE_S = 60
KNOWN_INDICATORS = ("ema", "vwap")
FIRST_PRICE = 100.0
CAPACITY = 3_000


def connection(number: int, *, up: bool = True, subscribed: int = 214, message: str = "") -> ConnectionView:
    """A connection as the engine room shows it."""
    return ConnectionView(
        number=number,
        account="practice",
        state=QuoteState.LIVE if up else QuoteState.STALE,
        up=up,
        subscribed=subscribed,
        capacity=CAPACITY,
        byte_age_s=0.2 if up else None,
        packet_age_s=0.4 if up else 7.5,
        packets=128_430,
        packets_per_s=412.0 if up else 0.0,
        bytes=23_900_000,
        bad_frames=0,
        unknown_packets=0,
        reconnects=0 if up else 1,
        silent_replaced=0 if up else 1,
        message=message,
    )


class PlainMarketData:
    """Answers that a test can repeat by hand; ``record`` and ``replay`` keep what they were told."""

    def __init__(self) -> None:
        self.bar_instruments: tuple[InstrumentKey, ...] = ()
        """Instruments that have candles; all of them rise by one each minute."""
        self.recording = False
        self.tape: ReplayView | None = None
        """A test that plays a tape sets it."""
        self.logins: frozenset[str] = frozenset()
        """Accounts of which a newer login is stored; the empty name is the only account's."""
        self.renewed: list[str] = []
        self.connections: tuple[ConnectionView, ...] = (connection(0),)
        self.refused_views: tuple[RefusedView, ...] = ()
        self.accounts: tuple[AccountHealth, ...] = (
            AccountHealth(
                account=AccountId("PRACTICE"),
                name="Practice Account",
                roles=("orders", "data", "reads"),
                state="ok",
                token_until=None,
                reads=41,
                failures=0,
                limited=0,
                last_error="",
            ),
        )
        self.gaps = GapView(instruments=0, minutes=0, filled=0, waiting=0, eta_s=None)
        self.rule_rows: tuple[RuleRow, ...] = (
            RuleRow(
                topic="lot",
                subject="NIFTY",
                value="65",
                since=date(2026, 1, 6),
                source="NSE/FAOP/70616",
                certainty=Certainty.HIGH,
                checked=date(2026, 11, 1),
            ),
        )
        self.contradictions: tuple[Contradiction, ...] = ()

    async def bars(
        self,
        instrument: InstrumentKey,
        interval: BarInterval,
        start: datetime,
        end: datetime,
        *,
        indicators: Sequence[str] = (),
    ) -> BarsView:
        """Candles of whole intervals in [start, end), each one rupee above the last."""
        if start.tzinfo is None or end.tzinfo is None:
            raise InvalidInput("A time needs a zone.", field="start")
        unknown = [name for name in indicators if name.partition("_")[0] not in KNOWN_INDICATORS]
        if unknown:
            raise InvalidInput(f"There is no indicator {unknown[0]}; there are {', '.join(KNOWN_INDICATORS)}.")
        if instrument not in self.bar_instruments:
            raise UnknownInstrument(f"There is no instrument {instrument} today.")
        step = interval.minutes * MINUTE_S
        first = -(-int(start.timestamp()) // step) * step
        starts = np.arange(first, int(end.timestamp()), step, dtype=np.int64)
        price = FIRST_PRICE + np.arange(len(starts), dtype=np.float64)
        view = BarsView(
            instrument=instrument,
            interval=interval,
            start=starts,
            open=price,
            high=price + 2.0,
            low=price - 1.0,
            close=price + 1.0,
            volume=np.full(len(starts), 650.0),
            open_interest=np.full(len(starts), 13_000.0),
            source=np.full(len(starts), BarSource.TICKS, dtype=np.int64),
            columns=dict.fromkeys(indicators, price + 0.5),
            gaps=(),
        )
        for name in ("start", "open", "high", "low", "close", "volume", "open_interest", "source"):
            getattr(view, name).flags.writeable = False
        return view

    async def rules(self, on: date | None = None) -> RulesView:
        """The one row it knows."""
        return RulesView(on=on or AT.date(), rows=self.rule_rows, contradictions=self.contradictions, unknown=(), at=AT)

    async def operations(self) -> OperationsView:
        """The engine room."""
        return OperationsView(
            at=AT,
            connections=self.connections,
            capacity=CAPACITY * 3,
            subscribed=sum(item.subscribed for item in self.connections),
            consumers=(("strip", 4), ("chain NIFTY 2026-11-24", 210)),
            refused=self.refused_views,
            states={"LIVE": 212, "ONE_SIDED": 2},
            queues=(
                QueueView(
                    name="recorder", waiting=0, limit=64_000_000, dropped=0, policy="the newest frame is not recorded"
                ),
            ),
            recorder=RecorderView(
                recording=self.recording,
                path="tapes/practice/2026-11-19-110000" if self.recording else "",
                segments=1 if self.recording else 0,
                bytes=1_240_000 if self.recording else 0,
                frames=8_200 if self.recording else 0,
                since=AT if self.recording else None,
                lag_s=0.2,
                dropped=0,
            ),
            gaps=self.gaps,
            accounts=self.accounts,
            instruments_day=AT.date(),
            instruments_rows=3_812,
            instruments_note="",
            loop_lag_ms=1.4,
            degraded=(),
        )

    async def record(self, on: bool) -> OperationsView:
        """Remember whether a tape is written."""
        if self.tape is not None:
            raise Refused("A replay is not recorded: the tape is there already.")
        self.recording = on
        return await self.operations()

    async def replay(self, action: ReplayAction | None = None) -> ReplayView:
        """Do as told, at once."""
        tape = self.tape
        if tape is None:
            raise Refused("This venue is no replay; open a tape with `workstation replay TAPE`.")
        if action is None:
            return tape
        if action.speed is not None:
            if not SPEED_MIN <= action.speed <= SPEED_MAX:
                raise InvalidInput(f"The speed {action.speed:g} is not between {SPEED_MIN:g} and {SPEED_MAX:g}.")
            tape = msgspec.structs.replace(tape, speed=action.speed)
        if action.seek is not None:
            if not tape.start <= action.seek <= tape.end:
                raise InvalidInput("That moment is not on the tape.", field="seek")
            tape = msgspec.structs.replace(tape, now=action.seek)
        if action.step_frames is not None:
            now = tape.now + timedelta(seconds=action.step_frames)
            tape = msgspec.structs.replace(tape, now=now, frames=tape.frames + action.step_frames, state="paused")
        if action.play is not None:
            tape = msgspec.structs.replace(tape, state="playing" if action.play else "paused")
        self.tape = tape
        return tape

    async def renew_session(self, account: str = "") -> OperationsView:
        """Remember who logged in.

        Raises:
            Refused: no newer login is stored.
        """
        if account not in self.logins:
            raise Refused("This venue needs no login.")
        self.renewed.append(account)
        return await self.operations()
