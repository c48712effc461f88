"""The lines that stand on every main screen: the two status lines above, answers and alarms below."""

from __future__ import annotations

from datetime import timedelta

from workstation.frames import Frame
from workstation.presenters.accounts import desk_of
from workstation.presenters.lines import Line, clip, cut
from workstation.presenters.status import Moment, status_lines
from workstation.screens.context import DeskContext


def standing_status(context: DeskContext, frame: Frame, width: int) -> list[Line]:
    """The two status lines, always of the living picture; before the first one, why there is none."""
    desk = desk_of(context.picture.live_desk, context.state.account)
    if desk is None:
        words = frame.trouble or "starting: waiting for the engine's first picture"
        return [cut(((f" {words}", "attention" if frame.trouble else "muted"),), width)]
    frozen = context.state.frozen_since
    moment = Moment(
        market_now=frame.market_now,
        picture_age_s=frame.picture_age_s,
        screen_lag_ms=frame.screen_lag_ms,
        frozen_s=None if frozen is None else (frame.market_now - frozen) / timedelta(seconds=1),
        alone=context.state.account is not None,
    )
    mark = context.state.mark
    return list(status_lines(desk, moment, mark, width=width, glyphs=context.glyphs, settings=context.settings))


def answer_line(context: DeskContext, frame: Frame, width: int) -> list[Line]:
    """The last answer while it is new; none or one line."""
    notice = context.state.notice
    if notice is not None and frame.monotonic >= notice.until:
        notice = context.state.notice = None
    if notice is None:
        return []
    lead = f" {context.glyphs.leads} "
    return [((lead, "muted"), (clip(notice.text, width - len(lead), context.glyphs), notice.tone))]


def alarm_lines(context: DeskContext, frame: Frame, width: int) -> list[Line]:
    """What does not run as it should, one line a sentence."""
    desk = context.picture.live_desk
    degraded = desk.status.degraded if desk is not None else ()
    lead = f" {context.glyphs.leads} "
    return [
        ((lead, "muted"), (clip(sentence, width - len(lead), context.glyphs), "attention"))
        for sentence in (*([frame.trouble] if frame.trouble else []), *degraded)
    ]
