"""The loader of settings: defaults, file, environment; everything that is not allowed is refused by name."""

from __future__ import annotations

import operator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from engine.core.errors import SetupError
from workstation.configuration import PREFIX, load_configuration, load_settings, setting_keys, variable_name
from workstation.settings import Configuration


class Mood(StrEnum):
    """A closed list."""

    CALM = "CALM"
    BRAVE = "BRAVE"


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    """A section inside a section."""

    clients_max: Annotated[int, msgspec.Meta(ge=1)] = 16
    pace_hz: float = 10.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One value of each kind."""

    per_second: int = 10
    pause_s: float = 0.5
    cap: Decimal = Decimal("100000.05")
    floor: Decimal | None = None
    note: str = ""
    label: str | None = None
    armed: bool = False
    mood: Mood = Mood.CALM
    glyphs: Literal["unicode", "ascii"] = "unicode"
    pauses_s: tuple[float, ...] = (0.5, 1.0)
    names: tuple[str, ...] = ()
    keys: dict[str, str] = {}

    def __post_init__(self) -> None:
        """A rule over two keys."""
        if self.armed and self.per_second > 100:
            raise ValueError("an armed desk sends at most 100 a second")


class TwoWords(msgspec.Struct, frozen=True, kw_only=True):
    """A section whose name has an underscore."""

    retry_s: float = 1.0


class Nest(msgspec.Struct, frozen=True, kw_only=True):
    """Holds an inner section."""

    inner: Inner = Inner()
    size: int = 1


class Small(msgspec.Struct, frozen=True, kw_only=True):
    """A small configuration."""

    order: Order = Order()
    door: Inner = Inner()
    road_to: TwoWords = TwoWords()
    nest: Nest = Nest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the file of the test lies."""
    return tmp_path / "config.toml"


def load(file: Path, text: str = "", **environment: str) -> Small:
    """Settings of a file with this text under these variables (without their prefix)."""
    file.write_text(text, encoding="utf-8")
    return load_settings(
        Small, file, required=True, environment={PREFIX + name: value for name, value in environment.items()}
    )


def refusal(file: Path, text: str = "", **environment: str) -> str:
    """The words that these settings are refused with."""
    with pytest.raises(SetupError) as caught:
        load(file, text, **environment)
    return str(caught.value)


def test_without_a_file_the_defaults_are_in_force(file: Path) -> None:
    """A file that nobody named need not be there."""
    assert load_settings(Small, file, required=False, environment={}) == Small()


def test_a_named_file_must_be_there(file: Path) -> None:
    """The sentence names it."""
    with pytest.raises(SetupError, match=str(file)):
        load_settings(Small, file, required=True, environment={})


def test_the_file_wins_over_the_defaults(file: Path) -> None:
    """Only what it says; the rest stays."""
    settings = load(file, "[order]\nper_second = 5\n[nest.inner]\nclients_max = 3\n[order.keys]\nbuy = 'b'\n")
    assert settings.order == Order(per_second=5, keys={"buy": "b"})
    assert settings.nest == Nest(inner=Inner(clients_max=3))


def test_the_environment_wins_over_the_file(file: Path) -> None:
    """Key by key."""
    settings = load(file, "[order]\nper_second = 5\npause_s = 2.0\n", ORDER_PER_SECOND="7")
    assert (settings.order.per_second, settings.order.pause_s) == (7, 2.0)


