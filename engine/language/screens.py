"""Sentences about the screen and the mode: show, go, rules, mark, account, arm, disarm, quit."""

from __future__ import annotations

import re

from engine.core.commands import GoTo, Quit, SetMark, SetMode, ShowAccount, ShowChain
from engine.core.identifiers import AccountId
from engine.core.vocabulary import Mark, Mode
from engine.language.contracts import read_expiry_label, read_underlying
from engine.language.cursor import Cursor, nearest
from engine.language.resolver import Resolver
from engine.language.targets import read_strategy

ARMED = ("confirm", "hot")
_STROKE = re.compile(r"(\d{1,5})l?", re.ASCII)
ALL_ACCOUNTS = "all"
_ACCOUNT = re.compile(r"[A-Za-z0-9]{2,20}", re.ASCII)
_STRATEGY = re.compile(r"#\d{1,15}", re.ASCII)


def read_show(cursor: Cursor, resolver: Resolver) -> ShowChain | GoTo:
    """Read what follows ``show``: an underlying, perhaps an expiry; or a strategy, ``#3``, with its sign."""
    token = cursor.peek()
    if token is not None and _STRATEGY.fullmatch(token.text):
        return _strategy(cursor, resolver)
    underlying = read_underlying(cursor, resolver)
    label = read_expiry_label(cursor, resolver, underlying)
    cursor.finish("After the underlying: an expiry such as w0, m0 or 01dec.")
    return ShowChain(underlying=underlying, expiry_label=label)


def read_go(cursor: Cursor, resolver: Resolver) -> GoTo:
    """Read what follows ``go``: a screen or pane, or a strategy, ``#3``."""
    places = resolver.places()
    first = cursor.peek()
    if first is not None and _STRATEGY.fullmatch(first.text):
        return _strategy(cursor, resolver)
    token = cursor.take("Needs a screen, such as orders.", places)
    for place in places:
        if place.casefold() == token.word:
            cursor.finish("Nothing follows the screen.")
            return GoTo(place=place)
    near = nearest(token.text, places)
    hint = f"Nearest: {', '.join(near)}." if near else f"Screens: {', '.join(places)}."
    raise cursor.wrong(f'"{token.text}" is not a screen. {hint}', token, near or places)


def read_rules(cursor: Cursor, _resolver: Resolver) -> GoTo:
    """Read what follows ``rules``: nothing; it is the screen of the market's dated facts."""
    cursor.finish("Nothing follows rules.")
    return GoTo(place="rules")


def _strategy(cursor: Cursor, resolver: Resolver) -> GoTo:
    """The screen of a strategy; it must be an active one."""
    strategy = read_strategy(cursor, resolver)
    cursor.finish("Nothing follows the strategy.")
    return GoTo(place=f"#{strategy.number}")


def read_mark(cursor: Cursor, _resolver: Resolver) -> SetMark:
    """Read what follows ``mark``: ``last``, ``mid`` or ``exit``."""
    marks = tuple(Mark)
    token = cursor.take("Needs a mark: last, mid or exit.", marks)
    if token.word not in marks:
        raise cursor.wrong(f'"{token.text}" is not a mark. Marks are last, mid and exit.', token, marks)
    cursor.finish("Nothing follows the mark.")
    return SetMark(mark=Mark(token.word))


def read_account(cursor: Cursor, _resolver: Resolver) -> ShowAccount:
    """Read what follows ``account``: a client id, or ``all``."""
    token = cursor.take("Needs an account's client id, or all.", (ALL_ACCOUNTS,))
    if token.word != ALL_ACCOUNTS and not _ACCOUNT.fullmatch(token.text):
        raise cursor.wrong(f'"{token.text}" is not a client id, such as AB1234.', token, (ALL_ACCOUNTS,))
    cursor.finish("Nothing follows the account.")
    return ShowAccount(account=None if token.word == ALL_ACCOUNTS else AccountId(token.text.upper()))


def read_arm(cursor: Cursor, _resolver: Resolver) -> SetMode:
    """Read what follows ``arm``: ``confirm``, or ``hot`` and the lots of one stroke, ``2`` or ``2L``."""
    token = cursor.take("Needs what to arm: confirm, or hot 2.", ARMED)
    if token.word == "hot":
        number = cursor.take("HOT needs the most lots of one stroke: arm hot 2.", ())
        found = _STROKE.fullmatch(number.word)
        if found is None or int(found[1]) < 1:
            raise cursor.wrong(f'"{number.text}" is no number of lots. Two lots a stroke: arm hot 2.', number)
        cursor.finish("Nothing follows the lots: HOT lasts as long as the settings say.")
        return SetMode(mode=Mode.HOT, lots=int(found[1]))
    if token.word != "confirm":
        raise cursor.wrong(f'"{token.text}" cannot be armed. Write arm confirm, or arm hot 2.', token, ARMED)
    cursor.finish("Nothing follows confirm: it lasts until the trading day closes.")
    return SetMode(mode=Mode.CONFIRM)


def read_disarm(cursor: Cursor, _resolver: Resolver) -> SetMode:
    """Read what follows ``disarm``: nothing."""
    cursor.finish("Nothing follows disarm.")
    return SetMode(mode=Mode.READ)


def read_quit(cursor: Cursor, _resolver: Resolver) -> Quit:
    """Read what follows ``quit``: nothing."""
    cursor.finish("Nothing follows quit.")
    return Quit()
