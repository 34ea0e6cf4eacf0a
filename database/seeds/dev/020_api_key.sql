-- seed: sha256 API_KEY
-- The environment's own key, for people and tests. The key itself stays in the environment file: the tool hands over its
-- SHA-256 as the session setting seed.api_key_sha256. A new API_KEY takes the place of the old one, and is valid.
insert into app.api_key as k (name, sha256)
values ('environment', current_setting('seed.api_key_sha256'))
on conflict (name) do update
set sha256 = excluded.sha256, revoked_at = null
where k.sha256 <> excluded.sha256;
