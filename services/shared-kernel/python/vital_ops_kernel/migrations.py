"""Which migrations a service was built with, and which of them its database does not have yet."""

import re
from collections.abc import Iterable
from pathlib import Path

_VERSIONED = re.compile(r"([0-9]+)_.+(?<!\.down)\.sql")


def migration_versions(folder: Path) -> list[str]:
    """The versions under `folder`/applied and `folder`/pending, in order; a missing subfolder holds none."""
    present = {entry.name for entry in folder.iterdir()}
    files = [file.name for name in ("applied", "pending") if name in present for file in (folder / name).iterdir()]
    versions = {match[1] for file in files if (match := _VERSIONED.fullmatch(file))}
    return sorted(versions, key=int)


def missing_versions(wanted: Iterable[str], applied: Iterable[str]) -> list[str]:
    """Those of `wanted` that are not in `applied`; leading zeros do not matter."""
    there = {int(version) for version in applied if version.isdecimal()}
    return [version for version in wanted if int(version) not in there]
