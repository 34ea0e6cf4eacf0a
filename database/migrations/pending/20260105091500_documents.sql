-- migrate: compatible
-- Documents are what questions are answered from. `source` is the caller's own name for one (a path, a page address):
-- sending the same source again replaces the document instead of adding a second.
create table app.document (
    id         bigint generated always as identity primary key,
    source     text not null unique check (char_length(source) between 1 and 500),
    title      text not null check (char_length(title) between 1 and 200),
    body       text not null check (char_length(body) between 1 and 200000),
    sha256     text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on column app.document.source is 'the caller''s name for the document; unique';
comment on column app.document.sha256 is 'of the body as UTF-8, lower-case hex: tells whether it changed without reading it';

-- Titles are searched too; they are short, so an expression index does without a column of its own.
create index document_title_tsv on app.document using gin (to_tsvector('english', title));

grant select, insert, update, delete on app.document to app_service;
