"""The accounts of the live venue's settings."""

from __future__ import annotations

import pytest

from engine.core.errors import InvalidInput, SetupError
from workstation.live import live_accounts
from workstation.settings import LiveSettings


def test_roles_are_read_and_the_first_with_orders_owns_the_money() -> None:
    """Without roles an account is for everything."""
    accounts = live_accounts(LiveSettings(accounts=("CD5678:data,reads", "AB1234", "EF9012:orders")))
    assert [(item.account, item.roles) for item in accounts.all] == [
        ("CD5678", ("data", "reads")),
        ("AB1234", ("orders", "data", "reads")),
        ("EF9012", ("orders",)),
    ]
    assert accounts.owner.account == "AB1234"


@pytest.mark.parametrize(
    ("accounts", "words"),
    [
        ((), "at least one"),
        (("ab1234",), "client id"),
        (("AB1234:fly",), "orders, data, reads"),
        (("AB1234:",), "client id"),
        (("AB1234", "AB1234:data"), "twice"),
        (("AB1234:data,reads",), "role orders"),
        (("AB1234:orders,reads",), "role data"),
    ],
)
def test_what_cannot_be_meant_is_refused(accounts: tuple[str, ...], words: str) -> None:
    """With what is allowed."""
    with pytest.raises(SetupError, match=words):
        live_accounts(LiveSettings(accounts=accounts))


def test_a_person_names_an_account_or_means_the_only_one() -> None:
    """Small letters will do; an unknown one is refused with the list."""
    one = live_accounts(LiveSettings(accounts=("AB1234",)))
    two = live_accounts(LiveSettings(accounts=("AB1234", "CD5678:data")))
    assert one.choose(None).account == "AB1234"
    assert two.choose("cd5678").account == "CD5678"
    with pytest.raises(InvalidInput, match="AB1234, CD5678"):
        two.choose(None)
    with pytest.raises(InvalidInput, match="AB1234, CD5678"):
        two.choose("XY0000")


def test_orders_go_to_every_account_with_that_role() -> None:
    """In their order; the first is the one that is meant where none is named."""
    accounts = live_accounts(LiveSettings(accounts=("EF9012:data,reads", "AB1234", "CD5678:orders")))
    assert [account.account for account in accounts.senders] == ["AB1234", "CD5678"]
    assert accounts.owner is accounts.senders[0]
