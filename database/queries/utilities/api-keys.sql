-- API keys with their state and limit; never the hash
-- param include_revoked bool = true : whether to show the revoked ones too
-- timeout 5s
select
    id,
    name,
    case when revoked_at is null then 'valid' else 'revoked' end as state,
    rate_limit_per_minute,
    date_trunc('second', created_at) as created_at,
    date_trunc('second', revoked_at) as revoked_at
from app.api_key
where revoked_at is null or :include_revoked
order by name;
