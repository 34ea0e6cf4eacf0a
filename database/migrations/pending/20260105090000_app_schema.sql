-- migrate: compatible
-- The schema everything of the product lives in, and the one role that may use it. Services log in as members of
-- app_service and own nothing, so a service can never change the schema, whatever happens to it.

-- Roles belong to the cluster: another database of it may have made this one already, or be making it right now.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'app_service') then
        create role app_service nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;

create schema app;
comment on schema app is 'the product: documents, their passages, API keys';

grant usage on schema app to app_service;
