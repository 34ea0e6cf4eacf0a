"""Names, help and labels of the metrics services have in common; how they are kept is up to the service."""

import json
from dataclasses import dataclass

from vital_ops_kernel.files import shared_folder


@dataclass(frozen=True)
class Metric:
    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


def load_metrics() -> dict[str, Metric]:
    given = json.loads((shared_folder() / "metrics.json").read_text(encoding="utf-8"))
    return {
        name: Metric(name, rule["type"], rule["help"], tuple(rule["labels"]), tuple(rule.get("buckets", ())))
        for name, rule in given.items()
    }
