-- The passages can be made again from the documents. The repeatable view that counts them goes first; the next
-- `cargo xtask migrate up` brings it back. The extension is dropped last, and refuses where something else uses it.
drop view if exists app.document_overview;
drop table app.passage;
drop extension if exists pg_trgm;
