"""Smile, dear and cheap strikes, expiries, history and futures as lines."""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import pytest

from engine.core.analysis import ExpiryVolatility, SmileView, VolatilityView
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import START
from tests.unit.presenters.conftest import KEY
from workstation.formatting import ASCII, UNICODE
from workstation.presenters.lines import Line, text_of, width_of
from workstation.presenters.smile import mispriced, mispricing_lines, smile_figures, smile_plot
from workstation.presenters.term_structure import term_lines
from workstation.presenters.volatility import history_lines, volatility_reasons


@pytest.fixture
async def smile(engine: FakeEngineClient) -> SmileView:
    """The first expiry's."""
    return await engine.smile(KEY)


@pytest.fixture
async def standing(engine: FakeEngineClient) -> VolatilityView:
    """Of the first underlying."""
    return await engine.volatility("NIFTY")


def joined(lines: list[Line]) -> str:
    """All lines as one text."""
    return "\n".join(text_of(line) for line in lines)


def blank(view: SmileView, reason: str = "0 strikes have a usable volatility") -> SmileView:
    """A smile of which nothing is known."""
    nothing = np.full(len(view.strikes), np.nan)
    return msgspec.structs.replace(
        view,
        forward=None,
        atm_volatility=None,
        quoted=nothing,
        fitted=nothing,
        theoretical=nothing,
        call_mispricing=nothing,
        put_mispricing=nothing,
        grade="none",
        rms_residual=None,
        risk_reversal=None,
        butterfly=None,
        reason=reason,
    )


@pytest.mark.parametrize(("width", "height"), [(80, 18), (72, 13), (124, 27), (30, 6), (10, 4), (80, 1)])
async def test_the_picture_fills_its_room_exactly(smile: SmileView, width: int, height: int) -> None:
    """As many lines as asked for, none wider than asked for, at every size."""
    lines = smile_plot(smile, width, height, UNICODE)
    assert len(lines) == height
    assert all(width_of(line) <= max(width, 13) for line in lines)


async def test_the_picture_has_quotes_curve_and_forward(smile: SmileView) -> None:
    """One sign per quoted strike, a curve, the forward's line through every row, and its figure below."""
    lines = smile_plot(smile, 100, 20, ASCII)
    body = [text_of(line) for line in lines[:-2]]
    quotes = sum(row[6:].count("o") for row in body)
    assert 30 <= quotes <= len(smile.strikes)
    assert any("*" in row for row in body)
    column = max(range(7, 100), key=lambda place: sum(row[place : place + 1] == "|" for row in body))
    assert sum(row[column] in "|o*" for row in body) == len(body)
    assert "forward 24,406.7" in text_of(lines[-1])
    assert joined(lines).isascii()


async def test_the_lowest_quote_is_lowest(smile: SmileView) -> None:
    """The quote of the least volatility stands on the lowest row that has quotes, below the wings."""
    lines = [text_of(line) for line in smile_plot(smile, 100, 20, ASCII)[:-2]]
    rows = [row for row, text in enumerate(lines) if "o" in text]
    least = int(np.nanargmin(smile.quoted))
    share = (smile.strikes[least] - smile.strikes[0]) / (smile.strikes[-1] - smile.strikes[0])
    assert abs(lines[rows[-1]].index("o") - (6 + share * 93)) <= 3


async def test_far_wings_give_way_to_the_middle(smile: SmileView) -> None:
    """With fewer cells than strikes, those around the forward are drawn."""
    text = joined(smile_plot(smile, 30, 12, ASCII))
    assert "23,400" not in text
    assert "24,4" in text or "24,250" in text or "24,500" in text


