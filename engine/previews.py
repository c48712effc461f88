"""What a command would do, in words and numbers, by the same checks as the real thing."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.account_desk import AccountDesk
from engine.core.commands import (
    ArchiveStrategy,
    CancelOrders,
    CloseDeadLetter,
    Command,
    ConvertPosition,
    CreateStrategy,
    DeleteGtt,
    HoldRisk,
    KillSwitch,
    ModifyGtt,
    ModifyOrder,
    MoveQuantity,
    PlaceGtt,
    PlaceOrder,
    Preview,
    ReleaseHold,
    ReplayDeadLetter,
    SetMode,
    Unlock,
    Violation,
)
from engine.core.decisions import LetterState
from engine.core.errors import InvalidInput, WorkstationError
from engine.core.identifiers import OrderNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest, OrderState
from engine.core.plans import OrderPlan, Slice
from engine.core.quotes import DepthWalk, Quote, walk_depth
from engine.core.vocabulary import InstrumentKind, OrderType, QuoteState, Side
from engine.engine import Engine
from engine.execution.intake import lane_of
from engine.execution.plans.intake import whole_order_violations
from engine.execution.plans.unwind import pieces
from engine.execution.words import grouped, grouped_decimal, rupees
from engine.instruction_commands import preview_instruction
from engine.language.describe import contract_words
from engine.lock_commands import LockCommand, lock_sentence
from engine.portfolio.transfers import price_words
from engine.preview_charges import charges_and_back, expiry_notes, order_charges

MAY_DOUBLE = "It was sent once and never answered: should it turn up at the broker after all, there are two."


def preview_of(engine: Engine, command: Command, seat: str) -> Preview:
    """The preview of any command of a seat."""
    match command:
        case PlaceOrder():
            return _placing(engine, command, seat)
        case ModifyOrder():
            return _modification(engine, command, seat)
        case CancelOrders():
            return _cancellation(engine, command)
        case ReplayDeadLetter():
            return _replay(engine, command, seat)
        case CloseDeadLetter(numbers=numbers):
            named = ", ".join(f"o{number}" for number in numbers)
            return Preview(sentence=f"Wants nothing more of {named}; nothing is bought or sold.")
        case CreateStrategy():
            return Preview(sentence=f"Opens strategy {command.name}; nothing is bought or sold.")
        case ArchiveStrategy():
            return Preview(sentence=f"Hides strategy #{command.number}; no position is touched.")
        case MoveQuantity():
            return _move(engine, command)
        case SetMode():
            lots = "" if command.lots is None else f", {command.lots}L a stroke"
            return Preview(sentence=f"Sets the mode of this seat to {command.mode}{lots}.")
        case HoldRisk() | ReleaseHold() | KillSwitch() | Unlock():
            return _of_locks(engine, command)
        case PlaceGtt() | ModifyGtt() | DeleteGtt() | ConvertPosition():
            try:
                return preview_instruction(engine.desks.named(command.account), command, seat=seat)
            except InvalidInput as error:
                said = Violation(check=error.field or "account", message=str(error))
                return Preview(sentence=str(error), violations=(said,))
        case _:
            return Preview(sentence="Nothing is bought or sold.")


def _of_locks(engine: Engine, command: LockCommand) -> Preview:
    try:
        engine.desks.chosen(command.account)
    except InvalidInput as error:
        return Preview(sentence=str(error), violations=(Violation(check="account", message=str(error)),))
    return Preview(sentence=lock_sentence(command))


def _placing(engine: Engine, command: PlaceOrder, seat: str) -> Preview:
    """An order, for the account that it would go to."""
    request = command.request
    try:
        desk = engine.desks.of_request(command.account, request.strategy)
    except InvalidInput as error:
        said = Violation(check=error.field or "account", message=str(error))
        return Preview(
            sentence=f"{request.side} {grouped(request.quantity)} {request.instrument}.",
            violations=(said,),
            request=request,
        )
    preview = _worked(desk, command, _order(engine, desk, request, seat))
    if len(engine.desks) > 1:
        preview = msgspec.structs.replace(preview, sentence=f"{desk.account}: {preview.sentence}")
    return msgspec.structs.replace(preview, account=desk.account)


def _worked(desk: AccountDesk, command: PlaceOrder, preview: Preview) -> Preview:
    """The preview of an order that a plan works: it is judged as a whole, and its size is the plan's matter."""
    worked = None if desk.plans.way_in is None else desk.plans.way_in.worked(command)
    if worked is None:
        return preview
    return msgspec.structs.replace(
        preview,
        sentence=f"{preview.sentence} Worked {worked.manner}.",
        violations=(*whole_order_violations(preview.violations), *worked.violations),
        eta_s=_worked_eta_s(desk, worked.spec, preview),
    )


