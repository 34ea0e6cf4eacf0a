-- migrate: compatible
-- Who may call the gateway. Only the key's SHA-256 is kept: whoever reads this table, or a backup of it, cannot call with
-- what is in it. A revoked key keeps its row, so that a log line that names it can still be explained.
create table app.api_key (
    id         bigint generated always as identity primary key,
    name       text not null unique check (char_length(name) between 1 and 200),
    sha256     text not null unique check (sha256 ~ '^[0-9a-f]{64}$'),
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
comment on table app.api_key is 'callers of the gateway, each by the SHA-256 of its key';
comment on column app.api_key.name is 'whose key it is; may name a person';
comment on column app.api_key.revoked_at is 'null: valid; set: refused';

-- Services look keys up; only an operator adds or revokes one.
grant select on app.api_key to app_service;
