"""The volatility screen as lines: where each pane goes at a size, and what stands in it. Plain Python throughout.

A pane never shows an answer about another expiry: until the asked one is there it says so. An answer that could not be
renewed stays, with its age and the reason beside its name.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from engine.core.analysis import SeriesView, SmileView, VolatilityView
from engine.core.views import ChainHeader, ChainKey
from engine.core.vocabulary import QuoteState
from workstation.formatting import Glyphs, age, expiry_day, time_to_expiry, volatility
from workstation.presenters.chain_header import forward_words
from workstation.presenters.lines import EMPTY, Line, clean, cut, filled, merged, rule, title, width_of, wrapped
from workstation.presenters.names import STATE_WORDS
from workstation.presenters.seen import Seen
from workstation.presenters.series_chart import ChartChoice, series_lines
from workstation.presenters.smile import mispricing_lines, smile_figures, smile_plot
from workstation.presenters.term_structure import term_lines
from workstation.presenters.volatility import flowing, history_lines, volatility_reasons

SIDE_FROM_WIDTH = 120
SIDE_FROM_HEIGHT = 26
"""From here all panes stand beside each other; below, one at a time."""
SIDE_SHARE = 0.4
SIDE_LEAST = 48
SIDE_MOST = 76
HISTORY_LEAST = 12
HISTORY_SHARE = 0.32
TERMS_LEAST = 8
TERMS_SHARE = 0.4
SMILE_SHARE = 0.5
TROUBLE_LEAST = 12
"""Cells below which the reason is left to the key that tells it."""

SMILE, MISPRICED, TERMS, HISTORY, MINUTES = range(1, 6)
PANES = {
    SMILE: "Smile",
    MISPRICED: "Rich and cheap",
    TERMS: "Expiries",
    HISTORY: "History, futures",
    MINUTES: "Minutes",
}


@dataclass(frozen=True, slots=True)
class VolatilityPicture:
    """Everything the screen draws."""

    key: ChainKey | None
    label: str
    header: ChainHeader | None
    """Of the chain in view, while its prices are known."""
    feed: QuoteState
    smile: Seen[SmileView]
    volatility: Seen[VolatilityView]
    series: Seen[SeriesView]
    trouble: str = ""
    """Why there is no chain."""


class VolatilityChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has chosen to look at."""

    chart: ChartChoice = ChartChoice()
    pane: int = SMILE
    zoomed: bool = False


def shows_all(width: int, height: int) -> bool:
    """Whether all panes fit beside each other."""
    return width >= SIDE_FROM_WIDTH and height >= SIDE_FROM_HEIGHT


def volatility_page(
    picture: VolatilityPicture, choice: VolatilityChoice, width: int, height: int, glyphs: Glyphs, *, simulated: bool
) -> list[Line]:
    """The title and the panes in exactly ``height`` lines of ``width`` cells."""
    page = _Page(picture, choice, glyphs, simulated=simulated)
    head = page.ruled(page.title_parts(), width)
    room = height - 1
    if not shows_all(width, height) or choice.zoomed:
        body = [page.tabs(width), *page.pane_lines(choice.pane, width, room - 1)]
        return [filled(line, width) for line in [head, *body, *[EMPTY] * height][:height]]
    side = min(max(int(width * SIDE_SHARE), SIDE_LEAST), SIDE_MOST)
    main = width - side
    top = int(room * SMILE_SHARE)
    history = max(HISTORY_LEAST, int(room * HISTORY_SHARE))
    terms = max(TERMS_LEAST, int((room - history) * TERMS_SHARE))
    left = [*page.framed(SMILE, main, top), *page.framed(MINUTES, main, room - top)]
    right = [
        *page.framed(MISPRICED, side, room - history - terms, start=glyphs.tee_down),
        *page.framed(TERMS, side, terms, start=glyphs.tee_right),
        *page.framed(HISTORY, side, history, start=glyphs.tee_right),
    ]
    return [head, *(merged((*filled(a, main), *filled(b, side))) for a, b in zip(left, right, strict=True))]


def why_sentences(picture: VolatilityPicture) -> list[str]:
    """Every reason for a figure that is missing or old, each with what it is about; a sentence when there is none."""
    sentences = []
    if picture.trouble:
        sentences.append(f"Chain: {picture.trouble}")
    if picture.header is not None:
        if picture.header.reason:
            sentences.append(f"Chain: {picture.header.reason}.")
        if picture.header.smile_reason:
            sentences.append(f"Smile grade {picture.header.smile_grade}: {picture.header.smile_reason}.")
    for name, seen in (("Smile", picture.smile), ("Volatility", picture.volatility), ("Minutes", picture.series)):
        if seen.trouble:
            sentences.append(f"{name}: {seen.trouble}")
        elif seen.is_stale and seen.age_s is not None:
            sentences.append(f"{name}: the answer is {age(seen.age_s)} old and a newer one has not come.")
        elif seen.value is None:
            sentences.append(f"{name}: the engine has been asked and has not answered yet.")
    if picture.smile.value is not None:
        header = picture.header
        said = {_ended(reason) for reason in (header.reason, header.smile_reason)} if header is not None else set()
        reasons = [part for part in picture.smile.value.reason.split("; ") if part and _ended(part) not in said]
        sentences += [f"Smile: {reason}." for reason in reasons]
    sentences += [f"Volatility: {reason}." for reason in volatility_reasons(picture.volatility.value)]
    if picture.feed is not QuoteState.LIVE:
        sentences.append(f"Prices are {STATE_WORDS[picture.feed]}: figures are of the last ones that came.")
    unique = [_ended(sentence) for sentence in dict.fromkeys(sentences)]
    return unique or ["Nothing is missing: every figure of this screen is known and new."]


