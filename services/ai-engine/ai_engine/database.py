"""The connection pool: opened in the background, checked before use, back by itself after the database was away."""

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from ai_engine.config import Config

# Short, because a worker of the pool that has given up is started again by the next request that wants a connection:
# after the database was away for an hour, the first probe brings it back, not a back-off that has grown to minutes.
RECONNECT_SECONDS = 5


def connection_options(config: Config) -> dict[str, object]:
    return {
        "autocommit": True,
        "row_factory": dict_row,
        "application_name": config.service,
        "connect_timeout": 5,
        # A database host that vanished is noticed in seconds and not when TCP gives up.
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }


def make_pool(config: Config) -> AsyncConnectionPool:
    async def configure(connection: psycopg.AsyncConnection) -> None:
        # By set_config and not by `options`, which would replace the options DATABASE_URL may carry.
        await connection.execute(
            "select set_config('statement_timeout', %s, false),"
            " set_config('pg_trgm.word_similarity_threshold', %s, false),"
            " set_config('client_min_messages', 'warning', false)",
            [f"{round(config.statement_seconds * 1000)}ms", str(config.trigram_threshold)],
        )

    return AsyncConnectionPool(
        config.database_url,
        kwargs=connection_options(config),
        configure=configure,
        check=AsyncConnectionPool.check_connection,
        open=False,
        min_size=1,
        max_size=config.database_pool_max,
        timeout=config.database_wait_seconds,
        reconnect_timeout=RECONNECT_SECONDS,
        name=config.service,
    )
