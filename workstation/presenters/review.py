"""The review of one command: what is asked, what would refuse it, and when ``y`` counts.

The price on the dialog is the price that goes. ``y`` sends only what was painted long enough ago, passed every check,
and still stands on the quote it was priced on; otherwise it is priced anew and asked again. A price that the trader
typed is never changed by this.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.commands import Command, ModifyOrder, PlaceBasket, PlaceOrder, Preview
from engine.core.plans import LegPreview
from engine.core.quotes import Quote
from engine.core.vocabulary import QuoteState, Side
from workstation.formatting import Glyphs, age, decimal_text, lots, money_exact, price, signed_price
from workstation.presenters.basket_review import QuoteOf, leg_lines, legs_objection, live_quote, margin_words
from workstation.presenters.draft import PricePolicy, adverse_move, policy_price
from workstation.presenters.eta import leaves_in
from workstation.presenters.lines import EMPTY, Line, clean, wrapped
from workstation.presenters.names import NEVER_SENDS, STATE_WORDS

LABEL_WIDTH = 10


class ReviewSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be reviewed."""

    command: Command
    title: str
    venue: str
    """``LIVE main AB1234``: stands in every dialog."""
    policy: PricePolicy = PricePolicy.FIXED
    """How its price follows the quote when it is priced anew; ``FIXED`` prices stay."""
    offset: Decimal = Decimal(0)
    tick: Decimal = Decimal("0.05")


class Verdict(StrEnum):
    """What ``y`` means now."""

    SEND = "send"
    NOT_PAINTED = "not painted"
    TOO_EARLY = "too early"
    REFUSED = "refused"
    REPRICE = "reprice"


class ReviewSession:
    """The state of one review dialog. Times are monotonic seconds."""

    def __init__(
        self,
        subject: ReviewSubject,
        *,
        delay_s: float,
        tolerance_ticks: int,
        quote_of: QuoteOf = lambda _: None,
    ) -> None:
        """``y`` counts ``delay_s`` after paint; the touch may move ``tolerance_ticks`` against the order.

        ``quote_of`` tells the living quotes of a basket's legs.
        """
        self.subject = subject
        self.quote_of = quote_of
        self.command: Command = subject.command
        self.preview: Preview | None = None
        self.trouble = ""
        """Why no preview could be had."""
        self.remark = ""
        """Why it was asked again."""
        self._basis: Quote | None = None
        self._delay_s = delay_s
        self._tolerance_ticks = tolerance_ticks
        self._tolerance = tolerance_ticks * subject.tick
        self._priced_at: float | None = None
        self._waived_legs: dict[int, QuoteState] = {}
        self._painted_at: float | None = None
        self._waived: QuoteState | None = None

    @property
    def can_send(self) -> bool:
        """Whether there is a Send at all."""
        return self.preview is not None and not self.preview.violations and not self.trouble

    @property
    def legs(self) -> tuple[LegPreview, ...]:
        """Those of a basket, once it is priced."""
        return () if self.preview is None else self.preview.legs

    def eta_words(self, now: float) -> str:
        """When the last of its orders could leave, counted from when that was worked out."""
        preview, since = self.preview, self._priced_at
        return "" if preview is None or since is None else leaves_in(preview.eta_s, waited_s=now - since)

    def priced(self, preview: Preview, live: Quote | None, now: float = 0.0) -> None:
        """Take the answer of the engine at ``now``; ``y`` counts only once this has been painted."""
        self.preview = preview
        self._priced_at = now
        self.trouble = ""
        self._basis = preview.quote if preview.quote is not None else live
        self._painted_at = None

    def failed(self, words: str) -> None:
        """The engine could not say what the command would do: nothing can be sent."""
        self.trouble = words
        self._painted_at = None

    def painted(self, now: float) -> None:
        """What is asked stands on the screen since ``now``."""
        if self._painted_at is None and (self.preview is not None or self.trouble):
            self._painted_at = now

    def verdict(self, now: float, live: Quote | None) -> Verdict:
        """What ``y`` does at ``now`` with ``live`` as the quote of the contract."""
        if self._painted_at is None or self.preview is None:
            return Verdict.NOT_PAINTED if not self.trouble else Verdict.REFUSED
        if now - self._painted_at < self._delay_s:
            return Verdict.TOO_EARLY
        if not self.can_send:
            return Verdict.REFUSED
        return Verdict.SEND if not self._objection(live) else Verdict.REPRICE

    def reprice(self, live: Quote | None) -> None:
        """Give the command the price of ``live`` and remember why it is asked again."""
        self.remark = self._objection(live)
        if live is not None and live.state not in NEVER_SENDS:
            self._waived = live.state
        seen = [live_quote(leg, self.quote_of) for leg in self.legs]
        self._waived_legs = {
            quote.token: quote.state for quote in seen if quote is not None and quote.state not in NEVER_SENDS
        }
        self.preview = None
        self._painted_at = None
        request = self.command.request if isinstance(self.command, PlaceOrder) else None
        if request is None or self.subject.policy is PricePolicy.FIXED:
            return
        fresh = policy_price(self.subject.policy, live, request.side, self.subject.tick)
        if fresh is None or fresh + self.subject.offset <= 0:
            return
        changed = msgspec.structs.replace(request, price=fresh + self.subject.offset)
        self.command = msgspec.structs.replace(self.command, request=changed)

    def side(self) -> Side | None:
        """The side of the order under review."""
        if isinstance(self.command, PlaceOrder):
            return self.command.request.side
        return self.preview.request.side if self.preview is not None and self.preview.request is not None else None

    def move(self, live: Quote | None) -> Decimal | None:
        """How far the touch has moved against the order since it was priced."""
        side = self.side()
        if self._basis is None or live is None or side is None:
            return None
        return adverse_move(self._basis, live, side)

    def _objection(self, live: Quote | None) -> str:
        """Why the present quote does not carry what is on the screen; empty when it does."""
        if isinstance(self.command, PlaceBasket):
            return legs_objection(
                self.legs, self.quote_of, tolerance_ticks=self._tolerance_ticks, waived=self._waived_legs
            )
        if not isinstance(self.command, PlaceOrder | ModifyOrder) or (self._basis is None and live is None):
            return ""
        if live is None:
            return "there is no quote of it any more"
        if live.state is not QuoteState.LIVE and live.state is not self._waived:
            return f"the quote is {STATE_WORDS[live.state]}, {age(live.age_s)} old"
        if live.state in NEVER_SENDS:
            return f"the quote is {STATE_WORDS[live.state]}"
        moved = self.move(live)
        if moved is None:
            side = self.side()
            had = self._basis is not None and side is not None and self._basis.touch(side) is not None
            return "the other side of the book is empty" if had else ""
        if moved > self._tolerance:
            return f"the price moved {signed_price(moved)} against you"
        return ""


