"""Finds the passages that answer a question: full text first, trigrams for what is misspelt.

A passage's score, 0 to 1, is the weighted mean of two numbers of that range:
- text: ts_rank of the question's words, any of them, in the passage as it is read: under its document's title and its
  heading, where a word counts more than in the body
- trigram: word_similarity of the question's words to the passage or its heading

Candidates are what matches the question as a web search (all words, quotes as phrases); where that finds fewer
documents than asked for, what matches any of the words; passages of documents whose title matches; and, where all of
these are too few, passages with similar words. A leading minus excludes.

The time of a search is bounded, whatever the words: of each kind the first MATCHES are looked at and the best
CANDIDATES of these are scored, and similar words get a budget of their own, since comparing trigrams is the one costly
step.
"""

import logging
import re
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

MATCHES = 5000
CANDIDATES = 100
SIMILAR_WORDS_SECONDS = 0.5

log = logging.getLogger("ai_engine.ranking")

_EXCLUDED = re.compile(r'(?:(?<=\s)|^)-("[^"]*"|\w[^\s"]*)')

# Names of extensions' functions and operators are written with their schema, so that search_path does not matter.
# `any_word` is built from lexemes, quoted as tsquery input wants it; it is null when the question has only stop words,
# and then nothing matches.
_SEARCH = """
with question as materialized (
    select websearch_to_tsquery('english', %(wanted)s) as all_words,
        (
            select string_agg('''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || '''', ' | ')::tsquery
            from unnest(tsvector_to_array(to_tsvector('english', %(wanted)s))) as lexeme
        ) as any_word,
        array_to_string(tsvector_to_array(to_tsvector('english', %(wanted)s)), ' ') as words,
        websearch_to_tsquery('english', %(excluded)s) as excluded
), strict as materialized (
    select id, document_id
    from (
        select id, document_id, tsv
        from app.passage
        where tsv @@ (select all_words from question) and tsv @@ (select any_word from question)
        limit %(matches)s
    ) as match
    order by ts_rank(tsv, (select any_word from question)) desc
    limit %(candidates)s
), loose as materialized (
    select id
    from (
        select id, tsv
        from app.passage
        where tsv @@ (select any_word from question)
            and (select count(distinct document_id) from strict) < %(limit)s
        limit %(matches)s
    ) as match
    order by ts_rank(tsv, (select any_word from question)) desc
    limit %(candidates)s
), titled as materialized (
    select p.id
    from (
        select id
        from app.document
        where to_tsvector('english', title) @@ (select any_word from question)
        order by ts_rank(to_tsvector('english', title), (select any_word from question)) desc
        limit %(limit)s
    ) as d
    join app.passage as p on p.document_id = d.id
    order by ts_rank(p.tsv, (select any_word from question)) desc
    limit %(candidates)s
), similar_words as materialized (
    select id
    from app.passage
    where %(with_similar)s
        and (select any_word from question) is not null
        and (select words from question) operator(public.<%%) body
    order by public.word_similarity((select words from question), body) desc
    limit %(candidates)s
), candidate as (
    select id from strict
    union select id from loose
    union select id from titled
    union select id from similar_words
), scored as (
    select p.id, p.document_id, p.ordinal, p.heading, p.body, d.source, d.title,
        least(1, (
            %(weight_text)s * ts_rank(
                '{0, 1, 0.6, 1}', p.tsv || setweight(to_tsvector('english', d.title), 'C'), q.any_word
            )
            + %(weight_trigram)s * greatest(
                public.word_similarity(q.words, p.body),
                public.word_similarity(q.words, coalesce(p.heading, ''))
            )
        ) / (%(weight_text)s + %(weight_trigram)s))::float8 as score
    from candidate
    join app.passage as p using (id)
    join app.document as d on d.id = p.document_id
    cross join question as q
    where not p.tsv @@ q.excluded and not to_tsvector('english', d.title) @@ q.excluded
), placed as (
    select *,
        row_number() over (partition by document_id order by score desc, ordinal) as place,
        max(score) over (partition by document_id) as document_score
    from scored
    where score >= %(minimum_score)s
), answer as (
    select *, dense_rank() over (order by document_score desc, document_id) as answer_place
    from placed
)
select id, document_id, ordinal, heading, body as text, source, title, score, answer_place
from answer
where answer_place <= %(limit)s and place <= %(passages)s
order by answer_place, place
"""


async def find_answers(
    pool: AsyncConnectionPool, question: str, limit: int, passages: int, weights: dict[str, float], minimum_score: float
) -> list[dict[str, Any]]:
    """At most `limit` answers, one a document, best first, each with its `passages` best passages."""
    wanted, excluded = _excluding(question)
    given = {
        "wanted": wanted,
        "excluded": " or ".join(excluded),
        "limit": limit,
        "passages": passages,
        "minimum_score": minimum_score,
        "matches": MATCHES,
        "candidates": CANDIDATES,
        **weights,
    }
    async with pool.connection() as connection:
        rows = await _search(connection, given, with_similar=False)
        if len({row["document_id"] for row in rows}) < limit:
            rows = await _search_with_similar(connection, given) or rows
    answers: dict[int, dict[str, Any]] = {}
    for row in rows:
        document = {"id": row["document_id"], "source": row["source"], "title": row["title"]}
        passage = {name: row[name] for name in ("id", "ordinal", "heading", "text", "score")}
        best = {"score": row["score"], "text": row["text"], "document": document, "passages": []}
        answers.setdefault(row["document_id"], best)["passages"].append({**passage, "document": document})
    return list(answers.values())


async def _search(
    connection: psycopg.AsyncConnection, given: dict[str, Any], with_similar: bool
) -> list[dict[str, Any]]:
    cursor = await connection.execute(_SEARCH, {**given, "with_similar": with_similar})
    return await cursor.fetchall()


async def _search_with_similar(connection: psycopg.AsyncConnection, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The same with similar words; nothing where they take too long: what was found without them is answer enough."""
    try:
        async with connection.transaction():
            await connection.execute(f"set local statement_timeout = '{SIMILAR_WORDS_SECONDS}s'")
            return await _search(connection, given, with_similar=True)
    except psycopg.errors.QueryCanceled:
        log.warning("similar words took too long and were left out")
        return []


def _excluding(question: str) -> tuple[str, list[str]]:
    """The question without its `-word` and `-"some words"`, and these."""
    return _EXCLUDED.sub(" ", question), _EXCLUDED.findall(question)
