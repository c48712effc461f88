"""Walks the words of one sentence with one word of look-ahead, and turns what does not fit into one error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from engine.core.commands import SentenceError
from engine.core.errors import InvalidInput
from engine.language.tokens import Token, tokenize

CHOICES_MAX = 20
"""Longer lists help nobody; the list is for completion, not for reading."""
NEAREST_MAX = 3
COMMA = ","
"""Stands between the parts of a list; between two digits it belongs to the number."""


class SentenceInvalid(InvalidInput):
    """A sentence that cannot be acted on; ``error`` says why and where."""

    def __init__(self, error: SentenceError) -> None:
        """Keep the error as data."""
        super().__init__(error.message, place=error.place)
        self.error = error


class Cursor:
    """The place of reading inside one sentence."""

    ends: frozenset[str] = frozenset()
    """Words, in lower case, that end what is being read."""

    def __init__(self, text: str) -> None:
        """Start at the first word of ``text``."""
        self.text = text
        self._tokens = tokenize(text)
        self._index = 0

    @property
    def end_place(self) -> int:
        """Column where the next word would begin: the joiner's, or the end of the text."""
        token = self._current()
        return len(self.text) if token is None else token.start

    def _current(self) -> Token | None:
        return self._tokens[self._index] if self._index < len(self._tokens) else None

    def peek(self) -> Token | None:
        """The next word of this step; ``None`` at its end. A joiner ends a step."""
        token = self._current()
        return None if token is None or token.is_joiner else token

    def take(self, missing: str, choices: Iterable[str] = ()) -> Token:
        """The next word, consumed.

        Raises:
            SentenceInvalid: there is none; ``missing`` says what is needed.
        """
        token = self.peek()
        if token is None:
            raise self.missing(missing, choices)
        self._index += 1
        return token

    def accept(self, *words: str) -> Token | None:
        """Consume the next word if it is one of ``words`` (lower case)."""
        token = self.peek()
        if token is None or token.word not in words:
            return None
        self._index += 1
        return token

    def skip(self) -> None:
        """Consume the word that was just looked at."""
        self._index += 1

    def wrong(self, message: str, token: Token, choices: Iterable[str] = ()) -> SentenceInvalid:
        """The error of ``token``. It is unfinished when it is still being typed and begins one of ``choices``."""
        fitting = tuple(choices)
        begun = tuple(choice for choice in fitting if choice.casefold().startswith(token.word))
        unfinished = bool(begun) and token.end == len(self.text)
        return SentenceInvalid(
            SentenceError(
                message=message,
                place=token.start,
                length=max(1, len(token.text)),
                incomplete=unfinished,
                choices=(begun if unfinished else fitting)[:CHOICES_MAX],
            )
        )

    def missing(self, message: str, choices: Iterable[str] = ()) -> SentenceInvalid:
        """The error of a sentence that needs more at its end."""
        return SentenceInvalid(
            SentenceError(
                message=message,
                place=self.end_place,
                length=1,
                incomplete=self._current() is None,
                choices=tuple(choices)[:CHOICES_MAX],
            )
        )

    def finish(self, allowed: str, choices: Iterable[str] = ()) -> None:
        """Make sure that nothing is left over.

        Raises:
            SentenceInvalid: a joiner or a word that does not fit; ``allowed`` says what could stand there.
        """
        token = self._current()
        if token is None:
            return
        if token.text == "&":
            raise self.wrong('"&" joins nothing. && = when the first is done; ; = both now.', token)
        if token.is_joiner:
            meaning = "the next when the first is done" if token.text == "&&" else "both now"
            raise self.wrong(
                f'"{token.text}" ({meaning}) is not available in this version. Write one sentence at a time.', token
            )
        raise self.wrong(f'"{token.text}" does not fit here. {allowed}', token, choices)


class ListCursor(Cursor):
    """Walks a list of parts. Who reads one part sees its end at a comma, or at a word that begins something else.

    Args:
        text: The whole sentence; places count from its first character.
        ends: Words, in lower case, at which a part is over.
    """

    def __init__(self, text: str, ends: frozenset[str]) -> None:
        super().__init__(text)
        self._tokens = tuple(piece for token in self._tokens for piece in _at_commas(token))
        self.ends = ends | {COMMA}

    def mark(self) -> Token | None:
        """The next word, whether it ends a part or not; ``None`` at the end of the step."""
        return super().peek()

    def peek(self) -> Token | None:
        """The next word of this part; ``None`` at its end."""
        token = super().peek()
        return None if token is None or token.word in self.ends else token

    def finish(self, allowed: str, choices: Iterable[str] = ()) -> None:
        """Make sure that the part is over.

        Raises:
            SentenceInvalid: as ``Cursor.finish``.
        """
        token = self._current()
        if token is None or token.word not in self.ends:
            super().finish(allowed, choices)

    def close(self) -> None:
        """Make sure that the list ends with the text.

        Raises:
            SentenceInvalid: a joiner is left over.
        """
        super().finish("Nothing follows.")


def _at_commas(token: Token) -> Iterator[Token]:
    """A word and the commas around it apart; a quoted text stays whole."""
    begin = 0
    for place, character in enumerate(token.text):
        if character != COMMA or token.text[0] == '"' or token.text[place + 1 : place + 2].isdigit():
            continue
        if place > begin:
            yield token.part(begin, place)
        yield token.part(place, place + 1)
        begin = place + 1
    if begin < len(token.text):
        yield token.part(begin)


def nearest(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """Known words that look like ``word``, best first."""
    by_folded = {item.casefold(): item for item in known}
    begun = [item for folded, item in by_folded.items() if word and folded.startswith(word.casefold())]
    close = [by_folded[match] for match in get_close_matches(word.casefold(), by_folded, n=NEAREST_MAX)]
    return tuple(dict.fromkeys([*close, *begun]))[:NEAREST_MAX]
