-- One row a document with the size of what is searched, so that a list needs neither the bodies nor a join by hand.
create or replace view app.document_overview as
select
    d.id,
    d.source,
    d.title,
    coalesce(p.passages, 0) as passages,
    coalesce(p.characters, 0) as characters,
    d.updated_at
from app.document as d
left join lateral (
    select count(*) as passages, sum(char_length(body)) as characters
    from app.passage
    where document_id = d.id
) as p on true;

comment on view app.document_overview is 'passages and characters per document';

grant select on app.document_overview to app_service;
