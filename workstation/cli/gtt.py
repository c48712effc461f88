"""``workstation gtt`` and ``workstation convert``: triggers at the broker, and the product of a position.

What is to be ordered is written as a sentence of the command language, so contracts, lots and ticks are read and
refused in the same words everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec

from engine.client import EngineClient
from engine.core.commands import ConvertPosition, DeleteGtt, ModifyGtt, PlaceGtt, PlaceOrder, Preview, Receipt
from engine.core.errors import EngineGone, InvalidInput, OutcomeUnknown, StorageError
from engine.core.identifiers import AccountId
from engine.core.instructions import InstructionState
from engine.core.money import parse_decimal
from engine.core.orders import OrderRequest
from engine.core.positions import BrokerPosition
from engine.core.standing_triggers import Gtt, GttKind, GttOrder, GttRequest
from engine.core.vocabulary import OrderType, Product, Side
from workstation.cli.exit_codes import ExitCode
from workstation.cli.order import confirmed, make_key
from workstation.cli.output import print_json, print_table, print_words
from workstation.formatting import full_time

UNKNOWN = "—"
LEFT = frozenset({0, 1, 2, 3, 4, 6})
UNSETTLED = frozenset({InstructionState.SENDING, InstructionState.UNKNOWN, InstructionState.PRESUMED_ABSENT})
Command = PlaceGtt | ModifyGtt | DeleteGtt | ConvertPosition


class InstructionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the commands print with ``--json``."""

    sent: bool | None
    """``None`` when it cannot be told: look, or repeat it with the same key."""
    key: str | None = None
    preview: Preview | None = None
    receipt: Receipt | None = None


async def gtt(engine: EngineClient, options: argparse.Namespace) -> ExitCode:
    """List, place, modify or delete.

    Raises:
        InvalidInput: the words do not make a trigger.
    """
    if options.step == "list":
        return show(await engine.gtts(), as_json=options.json)
    account = None if options.account is None else AccountId(options.account)
    if options.step == "delete":
        return await act(engine, DeleteGtt(trigger_id=options.id, account=account), options)
    request = await read_trigger(engine, options)
    if options.step == "modify":
        return await act(engine, ModifyGtt(trigger_id=options.id, request=request, account=account), options)
    return await act(engine, PlaceGtt(request=request, account=account), options)


async def convert(engine: EngineClient, options: argparse.Namespace) -> ExitCode:
    """Change the product of a position.

    Raises:
        InvalidInput: no such position, or it is not clear which.
    """
    account = None if options.account is None else AccountId(options.account)
    wanted = await read_order(engine, f"sell {options.quantity} {options.contract} @ 1")
    to_product = Product(options.to.upper())
    rows = [row for row in await engine.positions(account) if row.instrument == wanted.instrument]
    position = choose_position(rows, wanted, to_product, options.product)
    today = position.signed_quantity - position.overnight_quantity
    command = ConvertPosition(
        instrument=wanted.instrument,
        side=Side.BUY if position.signed_quantity > 0 else Side.SELL,
        quantity=wanted.quantity,
        from_product=position.product,
        to_product=to_product,
        overnight=abs(today) < wanted.quantity,
        account=account,
    )
    return await act(engine, command, options)


