"""Where the packets of a frame stand.

A frame is a chain: each packet's place follows from the lengths of all before it. Walked one by one that is a step of
the interpreter per packet, so whole frames are read in other ways, each of which *proves* the chain it proposes:

* ``_by_runs``: packets of one kind come in runs; one strided look at the lengths finds where a run ends.
* ``_by_lanes``: where kinds alternate, a packet's beginning is guessed at many places of the frame, and all are walked
  at the same time, each up to the next. That they join, each ending where the next began, proves all of them.

Only frames that are not whole (a packet of unknown length, cut short, lengthened, or with a false count) and short
ones are walked packet by packet.

Invariant: a layout holds exactly the packets that the plain walk finds, in the order of the frame; every one of them
lies wholly inside the frame.
"""

from __future__ import annotations

from itertools import repeat
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.packets import BODY_BYTES

Places: TypeAlias = npt.NDArray[np.intp]
Kinds: TypeAlias = npt.NDArray[np.intp]

COUNT_BYTES = 2
LENGTH_BYTES = 2
_BYTE_VALUES = 256
_FIRST_LOW = COUNT_BYTES + LENGTH_BYTES - 1
"""The low byte of the first packet's length."""
_HALF_WORD = np.dtype(np.uint16)
"""All known lengths are even, so the lengths in a frame of known packets stand at even places."""
_SHORT_WALK = 128
"""Up to this many packets a loop over the lengths costs less than the fixed price of whole-array operations."""
_LOOK_AHEAD = 32
"""How far a run is looked for at first: most frames with short runs have only short ones."""
_RUNS_FREE = 4
_PACKETS_PER_RUN = 32
"""Runs shorter than this on average are dearer than lanes."""
_PACKETS_PER_LANE = 10
_LANES_MIN = 2
_LOOK_EVERY = 8
"""Steps of all lanes between two looks whether they have arrived."""
_SUCCESSORS = 3
"""Two words that look like lengths are often as far apart as the first says; four in a row hardly ever are."""
_ATTEMPTS = 4
"""Wrong guesses are put right by the lane before them; more than one round is needed where two follow each other."""


def _by_length(values: dict[int, int]) -> npt.NDArray[np.intp]:
    table = np.zeros(_BYTE_VALUES, np.intp)
    table[list(values)] = list(values.values())
    table.flags.writeable = False
    return table


_KNOWN_STRIDES: Final = tuple(length + LENGTH_BYTES for length in BODY_BYTES)
_WINDOW_BYTES: Final = max(_KNOWN_STRIDES)
_WINDOW: Final = _WINDOW_BYTES // _HALF_WORD.itemsize
_KIND_OF_LENGTH: Final = _by_length({length: int(kind) for length, kind in BODY_BYTES.items()})
_STRIDES: Final = _by_length({length: length + LENGTH_BYTES for length in BODY_BYTES})
"""From one packet to the next by the low byte of a length; 0 for a length that no kind has."""
_STRIDE_OF_LENGTH: Final = tuple(_STRIDES.tolist())
_LENGTH_WORDS: Final = tuple(np.frombuffer(bytes((0, length)), _HALF_WORD)[0] for length in BODY_BYTES)
"""Lengths as half words of the wire, read as this machine reads them."""


class FrameLayout(NamedTuple):
    """The packets of one frame that have a kind and are wholly there."""

    bodies: Places
    """Offset of each body, bytes."""
    kinds: Kinds
    """``PacketKind`` of each; never ``NONE``."""
    unknown: int = 0
    """Packets of a length no kind has."""
    missing: int = 0
    """Packets announced that are not, or not wholly, there."""
    excess: int = 0
    """Bytes behind the last announced packet."""


def frame_layout(frame: bytes, count: int) -> FrameLayout:
    """Find the packets of ``frame`` (at least two bytes), which announces ``count`` of them (its first two bytes)."""
    if count <= _SHORT_WALK:
        found = _by_short_walk(frame, count)
    else:
        found = _by_runs(frame, count)
        if found is None:
            found = _by_lanes(frame, count)
    return _by_walk(frame, count) if found is None else found


