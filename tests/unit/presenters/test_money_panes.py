"""Strategies, orders, events, depth and ticket as lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.events import EventKind
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderState
from engine.core.quotes import DepthLevel, Quote
from engine.core.views import DeskView
from engine.core.vocabulary import InstrumentKind, Mark, OrderType, QuoteState, Severity, Side
from tests.kit.fake_engine import FakeEngineClient
from workstation.formatting import UNICODE
from workstation.presenters.depth import depth_lines, depth_title
from workstation.presenters.desk_state import DeskState, Selection
from workstation.presenters.draft import new_draft
from workstation.presenters.events import event_rows, unread_events
from workstation.presenters.lines import text_of, width_of
from workstation.presenters.orders import order_details, order_rows, orders_title, price_words
from workstation.presenters.settings import TerminalSettings
from workstation.presenters.strategies import (
    TOTAL,
    rows_wanted,
    strategies_heading,
    strategy_columns,
    strategy_rows,
)
from workstation.presenters.ticket import TicketSubject, draft_words, ticket_lines

Find = Callable[[InstrumentKey], Instrument | None]


@pytest.fixture
def find(engine: FakeEngineClient) -> Find:
    """Contracts known at once."""
    by_key = {instrument.key: instrument for instrument in engine.instruments.values()}
    return by_key.get


@pytest.mark.parametrize("width", [80, 120, 200])
def test_strategy_rows_fit_and_add_up(desk: DeskView, find: Find, width: int) -> None:
    """Rows as wide as the pane; the parts shown add up to the total shown, on every mark."""
    columns = strategy_columns(width)
    rows = strategy_rows(desk.strategies, columns, UNICODE, expanded=frozenset(), as_units=False, find=find)
    assert all(width_of(row.line) == width for row in rows)
    assert width_of(strategies_heading(Mark.LAST, columns, UNICODE)) == width
    figures = [
        [
            Decimal(word.replace(",", "").rstrip("p"))
            for word in text_of(row.line).split()
            if word[0] in "+-" and len(word) > 1
        ][:3]
        for row in rows
    ]
    for mark in range(3):
        assert sum(row[mark] for row in figures[:-1]) == figures[-1][mark]


def test_rows_are_identities(desk: DeskView, find: Find) -> None:
    """Strategy, leg and total are named, not numbered by place."""
    rows = strategy_rows(
        desk.strategies, strategy_columns(120), UNICODE, expanded=frozenset({2}), as_units=False, find=find
    )
    ids = [row.row_id for row in rows]
    assert ids[:3] == [("strategy", 1, 0), ("strategy", 2, 0), ("leg", 2, 1)]
    assert ids[-1] == TOTAL
    assert len(set(ids)) == len(ids)


def test_a_leg_without_a_mark_says_why(engine: FakeEngineClient, find: Find) -> None:
    """The leg shows a dash and its reason, the strategy and the total carry p."""
    place = engine.option("NIFTY", 0, 24_700, InstrumentKind.CALL).token
    found = engine._place_of(place)
    assert found is not None
    key, row, kind = found
    engine.chains[key].states[row, kind] = QuoteState.ONE_SIDED
    engine.touch()
    rows = strategy_rows(
        engine.desk().strategies, strategy_columns(160), UNICODE, expanded=frozenset({1}), as_units=False, find=find
    )
    strategy, leg, total = text_of(rows[0].line), text_of(rows[1].line), text_of(rows[-1].line)
    assert "0p" in strategy
    assert "—" in leg
    assert "no mid and no exit" in leg
    assert "p" in total


def test_an_unknown_contract_shows_its_symbol_and_units(desk: DeskView) -> None:
    """Until the dump has been asked, no lot is guessed."""
    rows = strategy_rows(
        desk.strategies, strategy_columns(160), UNICODE, expanded=frozenset({1}), as_units=False, find=lambda _: None
    )
    assert "+65u NIFTY27JAN1924700CE" in text_of(rows[1].line)


def test_unknown_greeks_make_the_total_unknown(desk: DeskView, find: Find) -> None:
    """A sum with an unknown part is unknown, not smaller."""
    first = msgspec.structs.replace(desk.strategies[0], delta=None)
    rows = strategy_rows(
        (first, *desk.strategies[1:]), strategy_columns(80), UNICODE, expanded=frozenset(), as_units=False, find=find
    )
    assert text_of(rows[0].line).split()[-2] == "—"
    assert text_of(rows[-1].line).split()[-2] == "—"


def test_net_stands_beside_gross_and_adds_up(desk: DeskView, find: Find) -> None:
    """From 90 cells on: gross less charges on the mark that is counted, part by part and in the total."""
    assert "Net" not in text_of(strategies_heading(Mark.LAST, strategy_columns(80), UNICODE))
    columns = strategy_columns(120)
    assert "Net mid" in text_of(strategies_heading(Mark.MID, columns, UNICODE))
    rows = strategy_rows(
        desk.strategies, columns, UNICODE, expanded=frozenset(), as_units=False, find=find, mark=Mark.EXIT
    )
    cells = [
        [word for word in text_of(row.line).split() if word[0] in "+-0" and any(map(str.isdigit, word))] for row in rows
    ]
    net = [Decimal(row[3].replace(",", "")) for row in cells]
    assert sum(net[:-1]) == net[-1]
    for value, shown in zip(desk.strategies, net, strict=False):
        assert value.charges_paid is not None
        # Each is rounded, and the smallest takes what the sum leaves over.
        assert abs(value.profit[Mark.EXIT] - value.charges_paid - shown) < 2


def test_charges_of_an_unfolded_strategy(desk: DeskView, find: Find) -> None:
    """Below its legs: what was paid, what leaving costs, what is left then; counted among the rows it wants."""
    rows = strategy_rows(
        desk.strategies, strategy_columns(160), UNICODE, expanded=frozenset({2}), as_units=False, find=find
    )
    assert len(rows) == rows_wanted(desk.strategies, frozenset({2})) + 1
    (line,) = [text_of(row.line) for row in rows if row.row_id == ("charges", 2, 0)]
    value = desk.strategies[1]
    assert value.charges_paid == value.exit_charges == 4 * Decimal("27.35")
    assert f"charges paid {value.charges_paid:,.2f}  to leave now {value.exit_charges:,.2f}  net then" in line


@pytest.mark.parametrize("width", [80, 200])
def test_charges_that_are_not_known_show_a_dash_and_why(desk: DeskView, find: Find, width: int) -> None:
    """No net in the row nor in the total, and the reason below the legs."""
    words = "Charges of GOLD are not known."
    first = msgspec.structs.replace(
        desk.strategies[0],
        charges_paid=None,
        exit_charges=None,
        charge_notes=(words,),
        net=dict.fromkeys(Mark, None),
        net_at_exit=None,
    )
    rows = strategy_rows(
        (first, *desk.strategies[1:]),
        strategy_columns(width),
        UNICODE,
        expanded=frozenset({1}),
        as_units=False,
        find=find,
    )
    (line,) = [text_of(row.line) for row in rows if row.row_id == ("charges", 1, 0)]
    assert "paid —  to leave now —  net then —" in line
    assert (words in line) or width == 80
    if width == 200:
        assert text_of(rows[0].line).split().count("—") == 1
        assert text_of(rows[-1].line).split().count("—") == 1


def test_no_strategies() -> None:
    """Nothing held is zero with zero legs, not unknown."""
    rows = strategy_rows((), strategy_columns(80), UNICODE, expanded=frozenset(), as_units=False, find=lambda _: None)
    assert text_of(rows[0].line).split() == ["all", "0", "0", "0", "0", "0", "0"]


def test_orders_are_sorted_by_urgency(engine: FakeEngineClient, find: Find) -> None:
    """Unknown on top with its age, then working, then the rest, newest first."""
    engine.lose(2)
    now = engine.clock.market_now() + timedelta(seconds=2.1)
    rows = order_rows(engine.order_list, 120, now, UNICODE, as_units=False, find=find)
    assert [row.row_id for row in rows] == [2, 3, 4, 1]
    first = text_of(rows[0].line)
    assert "UNKNOWN" in first
    assert "?/65" in first
    assert "2.1s, asking" in first
    assert all(width_of(row.line) == 120 for row in rows)
    assert "unknown 1" in " ".join(text_of(part) for part in orders_title(engine.order_list))


@pytest.mark.parametrize("state", list(OrderState))
def test_every_state_has_a_word(engine: FakeEngineClient, find: Find, state: OrderState) -> None:
    """No state is blank, and an unknown outcome never reads as failed."""
    order = msgspec.structs.replace(engine.order_list[1], state=state)
    text = text_of(order_rows([order], 120, engine.clock.market_now(), UNICODE, as_units=False, find=find)[0].line)
    word = {"TRIGGER_PENDING": "TRIGGER", "PRESUMED_ABSENT": "ABSENT?"}.get(state.value, state.value)
    assert word in text
    assert ("FAILED" in text) is False


def test_no_orders(find: Find, engine: FakeEngineClient) -> None:
    """No orders, no rows."""
    assert order_rows([], 120, engine.clock.market_now(), UNICODE, as_units=False, find=find) == []


def test_prices_of_orders(engine: FakeEngineClient) -> None:
    """A trigger has a T, a market order says so."""
    order = engine.order_list[1]
    stop = msgspec.structs.replace(order.request, order_type=OrderType.SL, trigger_price=Decimal("222.75"))
    market = msgspec.structs.replace(order.request, order_type=OrderType.MARKET, price=None)
    assert price_words(order, UNICODE) == "52.00"
    assert price_words(msgspec.structs.replace(order, request=stop), UNICODE) == "T222.75"
    assert price_words(msgspec.structs.replace(order, request=market), UNICODE) == "market"
    assert any("broker id" in line for line in order_details(order, UNICODE))


def test_unread_events_stand_on_top(engine: FakeEngineClient) -> None:
    """The ones that ask for attention, oldest first; below them everything else, newest first."""
    engine.add_event(EventKind.FEED, "replaced the connection", severity=Severity.DANGER, subject="feed")
    rows = event_rows(engine.event_list, 2, 60, UNICODE)
    assert [row.row_id for row in rows] == [3, 4, 2, 1]
    assert text_of(rows[0].line).startswith("!")
    assert text_of(rows[2].line).startswith(" ")
    assert all(width_of(row.line) == 60 for row in rows)
    assert [event.sequence for event in unread_events(engine.event_list, 1)] == [4]
    assert unread_events(engine.event_list, 0) == ()


def test_depth_levels() -> None:
    """Five levels, best first and bold; missing ones are unknown; counts of orders leave when there is no room."""
    bids = tuple(DepthLevel(Decimal(100 - n), 65 * (n + 1), n + 1) for n in range(3))
    asks = tuple(DepthLevel(Decimal(101 + n), 65 * (n + 1), n + 1) for n in range(5))
    quote = Quote(token=1, state=QuoteState.LIVE, bids=bids, asks=asks, age_s=0.1)
    lines = depth_lines(quote, 40, UNICODE)
    assert text_of(lines[0]).split() == ["65", "1", "100.00", "101.00", "1", "65"]
    assert text_of(lines[4]).split() == ["—", "—", "105.00", "5", "325"]
    assert text_of(depth_lines(quote, 20, UNICODE)[0]).split() == ["65", "100.00", "101.00", "65"]
    assert "LIVE 0.1s" in text_of(depth_title("24,400 CE", quote, UNICODE)[0])
    assert "no quote" in text_of(depth_title("24,400 CE", None, UNICODE)[0])
    assert len(depth_lines(None, 40, UNICODE)) == 1


def test_the_ticket_of_a_draft(engine: FakeEngineClient) -> None:
    """Side, size, price and where it comes from, state of the quote, what it costs, what refuses."""
    instrument = engine.option("NIFTY", 0, 24_400, InstrumentKind.CALL)
    draft = new_draft(instrument, Side.SELL, 10, engine.quote(instrument.token), product=TerminalSettings().product)
    preview = engine._preview(draft.command(None))
    subject = TicketSubject(draft=draft, preview=preview, now=engine.quote(instrument.token), selection=None)
    text = "\n".join(text_of(line) for line in ticket_lines(subject, None, 31, UNICODE))
    for words in (
        "SELL 10L NIFTY 19JAN 24400CE",
        "price   162.00 touch",
        "650 units NRML DAY",
        "LIVE 0.2s",
        "receive 1,05,300",
        "margin  11,80,000",
        "pass, 1 note",
    ):
        assert words in text
    assert draft_words(draft, UNICODE) == "SELL 10L NIFTY 19JAN 24400CE @ 162.00 touch"
    assert "charges 27.35" in text
    unknown = msgspec.structs.replace(
        subject, preview=msgspec.structs.replace(preview, charges=None, charge_notes=("Charges on MCX are not known.",))
    )
    without = "\n".join(text_of(line) for line in ticket_lines(unknown, None, 31, UNICODE))
    assert "charges —\nCharges on MCX are not known." in without
    waiting = msgspec.structs.replace(subject, preview=None)
    assert "being asked" in "\n".join(text_of(line) for line in ticket_lines(waiting, None, 31, UNICODE))


def test_the_ticket_without_a_draft(engine: FakeEngineClient) -> None:
    """The contract under the cursor, with the reason of what is unknown; nothing chosen is said."""
    engine.set_quote_state(QuoteState.UNKNOWN)
    view = engine.chain(next(iter(engine.watched)))
    assert view is not None
    selection = DeskState(Mark.LAST).selection(view)
    subject = TicketSubject(draft=None, preview=None, now=None, selection=selection)
    text = "\n".join(text_of(line) for line in ticket_lines(subject, view, 31, UNICODE))
    assert "NO QUOTE" in text
    assert "no price" in text
    nothing = msgspec.structs.replace(subject, selection=None)
    assert "nothing chosen" in text_of(ticket_lines(nothing, view, 31, UNICODE)[0])
    unlisted = Selection(token=0, underlying="NIFTY", strike=1.0, kind=InstrumentKind.CALL, row=0)
    absent = msgspec.structs.replace(subject, selection=unlisted)
    assert "no such contract" in text_of(ticket_lines(absent, view, 31, UNICODE)[1])
