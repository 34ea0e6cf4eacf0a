//! Upkeep: the statements of database/maintenance, and what a database needs care for. Each finding has its threshold,
//! and database/maintenance/README.md explains them.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::session::{Session, SqlError};
use super::sql::position::{self, Lines, snippet};
use super::sql::{Kind, canonical, split};
use base::ui::{Exit, Failure, Finding, Place};
use base::workspace::{Workspace, entries};

/// How often a statement is tried when a lock was not to be had, or a deadlock was resolved against it.
const ATTEMPTS: u32 = 5;

/// A statement of a file.
#[derive(Clone, Debug)]
pub struct Job {
    /// Relative to the workspace.
    pub file: Utf8PathBuf,
    pub sql: String,
    text: String,
    start: usize,
    line: usize,
}

/// Something that needs care: beyond its threshold.
#[derive(Clone, Debug)]
pub struct Care {
    pub kind: &'static str,
    pub object: String,
    pub value: String,
    pub limit: String,
    pub message: String,
    pub hint: String,
}

impl Care {
    pub fn to_json(&self) -> Value {
        json!({
            "kind": self.kind,
            "object": self.object,
            "value": self.value,
            "limit": self.limit,
            "message": self.message,
            "hint": self.hint,
        })
    }
}

/// The statements, in the order of files; exit 2 for a file that cannot be read or holds what it must not.
pub fn read(workspace: &Workspace) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    let mut findings = Vec::new();
    for path in entries(&workspace.maintenance()).into_iter().filter(|path| path.extension() == Some("sql")) {
        let file = workspace.relative(&path).to_owned();
        let at = |line, column| Place { file: file.clone(), line, column };
        let read =
            std::fs::read(&path).map_err(|error| Finding::error(format!("cannot be read: {error}")).at(at(1, 1)));
        let text = read.and_then(|bytes| {
            canonical(&bytes)
                .map_err(|error| Finding::error(error.message).at(at(error.place.line, error.place.column)))
        });
        let pieces = text.and_then(|text| match split(&text) {
            Ok(pieces) => Ok((text, pieces)),
            Err(error) => Err(Finding::error(error.message).at(at(error.place.line, error.place.column))),
        });
        let (text, pieces) = match pieces {
            Ok(read) => read,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        for piece in pieces {
            match piece.kind {
                Kind::Empty => {}
                Kind::Sql => jobs.push(Job {
                    file: file.clone(),
                    sql: piece.sql(&text).trim_end().trim_end_matches(';').to_owned(),
                    text: text.clone(),
                    start: piece.body.start,
                    line: piece.place.line,
                }),
                Kind::Copy { .. } | Kind::Meta { .. } => {
                    let finding = Finding::error("upkeep is SQL only: no COPY data, no command of psql");
                    findings.push(finding.at(at(piece.place.line, piece.place.column)));
                }
            }
        }
    }
    match findings.is_empty() {
        true => Ok(jobs),
        false => Err(Failure::configuration("database/maintenance cannot be used", findings).into()),
    }
}

/// Runs one statement, outside a transaction; it gives way to others by `lock_timeout`, and tries again.
pub fn run(session: &mut Session, job: &Job, lock_timeout: Duration) -> Result<Duration> {
    let started = Instant::now();
    session.execute("reset all")?;
    session.execute(&format!("set lock_timeout = '{}ms'", lock_timeout.as_millis()))?;
    let mut attempt = 1;
    loop {
        match session.run(&job.sql)?.ok() {
            Ok(_) => return Ok(started.elapsed()),
            Err(error) if attempt < ATTEMPTS && matches!(error.sqlstate.as_str(), "55P03" | "40P01") => {
                std::thread::sleep(Duration::from_millis(200) * attempt);
                attempt += 1;
            }
            Err(error) => return Err(explain(job, &error)),
        }
    }
}

fn explain(job: &Job, error: &SqlError) -> anyhow::Error {
    let lines = Lines::new(&job.text);
    let position = error.position.unwrap_or(1);
    let place = lines.place(position::byte_of(&job.text, job.start, position));
    let message = format!("{error} ({})\n{}", error.sqlstate, snippet(&lines, place).trim_end());
    let place = Place { file: job.file.clone(), line: place.line.max(job.line), column: place.column };
    let exit = if error.sqlstate == "55P03" { Exit::Busy } else { Exit::Failed };
    Failure::with_findings(exit, &format!("failed to run `{}`", job.file), vec![Finding::error(message).at(place)])
        .into()
}

