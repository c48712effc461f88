"""The dated facts of the market as rows: contradictions with the dump first, then what is not known, then the facts."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import date

import msgspec

from engine.core.rulebook import Certainty, Contradiction, RuleRow, RulesView
from workstation.formatting import Glyphs
from workstation.presenters.lines import EMPTY, Line, Span, clean, clip, filled, left, wrapped
from workstation.presenters.seen import Seen

TOPIC_WIDTH = 11
SUBJECT_WIDTH = 12
DAY_WIDTH = 10
CERTAINTY_WIDTH = 6
SOURCE_FROM = 110
"""Cells from which the source stands in the row; below, Enter tells it."""
SOURCE_SHARE = 0.3
CERTAINTY_TONES = {Certainty.HIGH: "muted", Certainty.MEDIUM: "", Certainty.LOW: "attention"}


class RuleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One row, what it is about in full, and its identity."""

    row_id: Hashable
    line: Line
    title: str
    details: tuple[tuple[str, str], ...]
    """Name and words of everything there is to say of it."""


def rule_rows(view: RulesView, words: str, width: int, glyphs: Glyphs) -> list[RuleLine]:
    """The rows that have every word of ``words`` somewhere, in any case."""
    asked = words.casefold().split()
    rows = [
        *(_contradiction(item, width, glyphs) for item in view.contradictions),
        *(_unknown(sentence, width, glyphs) for sentence in view.unknown),
        *(_rule(row, width, glyphs) for row in view.rows),
    ]
    return [row for row in rows if _has(row, asked)]


def rules_title(seen: Seen[RulesView], words: str, shown: int) -> list[Line]:
    """Which day, how much contradicts, how much is shown."""
    parts: list[Line] = [(("Rules", "title"),)]
    view = seen.value
    if view is not None:
        parts.append(((f"in force on {view.on:%a %d %b %Y}", "bold"),))
        wrong = len(view.contradictions)
        parts.append(((f"{wrong} against the dump", "attention" if wrong else "muted"),))
        if view.unknown:
            parts.append(((f"{len(view.unknown)} unknown", "attention"),))
        total = len(view.contradictions) + len(view.unknown) + len(view.rows)
        parts.append(((f"{shown} of {total}" if words else f"{total} rows", "muted"),))
    if words:
        parts.append(((f"/{clean(words)}", "key"),))
    if seen.trouble:
        parts.append(((clean(seen.trouble), "attention"),))
    return parts


def rules_heading(width: int) -> Line:
    """The names of the columns."""
    value = _value_width(width)
    source = "  source" if width >= SOURCE_FROM else ""
    text = (
        f"  {'topic':<{TOPIC_WIDTH}} {'about':<{SUBJECT_WIDTH}} {'fact':<{value}} {'since':<{DAY_WIDTH}} "
        f"{'sure':<{CERTAINTY_WIDTH}}{source}"
    )
    return filled(((text, "header"),), width, "header")


def waiting_lines(seen: Seen[RulesView], width: int, glyphs: Glyphs) -> list[Line]:
    """Why there is no row."""
    words = seen.trouble or ("no row has these words; Esc shows all" if seen.value else "the engine has been asked")
    tone = "attention" if seen.trouble else "muted"
    return [((f" {part}", tone),) for part in wrapped(f"{glyphs.unknown} {words}", max(1, width - 2))]


def detail_lines(row: RuleLine, width: int) -> list[Line]:
    """A row in full, for a dialog."""
    lines: list[Line] = []
    for name, words in row.details:
        first, *others = wrapped(words, max(1, width - 11))
        lines.append(((f"{name:<11}", "muted"), (first, "")))
        lines += [((" " * 11, ""), (part, "")) for part in others]
    return lines or [EMPTY]


def _value_width(width: int) -> int:
    rest = width - 2 - TOPIC_WIDTH - SUBJECT_WIDTH - DAY_WIDTH - CERTAINTY_WIDTH - 5
    return max(8, rest - (2 + int(width * SOURCE_SHARE) if width >= SOURCE_FROM else 0))


def _rule(row: RuleRow, width: int, glyphs: Glyphs) -> RuleLine:
    value = _value_width(width)
    spans: list[Span] = [
        ("  ", ""),
        (f"{left(clean(row.topic), TOPIC_WIDTH, glyphs)} ", "muted"),
        (f"{left(clean(row.subject), SUBJECT_WIDTH, glyphs)} ", "bold"),
        (f"{left(clean(row.value), value, glyphs)} ", ""),
        (f"{_day(row.since, glyphs):<{DAY_WIDTH}} ", "muted"),
        (f"{row.certainty.value:<{CERTAINTY_WIDTH}}", CERTAINTY_TONES[row.certainty]),
    ]
    if width >= SOURCE_FROM:
        spans.append((f"  {clip(clean(row.source), int(width * SOURCE_SHARE), glyphs)}", "muted"))
    until = f" to {row.until}" if row.until is not None else ""
    since = f"{row.since}{until}" if row.since is not None else f"since when is not known{until}"
    return RuleLine(
        row_id=("rule", row.topic, row.subject, row.value, row.since, row.until, row.source),
        line=filled(spans, width),
        title=f"{row.topic} {row.subject}".strip(),
        details=(
            ("fact", row.value),
            ("in force", since),
            ("source", row.source),
            ("certainty", f"{row.certainty.value}, checked {row.checked}"),
            ("origin", row.origin),
        ),
    )


def _contradiction(item: Contradiction, width: int, glyphs: Glyphs) -> RuleLine:
    spans: list[Span] = [
        ("! ", "attention"),
        (f"{left(clean(item.topic), TOPIC_WIDTH, glyphs)} ", "attention"),
        (f"{left(clean(item.subject), SUBJECT_WIDTH, glyphs)} ", "attention bold"),
        (clip(clean(item.message), max(0, width - 4 - TOPIC_WIDTH - SUBJECT_WIDTH), glyphs), "attention"),
    ]
    return RuleLine(
        row_id=("against", item.topic, item.subject, item.rule),
        line=filled(spans, width),
        title=f"{item.topic} {item.subject} against the dump".strip(),
        details=(("message", item.message), ("rule", item.rule), ("dump", item.dump)),
    )


def _unknown(sentence: str, width: int, glyphs: Glyphs) -> RuleLine:
    lead = f"? {'unknown':<{TOPIC_WIDTH}} "
    words = clip(clean(sentence), max(0, width - len(lead)), glyphs)
    return RuleLine(
        row_id=("unknown", sentence),
        line=filled(((lead, "attention"), (words, "attention")), width),
        title="Not known",
        details=(("unknown", sentence),),
    )


def _has(row: RuleLine, asked: list[str]) -> bool:
    text = " ".join([row.title, *(words for _, words in row.details)]).casefold()
    return all(word in text for word in asked)


def _day(day: date | None, glyphs: Glyphs) -> str:
    return glyphs.unknown if day is None else day.isoformat()
