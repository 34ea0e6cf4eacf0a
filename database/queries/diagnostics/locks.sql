-- Who blocks whom: every waiting session with each session it waits for
-- timeout 5s
select
    waiting.pid as waiting_pid,
    date_trunc('second', now() - waiting.query_start) as waiting_for,
    left(waiting.query, 80) as waiting_statement,
    blocking.pid as blocking_pid,
    blocking.usename as blocking_role,
    blocking.state as blocking_state,
    date_trunc('second', now() - blocking.xact_start) as blocking_transaction_age,
    left(blocking.query, 80) as blocking_statement
from pg_catalog.pg_stat_activity as waiting
cross join unnest(pg_catalog.pg_blocking_pids(waiting.pid)) as blocker (pid)
join pg_catalog.pg_stat_activity as blocking on blocking.pid = blocker.pid
order by waiting_for desc, waiting_pid, blocking_pid;