def _by_short_walk(frame: bytes, count: int) -> FrameLayout | None:
    """Step through a short frame by the low bytes of its lengths; ``None`` unless it is whole and all are known."""
    if not count:
        return None
    size, strides = len(frame), _STRIDE_OF_LENGTH
    # ``low`` is where the low byte stands; an unknown length is a step of 0, which never arrives at the end.
    low = COUNT_BYTES + LENGTH_BYTES - 1
    lows = [low, *(low := low + strides[frame[low]] for _ in repeat(None, count) if low < size)]
    if low != size + 1 or len(lows) != count + 1:
        return None
    places = np.array(lows, np.intp)[:-1]
    raw = np.frombuffer(frame, np.uint8)
    kinds = _KIND_OF_LENGTH.take(raw.take(places))
    if raw.take(places - 1).tobytes().count(0) != count:  # a high byte that is not 0
        return None
    places += 1
    return FrameLayout(places, kinds)


def _by_runs(frame: bytes, count: int) -> FrameLayout | None:
    """Read a frame as runs of packets of one length; ``None`` if it has many runs or is not whole."""
    size = len(frame)
    offset, left = COUNT_BYTES, count
    bodies: list[Places] = []
    lengths: list[int] = []
    repeats: list[int] = []
    while left:
        if offset + LENGTH_BYTES > size or len(bodies) > _RUNS_FREE + (count - left) // _PACKETS_PER_RUN:
            return None
        length = frame[offset + 1]
        stride = _STRIDE_OF_LENGTH[length]
        run = 0
        if stride:
            fit = min(left, (size - offset) // stride)
            run = _equal(frame, offset, stride, min(fit, _LOOK_AHEAD))
            if run == _LOOK_AHEAD:
                run = _equal(frame, offset, stride, fit)
        if not run:
            return None
        end = offset + run * stride
        bodies.append(np.arange(offset + LENGTH_BYTES, end + LENGTH_BYTES, stride))
        lengths.append(length)
        repeats.append(run)
        offset, left = end, left - run
    if offset != size:
        return None
    return FrameLayout(np.concatenate(bodies), np.repeat(_KIND_OF_LENGTH.take(lengths), repeats))


def _equal(frame: bytes, offset: int, stride: int, most: int) -> int:
    """How many packets from ``offset`` on, at most ``most``, have the length of the first; 0 if it is above 255."""
    end = offset + most * stride
    lows = frame[offset + 1 : end : stride]
    run = most - len(lows.lstrip(lows[:1]))
    highs = frame[offset : offset + run * stride : stride]
    return run - len(highs.lstrip(b"\x00"))


def _by_lanes(frame: bytes, count: int) -> FrameLayout | None:
    """Walk from many places at once; ``None`` if the walks do not join into one whole chain of known packets.

    All places here are those of the low byte of a length.
    """
    size = len(frame)
    raw = np.frombuffer(frame, np.uint8)
    lanes = min(count // _PACKETS_PER_LANE, size // (2 * _WINDOW_BYTES))
    if lanes < _LANES_MIN or size % _HALF_WORD.itemsize:
        return None
    reach = size // lanes
    reach -= reach % _HALF_WORD.itemsize
    guessed = (size - _FIRST_LOW - _WINDOW_BYTES) // reach
    limits = np.arange(_FIRST_LOW + reach, _FIRST_LOW + reach * (guessed + 2), reach)
    limits[-1] = size + 1
    starts = np.empty(guessed + 1, np.intp)
    starts[0] = _FIRST_LOW
    starts[1:] = limits[:-1]
    lanes_found, places_found = _guesses(frame, raw, reach, guessed)
    # The last of assignments to one place holds, so the first guess of each lane does.
    starts[lanes_found[::-1] + 1] = places_found[::-1]
    for _ in range(_ATTEMPTS):
        steps = _walk_lanes(raw, starts, limits)
        inside = steps < limits
        columns = np.arange(len(starts))
        taken = inside.sum(axis=0)
        stuck = taken == len(steps)
        taken[stuck] = 0
        ends = steps[taken, columns]
        ends[stuck] = 0
        wrong = (ends[:-1] != starts[1:]).nonzero()[0]
        if not len(wrong):
            return _joined(raw, steps.T[inside.T], count) if ends[-1] == size + 1 else None
        # A lane that ended right tells where the one behind it has to begin; one that is stuck tells nothing.
        told = wrong[ends[wrong] != 0]
        if not len(told):
            return None
        starts[told + 1] = ends[told]
    return None


def _guesses(frame: bytes, raw: npt.NDArray[np.uint8], reach: int, lanes: int) -> tuple[Places, Places]:
    """Where packets seem to begin near the first place of each lane but the first: lane and place, ascending.

    A window as long as the longest packet holds at least one beginning. What looks like one must lead to others.
    """
    windows: npt.NDArray[np.uint16] = np.ndarray(
        (lanes, _WINDOW), _HALF_WORD, frame, COUNT_BYTES + reach, (reach, _HALF_WORD.itemsize)
    ).copy()
    alike = windows == _LENGTH_WORDS[0]
    for word in _LENGTH_WORDS[1:]:
        alike |= windows == word
    found = np.flatnonzero(alike)
    lane = found // _WINDOW
    place = found * _HALF_WORD.itemsize
    place += lane * (reach - _WINDOW_BYTES)
    place += _FIRST_LOW + reach
    following = place + _STRIDES.take(raw.take(place))
    for _ in range(_SUCCESSORS):
        strides = _STRIDES.take(raw.take(following, mode="clip"))
        good = ((strides != 0) | (following >= len(raw))).nonzero()[0]
        lane, place, following = lane.take(good), place.take(good), (following + strides).take(good)
    return lane, place


def _walk_lanes(raw: npt.NDArray[np.uint8], starts: Places, limits: Places) -> Places:
    """Step through all lanes at once until each is at its limit or at something that is no length.

    Returns:
        Shape (steps, lanes): where each lane was, from its start on. A lane beyond its limit goes on meanwhile.
    """
    rows = [starts]
    before = here = starts
    most = int((limits - starts).max()) // min(_KNOWN_STRIDES) + _LOOK_EVERY
    while len(rows) <= most:
        for _ in range(_LOOK_EVERY):
            before, here = here, here + _STRIDES.take(raw.take(here, mode="clip"))
            rows.append(here)
        if not ((here < limits) & (here != before)).any():
            break
    return np.array(rows)


def _joined(raw: npt.NDArray[np.uint8], lows: Places, count: int) -> FrameLayout | None:
    """The layout of a proven chain of low bytes, if it has as many packets as announced and no length above 255."""
    if len(lows) != count or raw.take(lows - 1).any():
        return None
    return FrameLayout(lows + 1, _KIND_OF_LENGTH.take(raw.take(lows)))


def _by_walk(frame: bytes, count: int) -> FrameLayout:
    """Follow the lengths one by one, as far as they lead: the definition of what a frame holds."""
    size = len(frame)
    bodies: list[int] = []
    kinds: list[int] = []
    offset, unknown = COUNT_BYTES, 0
    for _ in range(count):
        body = offset + LENGTH_BYTES
        if body > size:
            break
        length = frame[offset] << 8 | frame[offset + 1]
        if body + length > size:
            break
        offset = body + length
        kind = BODY_BYTES.get(length)
        if kind is None:
            unknown += 1
        else:
            bodies.append(body)
            kinds.append(kind)
    missing = count - len(bodies) - unknown
    return FrameLayout(
        np.array(bodies, np.intp),
        np.array(kinds, np.intp),
        unknown=unknown,
        missing=missing,
        excess=0 if missing else size - offset,
    )
