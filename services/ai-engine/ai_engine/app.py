"""The HTTP interface. Shapes: services/shared-kernel/schemas; errors: application/problem+json."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from vital_ops_kernel.problem import PROBLEM_TYPE, problem
from vital_ops_kernel.request_id import current_request_id

from ai_engine import health, passages, ranking, store
from ai_engine.config import Config
from ai_engine.database import make_pool
from ai_engine.metrics import CONTENT_TYPE, Metrics
from ai_engine.middleware import Requests
from ai_engine.models import (
    Answers,
    AnswersRequest,
    Document,
    DocumentList,
    DocumentListQuery,
    DocumentRequest,
    Health,
    Id,
    Readiness,
)

DocumentId = Annotated[Id, Path()]


def create_app(config: Config) -> FastAPI:
    pool = make_pool(config)
    metrics = Metrics(config, pool)
    weights = {name: getattr(config, name) for name in ("weight_text", "weight_trigram")}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.open(wait=False)
        yield
        await pool.close()

    app = FastAPI(title="ai-engine", version=config.version, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.draining = False
    app.add_middleware(Requests, metrics=metrics, max_body_bytes=config.max_body_bytes)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)

    @app.post("/v1/documents", response_model=Document)
    async def put_document(document: DocumentRequest, response: Response):
        parts = passages.split(document.body, config.passage_characters)
        stored = await store.replace_document(pool, document.source, document.title, document.body, parts)
        response.status_code = 201 if stored["is_new"] else 200
        return stored

    @app.get("/v1/documents", response_model=DocumentList)
    async def list_documents(page: Annotated[DocumentListQuery, Query()]):
        documents, following = await store.list_documents(pool, page.limit, page.after)
        return {"documents": documents, "next": following}

    @app.get("/v1/documents/{id}", response_model=Document)
    async def get_document(id: DocumentId):
        document = await store.find_document(pool, id)
        if document is None:
            raise HTTPException(404, f"there is no document {id}")
        return document

    @app.delete("/v1/documents/{id}", status_code=204)
    async def delete_document(id: DocumentId) -> None:
        if not await store.delete_document(pool, id):
            raise HTTPException(404, f"there is no document {id}")

    @app.post("/v1/answers", response_model=Answers)
    async def answer(asked: AnswersRequest):
        answers = await ranking.find_answers(
            pool, asked.question, asked.limit, config.passages_per_answer, weights, config.minimum_score
        )
        return {"question": asked.question, "answers": answers}

    @app.get("/healthz", response_model=Health)
    async def healthz():
        return {"service": config.service, "version": config.version}

    @app.get("/readyz", response_model=Readiness)
    async def readyz(response: Response):
        checks = await health.checks(pool, config, app.state.draining)
        ready = all(check.ok for check in checks)
        response.status_code = 200 if ready else 503
        return Readiness(status="ready" if ready else "not ready", checks=checks)

    @app.get("/metrics", include_in_schema=False)
    async def render_metrics() -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    return app


async def _http_problem(_: Request, error: HTTPException) -> Response:
    known = {404: "there is nothing at this path", 405: "this path does not know the method"}
    is_plain = error.detail == HTTPStatus(error.status_code).phrase
    detail = known.get(error.status_code, error.detail) if is_plain else error.detail
    return _problem(error.status_code, str(detail), headers=error.headers)


async def _validation_problem(_: Request, error: RequestValidationError) -> Response:
    errors = [{"pointer": _pointer(one["loc"]), "detail": one["msg"]} for one in error.errors()]
    first = errors[0]
    detail = f"{first['pointer'] or 'the body'}: {first['detail']}"
    return _problem(400, detail, kind="validation", errors=errors)


def _pointer(location: tuple[int | str, ...]) -> str:
    # FastAPI puts where it looked first: body, query or path.
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location[1:])


def _problem(status: int, detail: str, headers: dict[str, str] | None = None, **more) -> Response:
    body = problem(status, detail, current_request_id.get() or "unknown", **more)
    return JSONResponse(body, status, {**(headers or {}), "content-type": PROBLEM_TYPE})
