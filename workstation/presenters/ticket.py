"""The ticket pane: whatever Enter would act on, and before there is a draft the contract under the cursor."""

from __future__ import annotations

import msgspec

from engine.core.commands import Preview
from engine.core.quotes import Quote
from engine.core.views import ChainView
from engine.core.vocabulary import InstrumentKind
from workstation.formatting import (
    Glyphs,
    age,
    compact,
    decimal_text,
    expiry_day,
    lots,
    money,
    money_exact,
    option_delta,
    price,
    signed_price,
    strike,
    volatility,
)
from workstation.presenters.desk_state import Selection
from workstation.presenters.draft import Draft
from workstation.presenters.eta import leaves_in
from workstation.presenters.lines import EMPTY, Line, clip, wrapped
from workstation.presenters.names import STATE_WORDS, contract_name, iv_input, iv_reason, state_of

SENTENCE_LINES_MAX = 3


class TicketSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What the ticket pane shows."""

    draft: Draft | None
    preview: Preview | None
    """What the draft would do, once priced; ``None`` while it is being asked for."""
    now: Quote | None
    """The living quote of the draft's contract."""
    selection: Selection | None


def ticket_title(subject: TicketSubject) -> str:
    """What the ticket's title says after its name."""
    if subject.draft is None:
        return "under the cursor"
    return f"change of o{subject.draft.order.number}" if subject.draft.order else "draft"


def ticket_lines(subject: TicketSubject, view: ChainView | None, width: int, glyphs: Glyphs) -> list[Line]:
    """The body of the ticket, as many lines as it needs."""
    if subject.draft is not None:
        return _draft_lines(subject, subject.draft, width, glyphs)
    if subject.selection is not None and view is not None:
        return _selection_lines(subject.selection, view, glyphs)
    return [(("nothing chosen", "muted"),)]


def draft_words(draft: Draft, glyphs: Glyphs) -> str:
    """The draft in one phrase: ``SELL 10L NIFTY 01DEC 24400PE @ 151.20 bid``."""
    size = lots(draft.quantity, draft.instrument.lot_size)
    name = contract_name(draft.instrument, draft.instrument.key)
    words = f"{draft.side.value} {size} {name} @ {price(draft.price, glyphs)} {draft.source}"
    if draft.order is not None:
        return (
            f"o{draft.order.number} {price(draft.order.request.price, glyphs)} > {price(draft.price, glyphs)}: {words}"
        )
    return words


def _draft_lines(subject: TicketSubject, draft: Draft, width: int, glyphs: Glyphs) -> list[Line]:
    size = lots(draft.quantity, draft.instrument.lot_size)
    name = contract_name(draft.instrument, draft.instrument.key)
    lines: list[Line] = [
        ((f"{draft.side.value} {size} ", "bold"), (clip(name, width - len(size) - 6, glyphs), "bold")),
        (("price   ", "muted"), (price(draft.price, glyphs), "bold"), (f" {draft.source}", "")),
    ]
    if draft.order is not None:
        before = draft.order.request.price
        lines.append((("was     ", "muted"), (price(before, glyphs), "")))
    elif draft.quote is not None and draft.quote.mid is not None:
        lines.append((("mid     ", "muted"), (price(draft.quote.mid, glyphs), "")))
    lines.append(
        (
            ("size    ", "muted"),
            (f"{decimal_text(draft.quantity, 0)} units {draft.product.value} DAY", ""),
        )
    )
    lines += _drift_lines(draft, subject.now, glyphs)
    if draft.price is None:
        lines.append((("no price on that side: + - = p", "attention"),))
    preview = subject.preview
    if preview is None:
        lines.append((("checks  ", "muted"), ("being asked", "muted")))
    else:
        lines += _preview_lines(preview, width, glyphs)
    lines.append((("Enter", "key"), (" review  ", "muted"), ("Esc", "key"), (" clear", "muted")))
    return lines


def _drift_lines(draft: Draft, now: Quote | None, glyphs: Glyphs) -> list[Line]:
    if now is None:
        return [(("quote   ", "muted"), (STATE_WORDS[state_of(0)], "attention"))]
    word = STATE_WORDS[now.state]
    tone = "" if word == "LIVE" else "attention"
    drift = draft.drift(now)
    against = drift is not None and drift > 0
    lines: list[Line] = [(("quote   ", "muted"), (word, tone), (f" {age(now.age_s, glyphs)}", ""))]
    if drift:
        word = "against you" if against else "for you"
        lines.append((("moved   ", "muted"), (f"{signed_price(drift, glyphs)} {word}", "attention" if against else "")))
    return lines


