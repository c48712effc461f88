"""The sets of columns of the chain, walls, and the figures of its header."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from engine.core.views import ChainView
from engine.core.vocabulary import InstrumentKind, QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.unit.presenters.conftest import KEY
from workstation.formatting import ASCII, UNICODE
from workstation.presenters.chain import ChainRows
from workstation.presenters.chain_columns import (
    BUILD_UP_WORDS,
    PLANS,
    ColumnSet,
    ColumnWidths,
    build_up_sign,
    chain_layout,
    figures,
)
from workstation.presenters.chain_header import chain_statistics, figure_lines
from workstation.presenters.lines import text_of, width_of

ATM = 20


def model(view: ChainView, columns: ColumnSet, width: int = 87) -> ChainRows:
    """Rows of a set."""
    rows = ChainRows(UNICODE, 0.3)
    rows.columns = columns
    rows.accept(view, 0.0)
    rows.arrange(width, 0, len(view.strikes))
    return rows


def cells(rows: ChainRows, row: int) -> list[str]:
    """The words of a row, the ATM row's marks left out."""
    return text_of(rows.row(row)).replace("@", " ").split()


@pytest.mark.parametrize(
    ("columns", "width", "names", "mid"),
    [
        (ColumnSet.TRADE, 80, "open_interest delta", False),
        (ColumnSet.GREEKS, 80, "gamma theta vega", True),
        (ColumnSet.GREEKS, 87, "gamma theta vega delta", True),
        (ColumnSet.GREEKS, 127, "gamma theta vega delta last", False),
        (ColumnSet.INTEREST, 80, "open_interest change build_up", True),
        (ColumnSet.INTEREST, 87, "open_interest change build_up", False),
        (ColumnSet.INTEREST, 127, "volume open_interest change build_up delta last", False),
        (ColumnSet.VALUE, 80, "liquidity mispricing theoretical", True),
        (ColumnSet.VALUE, 87, "liquidity spread_percent mispricing theoretical", True),
        (ColumnSet.VALUE, 127, "liquidity spread_percent extrinsic mispricing theoretical", False),
    ],
)
def test_columns_of_a_set_by_width(columns: ColumnSet, width: int, names: str, mid: bool) -> None:
    """Each set has its core at 80 cells; bid and ask give way only where it would not fit, never in the trading set."""
    layout = chain_layout(width, ColumnWidths(), UNICODE, columns)
    assert " ".join(figure.name for figure in layout.outer) == names
    assert layout.mid is mid
    assert layout.middle_end + layout.side_width + 1 + layout.margin == width


@pytest.mark.parametrize("columns", ColumnSet)
@pytest.mark.parametrize("width", [40, 60, 80, 87, 100, 127, 167, 240])
def test_every_line_of_every_set_is_as_wide_as_the_pane(view: ChainView, columns: ColumnSet, width: int) -> None:
    """Headings and rows; no figure is ever too long for its column where the pane has room at all."""
    rows = model(view, columns, width)
    assert width_of(rows.heading()) == width
    lines = [rows.row(row, cursor=InstrumentKind.PUT, active=True) for row in range(len(rows))]
    assert all(width_of(line) == width for line in lines)
    assert not any("#" in text_of(line) for line in lines)


def test_plans_name_columns_that_there_are() -> None:
    """Every set has a plan, its order is of the same columns as its importance, and each of them exists."""
    known = figures(UNICODE, 7)
    assert set(PLANS) == set(ColumnSet)
    for plan in PLANS.values():
        assert set(plan.outside_in) == set(plan.importance) <= set(known)


def test_the_key_goes_round() -> None:
    """Four sets, then the first again; backwards too."""
    seen = [ColumnSet.TRADE.after(step) for step in range(5)]
    assert seen == [ColumnSet.TRADE, ColumnSet.GREEKS, ColumnSet.INTEREST, ColumnSet.VALUE, ColumnSet.TRADE]
    assert ColumnSet.TRADE.after(-1) is ColumnSet.VALUE