@pytest.mark.parametrize(
    ("variable", "text", "place", "value"),
    [
        ("ORDER_PER_SECOND", "12", "order.per_second", 12),
        ("ORDER_PAUSE_S", "0.25", "order.pause_s", 0.25),
        ("ORDER_PAUSE_S", "3", "order.pause_s", 3.0),
        ("ORDER_CAP", "123.4567890123456789", "order.cap", Decimal("123.4567890123456789")),
        ("ORDER_CAP", "5", "order.cap", Decimal(5)),
        ("ORDER_FLOOR", "0.05", "order.floor", Decimal("0.05")),
        ("ORDER_NOTE", "0.05", "order.note", "0.05"),
        ("ORDER_NOTE", "", "order.note", ""),
        ("ORDER_LABEL", "true", "order.label", "true"),
        ("ORDER_ARMED", "true", "order.armed", True),
        ("ORDER_ARMED", "True", "order.armed", True),
        ("ORDER_ARMED", "FALSE", "order.armed", False),
        ("ORDER_MOOD", "BRAVE", "order.mood", Mood.BRAVE),
        ("ORDER_GLYPHS", "ascii", "order.glyphs", "ascii"),
        ("ORDER_PAUSES_S", "[0.1, 2]", "order.pauses_s", (0.1, 2.0)),
        ("ORDER_NAMES", '["a", "b"]', "order.names", ("a", "b")),
        ("DOOR_CLIENTS_MAX", "2", "door.clients_max", 2),
        ("ROAD_TO_RETRY_S", "9", "road_to.retry_s", 9.0),
    ],
)
def test_every_kind_of_value_can_come_from_the_environment(
    file: Path, variable: str, text: str, place: str, value: object
) -> None:
    """As it is written in a shell, digit by digit."""
    got = operator.attrgetter(place)(load(file, **{variable: text}))
    assert got == value
    assert type(got) is type(value)


def test_an_inner_section_can_come_from_the_environment(file: Path) -> None:
    """Its name is part of the variable's."""
    assert load(file, NEST_INNER_PACE_HZ="2.5").nest.inner.pace_hz == 2.5


def test_amounts_in_the_file_keep_their_digits(file: Path) -> None:
    """Written with or without quotes, nothing passes through a binary fraction."""
    assert load(file, "[order]\ncap = 0.1234567890123456789\n").order.cap == Decimal("0.1234567890123456789")
    assert load(file, '[order]\ncap = "0.10"\n').order.cap == Decimal("0.10")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[ordre]\n", "there is no section [ordre]; there are door, nest, order, road_to."),
        ("[order]\nper_secnd = 5\n", '[order] has no key "per_secnd"; it has armed, cap,'),
        ("[nest.inner]\npace = 5\n", '[nest.inner] has no key "pace"; it has clients_max, pace_hz.'),
        ("[nest.outer]\n", '[nest] has no key "outer"; it has inner, size.'),
        ("per_second = 5\n", '"per_second" stands outside a section; sections are door,'),
        ("order = 5\n", '"order" is a section, [order]; its keys are armed,'),
        ("[[order]]\n", '"order" is a section'),
        ("[nest]\ninner = 5\n", '"nest.inner" is a section, [nest.inner]; its keys are clients_max, pace_hz.'),
        ('[order]\nper_second = "5"\n', "[order] per_second: Expected int, got str."),
        ("[order]\nper_second = 5.5\n", "[order] per_second: Expected int, got float."),
        ("[order]\nper_second = true\n", "[order] per_second: Expected int, got bool."),
        ("[order]\narmed = 1\n", "[order] armed: Expected bool, got int."),
        ("[order]\nnote = 1.5\n", "[order] note: Expected str, got float."),
        ('[order]\nmood = "WILD"\n', "[order] mood: Invalid enum value 'WILD'. Allowed: CALM, BRAVE."),
        ('[order]\nglyphs = "runes"\n', "Allowed: unicode, ascii."),
        ('[order]\npauses_s = [1.0, "x"]\n', "[order] pauses_s: Expected float, got str."),
        ('[order]\ncap = "much"\n', "[order] cap: "),
        ("[door]\nclients_max = 0\n", "[door] clients_max: Expected int >= 1."),
        ("[nest.inner]\nclients_max = 0\n", "[nest.inner] clients_max: Expected int >= 1."),
        ("[order]\npause_s = nan\n", "[order] pause_s: nan is not a finite number."),
        ("[order]\npause_s = inf\n", "[order] pause_s: inf is not a finite number."),
        ('[order]\ncap = "NaN"\n', "[order] cap: NaN is not a finite number."),
        ("[order]\npauses_s = [nan]\n", "[order] pauses_s: nan is not a finite number."),
        ("[order]\narmed = true\nper_second = 101\n", "an armed desk sends at most 100 a second"),
        ("[order\n", "is not TOML"),
        ("[order]\nper_second = 1\nper_second = 2\n", "is not TOML"),
    ],
)
def test_what_is_not_allowed_is_refused_with_file_key_and_choices(file: Path, text: str, words: str) -> None:
    """The person can mend it from the sentence alone."""
    said = refusal(file, text)
    assert words in said
    assert str(file) in said


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("ORDER_PER_SECOND", "many", "ORDER_PER_SECOND: [order] per_second: Expected int, got str."),
        ("ORDER_ARMED", "1", "ORDER_ARMED: [order] armed: Expected bool, got int."),
        ("ORDER_MOOD", "calm", "Allowed: CALM, BRAVE."),
        ("ORDER_PAUSE_S", "nan", "ORDER_PAUSE_S: [order] pause_s: nan is not a finite number."),
        ("ORDER_CAP", "Infinity", "is not a finite number."),
        ("ORDER_PAUSES_S", "0.5", "[order] pauses_s: Expected array"),
        ("DOOR_CLIENTS_MAX", "0", "Expected int >= 1"),
        ("ORDER_PER_SECND", "5", "WORKSTATION_ORDER_PER_SECND names no setting"),
        ("ORDER_PER_SECND", "5", "keys of [order] are armed,"),
        ("NOTHING", "5", "sections are door, nest, order, road_to."),
    ],
)
def test_a_wrong_variable_is_refused_by_its_own_name(file: Path, variable: str, text: str, words: str) -> None:
    """Not the file is blamed, but the variable."""
    said = refusal(file, "[order]\nper_second = 5\n", **{variable: text})
    assert words in said
    assert PREFIX + variable in said