def choose_position(
    rows: list[BrokerPosition], wanted: OrderRequest, to_product: Product, named: str | None
) -> BrokerPosition:
    """The position that is meant: the one in the named product, or the only one in another product.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    product = None if named is None else Product(named.upper())
    fitting = [
        row
        for row in rows
        if row.signed_quantity and row.product is not to_product and (product is None or row.product is product)
    ]
    if len(fitting) == 1:
        return fitting[0]
    symbol = wanted.instrument.tradingsymbol
    if not fitting:
        raise InvalidInput(f"There is no position in {symbol} that could become {to_product}.", field="contract")
    held = ", ".join(row.product for row in fitting)
    raise InvalidInput(f"{symbol} is held as {held}: name one with --from.", field="from")


async def read_order(engine: EngineClient, sentence: str) -> OrderRequest:
    """The order a sentence means.

    Raises:
        InvalidInput: it is none.
    """
    found = await engine.interpret(sentence)
    if isinstance(found.command, PlaceOrder):
        return found.command.request
    words = found.error.message if found.error is not None else "That is no order."
    raise InvalidInput(f"{sentence}: {words}", field="sentence")


async def read_trigger(engine: EngineClient, options: argparse.Namespace) -> GttRequest:
    """The trigger of a command line.

    Raises:
        InvalidInput: the order is no limit, or half of the second one is missing.
    """
    wanted = await read_order(engine, options.sentence)
    if wanted.order_type is not OrderType.LIMIT or wanted.price is None:
        raise InvalidInput("A trigger sends a limit: write the price, such as @ 58.", field="sentence")
    if (options.target_trigger is None) != (options.target_price is None):
        raise InvalidInput("The other price needs both --target-trigger and --target-price.", field="target")
    first = GttOrder(
        trigger_price=parse_decimal(options.trigger, field="trigger"),
        side=wanted.side,
        quantity=wanted.quantity,
        price=wanted.price,
        product=wanted.product,
    )
    if options.target_trigger is None:
        return GttRequest(instrument=wanted.instrument, kind=GttKind.SINGLE, orders=(first,))
    other = msgspec.structs.replace(
        first,
        trigger_price=parse_decimal(options.target_trigger, field="target-trigger"),
        price=parse_decimal(options.target_price, field="target-price"),
    )
    orders = sorted((first, other), key=lambda order: order.trigger_price)
    return GttRequest(instrument=wanted.instrument, kind=GttKind.OCO, orders=tuple(orders))


async def act(
    engine: EngineClient,
    command: Command,
    options: argparse.Namespace,
    *,
    new_key: Callable[[], str] = make_key,
    ask: Callable[[], Awaitable[bool]] = confirmed,
) -> ExitCode:
    """Preview, confirm, submit; the engine looks for what has no answer, this command only says so."""
    known_key = getattr(options, "key", None)
    key = None
    if isinstance(command, PlaceGtt | ConvertPosition):
        key = known_key or new_key()
        command = msgspec.structs.replace(command, idempotency_key=key)
    preview = await engine.preview(command)
    print_words(preview.sentence)
    for violation in preview.violations:
        print_words(f"  {violation.check:<7} {violation.message}")

    def result(sent: bool | None, receipt: Receipt | None = None) -> InstructionResult:
        return InstructionResult(sent=sent, key=key, preview=preview, receipt=receipt)

    broken = bool(preview.violations) and known_key is None
    if options.dry_run or broken or not (options.yes or await ask()):
        if not options.dry_run:
            print_words("Nothing was sent.")
        if options.json:
            print_json(result(sent=False))
        return ExitCode.REFUSED if preview.violations or not options.dry_run else ExitCode.DONE
    try:
        receipt = await engine.submit(command)
    except (EngineGone, StorageError, OutcomeUnknown) as error:
        print_words(str(error))
        print_words(_advice(key))
        if options.json:
            print_json(result(sent=None))
        return ExitCode.UNKNOWN_OUTCOME
    is_open = receipt.accepted and receipt.instruction_state in UNSETTLED
    if options.json:
        print_json(result(None if is_open else receipt.accepted, receipt))
    print_words(receipt.message)
    if is_open:
        print_words(_advice(key))
        return ExitCode.UNKNOWN_OUTCOME
    return ExitCode.DONE if receipt.accepted else ExitCode.REFUSED


def _advice(key: str | None) -> str:
    again = "" if key is None else f", or repeat it with --key {key}: never twice so"
    return f"It may have been done. Look with `workstation gtt list` and `workstation positions`{again}."


def show(triggers: tuple[Gtt, ...], *, as_json: bool) -> ExitCode:
    """The list."""
    if as_json:
        print_json(triggers)
        return ExitCode.DONE
    rows = [
        [
            str(row.trigger_id or UNKNOWN),
            row.account,
            row.status,
            row.request.kind,
            row.request.instrument.tradingsymbol,
            _price(order.trigger_price),
            order.side,
            str(order.quantity),
            _price(order.price),
            order.result_order_id or UNKNOWN,
            UNKNOWN if row.created_at is None else full_time(row.created_at),
            "outside" if row.is_outside else "",
        ]
        for row in triggers
        for order in row.request.orders
    ]
    headings = [
        "id",
        "account",
        "status",
        "kind",
        "instrument",
        "trigger",
        "side",
        "units",
        "price",
        "order",
        "made",
        "left",
    ]
    print_table(headings, rows, left=LEFT)
    return ExitCode.DONE


def _price(value: Decimal) -> str:
    return f"{value:f}"