async def test_wings_of_twice_the_volatility_are_left_out(smile: SmileView) -> None:
    """What lies further out would press the middle flat; a few strikes beside the forward always stay."""
    steep = 0.122 + 3.0 * np.abs(np.log(smile.strikes / 24_406.7))
    wide = msgspec.structs.replace(smile, quoted=steep, fitted=steep)
    rows = [text_of(line) for line in smile_plot(wide, 120, 20, ASCII)]
    low = 24_406.7 * np.exp(-0.122 / 3.0)
    kept = int(((smile.strikes > low) & (smile.strikes < 24_406.7 * np.exp(0.122 / 3.0))).sum())
    assert sum(row[6:].count("o") for row in rows[:-2]) == kept < len(smile.strikes)
    cliff = msgspec.structs.replace(wide, quoted=10 * steep, fitted=10 * steep)
    assert sum(text_of(line)[6:].count("o") for line in smile_plot(cliff, 120, 20, ASCII)[:-2]) >= 11


async def test_no_fit_is_said_and_quotes_still_stand(smile: SmileView) -> None:
    """Without a curve the quotes are drawn alone and the legend says so."""
    lines = smile_plot(msgspec.structs.replace(smile, fitted=np.full(len(smile.strikes), np.nan)), 80, 18, ASCII)
    assert "no fit" in text_of(lines[-1])
    assert "o" in joined(lines[:-2])
    assert "*" not in joined(lines[:-2])


async def test_nothing_known_is_words_and_not_a_picture(smile: SmileView) -> None:
    """The reason stands where the picture would."""
    lines = smile_plot(blank(smile), 80, 18, UNICODE)
    assert len(lines) == 18
    assert "no strike has a volatility: 0 strikes have a usable volatility" in joined(lines)
    assert dict(smile_figures(blank(smile), UNICODE)) == {
        "smile": "no fit",
        "ATM": "—",
        "residual": "—",
        "RR 25": "—",
        "fly 25": "—",
    }
    assert all(text == "—" for _, text in smile_figures(None, UNICODE))


async def test_figures_are_the_views_own(smile: SmileView) -> None:
    """Grade in letter and word; residual, risk reversal and butterfly in points of volatility with their signs."""
    assert smile_figures(smile, UNICODE) == [
        ("smile", "A good"),
        ("ATM", "12.2"),
        ("residual", "0.09"),
        ("RR 25", "-1.82"),
        ("fly 25", "+0.41"),
    ]


def by_hand() -> SmileView:
    """Five strikes around 100, with mispricings that can be read off."""
    return SmileView(
        key=KEY,
        at=START,
        forward=100.0,
        atm_volatility=0.2,
        strikes=np.array([80.0, 90.0, 100.0, 110.0, 120.0]),
        quoted=np.array([0.24, 0.22, 0.20, 0.21, np.nan]),
        nse=np.full(5, np.nan),
        kite=np.full(5, np.nan),
        fitted=np.array([0.23, 0.22, 0.20, 0.20, 0.21]),
        theoretical=np.array([0.23, 0.225, 0.20, 0.19, 0.21]),
        call_mispricing=np.array([9.0, 9.0, 0.0, 0.75, np.nan]),
        put_mispricing=np.array([0.30, -1.25, -9.0, -9.0, -9.0]),
        grade="B",
        rms_residual=0.004,
        risk_reversal=None,
        butterfly=None,
        reason="few strikes",
    )


def test_dear_and_cheap_are_judged_out_of_the_money() -> None:
    """Puts below the forward, calls from it on; furthest first; nothing known or no difference is on neither side."""
    rich, cheap = mispriced(by_hand(), 10)
    assert [(item.strike, item.by) for item in rich] == [(110.0, 0.75), (80.0, 0.30)]
    assert [(item.strike, item.by) for item in cheap] == [(90.0, -1.25)]
    assert [item.strike for item in mispriced(by_hand(), 1)[0]] == [110.0]


