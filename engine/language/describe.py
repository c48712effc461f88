"""A command as one canonical sentence. Reading the sentence back gives the same command.

Dates instead of labels, numbers instead of names, prices instead of quote words: what was resolved stays resolved.
Commands that no sentence can ask for (a product outside F&O, the look-up of an unknown order) are still put in words.
"""

from __future__ import annotations

from engine.core.commands import (
    AcknowledgeEvent,
    ArchiveStrategy,
    CancelOrders,
    CancelPlan,
    CloseDeadLetter,
    Command,
    ConvertPosition,
    CreateStrategy,
    DeleteGtt,
    ExitPositions,
    ExplainMismatch,
    GoTo,
    HoldRisk,
    KillSwitch,
    MakePlan,
    ModifyGtt,
    ModifyOrder,
    MoveQuantity,
    MoveTape,
    PlaceBasket,
    PlaceGtt,
    PlaceOrder,
    Quit,
    Reconcile,
    ReleaseHold,
    ReplayDeadLetter,
    ResolveUnknown,
    ScreenWish,
    SetHousekeeping,
    SetMark,
    SetMode,
    ShowAccount,
    ShowChain,
    ShowChart,
    SteerPlan,
    TouchSeat,
    Unlock,
)
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.plans import Manner
from engine.core.vocabulary import InstrumentKind, Mode, Variety
from engine.language.baskets import basket_text
from engine.language.contracts import KINDS, date_words, quantity_words
from engine.language.errand_words import conversion_words, gtt_words, kill_words
from engine.language.exit_words import exit_words
from engine.language.numbers import plain, price_text
from engine.language.plans import manner_text, waiting_text
from engine.language.prices import BROKER_BAND_WORD
from engine.language.resolver import BROKER_PROTECTION, Resolver
from engine.language.tape import tape_words


def describe(command: Command | ScreenWish, resolver: Resolver) -> str:
    """The sentence that asks for ``command``."""
    match command:
        case PlaceOrder(request=request, manner=manner):
            return _order(request, resolver, manner)
        case PlaceBasket(legs=legs, leg_plan=leg_plan):
            return basket_text([_order(leg, resolver) for leg in legs], leg_plan)
        case MakePlan():
            return waiting_text(command, lambda test: _watched(test.instrument, resolver))
        case CancelPlan(number=number):
            return f"cancel p{number}"
        case SteerPlan(number=number, turn=turn):
            return f"{turn} p{number}"
        case HoldRisk(account=account):
            return "hold" if account is None else f"hold {account}"
        case ReleaseHold(account=account):
            return "release" if account is None else f"release {account}"
        case KillSwitch():
            return kill_words(command)
        case Unlock(account=account):
            return "unlock" if account is None else f"unlock {account}"
        case PlaceGtt():
            return f"leave a trigger for {gtt_words(command.request)}"
        case ModifyGtt(trigger_id=trigger_id):
            return f"change trigger {trigger_id} to {gtt_words(command.request)}"
        case DeleteGtt(trigger_id=trigger_id):
            return f"take trigger {trigger_id} back"
        case ConvertPosition():
            return conversion_words(command, _instrument_words(command.instrument, command.quantity, resolver))
        case ModifyOrder():
            return _modify(command, resolver)
        case CancelOrders(everything=True):
            return "cancel all"
        case CancelOrders(numbers=numbers):
            return " ".join(["cancel", *(f"o{number}" for number in numbers)])
        case ExitPositions():
            return exit_words(command)
        case CreateStrategy(name=name):
            return f"new {name}"
        case ArchiveStrategy(number=number):
            return f"archive {number}"
        case MoveQuantity():
            return _move(command, resolver)
        case SetMode(mode=Mode.READ):
            return "disarm"
        case SetMode(mode=mode, lots=lots):
            return f"arm {mode.casefold()}" + (f" {lots}" if lots is not None else "")
        case TouchSeat(leaves=leaves):
            return "this seat leaves" if leaves else "a key was pressed here"
        case ResolveUnknown(number=number):
            return f"look up o{number}"
        case ReplayDeadLetter(numbers=numbers):
            return " ".join(["send again", *(f"o{number}" for number in numbers)])
        case CloseDeadLetter(numbers=numbers):
            return " ".join(["close", *(f"o{number}" for number in numbers)])
        case Reconcile(account=account):
            return "compare with the broker" if account is None else f"compare {account} with the broker"
        case ExplainMismatch(mismatch=name, words=words):
            return f"explain {name}: {words}"
        case SetHousekeeping(strategy=strategy, on=on):
            return f"housekeeping {'on' if on else 'off'} {strategy}"
        case AcknowledgeEvent(sequence=sequence):
            return f"acknowledge events up to {sequence}"
        case ShowChain(underlying=underlying, expiry_label=label):
            return f"show {underlying.casefold()}{f' {label}' if label else ''}"
        case ShowChart():
            return _chart(command, resolver)
        case ShowAccount(account=account):
            return f"account {account or 'all'}"
        case GoTo(place=place):
            return f"go {place}"
        case SetMark(mark=mark):
            return f"mark {mark}"
        case MoveTape():
            return tape_words(command)
        case Quit():
            return "quit"


