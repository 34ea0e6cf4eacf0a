-- The operations handbook, so that a fresh workspace answers real questions about itself.
--
-- The passages are made below by the rule ai-engine splits with (services/ai-engine/ai_engine/passages.py): blocks are
-- separated by blank lines; a block that is a line of `#`s, a space and text is the heading of what follows it; every
-- other block is a passage, numbered from 1. Longer rules (fences, lead-ins that end in a colon, paragraphs above
-- the length limit) are not needed here, so the texts avoid them; ai-engine's tests hold both splits to be equal.

create temporary table seed_document (source text primary key, title text not null, body text not null);

insert into seed_document (source, title, body) values
('handbook/rollback', 'Rolling back a deployment', $body$
# When to do it

When the new release is the likely cause and the one before was fine: errors rise right after it went out, a service does
not become ready, or what users see is broken. A release that failed its own gate needs nothing: the last verified one
runs again already, and `cargo xtask releases --env staging` shows how it ended.

# How to roll back

To roll a deployment back, run `cargo xtask rollback staging --plan` and see which release comes back and what changes,
then `cargo xtask rollback staging`. Without `--to` it is the last verified release before the live one; with
`--to RELEASE` any verified one from `cargo xtask releases --env staging`. The recorded render is applied again, with
the images and configuration that release ran with.

# When it is refused

A rollback is refused when a migration has run since that the old release cannot work with. Fix forward instead, or
restore a backup if data was damaged. Rolling back never runs a down migration.

# Afterwards

Check `cargo xtask health --env staging`, say in the incident channel which release is live, and leave the failed
release in the ledger: it records why it was taken back.
$body$),
('handbook/deploy', 'Deploying a release', $body$
# Before you start

Look at `cargo xtask deploy staging --plan`: it shows the images, the configuration and the migrations that would
change, and touches nothing. For production, `cargo xtask deploy production --rehearse` runs the same steps on a scratch
database first.

# The deployment

`cargo xtask deploy staging` locks the environment, checks everything it can before the first effect, builds, asks, takes
a backup where the policy says so, migrates, rolls out in dependency order and waits until every probe passes. Production
asks for the name of the environment to be typed.

# When it stops half way

Exit code 6 means that the deployment failed and the last verified release runs again. Exit code 7 means that it could
not be put back and a person is needed: start with `cargo xtask runbook run rollback`. Exit code 5 means that someone
else holds the lock; the message says who.
$body$),
('handbook/migrations', 'Running database migrations', $body$
# Seeing what is pending

`cargo xtask migrate status --env dev` lists every migration with its state. Files in database/migrations/pending may
still be edited; those in applied have reached production and are frozen.

# Running them

`cargo xtask migrate up --env dev` runs the pending ones in the order of their versions, each in a transaction of its own,
and records each in the ledger. A deployment does the same for its environment before it rolls out.

# Writing one

`cargo xtask migrate new add_owner_to_document` writes the file and its `.down.sql`. Begin with a comment that says
why. Measure it with `cargo xtask migrate measure`, which runs it on a scratch copy and names the locks it takes and the
tables it rewrites.

# Taking one back

`cargo xtask migrate down --env dev` runs the last one's down file. In production prefer a new migration: a down file that
drops a column drops the data in it.
$body$),
('handbook/api-keys', 'Rotating an API key', $body$
# How keys are kept

The gateway accepts a request whose `Authorization: Bearer` key has a SHA-256 that stands in app.api_key and is not
revoked. The key itself is stored nowhere in the database.

# Rotating the key of dev or staging

Put a new value for API_KEY into config/environments/.env.staging and run `cargo xtask db seed --env staging`. The new
key works at once; the old one stops within seconds, when the gateway's cache of looked-up keys runs out.

# Rotating a caller's key without an outage

Add the hash of the new key as a second row, let the caller switch over, then set revoked_at of the old row to now(). Do
it in `cargo xtask db shell --env production`, and keep the revoked row: it explains old log lines.

# A key has leaked

Set revoked_at of its row first and ask questions later. Then look at what it was used for with
`cargo xtask logs api-gateway --since 24h`.
$body$),
('handbook/health', 'Reading a health report', $body$
# The table

`cargo xtask health --env staging` asks every service and the database and prints a line each. Live means that the
process answers; ready means that it can do its work: it reaches the database, its migrations are there, and what it
depends on is ready too.

# Live but not ready

The detail column says what is missing. A missing migration names its version: run `cargo xtask migrate up` for that
environment. A database that cannot be reached makes every service not ready; begin with the database.

# Exit codes

0 when everything is well, 3 when something is down, 4 when the check could not look. `--watch` repeats the report,
`--wait 60` waits up to a minute for it to turn green.
$body$),
('handbook/backups', 'Backing up and restoring the database', $body$
# Taking a backup

`cargo xtask db backup --env production` writes one now; deployments take one where the policy in
database/backups/backup-policy.md says so. `cargo xtask db backups --env production` lists what there is, with age and
size, and whether it has been verified.

# Restoring a backup

Tell the team first: what was written since the backup is lost. Pick one from the list and run
`cargo xtask db restore --env staging`. Restore into staging and look at the data before you restore production.

# After a restore

Run `cargo xtask migrate status` for the environment, since the schema is now as old as the backup, then
`cargo xtask health`. Rotate any API key that was revoked after the backup was taken: its row is valid again.
$body$),
('handbook/on-call', 'On call: the first ten minutes', $body$
# First look

Run `cargo xtask health --env production`, then `cargo xtask releases --env production`. Most incidents begin with a
change: if one went out shortly before the alert, roll it back first and find the cause afterwards.

# Finding the cause

`cargo xtask logs --since 10m --grep error` shows one view over all services. Take the request_id of a failing line and
search for that: the same id is in the log of every service the request went through.

# Keeping evidence

`cargo xtask logs --collect incident.tar.gz` bundles logs and state before a restart wipes them. Write down times and what
you did as you go; memory is poor at three in the morning.

# Asking for help

Call the second person when you have not understood the problem after twenty minutes, when data may be lost, or when a
command ended with exit code 7.
$body$),
('handbook/slow-database', 'The database is slow', $body$
# What is running

`cargo xtask db query long-running --env production` lists statements by their age, and
`cargo xtask db query locks --env production` shows who blocks whom. A session that is idle in transaction and holds a
lock others wait for is the usual culprit.

# What has grown

`cargo xtask db query table-sizes` shows tables with their indexes and dead rows; `cargo xtask db query index-usage`
shows indexes nobody reads. `cargo xtask db maintain` vacuums, analyses and rebuilds bloated indexes.
$body$);

