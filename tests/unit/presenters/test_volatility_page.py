"""The volatility screen as lines: where panes stand, what is old, and why something is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from engine.core.vocabulary import QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import START
from tests.unit.presenters.conftest import KEY
from workstation.formatting import ASCII, UNICODE, Glyphs
from workstation.presenters.lines import text_of, width_of
from workstation.presenters.seen import Seen
from workstation.presenters.volatility_page import (
    MINUTES,
    PANES,
    VolatilityChoice,
    VolatilityPicture,
    shows_all,
    volatility_page,
    why_sentences,
)

EVERYTHING = ("1 Smile", "2 Rich and cheap", "3 Expiries", "4 History, futures", "5 Minutes")


@pytest.fixture
async def picture(engine: FakeEngineClient) -> VolatilityPicture:
    """Everything is known and new."""
    view = engine.chain(KEY)
    assert view is not None
    return VolatilityPicture(
        key=KEY,
        label="w0",
        header=view.header,
        feed=QuoteState.LIVE,
        smile=Seen(value=await engine.smile(KEY), age_s=0.4),
        volatility=Seen(value=await engine.volatility("NIFTY"), age_s=0.4),
        series=Seen(value=await engine.series(KEY, START - timedelta(hours=6), START), age_s=0.4),
    )


def page(
    picture: VolatilityPicture,
    choice: VolatilityChoice | None = None,
    *,
    width: int = 120,
    height: int = 32,
    glyphs: Glyphs = UNICODE,
) -> str:
    """The page as one text."""
    lines = volatility_page(picture, choice or VolatilityChoice(), width, height, glyphs, simulated=False)
    assert len(lines) == height
    assert all(width_of(line) == width for line in lines)
    return "\n".join(text_of(line) for line in lines)


@pytest.mark.parametrize(
    ("width", "height"),
    [(40, 6), (80, 20), (119, 40), (120, 25), (120, 26), (120, 32), (160, 41), (200, 56), (300, 90)],
)
@pytest.mark.parametrize("zoomed", [False, True])
@pytest.mark.parametrize("pane", PANES)
async def test_the_page_fills_its_room_at_every_size(
    picture: VolatilityPicture, width: int, height: int, zoomed: bool, pane: int
) -> None:
    """Exactly so many lines, each exactly as wide; all panes or the chosen one."""
    text = page(picture, VolatilityChoice(pane=pane, zoomed=zoomed), width=width, height=height)
    if shows_all(width, height) and not zoomed:
        assert all(name in text for name in EVERYTHING)


async def test_wide_screens_show_everything_at_once(picture: VolatilityPicture) -> None:
    """One figure of each pane is in sight at 120 by 36."""
    text = " ".join(page(picture).split())
    for words in ("smile A good", "forward 24,406.7", "rich", "cheap", "26JAN w1", "rank 31", "ATM IV 12.79"):
        assert words in text, words


async def test_narrow_screens_show_the_chosen_pane(picture: VolatilityPicture) -> None:
    """At 80 cells one pane, and the digits of the others."""
    text = page(picture, VolatilityChoice(pane=4), width=80, height=20)
    assert "yang-zhang" in text
    assert "residual" not in text
    assert all(name in text for name in EVERYTHING)


async def test_a_plain_terminal_gets_plain_signs(picture: VolatilityPicture) -> None:
    """No sign beyond ASCII, in any pane."""
    assert page(picture, glyphs=ASCII).isascii()
    assert all(page(picture, VolatilityChoice(pane=pane, zoomed=True), glyphs=ASCII).isascii() for pane in PANES)


async def test_an_old_answer_is_marked_with_its_age(picture: VolatilityPicture) -> None:
    """The figures stay, and the pane's title says how old they are and why there are no newer ones."""
    old = Seen(value=picture.smile.value, age_s=12.0, trouble="the engine is busy")
    text = page(replace(picture, smile=old))
    line = next(line for line in text.splitlines() if "1 Smile" in line)
    assert "~ 12s old" in line
    assert "the engine is busy" in line
    assert "residual 0.09" in text
    assert "old" not in next(line for line in text.splitlines() if "5 Minutes" in line)
    assert "old" not in page(picture)


