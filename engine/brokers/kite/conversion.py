"""Changing the product of a position: what to ask of Kite, and what counts as done. Pure."""

from __future__ import annotations

import msgspec

from engine.core.instructions import Conversion


class _Answer(msgspec.Struct):
    status: str = ""
    data: object = None


def conversion_form(conversion: Conversion) -> dict[str, str]:
    """The fields of ``PUT /portfolio/positions``."""
    return {
        "exchange": str(conversion.instrument.exchange),
        "tradingsymbol": conversion.instrument.tradingsymbol,
        "transaction_type": str(conversion.side),
        "position_type": "overnight" if conversion.overnight else "day",
        "quantity": str(conversion.quantity),
        "old_product": str(conversion.from_product),
        "new_product": str(conversion.to_product),
    }


def is_converted(body: bytes) -> bool:
    """Whether an answer of success says so plainly."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return answer.status == "success" and answer.data is True
