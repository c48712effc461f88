"""The practice exchange as a venue source: its clock and session over its own status page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from engine.core.errors import BrokerUnavailable
from engine.core.vocabulary import Venue
from engine.venue import VenueReading

STATUS_PATH = "/practice/status"
EXTENDED = "extended"
OPEN_STATES = frozenset({"open", EXTENDED})


class PracticeVenueSource:
    """Implements ``engine.venue.VenueSource`` for an exchange at ``root``."""

    def __init__(self, root: str, http: httpx.AsyncClient) -> None:
        """``http`` is used and not closed."""
        self._url = root + STATUS_PATH
        self._http = http
        self._note = ""

    @property
    def venue(self) -> Venue:
        """Practice."""
        return Venue.PRACTICE

    @property
    def note(self) -> str:
        """Seed and source of the market."""
        return self._note

    async def read(self) -> VenueReading:
        """Ask for the status page."""
        try:
            answer = await self._http.get(self._url)
            answer.raise_for_status()
            data: dict[str, Any] = answer.json()["data"]
            session = data["session"]
            state = str(session["state"])
            self._note = f"practice market, seed {data['seed']}" + _source_words(data.get("source"))
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