def test_the_table_shows_both_sides_and_stresses_the_judged_one() -> None:
    """IV, theoretical volatility, and both mispricings; bold is the out-of-the-money one."""
    lines = mispricing_lines(by_hand(), 60, 6, UNICODE)
    assert len(lines) == 6
    texts = [" ".join(text_of(line).split()) for line in lines[:4]]
    assert texts == [
        "strike IV theor CE pts PE pts",
        "rich 110 21.0 19.0 +0.75 -9.00",
        "80 24.0 23.0 +9.00 +0.30",
        "cheap 90 22.0 22.5 +9.00 -1.25",
    ]
    assert [text.strip() for text, tone in lines[1] if tone == "bold"] == ["110", "+0.75"]
    assert [text.strip() for text, tone in lines[3] if tone == "bold"] == ["90", "-1.25"]


def test_a_short_table_shares_its_rows() -> None:
    """Dear and cheap both have a row before either has two."""
    texts = [" ".join(text_of(line).split()) for line in mispricing_lines(by_hand(), 60, 3, UNICODE)]
    assert texts[1].startswith("rich 110")
    assert texts[2].startswith("cheap 90")


async def test_without_a_forward_nothing_is_dear(smile: SmileView) -> None:
    """Not zero but unknown, with the reason."""
    assert mispriced(blank(smile), 5) == ([], [])
    assert "— 0 strikes have a usable volatility" in joined(mispricing_lines(blank(smile), 80, 6, UNICODE))
    assert "—" in joined(mispricing_lines(None, 80, 6, UNICODE))


async def test_expiries_stand_in_their_order(standing: VolatilityView) -> None:
    """Expiry, label, days, volatility and forward volatility; the first one has no forward volatility."""
    lines = term_lines(standing, 48, 9, UNICODE)
    texts = [" ".join(text_of(line).split()) for line in lines]
    assert texts[0] == "expiry days ATM fwd"
    assert texts[1] == "19JAN w0 5.2 12.2 —"
    assert texts[2] == "26JAN w1 12.2 12.7 13.1"
    assert texts[6] == "no calendar breach between these expiries"


async def test_bars_are_as_long_as_volatilities_are_high(standing: VolatilityView) -> None:
    """Where there is room, the highest expiry's bar is the longest, and half of it is half as long."""
    terms = (
        standing.terms[0],
        msgspec.structs.replace(standing.terms[1], atm_volatility=2 * (standing.terms[0].atm_volatility or 0)),
    )
    lines = term_lines(msgspec.structs.replace(standing, terms=terms), 76, 6, UNICODE)
    bars = [text_of(line).count("=") for line in lines[1:3]]
    assert abs(bars[1] - 2 * bars[0]) <= 1
    assert bars[0] > 10


async def test_calendar_breaches_are_words_and_never_give_way(standing: VolatilityView) -> None:
    """In a low pane expiries are left out, and counted, before a breach is."""
    words = "the smiles of 19JAN and 26JAN cross below 23,900"
    lines = term_lines(msgspec.structs.replace(standing, calendar_breaches=(words,)), 60, 5, UNICODE)
    text = joined(lines)
    assert words in text
    assert "3 more expiries" in text
    assert "no calendar breach" not in text
    assert any(tone == "attention" for line in lines for _, tone in line)


async def test_too_few_expiries_are_not_called_free_of_breaches(standing: VolatilityView) -> None:
    """What could not be checked is not said to be well."""
    lone = ExpiryVolatility(expiry=date(2027, 1, 19), labels=(), days=5.2, atm_volatility=None, forward_volatility=None)
    text = joined(term_lines(msgspec.structs.replace(standing, terms=(lone, standing.terms[0])), 70, 6, UNICODE))
    assert "calendar not checked" in text
    assert "no expiry is listed" in joined(term_lines(msgspec.structs.replace(standing, terms=()), 70, 6, UNICODE))
    assert "—" in joined(term_lines(None, 70, 6, UNICODE))


async def test_standing_history_and_futures(standing: VolatilityView) -> None:
    """Rank and percentile never without the days behind them; each estimator with its window; the futures."""
    text = " ".join(joined(history_lines(standing, 48, 12, UNICODE)).split())
    for words in (
        "IV 12.2 rank 31 percentile 28 of 84 days",
        "IV-RV +1.82",
        "basis +140.35 (+6.5% a year)",
        "build-up long build-up",
        "rolled 34%",
        "close 10.4 today, minutes",
        "yang-zhang — 20 sessions",
    ):
        assert words in text, words


