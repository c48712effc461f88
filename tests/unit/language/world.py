"""A small market for sentences: three underlyings, quotes, orders and strategies; every answer can be changed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, OrderTag, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument, label_expiries
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.positions import Holding
from engine.core.quotes import DepthLevel, Quote
from engine.core.strategies import Leg, Strategy
from engine.core.vocabulary import Exchange, InstrumentKind, OrderType, Product, QuoteState, Side
from engine.language.resolver import OrderDefaults

ACCOUNT = AccountId("AB1234")
NOW = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
TODAY = date(2026, 11, 24)
DEC_WEEKLIES = tuple(date(2026, 12, day) for day in (1, 8, 15, 22, 29))
MARCH, NEXT_DECEMBER = date(2027, 3, 30), date(2027, 12, 28)
EXPIRIES = {
    "NIFTY": (*DEC_WEEKLIES, MARCH, NEXT_DECEMBER),
    "BANKNIFTY": (DEC_WEEKLIES[-1], MARCH),
    "SENSEX": (date(2026, 11, 26), date(2026, 12, 31)),
}
FUTURES = {"NIFTY": (DEC_WEEKLIES[-1], MARCH), "BANKNIFTY": (DEC_WEEKLIES[-1], MARCH), "SENSEX": ()}
LOTS = {"NIFTY": 65, "BANKNIFTY": 30, "SENSEX": 20}
LATER_NIFTY_LOT = 75
"""NIFTY contracts from March 2027 on have another lot."""
STRIKES = {
    "NIFTY": tuple(Decimal(strike) for strike in range(23_800, 25_001, 50)),
    "BANKNIFTY": tuple(Decimal(strike) for strike in range(56_000, 58_001, 100)),
    "SENSEX": tuple(Decimal(strike) for strike in range(79_000, 81_001, 100)),
}
ALIASES = {"nifty50": "NIFTY", "bnf": "BANKNIFTY"}
TICK = Decimal("0.05")


NIFTY_INDEX = Instrument(
    token=256_265,
    exchange_token=1001,
    tradingsymbol="NIFTY 50",
    exchange=Exchange.NSE,
    name="NIFTY 50",
    kind=InstrumentKind.INDEX,
    segment="INDICES",
)
"""The only index that this market's dump lists."""


def lot_of(underlying: str, expiry: date) -> int:
    """The lot of a contract."""
    return LATER_NIFTY_LOT if underlying == "NIFTY" and expiry >= MARCH else LOTS[underlying]


def _instruments() -> list[Instrument]:
    made: list[Instrument] = []

    def add(underlying: str, expiry: date, kind: InstrumentKind, strike: Decimal | None) -> None:
        exchange = Exchange.BFO if underlying == "SENSEX" else Exchange.NFO
        tail = kind.value if strike is None else f"{strike}{kind.value}"
        made.append(
            Instrument(
                token=len(made) + 1,
                exchange_token=len(made) + 1,
                tradingsymbol=f"{underlying}{expiry:%y%b%d}{tail}".upper(),
                exchange=exchange,
                name=underlying,
                kind=kind,
                segment=f"{exchange}-OPT",
                expiry=expiry,
                strike=strike,
                tick_size=TICK,
                lot_size=lot_of(underlying, expiry),
            )
        )

    for underlying, expiries in EXPIRIES.items():
        for expiry in expiries:
            for strike in STRIKES[underlying]:
                add(underlying, expiry, InstrumentKind.CALL, strike)
                add(underlying, expiry, InstrumentKind.PUT, strike)
        for expiry in FUTURES[underlying]:
            add(underlying, expiry, InstrumentKind.FUTURE, None)
    return made


def quote(token: int, bid: str | None, ask: str | None, state: QuoteState = QuoteState.LIVE) -> Quote:
    """A quote with one level a side."""
    return Quote(
        token=token,
        state=state,
        bids=(DepthLevel(Decimal(bid), 650, 3),) if bid else (),
        asks=(DepthLevel(Decimal(ask), 650, 3),) if ask else (),
        age_s=0.2,
    )


