"""Says in the words of the field which rule of the schema refused a row."""

from __future__ import annotations

import contextlib
from types import TracebackType

from engine.core.errors import InvalidInput, StorageConflict, UnknownStrategy
from storage.errors import RowRefused, UniqueRefused

CONFLICTS = {
    "order_intents_pkey": "An order with this intent id is in the journal already; nothing was written.",
    "order_intents_tag_key": "An order with this tag is in the journal already; nothing was written.",
    "order_intents_idempotency_key_key": "This idempotency key has made an order already; nothing was written.",
    "orders_pkey": "An order with this number is in the journal already; nothing was written.",
    "orders_intent_key": "An order with this intent id is in the journal already; nothing was written.",
    "orders_tag_key": "An order with this tag is in the journal already; nothing was written.",
    "orders_broker_order_id_key": "An order with this broker id is in the journal already; nothing was written.",
    "orders_idempotency_key_key": "This idempotency key has made an order already; nothing was written.",
    "instructions_idempotency_key_key": "This idempotency key has asked for something already; nothing was written.",
    "strategies_active_name_key": "An active strategy has this name already. Choose another one, or archive that one.",
    "strategies_default_key": "The account has its default strategy already; there can be one only.",
    "ledger_entries_reference_key": "This movement is in the ledger of its leg already; nothing was written.",
    "instruments_pkey": "The dump lists an instrument twice; the stored dump was left as it was.",
}
NO_ACCOUNT = "The account is not known to this database; save it first."
NO_STRATEGY = "The strategy is not known to this database."


def refusals_in_words() -> contextlib.AbstractContextManager[None]:
    """Turn the names of rules into errors of the domain.

    Raises:
        StorageConflict: a uniqueness rule.
        InvalidInput: the account does not exist.
        UnknownStrategy: the strategy does not exist.
        RowRefused: any other rule; a value that must not exist.
    """
    return _IN_WORDS


class _InWords(contextlib.AbstractContextManager[None]):
    """A class, not a generator: an order waits for it. It keeps nothing, so there is one."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, UniqueRefused):
            raise conflict(error.constraint) from error
        if not isinstance(error, RowRefused):
            return
        if error.constraint.endswith("_account_fkey"):
            raise InvalidInput(NO_ACCOUNT, field="account") from error
        if error.constraint.endswith("_strategy_fkey"):
            raise UnknownStrategy(NO_STRATEGY, field="strategy") from error


_IN_WORDS = _InWords()


def conflict(constraint: str) -> StorageConflict:
    """The error for a uniqueness rule."""
    return UniqueRefused(CONFLICTS.get(constraint, f"A row like this is there already ({constraint})."), constraint)
