"""Cuts a sentence into words that know their place. No word is changed, corrected or dropped."""

from __future__ import annotations

import re

import msgspec

JOINERS = frozenset({"&&", ";", "&"})
"""Pieces that end a step: ``&&`` and ``;`` join two, a single ``&`` joins nothing."""

_PIECE = re.compile(
    r"""
    && | ; | @
    | "[^"]*"?                                  # a quoted text, perhaps not closed yet
    | [^\s;@&"]+ (?: & (?!&) [^\s;@&"]+ )*      # a word; a name may have an ampersand inside (M&M)
    | &
    | "
    """,
    re.VERBOSE,
)


class Token(msgspec.Struct, frozen=True):
    """One word of a sentence and the column of its first character (0 is the first)."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Column after its last character."""
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """The text in lower case: keywords are the same in any case."""
        return self.text.casefold()

    @property
    def is_joiner(self) -> bool:
        """Whether it stands between two steps."""
        return self.text in JOINERS

    def part(self, start: int, end: int | None = None) -> Token:
        """A piece of this word, in its place."""
        return Token(self.text[start:end], self.start + start)


def tokenize(text: str) -> tuple[Token, ...]:
    """Cut ``text`` at white space, ``@``, ``;`` and ``&&``; every other character stays in its word."""
    return tuple(Token(match.group(), match.start()) for match in _PIECE.finditer(text))
