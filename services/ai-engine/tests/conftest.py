"""A scratch database with the workspace's own migrations and the handbook of dev, and the app on it.

TEST_DATABASE_URL names an empty database and a role that may create in it; without it, the tests that need PostgreSQL
are skipped. They connect the way the service does, as app_service, so a missing grant fails them.
"""

import os
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg.conninfo import conninfo_to_dict
from vital_ops_kernel.migrations import migration_versions

from ai_engine import config
from ai_engine.app import create_app

WORKSPACE = Path(__file__).resolve().parents[3]
MIGRATIONS = WORKSPACE / "database" / "migrations"
HANDBOOK = WORKSPACE / "database" / "seeds" / "dev" / "010_documents.sql"


def as_url(conninfo: str, **more: str) -> str:
    """A URL for the same database, whatever form the conninfo has; `host` may be a socket's folder."""
    parts = {**conninfo_to_dict(conninfo), **more}
    database = parts.pop("dbname", "")
    return f"postgres:///{database}?{urlencode(parts, quote_via=quote)}"


@pytest.fixture(scope="session")
def owner_url():
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        pytest.skip("TEST_DATABASE_URL is not set")
    return url


@pytest.fixture(scope="session")
def database_url(owner_url):
    """What the service connects with; the database is emptied of what was made in it at the end."""
    with psycopg.connect(owner_url) as connection:
        if connection.execute("select 1 from pg_namespace where nspname = 'app'").fetchone():
            pytest.fail("TEST_DATABASE_URL must name an empty database; this one has a schema `app`")
        _migrate(connection)
        has_ledger = connection.execute("select to_regclass('ops.applied_migration') is not null").fetchone()[0]
        if not has_ledger:
            _stand_in_ledger(connection)
        connection.execute(HANDBOOK.read_text())
        user = connection.execute("select current_user").fetchone()[0]
        connection.execute(f'grant app_service to "{user}"')
    yield as_url(owner_url, options="-c role=app_service")
    with psycopg.connect(owner_url) as connection:
        connection.execute("drop schema app cascade; drop extension pg_trgm")
        if not has_ledger:
            connection.execute("drop schema ops cascade")


def _migrate(connection):
    files = [*MIGRATIONS.glob("applied/*.sql"), *MIGRATIONS.glob("pending/*.sql")]
    versioned = sorted((file.name, file) for file in files if not file.name.endswith(".down.sql"))
    repeatable = sorted((file.name, file) for file in MIGRATIONS.glob("repeatable/*.sql"))
    for _, file in versioned + repeatable:
        connection.execute(file.read_text())


def _stand_in_ledger(connection):
    connection.execute("create schema ops; create table ops.stand_in (version text)")
    connection.execute("insert into ops.stand_in select unnest(%s::text[])", [migration_versions(MIGRATIONS)])
    connection.execute("create view ops.applied_migration as select version from ops.stand_in")
    connection.execute("grant usage on schema ops to app_service; grant select on ops.applied_migration to app_service")


@pytest.fixture
def owner(owner_url, database_url):
    with psycopg.connect(owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def lock_passages(owner):
    """A context in which searches wait, and a function that waits until one does."""

    @contextmanager
    def lock():
        with owner.transaction():
            owner.execute("lock table app.passage in access exclusive mode")
            yield until_one_waits

    def until_one_waits():
        end = time.monotonic() + 10
        while not owner.execute("select 1 from pg_locks where not granted").fetchone():
            assert time.monotonic() < end, "no search came to wait for the lock"
            time.sleep(0.02)

    return lock


@pytest.fixture
def environment(database_url):
    return {"DATABASE_URL": database_url, "MIGRATIONS_DIR": str(MIGRATIONS), "SERVICE_VERSION": "3f9c2a71"}


@pytest.fixture
def make_client(environment):
    """The app in this process, with keys of the environment changed."""
    opened = []

    def make(**changed: str) -> TestClient:
        client = TestClient(create_app(config.load({**environment, **changed})))
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def document(client):
    """Stores a document and takes it away after the test."""
    stored = []

    def store(source: str, body: str, title: str = "A title"):
        response = client.post("/v1/documents", json={"source": source, "title": title, "body": body})
        if response.status_code in (200, 201):
            stored.append(response.json()["id"])
        return response

    yield store
    for id in stored:
        client.delete(f"/v1/documents/{id}")
