"""Messages and errors as data."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from engine.core import errors
from engine.core.errors import BrokerError, InvalidInput, RateLimited, WorkstationError
from engine.server import protocol
from engine.server.protocol import ERROR_KINDS, Answer, ErrorBody, ErrorData

KINDS = sorted(ERROR_KINDS.values(), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_the_project_survives_the_way(kind: type[WorkstationError]) -> None:
    """Each class of the tree arrives as itself with its words."""
    error = kind("words")
    body = msgspec.json.decode(msgspec.json.encode(protocol.error_body(error)), type=ErrorBody)
    again = protocol.error_from_body(body)
    assert type(again) is kind
    assert str(again) == "words"


def test_the_tree_is_complete() -> None:
    """No class of the errors module is missing from the table."""
    ours = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WorkstationError)}
    assert ours == set(ERROR_KINDS.values())


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("x", field="price", place=0),
        BrokerError("x", code=503, kind="NetworkException"),
        RateLimited("x", retry_after_s=0.25),
    ],
)
def test_what_an_error_carries_survives_too(error: WorkstationError) -> None:
    """Field, place, status and waiting time are data, not words."""
    assert vars(protocol.error_from_body(protocol.error_body(error))) == vars(error)


def test_an_error_of_a_newer_engine_is_still_an_error() -> None:
    """A kind that this program does not know keeps its words."""
    error = protocol.error_from_body(ErrorBody(protocol.ENGINE_ERROR, "new", ErrorData("NotYetInvented", field="a")))
    assert type(error) is WorkstationError
    assert str(error) == "new"
    assert str(protocol.error_from_body(ErrorBody(-32601, "no method"))) == "no method"


@pytest.mark.parametrize("result", [b"null", b"0", b'"x"', b"[]", b'{"a":1}'])
def test_any_result_can_be_wrapped_and_found(result: bytes) -> None:
    """The encoded value is inside the answer byte for byte."""
    answer = msgspec.json.decode(protocol.answer("id-1", result), type=Answer)
    assert bytes(answer.result) == result
    assert answer.id == "id-1"
    assert answer.error is None
