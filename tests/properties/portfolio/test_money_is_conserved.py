"""Money is neither made nor lost by averaging, closing, crossing, ordering or moving."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import StrategyNumber
from engine.core.ledger import LedgerEntry
from engine.core.money import ZERO
from engine.core.positions import BrokerPosition, Holding
from engine.core.strategies import M2mCandle, Strategy
from engine.core.vocabulary import Product
from engine.portfolio.book import PortfolioBook
from engine.portfolio.candles import merge
from engine.portfolio.comparison import compare_positions
from tests.unit.portfolio.fakes import ACCOUNT, OPENING, fill, key

DUST = Decimal("1e-15")
"""An average may have no end; 28 digits leave less than this."""
ZONE = ZoneInfo("Asia/Kolkata")

prices = st.integers(1, 2_000_000).map(lambda ticks: ticks * Decimal("0.05"))
quantities = st.integers(-1800, 1800).filter(bool)
fills = st.lists(st.tuples(quantities, prices), max_size=25)


def holding_of(movements: list[tuple[int, Decimal]]) -> Holding:
    """Replay fills."""
    holding = Holding()
    for quantity, price in movements:
        holding = holding.after_fill(quantity, price)
    return holding


def cash_of(movements: list[tuple[int, Decimal]]) -> Decimal:
    """− paid, + received."""
    return sum((-quantity * price for quantity, price in movements), ZERO)


@given(fills, prices)
def test_profit_is_cash_plus_liquidation(movements: list[tuple[int, Decimal]], mark: Decimal) -> None:
    """Realised + unrealised at any mark equals all cash flows + the value of closing there."""
    holding = holding_of(movements)
    expected = cash_of(movements) + holding.signed_quantity * mark
    assert abs(holding.profit(mark) - expected) < DUST
    assert holding.sold_value - holding.bought_value == cash_of(movements)


@given(fills, prices)
def test_a_flat_holding_has_exactly_its_cash(movements: list[tuple[int, Decimal]], price: Decimal) -> None:
    """Closed out, the realised profit is the cash to the last digit, and no average remains."""
    open_quantity = sum(quantity for quantity, _ in movements)
    closed = movements + ([(-open_quantity, price)] if open_quantity else [])
    holding = holding_of(closed)
    assert (holding.signed_quantity, holding.average_price) == (0, ZERO)
    assert holding.realised == cash_of(closed)


@given(fills, prices, st.randoms(use_true_random=False))
def test_the_order_of_fills_does_not_matter_when_flat(
    movements: list[tuple[int, Decimal]], price: Decimal, random: object
) -> None:
    """Any order of the same fills realises the same money."""
    open_quantity = sum(quantity for quantity, _ in movements)
    closed = movements + ([(-open_quantity, price)] if open_quantity else [])
    shuffled = list(closed)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random of Hypothesis's own making
    assert holding_of(shuffled).realised == holding_of(closed).realised


@given(fills)
def test_an_average_lies_between_the_prices_paid(movements: list[tuple[int, Decimal]]) -> None:
    """No average is above the dearest or below the cheapest fill."""
    holding = holding_of(movements)
    if holding.signed_quantity:
        known = [price for _, price in movements]
        assert min(known) - DUST <= holding.average_price <= max(known) + DUST


class Movement(msgspec.Struct, frozen=True):
    """A fill of a strategy, or a transfer to the next one."""

    strategy: int
    token: int
    quantity: int
    price: Decimal
    is_transfer: bool
    at_mark: bool
    """A transfer at ``price``, rather than at the leg's average."""


movements_of_a_day = st.lists(
    st.builds(
        Movement,
        strategy=st.integers(1, 3),
        token=st.integers(1, 3),
        quantity=quantities,
        price=prices,
        is_transfer=st.booleans(),
        at_mark=st.booleans(),
    ),
    max_size=40,
)


def play(movements: list[Movement]) -> tuple[PortfolioBook, list[LedgerEntry]]:
    """A book of three strategies after fills and transfers, with its ledger."""
    book = empty_book()
    entries: list[LedgerEntry] = []

    def write(entry: LedgerEntry) -> None:
        written = msgspec.structs.replace(entry, sequence=len(entries) + 1)
        entries.append(written)
        book.apply(written)

    for step, movement in enumerate(movements):
        trade = fill(step + 1, movement.quantity, str(movement.price), token=movement.token, strategy=movement.strategy)
        entry = book.entry_for(trade)
        if not movement.is_transfer:
            write(entry)
            continue
        leg = book.leg(StrategyNumber(movement.strategy), entry.leg)
        if leg is None or not leg.holding.signed_quantity:
            continue
        quantity = min(abs(leg.holding.signed_quantity), abs(movement.quantity))
        goal = StrategyNumber(movement.strategy % 3 + 1)
        price = movement.price if movement.at_mark else leg.holding.average_price
        for side in book.transfer_entries(leg, goal, quantity, price=price, at=OPENING, reference=f"transfer-{step}"):
            write(side)
    return book, entries


def empty_book() -> PortfolioBook:
    """Three strategies, nothing held."""
    book = PortfolioBook(ACCOUNT, day=date(2026, 11, 24), zone=ZONE)
    for number in (1, 2, 3):
        book.put_strategy(
            Strategy(
                number=StrategyNumber(number),
                account=ACCOUNT,
                name="main" if number == 1 else f"book-{number}",
                is_default=number == 1,
                created_at=OPENING,
            )
        )
    return book