class _Page:
    """One drawing of the screen."""

    def __init__(
        self, picture: VolatilityPicture, choice: VolatilityChoice, glyphs: Glyphs, *, simulated: bool
    ) -> None:
        self._picture = picture
        self._choice = choice
        self._glyphs = glyphs
        self._simulated = simulated

    def ruled(self, parts: list[Line], width: int, start: str = "") -> Line:
        return rule(parts, width, self._glyphs, simulated=self._simulated, start=start)

    def title_parts(self) -> list[Line]:
        """Which chain, how long it has, and how far its figures can be trusted."""
        picture, glyphs, header = self._picture, self._glyphs, self._picture.header
        parts: list[Line] = [(("Volatility", "title"),)]
        if picture.key is None:
            return [*parts, ((clean(picture.trouble) or "no chain yet", "attention"),)]
        label = f" {picture.label}" if picture.label else ""
        parts.append(((f"{picture.key.underlying}{label} {expiry_day(picture.key.expiry, spaced=True)}", "bold"),))
        if picture.feed is not QuoteState.LIVE:
            parts.append(((f"prices {STATE_WORDS[picture.feed]}", "attention"),))
        if header is None:
            return [*parts, ((clean(picture.trouble) or "waiting for the first prices", "muted"),)]
        parts += [
            ((time_to_expiry(header.seconds_to_expiry, glyphs, short=True), ""),),
            ((f"fwd {forward_words(header, glyphs)}", ""),),
            ((f"IV {volatility(header.atm_volatility, glyphs)}", ""),),
        ]
        return parts

    def tabs(self, width: int) -> Line:
        """The panes by their digits, for screens that show one at a time."""
        spans = [(" ", "")]
        for number, name in PANES.items():
            spans += [*title(number, name, focused=number == self._choice.pane), ("  ", "")]
        return filled(spans, width)

    def framed(self, pane: int, width: int, height: int, *, start: str = "") -> list[Line]:
        """A pane with its title, and a rail at its left where it stands beside another."""
        name = title(pane, PANES[pane], focused=pane == self._choice.pane)
        head = self.ruled([name, *self._notes(pane, width - width_of(name))], width, start)
        if not start:
            return [head, *(filled(line, width) for line in self._content(pane, width, height - 1))]
        rail = (self._glyphs.bar, "rule")
        body = self._content(pane, width - 1, height - 1)
        return [head, *(filled((rail, *line), width) for line in body)]

    def pane_lines(self, pane: int, width: int, height: int) -> list[Line]:
        """One pane alone; what would stand in its title comes first."""
        notes = self._notes(pane, width)
        lines: list[Line] = [filled(((" ", ""), *_joined(notes)), width)] if notes else []
        return [*lines, *self._content(pane, width, height - len(lines))]

    def _notes(self, pane: int, width: int) -> list[Line]:
        """What is said about a pane's answer: what it shows, how old it is, why there is no newer one."""
        seen, choice = self._seen(pane), self._choice
        notes: list[Line] = []
        if pane == MINUTES:
            notes = [((choice.chart.series.title, "bold"),), ((choice.chart.indicator.title, "muted"),)]
        if seen.is_stale:
            notes.append(((f"~ {age(seen.age_s)} old", "attention"),))
        room = width - sum(width_of(note) + 3 for note in notes) - 4
        if seen.trouble and seen.value is not None and room >= TROUBLE_LEAST:
            notes.append(cut(((clean(seen.trouble), "attention"),), room))
        return notes

    def _seen(self, pane: int) -> Seen[SmileView] | Seen[VolatilityView] | Seen[SeriesView]:
        picture = self._picture
        if pane in {SMILE, MISPRICED}:
            return picture.smile
        return picture.series if pane == MINUTES else picture.volatility

    def _content(self, pane: int, width: int, height: int) -> list[Line]:
        """The inside of a pane in exactly ``height`` lines."""
        if height < 1:
            return []
        picture, glyphs = self._picture, self._glyphs
        seen = self._seen(pane)
        if seen.value is None:
            words = seen.trouble or picture.trouble or "the engine has been asked"
            tone = "attention" if seen.trouble or picture.trouble else "muted"
            lines: list[Line] = [
                ((f" {part}", tone),) for part in wrapped(f"{glyphs.unknown} {words}", max(1, width - 2))
            ]
            return [*lines, *[EMPTY] * height][:height]
        if pane == SMILE and picture.smile.value is not None:
            figures = flowing(smile_figures(picture.smile.value, glyphs), width, glyphs)
            plot = smile_plot(picture.smile.value, width, max(0, height - len(figures)), glyphs)
            return [*figures, *plot, *[EMPTY] * height][:height]
        if pane == MISPRICED:
            return mispricing_lines(picture.smile.value, width, height, glyphs)
        if pane == TERMS:
            return term_lines(picture.volatility.value, width, height, glyphs)
        if pane == HISTORY:
            return history_lines(picture.volatility.value, width, height, glyphs)
        return series_lines(picture.series.value, self._choice.chart, width, height, glyphs)


def _joined(notes: list[Line]) -> Line:
    spans: list[tuple[str, str]] = []
    for note in notes:
        spans += [*([("   ", "")] if spans else []), *note]
    return tuple(spans)


def _ended(sentence: str) -> str:
    return f"{sentence.rstrip('.')}."
