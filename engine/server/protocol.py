"""JSON-RPC 2.0 as this project speaks it: messages, error codes, and the two-way mapping of our errors.

A request carries a method of ``EngineClient`` by its own name, named parameters and always an ``id``: a call without
one could never be answered, and an answer here may be about money, so it is refused and nothing is done. Batches are
refused too. What the engine says unasked are notifications of method ``topic``, a ``TopicUpdate`` each: first a
snapshot, then what changed since the update named by ``base``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.core import errors
from engine.core.errors import BrokerError, EngineGone, Forbidden, InvalidInput, RateLimited, Refused, WorkstationError

VERSION = "2.0"
PROTOCOL_REVISION = 2
"""Raised when a change would break an older client."""

REQUEST_BYTES_MAX = 1024 * 1024
"""Longest message from a client; the connection of a longer one is closed."""
ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Longest message to a client: a day's five thousand orders take less than five."""
IDENTIFIER_LENGTH_MAX = 64
INTEGER_MAX = 2**53 - 1
"""Beyond it a reader that keeps numbers as doubles would see another one."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
ENGINE_ERROR = -32000
"""One of ``engine.core.errors``; ``data.kind`` names which."""
FORBIDDEN = -32001
"""The scope or the account is missing."""
TOO_MANY = -32002
"""More calls than one client may make; nothing was done, later it may be."""

BESIDE = -1
"""Sequence and base of an update that adds parts without being part of the sequence."""

CLOSE_TIMEOUT_S = 2.0
"""The other side is given this long to end a conversation politely."""
CLOSE_GOING_AWAY = 1001
CLOSE_POLICY = 1008
CLOSE_INTERNAL = 1011
CLOSE_TRY_LATER = 1013
"""WebSocket close codes; the reason beside them is for a person."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call."""

    jsonrpc: str
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET


