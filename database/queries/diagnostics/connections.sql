-- Connections by role, application and state, with the oldest of each
-- timeout 5s
select
    coalesce(usename, backend_type) as role,
    coalesce(nullif(application_name, ''), '-') as application,
    coalesce(state, '-') as state,
    count(*) as connections,
    date_trunc('second', max(now() - backend_start)) as oldest,
    date_trunc('second', max(now() - state_change)) as longest_in_state
from pg_catalog.pg_stat_activity
where datname = current_database()
group by 1, 2, 3
order by connections desc, role, application, state;
