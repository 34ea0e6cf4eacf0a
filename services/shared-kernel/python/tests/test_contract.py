"""The shared schemas and metric names hold what both libraries rely on."""

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from vital_ops_kernel import files
from vital_ops_kernel.metrics import load_metrics
from vital_ops_kernel.problem import problem
from vital_ops_kernel.schemas import load_schemas, schema_id

SCHEMAS = load_schemas()
REGISTRY = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values())


def validator(name):
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY, format_checker=FormatChecker())


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_so_are_its_examples(name):
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == schema_id(name)
    assert schema["title"] and schema["description"] and schema["examples"]
    for example in schema["examples"]:
        validator(name).validate(example)


def test_metrics_are_complete():
    for metric in load_metrics().values():
        assert metric.help and metric.type in ("counter", "gauge", "histogram")
        assert "service" in metric.labels
        assert bool(metric.buckets) == (metric.type == "histogram")
        assert metric.name.endswith("_total") == (metric.type == "counter")


@pytest.mark.parametrize(
    "body",
    [
        problem(404, "no document 7", "r-1"),
        problem(400, "x", "r-1", kind="validation", errors=[{"pointer": "/question", "detail": "must be string"}]),
    ],
)
def test_a_problem_fits_its_schema(body):
    validator("problem").validate(body)


def test_the_folder_can_be_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site" / "python" / "vital_ops_kernel" / "files.py"))
    monkeypatch.delenv("SHARED_KERNEL_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match="set SHARED_KERNEL_DIR"):
        files.shared_folder()
    (tmp_path / "metrics.json").write_text("{}")
    monkeypatch.setenv("SHARED_KERNEL_DIR", str(tmp_path))
    assert files.shared_folder() == tmp_path
