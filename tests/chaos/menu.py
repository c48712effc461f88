"""What is drawn beside plain orders: triggers, conversions, baskets, exits, worked orders, and orders of others.

Every kind comes once before the most frequent comes again, so that the shortest run meets all of them.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.exchange import TICK, Contract, Row, on_tick
from tests.chaos.intents import Intent, Kind, Lines, asked_content
from tests.chaos.orders import OrderBook

SHARES = {
    Kind.TRIGGER: 5,
    Kind.CONVERSION: 3,
    Kind.EXIT: 2,
    Kind.BASKET: 2,
    Kind.ABOVE_FREEZE: 1,
    Kind.ICEBERG: 1,
    Kind.TWAP: 1,
    Kind.CHASE: 1,
    Kind.AT: 1,
    Kind.WHEN: 1,
    Kind.OUTSIDE: 1,
}
"""Of each deck, which deals every kind once, and then the others."""
THROUGH, CHASE_TICKS = 0.10, 40
FREEZE_UNITS = 1800
"""Of NIFTY on the day of the run; a wrong one shows as a plan that is none."""
NEAR, FAR = 0.012, 0.30
NEAR_SHARE, OCO_SHARE = 0.4, 0.4
TWAP_S, AT_IN_S, WINDOW_S = 4.0, 2.0, 30.0
FAILURES = ("unwind", "hold", "chase")


class Menu:
    """Draws for all accounts.

    Args:
        seed: Of the run; keys begin with it.
        chance: Source of choices.
        contracts: What is traded.
    """

    def __init__(self, seed: int, chance: random.Random, contracts: list[Contract]) -> None:
        self._seed = seed
        self._random = chance
        self._contracts = contracts
        self._deck: list[Kind] = []
        self._count = 0

    def kind(self) -> Kind:
        """What comes next."""
        if not self._deck:
            others = [kind for kind, count in SHARES.items() for _ in range(count - 1)]
            first = list(SHARES)
            self._random.shuffle(others)
            self._random.shuffle(first)
            self._deck = others + first
        return self._deck.pop()

    def draw(self, kind: Kind, book: OrderBook, *, market_now: float, strategies: list[Row]) -> Intent | None:
        """An intent, or ``None`` when the account has nothing for it now.

        Args:
            kind: What.
            book: Of the account.
            market_now: The exchange's time in epoch seconds.
            strategies: As the program lists them.
        """
        quoted = [item for item in self._contracts if item.is_quoted]
        if not quoted:
            self._deck.insert(0, kind)
            return None
        self._count += 1
        key = f"chaos-{self._seed}-{kind.replace(', ', '-').replace(' ', '-')}-{self._count}"
        intent = self._made(kind, key, book, quoted, market_now=market_now, strategies=strategies)
        if intent is None:
            self._deck.insert(0, kind)  # when more is held
        return intent

    def _made(
        self,
        kind: Kind,
        key: str,
        book: OrderBook,
        quoted: list[Contract],
        *,
        market_now: float,
        strategies: list[Row],
    ) -> Intent | None:
        contract = self._random.choice(quoted)
        match kind:
            case Kind.TRIGGER:
                request = self.trigger(contract)
                command = {"type": "place_gtt", "request": request}
                return Intent(key, kind, book.account, command, contents={asked_content(request)})
            case Kind.CONVERSION:
                return self._conversion(key, book)
            case Kind.EXIT:
                return self._exit(key, book, strategies)
            case Kind.BASKET:
                return self._basket(key, book, quoted)
            case Kind.AT | Kind.WHEN:
                return self._waiting(key, kind, book, contract, market_now)
            case _:
                return self._worked(key, kind, book, contract)

    def trigger(self, contract: Contract) -> Row:
        """What a trigger is to say; some fire soon, most never."""
        middle = (contract.bid + contract.ask) / 2
        distance = NEAR if self._random.random() < NEAR_SHARE else FAR * (1 + self._random.random())
        side = self._random.choice(["BUY", "SELL"])
        factors = [1 - distance, 1 + distance]
        if is_single := self._random.random() >= OCO_SHARE:
            factors = [self._random.choice(factors)]
        orders = []
        for factor in factors:
            level = on_tick(middle * factor)
            price = float(level) + (1 if side == "BUY" else -1) * self._random.randint(2, 20) * TICK
            orders.append({"trigger_price": level, "side": side, "quantity": contract.lot, "price": on_tick(price)})
        return {
            "instrument": _instrument(contract),
            "kind": "single" if is_single else "two-leg",
            "orders": orders,
        }

    def contract_named(self, symbol: str) -> Contract | None:
        """A contract of the run, if it has quotes."""
        return next((item for item in self._contracts if item.symbol == symbol and item.is_quoted), None)

    # ---- parts

    def _conversion(self, key: str, book: OrderBook) -> Intent | None:
        """A lot or two of the day's units in one product into the other."""
        lots = {contract.symbol: contract.lot for contract in self._contracts}
        fitting = []
        for row in book.rows:
            units = int(row["quantity"])
            today = int(row["day_buy_quantity" if units > 0 else "day_sell_quantity"])
            most = min(abs(units), today) // lots.get(row["tradingsymbol"], abs(units) + 1)
            if most:
                fitting.append((row, most))
        if not fitting:
            return None
        row, most = self._random.choice(fitting)
        old = row["product"]
        command = {
            "type": "convert_position",
            "instrument": {"exchange": row["exchange"], "tradingsymbol": row["tradingsymbol"]},
            "side": "BUY" if int(row["quantity"]) > 0 else "SELL",
            "quantity": min(most, self._random.randint(1, 2)) * lots[row["tradingsymbol"]],
            "from_product": old,
            "to_product": "MIS" if old == "NRML" else "NRML",
        }
        return Intent(key, Kind.CONVERSION, book.account, command)

    def _exit(self, key: str, book: OrderBook, strategies: list[Row]) -> Intent | None:
        """The account's largest leg, or half of it; now and then everything of a strategy."""
        legs = [
            (abs(int(value["leg"]["holding"]["signed_quantity"])), value["leg"])
            for strategy in strategies
            if strategy["strategy"]["account"] == book.account
            for value in strategy["legs"]
        ]
        nothing: tuple[int, Row] = (0, {})
        units, leg = max(legs, key=lambda pair: pair[0], default=nothing)
        if not units:
            return None
        target: Row = {"scope": "leg", "strategy": leg["strategy"], "leg": leg["number"]}
        if self._random.random() < 0.25:
            target = {"scope": "strategy", "strategy": leg["strategy"]}
        command = {
            "type": "exit_positions",
            "target": target,
            "percent": self._random.choice([50, 100, 100]),
            "manner": self._random.choice(["normal", "normal", "now"]),
            "allow_net_increase": True,
        }
        return Intent(key, Kind.EXIT, book.account, command)

    def _basket(self, key: str, book: OrderBook, quoted: list[Contract]) -> Intent:
        """Bought and sold legs of as many units; most fill, some stay behind."""
        pairs = self._random.randint(1, 2)
        chosen = self._random.sample(quoted, min(len(quoted), 2 * pairs))
        legs: list[Row] = []
        lines: Lines = {}
        for place, contract in enumerate(chosen):
            side = "BUY" if place % 2 == 0 else "SELL"
            away = self._random.random() < 0.15
            price = _price(contract, side, -0.2 * contract.bid if away else THROUGH)
            legs.append(_request(contract, side, contract.lot, price))
            lines[contract.symbol, "NRML", side] = contract.lot
        leg_plan = {"on_failure": self._random.choice(FAILURES), "naked_quantity_max": FREEZE_UNITS}
        command = {"type": "place_basket", "legs": legs, "leg_plan": leg_plan}
        return Intent(key, Kind.BASKET, book.account, command, lines)

    def _waiting(self, key: str, kind: Kind, book: OrderBook, contract: Contract, market_now: float) -> Intent:
        """An order at a moment to come, or on a condition that holds already."""
        side = self._random.choice(["BUY", "SELL"])
        price = _price(contract, side, THROUGH)
        sentence = f"{side.lower()} 1L nifty {contract.strike} {contract.kind.lower()} w0 @ {price}"
        moment = datetime.fromtimestamp(market_now, UTC) + timedelta(seconds=AT_IN_S)
        test = {"instrument": _instrument(contract), "comparison": ">=", "level": "0.05"}
        trigger: Row = {"type": "at", "at": moment.isoformat()} if kind is Kind.AT else {"type": "when", "test": test}
        command = {"type": "make_plan", "trigger": trigger, "sentence": sentence, "window_s": WINDOW_S}
        return Intent(key, kind, book.account, command, {(contract.symbol, "NRML", side): contract.lot})

    def _worked(self, key: str, kind: Kind, book: OrderBook, contract: Contract) -> Intent:
        """One order that is worked in pieces, or that follows the touch; or another program's large one."""
        held = book.held(contract.symbol)
        side = self._random.choice(["BUY", "SELL"]) if not held else "SELL" if held > 0 else "BUY"
        lots = self._random.randint(3, 6)
        manner: Row | None = None
        offset = THROUGH
        match kind:
            case Kind.ICEBERG:
                manner = {"type": "iceberg", "pieces": 3}
            case Kind.TWAP:
                manner = {"type": "twap", "duration_s": TWAP_S, "pieces": 3}
            case Kind.CHASE:
                manner, offset = {"type": "chase", "ticks": CHASE_TICKS}, 0.0
            case _:
                lots = FREEZE_UNITS // contract.lot + self._random.randint(1, 8)
                # Half of them rest, and are taken back.
                offset = THROUGH if self._random.random() < 0.5 else -0.15 * contract.bid
        request = _request(contract, side, lots * contract.lot, _price(contract, side, offset))
        command: Row = {"type": "place_order", "request": request}
        if manner is not None:
            command["manner"] = manner
        return Intent(key, kind, book.account, command, {(contract.symbol, "NRML", side): lots * contract.lot})


def _instrument(contract: Contract) -> Row:
    return {"exchange": contract.exchange, "tradingsymbol": contract.symbol}


def _price(contract: Contract, side: str, offset: float) -> str:
    """Through the other side's touch by ``offset`` rupees; 0 rests at the own side's touch."""
    if not offset:
        return on_tick(contract.bid if side == "BUY" else contract.ask)
    return on_tick(contract.ask + offset if side == "BUY" else contract.bid - offset)


def _request(contract: Contract, side: str, quantity: int, price: str) -> dict[str, Any]:
    return {
        "instrument": _instrument(contract),
        "side": side,
        "quantity": quantity,
        "order_type": "LIMIT",
        "product": "NRML",
        "price": price,
    }
