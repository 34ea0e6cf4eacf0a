"""Documents and their passages in PostgreSQL. All SQL on the product's tables stands here and in ranking.py."""

import hashlib
from collections.abc import Sequence
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ai_engine.passages import Passage

# A document of 200 000 characters can be thousands of passages, each entered into two indexes.
REPLACE_SECONDS = 30

_UPSERT = """
insert into app.document as d (source, title, body, sha256)
values (%(source)s, %(title)s, %(body)s, %(sha256)s)
on conflict (source) do update
set title = excluded.title, body = excluded.body, sha256 = excluded.sha256, updated_at = now()
returning id, source, title, updated_at, xmax = 0 as is_new
"""

_ADD_PASSAGES = """
insert into app.passage (document_id, ordinal, heading, body)
select %s, ordinal, heading, body
from unnest(%s::text[], %s::text[]) with ordinality as given (heading, body, ordinal)
"""

_DOCUMENTS = """
select d.id, d.source, d.title, d.updated_at,
    (select count(*) from app.passage where document_id = d.id) as passages
from app.document as d
"""


async def replace_document(
    pool: AsyncConnectionPool, source: str, title: str, body: str, passages: Sequence[Passage]
) -> dict[str, Any]:
    """Stores a document in place of the one with the same source; `is_new` tells whether there was none.

    One transaction: a search sees the old passages or the new ones. Two writers of one source queue up at its row.
    """
    sha256 = hashlib.sha256(body.encode()).hexdigest()
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(f"set local statement_timeout = '{REPLACE_SECONDS}s'")
        cursor = await connection.execute(_UPSERT, {"source": source, "title": title, "body": body, "sha256": sha256})
        document = await cursor.fetchone()
        await connection.execute("delete from app.passage where document_id = %s", [document["id"]])
        headings = [passage.heading for passage in passages]
        bodies = [passage.body for passage in passages]
        await connection.execute(_ADD_PASSAGES, [document["id"], headings, bodies])
    return {**document, "passages": len(passages)}


async def list_documents(pool: AsyncConnectionPool, limit: int, after: int) -> tuple[list[dict[str, Any]], int | None]:
    """A page in order of id, and the id to go on after, None on the last page."""
    async with pool.connection() as connection:
        cursor = await connection.execute(f"{_DOCUMENTS} where d.id > %s order by d.id limit %s", [after, limit + 1])
        rows = await cursor.fetchall()
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


async def find_document(pool: AsyncConnectionPool, id: int) -> dict[str, Any] | None:
    async with pool.connection() as connection:
        cursor = await connection.execute(f"{_DOCUMENTS} where d.id = %s", [id])
        return await cursor.fetchone()


async def delete_document(pool: AsyncConnectionPool, id: int) -> bool:
    async with pool.connection() as connection:
        cursor = await connection.execute("delete from app.document where id = %s", [id])
        return cursor.rowcount > 0
