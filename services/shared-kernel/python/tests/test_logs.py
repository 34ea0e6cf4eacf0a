import json
import logging
import re

import pytest
from vital_ops_kernel.logs import LEVELS, JsonFormatter, configure_logging, level_name, redact
from vital_ops_kernel.request_id import current_request_id, request_id


@pytest.fixture
def lines(capsys, monkeypatch):
    """What a function logs, as objects."""

    def run(emit):
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        monkeypatch.setattr(root, "level", root.level)
        configure_logging("ai-engine", "dev", "3f9c2a71")
        emit()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_a_line_is_one_json_object(lines):
    fields = {"status": 200, "message": "not this", "gone": None}
    (line,) = lines(lambda: logging.getLogger("any").info("two\nlines", extra={"fields": fields}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "service": "ai-engine",
        "environment": "dev",
        "version": "3f9c2a71",
        "message": "two\nlines",
        "status": 200,
    }


def test_the_running_request_is_named(lines):
    token = current_request_id.set("r-1")
    (line,) = lines(lambda: logging.getLogger().warning("slow"))
    current_request_id.reset(token)
    assert (line["level"], line["message"], line["request_id"]) == ("warn", "slow", "r-1")


def test_what_is_below_the_level_is_not_written(lines):
    assert lines(lambda: logging.getLogger().debug("detail")) == []


def test_errors_and_odd_values_are_written(lines):
    def fail():
        try:
            raise ValueError("postgres://app:secret@db/x is down")
        except ValueError:
            logging.getLogger().exception("failed", extra={"fields": {"path": re.compile("x"), "text": "\ud800"}})

    (line,) = lines(fail)
    assert line["error"]["name"] == "ValueError"
    assert line["error"]["message"] == "postgres://***@db/x is down"
    assert "Traceback" in line["error"]["stack"]
    assert "secret" not in json.dumps(line)


def test_redact_leaves_other_text_alone():
    assert redact("see http://host/a@b and me@example.org") == "see http://host/a@b and me@example.org"
    assert redact("a postgres://u:p@h/d b redis://:p@h") == "a postgres://***@h/d b redis://***@h"


def test_levels_have_the_names_node_uses():
    assert [level_name(LEVELS[name]) for name in LEVELS if name != "silent"] == list(LEVELS)[:-1]
    assert JsonFormatter("s", "e", "v").format(logging.makeLogRecord({"levelno": 30})).count('"level":"warn"') == 1


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 128])
def test_a_well_formed_request_id_is_kept(given):
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\n", "é"])
def test_any_other_request_id_is_replaced(given):
    made = request_id(given)
    assert made != given
    assert request_id(made) == made
