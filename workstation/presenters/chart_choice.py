"""What a person looks at on the Charts screen: which instrument, how long a candle, what is drawn with it."""

from __future__ import annotations

from typing import Final

import msgspec

from engine.core.bars import BarInterval
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import InstrumentKind

INTERVALS: Final = tuple(BarInterval)
"""From short to long."""
PITCHES: Final = (1, 2, 4)
"""Cells from one candle to the next."""
LOADS: Final[dict[BarInterval, tuple[int, ...]]] = {
    BarInterval.MINUTE: (0, 4, 11),
    BarInterval.MINUTES_3: (0, 4, 11, 25),
    BarInterval.MINUTES_5: (4, 11, 25),
    BarInterval.MINUTES_15: (11, 25, 55),
    BarInterval.MINUTES_60: (25, 55),
}
"""How many days before today are loaded at first, and then each time somebody goes back farther: the last is the end.
"""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a study."""

    part: str
    """Of its column's name; empty for a study that is one line."""
    name: str
    """Empty for a line whose figure is not told."""
    tone: str


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be drawn with candles; its letter is the key after ``i`` and stands beside what is drawn."""

    letter: str
    title: str
    word: str = ""
    """What the engine is asked for; empty for a column that is always there."""
    curves: tuple[Curve, ...]
    span: tuple[float, float] | None = None
    """The whole scale of a study that has one."""
    guides: tuple[float, ...] = ()

    def columns(self) -> tuple[tuple[Curve, str], ...]:
        """Its lines with the columns of the answer they are drawn from."""
        return tuple((curve, "_".join(filter(None, (self.word, curve.part)))) for curve in self.curves)


def _single(letter: str, title: str, word: str, tone: str) -> Study:
    return Study(letter=letter, title=title, word=word, curves=(Curve(part="", name=title, tone=tone),))


OVER: Final = (
    _single("e", "EMA 20", "ema_20", "key"),
    _single("v", "VWAP", "vwap", "bold"),
    Study(
        letter="b",
        title="Bollinger 20",
        word="bollinger_20",
        curves=(
            Curve(part="upper", name="upper", tone="muted"),
            Curve(part="middle", name="", tone="faint"),
            Curve(part="lower", name="lower", tone="muted"),
        ),
    ),
    Study(
        letter="s",
        title="Supertrend 10",
        word="supertrend_10",
        curves=(Curve(part="line", name="Supertrend", tone="attention"),),
    ),
    Study(
        letter="c",
        title="CPR",
        word="cpr",
        curves=(
            Curve(part="top", name="top", tone="muted"),
            Curve(part="pivot", name="pivot", tone="key"),
            Curve(part="bottom", name="bottom", tone="muted"),
        ),
    ),
)
"""Drawn over the candles, on their scale."""
OPEN_INTEREST: Final = Study(letter="o", title="OI lakh", curves=(Curve(part="", name="OI", tone="bold"),))
RSI: Final = Study(
    letter="r",
    title="RSI 14",
    word="rsi_14",
    curves=(Curve(part="", name="RSI 14", tone="key"),),
    span=(0.0, 100.0),
    guides=(30.0, 70.0),
)
BELOW: Final = (RSI, _single("a", "ATR 14", "atr_14", "key"), OPEN_INTEREST)
"""Each in a strip of its own."""
NO_STUDY: Final = "x"
STUDY_WORDS: Final = "  ".join(
    [*(f"{study.letter} {study.title}" for study in (*OVER, *BELOW)), f"{NO_STUDY} none of them"]
)


class ChartTarget(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument to chart: by its lasting name where that is known, else by the words to search it by."""

    key: InstrumentKey | None = None
    words: str = ""
    token: int = 0
    """Only this very instrument is taken for an answer; 0 where any may be."""
    kind: InstrumentKind | None = None
    """The first of this kind is taken, where there is one."""

    @property
    def search(self) -> str:
        """What to search for."""
        return self.key.tradingsymbol if self.key is not None else self.words


class ChartChoice(msgspec.Struct, frozen=True, kw_only=True):
    """How it is looked at."""

    interval: BarInterval = BarInterval.MINUTES_5
    letters: frozenset[str] = frozenset({"e"})
    """Of the studies that are drawn."""
    pitch: int = PITCHES[0]

    def over(self) -> tuple[Study, ...]:
        """Chosen ones on the price's scale, in their order."""
        return tuple(study for study in OVER if study.letter in self.letters)

    def below(self) -> tuple[Study, ...]:
        """Chosen ones with a strip of their own."""
        return tuple(study for study in BELOW if study.letter in self.letters)

    def words(self) -> tuple[str, ...]:
        """What the engine is asked for."""
        return tuple(study.word for study in (*self.over(), *self.below()) if study.word)

    def toggled(self, letter: str) -> ChartChoice:
        """One study more or less; ``NO_STUDY`` takes all away."""
        letters = frozenset[str]() if letter == NO_STUDY else self.letters ^ {letter}
        return msgspec.structs.replace(self, letters=letters)


def is_study_letter(letter: str) -> bool:
    """Whether a key names a study, or none of them."""
    return letter == NO_STUDY or any(study.letter == letter for study in (*OVER, *BELOW))
