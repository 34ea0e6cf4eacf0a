//! The roles and the database that an environment needs in a cluster of ours: who owns nothing and may log in, whom
//! migrations grant to. Every statement may run again.

use base::workspace::Database;

/// For psql, connected to the database `postgres` as the superuser. Names are checked when they are read.
pub fn sql(config: &Database, database: &str) -> String {
    let (service, login) = (&config.service_role, &config.login_role);
    format!(
        r#"do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = '{service}') then
        create role "{service}" nologin;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = '{login}') then
        create role "{login}" login;
    end if;
end
$$;
alter role "{service}" with nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role "{login}" with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
grant "{service}" to "{login}";
select 'create database "{database}" template template0 encoding ''UTF8'''
where not exists (select from pg_catalog.pg_database where datname = '{database}') \gexec
revoke all on database "{database}" from public;
grant connect on database "{database}" to "{service}";
\connect "{database}"
revoke create on schema public from public;
"#
    )
}
