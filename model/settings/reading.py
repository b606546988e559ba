"""Settings read from `headlight.toml` and the environment, checked, with a sentence for each mistake."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from model.assets import ASSETS
from model.settings.settings import ALONE, SHARED, SOURCES, Settings

FILE = ASSETS.parent / "headlight.toml"
PREFIX = "HEADLIGHT_"
UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
NO_LIMIT = "unlimited"
TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
REPOSITORY = re.compile(r"[\w.*-]+/[\w.*-]+|\*")
MAX_FILE_BYTES = 100_000


class SettingsError(ValueError):
    """A setting cannot be understood; the message says which, and what it may be."""


def _models(value: object) -> tuple[str, ...]:
    names = _texts(value)
    for name in names:
        if os.path.isabs(name) and not Path(name).is_dir():
            raise ValueError(f"there is no folder {name}")
        if not (name in SOURCES or os.path.isabs(name) or re.fullmatch(r"[\w.-]+/[\w.-]+", name)):
            raise ValueError(f"{name!r} is none of {', '.join(SOURCES)}, no path from the root, and no owner/name")
    return names


def _repositories(value: object) -> tuple[str, ...]:
    names = _texts(value)
    for name in names:
        if not REPOSITORY.fullmatch(name):
            raise ValueError(f"{name!r} is no repository such as owner/name or owner/*")
    return names


def _texts(value: object) -> tuple[str, ...]:
    """A list of texts, or one text with commas between."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError('give a list such as ["catalogue", "hub"]')
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _size(value: object) -> float | None:
    if value == NO_LIMIT:
        return None
    found = (
        re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([KMGT]B)", value.strip().upper()) if isinstance(value, str) else None
    )
    if found is None:
        raise ValueError(f'give a size such as "500 MB" or "4 GB", or "{NO_LIMIT}"')
    return float(found[1]) * UNITS[found[2]]


def _count(value: object) -> int | None:
    if value == NO_LIMIT:
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 1e9:
        raise ValueError(f'give a whole number from 1 on, or "{NO_LIMIT}"')
    return value


def _truth(value: object) -> bool:
    found = value if isinstance(value, bool) else TRUTH.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("give true or false")
    return found


READERS: Mapping[str, Callable[[object], Any]] = {
    "models": _models,
    "largest_model": _size,
    "largest_download": _size,
    "tokens_per_text": _count,
    "uploads": _truth,
    "sessions": _count,
    "account_repositories": _repositories,
}


def read(*, shared: bool, file: Path = FILE, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a server: those of `headlight.toml`, then those of the environment, checked.

    Args:
        shared: whether other computers reach the server; decides what holds where nothing is said.
        file: need not exist; environment: `os.environ` by default, where "largest_model" is HEADLIGHT_LARGEST_MODEL.

    Raises:
        SettingsError: a name or a value is wrong; the message says where it stands and what it may be.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, Any] = {}
    for name, value in _read_file(file).items():
        if name not in READERS:
            raise SettingsError(f"{file.name} has no setting {name[:40]!r}. There are: {', '.join(READERS)}.")
        given[name] = _checked(name, value, f"{name} in {file.name}")
    for variable, value in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX):
            continue
        if name in READERS:
            given[name] = _checked(name, value, f"${variable}")
        elif close := difflib.get_close_matches(name, READERS, 1, 0.85):
            raise SettingsError(f"${variable} is no setting. Did you mean ${PREFIX}{close[0].upper()}?")
    return replace(SHARED if shared else ALONE, **given)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        if not file.exists():
            return {}
        if file.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(f"{file.name} is larger than {MAX_FILE_BYTES // 1000} KB, so it was not read.")
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except SettingsError:
        raise
    except OSError as error:
        raise SettingsError(f"{file.name} is there, but cannot be read.") from error
    # Also a number with thousands of digits, and what is nested too deeply.
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file.name} is no TOML: {str(error).splitlines()[0][:200]}.") from error


def _checked(name: str, value: object, where: str) -> Any:
    try:
        return READERS[name](value)
    except ValueError as error:
        raise SettingsError(f"{where} cannot be understood: {error}.") from error


def described(settings: Settings) -> str:
    """Every setting and its value, a line each, as `headlight.toml` would hold them."""
    return "\n".join(f"{name} = {_written(name, value)}" for name, value in asdict(settings).items())


def _written(name: str, value: object) -> str:
    if value is None:
        return f'"{NO_LIMIT}"'
    if READERS[name] is _size and isinstance(value, float):
        return f'"{value / 1e6:.15g} MB"'
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return str(value).lower()
