"""The method table: made from ``EngineClient``, with nothing that a remote caller must not have."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from engine.client import EngineClient
from engine.server.methods import NOT_CALLABLE_REMOTELY, wire_methods
from engine.server.protocol import BadRequest
from engine.server.remote_client import RemoteClient
from engine.server.strictness import Bounds

BOUNDS = Bounds(text_max=10, items_max=3)


def test_every_asynchronous_method_is_on_the_wire_or_kept_off_on_purpose() -> None:
    """A new method of the client cannot be forgotten."""
    asynchronous = {name for name, _ in inspect.getmembers(EngineClient, inspect.iscoroutinefunction)}
    assert wire_methods().keys() | NOT_CALLABLE_REMOTELY == asynchronous
    assert not wire_methods().keys() & NOT_CALLABLE_REMOTELY


def test_the_remote_client_has_the_same_signatures() -> None:
    """Both sides of the door take the same arguments."""
    for name, function in inspect.getmembers(EngineClient, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(RemoteClient, name)) == inspect.signature(function), name


def test_defaults_are_those_of_the_client() -> None:
    """What is left out means the same as in process."""
    assert wire_methods()["search"].read_parameters(msgspec.Raw(b'{"text":"x"}'), BOUNDS) == {"text": "x", "limit": 20}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (b"{}", None),
        (b'{"text":5}', "text"),
        (b'{"text":"x","limit":"many"}', "limit"),
        (b'{"text":"x","limit":true}', "limit"),
        (b'{"text":"01234567890"}', "text"),
        (b'{"text":"x","limit":9007199254740992}', "limit"),
        (b'{"text":"x","limit":1e3}', "limit"),
        (b'"text"', None),
        (b"null", None),
    ],
)
def test_wrong_parameters_name_their_field(parameters: bytes, field: str | None) -> None:
    """The method and the field are in the refusal."""
    with pytest.raises(BadRequest) as caught:
        wire_methods()["search"].read_parameters(msgspec.Raw(parameters), BOUNDS)
    assert caught.value.body.message.startswith("search: ")
    assert caught.value.body.data is not None
    assert caught.value.body.data.field == field
