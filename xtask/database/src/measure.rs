//! What a migration costs, measured where it does no harm: on a copy with data. Statement by statement: the locks it
//! takes on tables that were there before, how long they are held until the commit, tables written anew, rows scanned,
//! write-ahead log and time. Looks are catalog queries of the same session; what runs in no transaction is watched from
//! a second one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::Target;
use super::migrations::script::Step;
use super::migrations::{Ready, explain_failure};
use super::session::Session;
use super::sql::statement::Nature;

/// PostgreSQL's table locks, weakest first.
const MODES: [&str; 8] = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];
/// From here on writers wait.
const BLOCKS_WRITES: usize = 4;
/// Here readers wait too.
const BLOCKS_READS: usize = 7;
/// How often a statement outside a transaction is looked at.
const WATCH: Duration = Duration::from_millis(5);

/// One statement's cost.
#[derive(Clone, Debug)]
pub struct Cost {
    pub line: usize,
    pub file: String,
    /// Its first words.
    pub statement: String,
    pub time: Duration,
    /// Tables and the strongest lock on each that the statement newly took.
    pub locks: Vec<(String, &'static str)>,
    pub rewrites: Vec<String>,
    pub rows_scanned: u64,
    pub wal_bytes: u64,
}

/// How long one transaction keeps others from a table.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub table: String,
    pub mode: usize,
    pub blocks_reads: Duration,
    pub blocks_writes: Duration,
}

impl Window {
    pub fn mode_name(&self) -> &'static str {
        MODES[self.mode].trim_end_matches("Lock")
    }
}

/// One migration's cost.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub version: String,
    pub name: String,
    pub file: String,
    pub time: Duration,
    pub statements: Vec<Cost>,
    pub windows: Vec<Window>,
}

/// What the server says between two statements.
struct Look {
    wal: u64,
    scanned: u64,
    /// Name and file of each relation, by number.
    files: BTreeMap<u64, (String, u64, bool)>,
    locks: Vec<(u64, usize)>,
}

/// The transaction that is running: how long it has run, and since when each table is locked.
#[derive(Default)]
struct Open {
    time: Duration,
    /// By table: strongest mode, since when readers wait, since when writers wait.
    tables: BTreeMap<u64, (usize, Option<Duration>, Option<Duration>)>,
}

/// Runs one migration on a copy.
pub fn measure(session: &mut Session, target: &Target, ready: &Ready) -> Result<Report> {
    let migration = &ready.migration;
    let mut report = Report {
        version: migration.version.clone(),
        name: migration.name.clone(),
        file: migration.file.to_string(),
        ..Report::default()
    };
    session.execute(super::migrations::apply::RESET)?;
    let mut last = look(session)?;
    let old: BTreeMap<u64, String> = last.files.iter().map(|(oid, (name, _, _))| (*oid, name.clone())).collect();
    let mut open = Open::default();
    let directives = &ready.script.directives;
    let is_whole = !ready.script.runs_outside();
    let mut is_open = is_whole;
    if is_whole {
        session.execute("begin")?;
    }
    for step in &ready.script.steps {
        let is_bare = matches!(step.nature, Nature::OutsideTransaction(_) | Nature::MayEndTransaction(_)) && !is_open;
        let own = matches!(step.nature, Nature::TransactionControl(_));
        let wraps = directives.no_transaction && !is_bare;
        if wraps {
            session.execute("begin")?;
        }
        let started = Instant::now();
        let (answer, watched) =
            if is_bare { watched(session, target, ready, step)? } else { (run(session, ready, step)?, Vec::new()) };
        let time = started.elapsed();
        if let Some(error) = answer.error {
            let _rolled_back = session.run("rollback");
            return Err(explain_failure(ready, step, &error));
        }
        let mut now = look(session)?;
        now.locks.extend(watched);
        let before = open.time;
        open.time += time;
        let locks = note(&mut open, &now, &old, before);
        report.statements.push(cost(ready, step, time, locks, &last, &now, &old));
        last = now;
        if own {
            is_open = matches!(step.nature, Nature::TransactionControl("BEGIN" | "START TRANSACTION"));
        }
        if wraps {
            let committing = Instant::now();
            session.execute("commit")?;
            open.time += committing.elapsed();
        }
        if wraps || is_bare || !is_open {
            close(&mut open, &mut report, &old);
        }
    }
    if is_whole {
        let committing = Instant::now();
        session.execute("commit")?;
        open.time += committing.elapsed();
    }
    close(&mut open, &mut report, &old);
    Ok(report)
}

fn run(session: &mut Session, ready: &Ready, step: &Step) -> Result<super::session::Answer> {
    match ready.script.data(step) {
        Some(data) => session.copy(ready.script.sql(step), data),
        None => session.run(ready.script.sql(step)),
    }
}

