-- Indexes by how rarely they are read since the statistics were reset, largest first
-- param max_scans bigint = 50 : show indexes read at most this often
-- timeout 10s
select
    s.schemaname || '.' || s.relname as table_name,
    s.indexrelname as index_name,
    s.idx_scan as scans,
    pg_catalog.pg_size_pretty(pg_catalog.pg_relation_size(s.indexrelid)) as size,
    i.indisunique as enforces_uniqueness,
    i.indisvalid as is_valid,
    (select date_trunc('second', stats_reset) from pg_catalog.pg_stat_database where datname = current_database())
        as counted_since
from pg_catalog.pg_stat_user_indexes as s
join pg_catalog.pg_index as i using (indexrelid)
where s.idx_scan <= :max_scans
order by s.idx_scan, pg_catalog.pg_relation_size(s.indexrelid) desc, table_name, index_name;
