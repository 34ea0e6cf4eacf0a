"""The service's configuration: environment and settings, read once at start, typed and checked."""

from dataclasses import dataclass
from pathlib import Path

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from vital_ops_kernel.configuration import Configuration, ConfigurationError, Setting
from vital_ops_kernel.logs import LEVELS
from vital_ops_kernel.migrations import migration_versions

SETTINGS = {
    "database_pool_max": Setting(8, min=1, max=200),
    "database_wait_seconds": Setting(3.0, min=0.1, max=60),
    "max_body_bytes": Setting(2_621_440, min=1024, max=67_108_864),
    "minimum_score": Setting(0.1, max=1),
    "passage_characters": Setting(1200, min=100, max=10_000),
    "passages_per_answer": Setting(3, min=1, max=20),
    "shutdown_seconds": Setting(10, min=1, max=300),
    "statement_seconds": Setting(5.0, min=0.1, max=300),
    "trigram_threshold": Setting(0.5, min=0.1, max=1),
    "weight_text": Setting(0.75, max=1),
    "weight_trigram": Setting(0.25, max=1),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    service: str
    version: str
    environment: str
    host: str
    port: int
    log_level: str
    database_url: str
    migrations: tuple[str, ...] | None
    """The versions this build was made with; None when MIGRATIONS_DIR is not set."""
    database_pool_max: int
    database_wait_seconds: float
    max_body_bytes: int
    minimum_score: float
    passage_characters: int
    passages_per_answer: int
    shutdown_seconds: int
    statement_seconds: float
    trigram_threshold: float
    weight_text: float
    weight_trigram: float


def load(environment: dict[str, str] | None = None) -> Config:
    given = Configuration(environment)
    settings = given.settings(SETTINGS)
    if settings["weight_text"] + settings["weight_trigram"] <= 0:
        raise ConfigurationError("`weight_text` or `weight_trigram` must be above 0")
    return Config(
        service=given.string("SERVICE_NAME", "ai-engine"),
        version=given.string("SERVICE_VERSION", "unknown"),
        environment=given.string("ENVIRONMENT", "dev"),
        host=given.string("HOST", "127.0.0.1"),
        port=given.integer("PORT", 8090, min=1, max=65535),
        log_level=given.string("LOG_LEVEL", "info", one_of=tuple(LEVELS)),
        database_url=_database_url(given),
        migrations=_migrations(given),
        **settings,
    )


def _database_url(given: Configuration) -> str:
    url = given.url("DATABASE_URL", schemes=["postgres", "postgresql"])
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        # libpq's message quotes the URL.
        raise ConfigurationError("`DATABASE_URL` is not a URL PostgreSQL understands") from None
    return url


def _migrations(given: Configuration) -> tuple[str, ...] | None:
    folder = given.string("MIGRATIONS_DIR", None)
    if folder is None:
        return None
    try:
        return tuple(migration_versions(Path(folder)))
    except OSError as error:
        raise ConfigurationError(f"`MIGRATIONS_DIR` cannot be read ({error.strerror})") from None
