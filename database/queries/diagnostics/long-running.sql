-- Statements and open transactions older than a limit, oldest first
-- param older_than interval = 30s : age of the transaction from which on it is shown
-- timeout 5s
select
    pid,
    usename as role,
    coalesce(nullif(application_name, ''), '-') as application,
    state,
    date_trunc('second', now() - xact_start) as transaction_age,
    date_trunc('second', now() - query_start) as statement_age,
    concat_ws(' ', wait_event_type, wait_event) as waits_for,
    left(query, 120) as statement
from pg_catalog.pg_stat_activity
where datname = current_database()
    and xact_start < now() - :older_than
    and pid <> pg_catalog.pg_backend_pid()
order by xact_start, pid;
