"""Configuration from the environment, typed. An error names the key, never the value.

Every key may instead come as KEY_FILE, the path of a file that holds the value (how secrets reach a container);
KEY_FILE wins where both are set. An empty value counts as not set.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_REQUIRED: Any = object()


class ConfigurationError(Exception):
    """The message is for people and safe to log."""


@dataclass(frozen=True)
class Setting:
    """A setting's default, whose type is the setting's type, and the range of a number."""

    default: Any
    min: float = 0
    max: float = float("inf")


class Configuration:
    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def string(self, key: str, default: Any = _REQUIRED, one_of: Sequence[str] | None = None) -> Any:
        value = self._read(key)
        if value is None:
            return self._default(key, default)
        if one_of and value not in one_of:
            raise _invalid(key, f"one of {', '.join(one_of)}")
        return value

    def integer(self, key: str, default: Any = _REQUIRED, min: float = float("-inf"), max: float = float("inf")) -> Any:
        value = self._read(key)
        if value is None:
            return self._default(key, default)
        if not re.fullmatch(r"[+-]?[0-9]{1,15}", value) or not min <= int(value) <= max:
            raise _invalid(key, f"a whole number{_range(min, max)}")
        return int(value)

    def boolean(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self._read(key)
        if value is None:
            return self._default(key, default)
        if value.lower() in ("true", "1", "yes", "on"):
            return True
        if value.lower() in ("false", "0", "no", "off"):
            return False
        raise _invalid(key, "true or false")

    def duration(self, key: str, default: Any = _REQUIRED) -> Any:
        """Seconds, from `250ms`, `10s`, `5m`, `1h` or `2d`."""
        value = self._read(key)
        if value is None:
            return self._default(key, default)
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", value)
        if not match:
            raise _invalid(key, "a duration such as 250ms, 10s or 5m")
        return float(match[1]) * SECONDS[match[2]]

    def url(self, key: str, default: Any = _REQUIRED, schemes: Sequence[str] = ("http", "https")) -> Any:
        """The value as it is; only its form is checked, so that drivers read the URL in their own way."""
        value = self._read(key)
        if value is None:
            return self._default(key, default)
        try:
            scheme = urlsplit(value).scheme
        except ValueError:
            scheme = ""
        if scheme not in schemes or "://" not in value:
            raise _invalid(key, f"a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    def settings(self, known: Mapping[str, Setting]) -> dict[str, Any]:
        """The service's settings (SERVICE_SETTINGS, one JSON object), each known one with its value or default."""
        given = _parse_settings(self._read("SERVICE_SETTINGS") or "{}")
        for name in given:
            if name not in known:
                raise ConfigurationError(f"setting `{name}` is not known; known are {', '.join(sorted(known))}")
        return {name: _setting(name, rule, given.get(name)) for name, rule in known.items()}

    def _read(self, key: str) -> str | None:
        file = self._environment.get(f"{key}_FILE")
        if not file:
            return self._environment.get(key) or None
        try:
            with open(file, encoding="utf-8", newline="") as opened:
                return re.sub(r"\r?\n\Z", "", opened.read()) or None
        except UnicodeDecodeError:
            raise ConfigurationError(f"`{key}_FILE` names a file that is not UTF-8") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            raise ConfigurationError(f"`{key}_FILE` names a file that cannot be read ({reason})") from None

    def _default(self, key: str, default: Any) -> Any:
        if default is _REQUIRED:
            raise ConfigurationError(
                f"`{key}` is not set; set {key}, or {key}_FILE to the path of a file with its value"
            )
        return default


def _parse_settings(text: str) -> dict[str, Any]:
    try:
        settings = json.loads(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ConfigurationError("`SERVICE_SETTINGS` must be one JSON object")
    return settings


def _setting(name: str, rule: Setting, value: Any) -> Any:
    if value is None:
        return rule.default
    kind = type(rule.default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
        raise ConfigurationError(f"setting `{name}` must be {words.get(kind, kind.__name__)}")
    if kind in (int, float) and not rule.min <= value <= rule.max:
        raise ConfigurationError(f"setting `{name}` must be a number{_range(rule.min, rule.max)}")
    return value


def _invalid(key: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"`{key}` must be {expected}")


def _range(low: float, high: float) -> str:
    if low > float("-inf") and high < float("inf"):
        return f" from {low} to {high}"
    if low > float("-inf"):
        return f" of at least {low}"
    return f" of at most {high}" if high < float("inf") else ""
