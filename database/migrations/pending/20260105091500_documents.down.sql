-- Drops every document. Take a backup first: `cargo xtask db backup`.
drop table app.document;
