"""Kite's REST as the engine's ports: ``KiteOrderRoad`` for orders, ``KiteReads`` for everything that changes nothing.

Two classes over one transport, so that the executor alone is handed the road. Invariants: an order call is sent once,
whatever happens; every failure comes out as one of the broker errors of ``engine.core.errors``; only reads are
retried, only when the broker was not reached or did not answer, and only a few times.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import NoReturn
from urllib.parse import quote

import httpx

from engine.brokers.kite import messages
from engine.brokers.kite.answer_reader import Answer
from engine.brokers.kite.conversion import conversion_form, is_converted
from engine.brokers.kite.errors import lost_order, lost_read, refused_order, refused_read, unreadable_order
from engine.brokers.kite.forms import modify_form, place_form
from engine.brokers.kite.gtt import gtt_form, parse_gtts, trigger_id_of
from engine.brokers.kite.history import history_query, parse_history
from engine.brokers.kite.instruments import DumpUnreadable, parse_instruments
from engine.brokers.kite.margins import margin_body, parse_basket, parse_margins
from engine.brokers.kite.pace import Pace
from engine.brokers.kite.packets import price_decimals
from engine.brokers.kite.transport import KiteTransport, Lane
from engine.core.accounts import Profile
from engine.core.bars import BarInterval, HistoricalBars
from engine.core.commands import OrderChange
from engine.core.errors import BrokerUnavailable, InvalidInput
from engine.core.funds_margin import BasketMargin
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, OrderTag
from engine.core.instructions import Conversion
from engine.core.instruments import Instrument
from engine.core.orders import BrokerOrder, OrderRequest, Trade
from engine.core.ports import Clock, LastLook
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.standing_triggers import Gtt, GttRequest
from engine.core.vocabulary import Exchange, Variety

logger = logging.getLogger(__name__)

_OK = 200
_SHOWN_ROWS = 5
_TRIGGERS = "/gtt/triggers"


class KiteOrderRoad:
    """Kite's order endpoints (``engine.core.ports.OrderRoad``).

    ============= ===========================================
    variety       all of Kite's, as the request says
    order type    MARKET and SL-M need ``market_protection``
    validity      DAY, IOC, TTL with its minutes
    idempotency   none at the broker: the tag finds an order
    ============= ===========================================

    Args:
        transport: The HTTP road.
        others: The pace of calls that are no orders (triggers, conversions), shared with the reads; the broker counts
            them together. ``None``: they leave at once, and a refusal for speed is the caller's to obey.
    """

    def __init__(self, transport: KiteTransport, others: Pace | None = None) -> None:
        self._transport = transport
        self._others = others

    async def place_order(
        self, request: OrderRequest, tag: OrderTag, *, last_look: LastLook | None = None
    ) -> BrokerOrderId:
        """Send a new order once; errors as ``OrderRoad`` lists them."""
        return await self._call("POST", f"/orders/{request.variety}", place_form(request, tag), last_look)

    async def modify_order(
        self,
        order_id: BrokerOrderId,
        variety: Variety,
        request: OrderRequest,
        change: OrderChange,
        *,
        last_look: LastLook | None = None,
    ) -> BrokerOrderId:
        """Ask once for a change of a resting order; only what changes is sent.

        Raises:
            InvalidInput: nothing would change; nothing was sent.
        """
        del request  # the broker keeps what is not named; repeating it could undo a change made elsewhere
        if change == OrderChange():
            raise InvalidInput(
                "The modification changes nothing; name a quantity, a price or a trigger.", field="change"
            )
        return await self._call("PUT", _address(variety, order_id), modify_form(order_id, variety, change), last_look)

    async def cancel_order(self, order_id: BrokerOrderId, variety: Variety) -> BrokerOrderId:
        """Ask once for a cancellation."""
        return await self._call("DELETE", _address(variety, order_id), None)

    async def place_gtt(self, request: GttRequest, last_price: Decimal, *, last_look: LastLook | None = None) -> int:
        """Leave a trigger at the broker, once; its id."""
        return await self._trigger("POST", _TRIGGERS, gtt_form(request, last_price), last_look)

    async def modify_gtt(
        self, trigger_id: int, request: GttRequest, last_price: Decimal, *, last_look: LastLook | None = None
    ) -> int:
        """Ask once that a trigger says something else."""
        return await self._trigger("PUT", f"{_TRIGGERS}/{trigger_id}", gtt_form(request, last_price), last_look)

    async def delete_gtt(self, trigger_id: int) -> int:
        """Ask once that a trigger goes."""
        return await self._trigger("DELETE", f"{_TRIGGERS}/{trigger_id}", None)

    async def convert_position(self, conversion: Conversion) -> None:
        """Ask once that quantity changes its product."""
        answer = await self._send_other("PUT", "/portfolio/positions", conversion_form(conversion))
        if not is_converted(answer.body):
            raise unreadable_order(answer.status, answer.body)

    async def _trigger(
        self, method: str, path: str, form: Mapping[str, str] | None, last_look: LastLook | None = None
    ) -> int:
        answer = await self._send_other(method, path, form, last_look)
        trigger_id = trigger_id_of(answer.body)
        if trigger_id is None:
            raise unreadable_order(answer.status, answer.body)
        return trigger_id

    async def _send_other(
        self, method: str, path: str, form: Mapping[str, str] | None, last_look: LastLook | None = None
    ) -> Answer:
        if self._others is not None:
            await self._others.wait()
        return await self._send(method, path, form, last_look)

    async def _call(
        self, method: str, path: str, form: Mapping[str, str] | None, last_look: LastLook | None = None
    ) -> BrokerOrderId:
        answer = await self._send(method, path, form, last_look)
        order_id = messages.order_id_of(answer.body)
        if order_id is None:
            raise unreadable_order(answer.status, answer.body)
        return order_id

    async def _send(self, method: str, path: str, form: Mapping[str, str] | None, last_look: LastLook | None) -> Answer:
        try:
            answer = await self._transport.send(Lane.ORDERS, method, path, form=form, last_look=last_look)
        except (httpx.HTTPError, TimeoutError) as failure:
            raise lost_order(failure) from failure
        if answer.status != _OK:
            raise refused_order(answer.status, answer.headers, answer.body)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How reads are paced and retried."""

    attempts: int = 3
    """Times a read is tried in all when the broker is not reached or does not answer."""
    retry_initial_s: float = 0.25
    """Doubles with each attempt; with jitter."""
    quotes_per_call: int = 500
    quotes_per_window: int = 1
    history_per_window: int = 3
    others_per_window: int = 10
    window_s: float = 1.1
    """The broker counts seconds; the rest is a guard for jitter."""


