"""Is the service ready: the database answers, and the migrations this build was made with are there."""

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from vital_ops_kernel.logs import redact
from vital_ops_kernel.migrations import missing_versions

from ai_engine.config import Config
from ai_engine.database import connection_options
from ai_engine.models import Check

POOL_SECONDS = 0.5
CONNECT_SECONDS = 2

_APPLIED = "select version::text as version from ops.applied_migration"


async def checks(pool: AsyncConnectionPool, config: Config, draining: bool) -> list[Check]:
    if draining:
        return [Check(name="shutdown", ok=False, detail="the service is shutting down")]
    try:
        try:
            async with pool.connection(timeout=POOL_SECONDS) as connection:
                return await _database_checks(connection, config)
        except PoolTimeout:
            return await _direct_checks(pool, config)
    except psycopg.Error as error:
        return [Check(name="database", ok=False, detail=_reason(error))]


async def _direct_checks(pool: AsyncConnectionPool, config: Config) -> list[Check]:
    """Past the pool, to tell a database that is away, and why, from a pool in which all connections are busy."""
    options = {**connection_options(config), "connect_timeout": CONNECT_SECONDS}
    async with await psycopg.AsyncConnection.connect(config.database_url, **options) as connection:
        if pool.get_stats().get("pool_size", 0) == 0:
            return [Check(name="database", ok=False, detail="reachable again; the pool is connecting")]
        return await _database_checks(connection, config)


async def _database_checks(connection: psycopg.AsyncConnection, config: Config) -> list[Check]:
    try:
        rows = await (await connection.execute(_APPLIED)).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
        migrations = Check(
            name="migrations",
            ok=False,
            detail="ops.applied_migration cannot be read: no migration was run on this database, or not by the tool",
        )
    else:
        migrations = _migrations_check(config, [row["version"] for row in rows])
    return [Check(name="database", ok=True, detail="reachable"), migrations]


def _migrations_check(config: Config, applied: list[str]) -> Check:
    if config.migrations is None:
        return Check(name="migrations", ok=True, detail="not checked: MIGRATIONS_DIR is not set")
    missing = missing_versions(config.migrations, applied)
    if missing:
        return Check(name="migrations", ok=False, detail=f"missing: {', '.join(missing)}")
    total = len(config.migrations)
    return Check(name="migrations", ok=True, detail=f"{total} of {total} applied")


def _reason(error: psycopg.Error) -> str:
    """The last line that says something; libpq puts a line for each address it tried, and hints after tabs."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    return redact(lines[-1] if lines else type(error).__name__)
