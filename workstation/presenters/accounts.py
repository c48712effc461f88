"""Several accounts on one screen: whose a row is, and what is seen of one account alone.

Invariant: with one account nothing says whose it is; with several every row does, unless one account alone is looked
at, and then nothing of the others is counted or listed except what calls a person: events, alarms, unknown orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from engine.core.commands import Command, ModifyOrder, PlaceBasket, PlaceOrder, ResolveUnknown
from engine.core.identifiers import AccountId, InstrumentKey, StrategyNumber
from engine.core.views import ChainColumns, ChainView, DeskView, Integers, StatusView
from workstation.presenters.lines import Line, clean

HEADING = "Account"


def accounts_of(status: StatusView) -> tuple[AccountId, ...]:
    """The accounts of the engine, the first one first."""
    return tuple(view.account for view in status.accounts) or (status.account,)


def names_rows(status: StatusView, only: AccountId | None) -> bool:
    """Whether rows have to say whose they are: there are several accounts and none of them is looked at alone."""
    return only is None and len(status.accounts) > 1


def column_of(accounts: Iterable[AccountId], *, named: bool) -> int:
    """Cells of the column that says whose rows are, at the left of a list; 0 when rows do not say it."""
    widths = [len(HEADING), *(len(account) for account in accounts)]
    return max(widths) + 1 if named else 0


def headed(line: Line, column: int, text: str = "", tone: str = "muted") -> Line:
    """A line behind the column of accounts; ``line`` is made for so many cells less."""
    if not column:
        return line
    return ((f" {clean(text):<{column - 1}}", tone), *line)


def desk_of(desk: DeskView | None, only: AccountId | None) -> DeskView | None:
    """The desk as it is for one account; the whole one for ``None``, and for an account that is not there (any more).

    Its figures and rows are that account's. Events, alarms and the number of unknown orders stay everybody's: what
    calls a person is not hidden by looking elsewhere.
    """
    if desk is None or only is None:
        return desk
    shown = next((view for view in desk.status.accounts if view.account == only), None)
    if shown is None:
        return desk
    status = msgspec.structs.replace(
        desk.status,
        account=shown.account,
        account_name=shown.name,
        writer=shown.writer,
        budget=shown.budget,
        day_profit=shown.day_profit,
        day_profit_partial=shown.day_profit_partial,
        day_net=shown.day_net,
        margin_utilisation=shown.margin_utilisation,
    )
    positions = desk.positions
    return msgspec.structs.replace(
        desk,
        status=status,
        strategies=tuple(value for value in desk.strategies if value.strategy.account == only),
        orders=tuple(order for order in desk.orders if order.account == only),
        positions=None if positions is None else tuple(row for row in positions if row.account == only),
        locks=tuple(lock for lock in desk.locks if lock.account == only),
    )


class OwnContracts(msgspec.Struct, frozen=True):
    """What one account has of contracts, by token."""

    held: Mapping[int, int]
    """Signed units by the strategies."""
    working: Mapping[int, int]
    """Working orders."""


def own_contracts(desk: DeskView, token_of: Callable[[InstrumentKey], int | None]) -> OwnContracts:
    """Of everything in ``desk``; ``token_of`` knows contracts, ``None`` while one is being looked up."""
    held: dict[int, int] = {}
    for value in desk.strategies:
        for leg in value.legs:
            units = leg.leg.holding.signed_quantity
            held[leg.leg.token] = held.get(leg.leg.token, 0) + units
    working: dict[int, int] = {}
    for order in desk.orders:
        token = token_of(order.request.instrument) if order.state.is_working else None
        if token is not None:
            working[token] = working.get(token, 0) + 1
    return OwnContracts(held, working)


def chain_of(view: ChainView, own: OwnContracts) -> ChainView:
    """The chain with the positions and working orders of one account in place of the first one's."""
    return msgspec.structs.replace(view, calls=_side(view.calls, own), puts=_side(view.puts, own))


def _side(columns: ChainColumns, own: OwnContracts) -> ChainColumns:
    tokens: list[int] = columns.token.tolist()
    return msgspec.structs.replace(
        columns, position=_by_token(tokens, own.held), working=_by_token(tokens, own.working)
    )


def _by_token(tokens: Sequence[int], figures: Mapping[int, int]) -> Integers:
    # A strike without such a contract has token 0, which is nobody's.
    found = np.fromiter((figures.get(token, 0) if token else 0 for token in tokens), np.int64, len(tokens))
    found.setflags(write=False)
    return found


def whose(command: Command, desk: DeskView) -> AccountId | None:
    """The account that a command is for, as far as it can be seen; ``None``: for all, or it cannot."""
    if "account" in command.__struct_fields__ and (named := getattr(command, "account", None)) is not None:
        return AccountId(named)
    if getattr(command, "everything", False):
        return None
    match command:
        case ModifyOrder(number=number) | ResolveUnknown(number=number):
            return next((order.account for order in desk.orders if order.number == number), None)
        case PlaceOrder(request=request):
            return _of_strategy(desk, request.strategy) or desk.status.account
        case PlaceBasket(legs=legs):
            named = (_of_strategy(desk, leg.strategy) for leg in legs)
            return next((account for account in named if account is not None), desk.status.account)
    target = getattr(command, "target", None)
    numbers: tuple[int, ...] = tuple(getattr(command, "numbers", ()))
    owners = {order.account for order in desk.orders if order.number in numbers}
    return _of_strategy(desk, getattr(target, "strategy", None)) or (owners.pop() if len(owners) == 1 else None)


def _of_strategy(desk: DeskView, number: StrategyNumber | None) -> AccountId | None:
    return next((value.strategy.account for value in desk.strategies if value.strategy.number == number), None)


def whose_words(status: StatusView, account: AccountId | None) -> str:
    """``main AB1234`` for a title: the account's name and id; ``4 accounts`` for all of several."""
    if len(status.accounts) > 1:
        if account is None:
            return f"{len(status.accounts)} accounts"
        name = next((view.name for view in status.accounts if view.account == account), "")
        return f"{name} {account}".strip()
    return f"{status.account_name} {status.account}"