class World:
    """Implements the resolver; its public attributes are what tests change."""

    def __init__(self) -> None:
        self.rows = _instruments()
        self.defaults = OrderDefaults()
        self.today_is = TODAY
        self.middle: Decimal | None = Decimal(24_400)
        self.default_quote: tuple[str | None, str | None] = ("151.20", "151.60")
        self.quotes: dict[int, Quote | None] = {}
        self._by_key = {row.key: row for row in self.rows}
        self.active = (strategy(1, "main"), strategy(3, "fly-0920"), strategy(5, "fly-exp"))
        call = self.option("NIFTY", DEC_WEEKLIES[0], Decimal(24_700), InstrumentKind.CALL)
        assert call is not None
        self.legs = {
            (1, 1): Leg(
                strategy=StrategyNumber(1),
                number=1,
                instrument=call.key,
                token=call.token,
                product=Product.NRML,
                holding=Holding(signed_quantity=65, average_price=Decimal(50)),
            )
        }
        self.records = {
            38: record(38, call.key, Side.SELL, "52.00", OrderState.OPEN),
            40: record(40, call.key, Side.BUY, "14.85", OrderState.UNKNOWN),
        }

    def today(self) -> date:
        return self.today_is

    def underlying(self, name: str) -> str | None:
        wanted = name.casefold()
        if wanted in ALIASES:
            return ALIASES[wanted]
        return wanted.upper() if wanted.upper() in EXPIRIES else None

    def underlyings(self) -> tuple[str, ...]:
        return tuple(EXPIRIES)

    def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        return label_expiries(EXPIRIES[underlying])

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        return STRIKES[underlying] if expiry in EXPIRIES[underlying] else ()

    def option(self, underlying: str, expiry: date, strike: Decimal, kind: InstrumentKind) -> Instrument | None:
        return self._find(underlying, expiry, strike, kind)

    def future(self, underlying: str, expiry: date) -> Instrument | None:
        return self._find(underlying, expiry, None, InstrumentKind.FUTURE)

    def _find(self, underlying: str, expiry: date, strike: Decimal | None, kind: InstrumentKind) -> Instrument | None:
        wanted = (underlying, expiry, strike, kind)
        return next((row for row in self.rows if (row.name, row.expiry, row.strike, row.kind) == wanted), None)

    def index(self, underlying: str) -> Instrument | None:
        return NIFTY_INDEX if underlying == "NIFTY" else None

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        return self._by_key.get(key)

    def at_the_money(self, underlying: str, expiry: date) -> Decimal | None:
        return self.middle

    def quote(self, token: int) -> Quote | None:
        return self.quotes[token] if token in self.quotes else quote(token, *self.default_quote)

    def order(self, number: OrderNumber) -> OrderRecord | None:
        return self.records.get(number)

    def working_orders(self) -> tuple[OrderNumber, ...]:
        return tuple(OrderNumber(number) for number in sorted(self.records, reverse=True))

    def strategies(self) -> tuple[Strategy, ...]:
        return self.active

    def leg(self, strategy: StrategyNumber, number: int) -> Leg | None:
        return self.legs.get((strategy, number))

    def open_legs(self, strategy: StrategyNumber) -> tuple[Leg, ...]:
        return tuple(
            leg for (owner, _), leg in sorted(self.legs.items()) if owner == strategy and leg.holding.signed_quantity
        )

    def places(self) -> tuple[str, ...]:
        return ("desk", "orders", "events", "doctor", "help")

    def forget_instruments(self) -> None:
        """As on a day whose dump lacks them."""
        self._by_key.clear()

    def set_state(self, state: QuoteState) -> None:
        """Give every instrument the same quote in another state."""
        self.quotes = {row.token: quote(row.token, *self.default_quote, state) for row in self.rows}


def strategy(number: int, name: str) -> Strategy:
    """An active strategy."""
    return Strategy(
        number=StrategyNumber(number), account=ACCOUNT, name=name, is_default=name == "main", created_at=NOW
    )


def record(number: int, key: InstrumentKey, side: Side, price: str, state: OrderState) -> OrderRecord:
    """A resting order of 130 units."""
    return OrderRecord(
        number=OrderNumber(number),
        intent_id=None,
        account=ACCOUNT,
        tag=OrderTag(f"WS{number}"),
        request=OrderRequest(instrument=key, side=side, quantity=130, order_type=OrderType.LIMIT, price=Decimal(price)),
        state=state,
        created_at=NOW,
        updated_at=NOW,
    )
