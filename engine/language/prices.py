"""Prices of a sentence: a number, a price of the quote at this moment, or a protected market order.

A price taken from a quote is taken only from one that may be trusted; otherwise the sentence asks for a number.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from engine.core.default_price import default_price
from engine.core.instruments import Instrument
from engine.core.money import ZERO, is_multiple, nearest_ticks
from engine.core.quotes import Quote
from engine.core.vocabulary import QuoteState, Side
from engine.language.contracts import is_percent, read_offset
from engine.language.cursor import Cursor, SentenceInvalid
from engine.language.numbers import price_text, read_number, read_percent, tick_words
from engine.language.resolver import BROKER_PROTECTION, Resolver
from engine.language.tokens import Token

QUOTE_WORDS: Final = ("touch", "bid", "ask", "mid")
MARKET_WORD: Final = "mkt"
BROKER_BAND_WORD: Final = "auto"
"""``@ mkt auto``: the protection band is the broker's own."""
PRICE_WORDS: Final = (*QUOTE_WORDS, MARKET_WORD)
TRUSTED: Final = frozenset({QuoteState.LIVE, QuoteState.ONE_SIDED})
PROTECTION_MAX: Final = Decimal(100)
"""Percent; the broker takes more than 0 and up to this."""


class Price(msgspec.Struct, frozen=True):
    """What ``@ …`` means: a limit, or the protection of a market order. Exactly one is set."""

    limit: Decimal | None = None
    market_protection: Decimal | None = None


def read_number_price(cursor: Cursor, token: Token, tick: Decimal) -> Decimal:
    """Read a price written as a number: above zero and on the tick."""
    value = read_number(token.text)
    if value is None:
        raise cursor.wrong(
            f'"{token.text}" is not a price. Write a number, {", ".join(PRICE_WORDS[:-1])} or mkt.', token, PRICE_WORDS
        )
    if value <= 0:
        raise cursor.wrong("A price is above zero.", token)
    if not is_multiple(value, tick):
        raise cursor.wrong(tick_words(value, tick), token)
    return value


def read_price(cursor: Cursor, resolver: Resolver, instrument: Instrument, side: Side) -> Price:
    """Read what follows ``@``."""
    token = cursor.take("Needs a price: a number, bid, ask, mid, touch or mkt.", PRICE_WORDS)
    if token.word == MARKET_WORD:
        return _read_market(cursor, resolver)
    word, offset_token = _split_offset(token)
    if word.word not in QUOTE_WORDS:
        return Price(limit=read_number_price(cursor, token, instrument.tick_size))
    offset = ZERO
    following = cursor.peek()
    if offset_token is not None:
        offset = read_offset(cursor, offset_token)
    elif following is not None and following.text[0] in "+-":
        cursor.skip()
        offset_token = following
        offset = read_offset(cursor, following)
    if offset_token is not None and not is_multiple(offset, instrument.tick_size):
        raise cursor.wrong(tick_words(abs(offset), instrument.tick_size), offset_token)
    base = price_of_quote(cursor, resolver, instrument, side, word=word.word, place=word)
    limit = base + offset
    if limit <= 0:
        raise cursor.wrong(f"{token.text} is {price_text(limit)} now. A price is above zero.", token)
    return Price(limit=limit)


def _read_market(cursor: Cursor, resolver: Resolver) -> Price:
    following = cursor.peek()
    if following is None:
        return Price(market_protection=resolver.defaults.market_protection)
    if following.word == BROKER_BAND_WORD:
        cursor.skip()
        return Price(market_protection=BROKER_PROTECTION)
    if not is_percent(following):
        return Price(market_protection=resolver.defaults.market_protection)
    cursor.skip()
    percent = read_percent(following.text)
    if percent is None or not 0 < percent <= PROTECTION_MAX:
        raise cursor.wrong(f"Market protection is above 0 % and at most {PROTECTION_MAX} %.", following)
    return Price(market_protection=percent)


def _split_offset(token: Token) -> tuple[Token, Token | None]:
    for position, character in enumerate(token.text):
        if character in "+-" and position:
            return token.part(0, position), token.part(position)
    return token, None


def price_of_quote(
    cursor: Cursor, resolver: Resolver, instrument: Instrument, side: Side, *, word: str, place: Token | None
) -> Decimal:
    """The quote's bid, ask, mid or touch now.

    The mid is moved to a tick on the side that pays less: down for a buy, up for a sell.

    Raises:
        SentenceInvalid: the quote cannot be trusted or has no such price.
    """
    quote = resolver.quote(instrument.token)
    if quote is None or quote.state is QuoteState.UNKNOWN:
        raise _untrusted(cursor, f"{instrument.tradingsymbol} has no quote yet.", place)
    if quote.state not in TRUSTED:
        age = "" if quote.age_s is None else f" ({quote.age_s:.1f}s old)"
        raise _untrusted(cursor, f"The quote of {instrument.tradingsymbol} is {quote.state.name}{age}.", place)
    value = _value(quote, side, word)
    if value is None:
        raise _untrusted(cursor, f"{instrument.tradingsymbol} has no {word} now.", place)
    if word == "mid":
        below, above = nearest_ticks(value, instrument.tick_size)
        return below if side is Side.BUY else above
    return value


def default_limit(cursor: Cursor, resolver: Resolver, instrument: Instrument, side: Side) -> Decimal:
    """The limit of an order without a price: the touch; of an option with a wide spread its middle.

    Raises:
        SentenceInvalid: as ``price_of_quote``.
    """
    touch = price_of_quote(cursor, resolver, instrument, side, word="touch", place=None)
    quote = resolver.quote(instrument.token)
    if quote is None or not instrument.kind.is_option:
        return touch
    found = default_price(quote, side, instrument.tick_size, resolver.defaults.narrow_spread)
    return touch if found is None else found.limit


def _value(quote: Quote, side: Side, word: str) -> Decimal | None:
    match word:
        case "bid":
            return quote.bid
        case "ask":
            return quote.ask
        case "mid":
            return quote.mid
        case _:
            return quote.touch(side)


def _untrusted(cursor: Cursor, message: str, place: Token | None) -> SentenceInvalid:
    sentence = f"{message} Write the price as a number: @ 105."
    if place is None:
        return cursor.missing(sentence, ("@",))
    return cursor.wrong(sentence, place)
