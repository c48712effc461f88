"""Contracts and quantities: ``nifty 24000 ce w0``, ``banknifty fut m0``, ``2L``, ``130``.

The lot is the contract's own: expiries of one underlying may have different ones.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.vocabulary import InstrumentKind
from engine.language.cursor import Cursor, SentenceInvalid, nearest
from engine.language.numbers import count_word, plain, read_lots, read_number, read_percent, strike_text
from engine.language.resolver import Resolver
from engine.language.tokens import Token

KINDS: Final = {"ce": InstrumentKind.CALL, "pe": InstrumentKind.PUT}
AT_THE_MONEY: Final = "atm"
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
QUANTITY_CHOICES: Final = ("1L", "2L", "5L")
LISTED_AT_FIRST: Final = 3
"""Expiries that an error names before it goes on to the monthlies."""
MONTHLIES_NAMED: Final = 2
CENTURY: Final = 2000

_LABEL = re.compile(r"[wmq]\d{1,3}", re.ASCII)
_DATE = re.compile(r"(?P<day>\d{1,2})(?P<month>[a-z]{3})(?P<year>\d{4}|\d{2})?", re.ASCII)
_STRIKE_FORMS = re.compile(r"(?P<number>[\d,.]+)(?P<form>[dp%])", re.IGNORECASE | re.ASCII)
_STRIKE_AND_KIND = re.compile(r"(?P<strike>[\d,.]+)(?P<kind>ce|pe)", re.IGNORECASE | re.ASCII)
_FORM_NAMES: Final = {"d": "delta", "p": "premium", "%": "distance"}


class Quantity(msgspec.Struct, frozen=True):
    """A quantity as typed: lots or units, not yet checked against a lot size."""

    token: Token
    amount: Decimal
    in_lots: bool


class _Strike(msgspec.Struct, frozen=True):
    """A strike as typed: a number, or an offset from the at-the-money strike; and its side of the chain."""

    token: Token
    amount: Decimal
    is_offset: bool
    kind: InstrumentKind


def read_quantity(cursor: Cursor) -> Quantity:
    """Read ``2L`` or ``130``; whole and positive. The lot size is checked by ``units_of``."""
    token = cursor.take("Needs a quantity: lots (2L) or units (130).", QUANTITY_CHOICES)
    return quantity_of(cursor, token)


def quantity_of(cursor: Cursor, token: Token) -> Quantity:
    """Read one word as a quantity."""
    lots = read_lots(token.text)
    amount = read_number(token.text) if lots is None else lots
    if amount is None:
        raise cursor.wrong(f'"{token.text}" is not a quantity. Lots are 2L, units are 130.', token, QUANTITY_CHOICES)
    if amount <= 0:
        raise cursor.wrong(f'"{token.text}" buys or sells nothing. The least is one lot, 1L.', token)
    if amount != amount.to_integral_value():
        what = "Lots" if lots is not None else "Units"
        raise cursor.wrong(f'"{token.text}" is not whole. {what} are whole numbers.', token)
    return Quantity(token, amount, lots is not None)


def units_of(cursor: Cursor, quantity: Quantity, lot_size: int) -> int:
    """The quantity in units of this contract; a bare number must be a multiple of its lot."""
    amount = int(quantity.amount)
    if quantity.in_lots:
        return amount * lot_size
    if amount % lot_size:
        noun, verb = ("unit", "is") if amount == 1 else ("units", "is")
        if amount < lot_size:
            lots = "lot is" if amount == 1 else "lots are"
            hint = f"{count_word(amount)} {lots} {amount}L = {amount * lot_size}."
        else:
            below = amount // lot_size
            hint = f"{below}L = {below * lot_size} or {below + 1}L = {(below + 1) * lot_size}."
        raise cursor.wrong(f"{amount} {noun} {verb} not a multiple of the lot, {lot_size}. {hint}", quantity.token)
    return amount


def quantity_words(units: int, lot_size: int) -> str:
    """The quantity as a sentence carries it: lots when whole, else bare units."""
    return f"{units // lot_size}L" if lot_size > 0 and units % lot_size == 0 else str(units)


def read_underlying(cursor: Cursor, resolver: Resolver) -> str:
    """Read the name of an underlying."""
    token = cursor.take("Needs an underlying, such as nifty.", resolver.underlyings())
    name = resolver.underlying(token.text)
    if name is None:
        near = nearest(token.text, resolver.underlyings())
        hint = f"Nearest: {', '.join(near)}." if near else "Search with / in the chain."
        raise cursor.wrong(f'"{token.text}" has no options or futures today. {hint}', token, resolver.underlyings())
    return name


def read_contract(cursor: Cursor, resolver: Resolver) -> Instrument:
    """Read and resolve a contract. Without an expiry it is the nearest listed one."""
    return read_contract_of(cursor, resolver, read_underlying(cursor, resolver))


def read_contract_of(cursor: Cursor, resolver: Resolver, underlying: str) -> Instrument:
    """Read and resolve what follows the underlying of a contract."""
    if cursor.accept("fut"):
        return _read_future(cursor, resolver, underlying)
    token = cursor.take("Needs a strike (24000, atm or atm+50), or fut.", (AT_THE_MONEY, "fut"))
    amount, is_offset = _strike_of(cursor, token)
    kind_token = cursor.take("Needs ce or pe after the strike.", KINDS)
    kind = KINDS.get(kind_token.word)
    if kind is None:
        raise cursor.wrong(f'After the strike: ce or pe, not "{kind_token.text}".', kind_token, KINDS)
    expiry, words = _read_expiry(cursor, resolver, underlying, token)
    strike = _Strike(token, amount, is_offset, kind)
    return _resolve_option(cursor, resolver, underlying, expiry, named=words, strike=strike)


def read_expiry_label(cursor: Cursor, resolver: Resolver, underlying: str) -> str | None:
    """Read an optional expiry and give its label; a date becomes the first label of that day."""
    token = cursor.peek()
    if token is None:
        return None
    expiry, _ = _read_expiry(cursor, resolver, underlying, token)
    if _LABEL.fullmatch(token.word):
        return token.word
    return next((item.labels[0] for item in resolver.expiries(underlying) if item.expiry == expiry), None)


def _strike_of(cursor: Cursor, token: Token) -> tuple[Decimal, bool]:
    """Read one word as a strike: the number, or the offset of ``atm+50``; and whether it is an offset."""
    if token.word.startswith(AT_THE_MONEY):
        rest = token.part(len(AT_THE_MONEY))
        if not rest.text:
            following = cursor.peek()
            if following is None or following.text[0] not in "+-":
                return Decimal(0), True
            cursor.skip()
            rest = following
        return read_offset(cursor, rest), True
    form = _STRIKE_FORMS.fullmatch(token.text)
    if form is not None and read_number(form["number"]) is not None:
        what = _FORM_NAMES[form["form"].casefold()]
        raise cursor.wrong(
            f'A strike by {what} ("{token.text}") needs the builder, which this version does not have. '
            "Write the strike: 24000, atm or atm+50.",
            token,
        )
    joined = _STRIKE_AND_KIND.fullmatch(token.text)
    if joined is not None:
        raise cursor.wrong(f'Write the strike and the kind apart: "{joined["strike"]} {joined["kind"]}".', token)
    amount = read_number(token.text)
    if amount is None:
        raise cursor.wrong(
            f'"{token.text}" is not a strike. Write 24000, atm or atm+50, or fut.', token, (AT_THE_MONEY, "fut")
        )
    return amount, False


def read_offset(cursor: Cursor, token: Token) -> Decimal:
    """Read ``+50`` or ``-0.10``; the number may be the next word (``+ 50``)."""
    sign, number = token.part(0, 1), token.part(1)
    if sign.text not in {"+", "-"}:
        raise cursor.wrong(f'"{token.text}" is not an offset, such as +50 or -50.', token)
    if not number.text:
        number = cursor.take(f'Needs a number after "{sign.text}".')
    value = read_number(number.text)
    if value is None:
        raise cursor.wrong(f'"{number.text}" is not a number.', number)
    return value if sign.text == "+" else -value


def _read_expiry(cursor: Cursor, resolver: Resolver, underlying: str, fallback: Token) -> tuple[date, str]:
    """Read an optional expiry; the date and the words that name it."""
    listed = resolver.expiries(underlying)
    if not listed:
        raise cursor.wrong(f"{underlying} has no listed expiry today.", fallback)
    token = cursor.peek()
    if token is None:
        return listed[0].expiry, _named(listed[0].labels[0], listed[0].expiry, resolver)
    if _LABEL.fullmatch(token.word):
        cursor.skip()
        for item in listed:
            if token.word in item.labels:
                return item.expiry, _named(token.word, item.expiry, resolver)
        raise _unlisted(cursor, resolver, token, words=token.word, underlying=underlying)
    match = _DATE.fullmatch(token.word)
    if match is not None and match["month"] not in MONTHS:
        raise cursor.wrong(f'"{token.text}" is not a date. Write 01dec or 1dec26.', token)
    if match is None:
        return listed[0].expiry, _named(listed[0].labels[0], listed[0].expiry, resolver)
    cursor.skip()
    fitting = [item for item in listed if _is_day(match, item.expiry)]
    if not fitting:
        raise _unlisted(cursor, resolver, token, words=token.text.upper(), underlying=underlying)
    if len(fitting) > 1:
        years = " or ".join(f"{item.expiry:%d%b%y}".upper() for item in fitting)
        raise cursor.wrong(f'"{token.text}" fits more than one year. Write {years}.', token)
    return fitting[0].expiry, day_text(fitting[0].expiry, resolver.today())


def _is_day(match: re.Match[str], expiry: date) -> bool:
    if int(match["day"]) != expiry.day or MONTHS[expiry.month - 1] != match["month"]:
        return False
    year = match["year"]
    return year is None or int(year) + (CENTURY if len(year) == 2 else 0) == expiry.year


def _unlisted(cursor: Cursor, resolver: Resolver, token: Token, *, words: str, underlying: str) -> SentenceInvalid:
    listed = resolver.expiries(underlying)
    return cursor.wrong(
        f"{underlying} has no {words}. Listed: {listed_words(listed, resolver.today())}.",
        token,
        [item.labels[0] for item in listed],
    )


def day_text(day: date, today: date) -> str:
    """``01DEC``, with the year when it is another one than today's: ``29JUN27``."""
    return (f"{day:%d%b}" if day.year == today.year else f"{day:%d%b%y}").upper()