def contract_words(instrument: Instrument) -> str:
    """``nifty 24000 ce 01dec26`` or ``nifty fut 29dec26``; ``NSE:INFY`` for anything else."""
    if instrument.expiry is None:
        return str(instrument.key)
    name, expiry = instrument.name.casefold(), date_words(instrument.expiry)
    if instrument.kind is InstrumentKind.FUTURE:
        return f"{name} fut {expiry}"
    if instrument.strike is None or not instrument.kind.is_option:
        return str(instrument.key)
    kind = next(word for word, kind in KINDS.items() if kind is instrument.kind)
    return f"{name} {plain(instrument.strike)} {kind} {expiry}"


def _chart(wish: ShowChart, resolver: Resolver) -> str:
    words = _watched(wish.instrument, resolver)
    return f"chart {words}" if wish.interval is None else f"chart {words} {wish.interval.minutes}m"


def _watched(key: InstrumentKey, resolver: Resolver) -> str:
    """An instrument that is looked at: by the name of the underlying where it is its index."""
    for name in resolver.underlyings():
        index = resolver.index(name)
        if index is not None and index.key == key:
            return name.casefold()
    instrument = resolver.instrument(key)
    return str(key) if instrument is None else contract_words(instrument)


def _instrument_words(key: InstrumentKey, units: int, resolver: Resolver) -> tuple[str, str]:
    instrument = resolver.instrument(key)
    if instrument is None:
        return str(units), str(key)
    return quantity_words(units, instrument.lot_size), contract_words(instrument)


def _order(request: OrderRequest, resolver: Resolver, manner: Manner | None = None) -> str:
    quantity, contract = _instrument_words(request.instrument, request.quantity, resolver)
    words = [request.side.casefold(), quantity, contract]
    if request.trigger_price is not None:
        words += ["stop", price_text(request.trigger_price)]
    if request.price is not None:
        words += ["@", price_text(request.price)]
    elif request.market_protection in {None, BROKER_PROTECTION}:
        words += ["@ mkt", BROKER_BAND_WORD]
    elif request.market_protection is not None:
        words += ["@ mkt", f"{plain(request.market_protection)}%"]
    words += [request.product.casefold(), request.validity.casefold()]
    if request.variety is not Variety.REGULAR:
        words.append(f"({request.variety})")
    if manner is not None:
        words.append(manner_text(manner))
    if request.strategy is not None:
        words += ["into", str(request.strategy)]
    return " ".join(words)


def _modify(command: ModifyOrder, resolver: Resolver) -> str:
    words = ["modify", f"o{command.number}"]
    change = command.change
    if change.quantity is not None:
        record = resolver.order(command.number)
        instrument = None if record is None else resolver.instrument(record.request.instrument)
        words.append(
            str(change.quantity) if instrument is None else quantity_words(change.quantity, instrument.lot_size)
        )
    if change.price is not None:
        words += ["@", price_text(change.price)]
    if change.trigger_price is not None:
        words += ["stop", price_text(change.trigger_price)]
    return " ".join(words)


def _move(command: MoveQuantity, resolver: Resolver) -> str:
    words = ["move", f"{command.strategy}.{command.leg}"]
    if command.quantity is not None:
        leg = resolver.leg(command.strategy, command.leg)
        instrument = None if leg is None else resolver.instrument(leg.instrument)
        words.append(
            str(command.quantity) if instrument is None else quantity_words(command.quantity, instrument.lot_size)
        )
    words += ["to", str(command.to_strategy)]
    return " ".join(words if command.mark is None else [*words, "at", str(command.mark)])
