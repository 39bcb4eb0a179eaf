"""Flags that are made from `Settings`, so that a setting cannot lack its flag."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from app.settings import Settings


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str] = tuple(Settings.model_fields)) -> None:
    """Give `parser` a flag for each setting of `names`: `max_pending` becomes `--max-pending`."""
    for name in names:
        field = Settings.model_fields[name]
        text = (field.description or "").replace("%", "%%")
        parser.add_argument(flag(name), help=f"{text} [{variable(name)}]", **_shape(name, field))


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    return f"{Settings.model_config.get('env_prefix', '')}{name}".upper()


def settings_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Settings:
    """Build the settings: flags first, then the environment. Ends the program with a message that names a wrong one."""
    given = {name: value for name, value in vars(arguments).items() if name in Settings.model_fields}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = [(str(item["loc"][0]), item["msg"]) for item in error.errors()]
        parser.error("; ".join(f"{flag(name)} ({variable(name)}): {message}" for name, message in wrong))
    except SettingsError as error:
        parser.error(f"{error}: lists are written as JSON in the environment")


def _shape(name: str, field: FieldInfo) -> dict[str, Any]:
    """Say to argparse what a setting of this type looks like. Values are checked by `Settings` alone."""
    if field.annotation is bool:
        return {"action": argparse.BooleanOptionalAction, "default": None}
    if get_origin(field.annotation) is list:
        return {"nargs": "*", "action": "extend", "metavar": name.rstrip("s").rpartition("_")[2].upper()}
    choices = [str(choice) for choice in get_args(field.annotation)]
    return {"choices": choices} if choices else {"metavar": name.rpartition("_")[2].upper()}
