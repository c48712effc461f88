"""Settings: the built-in defaults, a user's TOML file over them, the environment over both. Unknown keys are refused.

The sections are the settings structs of the parts they set, so that a value has one home; a struct inside a section is
a section of its own (``[door.limits]``). ``config.toml`` at the root of the project is the commented list of all of
them and is tested to equal the defaults.
"""

from __future__ import annotations

import enum
import math
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from engine.core.errors import SetupError
from workstation.locations import CONFIGURATION_VARIABLE, DATA_VARIABLE
from workstation.settings import Configuration

T = TypeVar("T", bound=msgspec.Struct)
Key = tuple[str, ...]
"""Section, perhaps inner section, and key."""

PREFIX = "WORKSTATION_"
RESERVED = frozenset(
    {
        DATA_VARIABLE,
        CONFIGURATION_VARIABLE,
        "WORKSTATION_TOKEN",
        "WORKSTATION_PG_BIN",
        "WORKSTATION_PG_ROOT_MODE",
        "WORKSTATION_SECRETS_KEY",
        "WORKSTATION_SECRETS_NEW_KEY",
        "WORKSTATION_RELAY_KEY",
        "WORKSTATION_RELAY_TOKEN",
    }
)
"""Variables of this prefix that are no settings."""
SECRET_PREFIX = "WORKSTATION_SECRET_"  # noqa: S105 - where secrets are given, not one
"""Variables that give secrets; never read here."""


def load_configuration(path: Path, *, required: bool, environment: Mapping[str, str]) -> Configuration:
    """Read the program's settings in force; see ``load_settings``."""
    return load_settings(Configuration, path, required=required, environment=environment)


def load_settings(schema: type[T], path: Path, *, required: bool, environment: Mapping[str, str]) -> T:
    """Read settings in force.

    Args:
        schema: A struct whose fields are sections: structs of keys with defaults.
        path: The TOML file.
        required: Whether the file must be there.
        environment: ``WORKSTATION_SECTION_KEY`` wins over the file.

    Raises:
        SetupError: the file cannot be read, or a key or value is not allowed; names file, key and what is allowed.
    """
    values = _read_file(path, required=required)
    _refuse_unknown(values, schema, source=str(path))
    sources: dict[Key, str] = {}
    for variable, key, value in _from_environment(schema, environment):
        _put(values, key, value)
        sources[key] = f"the environment variable {variable}"
    try:
        settings = msgspec.convert(values, schema, strict=True)
    except msgspec.ValidationError as error:
        raise SetupError(_refusal(schema, str(error), sources, file=str(path))) from error
    for key, value in _leaves(settings):
        if isinstance(value, float | Decimal) and not math.isfinite(value):
            raise SetupError(f"{sources.get(key, path)}: {_shown(key)}: {value} is not a finite number.")
    return settings


def setting_keys(schema: type[msgspec.Struct], prefix: Key = ()) -> dict[Key, Any]:
    """Every key with the type of its value, in the order of the structs."""
    keys: dict[Key, Any] = {}
    for field in msgspec.structs.fields(schema):
        inner = _struct(field.type)
        if inner is not None:
            keys |= setting_keys(inner, (*prefix, field.name))
        else:
            keys[*prefix, field.name] = field.type
    return keys


def variable_name(key: Key) -> str:
    """The environment variable that sets a key."""
    return PREFIX + "_".join(key).upper()


# -- the file ------------------------------------------------------------------------------------------------------


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if required:
            raise SetupError(f"There is no configuration file {path}.") from None
        return {}
    except OSError as error:
        raise SetupError(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SetupError(f"The configuration file {path} is not UTF-8 text (byte {error.start}).") from error
    try:
        # Every digit is kept: an amount of money must not pass through a binary fraction.
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path} is not TOML: {error}.") from error


def _refuse_unknown(values: Mapping[str, Any], schema: type[msgspec.Struct], *, source: str, at: Key = ()) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(schema)}
    for name, value in values.items():
        key = (*at, name)
        if name not in fields:
            raise SetupError(f"{source}: {_unknown(key, value, fields)}")
        inner = _struct(fields[name])
        if inner is None:
            continue
        if not isinstance(value, dict):
            known = _listed(field.name for field in msgspec.structs.fields(inner))
            raise SetupError(f'{source}: "{".".join(key)}" is a section, [{".".join(key)}]; its keys are {known}.')
        _refuse_unknown(value, inner, source=source, at=key)