/// Runs a statement outside a transaction while another session looks at its locks.
fn watched(
    session: &mut Session,
    target: &Target,
    ready: &Ready,
    step: &Step,
) -> Result<(super::session::Answer, Vec<(u64, usize)>)> {
    let pid = session.value("select pg_backend_pid()")?;
    let mut watcher = Session::open(target, "xtask migrate measure")?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                let rows = watcher.value(&locks_of(&pid)).unwrap_or_default();
                seen.extend(rows.lines().filter_map(lock));
                std::thread::sleep(WATCH);
            }
            seen.into_iter().collect()
        });
        let answer = run(session, ready, step);
        is_over.store(true, Ordering::Relaxed);
        Ok((answer?, seen.join().unwrap_or_default()))
    })
}

fn locks_of(pid: &str) -> String {
    format!(
        "select l.relation || ' ' || l.mode from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation \
         where l.pid = {pid} and l.granted and l.locktype = 'relation' and c.relkind in ('r', 'p', 'm') and c.oid >= 16384"
    )
}

fn lock(row: &str) -> Option<(u64, usize)> {
    let (oid, mode) = row.split_once(' ')?;
    Some((oid.parse().ok()?, MODES.iter().position(|known| *known == mode)?))
}

fn look(session: &mut Session) -> Result<Look> {
    let locks = locks_of("pg_backend_pid()");
    let statements = [
        "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
        "select coalesce(sum(seq_tup_read), 0) from pg_catalog.pg_stat_xact_user_tables where schemaname <> 'ops'",
        "select json_agg(json_build_array(c.oid::bigint, n.nspname || '.' || c.relname, coalesce(pg_relation_filenode(c.oid), 0)::bigint, \
         c.relkind in ('r', 'p', 'm'))) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where c.oid >= 16384 and c.relkind in ('r', 'p', 'm') and n.nspname not in ('ops', 'pg_toast')",
        &locks,
    ];
    let mut rows = Vec::new();
    for answer in session.run_all(&statements)? {
        rows.push(answer.ok()?);
    }
    let number = |text: &str| text.trim().parse().unwrap_or(0);
    let list: Value = serde_json::from_str(rows[2].trim()).unwrap_or_default();
    let file =
        |row: &Value| Some((row[0].as_u64()?, (row[1].as_str()?.to_owned(), row[2].as_u64()?, row[3].as_bool()?)));
    Ok(Look {
        wal: number(&rows[0]),
        scanned: number(&rows[1]),
        files: list.as_array().into_iter().flatten().filter_map(file).collect(),
        locks: rows[3].lines().filter_map(lock).collect(),
    })
}

/// Notes the locks that are held now; those that are new or stronger than before.
fn note(open: &mut Open, now: &Look, old: &BTreeMap<u64, String>, since: Duration) -> Vec<(String, &'static str)> {
    let mut new = Vec::new();
    let mut strongest: BTreeMap<u64, usize> = BTreeMap::new();
    for (oid, mode) in now.locks.iter().filter(|(oid, _)| old.contains_key(oid)) {
        let slot = strongest.entry(*oid).or_default();
        *slot = (*slot).max(*mode);
    }
    for (oid, mode) in strongest {
        let is_new = open.tables.get(&oid).is_none_or(|(known, _, _)| *known < mode);
        let slot = open.tables.entry(oid).or_default();
        slot.0 = slot.0.max(mode);
        if mode >= BLOCKS_READS {
            slot.1.get_or_insert(since);
        }
        if mode >= BLOCKS_WRITES {
            slot.2.get_or_insert(since);
        }
        if is_new {
            new.push((old[&oid].clone(), MODES[mode].trim_end_matches("Lock")));
        }
    }
    new
}

fn cost(
    ready: &Ready,
    step: &Step,
    time: Duration,
    locks: Vec<(String, &'static str)>,
    before: &Look,
    now: &Look,
    old: &BTreeMap<u64, String>,
) -> Cost {
    let place = ready.script.place(step);
    let rewritten = |(oid, (name, file, is_table)): (&u64, &(String, u64, bool))| {
        let was = before.files.get(oid)?;
        (*is_table && old.contains_key(oid) && was.1 != *file && *file != 0).then(|| name.clone())
    };
    let words: String = ready.script.sql(step).split_whitespace().collect::<Vec<_>>().join(" ");
    Cost {
        line: place.line,
        file: place.file.to_string(),
        statement: words.chars().take(60).collect(),
        time,
        locks,
        rewrites: now.files.iter().filter_map(rewritten).collect(),
        // The server hands its counts on now and then, and begins anew.
        rows_scanned: now.scanned.checked_sub(before.scanned).unwrap_or(now.scanned),
        wal_bytes: now.wal.saturating_sub(before.wal),
    }
}

/// The transaction has ended: what it kept others from.
fn close(open: &mut Open, report: &mut Report, old: &BTreeMap<u64, String>) {
    let ended = std::mem::take(open);
    report.time += ended.time;
    for (oid, (mode, reads, writes)) in ended.tables {
        let held = |since: Option<Duration>| since.map_or(Duration::ZERO, |since| ended.time.saturating_sub(since));
        if mode >= BLOCKS_WRITES {
            let table = old.get(&oid).cloned().unwrap_or_default();
            report.windows.push(Window { table, mode, blocks_reads: held(reads), blocks_writes: held(writes) });
        }
    }
}
