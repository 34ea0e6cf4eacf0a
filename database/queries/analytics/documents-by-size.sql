-- Documents by the amount of text that is searched, largest first
-- param rows int = 20 : how many documents to show
-- timeout 10s
select id, source, title, passages, characters, date_trunc('second', updated_at) as updated_at
from app.document_overview
order by characters desc, id
limit :rows;
