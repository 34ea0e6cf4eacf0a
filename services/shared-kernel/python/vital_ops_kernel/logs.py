"""Structured logs: one JSON object a line on stdout, through Python's own logging.

Fields of one's own go in `extra={"fields": {...}}`; the id of the running request is added by itself. Passwords in URLs
are taken out of everything that is written.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

from vital_ops_kernel.request_id import current_request_id

LEVELS = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "silent": logging.CRITICAL + 10,
}
_RESERVED = frozenset({"time", "level", "service", "environment", "version", "message"})
_CREDENTIALS = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s?#\"']*@", re.IGNORECASE)


def redact(text: str) -> str:
    """Takes user and password out of every URL in a text."""
    return _CREDENTIALS.sub(r"\1***@", text)


class JsonFormatter(logging.Formatter):
    def __init__(self, service: str, environment: str, version: str) -> None:
        super().__init__()
        self._identity = {"service": service, "environment": environment, "version": version}

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z",
            "level": level_name(record.levelno),
            **self._identity,
            "message": record.getMessage(),
        }
        request = current_request_id.get()
        if request is not None:
            line["request_id"] = request
        for name, value in getattr(record, "fields", {}).items():
            if name not in _RESERVED and value is not None:
                line[name] = value
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = {
                "name": type(error).__name__,
                "message": str(error),
                "stack": self.formatException(record.exc_info),
            }
        # A lone surrogate cannot be written as UTF-8; ensure_ascii keeps the line valid whatever a client sent.
        return redact(json.dumps(line, default=str, separators=(",", ":"), ensure_ascii=True))


def level_name(number: int) -> str:
    names = [name for name, level in LEVELS.items() if level <= number and name != "silent"]
    return names[-1] if names else "trace"


def configure_logging(service: str, environment: str, version: str, level: str = "info") -> None:
    """Sends every logger of the process to stdout as JSON; what was configured before is replaced."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service, environment, version))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
