"""Tokens to slots: the vectorised map against a dictionary."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.market.token_map import ABSENT, TokenMap

TOKENS = st.integers(1, 2**32 - 1)


def make(tokens: list[int]) -> TokenMap:
    """A map of tokens to their places, with one free slot in front."""
    token_at = np.array([0, *tokens], np.uint32)
    return TokenMap({token: place + 1 for place, token in enumerate(tokens)}, token_at)


@given(st.lists(TOKENS, unique=True, max_size=200), st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_every_token_finds_its_slot_and_no_other_finds_one(tokens: list[int], strangers: list[int]) -> None:
    """For any set of tokens and any question the map answers as a dictionary does."""
    mapped = make(tokens)
    asked = [*tokens, *strangers, 0]
    expected = {token: place + 1 for place, token in enumerate(tokens)}
    slots, complete = mapped.slots(np.array(asked, np.uint32))
    assert slots.tolist() == [expected.get(token, ABSENT) for token in asked]
    assert complete is all(token in expected for token in asked)
    assert [mapped.slot(token) for token in asked] == slots.tolist()


def test_colliding_tokens_are_told_apart() -> None:
    """Far more tokens than the table has room for still map to their own slots."""
    tokens = [place * 7919 + 2 for place in range(60_000)]
    slots, complete = make(tokens).slots(np.array(tokens, np.uint32))
    assert complete
    assert slots.tolist() == list(range(1, len(tokens) + 1))


def test_the_segment_byte_counts() -> None:
    """The same exchange token in two segments are two instruments."""
    slots, complete = make([256_265, 256_258]).slots(np.array([256_258, 256_265, 256_260], np.uint32))
    assert (slots.tolist(), complete) == ([2, 1, ABSENT], False)


def test_an_empty_map_finds_nothing() -> None:
    """Without instruments every token is absent, token 0 of a free slot too."""
    slots, complete = make([]).slots(np.array([0, 5], np.uint32))
    assert (slots.tolist(), complete) == ([ABSENT, ABSENT], False)
