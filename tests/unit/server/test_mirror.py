"""The client's mirror: a reader learns of every row that changed since it looked, however many pictures it skipped."""

from __future__ import annotations

from itertools import combinations

import msgspec

from engine.core.views import ChainView
from engine.server import wire
from engine.server.mirror import ChainMirror, Mirror
from engine.server.protocol import TopicUpdate
from engine.server.topics import chain_topic
from tests.kit.plain_engine import STRIKES, PlainEngine


async def watched() -> PlainEngine:
    """An engine whose first chain is watched."""
    engine = PlainEngine()
    await engine.watch_chain(engine.keys[0])
    return engine


def picture(engine: PlainEngine) -> ChainView:
    """The chain as it arrives: through the wire."""
    view = engine.chain(engine.keys[0])
    assert view is not None
    return wire.decode(wire.encode(view), ChainView)


def rows_since(mirror: ChainMirror, since: int) -> set[int]:
    """Changed rows of the newest picture."""
    view = mirror.view(since)
    assert view is not None
    return set(view.changed.tolist())


async def test_every_pair_of_moments_is_told_apart() -> None:
    """For each sequence given out before, the rows are those of all later changes, in any order of asking."""
    engine = await watched()
    mirror = ChainMirror()
    mirror.take(picture(engine))
    moved = [1, 3, 1, 0, 4]
    sequences = [picture(engine).sequence]
    for step, row in enumerate(moved):
        engine.set_price(engine.keys[0], row, 50.0 + step)
        mirror.take(picture(engine))
        sequences.append(picture(engine).sequence)
    for place, _ in reversed(list(enumerate(sequences))):
        assert rows_since(mirror, sequences[place]) == set(moved[place:])


async def test_skipped_pictures_lose_no_row() -> None:
    """Whichever pictures did not arrive, the rows since the first one are all there."""
    for arrived in combinations(range(4), 2):
        engine = await watched()
        mirror = ChainMirror()
        mirror.take(picture(engine))
        first = picture(engine).sequence
        for step in range(4):
            engine.set_price(engine.keys[0], step, 70.0 + step)
            if step in arrived:
                mirror.take(picture(engine))
        mirror.take(picture(engine))
        assert rows_since(mirror, first) == {0, 1, 2, 3}


async def test_a_sequence_of_another_life_means_all_rows() -> None:
    """After the chain went and came back nothing that was seen before counts."""
    engine = await watched()
    mirror = ChainMirror()
    mirror.take(picture(engine))
    old = picture(engine).sequence
    mirror.take(None)
    assert mirror.view(0) is None
    engine.set_price(engine.keys[0], 0, 1.0)
    mirror.take(picture(engine))
    assert rows_since(mirror, old) == set(range(len(STRIKES)))


async def test_other_strikes_mean_all_rows() -> None:
    """Row numbers of another list of strikes say nothing."""
    engine = await watched()
    mirror = ChainMirror()
    view = picture(engine)
    mirror.take(view)
    mirror.take(msgspec.structs.replace(view, sequence=view.sequence + 1, strikes=view.strikes + 50))
    assert rows_since(mirror, view.sequence) == set(range(len(STRIKES)))


async def test_an_older_value_never_replaces_a_newer_one() -> None:
    """An answer overtaken by a notification is dropped, and so is what nobody expects."""
    engine = await watched()
    topic = chain_topic(engine.keys[0])
    mirror = Mirror()

    def update(sequence: int) -> TopicUpdate:
        return TopicUpdate(topic, sequence, msgspec.Raw(wire.encode(engine.chain(engine.keys[0]))))

    late = update(4)
    mirror.take(late)
    assert mirror.chain(engine.keys[0], 0) is None
    mirror.expect(topic)
    engine.set_price(engine.keys[0], 0, 33.0)
    mirror.take(update(5))
    mirror.take(late)
    view = mirror.chain(engine.keys[0], 0)
    assert view is not None
    assert view.calls.bid[0] == 33.0
    mirror.forget(topic)
    assert mirror.chain(engine.keys[0], 0) is None
