"""A made-up market of a few expiries for tests of strategies: chains, marks, instruments and a portfolio over them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from engine.analysis.strategy_analysis import StrategyAnalysis
from engine.analysis.strategy_attribution import StrategyAttribution
from engine.analysis.strategy_legs import LegReader
from engine.analytics.black import price
from engine.analytics.implied_volatility import IvReason
from engine.analytics.smile import Smile
from engine.calendar.sessions import SECONDS_PER_YEAR
from engine.charges.rates import read_charge_rates
from engine.core.identifiers import BrokerOrderId, InstrumentKey, StrategyNumber, TradeId
from engine.core.instruments import Instrument
from engine.core.money import decimal_from_float
from engine.core.orders import Trade
from engine.core.strategies import StrategyValue
from engine.core.views import ChainColumns, ChainHeader, ChainKey, ChainView, Floats
from engine.core.vocabulary import Exchange, InstrumentKind, Mark, Product, QuoteState, Side
from engine.portfolio.charges_book import ChargesBook
from engine.portfolio.marks import LegMarks
from tests.unit.portfolio.fakes import ACCOUNT, OPENING, Desk

RATE = 0.065
INDIA = ZoneInfo("Asia/Kolkata")
NEAR, FAR = date(2026, 12, 1), date(2026, 12, 29)
ENDS = {day: datetime(day.year, day.month, day.day, 10, 0, tzinfo=UTC) for day in (NEAR, FAR)}
STRIKES: Floats = np.arange(23_000.0, 25_050.0, 50.0)
VOLATILITY = 0.12
LOT = 65
MID_STEP = Decimal("0.025")
SYMBOLS = {NEAR: "26D01", FAR: "26DEC"}

Place = tuple[InstrumentKind, date, float]


class World(NamedTuple):
    """Everything together."""

    market: MadeMarket
    desk: Desk
    reader: LegReader
    analysis: StrategyAnalysis
    attribution: StrategyAttribution
    others: dict[str, MadeMarket]

    async def trade(self, *fills: Trade) -> None:
        """Book fills."""
        await self.desk.service.on_trades(fills)

    def value(self, number: int) -> StrategyValue:
        """A strategy valued now."""
        return self.desk.service.value(StrategyNumber(number))

    def mid_profit(self, number: int) -> Decimal:
        """Its gross money on the mid."""
        return self.value(number).profit[Mark.MID]

    async def pass_time(self, seconds: float) -> None:
        """Let time go by and the market with it."""
        await self.desk.clock.advance(seconds)
        self.market.quote()


class MadeMarket:
    """One underlying at one volatility; every mid is the model's price on the half tick."""

    def __init__(self, desk: Desk, name: str = "NIFTY", token: int = 0) -> None:
        self.desk = desk
        self.name = name
        self.forward = {NEAR: 24_000.0, FAR: 24_100.0}
        self.volatility = VOLATILITY
        self.instruments: dict[Place, Instrument] = {}
        self.unwatched: set[date] = set()
        self.no_volatility: set[int] = set()
        """Tokens whose own quotes give none."""
        self.no_price: set[int] = set()
        self.quoted: dict[int, Decimal] = {}
        for expiry in (NEAR, FAR):
            for kind in (InstrumentKind.CALL, InstrumentKind.PUT):
                for strike in STRIKES.tolist():
                    token += 1
                    self._list(token, kind, expiry, strike)
        self._list(token + 1, InstrumentKind.FUTURE, FAR, math.nan)
        self.quote()

    def _list(self, token: int, kind: InstrumentKind, expiry: date, strike: float) -> None:
        symbol = f"{self.name}26DECFUT" if kind is InstrumentKind.FUTURE else ""
        is_option = not symbol
        self.instruments[kind, expiry, strike if is_option else 0.0] = Instrument(
            token=token,
            exchange_token=token,
            tradingsymbol=symbol or f"{self.name}{SYMBOLS[expiry]}{strike:.0f}{kind.value}",
            exchange=Exchange.NFO,
            name=self.name,
            kind=kind,
            segment="NFO-OPT" if is_option else "NFO-FUT",
            expiry=expiry,
            strike=Decimal(int(strike)) if is_option else None,
            lot_size=LOT,
        )

    def find(self, key: InstrumentKey) -> Instrument | None:
        """By exchange and symbol."""
        return next((one for one in self.instruments.values() if one.key == key), None)

    def option(self, kind: str, strike: float, expiry: date = NEAR) -> Instrument:
        """``ce`` or ``pe``."""
        return self.instruments[InstrumentKind(kind.upper()), expiry, strike]

    def future(self, expiry: date = FAR) -> Instrument:
        """The future."""
        return self.instruments[InstrumentKind.FUTURE, expiry, 0.0]

    def years(self, expiry: date) -> float:
        """To the expiry now."""
        return max((ENDS[expiry] - self.desk.clock.market_now()).total_seconds(), 0.0) / SECONDS_PER_YEAR

    def quote(self) -> None:
        """Put the market's mids on the marks."""
        for expiry, forward in self.forward.items():
            for kind in (InstrumentKind.CALL, InstrumentKind.PUT):
                is_call = kind is InstrumentKind.CALL
                fair = price(forward, STRIKES, self.years(expiry), RATE, self.volatility, is_call=is_call)
                for strike, value in zip(STRIKES.tolist(), fair.tolist(), strict=True):
                    self._mark(self.instruments.get((kind, expiry, strike)), value)
        self._mark(self.future(), self.forward[FAR])

    def _mark(self, one: Instrument | None, fair: float) -> None:
        if one is None or math.isnan(fair):
            return
        mid = self.quoted[one.token] = max(decimal_from_float(fair, MID_STEP), MID_STEP)
        known = None if one.token in self.no_price else mid
        reason = "" if known is not None else "no bid"
        self.desk.marks.prices[one.token] = LegMarks(last=mid, mid=known, exit=known, reason=reason)

    def mid(self, one: Instrument) -> Decimal:
        """Its mid now."""
        return self.quoted[one.token]

    def chain(self, key: ChainKey) -> ChainView | None:
        """The chain now, as far as strategies look at it."""
        if key.underlying != self.name or key.expiry in self.unwatched or key.expiry not in self.forward:
            return None
        sides = {}
        for kind in (InstrumentKind.CALL, InstrumentKind.PUT):
            tokens = np.array([self.instruments[kind, key.expiry, strike].token for strike in STRIKES.tolist()])
            hidden = np.isin(tokens, sorted(self.no_volatility))
            columns: dict[str, Any] = {name: np.full(STRIKES.size, np.nan) for name in ChainColumns.__struct_fields__}
            columns["token"] = tokens
            columns["implied_volatility"] = np.where(hidden, np.nan, self.volatility)
            columns["iv_reason"] = np.where(hidden, np.uint8(IvReason.BELOW_INTRINSIC), np.uint8(IvReason.OK))
            sides[kind] = ChainColumns(**columns)
        fields: dict[str, Any] = dict.fromkeys(ChainHeader.__struct_fields__)
        fields.update(
            underlying=self.name,
            expiry=key.expiry,
            labels=("w0",),
            lot_size=LOT,
            exchange=Exchange.NFO,
            seconds_to_expiry=self.years(key.expiry) * SECONDS_PER_YEAR,
            spot_state=QuoteState.LIVE,
            forward=self.forward[key.expiry] if not math.isnan(self.forward[key.expiry]) else None,
            atm_volatility=self.volatility,
            reason="" if not math.isnan(self.forward[key.expiry]) else "no forward: all quotes are stale",
        )
        return ChainView(
            key=key,
            sequence=1,
            strikes=STRIKES,
            header=ChainHeader(**fields),
            calls=sides[InstrumentKind.CALL],
            puts=sides[InstrumentKind.PUT],
            changed=np.empty(0, np.intp),
        )