async def test_a_short_history_says_how_short(engine: FakeEngineClient) -> None:
    """No rank, the days that there are, and the reason to read."""
    engine.stored_days = 1
    view = await engine.volatility("NIFTY")
    text = " ".join(joined(history_lines(view, 48, 12, UNICODE)).split())
    assert "rank — percentile — of 1 day" in text
    assert volatility_reasons(view) == [
        "rank and percentile need 20 stored days, 1 are there",
        "yang-zhang: it needs 20 stored sessions",
        *(f"cone of {band.window}: 4 stored days are needed" for band in view.cone),
    ]
    assert len(view.cone) == 4
    assert volatility_reasons(None) == []


async def test_estimates_that_have_no_room_are_counted(standing: VolatilityView) -> None:
    """What is cut off is said; a long window is clipped with a mark."""
    lines = history_lines(standing, 80, 6, UNICODE)
    assert "3 more estimates" in joined(lines)
    long = msgspec.structs.replace(standing.realised[0], window="19 Nov, 9 bars of 5 minutes of the forward")
    text = joined(history_lines(msgspec.structs.replace(standing, realised=(long,)), 48, 12, UNICODE))
    assert "19 Nov, 9 bars" in text
    assert "…" in text


async def test_the_cone_stands_below_the_estimators(standing: VolatilityView) -> None:
    """Each length with its spread and the latest window, whose day is named; quartiles only where there is room."""
    texts = [" ".join(text_of(line).split()) for line in history_lines(standing, 76, 14, UNICODE)]
    place = texts.index("cone to 14JAN low q1 median q3 high latest")
    assert texts[place + 1] == "1 hour 4.4 6.9 9.4 11.9 14.4 10.7"
    assert texts[place + 4] == "2 sessions 8.5 9.4 10.3 11.2 12.1 10.8"
    assert texts[place - 1].startswith("yang-zhang")
    narrow = [" ".join(text_of(line).split()) for line in history_lines(standing, 48, 15, UNICODE)]
    assert "cone to 14JAN low median high latest" in narrow
    assert "1 hour 4.4 9.4 14.4 10.7" in narrow
    assert all(width_of(line) <= 48 for line in history_lines(standing, 48, 15, UNICODE))


async def test_estimators_give_way_to_the_cone_and_then_the_cone_does(standing: VolatilityView) -> None:
    """Whatever is out of sight is named, at every height, and nothing is drawn beyond the pane."""
    for height in range(3, 16):
        lines = history_lines(standing, 76, height, UNICODE)
        text = joined(lines)
        assert len(lines) == height
        hidden = 5 - sum(name in text for name in ("close", "parkinson", "garman", "rogers", "yang-zhang"))
        assert (f"{hidden} more estimates" in text) is (hidden > 0 and height > 3), height
        assert ("2 sessions" in text) is (height >= 11), height
        assert ("the cone" in text) is (3 < height < 11), height


async def test_a_band_without_a_spread_is_unknown(engine: FakeEngineClient) -> None:
    """Only the latest window is known: dashes, never 0; with nothing stored there is no cone at all."""
    engine.stored_days = 1
    view = await engine.volatility("NIFTY")
    assert "1 session — — — — — 10.7" in " ".join(joined(history_lines(view, 76, 14, UNICODE)).split())
    assert "cone" not in joined(history_lines(msgspec.structs.replace(view, cone=()), 76, 9, UNICODE))


async def test_a_low_pane_keeps_the_standing(standing: VolatilityView) -> None:
    """The estimators give way first; nothing known is the unknown sign and not a number."""
    low = history_lines(standing, 80, 2, UNICODE)
    assert len(low) == 2
    assert "rank 31" in joined(low)
    unknown = joined(history_lines(None, 80, 6, UNICODE))
    assert "rank —" in unknown
    assert not any(sign.isdigit() for sign in unknown)