class KiteReads:
    """Kite's reading endpoints (``engine.core.ports.BrokerReads``).

    Args:
        transport: The HTTP road.
        account: Whose fills these are.
        clock: Waiting, durations, and market time for times of day.
        random: Jitter of retries.
        settings: Pace and retries.
    """

    def __init__(
        self,
        transport: KiteTransport,
        *,
        account: AccountId,
        clock: Clock,
        random: Random,
        settings: ReadSettings | None = None,
    ) -> None:
        self._transport = transport
        self._account = account
        self._clock = clock
        self._random = random
        self._settings = settings = settings or ReadSettings()
        self._quote_pace = self._pace(settings.quotes_per_window)
        self._history_pace = self._pace(settings.history_per_window)
        self._other_pace = self._pace(settings.others_per_window)

    @property
    def others(self) -> Pace:
        """The pace of everything that is no quote, no candle and no order."""
        return self._other_pace

    def _pace(self, limit: int) -> Pace:
        clock = self._clock
        return Pace(limit, window_s=self._settings.window_s, monotonic=clock.monotonic, sleep=clock.sleep)

    async def profile(self) -> Profile:
        """Who is logged in."""
        body = await self._get("/user/profile", self._other_pace)
        try:
            return messages.parse_profile(body)
        except messages.UnreadableAnswer as error:
            _unreadable("profile", error)

    async def orders(self) -> tuple[BrokerOrder, ...]:
        """The whole order book of the day. Rows of a kind this program does not know are logged and left out."""
        body = await self._get("/orders", self._other_pace)
        try:
            parsed = messages.parse_orders(body, self._clock.market_now())
        except messages.UnreadableAnswer as error:
            _unreadable("order book", error)
        _tell_unread("order book", parsed.unread)
        return parsed.rows

    async def trades(self) -> tuple[Trade, ...]:
        """All fills of the day."""
        body = await self._get("/trades", self._other_pace)
        try:
            parsed = messages.parse_trades(body, self._account, self._clock.market_now())
        except messages.UnreadableAnswer as error:
            _unreadable("trades", error)
        _tell_unread("trades", parsed.unread)
        return parsed.rows

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Net positions, closed ones of the day too."""
        body = await self._get("/portfolio/positions", self._other_pace)
        try:
            parsed = messages.parse_positions(body)
        except messages.UnreadableAnswer as error:
            _unreadable("positions", error)
        _tell_unread("positions", parsed.unread)
        return parsed.rows

    async def funds(self) -> Funds:
        """Money of the equity segment, which futures and options draw from."""
        body = await self._get("/user/margins", self._other_pace)
        try:
            return messages.parse_funds(body)
        except messages.UnreadableAnswer as error:
            _unreadable("funds", error)

    async def order_margins(self, requests: Sequence[OrderRequest]) -> tuple[Decimal, ...]:
        """What each order would block alone, by the broker's own calculator; nothing is sent to an exchange."""
        body = await self._read("POST", "/margins/orders", self._other_pace, document=margin_body(requests))
        try:
            return parse_margins(body, requests)
        except messages.UnreadableAnswer as error:
            _unreadable("margins", error)

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        """What orders would block together, by the broker's own calculator; nothing is sent to an exchange."""
        query = [("consider_positions", "true" if consider_positions else "false")]
        body = await self._read("POST", "/margins/basket", self._other_pace, query, document=margin_body(requests))
        try:
            return parse_basket(body, requests)
        except messages.UnreadableAnswer as error:
            _unreadable("margins", error)

    async def gtts(self) -> tuple[Gtt, ...]:
        """Triggers that stand, and those that ended in the last days."""
        body = await self._get(_TRIGGERS, self._other_pace)
        try:
            parsed = parse_gtts(body, self._account)
        except messages.UnreadableAnswer as error:
            _unreadable("triggers", error)
        _tell_unread("triggers", parsed.unread)
        return parsed.rows

    async def instruments(self, exchange: Exchange | None = None) -> tuple[Instrument, ...]:
        """The day's dump, of one exchange or all; read in a worker thread."""
        path = "/instruments" if exchange is None else f"/instruments/{exchange}"
        body = await self._get(path, self._other_pace)
        try:
            dump = await asyncio.to_thread(lambda: parse_instruments(body.decode("utf-8")))
        except (DumpUnreadable, UnicodeDecodeError) as error:
            _unreadable("instruments", error)
        _tell_unread("instruments", dump.reasons, dump.skipped)
        return dump.instruments

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        """Snapshots; unknown and expired instruments are missing. More than 500 take a second for each 500."""
        quotes: dict[InstrumentKey, Quote] = {}
        step = self._settings.quotes_per_call
        for start in range(0, len(keys), step):
            query = [("i", str(key)) for key in keys[start : start + step]]
            body = await self._get("/quote", self._quote_pace, query)
            try:
                part, unread = messages.parse_quotes(body, self._clock.wall_now())
            except messages.UnreadableAnswer as error:
                _unreadable("quotes", error)
            _tell_unread("quotes", unread)
            quotes.update(part)
        return quotes

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        """Finished candles that begin in [start, end] (aware), oldest first; read in a worker thread.

        Raises:
            InvalidInput: the span is longer than one request may be; nothing was asked.
        """
        query = history_query(interval, start, end)
        body = await self._get(f"/instruments/historical/{token}/{interval}", self._history_pace, query)
        now, decimals = self._clock.market_now(), price_decimals(token)
        try:
            parsed = await asyncio.to_thread(parse_history, body, interval, decimals=decimals, now=now)
        except messages.UnreadableAnswer as error:
            _unreadable("historical candles", error)
        _tell_unread(f"historical candles of {token}", parsed.unread)
        return HistoricalBars(interval=interval, bars=parsed.rows)

    async def _get(self, path: str, pace: Pace, query: Sequence[tuple[str, str]] = ()) -> bytes:
        return await self._read("GET", path, pace, query)

    async def _read(
        self,
        method: str,
        path: str,
        pace: Pace,
        query: Sequence[tuple[str, str]] = (),
        *,
        document: bytes | None = None,
    ) -> bytes:
        """One read with its retries; one that asks by POST changes nothing either."""
        settings = self._settings
        for attempt in range(1, settings.attempts + 1):
            await pace.wait()
            try:
                return await self._read_once(method, path, query, document)
            except BrokerUnavailable:
                if attempt >= settings.attempts:
                    raise
            wait = settings.retry_initial_s * 2.0 ** (attempt - 1)
            await self._clock.sleep(wait * (0.5 + 0.5 * self._random.random()))
        raise BrokerUnavailable("Reads are set to zero attempts; the setting must be at least 1.")

    async def _read_once(
        self, method: str, path: str, query: Sequence[tuple[str, str]], document: bytes | None
    ) -> bytes:
        try:
            answer: Answer = await self._transport.send(Lane.READS, method, path, query=query, document=document)
        except (httpx.HTTPError, TimeoutError) as failure:
            raise lost_read(failure) from failure
        if answer.status != _OK:
            raise refused_read(answer.status, answer.headers, answer.body)
        return answer.body


def _address(variety: Variety, order_id: BrokerOrderId) -> str:
    return f"/orders/{variety}/{quote(order_id, safe='')}"


def _unreadable(what: str, error: Exception) -> NoReturn:
    raise BrokerUnavailable(f"The broker's answer about {what} was not understood: {error}") from error


def _tell_unread(what: str, reasons: Sequence[str], count: int | None = None) -> None:
    if reasons:
        shown = "; ".join(reasons[:_SHOWN_ROWS])
        logger.warning("%s: %d rows were not understood and left out: %s", what, count or len(reasons), shown)
