import json

import pytest
from vital_ops_kernel.configuration import Configuration, ConfigurationError, Setting


def test_a_file_wins_over_the_value_and_loses_one_newline(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"from file\n\n")
    configuration = Configuration({"KEY": "from value", "KEY_FILE": str(secret)})
    assert configuration.string("KEY") == "from file\n"


def test_every_getter_reads_files(tmp_path):
    (tmp_path / "port").write_bytes(b"8090\r\n")
    assert Configuration({"PORT_FILE": str(tmp_path / "port")}).integer("PORT") == 8090


def test_a_file_that_cannot_be_read_is_named_by_its_key(tmp_path):
    configuration = Configuration({"KEY": "value", "KEY_FILE": str(tmp_path / "gone")})
    with pytest.raises(ConfigurationError, match=r"`KEY_FILE` names a file that cannot be read \(No such file"):
        configuration.string("KEY")


@pytest.mark.parametrize("environment", [{}, {"KEY": ""}])
def test_a_missing_key_is_named_with_its_remedy(environment):
    with pytest.raises(ConfigurationError, match="`KEY` is not set; set KEY, or KEY_FILE"):
        Configuration(environment).string("KEY")
    assert Configuration(environment).string("KEY", default="x") == "x"


def test_values_are_typed():
    configuration = Configuration({"N": "-7", "B": "Yes", "D": "1.5m", "U": "postgres://u:p@h/d?host=%2Ftmp"})
    assert configuration.integer("N") == -7
    assert configuration.boolean("B") is True
    assert configuration.duration("D") == 90.0
    assert configuration.url("U", schemes=["postgres"]) == "postgres://u:p@h/d?host=%2Ftmp"


@pytest.mark.parametrize(
    "read",
    [
        lambda c: c.integer("KEY"),
        lambda c: c.boolean("KEY"),
        lambda c: c.duration("KEY"),
        lambda c: c.url("KEY"),
        lambda c: c.string("KEY", one_of=["a", "b"]),
    ],
)
def test_an_error_names_the_key_and_never_the_value(read):
    with pytest.raises(ConfigurationError) as error:
        read(Configuration({"KEY": "hunter2"}))
    assert "`KEY` must be" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_integers_have_a_range():
    with pytest.raises(ConfigurationError, match="`PORT` must be a whole number from 1 to 65535"):
        Configuration({"PORT": "70000"}).integer("PORT", min=1, max=65535)


KNOWN = {"limit": Setting(3, min=1, max=10), "weight": Setting(0.5), "strict": Setting(False)}


def test_settings_have_defaults_and_types():
    given = Configuration({"SERVICE_SETTINGS": json.dumps({"limit": 5, "weight": 1})})
    assert given.settings(KNOWN) == {"limit": 5, "weight": 1.0, "strict": False}
    assert Configuration({}).settings(KNOWN) == {"limit": 3, "weight": 0.5, "strict": False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limt": 5}, "setting `limt` is not known; known are limit, strict, weight"),
        ({"limit": "5"}, "setting `limit` must be a whole number"),
        ({"limit": True}, "setting `limit` must be a whole number"),
        ({"limit": 11}, "setting `limit` must be a number from 1 to 10"),
        ([], "`SERVICE_SETTINGS` must be one JSON object"),
    ],
)
def test_settings_that_are_wrong(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        Configuration({"SERVICE_SETTINGS": json.dumps(settings)}).settings(KNOWN)
