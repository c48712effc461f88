"""The practice exchange as a venue source: its clock and session over its own status page, and the player of a tape."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from engine.core.errors import BrokerUnavailable, InvalidInput, Refused
from engine.core.replay import ReplayAction, ReplayView
from engine.core.vocabulary import Venue
from engine.venue import VenueReading
from workstation.formatting import india

STATUS_PATH = "/practice/status"
PLAYBACK_PATH = "/practice/playback"
EXTENDED = "extended"
OPEN_STATES = frozenset({"open", EXTENDED})
TAPE, RELAY = "tape", "relay"
VENUES = {TAPE: Venue.REPLAY, RELAY: Venue.PAPER}
CREDENTIALS = {"Authorization": "token practice:practice"}
BAD_REQUEST = 400
INPUT_ERROR = "InputException"


class PracticeVenueSource:
    """Implements ``engine.venue.VenueSource`` for an exchange at ``root``."""

    def __init__(self, root: str, http: httpx.AsyncClient) -> None:
        """``http`` is used and not closed."""
        self._url = root + STATUS_PATH
        self._http = http
        self._player = PlaybackControl(root, http)
        self._venue = Venue.PRACTICE
        self._note = ""
        self._tape_note = ""

    @property
    def venue(self) -> Venue:
        """Practice; a replay when the exchange plays a tape, paper when it relays a feed. Known once it was read."""
        return self._venue

    @property
    def note(self) -> str:
        """What the market is: seed and source, the tape, or the feed."""
        return self._note

    async def read(self) -> VenueReading:
        """Ask for the status page."""
        try:
            answer = await self._http.get(self._url)
            answer.raise_for_status()
            data: dict[str, Any] = answer.json()["data"]
            session = data["session"]
            state = str(session["state"])
            self._venue = VENUES.get(str(data.get("source")), Venue.PRACTICE)
            self._note = await self._note_of(data)
            return VenueReading(
                market_time=_moment(data["market_time"]),
                speed=float(data["speed"]),
                is_open=state in OPEN_STATES,
                extended=bool(session.get(EXTENDED, False)),
                opens_at=_optional_moment(session.get("opens")),
                closes_at=_optional_moment(session.get("closes")),
            )
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            raise BrokerUnavailable(f"The practice exchange does not answer ({type(error).__name__}).") from error

    async def _note_of(self, data: dict[str, Any]) -> str:
        if self._venue is Venue.REPLAY:
            if not self._tape_note:
                self._tape_note = tape_note(await self._player.act(None))
            return self._tape_note
        if self._venue is Venue.PAPER:
            upstream = data["upstream"]
            return f"paper, market of {upstream['root']}" + (f"; {upstream['words']}" if upstream["words"] else "")
        return f"practice market, seed {data['seed']}" + _source_words(data.get("source"))


class PlaybackControl:
    """Moves the tape of an exchange at ``root``."""

    def __init__(self, root: str, http: httpx.AsyncClient) -> None:
        """``http`` is used and not closed."""
        self._url = root + PLAYBACK_PATH
        self._http = http

    async def act(self, action: ReplayAction | None) -> ReplayView:
        """Do what is asked and return where the tape stands; without an action only look.

        Raises:
            Refused: it cannot be done now; the exchange says why.
            InvalidInput: a speed, a time or a count outside what is allowed.
            BrokerUnavailable: the exchange does not answer.
        """
        try:
            if action is None:
                answer = await self._http.get(self._url, headers=CREDENTIALS)
            else:
                asked = {name: value for name, value in msgspec.to_builtins(action).items() if value is not None}
                answer = await self._http.post(self._url, json=asked, headers=CREDENTIALS)
            if answer.status_code == BAD_REQUEST:
                _refuse(answer.json())
            answer.raise_for_status()
            return msgspec.convert(answer.json()["data"], ReplayView)
        except (httpx.HTTPError, KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
            raise BrokerUnavailable(f"The player of the tape does not answer ({type(error).__name__}).") from error


def tape_note(view: ReplayView) -> str:
    """A tape in words: ``tape NIFTY 20 Nov 2026 09:15-15:40`` (Indian time)."""
    begin, end = india(view.start), india(view.end)
    until = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%-d %b %H:%M}"
    return f"tape {view.tape} {begin:%-d %b %Y %H:%M}-{until}"


def _refuse(body: dict[str, Any]) -> None:
    words = str(body["message"])
    raise InvalidInput(words) if body["error_type"] == INPUT_ERROR else Refused(words)


def _source_words(source: Any) -> str:  # noqa: ANN401 - whatever the exchange calls its source
    if not source or source == "generated":
        return ""
    return f", from {source}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return moment.astimezone(UTC)


def _optional_moment(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)
