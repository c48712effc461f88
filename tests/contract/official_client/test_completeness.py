"""No public method of the official client is left without a test that drives it."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

from tests.contract.official_client.driven import DRIVEN, public_methods

OWN_FOLDER = Path(__file__).parent
PACKAGE = "tests.contract.official_client"


def test_every_method_is_driven() -> None:
    """The client's public methods, found by looking, are exactly those that tests declare."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from kiteconnect import KiteConnect
    for module in sorted(OWN_FOLDER.glob("test_*.py")):
        if module.stem != Path(__file__).stem:
            importlib.import_module(f"{PACKAGE}.{module.stem}")
    methods = public_methods(KiteConnect)
    assert len(methods) > 40
    assert methods == set(DRIVEN)
