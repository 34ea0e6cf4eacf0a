-- Every caller falls back to the gateway's setting.
alter table app.api_key drop column rate_limit_per_minute;