def _worked_eta_s(desk: AccountDesk, spec: OrderPlan, preview: Preview) -> float | None:
    """Until the last piece of an order that is sent at once in pieces could leave; of any other its first piece."""
    request, manner, lot = spec.request, spec.manner, preview.lot_size
    instrument = desk.facts.instrument(request.instrument)
    if desk.executor is None or not isinstance(manner, Slice) or lot is None or instrument is None:
        return preview.eta_s
    most = manner.size if manner.size is not None else desk.facts.freeze_quantity(instrument)
    lane = lane_of(request, adds_risk=desk.executor.check(request)[2], asked=None)
    return desk.executor.eta_s([lane] * len(pieces(request.quantity, lot, most)))


def _order(engine: Engine, desk: AccountDesk, request: OrderRequest, seat: str) -> Preview:
    instrument = engine.day.instrument(request.instrument)
    if desk.executor is None:
        violations: tuple[Violation, ...] = (desk.refusal(),)
        notes: tuple[str, ...] = ()
        eta_s = None
    else:
        violations, notes, adds_risk = desk.executor.check(request, seat=seat)
        lane = lane_of(request, adds_risk=adds_risk, asked=None)
        eta_s = desk.executor.eta_s([lane] * (request.iceberg_legs or 1))
    if instrument is None:
        return Preview(
            sentence=f"{request.side} {grouped(request.quantity)} {request.instrument}.",
            violations=violations,
            notes=notes,
            request=request,
        )
    quote = engine.day.quote(instrument.token)
    impact = _impact(request, quote)
    price = request.price if request.price is not None else (impact.average_price if impact else None)
    cash = None
    if price is not None and instrument.kind is not InstrumentKind.FUTURE:
        cash = -request.side.sign * request.quantity * price
    held = desk.facts.positions() or ()
    before = sum(item.signed_quantity for item in held if item.instrument.token == instrument.token)
    after = before + request.side.sign * request.quantity
    charges = charges_and_back(
        engine.parts.charge_rates, engine.day.today(), request, price, quote=quote, before=before
    )
    own_notes = (
        *_cover_note(request, instrument, before, after),
        *_expiry_notes(engine, desk, request, instrument, after),
    )
    return Preview(
        sentence=_sentence(request, instrument, cash, before, after),
        violations=violations,
        notes=(*notes, *own_notes),
        request=request,
        lots=Decimal(request.quantity) / instrument.lot_size,
        lot_size=instrument.lot_size,
        token=instrument.token,
        quote=quote,
        cash=cash,
        charges=charges.once,
        round_trip_charges=charges.round_trip,
        charge_notes=charges.notes,
        impact=impact,
        margin=desk.margins.needed(request),
        eta_s=eta_s,
        position_before=before,
        position_after=after,
    )


