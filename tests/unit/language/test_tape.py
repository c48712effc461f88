"""Sentences about the tape of a replay: what each means, what is wrong with others, and that words are read back."""

from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.commands import GoTo, MoveTape
from engine.core.replay import SPEED_MAX, SPEED_MIN
from engine.language.describe import describe
from engine.language.parser import interpret
from engine.language.tape import DAY_S, STEPS_MAX
from tests.unit.language.world import World

WORLD = World()


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("play", MoveTape(play=True)),
        ("play 10", MoveTape(play=True, speed=10)),
        ("PLAY 0.25x", MoveTape(play=True, speed=0.25)),
        ("pause", MoveTape(play=False)),
        ("speed 60", MoveTape(speed=60)),
        ("speed .5x", MoveTape(speed=0.5)),
        ("seek 13:05", MoveTape(to=time(13, 5))),
        ("seek 9:15:30", MoveTape(to=time(9, 15, 30))),
        ("seek +5m", MoveTape(by_s=300)),
        ("seek -90s", MoveTape(by_s=-90)),
        ("seek +1H", MoveTape(by_s=3600)),
        ("step", MoveTape(steps=1)),
        ("step 20", MoveTape(steps=20)),
    ],
)
def test_sentences_of_the_tape(world: World, text: str, wish: MoveTape) -> None:
    """Each is exactly one wish and no command."""
    meaning = interpret(text, world)
    assert (meaning.command, meaning.wish, meaning.error) == (None, wish, None)


def test_rules_is_the_place_of_the_rules(world: World) -> None:
    """One word, and nothing after it."""
    assert interpret("rules", world).wish == GoTo(place="rules")
    error = interpret("rules nifty", world).error
    assert error is not None
    assert (error.place, error.length) == (6, 5)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("speed", 5, "Needs a speed from 0.25 to 60"),
        ("speed 61", 6, "A speed is from 0.25 to 60, not 61."),
        ("speed 0", 6, "A speed is from 0.25 to 60"),
        ("speed -1", 6, '"-1" is not a speed'),
        ("speed nan", 6, '"nan" is not a speed'),
        ("speed 1e1", 6, '"1e1" is not a speed'),
        ("play 10 now", 8, "Nothing follows the speed"),
        ("pause 10", 6, "Nothing follows pause"),
        ("seek", 4, "Needs a time, such as 13:05"),
        ("seek 13.05", 5, "A time has a colon: 13:05."),
        ("seek 24:00", 5, '"24:00" is neither a time'),
        ("seek 5m", 5, '"5m" is neither a time such as 13:05 nor a distance'),
        ("seek +0m", 5, "at least 1s"),
        ("seek +25h", 5, "at most a day"),
        ("seek 13:05 14:05", 11, "Nothing follows the time"),
        ("step 0", 5, '"0" is no count of frames'),
        ("step -1", 5, '"-1" is no count of frames'),
        ("step 10001", 5, "from 1 to 10000"),
        ("step 00000199999", 5, "from 1 to 10000"),
        ("step \u0663", 5, "is no count of frames"),
    ],
)
def test_what_is_wrong_has_a_place_and_a_remedy(world: World, text: str, place: int, words: str) -> None:
    """One error; nothing of the sentence is done."""
    meaning = interpret(text, world)
    assert meaning.wish is None
    assert meaning.error is not None
    assert meaning.error.place == place
    assert words in meaning.error.message


speeds = st.floats(SPEED_MIN, SPEED_MAX).map(lambda speed: round(speed, 6))
times = st.times().map(lambda moment: moment.replace(microsecond=0, fold=0))
shifts = st.integers(1, 99_999).filter(lambda seconds: seconds <= DAY_S)
wishes = st.one_of(
    st.just(MoveTape(play=False)),
    st.builds(MoveTape, play=st.just(True), speed=st.none() | speeds),
    st.builds(MoveTape, speed=speeds),
    st.builds(MoveTape, to=times),
    st.builds(MoveTape, by_s=shifts | shifts.map(lambda seconds: -seconds)),
    st.builds(MoveTape, steps=st.integers(1, STEPS_MAX)),
)


@given(wishes)
def test_a_described_wish_is_read_back(wish: MoveTape) -> None:
    """parse(describe(wish)) == wish."""
    meaning = interpret(describe(wish, WORLD), WORLD)
    assert meaning.error is None, (describe(wish, WORLD), meaning.error)
    assert meaning.wish == wish
