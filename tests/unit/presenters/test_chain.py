"""The chain as lines: columns by width, marks, tones, and what must be painted again."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from engine.core.views import ChainKey, ChainView
from engine.core.vocabulary import InstrumentKind, QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.unit.presenters.conftest import KEY
from workstation.formatting import ASCII, UNICODE
from workstation.presenters.chain import ChainRows
from workstation.presenters.chain_columns import ColumnWidths, chain_layout
from workstation.presenters.chain_header import chain_statistics, chain_title
from workstation.presenters.lines import Line, text_of, width_of
from workstation.presenters.names import iv_input, iv_reason, state_of

ATM = 20


def model(view: ChainView, width: int = 87) -> ChainRows:
    """Rows ready to be read."""
    rows = ChainRows(UNICODE, 0.3)
    rows.accept(view, 0.0)
    rows.arrange(width, 0, len(view.strikes))
    return rows


def fresh(engine: FakeEngineClient, since: int = 0, key: ChainKey = KEY) -> ChainView:
    """The chain now."""
    found = engine.chain(key, since)
    assert found is not None
    return found


def tone_of(line: Line, text: str) -> str:
    """The tone of the first piece with this text."""
    return next(tone for piece, tone in line if text in piece)


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (60, ""),
        (80, "open_interest delta"),
        (87, "open_interest change delta"),
        (127, "open_interest change vega theta delta last"),
        (167, "volume open_interest change gamma vega theta delta spread last"),
    ],
)
def test_columns_by_width(width: int, names: str) -> None:
    """80 columns hold open interest and delta; wider ones the rest, and the layout never exceeds the pane."""
    layout = chain_layout(width, ColumnWidths(), UNICODE)
    assert " ".join(figure.name for figure in layout.outer) == names
    assert layout.middle_end + layout.side_width + 1 + layout.margin == max(width, 55)


@pytest.mark.parametrize("width", [80, 87, 100, 127, 167, 240])
def test_every_line_is_as_wide_as_the_pane(view: ChainView, width: int) -> None:
    """Headings, rows and the last line."""
    rows = model(view, width)
    assert width_of(rows.heading()) == width
    assert all(width_of(rows.row(row)) == width for row in range(len(rows)))
    assert width_of(rows.footer(0, 10)) == width


def test_headings_stand_over_their_columns(view: ChainView) -> None:
    """Bid and ask headings end where the figures end, on both sides."""
    rows = model(view)
    heading, line = text_of(rows.heading()), text_of(rows.row(ATM + 3))
    bid = f"{view.calls.bid[ATM + 3]:.2f}"
    assert heading.index("Bid") + 3 == line.index(bid) + len(bid)
    put_ask = f"{view.puts.ask[ATM + 3]:.2f}"
    assert heading.rindex("Ask") + 3 == line.rindex(put_ask) + len(put_ask)
    assert heading.index("Strike") + 6 == line.index("24,550") + 6


def test_bid_stands_left_of_ask_on_both_sides(view: ChainView) -> None:
    """The one order that must never be mirrored."""
    text = text_of(model(view).row(ATM))
    places = [
        text.index(f"{value:.2f}")
        for value in (view.calls.bid[ATM], view.calls.ask[ATM], view.puts.bid[ATM], view.puts.ask[ATM])
    ]
    assert places == sorted(places)


def test_atm_row_is_marked_and_raised(view: ChainView) -> None:
    """@ at both edges and its own tone; no other row has it."""
    rows = model(view)
    assert rows.atm_row == ATM + 1 or rows.atm_row == ATM
    line = rows.row(rows.atm_row or 0)
    assert text_of(line).startswith("@")
    assert text_of(line).rstrip().endswith("@")
    assert all("atm" in tone.split() for _, tone in line)
    assert "@" not in text_of(rows.row(ATM + 5))


@pytest.mark.parametrize(("kind", "sign", "other"), [(InstrumentKind.CALL, "<", ">"), (InstrumentKind.PUT, ">", "<")])
def test_the_cursor_is_a_sign_and_not_only_a_colour(
    view: ChainView, kind: InstrumentKind, sign: str, other: str
) -> None:
    """< for calls, > for puts, also without focus; with focus the strike is inverse."""
    rows = model(view)
    idle, active = rows.row(ATM + 3, cursor=kind), rows.row(ATM + 3, cursor=kind, active=True)
    for line in (idle, active):
        assert sign in text_of(line)
        assert other not in text_of(line)
    assert "cursor" in tone_of(active, "24,550")
    assert "cursor" not in tone_of(idle, "24,550")


@pytest.mark.parametrize(
    ("state", "mark"),
    [
        (QuoteState.LIVE, " "),
        (QuoteState.STALE, "~"),
        (QuoteState.FROZEN, "="),
        (QuoteState.CROSSED, "x"),
        (QuoteState.CLOSED, "="),
        (QuoteState.ONE_SIDED, "|"),
    ],
)
def test_state_marks_between_bid_and_ask(engine: FakeEngineClient, state: QuoteState, mark: str) -> None:
    """Each state has its sign right after the bid."""
    engine.chains[KEY].states[ATM + 3, InstrumentKind.CALL] = state
    view = fresh(engine)
    text = text_of(model(view).row(ATM + 3))
    bid = "—" if state is QuoteState.ONE_SIDED else f"{view.calls.bid[ATM + 3]:.2f}"
    place = text.index(bid) + len(bid)
    assert text[place] == mark


def test_an_unknown_contract_has_no_figures(engine: FakeEngineClient) -> None:
    """Dashes on its side, and the other side still stands."""
    engine.chains[KEY].states[ATM + 3, InstrumentKind.PUT] = QuoteState.UNKNOWN
    view = fresh(engine)
    text = text_of(model(view).row(ATM + 3))
    assert text.count("—") == 5
    assert f"{view.calls.bid[ATM + 3]:.2f}" in text


def test_a_state_code_of_no_state_is_never_live() -> None:
    """A newer engine's code is unknown here."""
    assert state_of(99) is QuoteState.UNKNOWN