const INVALID: &str = "select format('%I.%I', n.nspname, c.relname) as object, pg_size_pretty(pg_relation_size(c.oid)) as value \
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where not (i.indisvalid and i.indisready) and c.relkind = 'i' and not exists (select from pg_catalog.pg_stat_progress_create_index p where p.index_relid = c.oid)";

/// Two indexes of one table with the same definition but for the name.
const DUPLICATE: &str = "select format('%I.%I', n.nspname, c.relname) as object, min(format('%I.%I', n.nspname, o.relname)) as value \
    from pg_catalog.pg_index i join pg_catalog.pg_index j on j.indrelid = i.indrelid and j.indexrelid <> i.indexrelid \
    join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_class o on o.oid = j.indexrelid \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where n.nspname !~ '^pg_' and c.relam = o.relam and i.indkey = j.indkey and i.indclass = j.indclass and i.indcollation = j.indcollation \
    and i.indoption = j.indoption and i.indnkeyatts = j.indnkeyatts \
    and pg_get_expr(i.indexprs, i.indrelid) is not distinct from pg_get_expr(j.indexprs, j.indrelid) \
    and pg_get_expr(i.indpred, i.indrelid) is not distinct from pg_get_expr(j.indpred, j.indrelid) \
    and i.indisvalid and j.indisvalid and (j.indisunique or not i.indisunique) \
    and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid) \
    and (j.indisunique <> i.indisunique or exists (select from pg_catalog.pg_constraint k where k.conindid = j.indexrelid) or i.indexrelid > j.indexrelid) \
    group by 1";

/// Not used since the counters were set to zero, at least 7 days ago; a unique one works without being looked up in.
const UNUSED: &str = "select format('%I.%I', s.schemaname, s.indexrelname) as object, pg_size_pretty(pg_relation_size(s.indexrelid)) as value, \
    extract(day from now() - d.since)::int as days \
    from pg_catalog.pg_stat_user_indexes s join pg_catalog.pg_index i using (indexrelid), \
    (select coalesce(stats_reset, pg_postmaster_start_time()) as since from pg_catalog.pg_stat_database where datname = current_database()) d \
    where s.idx_scan = 0 and not i.indisunique and i.indisvalid and pg_relation_size(s.indexrelid) >= 8 * 1024 * 1024 \
    and d.since < now() - interval '7 days' and s.schemaname <> 'ops'";

/// From the planner's statistics: how large the rows are, and how large the table is. An estimate, for tables of 16 MB
/// and more whose statistics are there.
const BLOAT: &str = "select object, pg_size_pretty(waste::bigint) as value, round(100 * waste / size)::int as percent from ( \
    select format('%I.%I', n.nspname, c.relname) as object, pg_relation_size(c.oid)::numeric as size, \
    pg_relation_size(c.oid) - c.reltuples * (28 + s.width) / (0.01 * coalesce((select option_value::int from pg_catalog.pg_options_to_table(c.reloptions) where option_name = 'fillfactor'), 100)) as waste \
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace, \
    lateral (select sum(avg_width * (1 - null_frac)) as width from pg_catalog.pg_stats p where p.schemaname = n.nspname and p.tablename = c.relname and not p.inherited) s \
    where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.reltuples > 0 and s.width is not null \
    and pg_relation_size(c.oid) >= 16 * 1024 * 1024) b where waste / size > 0.4";

const SEQUENCES: &str = "select format('%I.%I', schemaname, sequencename) as object, \
    floor(100 * case when increment_by > 0 then (last_value::numeric - min_value) / nullif(max_value::numeric - min_value, 0) \
    else (max_value::numeric - last_value) / nullif(max_value::numeric - min_value, 0) end)::int as percent \
    from pg_catalog.pg_sequences where last_value is not null and not cycle";

