"""A picture as named, already encoded parts, each with the sequence of its last change.

Whoever has seen sequence N is sent the parts that changed after N, encoded once for all who saw the same: a client that
skipped some looks gets exactly what it lacks, and many clients at one pace share one message.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.server import protocol

GONE_MAX = 1000
"""Names of parts that are no more which are remembered; a reader from before the oldest gets a snapshot."""


class Parts:
    """One picture."""

    def __init__(self, topic: str) -> None:
        """Nothing has been shown yet."""
        self._topic = topic
        self._parts: dict[str, tuple[int, bytes]] = {}
        self._gone: dict[str, int] = {}
        self._floor = 0
        self._messages: dict[int, bytes] = {}
        self.sequence = 0
        """Of the last change; 0 while there has been nothing to show."""

    def put(self, changes: Mapping[str, bytes], sequence: int) -> None:
        """Set parts; those whose bytes are the same as before are no change."""
        fresh = {name: data for name, data in changes.items() if self._bytes(name) != data}
        if not fresh and self.sequence:
            return
        for name, data in fresh.items():
            self._parts[name] = (sequence, data)
            self._gone.pop(name, None)
        self._changed(sequence)

    def replace(self, everything: Mapping[str, bytes], sequence: int) -> None:
        """Set all parts; others are gone."""
        lost = self._parts.keys() - everything.keys()
        for name in lost:
            del self._parts[name]
            self._gone[name] = sequence
        if len(self._gone) > GONE_MAX:
            self._gone.clear()
            self._floor = sequence
        if lost:
            self._changed(sequence)
        self.put(everything, sequence)

    def clear(self, sequence: int) -> None:
        """There is nothing to show any more: an old price must not stay on a screen as if it lived."""
        if self._parts:
            self._parts.clear()
            self._gone.clear()
            self._floor = sequence
            self._changed(sequence)

    def message(self, base: int) -> bytes | None:
        """The encoded ``TopicUpdate`` for a reader at ``base``; ``None`` when it has all there is."""
        if base == self.sequence:
            return None
        if base < self._floor:
            base = 0
        known = self._messages.get(base)
        if known is None:
            parts = [(name, data) for name, (sequence, data) in self._parts.items() if sequence > base]
            gone = [name for name, sequence in self._gone.items() if sequence > base] if base else []
            known = protocol.picture_update(self._topic, self.sequence, base, parts, gone)
            self._messages[base] = known
        return known

    def _bytes(self, name: str) -> bytes | None:
        known = self._parts.get(name)
        return known[1] if known is not None else None

    def _changed(self, sequence: int) -> None:
        self.sequence = sequence
        # Bounded: one message for each sequence that some reader stopped at since the last change.
        self._messages.clear()
