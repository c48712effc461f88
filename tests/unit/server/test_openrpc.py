"""The description of the protocol: pinned, whole, and true to what the doors take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docs import make_openrpc
from engine.client import EngineClient
from engine.core.views import Floats
from engine.server import access, chain_rows, openrpc
from engine.server.methods import NOT_CALLABLE_REMOTELY, WireMethod, wire_methods
from engine.server.session import OWN_METHODS
from engine.server.topics import TopicKind

METHODS = [*wire_methods().values(), *OWN_METHODS.values()]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The description as a client reads it."""
    return dict(msgspec.json.decode(openrpc.document_bytes(METHODS)))


def references(value: object) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            yield target
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_the_pinned_copy_is_the_protocol() -> None:
    """A change of the protocol is seen in review, and breaks nobody unnoticed."""
    assert make_openrpc.PINNED.read_bytes() == make_openrpc.document(), (
        "The protocol is another one than docs/openrpc.json says. If that is meant: python -m docs.make_openrpc, and "
        "raise PROTOCOL_REVISION in engine/server/protocol.py when it breaks an older client."
    )


def test_every_method_is_described(described: dict[str, Any]) -> None:
    """What may be called is there, and nothing else; names are unique."""
    names = [method["name"] for method in described["methods"]]
    assert sorted(names) == sorted({*wire_methods(), *OWN_METHODS})
    assert not NOT_CALLABLE_REMOTELY & set(names)
    assert "submit" in names
    assert hasattr(EngineClient, "submit")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_parameters_are_those_that_are_decoded(described: dict[str, Any], method: WireMethod) -> None:
    """Names and whether they are needed are those of the struct that reads a call; each has a schema."""
    found = next(item for item in described["methods"] if item["name"] == method.name)
    fields = msgspec.structs.fields(method.parameters)
    assert [(item["name"], item["required"]) for item in found["params"]] == [
        (field.name, field.required) for field in fields
    ]
    assert all(item["schema"] for item in found["params"])
    assert found["paramStructure"] == "by-name"
    assert found["summary"]
    assert found["result"]["schema"]


def test_what_may_be_left_out_says_its_default(described: dict[str, Any]) -> None:
    """A reader learns what happens when a parameter is not given."""
    search = next(item for item in described["methods"] if item["name"] == "search")
    limit = next(item for item in search["params"] if item["name"] == "limit")
    assert limit == {"name": "limit", "required": False, "schema": {"type": "integer", "default": 20}}


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    """No schema and no error is named that is not in the document."""
    targets = set(references(described)) - {"https://meta.open-rpc.org/"}
    assert targets
    for target in targets:
        where: Any = described
        for step in target.removeprefix("#/").split("/"):
            where = where[step]
        assert where


def test_every_topic_is_described(described: dict[str, Any]) -> None:
    """Each kind of topic is there once, logs with items and pictures with parts, with what a token needs."""
    topics = {topic["name"].partition("/")[0]: topic for topic in described["x-topics"]}
    assert set(topics) == set(TopicKind)
    for kind in TopicKind:
        assert ("items" in topics[kind]) is kind.is_log
        assert ("parts" in topics[kind]) is not kind.is_log
        assert topics[kind]["conflates"] is not kind.is_log
        assert topics[kind]["x-scopes"] == list(access.topic_rule(kind).scopes)
    assert topics["chain"]["parts"]["ROW"]["x-columns"] == list(chain_rows.COLUMNS)


def test_scopes_are_those_that_are_asked(described: dict[str, Any]) -> None:
    """What the document says a token needs is what the door asks for."""
    by_name = {method["name"]: method["x-scopes"] for method in described["methods"]}
    assert by_name["orders"] == ["read"]
    for name, rule in access.METHODS.items():
        if name in by_name:
            assert by_name[name] == list(rule.scopes)
    assert described["x-commands"]["place_order"] == ["trade"]
    assert described["x-commands"]["cancel_orders"] == ["kill", "trade"]
    assert described["x-commands"]["set_mode"] == ["trade"]
    assert described["x-commands"]["set_mode READ"] == ["kill", "trade"]


def test_amounts_are_texts(described: dict[str, Any]) -> None:
    """No reader is led to send or expect money as a binary fraction."""
    request = described["components"]["schemas"]["OrderRequest"]["properties"]
    kinds = [choice.get("type") for choice in request["price"]["anyOf"]]
    assert sorted(kinds) == ["null", "string"]


def test_the_same_methods_give_the_same_bytes() -> None:
    """The order in which methods are found changes nothing."""
    assert openrpc.document_bytes(METHODS) == openrpc.document_bytes(list(reversed(METHODS)))


def test_columns_are_lists_of_numbers() -> None:
    """An array on the wire is a list in which null stands for NaN; what has no form on the wire is refused."""

    class Curve(msgspec.Struct):
        """A curve."""

        money: Floats

    class Nothing(msgspec.Struct):
        """A file."""

        file: Path

    parameters = OWN_METHODS["rpc.discover"].parameters
    described = openrpc.document([WireMethod("curve", parameters, Curve, "A curve.")])
    money = described["components"]["schemas"]["Curve"]["properties"]["money"]
    assert money == {"type": "array", "items": dict(openrpc.NUMBER)}
    with pytest.raises(TypeError, match="Path"):
        openrpc.document([WireMethod("file", parameters, Nothing, "A file.")])
