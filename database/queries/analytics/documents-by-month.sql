-- Documents added and last changed, by month
-- param since date = 2000-01-01 : the first day that counts
-- timeout 10s
select
    to_char(month, 'YYYY-MM') as month,
    count(*) filter (where what = 'added') as added,
    count(*) filter (where what = 'changed') as last_changed
from (
    select date_trunc('month', created_at) as month, 'added' as what from app.document where created_at >= :since
    union all
    select date_trunc('month', updated_at), 'changed'
    from app.document
    where updated_at >= :since and updated_at > created_at
) as event
group by month
order by month;
