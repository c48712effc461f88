"""The OpenRPC description of what the doors take, made from the same structs that decode and encode it.

Nothing is written twice: parameters, results and topics come from the wire methods and views themselves, needed scopes
from the tables that are asked on every call. ``docs/openrpc.json`` is the pinned copy that a test compares with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from engine.core.commands import SetMode
from engine.core.events import EngineEvent
from engine.core.orders import OrderRecord
from engine.core.positions import BrokerPosition
from engine.core.quotes import Quote
from engine.core.strategies import StrategyValue
from engine.core.views import ChainHeader, DeskView
from engine.core.vocabulary import Mode
from engine.server import access, chain_rows, protocol
from engine.server.methods import WireMethod
from engine.server.pictures import REVISION
from engine.server.protocol import ErrorData, TopicUpdate
from engine.server.topics import TopicKind

OPENRPC_VERSION: Final = "1.3.2"
DISCOVER: Final = "rpc.discover"
TITLE: Final = "Options workstation engine"
REFERENCE: Final = "#/components/schemas/{name}"
DISCOVERED: Final = {"$ref": "https://meta.open-rpc.org/"}
"""What the specification gives as the schema of the answer to ``rpc.discover``."""
NUMBER: Final[Mapping[str, Any]] = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf"]}, {"type": "null"}]}
"""An element of a column: null stands for NaN, two words for the infinities."""
DESCRIPTION: Final = (
    "JSON-RPC 2.0 over a WebSocket, one request in a text frame, named parameters, always an id. Amounts are texts, so "
    "that no digit is lost; times carry their zone. What the engine says unasked are notifications of the method "
    '"topic" whose parameters are a TopicUpdate: first a snapshot (base 0), then what changed since the update named '
    "by base. A client that holds another sequence has missed something and follows again. Topics are listed in "
    "x-topics, what a token needs in x-scopes."
)
ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "ParseError": (protocol.PARSE_ERROR, "The message is not JSON."),
    "InvalidRequest": (protocol.INVALID_REQUEST, "The message is not a request with an id."),
    "MethodNotFound": (protocol.METHOD_NOT_FOUND, "There is no such method."),
    "InvalidParams": (protocol.INVALID_PARAMS, "The parameters are wrong: data.field says which. Nothing was done."),
    "InternalError": (protocol.INTERNAL_ERROR, "A defect of the engine: what was asked may have been done."),
    "EngineError": (protocol.ENGINE_ERROR, "The engine's own error: data.kind names it."),
    "Forbidden": (protocol.FORBIDDEN, "The scope or the account is missing. Nothing was done."),
    "TooMany": (protocol.TOO_MANY, "More calls than one client may make. Nothing was done."),
}
METHOD_ERRORS: Final = ("InvalidParams", "EngineError", "Forbidden", "TooMany", "InternalError")


def _array_schema(kind: type) -> dict[str, Any]:
    """The schema of a column; the library tells the class of an array and not what it holds."""
    if kind is not np.ndarray:
        raise TypeError(f"a {kind.__name__} has no form on the wire")
    return {"type": "array", "items": dict(NUMBER)}


class _Schemas:
    """Collects types, so that all their schemas share one set of components."""

    def __init__(self) -> None:
        self._types: list[Any] = []

    def add(self, kind: Any) -> int:  # noqa: ANN401 - annotations are of any kind
        """Remember a type; where its schema will be found."""
        self._types.append(kind)
        return len(self._types) - 1

    def made(self) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
        """The schema of each type, and the components they refer to."""
        return msgspec.json.schema_components(self._types, ref_template=REFERENCE, schema_hook=_array_schema)


def document(methods: Iterable[WireMethod]) -> dict[str, Any]:
    """The description of these methods, of the topics and of the errors, as plain values."""
    schemas = _Schemas()
    known = sorted((method for method in methods if method.name != DISCOVER), key=lambda method: method.name)
    places = [(method, _parameter_places(method, schemas), schemas.add(method.result)) for method in known]
    topics = _topic_places(schemas)
    error_data = schemas.add(ErrorData)
    update = schemas.add(TopicUpdate)
    found, components = schemas.made()
    described = [_method(method, parameters, found, found[result]) for method, parameters, result in places]
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": TITLE, "description": DESCRIPTION, "version": f"{protocol.PROTOCOL_REVISION}.0.0"},
        "methods": [*described, _discover()],
        "components": {
            "schemas": components,
            "errors": {
                name: {"code": code, "message": words, "data": found[error_data]}
                for name, (code, words) in ERRORS.items()
            },
        },
        "x-commands": _command_scopes(),
        "x-topics": [_topic(kind, places, found) for kind, places in topics.items()],
        "x-topic-update": found[update],
    }


def document_bytes(methods: Iterable[WireMethod]) -> bytes:
    """The description as JSON; the same methods give the same bytes."""
    return msgspec.json.encode(document(methods))


def _parameter_places(method: WireMethod, schemas: _Schemas) -> dict[str, int]:
    return {field.name: schemas.add(field.type) for field in msgspec.structs.fields(method.parameters)}


def _method(
    method: WireMethod, places: Mapping[str, int], found: tuple[dict[str, Any], ...], result: dict[str, Any]
) -> dict[str, Any]:
    fields = {field.name: field for field in msgspec.structs.fields(method.parameters)}
    described: dict[str, Any] = {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": [_parameter(fields[name], found[place]) for name, place in places.items()],
        "result": {"name": "result", "schema": result},
        "errors": [{"$ref": f"#/components/errors/{name}"} for name in METHOD_ERRORS],
    }
    if method.name == access.SUBMIT:
        described["x-scopes"] = "by the kind of the command, see x-commands"
    else:
        described["x-scopes"] = list(access.method_rule(method.name, {}).scopes)
    return described


def _parameter(field: msgspec.structs.FieldInfo, schema: dict[str, Any]) -> dict[str, Any]:
    if not field.required and field.default is not msgspec.NODEFAULT:
        schema = schema | {"default": msgspec.to_builtins(field.default)}
    return {"name": field.name, "required": field.required, "schema": schema}


def _discover() -> dict[str, Any]:
    return {
        "name": DISCOVER,
        "summary": "This description.",
        "paramStructure": "by-name",
        "params": [],
        "result": {"name": "result", "schema": dict(DISCOVERED)},
        "errors": [{"$ref": f"#/components/errors/{name}"} for name in METHOD_ERRORS],
        "x-scopes": list(access.method_rule(DISCOVER, {}).scopes),
    }


def _command_scopes() -> dict[str, list[str]]:
    """What each kind of command needs, by its tag; disarming, which only takes risk away, is listed apart."""
    scopes = {
        str(kind.__struct_config__.tag): [str(scope) for scope in rule.scopes]
        for kind, rule in access.COMMANDS.items()
        if issubclass(kind, msgspec.Struct)
    }
    disarming = SetMode(mode=Mode.READ)
    rule = access.method_rule(access.SUBMIT, {access.COMMAND: disarming})
    return scopes | {f"{SetMode.__struct_config__.tag} {disarming.mode}": [str(scope) for scope in rule.scopes]}


# -- topics ------------------------------------------------------------------------------------------------------------


def _topic_places(schemas: _Schemas) -> dict[TopicKind, dict[str, int]]:
    """Where the schemas of each topic's parts, or of its items, will be found."""
    desk = [field for field in msgspec.structs.fields(DeskView) if field.name != REVISION]
    return {
        TopicKind.DESK: {field.name: schemas.add(field.type) for field in desk},
        TopicKind.CHAIN: {chain_rows.HEADER: schemas.add(ChainHeader)},
        TopicKind.QUOTES: {"TOKEN": schemas.add(Quote | None)},
        TopicKind.STRATEGIES: {"NUMBER": schemas.add(StrategyValue)},
        TopicKind.POSITIONS: {"EXCHANGE:SYMBOL/PRODUCT": schemas.add(BrokerPosition)},
        TopicKind.ORDERS: {"item": schemas.add(OrderRecord)},
        TopicKind.EVENTS: {"item": schemas.add(EngineEvent)},
    }


