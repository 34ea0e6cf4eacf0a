-- migrate: compatible
-- A document is searched by passage, so that an answer is a paragraph one can act on and not a page. A word counts more in
-- a heading (A) than in the text (B); trigrams find what is misspelt or written another way.

-- In public by name: an unqualified `create extension` lands wherever search_path points at that moment.
create extension if not exists pg_trgm with schema public;

create table app.passage (
    id          bigint generated always as identity primary key,
    document_id bigint not null references app.document on delete cascade,
    ordinal     integer not null check (ordinal >= 1),
    heading     text,
    body        text not null check (body <> ''),
    tsv         tsvector not null generated always as (
                    setweight(to_tsvector('english', coalesce(heading, '')), 'A')
                    || setweight(to_tsvector('english', body), 'B')
                ) stored,
    unique (document_id, ordinal)
);
comment on column app.passage.ordinal is 'place in the document, from 1';
comment on column app.passage.heading is 'the heading the passage stands under; null before the first';

create index passage_tsv on app.passage using gin (tsv);
create index passage_body_trgm on app.passage using gin (body public.gin_trgm_ops);

grant select, insert, update, delete on app.passage to app_service;
