"""Contracts looked up once and kept: symbols and tokens become names, lots and ticks without waiting in a frame."""

from __future__ import annotations

from collections import OrderedDict

from engine.client import EngineClient
from engine.core.errors import WorkstationError
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.ports import Clock

KEPT_MAX = 4096
"""Contracts kept; the ones not asked for longest are dropped."""
WANTED_MAX = 256
"""Look-ups waiting; more are refused and asked for again by a later frame."""
FAILED_MAX = 1024
RETRY_S = 10.0
SEARCH_LIMIT = 20


class ContractBook:
    """A bounded memory of instruments in front of the engine's search."""

    def __init__(self, engine: EngineClient, clock: Clock) -> None:
        """Ask ``engine``; what was not found is asked again after ``RETRY_S``."""
        self._engine = engine
        self._clock = clock
        self._by_key: OrderedDict[InstrumentKey, Instrument] = OrderedDict()
        self._by_token: dict[int, Instrument] = {}
        self._wanted: OrderedDict[str, None] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self.version = 0
        """Grows when something new is known: who shows names draws again."""

    @property
    def is_waiting(self) -> bool:
        """Whether ``look_up`` has something to do."""
        return bool(self._wanted)

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The contract of a symbol; asked for in the background when it is not known yet."""
        found = self._by_key.get(key)
        if found is None:
            self._want(key.tradingsymbol)
        return found

    def find_token(self, token: int, words: str) -> Instrument | None:
        """The contract of a token; ``words`` are what to search for. Only the very token is taken for an answer."""
        found = self._by_token.get(token)
        if found is None and token:
            self._want(words)
        return found

    async def look_up(self) -> None:
        """Search for everything that is wanted."""
        while self._wanted:
            words, _ = self._wanted.popitem(last=False)
            try:
                found = await self._engine.search(words, SEARCH_LIMIT)
            except WorkstationError:
                found = ()
            for instrument in found:
                self._keep(instrument)
            # Whatever came, these words are not asked again at once: a frame that still misses its contract
            # would otherwise search twenty times a second.
            self._failed[words] = self._clock.monotonic()
            while len(self._failed) > FAILED_MAX:
                self._failed.popitem(last=False)

    def _want(self, words: str) -> None:
        asked = self._failed.get(words)
        if asked is not None and self._clock.monotonic() - asked < RETRY_S:
            return
        if len(self._wanted) < WANTED_MAX:
            self._wanted[words] = None

    def _keep(self, instrument: Instrument) -> None:
        if instrument.key in self._by_key:
            self._by_key.move_to_end(instrument.key)
        self._by_key[instrument.key] = instrument
        self._by_token[instrument.token] = instrument
        self.version += 1
        while len(self._by_key) > KEPT_MAX:
            _, dropped = self._by_key.popitem(last=False)
            self._by_token.pop(dropped.token, None)