def _topic(kind: TopicKind, places: Mapping[str, int], found: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": f"{kind.value}/UNDERLYING/YYYY-MM-DD" if kind is TopicKind.CHAIN else kind.value,
        "summary": TOPIC_WORDS[kind],
        "x-scopes": list(access.topic_rule(kind.value).scopes),
    }
    parts = {name: found[place] for name, place in places.items()}
    if kind.is_log:
        return described | {"conflates": False, "items": parts["item"]}
    if kind is TopicKind.CHAIN:
        parts |= _chain_parts()
    return described | {"conflates": True, "parts": parts}


def _chain_parts() -> dict[str, Any]:
    column = _array_schema(np.ndarray)
    pair = {"type": "array", "minItems": 2, "maxItems": 2}
    return {
        chain_rows.STRIKES: column,
        chain_rows.AGES: pair | {"items": column, "description": "Ages of the quotes in seconds, calls then puts."},
        "ROW": pair
        | {
            "items": column,
            "description": "One strike by its place, 0 is the lowest: the values of the call, then those of the put.",
            "x-columns": list(chain_rows.COLUMNS),
        },
    }


TOPIC_WORDS: Final[Mapping[TopicKind, str]] = {
    TopicKind.DESK: "Everything about the account at one moment, in sections.",
    TopicKind.CHAIN: "One expiry of one underlying: a header, the strikes, and a part for each row.",
    TopicKind.QUOTES: "Quotes of the instruments named in tokens; a null: nothing is known of it now.",
    TopicKind.STRATEGIES: "Active strategies with their legs, valued.",
    TopicKind.POSITIONS: "The broker's net positions as last read.",
    TopicKind.ORDERS: "Every change of an order, in order; the snapshot is all of them as they stand.",
    TopicKind.EVENTS: "Every event, in order; the snapshot is those that are kept.",
}
