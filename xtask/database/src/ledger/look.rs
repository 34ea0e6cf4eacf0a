//! Everything that a run must know of the ledger, in one exchange with the server.

use anyhow::Result;

use super::{Applied, compare_identity};
use crate::session::{Answer, Session, literal};
use base::ui::{Failure, Finding};

/// What the ledger says.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The environment it belongs to; None before the first contact.
    pub identity: Option<String>,
    /// By version.
    pub rows: Vec<Applied>,
    /// Name and SHA-256 of each repeatable file.
    pub repeatable: Vec<(String, String)>,
    /// Of the newest event; empty before the first one.
    pub chain: String,
    /// False when [`super::prepare`] has something to do.
    pub is_ready: bool,
    /// The first version at which the history was edited by hand.
    edited: Option<String>,
}

/// SQLSTATEs of a table or a column that is not there yet.
const MISSING: [&str; 3] = ["42P01", "42703", "3F000"];

/// The statement that finds the first event that does not follow from the one before it, or the first row that is not
/// what its event says.
const EDITED: &str = "select version from (\
    select id, version, chain_sha256 = encode(sha256(convert_to(concat(lag(chain_sha256) over (order by id), E'\\n', \
    event, E'\\n', version, E'\\n', name, E'\\n', sha256, E'\\n'), 'UTF8')), 'hex') as follows \
    from ops.migration_event \
    union all select 9223372036854775807, m.version, e.version is not distinct from m.version \
    and e.sha256 is not distinct from m.sha256 from ops.migration m \
    left join ops.migration_event e using (chain_sha256) where m.state in ('applied', 'baseline')\
    ) t where not follows order by id limit 1";

/// Looks. `service_role` is the role that may read which migrations are applied.
pub fn look(session: &mut Session, service_role: &str) -> Result<Look> {
    let role = literal(service_role);
    let ready = format!(
        "select not exists (select from pg_catalog.pg_roles where rolname = {role}) \
         or (has_schema_privilege({role}, 'ops', 'usage') \
         and has_table_privilege({role}, 'ops.applied_migration', 'select'))"
    );
    let statements = [
        "select environment from ops.identity",
        "select concat_ws(E'\\t', version, state, statements_done, done_sha256, sha256, \
         to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), name) \
         from ops.migration order by version::numeric",
        "select concat_ws(E'\\t', sha256, name) from ops.repeatable",
        "select chain_sha256 from ops.migration_event order by id desc limit 1",
        EDITED,
        ready.as_str(),
    ];
    let mut answers = session.run_all(&statements)?.into_iter().map(rows);
    let mut next = || answers.next().unwrap_or(Ok(None));
    let (identity, migrations, repeatable, chain, edited, ready) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    let is_ready = identity.as_ref().is_some_and(|rows| !rows.is_empty())
        && [&migrations, &repeatable, &chain, &edited].into_iter().all(Option::is_some)
        && ready.is_some_and(|rows| rows == ["t"]);
    let first = |rows: Option<Vec<String>>| rows.and_then(|rows| rows.into_iter().next()).filter(|row| !row.is_empty());
    Ok(Look {
        identity: first(identity),
        rows: migrations.unwrap_or_default().iter().filter_map(|row| applied(row)).collect(),
        repeatable: repeatable.unwrap_or_default().iter().filter_map(|row| pair(row)).collect(),
        chain: first(chain).unwrap_or_default(),
        is_ready,
        edited: first(edited),
    })
}

/// Every entry, in the order of versions.
pub fn read(session: &mut Session) -> Result<Vec<Applied>> {
    Ok(look(session, "")?.rows)
}

/// None for a table that is not there.
fn rows(answer: Answer) -> Result<Option<Vec<String>>> {
    match answer.error {
        Some(error) if MISSING.contains(&error.sqlstate.as_str()) => Ok(None),
        Some(error) => Err(error.into()),
        None => Ok(Some(answer.rows.lines().map(str::to_owned).collect())),
    }
}

/// concat_ws leaves out what is null: the moment of a row that is not done.
fn applied(row: &str) -> Option<Applied> {
    let mut fields = row.split('\t');
    let mut next = || Some(fields.next()?.to_owned());
    let (version, state, done, done_sha256, sha256) = (next()?, next()?, next()?, next()?, next()?);
    let is_done = state == "applied" || state == "baseline";
    let applied_at = if is_done { next() } else { None };
    let name = fields.collect::<Vec<_>>().join("\t");
    Some(Applied { version, name, state, statements_done: done.parse().ok()?, done_sha256, sha256, applied_at })
}

fn pair(row: &str) -> Option<(String, String)> {
    let (sha256, name) = row.split_once('\t')?;
    Some((name.to_owned(), sha256.to_owned()))
}

impl Look {
    /// Refuses (exit 3) another environment's database.
    pub fn check_identity(&self, environment: &str) -> Result<()> {
        compare_identity(self.identity.as_deref().unwrap_or_default(), environment)
    }

    /// Refuses (exit 3) a ledger that somebody has written to by hand.
    pub fn check_chain(&self) -> Result<()> {
        let Some(version) = &self.edited else { return Ok(()) };
        let finding = match self.chain.is_empty() {
            true => Finding::error(
                "the ledger has no history: an older version of this program has made it, or somebody removed it",
            )
            .hint("`cargo xtask migrate repair` writes one for what it says now"),
            false => Finding::error(format!(
                "the ledger was edited by hand: version {version} does not follow from what is before it"
            ))
            .hint("find out who did it and why; `cargo xtask migrate repair` accepts it as it stands"),
        };
        let message = "the ledger is not what the tasks wrote; nothing was touched";
        Err(Failure::with_findings(base::ui::Exit::Findings, message, vec![finding]).into())
    }

    /// The version at which the ledger was edited, if it was.
    pub fn edited(&self) -> Option<&str> {
        self.edited.as_deref()
    }
}
