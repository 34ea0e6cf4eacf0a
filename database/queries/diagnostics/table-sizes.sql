-- Tables by size, with their indexes, dead rows and last vacuum
-- param rows int = 20 : how many tables to show
-- timeout 10s
select
    s.schemaname || '.' || s.relname as table_name,
    pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(s.relid)) as total,
    pg_catalog.pg_size_pretty(pg_catalog.pg_table_size(s.relid)) as data,
    pg_catalog.pg_size_pretty(pg_catalog.pg_indexes_size(s.relid)) as indexes,
    s.n_live_tup as live_rows,
    s.n_dead_tup as dead_rows,
    date_trunc('second', greatest(s.last_vacuum, s.last_autovacuum)) as vacuumed_at,
    date_trunc('second', greatest(s.last_analyze, s.last_autoanalyze)) as analysed_at
from pg_catalog.pg_stat_user_tables as s
order by pg_catalog.pg_total_relation_size(s.relid) desc, table_name
limit :rows;