def _unknown(key: Key, value: Any, fields: Mapping[str, Any]) -> str:  # noqa: ANN401 - a TOML value
    *section, name = key
    if section:
        return f'[{".".join(section)}] has no key "{name}"; it has {_listed(fields)}.'
    if isinstance(value, dict):
        return f"there is no section [{name}]; there are {_listed(fields)}."
    return f'"{name}" stands outside a section; sections are {_listed(fields)}.'


# -- the environment -----------------------------------------------------------------------------------------------


def _from_environment(schema: type[msgspec.Struct], environment: Mapping[str, str]) -> Iterator[tuple[str, Key, Any]]:
    keys = setting_keys(schema)
    by_variable = {variable_name(key): key for key in keys}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in RESERVED or variable.startswith(SECRET_PREFIX):
            continue
        key = by_variable.get(variable)
        if key is None:
            raise SetupError(_no_variable(schema, variable))
        yield variable, key, _value(environment[variable], keys[key])


def _no_variable(schema: type[msgspec.Struct], variable: str) -> str:
    words = f"The environment variable {variable} names no setting; settings are {PREFIX}SECTION_KEY"
    sections = {field.name: field.type for field in msgspec.structs.fields(schema)}
    for name, kind in sections.items():
        inner = _struct(kind)
        if inner is not None and variable.startswith(f"{PREFIX}{name.upper()}_"):
            return f"{words}, keys of [{name}] are {_listed(field.name for field in msgspec.structs.fields(inner))}."
    return f"{words}, sections are {_listed(sections)}."


def _value(text: str, kind: Any) -> Any:  # noqa: ANN401 - a TOML value of whatever type the key has
    """Read a variable as TOML would, but texts and amounts need no quotes and ``True`` is true."""
    if _takes(kind, bool) and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if _takes(kind, str) or _takes(kind, Decimal):
        return text
    try:
        return tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: dict[str, Any], key: Key, value: Any) -> None:  # noqa: ANN401 - a TOML value
    *sections, name = key
    for section in sections:
        values = values.setdefault(section, {})
    values[name] = value


# -- types and words -----------------------------------------------------------------------------------------------


def _plain(kind: Any) -> Any:  # noqa: ANN401 - annotations are of any kind
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def _struct(kind: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 - annotations are of any kind
    kind = _plain(kind)
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _choices(kind: Any) -> Iterator[Any]:  # noqa: ANN401 - annotations are of any kind
    """The members of a union, or the one type that it is."""
    kind = _plain(kind)
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        for member in typing.get_args(kind):
            yield from _choices(member)
    else:
        yield kind


def _takes(kind: Any, wanted: type) -> bool:  # noqa: ANN401 - annotations are of any kind
    return any(isinstance(choice, type) and issubclass(choice, wanted) for choice in _choices(kind))


def _allowed(kind: Any) -> str:  # noqa: ANN401 - annotations are of any kind
    """The closed list of values of a type, in words; empty when it has none."""
    names: list[str] = []
    for choice in _choices(kind):
        if isinstance(choice, type) and issubclass(choice, enum.Enum):
            names += [str(member.value) for member in choice]
        elif typing.get_origin(choice) is typing.Literal:
            names += [str(value) for value in typing.get_args(choice)]
    return f" Allowed: {', '.join(names)}." if names else ""


def _refusal(schema: type[msgspec.Struct], words: str, sources: Mapping[Key, str], *, file: str) -> str:
    """Turn msgspec's ``Expected `int`, got `str` - at `$.orders.per_second``` into source, key and what is allowed."""
    what, _, where = words.partition(" - at `$")
    what = what.replace("`", "").replace("got decimal", "got float")
    key = tuple(part.partition("[")[0] for part in where.strip("`").split(".") if part)
    kind = setting_keys(schema).get(key)
    if kind is None:  # a rule over several keys of one section: any of its sources may be the cause
        causes = [source for place, source in sources.items() if place[: len(key)] == key]
        return f"{', '.join([file, *causes])}: {_shown(key)}{what}."
    return f"{sources.get(key, file)}: {_shown(key)}: {what}.{_allowed(kind)}"


def _shown(key: Key) -> str:
    if len(key) < 2:
        return f"[{key[0]}] " if key else ""
    return f"[{'.'.join(key[:-1])}] {key[-1]}"


def _leaves(settings: msgspec.Struct, prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, msgspec.Struct):
            yield from _leaves(value, (*prefix, name))
        elif isinstance(value, tuple | list):
            yield from (((*prefix, name), item) for item in value)
        else:
            yield (*prefix, name), value


def _listed(names: Any) -> str:  # noqa: ANN401 - any iterable of texts
    return ", ".join(sorted(names))
