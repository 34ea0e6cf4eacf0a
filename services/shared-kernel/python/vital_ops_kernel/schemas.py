"""The JSON Schemas services keep to, by name: the file's name without `.json`."""

import json
from typing import Any

from vital_ops_kernel.files import shared_folder


def schema_id(name: str) -> str:
    return f"urn:vital-ops:schema:{name}"


def load_schemas() -> dict[str, dict[str, Any]]:
    files = sorted((shared_folder() / "schemas").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