def _replay(engine: Engine, command: ReplayDeadLetter, seat: str) -> Preview:
    """Each as the new order it would be, judged by the market of now; figures stand there for a single one."""
    previews = []
    for number in command.numbers:
        desk = _desk_of(engine, number)
        if desk.executor is None:
            previews.append(Preview(sentence=f"Sends o{number} again.", violations=(desk.refusal(),)))
            continue
        record = desk.executor.order(number)
        if record is None or record.letter is not LetterState.OPEN:
            said = Violation(check="letter", message=f"o{number} is no open dead letter.")
            previews.append(Preview(sentence=f"Sends o{number} again.", violations=(said,)))
        else:
            preview = _order(engine, desk, record.request, seat)
            doubt = (MAY_DOUBLE,) if record.state is OrderState.PRESUMED_ABSENT else ()
            sentence = f"Sends o{number} again as a new order. {preview.sentence}"
            previews.append(msgspec.structs.replace(preview, sentence=sentence, notes=(*doubt, *preview.notes)))
    if len(previews) == 1:
        return previews[0]
    return Preview(
        sentence=" ".join(preview.sentence for preview in previews) or "Names no order.",
        violations=tuple(violation for preview in previews for violation in preview.violations),
        notes=tuple(note for preview in previews for note in preview.notes),
    )


def _expiry_notes(
    engine: Engine, desk: AccountDesk, request: OrderRequest, instrument: Instrument, after: int
) -> tuple[str, ...]:
    """What an index option pays that is left to expire today; options on stocks settle by delivery."""
    rules = engine.day.rules
    if not (instrument.kind.is_option and rules.is_index(instrument.name)):
        return ()
    token = rules.index_token(instrument.name)
    index = engine.day.quote(token) if token is not None else None
    return expiry_notes(
        engine.parts.charge_rates,
        engine.day.today(),
        request,
        instrument,
        after,
        spot=index.last if index is not None and index.state is QuoteState.LIVE else None,
        order_quantity_max=desk.facts.order_quantity_max(request.instrument),
    )


def _sentence(request: OrderRequest, instrument: Instrument, cash: Decimal | None, before: int, after: int) -> str:
    verb = "Buys" if request.side is Side.BUY else "Sells"
    lots = Decimal(request.quantity) / instrument.lot_size
    size = f"{lots.normalize():f}L = {grouped(request.quantity)} units"
    kind = f"{request.order_type} {request.product} {request.validity}"
    price = "" if request.price is None else f" at {grouped_decimal(request.price)}"
    trigger = "" if request.trigger_price is None else f", trigger {grouped_decimal(request.trigger_price)}"
    if request.order_type is OrderType.MARKET and request.market_protection is not None:
        protection = request.market_protection
        price = " at market, protected" + ("" if protection < 0 else f" to {protection}%")
    money = ""
    if cash is not None:
        money = f" {'Receives' if cash > 0 else 'Pays'} {grouped_decimal(abs(cash))} before charges."
    return (
        f"{verb} {size} {contract_words(instrument)}{price}{trigger}, {kind}.{money} "
        f"Position {grouped_signed(before)} > {grouped_signed(after)}."
    )


def _cover_note(request: OrderRequest, instrument: Instrument, before: int, after: int) -> tuple[str, ...]:
    """Selling beyond what is held is written out: the loss of a short option is not bounded by what it brings."""
    if request.side is Side.SELL and instrument.kind.is_option and after < min(0, before):
        return (f"{grouped(min(0, before) - after)} units would be sold short.",)
    return ()


def _impact(request: OrderRequest, quote: Quote | None) -> DepthWalk | None:
    if quote is None:
        return None
    levels = quote.asks if request.side is Side.BUY else quote.bids
    if request.price is not None:
        reaches = [
            level
            for level in levels
            if (level.price <= request.price if request.side is Side.BUY else level.price >= request.price)
        ]
        levels = tuple(reaches)
    return walk_depth(levels, request.quantity) if levels and request.quantity > 0 else None


