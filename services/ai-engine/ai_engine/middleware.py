"""What happens to every request: its id, its size limit, its log line, its metrics, and a problem where it failed."""

import asyncio
import json
import logging
import time
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from vital_ops_kernel.problem import PROBLEM_TYPE, problem
from vital_ops_kernel.request_id import HEADER, current_request_id, request_id

from ai_engine.metrics import Metrics

log = logging.getLogger("ai_engine.http")

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Requests:
    """Pure ASGI: a middleware class of Starlette would run the handler in a task of its own, at twice the cost."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        id = request_id(headers.get(HEADER.encode()))
        token = current_request_id.set(id)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER.encode(), id.encode())]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            body = await self._body(headers, receive)
            if body is None:
                detail = f"the body is larger than {self._max_body_bytes} bytes"
                await send_problem(send_with_id, 413, detail, {"connection": "close"})
            else:
                await self._app(scope, _replay(body, receive), send_with_id)
        except ClientGone:
            status = 499
        except Exception as error:
            if status:
                log.exception("failed after the response had begun")
                raise
            await send_problem(send_with_id, *_unexpected(error))
        finally:
            self._metrics.in_flight.dec()
            self._finish(scope, status, time.perf_counter() - started)
            current_request_id.reset(token)

    async def _body(self, headers: dict[bytes, str], receive: Receive) -> bytes | None:
        """The whole body, or None where it is too large: that is told from the header, or as soon as it is."""
        length = headers.get(b"content-length", "")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return None
        if not length and b"transfer-encoding" not in headers:
            return b""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                return None
            if not message.get("more_body"):
                return bytes(body)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.request(method, route, status, seconds)
        level = logging.ERROR if status >= 500 and route not in PROBES else logging.INFO
        log.log(
            logging.DEBUG if route in PROBES else level,
            "request",
            extra={
                "fields": {
                    "method": scope["method"],
                    "path": scope["path"],
                    "route": route,
                    "status": status,
                    "duration_ms": round(seconds * 1000, 1),
                }
            },
        )


class ClientGone(Exception):
    """The client closed the connection before it had sent its request."""


async def send_problem(
    send: Send, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any
) -> None:
    body = json.dumps(problem(status, detail, current_request_id.get() or "unknown", **more)).encode()
    fields = {"content-type": PROBLEM_TYPE, "content-length": str(len(body)), **(headers or {})}
    encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _unexpected(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, detail and headers for an error no handler foresaw. Whether it is the database's is told by its type."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        log.error("the database took too long", exc_info=error)
        return 503, "the database took too long to answer", {"retry-after": "1"}
    if isinstance(error, (PoolTimeout, TooManyRequests)):
        log.error("no connection to the database in time")
        return 503, "no connection to the database in time", {"retry-after": "1"}
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        log.error("the database cannot be reached", exc_info=error)
        return 503, "the database cannot be reached", {"retry-after": "1"}
    log.error("unexpected error", exc_info=error)
    return 500, "unexpected error; the log has more under this request_id", {}


def _replay(body: bytes, receive: Receive) -> Receive:
    lock = asyncio.Lock()
    given = False

    async def replay() -> Message:
        nonlocal given
        async with lock:
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
