"""Parts of a page with titles, stacked in columns: what does not fit is cut, and the cut is counted, never silent.

A page is a list of ``Section``; the next part of a page is one more of them. Plain Python: no widget, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workstation.formatting import Glyphs
from workstation.presenters.lines import EMPTY, Line, Span, clip, filled, merged, rule, title, width_of

SHOWN_LEAST = 2
"""Lines of a section, its title included, below which it gives nothing away to its neighbours."""
SHORT_NAME = 4
CALL = "!"
"""Between digit and name of a section that asks to be looked at, where there is no room for a word."""
CALLS = "ACT"


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a page."""

    number: int
    """The digit that goes there."""
    name: str
    lines: Callable[[int], list[Line]]
    """Everything it has to say in so many cells."""
    calls: bool = False
    """Whether something in it asks to be acted on; its name says so."""


@dataclass(frozen=True, slots=True)
class Focus:
    """What is chosen: a section, and how far it is scrolled."""

    section: int
    first: int = 0


class Pager:
    """Draws sections for one page.

    Args:
        focus: What is chosen.
        glyphs: The signs of this terminal.
        simulated: Whether rules are dotted.
    """

    def __init__(self, focus: Focus, glyphs: Glyphs, *, simulated: bool) -> None:
        self._focus = focus
        self._glyphs = glyphs
        self._simulated = simulated

    def ruled(self, parts: Sequence[Line], width: int, start: str = "") -> Line:
        """A title line."""
        return rule(list(parts), width, self._glyphs, simulated=self._simulated, start=start)

    def tabs(self, sections: Sequence[Section], width: int) -> Line:
        """All sections by their digits in one line, for pages that show one at a time."""

        def line(gap: str, longest: int) -> list[Span]:
            spans: list[Span] = [(" ", "")]
            for section in sections:
                chosen = section.number == self._focus.section
                name = section.name if chosen else section.name[:longest]
                words, tone = title(section.number, name, focused=chosen)[0]
                spans.append((words.replace(" ", CALL, 1) if section.calls else words, _called(tone, section)))
                spans.append((gap, ""))
            return spans[:-1]

        whole = max((len(section.name) for section in sections), default=0)
        forms = (line("  ", whole), line(" ", whole), line(" ", SHORT_NAME))
        return filled(next((form for form in forms if width_of(form) <= width), forms[-1]), width)

    def alone(self, section: Section, width: int, height: int) -> list[Line]:
        """One section in exactly ``height`` lines."""
        return self._cut(section, width, height)

    def column(self, sections: Sequence[Section], width: int, height: int, *, joined: bool = False) -> list[Line]:
        """Sections below each other in exactly ``height`` lines; ``joined``: a rail at the left, beside another."""
        rail: list[Span] = [(self._glyphs.bar, "rule")] if joined else []
        inner = width - len(rail)
        heights = _shares([1 + len(section.lines(inner)) for section in sections], height)
        result: list[Line] = []
        for place, (section, share) in enumerate(zip(sections, heights, strict=True)):
            if not share:
                continue
            start = (self._glyphs.tee_right if place else self._glyphs.tee_down) if joined else ""
            name = title(section.number, section.name, focused=section.number == self._focus.section)
            calls: list[Line] = [((CALLS, "attention"),)] if section.calls else []
            result.append(self.ruled([name, *calls], width, start))
            result += [merged(filled((*rail, *line), width)) for line in self._cut(section, inner, share - 1)]
        empty = filled((*rail, *EMPTY), width)
        return [*result, *[empty] * height][:height]

    def _cut(self, section: Section, width: int, height: int) -> list[Line]:
        """The lines in sight in exactly ``height`` lines; the last one counts what is below."""
        if height < 1:
            return []
        lines = section.lines(width)
        chosen = section.number == self._focus.section
        first = min(self._focus.first if chosen else 0, max(0, len(lines) - height))
        below = len(lines) - first - height
        shown = lines[first : first + height]
        if below > 0:
            words = f"{self._glyphs.ellipsis} {below + 1} more lines: w {section.number}, then z and j"
            shown[-1] = ((f" {clip(words, width - 1, self._glyphs)}", "muted"),)
        return [filled(line, width) for line in [*shown, *[EMPTY] * height][:height]]


def _called(tone: str, section: Section) -> str:
    return "title attention" if section.calls and tone == "title" else tone


def beside(columns: Sequence[list[Line]]) -> list[Line]:
    """Columns of one height put beside each other."""
    return [merged(span for line in row for span in line) for row in zip(*columns, strict=True)]


def _shares(wanted: list[int], height: int) -> list[int]:
    """Lines for each: as wanted where they fit, else the greatest give until all have something."""
    shares = list(wanted)
    while sum(shares) > height:
        largest = max(range(len(shares)), key=lambda place: shares[place])
        if shares[largest] <= SHOWN_LEAST:
            # Not even the least for each: the last ones are left out.
            break
        shares[largest] -= 1
    while sum(shares) > height and shares:
        place = max(place for place, share in enumerate(shares) if share)
        shares[place] = 0
    return shares