@given(movements_of_a_day)
def test_the_ledger_reconciles_to_the_net(movements: list[Movement]) -> None:
    """After any fills and transfers the strategies add up to the sum of fills, and the broker finds no mismatch."""
    book, entries = play(movements)
    broker: dict[int, int] = {}
    for entry in entries:
        if entry.source == "trade":
            broker[entry.token] = broker.get(entry.token, 0) + entry.signed_quantity
    positions = [
        BrokerPosition(
            instrument=key(token),
            token=token,
            product=Product.NRML,
            signed_quantity=quantity,
            average_price=ZERO,
            overnight_quantity=0,
            multiplier=Decimal(1),
            value=ZERO,
        )
        for token, quantity in broker.items()
    ]
    assert compare_positions(book.net(), positions) == ()


@given(movements_of_a_day, prices)
def test_moving_makes_no_money(movements: list[Movement], mark: Decimal) -> None:
    """The account's profit at any mark is that of its fills alone, however they were moved around."""
    book, entries = play(movements)
    cash = sum((-entry.signed_quantity * entry.price for entry in entries if entry.source == "trade"), ZERO)
    held = sum(book.net().values())
    profit = sum(
        (
            standing.leg.holding.profit(mark)
            for strategy in book.strategies()
            for standing in book.standings(strategy.number)
        ),
        ZERO,
    )
    assert abs(profit - (cash + held * mark)) < DUST


@given(movements_of_a_day, quantities, prices, prices)
def test_a_transfer_at_a_mark_realises_it_in_one_and_begins_with_it_in_the_other(
    movements: list[Movement], held: int, average: Decimal, mark: Decimal
) -> None:
    """What the giver has gained is realised, the taker starts at the mark, and the account's money is as before."""
    book, entries = play(movements)
    token = 9  # nobody holds it yet
    book.apply(
        msgspec.structs.replace(
            book.entry_for(fill(100, held, str(average), token=token, strategy=1)), sequence=len(entries) + 1
        )
    )
    leg = next(leg for leg in book.open_legs(StrategyNumber(1)) if leg.token == token)
    before = {number: profit_of(book, number, mark) for number in (1, 2)}
    sides = book.transfer_entries(leg, StrategyNumber(2), abs(held), price=mark, at=OPENING, reference="at-mark")
    for place, side in enumerate(sides):
        book.apply(msgspec.structs.replace(side, sequence=len(entries) + 2 + place))
    given_leg = book.leg(StrategyNumber(1), leg.number)
    taken_leg = next(leg for leg in book.open_legs(StrategyNumber(2)) if leg.token == token)
    assert given_leg is not None
    assert (given_leg.holding.signed_quantity, given_leg.holding.realised) == (0, held * (mark - average))
    assert (taken_leg.holding.signed_quantity, taken_leg.holding.average_price) == (held, mark)
    assert taken_leg.holding.realised == ZERO
    for number in (1, 2):
        assert abs(profit_of(book, number, mark) - before[number]) < DUST


def profit_of(book: PortfolioBook, number: int, mark: Decimal) -> Decimal:
    """A strategy's money when everything is worth ``mark``."""
    return sum((one.leg.holding.profit(mark) for one in book.standings(StrategyNumber(number))), ZERO)


@given(movements_of_a_day)
def test_a_replay_gives_the_same_book(movements: list[Movement]) -> None:
    """Starting again from the ledger ends in the same legs with the same numbers."""
    book, entries = play(movements)
    again = empty_book()
    for entry in entries:
        again.apply(entry)
    for number in (1, 2, 3):
        strategy = StrategyNumber(number)
        assert again.standings(strategy) == book.standings(strategy)
        numbers = [standing.leg.number for standing in book.standings(strategy)]
        assert all(first < second for first, second in pairwise(numbers))


@given(movements_of_a_day, st.integers(0, 40))
def test_the_day_starts_with_what_was_held(movements: list[Movement], cut: int) -> None:
    """Whatever came before the exchange's midnight is the day's start, on the way and on a replay alike."""
    book, entries = play(movements)
    tomorrow = date(2026, 11, 25)
    moved = [
        entry if place < cut else msgspec.structs.replace(entry, at=entry.at + timedelta(days=1))
        for place, entry in enumerate(entries)
    ]
    live, replayed = empty_book(), PortfolioBook(ACCOUNT, day=tomorrow, zone=ZONE)
    for strategy in book.strategies():
        replayed.put_strategy(strategy)
    for entry in moved:
        live.apply(entry)
        replayed.apply(entry)
    live.start_day(tomorrow)
    for strategy in book.strategies():
        assert live.standings(strategy.number) == replayed.standings(strategy.number)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30), st.sets(st.integers(1, 29)))
def test_a_candle_is_the_same_however_it_is_cut(values: list[int], cuts: set[int]) -> None:
    """Parts saved one after another merge into the candle of all samples."""

    def candle(part: list[int]) -> M2mCandle:
        first = Decimal(part[0])
        made = M2mCandle(
            strategy=StrategyNumber(1), minute=OPENING, open=first, high=first, low=first, close=first, samples=1
        )
        for value in part[1:]:
            made = made.with_sample(Decimal(value))
        return made

    edges = [0, *sorted(cut for cut in cuts if cut < len(values)), len(values)]
    parts = [candle(values[start:end]) for start, end in pairwise(edges)]
    whole = parts[0]
    for part in parts[1:]:
        whole = merge(whole, part)
    assert whole == candle(values)
    expected = (values[0], max(values), min(values), values[-1])
    assert (whole.open, whole.high, whole.low, whole.close) == tuple(Decimal(value) for value in expected)
