"""The closed word lists of the field, spelled as on the broker's wire where one exists."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Exchange(StrEnum):
    """Where an instrument trades, as Kite spells it."""

    NSE = "NSE"
    BSE = "BSE"
    NFO = "NFO"
    BFO = "BFO"
    CDS = "CDS"
    BCD = "BCD"
    MCX = "MCX"
    NCO = "NCO"


class InstrumentKind(StrEnum):
    """What an instrument is. ``INDEX`` is ours: Kite's dump calls an index row ``EQ`` in segment ``INDICES``."""

    EQUITY = "EQ"
    FUTURE = "FUT"
    CALL = "CE"
    PUT = "PE"
    INDEX = "INDEX"

    @property
    def is_option(self) -> bool:
        """Whether it is a call or a put."""
        return self in {InstrumentKind.CALL, InstrumentKind.PUT}


class Side(StrEnum):
    """Buy or sell."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what it does to a signed quantity."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY


class Product(StrEnum):
    """How long a position may be held, and against which margin."""

    CNC = "CNC"
    NRML = "NRML"
    MIS = "MIS"
    MTF = "MTF"


class OrderType(StrEnum):
    """How an order is priced."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"


class Validity(StrEnum):
    """How long an order may rest."""

    DAY = "DAY"
    IOC = "IOC"
    TTL = "TTL"


class Variety(StrEnum):
    """The broker's order varieties; part of an order's address."""

    REGULAR = "regular"
    AMO = "amo"
    CO = "co"
    ICEBERG = "iceberg"
    AUCTION = "auction"


class Venue(StrEnum):
    """Where orders go. Chosen at start; picks the database; no key turns one into another."""

    LIVE = "live"
    PRACTICE = "practice"
    PAPER = "paper"
    REPLAY = "replay"


class Mode(StrEnum):
    """How a key may send orders that add risk."""

    READ = "READ"
    CONFIRM = "CONFIRM"
    HOT = "HOT"


class Mark(StrEnum):
    """Which price a position is valued at; always named beside the figure."""

    LAST = "last"
    MID = "mid"
    EXIT = "exit"


class QuoteState(IntEnum):
    """How far a quote may be trusted. Data on every quote, never a log line."""

    UNKNOWN = 0
    """Nothing has been received."""
    LIVE = 1
    """The path to the exchange is alive; an old price on a live path is LIVE with its age."""
    STALE = 2
    """The path is suspect: the connection is silent, or was replaced and has sent no packet since."""
    FROZEN = 3
    """The exchange does not move it now (the index during the closing auction)."""
    CROSSED = 4
    """Best bid at or above best ask."""
    ONE_SIDED = 5
    """Only one side of the book has a price."""
    CLOSED = 6
    """The session is over; the figures are the last of it."""


class Severity(StrEnum):
    """How loudly an event asks to be seen."""

    INFO = "info"
    ATTENTION = "attention"
    DANGER = "danger"