def test_positions_in_lots_and_units(view: ChainView) -> None:
    """Own lots signed, a star for resting orders; u shows units and the column grows for them."""
    rows = model(view)
    own = next(row for row in range(len(rows)) if view.strikes[row] == 24_700)
    assert "*+1" in text_of(rows.row(own))
    short = next(row for row in range(len(rows)) if view.strikes[row] == 24_350)
    assert text_of(rows.row(short)).count("-10 ") == 2
    rows.as_units = True
    rows.arrange(87, 0, len(rows))
    assert text_of(rows.row(short)).count("-650") == 2


def test_in_the_money_halves_are_dimmed(view: ChainView) -> None:
    """Calls below the forward, puts above it."""
    rows = model(view)
    low, high = rows.row(ATM - 6), rows.row(ATM + 6)
    assert tone_of(low, f"{view.calls.bid[ATM - 6]:.2f}") == "itm"
    assert "itm" not in tone_of(low, f"{view.puts.bid[ATM - 6]:.2f}")
    assert "itm" not in tone_of(high, f"{view.calls.bid[ATM + 6]:.2f}")
    assert tone_of(high, f"{view.puts.bid[ATM + 6]:.2f}") == "itm"


def test_wide_prices_take_their_room(engine: FakeEngineClient) -> None:
    """A price of five digits widens the columns; less important ones leave, no digit does."""
    engine.chains[KEY].shifts[ATM + 3] = 23_000.0
    view = fresh(engine)
    rows = model(view)
    assert rows.layout.widths.price == 8
    assert f"{view.calls.bid[ATM + 3]:.2f}" in text_of(rows.row(ATM + 3))
    assert "#" not in text_of(rows.row(ATM + 3))
    assert width_of(rows.row(ATM + 3)) == 87


def test_only_changed_rows_are_named(engine: FakeEngineClient) -> None:
    """A tick on two strikes is two rows; nothing changed is none; another chain is everything."""
    rows = model(fresh(engine))
    sequence = fresh(engine).sequence
    engine.shift(KEY, 3, 1.0)
    engine.shift(KEY, 7, -1.0)
    assert rows.accept(fresh(engine, sequence), 1.0) == {3, 7}
    assert rows.accept(fresh(engine, engine.chains[KEY].sequence), 1.1) == set()
    other = next(key for key in engine.chains if key != KEY)
    engine.watched[other] = 1
    assert rows.accept(fresh(engine, key=other), 1.2) is None


def test_a_state_that_flips_is_painted_even_if_not_named(engine: FakeEngineClient) -> None:
    """Stale by age, a new position or a new order repaint their row without a tick."""
    rows = model(fresh(engine))
    engine.chains[KEY].states[5, InstrumentKind.CALL] = QuoteState.STALE
    view = fresh(engine, engine.chains[KEY].sequence)
    assert len(view.changed) == 0
    assert rows.accept(view, 1.0) == {5}


def test_a_moved_forward_repaints_the_rows_it_passed(engine: FakeEngineClient) -> None:
    """Dimming and the ATM row follow; far rows are left alone."""
    rows = model(fresh(engine))
    engine.chains[KEY].spot += 60
    view = msgspec.structs.replace(fresh(engine), changed=np.empty(0, dtype=np.intp))
    changed = rows.accept(view, 1.0)
    assert changed is not None
    assert 0 < len(changed) < 8


def test_flashes_fade(engine: FakeEngineClient) -> None:
    """A higher bid is up for 300 ms, then its row is painted once more and is plain."""
    rows = model(fresh(engine))
    row = ATM + 4
    engine.shift(KEY, row, 1.0)
    rows.accept(fresh(engine, 1), 10.0)
    bid = f"{fresh(engine).calls.bid[row]:.2f}"
    assert tone_of(rows.row(row), bid) == "up"
    assert rows.fade(10.2) == set()
    assert rows.fade(10.31) == {row}
    assert rows.fade(10.4) == set()
    assert tone_of(rows.row(row), bid) == ""
    engine.shift(KEY, row, -2.0)
    rows.accept(fresh(engine, 2), 11.0)
    assert tone_of(rows.row(row), f"{fresh(engine).calls.bid[row]:.2f}") == "down"


