"""Health, readiness, metrics, request ids and problems."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from vital_ops_kernel.metrics import load_metrics

from ai_engine import store


def test_live(client):
    assert client.get("/healthz").json() == {"status": "ok", "service": "ai-engine", "version": "3f9c2a71"}


def test_ready(client):
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert [check["name"] for check in response.json()["checks"]] == ["database", "migrations"]


def test_a_missing_migration_is_named(make_client, tmp_path):
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "20260105090000_app_schema.sql").touch()
    (tmp_path / "pending" / "29990101000000_later.sql").touch()
    response = make_client(MIGRATIONS_DIR=str(tmp_path)).get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    assert response.json()["checks"][1] == {"name": "migrations", "ok": False, "detail": "missing: 29990101000000"}


def test_a_newer_migration_does_not_matter(make_client, tmp_path):
    (tmp_path / "applied").mkdir()
    (tmp_path / "applied" / "20260105090000_app_schema.sql").touch()
    response = make_client(MIGRATIONS_DIR=str(tmp_path)).get("/readyz")
    assert response.status_code == 200
    assert response.json()["checks"][1]["detail"] == "1 of 1 applied"


def test_a_database_without_a_ledger_is_not_ready(make_client, environment, owner):
    owner.execute("revoke usage on schema ops from app_service")
    try:
        response = make_client().get("/readyz")
    finally:
        owner.execute("grant usage on schema ops to app_service")
    assert response.status_code == 503
    assert "ops.applied_migration cannot be read" in response.json()["checks"][1]["detail"]


def test_not_ready_while_draining(client):
    client.app.state.draining = True
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert client.get("/healthz").status_code == 200


def test_a_full_pool_is_not_a_database_that_is_away(make_client, lock_passages):
    client = make_client(SERVICE_SETTINGS=json.dumps({"database_pool_max": 1, "database_wait_seconds": 0.2}))
    with ThreadPoolExecutor(1) as threads:
        with lock_passages() as until_one_waits:
            stuck = threads.submit(client.post, "/v1/answers", json={"question": "backup"})
            until_one_waits()
            assert client.get("/readyz").status_code == 200
            refused = client.get("/v1/documents")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["detail"] == "no connection to the database in time"
        assert stuck.result().status_code == 200


def test_a_statement_that_takes_too_long_is_cut_off(make_client, lock_passages):
    client = make_client(SERVICE_SETTINGS=json.dumps({"statement_seconds": 0.2}))
    with lock_passages():
        response = client.post("/v1/answers", json={"question": "backup"})
    assert response.status_code == 503
    assert response.json()["detail"] == "the database took too long to answer"


def test_metrics_have_the_shared_names(client):
    client.get("/v1/documents")
    client.get("/v1/documents/999999")
    client.request("BREW", "/coffee")
    text = client.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/v1/documents",service="ai-engine",status="200"} 1.0' in text
    assert 'route="/v1/documents/{id}",service="ai-engine",status="404"' in text
    assert 'http_requests_total{method="other",route="unmatched",service="ai-engine",status="404"} 1.0' in text
    assert 'db_pool_connections{service="ai-engine",state="used"} ' in text
    assert "process_resident_memory_bytes" in text
    of_the_gateway = {"upstream_requests_total", "rate_limited_requests_total"}
    for name in set(load_metrics()) - of_the_gateway:
        assert f"# TYPE {name} " in text


def test_a_request_id_is_kept_or_made(client):
    assert client.get("/healthz", headers={"x-request-id": "r-1"}).headers["x-request-id"] == "r-1"
    made = client.get("/nope", headers={"x-request-id": "not ok"})
    assert made.headers["x-request-id"] == made.json()["request_id"] != "not ok"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("PUT", "/v1/documents", 405),
        ("GET", "/v1/documents/x", 400),
        ("GET", "/v1/documents/0", 400),
        ("GET", "/v1/documents?limit=101", 400),
        ("GET", "/v1/documents?what=1", 400),
    ],
)
def test_every_error_is_a_problem(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == response.json()["status"] == status
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_an_unexpected_error_is_a_problem_and_a_log_line(client, monkeypatch, caplog):
    async def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(store, "find_document", broken)
    response = client.get("/v1/documents/1")
    assert response.status_code == 500
    assert "secret detail" not in response.text
    assert any(record.exc_info for record in caplog.records)