update seed_document set body = btrim(body, E'\n');

insert into app.document as d (source, title, body, sha256)
select source, title, body, encode(sha256(convert_to(body, 'UTF8')), 'hex')
from seed_document
order by source
on conflict (source) do update
set title = excluded.title, body = excluded.body, sha256 = excluded.sha256, updated_at = now()
where (d.title, d.body, d.sha256) is distinct from (excluded.title, excluded.body, excluded.sha256);

create temporary table seed_passage as
with block as (
    select d.id as document_id, b.place, b.text, b.text ~ '^#{1,6} ' as is_heading
    from seed_document as s
    join app.document as d using (source)
    cross join regexp_split_to_table(s.body, '\n\s*\n') with ordinality as b (text, place)
), sectioned as (
    select *, count(*) filter (where is_heading) over (partition by document_id order by place) as section
    from block
), headed as (
    select *, max(regexp_replace(text, '^#+ +', '')) filter (where is_heading)
        over (partition by document_id, section) as heading
    from sectioned
)
select document_id, row_number() over (partition by document_id order by place)::integer as ordinal, heading, text as body
from headed
where not is_heading;

delete from app.passage as p
using seed_document as s, app.document as d
where d.source = s.source and p.document_id = d.id
    and not exists (select from seed_passage as n where n.document_id = p.document_id and n.ordinal = p.ordinal);

insert into app.passage as p (document_id, ordinal, heading, body)
select document_id, ordinal, heading, body
from seed_passage
order by document_id, ordinal
on conflict (document_id, ordinal) do update
set heading = excluded.heading, body = excluded.body
where (p.heading, p.body) is distinct from (excluded.heading, excluded.body);

drop table seed_passage, seed_document;