def review_lines(
    session: ReviewSession, live: Quote | None, width: int, glyphs: Glyphs, *, now: float = 0.0
) -> list[Line]:
    """The body of the dialog at ``now``; the consequence stands first, so that it is seen on the smallest screen."""
    preview = session.preview
    if session.trouble:
        return [*_paragraph(session.trouble, width, "attention"), EMPTY, (("Nothing can be sent.", ""),)]
    if preview is None:
        remark = _paragraph(f"Asked again: {session.remark}.", width, "attention") if session.remark else []
        return [*remark, (("being priced and checked", "muted"),)]
    lines = _paragraph(preview.sentence, width, "bold")
    lines.append(EMPTY)
    lines += _order_lines(preview, glyphs)
    if preview.legs:
        lines += [*leg_lines(preview.legs, session.quote_of, width, glyphs), EMPTY]
    lines += _money_lines(preview, glyphs)
    if preview.margin_paths is not None:
        first, *others = margin_words(preview.margin_paths, glyphs)
        lines += _labelled("margin", first, width, "")
        lines += [line for words in others for line in _labelled("", words, width, "muted")]
    if preview.charge_notes:
        lines += _labelled("charges", " ".join(preview.charge_notes), width, "")
    for note in preview.notes:
        lines += _labelled("note", note, width, "")
    lines += _quote_lines(session, live, glyphs)
    if preview.violations:
        count = len(preview.violations)
        lines.append(EMPTY)
        verb = "check refuses" if count == 1 else "checks refuse"
        lines.append(((f"Sending is not open: {count} {verb}.", "attention"),))
        for violation in preview.violations:
            lines += _labelled(violation.check, violation.message, width, "attention")
    else:
        count = len(preview.notes)
        notes = f", {count} note{'' if count == 1 else 's'}" if count else ""
        lines += _labelled("checks", f"all pass{notes}", width, "")
    if leaves := session.eta_words(now):
        lines += _labelled("limits", f"{leaves}, behind what waits", width, "attention")
    if session.remark:
        lines += _paragraph(f"Asked again: {session.remark}.", width, "attention")
    return [*lines, EMPTY]


