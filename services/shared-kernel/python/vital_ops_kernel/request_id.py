"""The id of a request: in the header of request and response, in every log line, passed on to the next service."""

import re
import uuid
from contextvars import ContextVar

HEADER = "x-request-id"

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)


def request_id(given: str | None) -> str:
    """The one the request came with when it is well formed, else a new one."""
    return given if given is not None and _ACCEPTED.fullmatch(given) else str(uuid.uuid4())