def test_greeks_are_the_columns_own(view: ChainView) -> None:
    """Gamma, theta, vega and delta of the row, calls outside in, and the mid of bid and ask."""
    row, calls = ATM + 3, view.calls
    shown = cells(model(view, ColumnSet.GREEKS), row)
    assert shown[:5] == [
        f"{calls.gamma[row]:.4f}".replace("0.", ".", 1),
        f"{calls.theta[row]:+.1f}",
        f"{calls.vega[row]:.2f}",
        f"{calls.delta[row]:+.2f}".replace("0.", ".", 1),
        f"{(calls.bid[row] + calls.ask[row]) / 2:.2f}",
    ]


def test_values_are_the_columns_own(view: ChainView) -> None:
    """Liquidity, spread, extrinsic value, mispricing and theoretical value; bid and ask where there is room."""
    row, calls = ATM + 5, view.calls
    shown = cells(model(view, ColumnSet.VALUE, 127), row)
    assert shown[:7] == [
        f"{calls.liquidity[row]:.0f}",
        f"{calls.spread_percent[row]:.2f}",
        f"{calls.extrinsic[row]:.2f}",
        f"{calls.mispricing[row]:+.2f}",
        f"{calls.theoretical[row]:.2f}",
        f"{calls.bid[row]:.2f}",
        f"{calls.ask[row]:.2f}",
    ]


def test_build_up_is_a_short_word(view: ChainView) -> None:
    """Each class has its sign; unknown, and a class of a newer engine, are unknown."""
    assert [build_up_sign(code, UNICODE) for code in range(7)] == ["—", "N", "LB", "SB", "LU", "SC", "—"]
    assert len(BUILD_UP_WORDS) == 6
    rows = model(view, ColumnSet.INTEREST)
    row = int(np.flatnonzero(view.calls.build_up == 3)[0])
    assert cells(rows, row)[2] == "SB"


def test_build_up_codes_match_the_kernel() -> None:
    """The words here stand at the places of the kernel's own codes."""
    from engine.analytics.open_interest import BuildUp

    words = [name.lower().replace("_", " ").replace("build up", "build-up") for name in BuildUp.__members__]
    assert tuple(words) == BUILD_UP_WORDS
    assert [code.value for code in BuildUp] == list(range(6))


def test_walls_are_marked_on_their_strikes(view: ChainView) -> None:
    """Ranked, calls and puts told apart, nowhere else, and only in the set that is about open interest."""
    rows = model(view, ColumnSet.INTEREST)
    walls = {**{s: f"C{n}" for n, s in enumerate(view.header.call_walls, 1)}}
    walls |= {s: f"P{n}" for n, s in enumerate(view.header.put_walls, 1)}
    assert len(walls) == 6
    for row in range(len(rows)):
        marked = [word for word in cells(rows, row) if word[0] in "CP" and word[1:].isdecimal()]
        assert marked == ([walls[view.strikes[row]]] if view.strikes[row] in walls else [])
    assert "Wall" in text_of(rows.heading())
    other = model(view, ColumnSet.VALUE)
    assert "IV" in text_of(other.heading())
    assert "C1" not in "".join(text_of(other.row(row)) for row in range(len(other)))


def test_a_strike_can_be_a_wall_of_both(view: ChainView) -> None:
    """Both marks fit into the cell."""
    strike = float(view.strikes[ATM])
    header = msgspec.structs.replace(view.header, call_walls=(strike,), put_walls=(strike,))
    assert "C1P1" in cells(model(msgspec.structs.replace(view, header=header), ColumnSet.INTEREST), ATM)


def test_a_wall_that_moves_repaints_both_strikes(view: ChainView) -> None:
    """The strike that was one and the strike that is one; other sets do not care."""
    nothing = np.empty(0, dtype=np.intp)
    before = msgspec.structs.replace(view, changed=nothing)
    header = msgspec.structs.replace(view.header, call_walls=(float(view.strikes[30]),), put_walls=())
    after = msgspec.structs.replace(before, header=header)
    changed = model(before, ColumnSet.INTEREST).accept(after, 1.0)
    assert changed is not None
    assert {30, *(int(np.flatnonzero(view.strikes == wall)[0]) for wall in view.header.call_walls)} <= changed
    assert model(before, ColumnSet.VALUE).accept(after, 1.0) == set()