def date_words(day: date) -> str:
    """The expiry as a canonical sentence carries it: ``01dec26``."""
    return f"{day:%d}{MONTHS[day.month - 1]}{day:%y}"


def listed_words(listed: tuple[ExpiryLabel, ...], today: date) -> str:
    """The nearest expiries and the next monthlies, each with its label."""
    first, later = listed[:LISTED_AT_FIRST], listed[LISTED_AT_FIRST:]
    words = ", ".join(f"{'/'.join(_shown(item))} {day_text(item.expiry, today)}" for item in first)
    monthlies = [item for item in later if item.is_monthly][:MONTHLIES_NAMED]
    if not monthlies:
        return words + (" …" if later else "")
    named = ", ".join(
        f"{next(label for label in item.labels if label[0] == 'm')} {day_text(item.expiry, today)}"
        for item in monthlies
    )
    return f"{words} … {named}"


def _shown(item: ExpiryLabel) -> tuple[str, ...]:
    return tuple(label for label in item.labels if label[0] in "wm")


def _named(label: str, expiry: date, resolver: Resolver) -> str:
    return f"{label} ({day_text(expiry, resolver.today())})"


def _resolve_option(
    cursor: Cursor, resolver: Resolver, underlying: str, expiry: date, *, named: str, strike: _Strike
) -> Instrument:
    token, wanted = strike.token, strike.amount
    strikes = resolver.strikes(underlying, expiry)
    if not strikes:
        raise cursor.wrong(f"{underlying} {named} has no options.", token)
    if strike.is_offset:
        middle = resolver.at_the_money(underlying, expiry)
        if middle is None:
            raise cursor.wrong(
                f"The ATM strike of {underlying} {named} is not known now: no live forward. Write the strike.",
                token,
            )
        wanted += middle
    if wanted not in strikes:
        near = _neighbours(strikes, wanted)
        names = " and ".join(strike_text(strike) for strike in near)
        raise cursor.wrong(
            f"{named} has no strike {strike_text(wanted)}. Next: {names}.", token, [plain(strike) for strike in near]
        )
    instrument = resolver.option(underlying, expiry, wanted, strike.kind)
    if instrument is None:
        raise cursor.wrong(f"{named} lists {strike_text(wanted)}, but not its {strike.kind.value}.", token)
    return instrument


