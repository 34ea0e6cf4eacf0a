-- Documents whose title, source or text holds the words
-- param words text : what to look for, as one would type it into a search engine
-- param rows int = 10 : how many documents to show
-- timeout 10s
select
    d.id,
    d.source,
    d.title,
    count(p.id) as matching_passages,
    left(min(p.body) filter (where p.ordinal = first_match), 80) as first_match
from app.document as d
left join lateral (
    select id, ordinal, body, min(ordinal) over () as first_match
    from app.passage
    where document_id = d.id and tsv @@ websearch_to_tsquery('english', :words)
) as p on true
where p.id is not null
    or to_tsvector('english', d.title) @@ websearch_to_tsquery('english', :words)
    or strpos(lower(d.source), lower(:words)) > 0
group by d.id
order by matching_passages desc, d.id
limit :rows;
