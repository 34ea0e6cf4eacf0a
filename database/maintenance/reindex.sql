-- Rebuilds the search indexes, which grow with every replaced document. Concurrently: readers and writers go on, at the cost of
-- space for a second copy. A run that was cut short leaves an invalid index that ends in _ccnew; drop it and run again.
reindex index concurrently app.passage_tsv;
reindex index concurrently app.passage_body_trgm;
reindex index concurrently app.document_title_tsv;