def _neighbours(strikes: tuple[Decimal, ...], wanted: Decimal) -> tuple[Decimal, ...]:
    below = max((strike for strike in strikes if strike < wanted), default=None)
    above = min((strike for strike in strikes if strike > wanted), default=None)
    return tuple(strike for strike in (below, above) if strike is not None)


def _read_future(cursor: Cursor, resolver: Resolver, underlying: str) -> Instrument:
    found = [(item, resolver.future(underlying, item.expiry)) for item in resolver.expiries(underlying)]
    with_future = [(item, future) for item, future in found if future is not None]
    token = cursor.peek()
    if not with_future:
        message = f"{underlying} has no futures today."
        if token is None:
            raise cursor.missing(message)
        raise cursor.wrong(message, token)
    if token is None or not (_LABEL.fullmatch(token.word) or _DATE.fullmatch(token.word)):
        return with_future[0][1]
    expiry, words = _read_expiry(cursor, resolver, underlying, token)
    for item, future in with_future:
        if item.expiry == expiry:
            return future
    named = ", ".join(f"{_monthly_label(item)} {day_text(item.expiry, resolver.today())}" for item, _ in with_future)
    raise cursor.wrong(
        f"{underlying} has no future of {words}. Futures: {named}.",
        token,
        [_monthly_label(item) for item, _ in with_future],
    )


def _monthly_label(item: ExpiryLabel) -> str:
    return next((label for label in item.labels if label[0] == "m"), item.labels[0])


def is_percent(token: Token) -> bool:
    """Whether the word is a percentage such as ``1%``."""
    return read_percent(token.text) is not None