/// A sequence may go on where the column that it fills cannot.
const COLUMNS: &str = "select format('%I.%I.%I', n.nspname, c.relname, a.attname) as object, \
    floor(100 * q.last_value::numeric / case a.atttypid when 21 then 32767 else 2147483647 end)::int as percent \
    from pg_catalog.pg_depend d join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S' \
    join pg_catalog.pg_class c on c.oid = d.refobjid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid \
    join pg_catalog.pg_namespace sn on sn.oid = s.relnamespace \
    join pg_catalog.pg_sequences q on q.schemaname = sn.nspname and q.sequencename = s.relname \
    where d.deptype in ('a', 'i') and a.atttypid in (21, 23) and q.increment_by > 0 and q.last_value is not null \
    and q.max_value > case a.atttypid when 21 then 32767 else 2147483647 end";

const AGES: &str = "select object, age::text as value, kind from (\
    select datname::text as object, age(datfrozenxid)::bigint as age, 'transactions' as kind from pg_catalog.pg_database where datname = current_database() \
    union all select datname::text, mxid_age(datminmxid), 'multixacts' from pg_catalog.pg_database where datname = current_database()) a where age >= 1000000000";

/// Percent of a sequence that may be used up.
const SEQUENCE_LIMIT: i64 = 75;

/// Everything beyond its threshold.
pub fn report(session: &mut Session) -> Result<Vec<Care>> {
    let mut found = Vec::new();
    let text = |row: &Value, key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
    for row in session.query(INVALID)? {
        let object = text(&row, "object");
        found.push(Care {
            kind: "invalid-index",
            message: format!("the index {object} is invalid: it costs every write and serves no read"),
            hint: format!("drop index concurrently {object}; then make it again"),
            value: text(&row, "value"),
            limit: "none".to_owned(),
            object,
        });
    }
    for row in session.query(DUPLICATE)? {
        let (object, other) = (text(&row, "object"), text(&row, "value"));
        found.push(Care {
            kind: "duplicate-index",
            message: format!("the index {object} is the same as {other}"),
            hint: format!("drop it in a migration: drop index concurrently {object}"),
            value: other,
            limit: "none".to_owned(),
            object,
        });
    }
    for row in session.query(UNUSED)? {
        let (object, size, days) = (text(&row, "object"), text(&row, "value"), text(&row, "days"));
        found.push(Care {
            kind: "unused-index",
            message: format!("the index {object} ({size}) was not used for {days} days"),
            hint: "look at every replica too, then drop it in a migration".to_owned(),
            value: size,
            limit: "8 MB, 7 days".to_owned(),
            object,
        });
    }
    for row in session.query(BLOAT)? {
        let (object, waste, percent) = (text(&row, "object"), text(&row, "value"), text(&row, "percent"));
        found.push(Care {
            kind: "bloat",
            message: format!("about {percent} % of the table {object} is unused space ({waste}, an estimate)"),
            hint: format!(
                "vacuum keeps it for new rows; pg_repack, or `vacuum full {object}` in a quiet hour, gives it back"
            ),
            value: format!("{percent} %"),
            limit: "40 %".to_owned(),
            object,
        });
    }
    for (query, what, hint) in [
        (SEQUENCES, "the sequence", "alter sequence … as bigint, or let it cycle if values may repeat"),
        (COLUMNS, "the column", "make the column bigint, in a migration"),
    ] {
        let rows = session.query(&format!("select * from ({query}) q where percent >= {SEQUENCE_LIMIT}"))?;
        for row in rows {
            let (object, percent) = (text(&row, "object"), text(&row, "percent"));
            found.push(Care {
                kind: "sequence",
                message: format!("{what} {object} has used {percent} % of its values"),
                hint: hint.to_owned(),
                value: format!("{percent} %"),
                limit: format!("{SEQUENCE_LIMIT} %"),
                object,
            });
        }
    }
    for row in session.query(AGES)? {
        let (object, age, kind) = (text(&row, "object"), text(&row, "value"), text(&row, "kind"));
        found.push(Care {
            kind: "wraparound",
            message: format!("the oldest {kind} in {object} are {age} old; at 2 billion PostgreSQL stops writing"),
            hint: "vacuum (freeze), and end old transactions, prepared ones and replication slots that hold it back"
                .to_owned(),
            value: age,
            limit: "1000000000".to_owned(),
            object,
        });
    }
    Ok(found)
}
