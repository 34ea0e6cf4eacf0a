-- Frees dead rows and renews the planner's statistics, after an import or a large delete. Autovacuum does the same in time;
-- this does it now, without blocking readers or writers.
vacuum (analyze) app.document;
vacuum (analyze) app.passage;
vacuum (analyze) app.api_key;