def _order_lines(preview: Preview, glyphs: Glyphs) -> list[Line]:
    request = preview.request
    if request is None:
        return []
    size = lots(request.quantity, preview.lot_size)
    units = decimal_text(request.quantity, 0)
    trigger = f" trigger {price(request.trigger_price, glyphs)}" if request.trigger_price is not None else ""
    at = price(request.price, glyphs) if request.price is not None else "market"
    order: Line = (
        ("order".ljust(LABEL_WIDTH), "muted"),
        (f"{request.side.value} {size} = {units} units {request.instrument.tradingsymbol}", "bold"),
    )
    terms: Line = (
        ("price".ljust(LABEL_WIDTH), "muted"),
        (at, "bold"),
        (f"{trigger}  {request.order_type.value} {request.product.value} {request.validity.value}", ""),
    )
    return [order, terms]


def _money_lines(preview: Preview, glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    if preview.cash is not None:
        word = "receive" if preview.cash > 0 else "pay"
        lines.append(
            (
                ("premium".ljust(LABEL_WIDTH), "muted"),
                (f"{word} {money_exact(abs(preview.cash), glyphs).lstrip('+')} before charges", ""),
            )
        )
    if preview.charges is not None:
        words = f"{money_exact(preview.charges, glyphs).lstrip('+')} when it fills wholly"
        if preview.cash is not None:
            in_all = preview.cash - preview.charges
            words += f": {'receive' if in_all > 0 else 'pay'} {money_exact(abs(in_all), glyphs).lstrip('+')} in all"
        lines.append((("charges".ljust(LABEL_WIDTH), "muted"), (words, "")))
    if preview.round_trip_charges is not None:
        both = money_exact(preview.round_trip_charges, glyphs).lstrip("+")
        lines.append(((" " * LABEL_WIDTH, "muted"), (f"{both} for the round trip, leaving at the touch", "")))
    if preview.margin is not None and preview.margin_paths is None:
        words = f"{money_exact(preview.margin, glyphs).lstrip('+')}, as the broker says"
        lines.append((("margin".ljust(LABEL_WIDTH), "muted"), (words, "")))
    if preview.impact is not None and preview.impact.levels:
        plural = "" if preview.impact.levels == 1 else "s"
        words = f"{preview.impact.levels} level{plural}, average {price(preview.impact.average_price, glyphs)}"
        lines.append((("impact".ljust(LABEL_WIDTH), "muted"), (words, "")))
    if preview.position_before is not None and preview.position_after is not None:
        before = lots(preview.position_before, preview.lot_size, sign=True)
        after = lots(preview.position_after, preview.lot_size, sign=True)
        lines.append((("position".ljust(LABEL_WIDTH), "muted"), (f"{before} > {after} when filled", "")))
    return lines


def _quote_lines(session: ReviewSession, live: Quote | None, glyphs: Glyphs) -> list[Line]:
    if live is None:
        return []
    word = STATE_WORDS[live.state]
    moved = session.move(live)
    tail = ""
    if moved:
        tail = f", moved {signed_price(abs(moved), glyphs)} {'against' if moved > 0 else 'for'} you"
    return [
        (
            ("quote".ljust(LABEL_WIDTH), "muted"),
            (f"{price(live.bid, glyphs)} / {price(live.ask, glyphs)}  ", ""),
            (word, "" if live.state is QuoteState.LIVE else "attention"),
            (f" {age(live.age_s, glyphs)}", ""),
            (tail, "attention" if moved is not None and moved > 0 else ""),
        )
    ]


def _paragraph(text: str, width: int, tone: str) -> list[Line]:
    return [((part, tone),) for part in wrapped(text, width)]


def _labelled(label: str, text: str, width: int, tone: str) -> list[Line]:
    parts = wrapped(text, max(1, width - LABEL_WIDTH))
    first: Line = ((clean(label)[: LABEL_WIDTH - 1].ljust(LABEL_WIDTH), "muted"), (parts[0], tone))
    return [first, *(((" " * LABEL_WIDTH, ""), (part, tone)) for part in parts[1:])]