def test_a_rule_over_keys_of_both_sources_names_both(file: Path) -> None:
    """Either may be the one to mend."""
    said = refusal(file, "[order]\nper_second = 101\n", ORDER_ARMED="true")
    assert str(file) in said
    assert "WORKSTATION_ORDER_ARMED" in said


def test_two_variables_are_judged_together(file: Path) -> None:
    """A value that is allowed only with another one is not refused before that one is read."""
    settings = load(file, "[order]\narmed = true\n", ORDER_PER_SECOND="500", ORDER_ARMED="false")
    assert settings.order.per_second == 500


def test_variables_of_others_are_not_ours(file: Path) -> None:
    """Only our prefix counts, and the folders' variables are no settings."""
    file.write_text("", encoding="utf-8")
    environment = {"ORDER_PER_SECOND": "5", "WORKSTATION_DATA": "/x", "WORKSTATION_CONFIG": str(file)}
    assert load_settings(Small, file, required=True, environment=environment) == Small()


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    """Even when nobody named it."""
    with pytest.raises(SetupError, match="cannot be read: Is a directory"):
        load_settings(Small, tmp_path, required=False, environment={})


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    """With the place where it stops being text."""
    file.write_bytes(b"[order]\nnote = '\xff'\n")
    with pytest.raises(SetupError, match="not UTF-8 text"):
        load_settings(Small, file, required=True, environment={})


def test_a_byte_order_mark_is_no_fault(file: Path) -> None:
    """Some editors write one."""
    file.write_bytes(b"\xef\xbb\xbf[order]\nper_second = 5\n")
    assert load_settings(Small, file, required=True, environment={}).order.per_second == 5


def test_the_programs_own_defaults_can_be_loaded(file: Path) -> None:
    """An empty file is the built-in configuration."""
    file.write_text("", encoding="utf-8")
    assert load_configuration(file, required=True, environment={}) == Configuration()


def test_every_setting_of_the_program_has_a_variable_of_its_own() -> None:
    """No two keys share a name in the environment."""
    names = [variable_name(key) for key in setting_keys(Configuration)]
    assert len(names) == len(set(names))


def test_every_default_of_the_program_is_of_its_own_type() -> None:
    """What stands in the structs would pass from a file as well."""
    plain = msgspec.to_builtins(Configuration(), builtin_types=(Decimal,))
    assert msgspec.convert(plain, Configuration) == Configuration()