def _preview_lines(preview: Preview, width: int, glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    if preview.cash is not None:
        word = "receive" if preview.cash > 0 else "pay"
        lines.append(((word.ljust(8), "muted"), (money(abs(preview.cash), glyphs).lstrip("+"), "")))
    if preview.charges is not None or preview.charge_notes:
        lines.append((("charges ", "muted"), (money_exact(preview.charges, glyphs).lstrip("+"), "")))
    if preview.charge_notes:
        words = " ".join(preview.charge_notes)
        lines += [((text, "muted"),) for text in wrapped(words, width)[:SENTENCE_LINES_MAX]]
    lines.append((("margin  ", "muted"), (money(preview.margin, glyphs).lstrip("+"), "")))
    if preview.impact is not None and preview.impact.levels:
        plural = "" if preview.impact.levels == 1 else "s"
        average = price(preview.impact.average_price, glyphs)
        lines.append((("impact  ", "muted"), (f"{preview.impact.levels} level{plural}, avg {average}", "")))
    if leaves := leaves_in(preview.eta_s):
        lines.append((("limits  ", "muted"), (leaves, "attention")))
    if preview.violations:
        count = len(preview.violations)
        lines.append((("checks  ", "muted"), (f"{count} refuse{'s' if count == 1 else ''}", "attention")))
        first = preview.violations[0]
        lines += [((text, "attention"),) for text in wrapped(first.message, width)[:SENTENCE_LINES_MAX]]
    else:
        notes = f", {len(preview.notes)} note{'' if len(preview.notes) == 1 else 's'}" if preview.notes else ""
        lines.append((("checks  ", "muted"), (f"pass{notes}", "")))
    return lines


def _selection_lines(selection: Selection, view: ChainView, glyphs: Glyphs) -> list[Line]:
    columns = view.calls if selection.kind is InstrumentKind.CALL else view.puts
    row = selection.row
    if row >= len(view.strikes):
        return []
    name = f"{selection.underlying} {expiry_day(view.key.expiry)} {strike(selection.strike, group=False)}"
    lines: list[Line] = [((f"{name}{selection.kind.value}", "bold"),)]
    if not selection.token:
        return [*lines, (("no such contract is listed", "muted"),)]
    state = state_of(int(columns.state[row]))
    tone = "" if STATE_WORDS[state] == "LIVE" else "attention"
    iv = float(columns.implied_volatility[row])
    why = iv_reason(int(columns.iv_reason[row]))
    iv_line: Line = (("IV      ", "muted"), (volatility(iv, glyphs), ""))
    if iv != iv and why:  # noqa: PLR0124 - NaN is the value that differs from itself
        iv_line = (*iv_line, (f" {why}", "muted"))
    else:
        source = iv_input(int(columns.iv_input[row]))
        iv_line = (
            *iv_line,
            (f" {source:<4}  {glyphs.delta} ", "muted"),
            (option_delta(float(columns.delta[row]), glyphs), ""),
        )
    greeks: Line = (
        (f"{glyphs.theta} day".ljust(8), "muted"),
        (compact(float(columns.theta[row]), 8, glyphs, sign=True), ""),
        ("   vega ", "muted"),
        (compact(float(columns.vega[row]), 6, glyphs), ""),
    )
    return [
        *lines,
        (
            ("quote   ", "muted"),
            (STATE_WORDS[state], tone),
            (f" {age(float(columns.age_s[row]), glyphs)}", ""),
        ),
        (("last    ", "muted"), (price(float(columns.last[row]), glyphs), "")),
        (
            ("bid     ", "muted"),
            (price(float(columns.bid[row]), glyphs), ""),
            ("   ask ", "muted"),
            (price(float(columns.ask[row]), glyphs), ""),
        ),
        iv_line,
        greeks,
        EMPTY,
        (("b", "key"), (" buy  ", "muted"), ("s", "key"), (" sell  ", "muted"), ("10s", "key"), (" ten lots", "muted")),
    ]