class ErrorData(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client needs to raise the same error again."""

    kind: str
    field: str | None = None
    place: int | None = None
    code: int | None = None
    """The broker's HTTP status."""
    broker_kind: str | None = None
    """The broker's own error type."""
    retry_after_s: float | None = None


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``error`` member of an answer."""

    code: int
    message: str
    data: ErrorData | None = None


class Answer(msgspec.Struct, frozen=True):
    """What comes over the wire to a client: an answer, or a notification with ``method``."""

    jsonrpc: str
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    """Empty when there is none."""
    error: ErrorBody | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw()


class TopicUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parameters of a ``topic`` notification, and the answer to ``follow``.

    A picture (``desk``, ``chain/…``, ``quotes``, ``strategies``, ``positions``) is made of named ``parts``: what is
    sent conflates, and only the newest value of a part matters. A log (``orders``, ``events``) is made of ``items``,
    every one in its order.
    """

    topic: str
    sequence: int
    """Of this update; grows. -1, as sequence and base: these parts join what is here, and the sequence stays."""
    base: int = 0
    """Sequence of the update that this one continues. 0: a snapshot, what was known before is to be forgotten. A client
    that has another sequence has missed something and follows again."""
    parts: dict[str, msgspec.Raw] = {}
    gone: tuple[str, ...] = ()
    """Parts that are no more."""
    items: tuple[msgspec.Raw, ...] = ()


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``hello``."""

    revision: int
    seat: str
    """How the engine names this client in events and in the audit log."""
    engine_id: str
    """Another one after every start of the engine."""
    venue: str
    """Which market and account book this is; a client that resumes finds the same, or stops."""
    account: str
    """Empty when this client owns no account of the engine."""
    scopes: tuple[str, ...]
    pace_hz: float
    """How often this client is shown pictures."""


class BadRequest(Exception):
    """A message that cannot be taken as a request."""

    def __init__(self, identifier: int | str | None, body: ErrorBody) -> None:
        """Keep what to answer, and to whom."""
        super().__init__(body.message)
        self.identifier = identifier
        self.body = body


def read_request(message: str | bytes) -> tuple[int | str, Request]:
    """Read a client's message; its id and the whole.

    Raises:
        BadRequest: it is not a JSON-RPC 2.0 request with an id.
    """
    if isinstance(message, bytes):
        raise BadRequest(None, ErrorBody(INVALID_REQUEST, "Send requests in text frames; this was a binary one."))
    if message.lstrip()[:1] == "[":
        raise BadRequest(None, ErrorBody(INVALID_REQUEST, "Batches are not taken; send one request in a message."))
    try:
        request = msgspec.json.decode(message, type=Request)
    except msgspec.ValidationError as error:
        raise BadRequest(None, ErrorBody(INVALID_REQUEST, f"Not a JSON-RPC 2.0 request: {error}.")) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(None, ErrorBody(PARSE_ERROR, f"Not JSON: {error}.")) from error
    identifier = request.id
    if identifier is None or isinstance(identifier, msgspec.UnsetType):
        words = f'The call of "{request.method[:IDENTIFIER_LENGTH_MAX]}" has no id and could not be answered; give one.'
        raise BadRequest(None, ErrorBody(INVALID_REQUEST, f"{words} Nothing was done."))
    long_text = isinstance(identifier, str) and len(identifier) > IDENTIFIER_LENGTH_MAX
    if long_text or (isinstance(identifier, int) and abs(identifier) > INTEGER_MAX):
        words = f"An id is a text of at most {IDENTIFIER_LENGTH_MAX} characters or a whole number up to {INTEGER_MAX}."
        raise BadRequest(None, ErrorBody(INVALID_REQUEST, words))
    if request.jsonrpc != VERSION:
        raise BadRequest(identifier, ErrorBody(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0".'))
    return identifier, request


def _error_kinds() -> dict[str, type[WorkstationError]]:
    return {
        name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WorkstationError)
    }


ERROR_KINDS = _error_kinds()


def error_body(error: WorkstationError) -> ErrorBody:
    """One of our errors as data; the words stay the same over every road."""
    kind = type(error).__name__
    if isinstance(error, Forbidden):
        return ErrorBody(FORBIDDEN, str(error), ErrorData(kind))
    if isinstance(error, InvalidInput):
        return ErrorBody(ENGINE_ERROR, str(error), ErrorData(kind, field=error.field, place=error.place))
    if isinstance(error, BrokerError):
        wait = error.retry_after_s if isinstance(error, RateLimited) else None
        data = ErrorData(kind, code=error.code, broker_kind=error.kind, retry_after_s=wait)
        return ErrorBody(ENGINE_ERROR, str(error), data)
    return ErrorBody(ENGINE_ERROR, str(error), ErrorData(kind))


def invalid_parameters(words: str, *, field: str | None) -> ErrorBody:
    """The caller's parameters are wrong; nothing was done."""
    return ErrorBody(INVALID_PARAMS, words, ErrorData(InvalidInput.__name__, field=field))


def refused(words: str) -> ErrorBody:
    """Understood, and not now; nothing was done."""
    return ErrorBody(ENGINE_ERROR, words, ErrorData(Refused.__name__))


def too_many(words: str) -> ErrorBody:
    """More calls than one client may make; nothing was done."""
    return ErrorBody(TOO_MANY, words, ErrorData(Refused.__name__))


def failed_inside() -> ErrorBody:
    """A defect of ours. The client must take it as it takes a lost answer: what was asked may have been done."""
    words = "The engine failed inside, its log says where; what was asked may have been done."
    return ErrorBody(INTERNAL_ERROR, words, ErrorData(EngineGone.__name__))


def error_from_body(body: ErrorBody) -> WorkstationError:
    """The error a client raises for an answer that carries one."""
    data = body.data
    kind = ERROR_KINDS.get(data.kind, WorkstationError) if data is not None else WorkstationError
    if data is None:
        return kind(body.message)
    if issubclass(kind, InvalidInput):
        return kind(body.message, field=data.field, place=data.place)
    if issubclass(kind, RateLimited):
        return kind(body.message, retry_after_s=data.retry_after_s, code=data.code)
    if issubclass(kind, BrokerError):
        return kind(body.message, code=data.code, kind=data.broker_kind)
    return kind(body.message)


def answer(identifier: int | str, result: bytes) -> bytes:
    """An answer around an already encoded result: a value is never encoded twice."""
    return b'{"jsonrpc":"2.0","id":' + msgspec.json.encode(identifier) + b',"result":' + result + b"}"


def failure(identifier: int | str | None, body: ErrorBody) -> bytes:
    """An answer that carries an error."""
    return b'{"jsonrpc":"2.0","id":' + msgspec.json.encode(identifier) + b',"error":' + msgspec.json.encode(body) + b"}"


def picture_update(
    topic: str, sequence: int, base: int, parts: Iterable[tuple[str, bytes]], gone: Sequence[str]
) -> bytes:
    """A ``TopicUpdate`` around already encoded parts."""
    head = msgspec.json.encode({"topic": topic, "sequence": sequence, "base": base, "gone": gone})[:-1]
    body = b",".join(msgspec.json.encode(name) + b":" + data for name, data in parts)
    return head + b',"parts":{' + body + b"}}"


def log_update(topic: str, sequence: int, base: int, items: Iterable[bytes]) -> bytes:
    """A ``TopicUpdate`` around already encoded items."""
    head = msgspec.json.encode({"topic": topic, "sequence": sequence, "base": base})[:-1]
    return head + b',"items":[' + b",".join(items) + b"]}"


def notification(update: bytes) -> bytes:
    """A ``topic`` notification around an encoded ``TopicUpdate``."""
    return b'{"jsonrpc":"2.0","method":"topic","params":' + update + b"}"


def request(identifier: int, method: str, parameters: dict[str, Any], encode: Any) -> bytes:  # noqa: ANN401
    """A call by a client; ``encode`` makes bytes of a value."""
    encoded: bytes = encode({"jsonrpc": VERSION, "id": identifier, "method": method, "params": parameters})
    return encoded
