"""The body of an error, application/problem+json (RFC 9457)."""

from http import HTTPStatus
from typing import Any

PROBLEM_TYPE = "application/problem+json; charset=utf-8"


def problem(
    status: int, detail: str, request_id: str, kind: str | None = None, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """`kind` makes a type of one's own, e.g. `validation`; `errors` says where a request does not fit its schema."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    body: dict[str, Any] = {
        "type": f"urn:vital-ops:problem:{kind}" if kind else "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = errors
    return body