async def test_an_answer_that_never_came_is_unknown(picture: VolatilityPicture) -> None:
    """The reason where the pane would be, no figure, and the other panes as ever."""
    text = page(replace(picture, volatility=Seen(trouble="no such underlying")))
    assert text.count("— no such underlying") == 2
    assert "rank" not in text
    assert "residual 0.09" in text
    waiting = page(replace(picture, series=Seen()))
    assert "— the engine has been asked" in waiting


async def test_old_prices_are_said_in_the_title(picture: VolatilityPicture) -> None:
    """What was fitted on prices that do not live is not shown as if they did."""
    text = page(replace(picture, feed=QuoteState.CLOSED))
    assert "prices CLOSED" in text.splitlines()[0]
    assert "prices" not in page(picture).splitlines()[0]


async def test_before_a_chain_there_are_words(picture: VolatilityPicture) -> None:
    """No key, or no prices of it yet: said in the title."""
    empty = VolatilityPicture(
        key=None, label="", header=None, feed=QuoteState.UNKNOWN, smile=Seen(), volatility=Seen(), series=Seen()
    )
    assert "no chain yet" in page(empty)
    assert "the socket is closed" in page(replace(empty, trouble="the socket is closed"))
    assert "waiting for the first prices" in page(replace(picture, header=None))


async def test_the_minutes_say_which_series_and_indicator(picture: VolatilityPicture) -> None:
    """Both stand in the pane's title, or first where the pane is alone."""
    line = next(line for line in page(picture).splitlines() if "5 Minutes" in line)
    assert "ATM IV" in line
    assert "no indicator" in line
    alone = page(picture, VolatilityChoice(pane=MINUTES, zoomed=True)).splitlines()
    assert "ATM IV   no indicator" in alone[2]


async def test_every_reason_can_be_read(engine: FakeEngineClient, picture: VolatilityPicture) -> None:
    """Chain, fit, history, estimators, troubles, ages and prices; each sentence ends once and stands once."""
    engine.stored_days = 3
    assert picture.header is not None
    assert picture.smile.value is not None
    known = replace(
        picture,
        header=msgspec.structs.replace(picture.header, reason="no spot: none received", smile_reason="5 strikes"),
        smile=Seen(
            value=msgspec.structs.replace(picture.smile.value, reason="5 strikes.; no spot: none received; thin wings"),
            age_s=9.0,
        ),
        volatility=Seen(value=await engine.volatility("NIFTY"), age_s=0.1, trouble="the engine is busy."),
        series=Seen(),
        feed=QuoteState.STALE,
    )
    sentences = why_sentences(known)
    assert sentences == [
        "Chain: no spot: none received.",
        "Smile grade A: 5 strikes.",
        "Smile: the answer is 9.0s old and a newer one has not come.",
        "Volatility: the engine is busy.",
        "Minutes: the engine has been asked and has not answered yet.",
        "Smile: thin wings.",
        "Volatility: rank and percentile need 20 stored days, 3 are there.",
        "Volatility: yang-zhang: it needs 20 stored sessions.",
        *(
            f"Volatility: cone of {window}: 4 stored days are needed."
            for window in ("1 hour", "2 hours", "1 session", "2 sessions")
        ),
        "Prices are STALE: figures are of the last ones that came.",
    ]


async def test_nothing_missing_is_said_too(picture: VolatilityPicture) -> None:
    """With every figure known the key still answers."""
    whole = picture.volatility.value
    assert whole is not None
    known = msgspec.structs.replace(whole, realised=whole.realised[:1])
    assert why_sentences(replace(picture, volatility=Seen(value=known, age_s=0.1))) == [
        "Nothing is missing: every figure of this screen is known and new."
    ]
