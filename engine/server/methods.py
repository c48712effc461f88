"""The methods of ``EngineClient`` as wire methods, made from its annotations: door and client cannot disagree."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.client import EngineClient
from engine.core.errors import InvalidInput
from engine.server import protocol, wire
from engine.server.protocol import BadRequest
from engine.server.strictness import Bounds, check_strictly

NOT_CALLABLE_REMOTELY = frozenset(
    {"close", "watch", "unwatch", "watch_chain", "unwatch_chain", "next_orders", "next_events"}
)
"""Interest goes through ``follow``, which the door gives up when its client goes; a bare watch would be left behind."""
SEAT = "seat"
SUBMIT = "submit"


class WireMethod(msgspec.Struct, frozen=True):
    """One asynchronous method of the client."""

    name: str
    parameters: type[msgspec.Struct]
    """A struct with the method's parameters; unknown fields are refused."""
    result: Any
    summary: str

    @property
    def may_be_exit(self) -> bool:
        """Whether a call of it may be one that only takes risk away."""
        return self.name == SUBMIT

    def read_parameters(self, raw: msgspec.Raw, bounds: Bounds) -> dict[str, Any]:
        """The arguments of a call.

        Raises:
            BadRequest: they are not what the method takes; names the field and what is allowed. The id is not known
                here and left ``None``.
        """
        try:
            parameters = wire.decode(raw, self.parameters)
            check_strictly(msgspec.json.decode(raw), parameters, bounds)
        except InvalidInput as error:
            body = protocol.invalid_parameters(f"{self.name}: {error}", field=error.field)
            raise BadRequest(None, body) from error
        except msgspec.ValidationError as error:
            words, _, path = str(error).partition(" - at `$")
            field = path.strip(".`") or None
            sentence = f"{field}: {words}" if field else words
            body = protocol.invalid_parameters(f"{self.name}: {sentence.replace('`', '')}.", field=field)
            raise BadRequest(None, body) from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(None, protocol.invalid_parameters(f"{self.name}: {error}.", field=None)) from error
        return msgspec.structs.asdict(parameters)


def _wire_type(annotation: Any) -> Any:  # noqa: ANN401 - annotations are of any kind
    if typing.get_origin(annotation) is Sequence:
        return tuple.__class_getitem__((typing.get_args(annotation)[0], ...))
    return annotation


def wire_methods() -> dict[str, WireMethod]:
    """All asynchronous methods by name, but for those that only make sense in process."""
    methods = {}
    for name, function in inspect.getmembers(EngineClient, inspect.iscoroutinefunction):
        if name in NOT_CALLABLE_REMOTELY:
            continue
        hints = typing.get_type_hints(function)
        fields: list[Any] = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            annotation = _wire_type(hints[parameter.name])
            if parameter.default is inspect.Parameter.empty:
                fields.append((parameter.name, annotation))
            else:
                fields.append((parameter.name, annotation, parameter.default))
        struct = msgspec.defstruct(f"{name}_parameters", fields, kw_only=True, forbid_unknown_fields=True, frozen=True)
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        methods[name] = WireMethod(name, struct, hints["return"], summary)
    return methods
