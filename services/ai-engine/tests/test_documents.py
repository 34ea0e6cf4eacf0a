import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ai_engine import passages
from ai_engine.passages import Passage


def test_the_seeded_passages_are_split_by_the_same_rule(owner):
    documents = owner.execute("select id, source, body from app.document where source like 'handbook/%'").fetchall()
    assert len(documents) == 8
    for id, source, body in documents:
        rows = owner.execute("select heading, body from app.passage where document_id = %s order by ordinal", [id])
        assert [Passage(*row) for row in rows] == passages.split(body), source


def test_a_new_document_is_created_and_the_same_source_replaced(client, document, owner):
    created = document("test/replaced", "First text.\n\nAbout marmalade.", "First")
    assert created.status_code == 201
    assert created.json() | {"updated_at": ""} == {
        "id": created.json()["id"], "source": "test/replaced", "title": "First", "passages": 2, "updated_at": "",
    }  # fmt: skip
    replaced = document("test/replaced", "Second text, about pickles.", "Second")
    assert replaced.status_code == 200
    assert (replaced.json()["id"], replaced.json()["passages"]) == (created.json()["id"], 1)
    assert client.get(f"/v1/documents/{created.json()['id']}").json() == replaced.json()
    assert client.post("/v1/answers", json={"question": "marmalade"}).json()["answers"] == []
    answer = client.post("/v1/answers", json={"question": "pickles"}).json()["answers"][0]
    assert answer["document"] == {"id": created.json()["id"], "source": "test/replaced", "title": "Second"}
    sha256 = owner.execute("select sha256 from app.document where source = 'test/replaced'").fetchone()[0]
    assert sha256 == hashlib.sha256(b"Second text, about pickles.").hexdigest()


def test_a_deleted_document_is_gone_with_its_passages(client, document, owner):
    id = document("test/deleted", "A text about rhubarb.").json()["id"]
    assert client.delete(f"/v1/documents/{id}").status_code == 204
    assert client.delete(f"/v1/documents/{id}").status_code == 404
    assert client.get(f"/v1/documents/{id}").json()["detail"] == f"there is no document {id}"
    assert owner.execute("select count(*) from app.passage where document_id = %s", [id]).fetchone() == (0,)


def test_documents_are_listed_page_by_page(client):
    everything = client.get("/v1/documents").json()
    assert everything["next"] is None
    seen, after = [], 0
    while after is not None:
        page = client.get("/v1/documents", params={"limit": 3, "after": after}).json()
        assert len(page["documents"]) <= 3
        seen += page["documents"]
        after = page["next"]
    assert seen == everything["documents"]
    assert [one["id"] for one in seen] == sorted(one["id"] for one in seen)


@pytest.mark.parametrize(
    "text", ["Ünïcödé ﬁnds 🦊", "日本語のバックアップ手順。", "שחזור גיבוי", "a\u0301 and \u202e", "'; --"]
)
def test_any_text_comes_back_as_it_was(client, document, text):
    assert document("test/" + text, f"# {text}\n\nzebrafinch {text}", text).status_code == 201
    (answer,) = client.post("/v1/answers", json={"question": "zebrafinch"}).json()["answers"]
    assert answer["document"]["source"] == "test/" + text
    assert answer["document"]["title"] == answer["passages"][0]["heading"] == text
    assert answer["text"] == f"zebrafinch {text}"


def test_the_largest_document_is_stored(document):
    assert document("test/words", ("word " * 40_000)[:200_000]).status_code == 201
    many = document("test/paragraphs", "ab\n\n" * 50_000)
    assert (many.status_code, many.json()["passages"]) == (201, 50_000)


def test_two_writers_of_one_source_leave_one_whole_document(client, document, owner):
    bodies = [f"writer {number}\n\n" * (number + 1) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda body: document("test/raced", body), bodies))
    assert sorted(response.status_code for response in responses) == [200] * 7 + [201]
    body, count = owner.execute(
        "select d.body, count(*) from app.document d join app.passage p on p.document_id = d.id"
        " where source = 'test/raced' group by d.id"
    ).fetchone()
    assert count == len(passages.split(body))


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (b"{", "/1"),
        (b'{"source": "s", "title": "t"}', "/body"),
        (b'{"source": "s", "title": "t", "body": "a\\u0000b"}', "/body"),
        (b'{"source": "s", "title": "t", "body": "\\ud800"}', "/body"),
        (b'{"source": "s", "title": "t", "body": "b", "more": 1}', "/more"),
        (b"\xff\xfe", None),
        (b"[]", ""),
        (b"", ""),
    ],
)
def test_a_body_that_does_not_fit_is_a_problem(client, content, pointer):
    response = client.post("/v1/documents", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/problem+json")
    problem = response.json()
    assert problem["request_id"] == response.headers["x-request-id"]
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client):
    huge = json.dumps({"source": "s", "title": "t", "body": "x" * 3_000_000}).encode()
    assert client.post("/v1/documents", content=huge).status_code == 413
    chunks = (b"x" * 100_000 for _ in range(1000))
    response = client.post("/v1/documents", content=chunks)
    assert response.status_code == 413
    assert response.json()["detail"] == "the body is larger than 2621440 bytes"


def test_the_largest_body_fits_however_it_is_written(document):
    assert document("test/astral", "😀" * 200_000).status_code == 201