def fill(
    number: int,
    one: Instrument,
    signed_quantity: int,
    traded: Decimal | str,
    *,
    strategy: int = 1,
    at: datetime = OPENING,
) -> Trade:
    """One fill, of an order of its own."""
    return Trade(
        account=ACCOUNT,
        instrument=one.key,
        token=one.token,
        broker_order_id=BrokerOrderId(f"o{number}"),
        trade_id=TradeId(f"t{number}"),
        side=Side.BUY if signed_quantity > 0 else Side.SELL,
        product=Product.NRML,
        quantity=abs(signed_quantity),
        price=Decimal(traded),
        filled_at=at,
        strategy=StrategyNumber(strategy),
    )


async def new_world(*, smile: Smile | None = None, with_charges: bool = True, others: tuple[str, ...] = ()) -> World:
    """A portfolio with one strategy, analysed over a made-up market; ``others`` are more underlyings."""
    charges = ChargesBook(read_charge_rates(), zone=INDIA, order_quantity_max=lambda _: None)
    desk = await Desk(charges=charges if with_charges else None).started()
    market = MadeMarket(desk)
    others_listed = {name: MadeMarket(desk, name, 1000 * place) for place, name in enumerate(others, 1)}

    def chain(key: ChainKey) -> ChainView | None:
        return (others_listed.get(key.underlying) or market).chain(key)

    def find(key: InstrumentKey) -> Instrument | None:
        return next((one for listed in (market, *others_listed.values()) if (one := listed.find(key))), None)

    def smile_of(key: ChainKey) -> Smile | None:
        return smile if key.expiry == NEAR else None

    reader = LegReader(
        instrument_of=find,
        ends_at=lambda one, expiry: ENDS[expiry],
        chain=chain,
        marks=desk.marks,
        clock=desk.clock,
        smile_of=smile_of,
    )
    analysis = StrategyAnalysis(
        reader,
        portfolio=lambda: desk.service,
        clock=desk.clock,
        rate=RATE,
        day_of=lambda moment: moment.astimezone(INDIA).date(),
        smile_of=smile_of,
    )
    attribution = StrategyAttribution(
        reader,
        portfolio=lambda: desk.service,
        clock=desk.clock,
        rate=RATE,
        day_of=lambda moment: moment.astimezone(INDIA).date(),
    )
    desk.service.listen(attribution.on_entries)
    return World(market, desk, reader, analysis, attribution, others_listed)
