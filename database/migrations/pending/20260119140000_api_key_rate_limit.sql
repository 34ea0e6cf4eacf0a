-- migrate: compatible
-- One limit for all callers was too low for the importer and too high for everyone else. Null keeps the service's own
-- setting, so no row has to be written and the table is not rewritten.
alter table app.api_key
    add column rate_limit_per_minute integer check (rate_limit_per_minute >= 1);
comment on column app.api_key.rate_limit_per_minute is 'requests a minute; null: the gateway''s setting';