def test_a_price_that_appears_does_not_flash(engine: FakeEngineClient) -> None:
    """From unknown to known is no move."""
    engine.chains[KEY].states[ATM + 4, InstrumentKind.CALL] = QuoteState.UNKNOWN
    rows = model(fresh(engine))
    del engine.chains[KEY].states[ATM + 4, InstrumentKind.CALL]
    rows.accept(fresh(engine, 0), 1.0)
    bid = f"{fresh(engine).calls.bid[ATM + 4]:.2f}"
    assert tone_of(rows.row(ATM + 4), bid) == ""


def test_own_contracts_outside_the_window_are_named(view: ChainView) -> None:
    """With an arrow, nearest first, whole ones only; and how much of the chain is alive."""
    text = text_of(model(view).footer(14, 12))
    assert "↓ 24,700 CE *+1" in text
    assert text.index("24,700") < text.index("24,950")
    assert "12 of 41 strikes, live 82" in text
    narrow = model(view, 60)
    assert "live 82" in text_of(narrow.footer(14, 12))


def test_one_volatility_for_both_sides(view: ChainView) -> None:
    """The out-of-the-money one; the other side's where it is unknown."""
    puts = msgspec.structs.replace(view.puts, implied_volatility=np.full(len(view.strikes), np.nan))
    rows = model(msgspec.structs.replace(view, puts=puts))
    expected = f"{view.calls.implied_volatility[ATM - 6] * 100:.1f}"
    assert expected in text_of(rows.row(ATM - 6)).split()


def test_rows_outside_the_chain_are_blank(view: ChainView) -> None:
    """A resize between two frames asks for rows that are not there."""
    rows = model(view)
    assert text_of(rows.row(-1)).strip() == ""
    assert text_of(rows.row(10_000)).strip() == ""
    rows.clear()
    assert len(rows) == 0
    assert text_of(rows.row(0)).strip() == ""
    assert text_of(rows.footer(0, 5)).strip() == ""


def test_a_chain_without_strikes(view: ChainView) -> None:
    """Empty arrays are a chain too."""
    nothing = {name: getattr(view.calls, name)[:0] for name in view.calls.__struct_fields__}
    columns = msgspec.structs.replace(view.calls, **nothing)
    empty = msgspec.structs.replace(
        view, strikes=view.strikes[:0], calls=columns, puts=columns, changed=view.changed[:0]
    )
    rows = model(empty)
    assert rows.atm_row is None
    assert len(rows) == 0


def test_titles_and_figures(view: ChainView) -> None:
    """Underlying, label, expiry, time left, forward with its grade, straddle, both PCRs by name, pain, volatility."""
    long = " ".join(text_of(part) for part in chain_title(view.header, UNICODE, short=False))
    assert "NIFTY w0 19 JAN" in long
    assert "5d 4h 27m to expiry" in long
    assert "parity forward" in long
    short = " ".join(text_of(part) for part in chain_title(view.header, UNICODE, short=True))
    assert "fwd 24,406.7 A" in short
    text = text_of(chain_statistics(view, 127, UNICODE))
    for words in (
        "spot 24,381.05",
        "fwd 24,406.7 parity A",
        "straddle 317.45 ±1.30%",
        "PCR oi .94",
        "PCR vol 1.07",
        "pain 24,350",
        "IV 12.2",
        "lot 65",
    ):
        assert words in text


def test_an_unknown_forward_says_why(engine: FakeEngineClient) -> None:
    """Dashes and the reason; nothing is computed from nothing."""
    engine.set_quote_state(QuoteState.UNKNOWN)
    view = fresh(engine)
    text = text_of(chain_statistics(view, 120, ASCII))
    assert "fwd n/a" in text
    assert "no price of any strike yet" in text
    assert "no forward" in " ".join(text_of(part) for part in chain_title(view.header, UNICODE, short=False))


def test_reasons_of_missing_volatilities_match_the_kernel() -> None:
    """The words here cover exactly the codes of the kernel that writes them."""
    from engine.analytics.implied_volatility import IvReason
    from workstation.presenters.names import IV_REASONS

    assert len(IV_REASONS) == len(IvReason)
    assert [reason.value for reason in IvReason] == list(range(len(IV_REASONS)))
    assert iv_reason(IvReason.BELOW_INTRINSIC) == "at or below intrinsic value"
    assert iv_reason(200) == "unknown reason"


def test_words_for_the_price_behind_a_volatility_match_the_kernel() -> None:
    """Each code of the kernel has its word, and what is not known has none."""
    from engine.analytics.chain import PriceInput

    assert [iv_input(code) for code in PriceInput] == ["", *(code.name.lower() for code in PriceInput if code)]
    assert iv_input(200) == ""
