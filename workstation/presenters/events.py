"""The lasting list of what happened. Unread ones that ask for attention stand on top until acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.core.events import EngineEvent
from engine.core.vocabulary import Severity
from workstation.formatting import Glyphs, clock_time
from workstation.presenters.lines import Line, Span, clean, clip, filled, width_of

SEVERITY_TONES = {Severity.INFO: "", Severity.ATTENTION: "attention", Severity.DANGER: "danger"}


class EventRow(msgspec.Struct, frozen=True):
    """One line and the sequence of its event."""

    row_id: int
    line: Line


def unread_events(events: Sequence[EngineEvent], unread: int) -> tuple[EngineEvent, ...]:
    """The newest ``unread`` events that ask for attention, oldest first."""
    asking = [event for event in events if event.severity is not Severity.INFO]
    return tuple(asking[len(asking) - unread :]) if 0 < unread <= len(asking) else tuple(asking) if unread > 0 else ()


def events_title(unread: int) -> list[Line]:
    """How many are not acknowledged."""
    return [((f"{unread} not acknowledged", "attention"),)] if unread else []


def event_rows(events: Sequence[EngineEvent], unread: int, width: int, glyphs: Glyphs) -> list[EventRow]:
    """Unread ones first, oldest on top; then the others, newest on top."""
    asking = unread_events(events, unread)
    waiting = {event.sequence for event in asking}
    rest = [event for event in reversed(events) if event.sequence not in waiting]
    return [
        EventRow(event.sequence, _row(event, event.sequence in waiting, width, glyphs)) for event in (*asking, *rest)
    ]


def _row(event: EngineEvent, waiting: bool, width: int, glyphs: Glyphs) -> Line:
    tone = SEVERITY_TONES[event.severity] if waiting else ""
    spans: list[Span] = [("!" if waiting else " ", tone), (f"{clock_time(event.at)} ", tone or "muted")]
    subject = clean(event.subject)
    if subject and not event.text.startswith(subject):
        spans.append((f"{subject} ", f"{tone} bold".strip()))
    spans.append((clip(clean(event.text), width - width_of(spans), glyphs), tone))
    return filled(spans, width)
