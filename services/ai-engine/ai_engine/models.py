"""What goes in and out over HTTP. The shapes are those of services/shared-kernel/schemas; the tests hold them equal."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

Id = Annotated[int, Field(ge=1, le=2**53 - 1)]


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character U+0000, which PostgreSQL cannot store")
    return text


def _whole(value: object) -> object:
    # JSON has one kind of number: 3.0 is the integer 3.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(longest: int) -> type[str]:
    return Annotated[
        str,
        StringConstraints(min_length=1, max_length=longest, pattern=r"\S", strict=True),
        AfterValidator(_storable),
    ]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DocumentRequest(_Request):
    source: _text(500)
    title: _text(200)
    body: _text(200_000)


class AnswersRequest(_Request):
    question: _text(1000)
    limit: Annotated[int, Field(ge=1, le=10, strict=True), BeforeValidator(_whole)] = 3


class DocumentListQuery(_Request):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    after: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0


class DocumentReference(BaseModel):
    id: Id
    source: str
    title: str


class Document(DocumentReference):
    passages: Annotated[int, Field(ge=0)]
    updated_at: Annotated[datetime, PlainSerializer(_utc, return_type=str)]


class DocumentList(BaseModel):
    documents: list[Document]
    next: Id | None


class Passage(BaseModel):
    id: Id
    ordinal: Annotated[int, Field(ge=0)]
    heading: str | None
    text: str
    score: Annotated[float, Field(ge=0, le=1)]
    document: DocumentReference


class Answer(BaseModel):
    score: Annotated[float, Field(ge=0, le=1)]
    text: str
    document: DocumentReference
    passages: Annotated[list[Passage], Field(min_length=1)]


class Answers(BaseModel):
    question: str
    answers: Annotated[list[Answer], Field(max_length=10)]


class Health(BaseModel):
    status: str = "ok"
    service: str
    version: str


class Check(BaseModel):
    name: str
    ok: bool
    detail: str


class Readiness(BaseModel):
    status: str
    checks: list[Check]
