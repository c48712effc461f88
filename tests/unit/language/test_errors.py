"""Every wrong sentence gets one error: the words, the place, whether more would help, and what would fit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from engine.core.commands import SentenceError
from engine.core.instruments import ExpiryLabel, label_expiries
from engine.core.vocabulary import InstrumentKind, QuoteState
from engine.language.orders import AFTER_CONTRACT
from engine.language.parser import SENTENCE_LENGTH_MAX, interpret
from tests.unit.language.world import World


def error_of(text: str, world: World) -> SentenceError:
    """The error of a sentence that must have one."""
    meaning = interpret(text, world)
    assert meaning.error is not None, meaning
    assert meaning.command is None
    assert meaning.wish is None
    return meaning.error


NO_BUILDER = "needs the builder, which this version does not have. Write the strike: 24000, atm or atm+50."
LISTED = "Listed: w0 01DEC, w1 08DEC, w2 15DEC … m0 29DEC, m1 30MAR27."
WRONG = [
    # The sentences of the design, with this market's numbers; the place is the marked word.
    ("»bvy« 2L nifty 24000 ce w0", '"bvy" is not a command. Nearest: buy (Tab takes it).'),
    (
        "buy »2« nifty 24000 ce w0 @ 105",
        "2 units is not a multiple of the lot, 65. Two lots are 2L = 130.",
    ),
    ("buy 2L nifty »24010« ce w0", "w0 (01DEC) has no strike 24,010. Next: 24,000 and 24,050."),
    (
        "buy 2L nifty 24000 ce »w7«",
        "NIFTY has no w7. " + LISTED,
    ),
    ("sell 10L nifty 24400 pe w0 @ »151.23«", "The tick is 0.05: 151.20 or 151.25."),
    ("at »9.20« ss nifty w0 10L", "A time has a colon: 9:20 or 09:20."),
    ("cancel o38 »&« exit 1.1", '"&" joins nothing. && = when the first is done; ; = both now.'),
    ("buy 1L nifty 24000 ce @ 105 into »fly«", 'No strategy is "fly". 3 (fly-0920) or 5 (fly-exp)? Write the number.'),
    # Joining, plans and what this version lacks.
    (
        "cancel o38 »&&« cancel o40",
        '"&&" (the next when the first is done) is not available in this version. Write one sentence at a time.',
    ),
    ("quit»;« quit", '";" (both now) is not available in this version. Write one sentence at a time.'),
    ("at »noon« buy 1L", '"noon" is not a time. Times are 09:20 or 09:20:05.'),
    ("at 9:20 »at« 9:30 buy 1L", "One time or condition for one sentence."),
    ("at 9:20 »show« nifty", '"show" cannot wait. A plan buys, sells, exits, modifies and cancels.'),
    ("at 9:20 buy »1« nifty 24000 ce @ 5", "1 unit is not a multiple of the lot, 65. One lot is 1L = 65."),
    ("at 9:20 buy 1L nifty atm ce w0 @ mid »now«", '"now" does not fit here. ' + AFTER_CONTRACT),
    ("at 9:20 within »soon« buy 1L", '"soon" is not a length of time. Lengths are 30s, 5m or 1h.'),
    ("at 9:20 spread »2« buy 1L", '"2" does not fit: percent of the mid, such as 2%.'),
    ("at 9:20 credit 5 »credit« 6 buy 1L", '"credit" is said already.'),
    ("when »nifty>24500« then buy 1L", "Write spaces around the comparison: nifty > 24,500."),
    ("when nifty »is« 24,500 then buy 1L", '"is" is not a strike. Write 24000, atm or atm+50, or fut.'),
    ("when nifty > »high« then buy 1L", '"high" is not a level above zero, such as 24,500.'),
    ("when nifty > 24,500 »buy« 1L nifty 24000 ce", 'After the condition: "then", not "buy".'),
    (
        "when nifty > 24,500 and nifty »is« 25,000 then buy 1L",
        '"is" is not a strike. Write 24000, atm or atm+50, or fut.',
    ),
    ("when nifty > 24,500 »xor« nifty < 25,000 then buy 1L", 'After the condition: "then", not "xor".'),
    ("when nifty > 24,500 for »5« then buy 1L", '"5" is not a length of time. Lengths are 30s, 5m or 1h.'),
    ("buy 1L nifty 24000 ce w0 chase »0« ticks", '"0" is not a count from 1 to 1000.'),
    ("buy 1L nifty 24000 ce w0 chase 3 »points«", 'After the count: "ticks", not "points".'),
    ("buy 1L nifty 24000 ce w0 twap »5«", '"5" is not a length of time. Lengths are 30s, 5m or 1h.'),
    ("buy 9L nifty 24000 ce w0 twap 5m »iceberg« 3", '"iceberg" after "twap": one manner only.'),
    ("hurry »3«", '"3" is not a plan. Plans are written p1.'),
    ("cancel p1 »p2«", '"p2" does not fit here. One plan at a time.'),
    (
        "sell 650 nifty »15p« ce w0 @ bid",
        'A strike by premium ("15p") ' + NO_BUILDER,
    ),
    (
        "sell 650 nifty »20d« ce w0",
        'A strike by delta ("20d") ' + NO_BUILDER,
    ),
    (
        "sell 650 nifty »2%« ce w0",
        'A strike by distance ("2%") ' + NO_BUILDER,
    ),
    ("arm hot »fast«", '"fast" is no number of lots. Two lots a stroke: arm hot 2.'),
    ("arm hot »0«", '"0" is no number of lots. Two lots a stroke: arm hot 2.'),
    ("arm hot 2 »5m«", '"5m" does not fit here. Nothing follows the lots: HOT lasts as long as the settings say.'),
    ("arm confirm »5m«", '"5m" does not fit here. Nothing follows confirm: it lasts until the trading day closes.'),
    ("cancel »entries«", '"entries" is not an order. Write cancel o40 o41, cancel p1, or cancel all.'),
    # Quantities.
    ("buy »nifty« 24000 ce", '"nifty" is not a quantity. Lots are 2L, units are 130.'),
    ("buy »0L« nifty 24000 ce", '"0L" buys or sells nothing. The least is one lot, 1L.'),
    ("buy »1.5L« nifty 24000 ce", '"1.5L" is not whole. Lots are whole numbers.'),
    ("buy »-65« nifty 24000 ce", '"-65" is not a quantity. Lots are 2L, units are 130.'),
    ("buy »1« nifty 24000 ce", "1 unit is not a multiple of the lot, 65. One lot is 1L = 65."),
    ("buy »66« nifty 24000 ce", "66 units is not a multiple of the lot, 65. 1L = 65 or 2L = 130."),
    ("buy »130« nifty 24000 ce q1 @ 5", "130 units is not a multiple of the lot, 75. 1L = 75 or 2L = 150."),
    ("buy »2,4500« nifty 24000 ce", '"2,4500" is not a quantity. Lots are 2L, units are 130.'),
    # Contracts.
    ("buy 1L »niftyy« 24000 ce", '"niftyy" has no options or futures today. Nearest: NIFTY, BANKNIFTY.'),
    ("buy 1L »zzz« 24000 ce", '"zzz" has no options or futures today. Search with / in the chain.'),
    ("buy 1L nifty »24000ce« w0", 'Write the strike and the kind apart: "24000 ce".'),
    ("buy 1L nifty »w0« 24000 ce", '"w0" is not a strike. Write 24000, atm or atm+50, or fut.'),
    ("buy 1L nifty 24000 »call«", 'After the strike: ce or pe, not "call".'),
    ("buy 1L nifty »23000« ce", "w0 (01DEC) has no strike 23,000. Next: 23,800."),
    ("buy 1L nifty »atm+20« ce", "w0 (01DEC) has no strike 24,420. Next: 24,400 and 24,450."),
    (
        "buy 1L nifty 24000 ce »02dec«",
        "NIFTY has no 02DEC. " + LISTED,
    ),
    ("buy 1L banknifty 57000 ce »w2«", "BANKNIFTY has no w2. Listed: w0/m0 29DEC, w1/m1 30MAR27."),
    ("buy 1L nifty fut »w0«", "NIFTY has no future of w0 (01DEC). Futures: m0 29DEC, m1 30MAR27."),
    ("buy 1L sensex fut »m0«", "SENSEX has no futures today."),
    ("buy 1L nifty 24000 ce »01dex« @ 5", '"01dex" is not a date. Write 01dec or 1dec26.'),
    ("buy 1L nifty 24000 ce »31feb« @ 5", "NIFTY has no 31FEB. " + LISTED),
    (
        "buy 1L nifty 24000 ce »wO« @ 5",
        '"wO" does not fit here. ' + AFTER_CONTRACT,
    ),
    ("buy 1L nifty atm»50« ce", '"50" is not an offset, such as +50 or -50.'),
    ("buy 1L nifty atm+»x« ce", '"x" is not a number.'),
    # Prices and options.
    ("buy 1L nifty 24000 ce @ »cheap«", '"cheap" is not a price. Write a number, touch, bid, ask, mid or mkt.'),
    ("buy 1L nifty 24000 ce @ »0«", "A price is above zero."),
    ("buy 1L nifty 24000 ce @ »0.03«", "The tick is 0.05: 0.05."),
    ("buy 1L nifty 24000 ce @ bid»+0.13«", "The tick is 0.05: 0.10 or 0.15."),
    ("buy 1L nifty 24000 ce @ »bid-200«", "bid-200 is -48.80 now. A price is above zero."),
    ("buy 1L nifty 24000 ce @ mkt »0%«", "Market protection is above 0 % and at most 100 %."),
    ("buy 1L nifty 24000 ce »105«", 'A price is written after "@": @ 105.'),
    ("buy 1L nifty 24000 ce @ 5 »@« 6", "The price is said already; one price only."),
    ("buy 1L nifty 24000 ce mis »nrml«", '"nrml" after "mis": one product only.'),
    ("buy 1L nifty 24000 ce day »ioc«", '"ioc" after "day": one validity only.'),
    ("buy 1L nifty 24000 ce stop 5 »stop« 6", "The stop is said already; one stop only."),
    ("buy 1L nifty 24000 ce stop »5.01« @ 6", "The tick is 0.05: 5.00 or 5.05."),
    (
        "buy 1L nifty 24000 ce w0 »cnc«",
        '"cnc" does not fit here. ' + AFTER_CONTRACT,
    ),
    ("buy 1L nifty 24000 ce into 3 »@« 5", '"@" does not fit here. Nothing follows the strategy.'),
    # Orders.
    ("cancel »38«", '"38" is not an order. Write cancel o40 o41, cancel p1, or cancel all.'),
    ("cancel »o99«", "There is no order o99. Working: o40, o38."),
    ("cancel o38 »o38«", "o38 is named twice."),
    ("cancel all »o38«", '"o38" does not fit here. Nothing follows all.'),
    ("modify »o99« 2L", "There is no order o99. Working: o40, o38."),
    ("modify »38« 2L", '"38" is not an order. Orders are written o40.'),
    ("modify o38 stop 52 »stop« 53", "The stop is said already; one stop only."),
    ("modify o38 @ 52 »@« 53", "The price is said already; one price only."),
    ("modify o38 @ 52 »mis«", '"mis" does not fit here. After the order: a quantity, @ price, stop.'),
    ("cancel o38 »now«", '"now" does not fit here. More orders may follow: cancel o40 o41.'),
    ("cancel »orders«", '"orders" is not an order. Orders are written o40.'),
    ("modify o38 »66«", "66 units is not a multiple of the lot, 65. 1L = 65 or 2L = 130."),
    ("modify o38 @ »mkt« 1%", "A resting order is not turned into a market order. Write a price: @ ask."),
    # Strategies.
    ("move »3.pe« to 1", '"3.pe" names several legs. This version moves one leg: 3.2.'),
    ("move »3« to 1", '"3" is a strategy. Name one of its legs, such as 3.1.'),
    ("move »pe« to 1", '"pe" is not a leg. Legs are written 3.2: leg 2 of strategy 3.'),
    ("move 1.1 65 »into« 3", 'After the leg: "to" and a strategy.'),
    ("arm »everything«", '"everything" cannot be armed. Write arm confirm, or arm hot 2.'),
    ("move »1.9« to 3", "Strategy 1 (main) has no leg 9."),
    ("move 1.1 »3«", "3 units is not a multiple of the lot, 65. Three lots are 3L = 195."),
    ("move 1.1 »into« 3", 'After the leg: "to" and a strategy, or a quantity first.'),
    ("move 1.1 to »1«", "1.1 is in strategy 1 (main) already."),
    ("move 1.1 to »9«", "No active strategy has the number 9. Active: 1 (main), 3 (fly-0920), 5 (fly-exp)."),
    ("account »#3«", '"#3" is not a client id, such as AB1234.'),
    ("account AB1234 »now«", '"now" does not fit here. Nothing follows the account.'),
    ("move 1.1 to 3 at »exit«", '"exit" is no price of a move. Write mark or mid or last or average.'),
    ("move 1.1 to 3 »@« mid", '"@" does not fit here. After the strategy: "at mark", or nothing.'),
    ("move 1.1 to »3.1«", '"3.1" is a leg. Here a whole strategy is named, such as 3.'),
    ("new »fly«", '"fly" has no hyphen inside. A strategy\'s name has one, such as fly-0920.'),
    ("new »Fly-0920«", 'A strategy is called "Fly-0920" already. Choose another name.'),
    ("new fly-1 »two«", '"two" does not fit here. A name is one word.'),
    ("archive »zzz«", 'No strategy is "zzz". Active: 1 (main), 3 (fly-0920), 5 (fly-exp).'),
    # Screens.
    ("mark »best«", '"best" is not a mark. Marks are last, mid and exit.'),
    ("go »ordres«", '"ordres" is not a screen. Nearest: orders, desk.'),
    ("show »nifti« w0", '"nifti" has no options or futures today. Nearest: NIFTY.'),
    ("quit »now«", '"now" does not fit here. Nothing follows quit.'),
    (
        "»&&« quit",
        '"&&" (the next when the first is done) is not available in this version. Write one sentence at a time.',
    ),
]


@pytest.mark.parametrize(("marked", "message"), WRONG, ids=[marked for marked, _ in WRONG])
def test_wrong_sentences(world: World, marked: str, message: str) -> None:
    """The message, and the very characters it speaks of (between » and «)."""
    place = marked.index("»")
    length = marked.index("«") - place - 1
    error = error_of(marked.replace("»", "").replace("«", ""), world)
    assert error.message == message
    assert (error.place, error.length) == (place, length)
    assert not error.incomplete or error.choices


UNFINISHED = [
    ("", "Needs a command, such as buy.", "buy"),
    ("buy ", "Needs a quantity: lots (2L) or units (130).", "2L"),
    ("buy 2L", "Needs an underlying, such as nifty.", "NIFTY"),
    ("buy 2L nifty ", "Needs a strike (24000, atm or atm+50), or fut.", "fut"),
    ("buy 2L nifty 24000", "Needs ce or pe after the strike.", "ce"),
    ("buy 2L nifty 24000 ce @", "Needs a price: a number, bid, ask, mid, touch or mkt.", "mkt"),
    ("buy 2L nifty 24000 ce stop", "Needs the stop's trigger price, such as stop 222.75.", None),
    ("buy 2L nifty 24000 ce stop 222.75", "A stop needs its price: @ 229.40 for a limit, or @ mkt 1%.", "@"),
    ("buy 2L nifty 24000 ce into", "Needs a strategy: its number or its name.", "3"),
    ("cancel", "Needs an order, such as o40.", "all"),
    ("modify", "Needs an order, such as o40.", "o40"),
    ("modify o38", "Needs what to change: a quantity (2L), @ price or stop.", "@"),
    ("move", "Needs a leg, such as 3.2.", None),
    ("move 1.1", 'After the leg: "to" and a strategy.', "to"),
    ("move 1.1 to", "Needs a strategy: its number or its name.", "3"),
    ("move 1.1 to 3 at", "Needs the price it changes hands at: mark or mid or last or average.", "mark"),
    ("new", "Needs a name with a hyphen, such as fly-0920.", None),
    ("archive", "Needs a strategy: its number or its name.", "5"),
    ("show", "Needs an underlying, such as nifty.", "BANKNIFTY"),
    ("go", "Needs a screen, such as orders.", "doctor"),
    ("mark", "Needs a mark: last, mid or exit.", "exit"),
    ("account", "Needs an account's client id, or all.", "all"),
    ("arm", "Needs what to arm: confirm, or hot 2.", "confirm"),
    ("arm hot", "HOT needs the most lots of one stroke: arm hot 2.", None),
    ("at", "Needs a time, such as 09:20.", None),
]


@pytest.mark.parametrize(("text", "message", "choice"), UNFINISHED, ids=[text for text, _, _ in UNFINISHED])
def test_unfinished_sentences(world: World, text: str, message: str, choice: str | None) -> None:
    """They say what is missing at their end, and offer words for it."""
    error = error_of(text, world)
    assert error.message == message
    assert (error.place, error.incomplete) == (len(text), True)
    assert choice is None or choice in error.choices


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("ca", ("cancel",)),
        ("buy 1L ni", ("NIFTY",)),
        ("buy 1L nifty 24000 c", ("ce",)),
        ("go o", ("orders",)),
        ("mark e", ("exit",)),
        ("show bank", ("BANKNIFTY",)),
        ("buy 1L nifty 24000 ce n", ("nrml",)),
    ],
)
def test_a_word_that_is_still_being_typed_is_completed(world: World, text: str, choices: tuple[str, ...]) -> None:
    """It counts as unfinished, at its own place, with the words it begins."""
    error = error_of(text, world)
    assert error.incomplete
    assert set(choices) <= set(error.choices)
    assert text[error.place :].casefold() == text.rsplit(maxsplit=1)[-1].casefold()


def test_a_word_that_was_left_is_wrong_not_unfinished(world: World) -> None:
    """A blank after it ends it."""
    assert error_of("mark e", world).incomplete
    assert not error_of("mark e ", world).incomplete


@pytest.mark.parametrize(
    "state", [QuoteState.STALE, QuoteState.CLOSED, QuoteState.CROSSED, QuoteState.FROZEN, QuoteState.UNKNOWN]
)
def test_no_price_is_taken_from_a_quote_that_cannot_be_trusted(world: World, state: QuoteState) -> None:
    """Neither when asked for nor as the default; a number is asked for instead."""
    world.set_state(state)
    for words in ("", "@ touch", "@ bid+0.10"):
        error = error_of(f"buy 1L nifty 24000 ce w0 {words}", world)
        assert "Write the price as a number: @ 105." in error.message
    if state is QuoteState.STALE:
        assert "is STALE (0.2s old)" in error_of("buy 1L nifty 24000 ce w0 @ bid", world).message


def test_an_unknown_quote_gives_no_price(world: World) -> None:
    """Nothing received yet is said."""
    world.quotes = dict.fromkeys((row.token for row in world.rows), None)
    assert "has no quote yet" in error_of("buy 1L nifty 24000 ce w0", world).message


def test_a_side_that_is_not_there_gives_no_price(world: World) -> None:
    """A sell needs a bid; the mid needs both."""
    world.default_quote = (None, "0.10")
    world.set_state(QuoteState.ONE_SIDED)
    assert "has no touch now" in error_of("sell 1L nifty 24000 ce w0", world).message
    assert "has no mid now" in error_of("buy 1L nifty 24000 ce w0 @ mid", world).message


def test_the_middle_is_not_guessed(world: World) -> None:
    """Without a live forward there is no at-the-money strike."""
    world.middle = None
    error = error_of("buy 1L nifty atm ce w0", world)
    assert error.message.startswith("The ATM strike of NIFTY w0 (01DEC) is not known now")
    assert error.place == len("buy 1L nifty ")


def test_a_date_that_fits_two_years_is_asked_about(world: World) -> None:
    """Two listed expiries on the same day of two years need the year."""
    days = (date(2026, 12, 29), date(2027, 12, 29))

    class TwoYears(World):
        def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
            return label_expiries(days)

    error = error_of("show nifty 29dec", TwoYears())
    assert error.message == '"29dec" fits more than one year. Write 29DEC26 or 29DEC27.'
    assert error.place == len("show nifty ")


def test_an_instrument_that_left_the_dump_is_said(world: World) -> None:
    """Without its row there is no lot and no tick: nothing is assumed."""
    gone = "is not in today's instruments"
    world.rows.clear()
    world.forget_instruments()
    for text in ("modify o38 2L", "modify o38", "move 1.1 1L to 3"):
        assert gone in error_of(text, world).message


def test_an_underlying_without_contracts_is_said(world: World) -> None:
    """No expiry, no options in an expiry, or no put at a strike: each in words."""

    class NoExpiries(World):
        def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
            return ()

    class NoOptions(World):
        def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
            return ()

    assert error_of("buy 1L nifty 24000 ce", NoExpiries()).message == "NIFTY has no listed expiry today."
    assert error_of("buy 1L nifty 24000 ce", NoOptions()).message == "NIFTY w0 (01DEC) has no options."
    assert error_of("buy 1L sensex fut", world).message == "SENSEX has no futures today."
    world.rows = [row for row in world.rows if row.kind is not InstrumentKind.PUT]
    assert error_of("buy 1L nifty 24000 pe", world).message == "w0 (01DEC) lists 24,000, but not its PE."


def test_a_paste_is_not_a_sentence(world: World) -> None:
    """Beyond the length nothing is read."""
    error = error_of("buy " * SENTENCE_LENGTH_MAX, world)
    assert str(SENTENCE_LENGTH_MAX) in error.message
    assert error.place == SENTENCE_LENGTH_MAX


@pytest.mark.parametrize(
    "text", ["buy 1L nifty 24000 ce @ 105", "cancel o38", "move 1.1 to 3", "show nifty", "quit", "new a-b"]
)
@pytest.mark.parametrize("tail", [" && quit", "; quit", " & quit", "&& quit"])
def test_a_part_of_a_line_is_never_acted_on(world: World, text: str, tail: str) -> None:
    """Whatever is joined to a whole sentence makes it an error at the joiner."""
    assert interpret(text, world).error is None
    error = error_of(text + tail, world)
    assert error.place == len(text) + len(tail) - len(tail.lstrip())