def _modification(engine: Engine, command: ModifyOrder, seat: str) -> Preview:
    desk = _desk_of(engine, command.number)
    if desk.executor is None:
        return Preview(sentence=f"Modifies o{command.number}.", violations=(desk.refusal(),))
    record = desk.executor.order(command.number)
    violations = desk.executor.check_modification(command, seat=seat)
    if record is None:
        return Preview(sentence=f"Modifies o{command.number}.", violations=violations)
    change = command.change
    request = record.request
    changed = msgspec.structs.replace(
        request,
        quantity=request.quantity if change.quantity is None else change.quantity,
        price=request.price if change.price is None else change.price,
    )
    charges = order_charges(engine.parts.charge_rates, engine.day.today(), changed, changed.price)
    parts = [
        f"{word} {'none' if old is None else grouped_decimal(Decimal(old))} > {grouped_decimal(Decimal(new))}"
        for word, old, new in (
            ("quantity", record.request.quantity, change.quantity),
            ("price", record.request.price, change.price),
            ("trigger", record.request.trigger_price, change.trigger_price),
        )
        if new is not None and new != old
    ]
    words = ", ".join(parts) or "nothing"
    instrument = engine.day.instrument(record.request.instrument)
    name = contract_words(instrument) if instrument is not None else str(record.request.instrument)
    return Preview(
        sentence=f"Modifies o{command.number} {record.request.side} {name}: {words}.",
        violations=violations,
        request=record.request,
        charges=charges.once,
        charge_notes=charges.notes,
        token=instrument.token if instrument is not None else None,
        quote=engine.day.quote(instrument.token) if instrument is not None else None,
        lot_size=instrument.lot_size if instrument is not None else None,
    )


def _move(engine: Engine, command: MoveQuantity) -> Preview:
    """A transfer between strategies at the price of now; a mark may be another one when it is made."""
    desk = engine.desks.of_strategy(command.strategy) or engine.desks.default
    source, goal = f"{command.strategy}.{command.leg}", f"#{command.to_strategy}"
    if desk.portfolio is None:
        return Preview(sentence=f"Moves {source} to {goal}.", violations=(desk.refusal(),))
    try:
        moved = desk.portfolio.moved(command)
    except WorkstationError as error:
        said = Violation(check="strategy", message=str(error))
        return Preview(sentence=f"Moves {source} to {goal}.", violations=(said,))
    realises = f"realises {rupees(moved.realised)}" if moved.realised else "realises nothing"
    return Preview(
        sentence=f"Moves {grouped(moved.quantity)} units of {source} to {goal} at its {price_words(command.mark)} "
        f"{rupees(moved.price)}; #{command.strategy} {realises}, the broker's net does not "
        "change."
    )


def _cancellation(engine: Engine, command: CancelOrders) -> Preview:
    at_work = [desk for desk in engine.desks if desk.executor is not None]
    if not at_work:
        return Preview(sentence="Cancels.", violations=(engine.desks.default.refusal(),))
    if command.everything:
        try:
            desks = engine.desks.chosen(command.account)
        except InvalidInput as error:
            return Preview(sentence="Cancels.", violations=(Violation(check="account", message=str(error)),))
        counts = {desk.account: sum(record.state.is_working for record in desk.orders()) for desk in desks}
        if len(engine.desks) == 1:
            return Preview(sentence=f"Cancels every working order of the account: {sum(counts.values())}.")
        each = ", ".join(f"{count} of {account}" for account, count in counts.items())
        return Preview(sentence=f"Cancels every working order: {each}.")
    unknown = [number for number in command.numbers if engine.desks.of_order(number) is None]
    violations = tuple(Violation(check="order", message=f"There is no o{number}.") for number in unknown)
    names = ", ".join(f"o{number}" for number in command.numbers)
    return Preview(sentence=f"Cancels {names}.", violations=violations)


def _desk_of(engine: Engine, number: OrderNumber) -> AccountDesk:
    """Whose order it is; of one that is nobody's an account that works says so."""
    at_work = next((desk for desk in engine.desks if desk.executor is not None), engine.desks.default)
    return engine.desks.of_order(number) or at_work


def grouped_signed(units: int) -> str:
    """Signed units in Indian grouping; 0 is flat."""
    if not units:
        return "flat"
    return ("+" if units > 0 else "-") + grouped(abs(units))