def test_the_mid_keeps_the_state_of_its_quote(engine: FakeEngineClient) -> None:
    """A stale mid is marked and dimmed, a one-sided one is unknown: never a number that looks alive."""
    chain = engine.chains[KEY]
    chain.states[ATM + 3, InstrumentKind.CALL] = QuoteState.STALE
    chain.states[ATM + 4, InstrumentKind.CALL] = QuoteState.ONE_SIDED
    view = engine.chain(KEY)
    assert view is not None
    rows = model(view, ColumnSet.GREEKS)
    stale = rows.row(ATM + 3)
    mid = f"{(view.calls.bid[ATM + 3] + view.calls.ask[ATM + 3]) / 2:.2f}"
    assert f"{mid}~" in text_of(stale)
    assert next(tone for text, tone in stale if mid in text) == "old"
    assert "—|" in text_of(rows.row(ATM + 4))


def test_unknown_figures_of_a_set_are_unknown(engine: FakeEngineClient) -> None:
    """A contract of which nothing is known shows no figure in any set."""
    engine.chains[KEY].states[ATM + 3, InstrumentKind.CALL] = QuoteState.UNKNOWN
    view = engine.chain(KEY)
    assert view is not None
    for columns in ColumnSet:
        line = text_of(model(view, columns, 127).row(ATM + 3))
        side = line[: line.index("24,550")]
        assert not any(sign.isdigit() for sign in side), (columns, side)
        assert side.count("—") >= 5


def test_a_wide_header_says_more(view: ChainView) -> None:
    """Move, grade, risk reversal, gamma exposure and walls come after everything that stood there before."""
    text = text_of(chain_statistics(view, 220, UNICODE))
    assert text.index("lot 65") < text.index("1sd ±397") < text.index("smile A") < text.index("RR -1.8")
    assert "GEX +421.00 cr" in text
    assert "walls 24,900 24,100" in text
    assert "1sd" not in text_of(chain_statistics(view, 87, UNICODE))


def test_the_reason_comes_before_what_else_could_be_said(view: ChainView) -> None:
    """On a wide line a long reason keeps its room."""
    header = msgspec.structs.replace(view.header, reason="no spot: none received")
    text = text_of(chain_statistics(msgspec.structs.replace(view, header=header), 167, UNICODE))
    assert "no spot: none received" in text


def test_every_figure_can_be_read(view: ChainView) -> None:
    """The text behind the key: all figures of the header by name, options left out of the exposure, and the reasons."""
    header = msgspec.structs.replace(
        view.header, smile_grade="C", smile_reason="5 strikes", gamma_unknown=3, reason="no spot: none received"
    )
    lines = figure_lines(msgspec.structs.replace(view, header=header), 76, UNICODE)
    assert all(width_of(line) <= 76 for line in lines)
    text = " ".join(" ".join(text_of(line) for line in lines).split())
    for words in (
        "spot 24,381.05 index",
        "forward 24,406.7 parity A",
        "expected move ±317 (1.30%)",
        "one sigma ±397",
        "max pain 24,350",
        "smile C",
        "risk reversal -1.82",
        "butterfly +0.41",
        "call walls 24,900 24,600 24,700",
        "put walls 24,100 23,900 24,200",
        "GEX +421.00 crp, 3 options left out",
        "no spot: none received",
        "smile: 5 strikes",
    ):
        assert words in text, words


def test_a_header_of_nothing_has_no_figures(engine: FakeEngineClient) -> None:
    """Unknown is the unknown sign, in the line and in the text; only the lot is known."""
    engine.set_quote_state(QuoteState.UNKNOWN)
    view = engine.chain(KEY)
    assert view is not None
    rows = [text_of(line) for line in figure_lines(view, 76, ASCII)]
    values = [row[16:] for row in rows if row[1:4].strip() and not row.startswith((" lot", " smile:", " no "))]
    figures_only = [value.replace("25-delta", "").replace("1%", "") for value in values]
    assert not any(sign.isdigit() for value in figures_only for sign in value)
    assert any("no price of any strike yet" in row for row in rows)
