import json

import pytest
from vital_ops_kernel.configuration import ConfigurationError

from ai_engine import config

URL = "postgres://app:hunter2@localhost/vital_dev?host=%2Ftmp%2Fops-1a2b3c4d"


def test_defaults_and_settings():
    loaded = config.load({"DATABASE_URL": URL, "SERVICE_SETTINGS": json.dumps({"statement_seconds": 2})})
    assert (loaded.host, loaded.port, loaded.statement_seconds, loaded.migrations) == ("127.0.0.1", 8090, 2.0, None)


def test_the_url_may_be_a_file(tmp_path):
    (tmp_path / "url").write_text(URL + "\n")
    assert config.load({"DATABASE_URL_FILE": str(tmp_path / "url")}).database_url == URL


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "`DATABASE_URL` is not set"),
        ({"DATABASE_URL": "mysql://app:hunter2@h/d"}, "`DATABASE_URL` must be a URL that begins with postgres://"),
        ({"DATABASE_URL": "postgres://app:hunter2@h:1:2/d?nope=1"}, "`DATABASE_URL` is not a URL PostgreSQL"),
        ({"DATABASE_URL": URL, "PORT": "eighty"}, "`PORT` must be a whole number from 1 to 65535"),
        ({"DATABASE_URL": URL, "LOG_LEVEL": "loud"}, "`LOG_LEVEL` must be one of trace, debug, info"),
        ({"DATABASE_URL": URL, "MIGRATIONS_DIR": "/gone"}, "`MIGRATIONS_DIR` cannot be read"),
        ({"DATABASE_URL": URL, "SERVICE_SETTINGS": '{"weight": 1}'}, "setting `weight` is not known"),
        (
            {"DATABASE_URL": URL, "SERVICE_SETTINGS": '{"weight_text":0,"weight_trigram":0}'},
            "must be above 0",
        ),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(environment, message):
    with pytest.raises(ConfigurationError) as error:
        config.load(environment)
    assert message in str(error.value)
    assert "hunter2" not in str(error.value)
