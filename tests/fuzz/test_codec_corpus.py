"""The fuzzer's target over a fixed corpus: every way of decoding, whole and damaged."""

from __future__ import annotations

import pytest

from engine.brokers.kite.codec import decode_frame
from tests.fuzz.codec import corpus, frame_of, target

SEEDS = (20_260_818, 7)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_frame_of_the_corpus_decodes_to_anything_it_does_not_say(seed: int) -> None:
    """Rows, kinds, damage and the board equal the plain reading of each whole and each mutated frame."""
    seen = 0
    for payload in corpus(seed):
        target(payload)
        seen += 1
    assert seen > 1_000


def test_the_target_fails_when_the_decoder_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that drops the last packet is found out."""

    def short(payload: bytes) -> object:
        frame = decode_frame(payload)
        frame.words, frame.kinds = frame.words[:-1], frame.kinds[:-1]
        return frame

    monkeypatch.setattr("tests.fuzz.codec.decode_frame", short)
    with pytest.raises(AssertionError, match="rows differ"):
        target(frame_of([bytes(8)]))
