//! The whole command line as one page. Help, the overview, completions and did-you-mean are all cut from it.
//!
//! A verb of a family carries its family's name (`services-start`), because xflags makes one type a name; cli.rs
//! takes `services start` from the user and shows it that way.

xflags::xflags! {
    src "./src/flags.rs"

    /// Operations of this workspace: one typed entrypoint for everything one does to it.
    cmd xtask {
        /// The workspace's folder, where it is not the one of this program
        optional --workspace folder: String
        /// Show every command before it runs
        optional -v, --verbose

        /// What there is, what is running, what is pending, what one may want next
        cmd overview {
            /// One object: groups, environments, services
            optional --json
        }

        /// Make this clone work: dependencies, database, services, health
        ///
        /// Runs in this order: tools checked; side by side the dependencies of services, PostgreSQL and cargo's crates;
        /// .env.dev made; database migrated and seeded; services built and started; health. A second run changes nothing.
        cmd setup {
        }

        /// Bring an environment to what this commit says, with the way back
        ///
        /// Runs in this order: lock; preflight; build; show what changes, and ask; backup; migrate; roll out in order of
        /// dependency; gate; record. Exit 0 when there is nothing to do, 3 when refused, 6 when it failed and what ran before
        /// runs again, 7 when it could not be brought back.
        cmd deploy {
            /// The environment
            required env: String
            /// local or compose, instead of the environment's DEPLOY_ENGINE
            optional --engine engine: String
            /// Only show what would change, and what speaks against it; exit 3 when something would
            optional --plan
            /// With --plan: one object, which --apply-plan takes
            optional --json
            /// Carry out this plan and no other: refused when something has changed since
            optional --apply-plan file: String
            /// Go on with a release whose run was killed
            optional --resume
            /// Try the environment's shape on this machine, with its rollback, and leave nothing behind
            optional --rehearse
            /// Only say in words why this would be a new release; exit 3 when it would
            optional --explain
            /// Only bring the database's container to what the Compose files say, which restarts it
            optional --database
            /// Deploy what is not committed
            optional --allow-dirty
            /// Go on against a freeze, the ladder, a budget or a missing way back; the reason is recorded
            optional --break-glass reason: String
            /// Should it fail, bring the old code back even on a schema that has moved on; recorded
            optional --dangerous-schema
            /// A release of PROMOTE_FROM's environment, written by `releases show N --json`, where it cannot be asked
            optional --signed-off file: String
            /// Ask nothing (a protected environment still wants --confirm)
            optional --yes
            /// The environment's name: what a protected one asks for
            optional --confirm env: String
            /// Seconds that a service may take to be ready (default 60)
            optional --wait seconds: u64
            /// Seconds to wait for the lock (default 0: busy is exit 5)
            optional --lock-wait seconds: u64
        }

        /// Bring back the release before, or another one: its images, configuration and values
        ///
        /// Refused (exit 3) when what it needs is gone, or when the schema has moved past what it works on.
        cmd rollback {
            /// The environment
            required env: String
            /// The release to bring back (default: the verified one before what runs)
            optional --to release: i64
            /// local or compose, instead of the environment's DEPLOY_ENGINE
            optional --engine engine: String
            /// Only show what would change; exit 3 when something would
            optional --plan
            /// With --plan: one object
            optional --json
            /// Go on although the schema has moved on; recorded
            optional --dangerous-schema
            /// Ask nothing (a protected environment still wants --confirm)
            optional --yes
            /// The environment's name: what a protected one asks for
            optional --confirm env: String
            /// Seconds that a service may take to be ready (default 60)
            optional --wait seconds: u64
            /// Seconds to wait for the lock (default 0: busy is exit 5)
            optional --lock-wait seconds: u64
        }

        /// The ledger of releases: who deployed what, when, why, and how it ended
        cmd releases {
            /// Of this environment (default dev)
            optional --env env: String
            /// The newest releases
            cmd releases-list {
                /// One object: {environment, releases: [{number, kind, state, artifact, engine, user, host, commit, started_at, ended_at}]}
                optional --json
                /// How many (default 20)
                optional -n, --count count: u32
            }
            /// One release: plan, steps with times, evidence
            cmd releases-show {
                /// Its number
                required number: i64
                /// One object: the release, with steps: [{step, event, detail, at}]
                optional --json
            }
            /// Check that nobody has edited the ledger; exit 3 when somebody has
            cmd releases-verify {
                /// One object: {ok, findings}
                optional --json
            }
        }

        /// Show what the services of an environment have logged
        cmd logs {
            /// Only these
            repeated service: String
            /// Of this environment (default dev)
            optional --env env: String
            /// local or compose, instead of the environment's DEPLOY_ENGINE
            optional --engine engine: String
            /// Only what is at most this old, such as 10m
            optional --since age: String
            /// Only lines that hold this text
            optional --grep text: String
            /// Go on as lines are written
            optional -f, --follow
            /// How many lines of each to begin with (default 50; all with --since)
            optional -n, --lines count: usize
            /// Write a bundle for an incident: logs, health, releases, masked configuration, versions
            optional --collect file: String
        }

        /// Check tools, ports, disk, database and configuration; name each problem with its fix
        cmd doctor {
            /// One object: {ok, checks: [{name, ok, detail, hint}]}
            optional --json
        }

        /// Build what changed since the last build, by content
        cmd build {
            /// Only these services and libraries
            repeated service: String
            /// Build container images instead, by content
            optional --images
            /// With --images: of this environment (default dev); each has tags of its own
            optional --env env: String
            /// Say why each one is stale or not, and build nothing
            optional --explain
            /// One object: {services: [{name, stale, reasons}]}; with --explain only
            optional --json
        }

        /// Run tests: xtask's own, each service's, and the suites in tests/
        ///
        /// Without a name: everything but suites that say `by_default: false` (performance). Tests have a database and
        /// ports of their own; a running dev stack is not touched.
        cmd test {
            /// Only these: `xtask`, a service, or a suite in tests/
            repeated name: String
        }

        /// What CI runs, in CI's order
        ///
        /// Runs in this order: formatting and lint of xtask and of each service, configuration check, test.
        cmd ci {
        }

        /// Start, stop and watch the services of this machine
        cmd services {
            /// Bring the services up: dependencies first, changed ones restarted, others left alone
            cmd services-start {
                /// Only these, and what they depend on
                repeated service: String
                /// End what `deploy` has put in their place, and run the sources again
                optional --source
                /// Stay, show the logs, and stop the services on Ctrl-C
                optional --foreground
                /// Show what would be done; exit 3 when there is something
                optional --plan
                /// Seconds to wait for each service to be ready (default 60)
                optional --wait seconds: u64
            }
            /// Stop the services, dependents first
            cmd services-stop {
                /// Only these, and what depends on them
                repeated service: String
            }
            /// Stop and start the services
            cmd services-restart {
                /// Only these
                repeated service: String
                /// Seconds to wait for each service to be ready (default 60)
                optional --wait seconds: u64
            }
            /// What runs: process, port, since when
            cmd services-status {
                /// Only these
                repeated service: String
                /// One object: {services: [{name, state, pid, port, since, stale}]}
                optional --json
            }
            /// Show the services' logs
            cmd services-logs {
                /// Only these
                repeated service: String
                /// Go on as lines are written
                optional -f, --follow
                /// How many lines of each to begin with (default 50)
                optional -n, --lines count: usize
                /// Only lines that hold this text
                optional --grep text: String
            }
        }

        /// Probe the services and the database
        cmd health {
            /// Of this environment (default dev)
            optional --env env: String
            /// local or compose, instead of the environment's DEPLOY_ENGINE
            optional --engine engine: String
            /// One object: {environment, ok, services, database, migrations}
            optional --json
            /// Wait up to this many seconds until all is well
            optional --wait seconds: u64
            /// Probe again every two seconds until Ctrl-C
            optional --watch
        }

        /// Show and check the configuration of an environment
        cmd config {
            /// The effective environment, each value with its source, secrets masked
            cmd config-show {
                /// Of this environment (default dev)
                optional --env env: String
                /// One object: {environment, keys: [{key, value, source, type, required, sensitive, documentation}]}
                optional --json
            }
            /// Check environments, services and suites; exit 2 with file:line:column when one cannot be used
            cmd config-check {
                /// Only this environment (default: every one that has values, and all schemas)
                optional --env env: String
                /// One object: {ok, findings: [{severity, file, line, column, message, hint}]}
                optional --json
            }
            /// Make an environment's file from its example, keys marked @generate filled; what is there stays
            cmd config-init {
                /// Of this environment
                required --env env: String
            }
            /// Write config/services/service.schema.json, by which editors check and complete the files beside it
            cmd config-schema {
                /// Only say whether it is current; exit 3 when it is not
                optional --check
            }
        }

        /// Bring the database's schema up to date
        cmd migrate {
            /// Of this environment (default dev)
            optional --env env: String
            /// Apply pending migrations
            ///
            /// Each file in one transaction with its row in the ledger, then the repeatable files that changed. Exit 1 when
            /// something is left half done (an INVALID index, a NOT VALID constraint), 5 when another run is at work.
            cmd migrate-up {
                /// Only show what would be applied; exit 3 when there is something
                optional --plan
                /// One object: {applied: [{version, name, duration_ms}]}; with --plan {pending: [{version, name, file}]}
                optional --json
                /// Stop after this version
                optional --to version: String
                /// Also apply versions that are older than the newest applied one
                optional --out-of-order
                /// The environment's name, instead of typing it, where it must be confirmed
                optional --confirm env: String
                /// Seconds to wait for the server to answer (default 10)
                optional --wait seconds: u64
                /// Seconds to wait for the lock (default 0: busy is exit 5)
                optional --lock-wait seconds: u64
            }
            /// Take back the newest migrations by their down files
            cmd migrate-down {
                /// How many (default 1)
                optional count: usize
                /// Only show what would be taken back; exit 3 when there is something
                optional --plan
                /// One object: {reverted: [{version, name, duration_ms}]}
                optional --json
                /// The environment's name, instead of typing it, where it must be confirmed
                optional --confirm env: String
                /// Seconds to wait for the lock (default 0: busy is exit 5)
                optional --lock-wait seconds: u64
            }
            /// Which migrations are applied, pending or changed
            cmd migrate-status {
                /// One object: {migrations: [{version, name, state, applied_at}]}
                optional --json
            }
            /// Write a new migration file in database/migrations/pending
            cmd migrate-new {
                /// A few words, such as add_api_keys
                required name: String
            }
            /// Check the migrations against themselves: checksums, history, versions, replay, down files, queries, seeds
            ///
            /// Touches no environment. Exit 3 with everything that was found.
            cmd migrate-verify {
                /// One object: {ok, findings: [{severity, file, line, column, message, hint}]}
                optional --json
            }
            /// Run pending migrations on a scratch copy with data; report locks, rewrites, WAL and time
            ///
            /// Without --data on the environment's last verified backup, where there is one, else on a copy of dev's
            /// database. Exit 3 when they cost more than the environment's budget in config/services/database.yaml.
            cmd migrate-measure {
                /// Other data: `backup`, `backup:ID`, or a database of dev's server
                optional --data data: String
                /// One object: {environment, data, migrations: [{version, name, statements, tables}], exceeded}
                optional --json
            }
            /// Take over the history of dbmate, golang-migrate, sqlx, diesel, Flyway or plain SQL files
            ///
            /// With --env, what that tool's own ledger says is applied becomes the environment's baseline.
            cmd migrate-import {
                /// The folder of its migrations
                required folder: String
                /// Whose they are, where it cannot be told: dbmate, golang-migrate, sqlx, diesel, flyway, plain
                optional --format tool: String
                /// A value for one of Flyway's placeholders, as NAME=VALUE; may be given several times
                repeated --set value: String
                /// Only show what would be written; exit 3 when there is something
                optional --plan
                /// The environment's name, instead of typing it, where it must be confirmed
                optional --confirm env: String
            }
            /// Record migrations as applied without running them: for a database that has the schema already
            cmd migrate-baseline {
                /// Up to and with this version
                required version: String
                /// Only show what would be recorded; exit 3 when there is something
                optional --plan
                /// The environment's name, instead of typing it, where it must be confirmed
                optional --confirm env: String
            }
            /// Make the ledger agree with the files: edited, renamed and missing ones, a history edited by hand
            ///
            /// Changes the ledger only, never the schema, and keeps an entry of what it did.
            cmd migrate-repair {
                /// Only show what would be changed; exit 3 when there is something
                optional --plan
                /// The environment's name, instead of typing it
                optional --confirm env: String
            }
            /// Move what production has released from pending/ to applied/, with its checksums
            ///
            /// Reads production's ledger, or that of --env.
            cmd migrate-promote {
                /// Only show what would be moved; exit 3 when there is something
                optional --plan
            }
            /// Write database/schema/current.sql: the schema that all migrations make
            cmd migrate-schema {
                /// Write nothing; exit 3 when the file is not what the migrations make
                optional --check
            }
        }

        /// Everything else one does to a database
        cmd db {
            /// Of this environment (default dev)
            optional --env env: String
            /// Run a query of database/queries, read-only
            cmd db-query {
                /// The query's name; without one, the queries there are
                optional name: String
                /// Its parameters as key=value
                repeated parameter: String
                /// How to print rows: table (default), json or csv
                optional --format format: String
            }
            /// Load the environment's seeds; running it again changes nothing
            cmd db-seed {
                /// The environment's name: what a protected one asks for
                optional --confirm name: String
            }
            /// Write tables and queries to files, all from one snapshot
            ///
            /// Without a name: every table. Outside dev the columns of database/masking.yaml are masked.
            cmd db-export {
                /// Tables, and queries of database/queries
                repeated name: String
                /// A new folder, or for one name a file ending in .csv or .jsonl
                optional --out path: String
                /// csv (default) or jsonl
                optional --format format: String
                /// Outside dev too: values as they are, nothing masked
                optional --raw
                /// The environment's name: what a protected one asks for before --raw
                optional --confirm name: String
            }
            /// Load files into tables: all rows of all files, or none
            ///
            /// Bad rows are written to a file under .ops/rejected, each with line and reason (exit 3).
            cmd db-import {
                /// A folder that `db export` wrote, or files named SCHEMA.TABLE.csv or .jsonl
                repeated file: String
                /// The table of the one file
                optional --table table: String
                /// csv or jsonl, where the file's name does not tell
                optional --format format: String
                /// Only show which file goes where, in which order; exit 3 when there is something
                optional --plan
                /// The environment's name: what a protected one asks for
                optional --confirm name: String
                /// Seconds to wait for the lock (default 0: busy is exit 5)
                optional --lock-wait seconds: u64
            }
            /// Bring rows of another environment into dev, masked by database/masking.yaml
            ///
            /// Replaces the rows of the tables, then loads dev's seeds. What refers to a row that is left out is left out,
            /// what a row refers to comes along. Nothing is read out while a column that looks personal has no rule.
            cmd db-sync {
                /// The environment the rows come from
                optional --from env: String
                /// Only these tables, with commas between, and what they refer to
                optional --tables tables: String
                /// TABLE=CONDITION in SQL: only such rows of a table
                repeated --only condition: String
                /// At most so many rows of each table that refers to no other
                optional --limit rows: u64
                /// Only show what would come and what would go; exit 3 when there is something
                optional --plan
                /// Do not ask
                optional --yes
                /// Seconds to wait for the lock (default 0: busy is exit 5)
                optional --lock-wait seconds: u64
            }
            /// Vacuum and reindex, and say what needs care
            ///
            /// Runs database/maintenance/*.sql statement by statement. Bloat, unused, duplicate and invalid indexes,
            /// sequences near their end and old transaction ids beyond the thresholds of database/maintenance/README.md: exit 3.
            cmd db-maintain {
                /// Only these files, without their ending
                repeated name: String
                /// Run nothing: show the statements and the report; exit 3 when there are statements
                optional --plan
                /// One object: {environment, ran: [{file, statement, ms}], findings: [{kind, object, value, limit, message, hint}]}
                optional --json
                /// The environment's name: what a protected one asks for
                optional --confirm name: String
                /// Seconds to wait for the lock (default 0: busy is exit 5)
                optional --lock-wait seconds: u64
            }
            /// Compare the database with what its applied migrations make; exit 3 with differences
            cmd db-diff {
                /// One object: {environment, differences: [{kind, object, expected, found}]}
                optional --json
            }
            /// Open psql on the environment's database
            cmd db-shell {
                /// As the services' role instead of the owner
                optional --as-service
            }
            /// Back the database up, then remove backups that the policy no longer asks for
            ///
            /// Prints the backup's id. Holds the schema's lock: no migration runs meanwhile. What is kept is said by
            /// database/backups/backup-policy.md.
            cmd db-backup {
                /// Parallel jobs of pg_dump (default: the policy's)
                optional --jobs count: u32
                /// Only say whether there are backups as the policy asks for; exit 3 when not
                optional --check
                /// Only show what would be done; exit 3
                optional --plan
                /// One object: {id, folder, bytes, tables, rows, removed}
                optional --json
                /// Seconds to wait for the lock (default 0: busy is exit 5)
                optional --lock-wait seconds: u64
            }
            /// The backups there are: age, size, when each was verified by a restore
            cmd db-backups {
                /// One object: {environment, folder, policy, backups: [{id, folder, age_seconds, verified_at, is_damaged, …}]}
                optional --json
            }
            /// Restore a backup into a new database that then replaces the old one, which is kept
            ///
            /// Runs in this order: every file is checked against the manifest; restored into a new database; compared
            /// with the manifest table by table; releases carried over; both databases renamed in one transaction.
            cmd db-restore {
                /// A backup's id, the path of its folder, or `latest`
                required id: String
                /// Into a new database of this name; the one in use is left alone
                optional --into name: String
                /// Only prove it: into a scratch database that is dropped again
                optional --verify
                /// Parallel jobs of pg_restore (default: the policy's)
                optional --jobs count: u32
                /// Only check the files and show what would be done; exit 3
                optional --plan
                /// One object: {id, database, kept, is_verified, seconds: {check, restore, verify, analyze, swap}}
                optional --json
                /// Do not ask; not enough for a protected environment
                optional --yes
                /// The environment's name, instead of typing it
                optional --confirm name: String
                /// Seconds to wait for the lock (default 0: busy is exit 5)
                optional --lock-wait seconds: u64
            }
            /// Drop the database, and make, migrate and seed it anew; dev only
            cmd db-reset {
                /// Do not ask
                optional --yes
            }
        }

        /// Take an old operations folder apart and bring it into this layout, provably
        cmd restructure {
            /// What is there: files, duplicates, overlap, references, applications, secrets; touches nothing
            cmd restructure-scan {
                /// The folder to look at
                required folder: String
                /// One object: {folder, counts, duplicates, overlaps, near, references, units, secrets, syntax, files}
                optional --json
                /// Also write a page to browse: the tree before and after, overlap, duplicates
                optional --html file: String
                /// Leave the syntax of files alone: no parser of another language is run
                optional --no-syntax
                /// The page's tree after is that of scripts kept under scripts/
                optional --keep-scripts
            }
            /// Decide for each file what happens to it, and write that down to be read and edited
            ///
            /// keep, move, archive, drop-as-duplicate-of or needs-decision, each with its reason. Rules of
            /// config/restructure.yaml win over guesses; what was changed in an older plan is kept.
            cmd restructure-plan {
                /// The folder to take apart
                required folder: String
                /// The workspace to bring it into
                optional --into folder: String
                /// The folder itself becomes the layout (default)
                optional --in-place
                /// Write the plan into this file instead of printing it
                optional -o, --output file: String
                /// Scripts go to scripts/FUNCTION instead of the archive
                optional --keep-scripts
                /// The archive's folder for what goes out of use now (default: this quarter, such as 2026-q1)
                optional --period name: String
                /// Forget what was changed in an older plan
                optional --fresh
                /// Also write a page to browse: the tree before and after, what happens to each copy, old commands
                optional --html file: String
                /// One object: {folder, into, digest, counts, files: [{path, action, to, of, class, confidence, reason, task}]}
                optional --json
            }
            /// Carry a plan out: files move, references are rewritten, nothing is deleted
            ///
            /// Runs in this order: the whole plan is held against the folder; the journal is written; files move; what
            /// refers to them is rewritten, READMEs and the catalog are written. In a repository these are two commits.
            cmd restructure-apply {
                /// The plan; with --resume also its folder
                optional plan: String
                /// Go on where a run was killed
                optional --resume
                /// Only look whether it can be carried out, and print the steps; exit 3
                optional --check
                /// Leave git alone: no commits
                optional --no-commit
            }
            /// Prove what was done: nothing lost, no reference broken, and the ten criteria with their evidence
            cmd restructure-verify {
                /// The folder that was taken apart, or its target
                required folder: String
                /// One object: {ok, criteria: [{name, holds, evidence, findings}], broken_before, patterns, undecided, changed}
                optional --json
            }
            /// Take everything back, bit for bit, also from a half-done apply
            cmd restructure-undo {
                /// The folder that was taken apart, or its target
                required folder: String
                /// Only look whether something would be lost; exit 3
                optional --check
                /// Also when files that apply wrote were changed since
                optional --lose-changes
            }
            /// Remove the journal and the copies of duplicates; there is no way back afterwards
            cmd restructure-finish {
                /// The folder that was taken apart, or its target
                required folder: String
                /// Only look whether every dropped copy has its twin; exit 3
                optional --check
                /// Do not ask
                optional --yes
            }
            /// Explain one entry: what happens to a file, why, who refers to it, what its copies are; after apply, what happened
            cmd restructure-why {
                /// The file: from here, or as it stands in the plan
                required path: String
                /// The plan that decides about it (default: the one written last for its folder, else one is made)
                optional --plan file: String
            }
        }

        /// Remove what can be rebuilt; never backups, releases or journals
        cmd clean {
            /// Also stop the services and, asked or with --yes, remove the dev database
            optional --all
            /// Show what would be removed; exit 3 when there is something
            optional --plan
            /// Do not ask
            optional --yes
        }

        /// Print a completion script
        cmd completions {
            /// bash, zsh or fish
            required shell: String
        }
    }
}

// generated start
// The following code is generated by `xflags` macro.
// Run `env UPDATE_XFLAGS=1 cargo build` to regenerate.
#[derive(Debug)]
pub struct Xtask {
    pub workspace: Option<String>,
    pub verbose: bool,
    pub subcommand: XtaskCmd,
}

#[derive(Debug)]
pub enum XtaskCmd {
    Overview(Overview),
    Setup(Setup),
    Deploy(Deploy),
    Rollback(Rollback),
    Releases(Releases),
    Logs(Logs),
    Doctor(Doctor),
    Build(Build),
    Test(Test),
    Ci(Ci),
    Services(Services),
    Health(Health),
    Config(Config),
    Migrate(Migrate),
    Db(Db),
    Restructure(Restructure),
    Clean(Clean),
    Completions(Completions),
}

#[derive(Debug)]
pub struct Overview {
    pub json: bool,
}

#[derive(Debug)]
pub struct Setup;

#[derive(Debug)]
pub struct Deploy {
    pub env: String,

    pub engine: Option<String>,
    pub plan: bool,
    pub json: bool,
    pub apply_plan: Option<String>,
    pub resume: bool,
    pub rehearse: bool,
    pub explain: bool,
    pub database: bool,
    pub allow_dirty: bool,
    pub break_glass: Option<String>,
    pub dangerous_schema: bool,
    pub signed_off: Option<String>,
    pub yes: bool,
    pub confirm: Option<String>,
    pub wait: Option<u64>,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct Rollback {
    pub env: String,

    pub to: Option<i64>,
    pub engine: Option<String>,
    pub plan: bool,
    pub json: bool,
    pub dangerous_schema: bool,
    pub yes: bool,
    pub confirm: Option<String>,
    pub wait: Option<u64>,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct Releases {
    pub env: Option<String>,
    pub subcommand: ReleasesCmd,
}

#[derive(Debug)]
pub enum ReleasesCmd {
    ReleasesList(ReleasesList),
    ReleasesShow(ReleasesShow),
    ReleasesVerify(ReleasesVerify),
}

#[derive(Debug)]
pub struct ReleasesList {
    pub json: bool,
    pub count: Option<u32>,
}

#[derive(Debug)]
pub struct ReleasesShow {
    pub number: i64,

    pub json: bool,
}

#[derive(Debug)]
pub struct ReleasesVerify {
    pub json: bool,
}

#[derive(Debug)]
pub struct Logs {
    pub service: Vec<String>,

    pub env: Option<String>,
    pub engine: Option<String>,
    pub since: Option<String>,
    pub grep: Option<String>,
    pub follow: bool,
    pub lines: Option<usize>,
    pub collect: Option<String>,
}

#[derive(Debug)]
pub struct Doctor {
    pub json: bool,
}

#[derive(Debug)]
pub struct Build {
    pub service: Vec<String>,

    pub images: bool,
    pub env: Option<String>,
    pub explain: bool,
    pub json: bool,
}

#[derive(Debug)]
pub struct Test {
    pub name: Vec<String>,
}

#[derive(Debug)]
pub struct Ci;

#[derive(Debug)]
pub struct Services {
    pub subcommand: ServicesCmd,
}

#[derive(Debug)]
pub enum ServicesCmd {
    ServicesStart(ServicesStart),
    ServicesStop(ServicesStop),
    ServicesRestart(ServicesRestart),
    ServicesStatus(ServicesStatus),
    ServicesLogs(ServicesLogs),
}

#[derive(Debug)]
pub struct ServicesStart {
    pub service: Vec<String>,

    pub source: bool,
    pub foreground: bool,
    pub plan: bool,
    pub wait: Option<u64>,
}

#[derive(Debug)]
pub struct ServicesStop {
    pub service: Vec<String>,
}

#[derive(Debug)]
pub struct ServicesRestart {
    pub service: Vec<String>,

    pub wait: Option<u64>,
}

#[derive(Debug)]
pub struct ServicesStatus {
    pub service: Vec<String>,

    pub json: bool,
}

#[derive(Debug)]
pub struct ServicesLogs {
    pub service: Vec<String>,

    pub follow: bool,
    pub lines: Option<usize>,
    pub grep: Option<String>,
}

#[derive(Debug)]
pub struct Health {
    pub env: Option<String>,
    pub engine: Option<String>,
    pub json: bool,
    pub wait: Option<u64>,
    pub watch: bool,
}

#[derive(Debug)]
pub struct Config {
    pub subcommand: ConfigCmd,
}

#[derive(Debug)]
pub enum ConfigCmd {
    ConfigShow(ConfigShow),
    ConfigCheck(ConfigCheck),
    ConfigInit(ConfigInit),
    ConfigSchema(ConfigSchema),
}

#[derive(Debug)]
pub struct ConfigShow {
    pub env: Option<String>,
    pub json: bool,
}

#[derive(Debug)]
pub struct ConfigCheck {
    pub env: Option<String>,
    pub json: bool,
}

#[derive(Debug)]
pub struct ConfigInit {
    pub env: String,
}

#[derive(Debug)]
pub struct ConfigSchema {
    pub check: bool,
}

#[derive(Debug)]
pub struct Migrate {
    pub env: Option<String>,
    pub subcommand: MigrateCmd,
}

#[derive(Debug)]
pub enum MigrateCmd {
    MigrateUp(MigrateUp),
    MigrateDown(MigrateDown),
    MigrateStatus(MigrateStatus),
    MigrateNew(MigrateNew),
    MigrateVerify(MigrateVerify),
    MigrateMeasure(MigrateMeasure),
    MigrateImport(MigrateImport),
    MigrateBaseline(MigrateBaseline),
    MigrateRepair(MigrateRepair),
    MigratePromote(MigratePromote),
    MigrateSchema(MigrateSchema),
}

#[derive(Debug)]
pub struct MigrateUp {
    pub plan: bool,
    pub json: bool,
    pub to: Option<String>,
    pub out_of_order: bool,
    pub confirm: Option<String>,
    pub wait: Option<u64>,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct MigrateDown {
    pub count: Option<usize>,

    pub plan: bool,
    pub json: bool,
    pub confirm: Option<String>,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct MigrateStatus {
    pub json: bool,
}

#[derive(Debug)]
pub struct MigrateNew {
    pub name: String,
}

#[derive(Debug)]
pub struct MigrateVerify {
    pub json: bool,
}

#[derive(Debug)]
pub struct MigrateMeasure {
    pub data: Option<String>,
    pub json: bool,
}

#[derive(Debug)]
pub struct MigrateImport {
    pub folder: String,

    pub format: Option<String>,
    pub set: Vec<String>,
    pub plan: bool,
    pub confirm: Option<String>,
}

#[derive(Debug)]
pub struct MigrateBaseline {
    pub version: String,

    pub plan: bool,
    pub confirm: Option<String>,
}

#[derive(Debug)]
pub struct MigrateRepair {
    pub plan: bool,
    pub confirm: Option<String>,
}

#[derive(Debug)]
pub struct MigratePromote {
    pub plan: bool,
}

#[derive(Debug)]
pub struct MigrateSchema {
    pub check: bool,
}

#[derive(Debug)]
pub struct Db {
    pub env: Option<String>,
    pub subcommand: DbCmd,
}

#[derive(Debug)]
pub enum DbCmd {
    DbQuery(DbQuery),
    DbSeed(DbSeed),
    DbExport(DbExport),
    DbImport(DbImport),
    DbSync(DbSync),
    DbMaintain(DbMaintain),
    DbDiff(DbDiff),
    DbShell(DbShell),
    DbBackup(DbBackup),
    DbBackups(DbBackups),
    DbRestore(DbRestore),
    DbReset(DbReset),
}

#[derive(Debug)]
pub struct DbQuery {
    pub name: Option<String>,
    pub parameter: Vec<String>,

    pub format: Option<String>,
}

#[derive(Debug)]
pub struct DbSeed {
    pub confirm: Option<String>,
}

#[derive(Debug)]
pub struct DbExport {
    pub name: Vec<String>,

    pub out: Option<String>,
    pub format: Option<String>,
    pub raw: bool,
    pub confirm: Option<String>,
}

#[derive(Debug)]
pub struct DbImport {
    pub file: Vec<String>,

    pub table: Option<String>,
    pub format: Option<String>,
    pub plan: bool,
    pub confirm: Option<String>,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct DbSync {
    pub from: Option<String>,
    pub tables: Option<String>,
    pub only: Vec<String>,
    pub limit: Option<u64>,
    pub plan: bool,
    pub yes: bool,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct DbMaintain {
    pub name: Vec<String>,

    pub plan: bool,
    pub json: bool,
    pub confirm: Option<String>,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct DbDiff {
    pub json: bool,
}

#[derive(Debug)]
pub struct DbShell {
    pub as_service: bool,
}

#[derive(Debug)]
pub struct DbBackup {
    pub jobs: Option<u32>,
    pub check: bool,
    pub plan: bool,
    pub json: bool,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct DbBackups {
    pub json: bool,
}

#[derive(Debug)]
pub struct DbRestore {
    pub id: String,

    pub into: Option<String>,
    pub verify: bool,
    pub jobs: Option<u32>,
    pub plan: bool,
    pub json: bool,
    pub yes: bool,
    pub confirm: Option<String>,
    pub lock_wait: Option<u64>,
}

#[derive(Debug)]
pub struct DbReset {
    pub yes: bool,
}

#[derive(Debug)]
pub struct Restructure {
    pub subcommand: RestructureCmd,
}

#[derive(Debug)]
pub enum RestructureCmd {
    RestructureScan(RestructureScan),
    RestructurePlan(RestructurePlan),
    RestructureApply(RestructureApply),
    RestructureVerify(RestructureVerify),
    RestructureUndo(RestructureUndo),
    RestructureFinish(RestructureFinish),
    RestructureWhy(RestructureWhy),
}

#[derive(Debug)]
pub struct RestructureScan {
    pub folder: String,

    pub json: bool,
    pub html: Option<String>,
    pub no_syntax: bool,
    pub keep_scripts: bool,
}

#[derive(Debug)]
pub struct RestructurePlan {
    pub folder: String,

    pub into: Option<String>,
    pub in_place: bool,
    pub output: Option<String>,
    pub keep_scripts: bool,
    pub period: Option<String>,
    pub fresh: bool,
    pub html: Option<String>,
    pub json: bool,
}

#[derive(Debug)]
pub struct RestructureApply {
    pub plan: Option<String>,

    pub resume: bool,
    pub check: bool,
    pub no_commit: bool,
}

#[derive(Debug)]
pub struct RestructureVerify {
    pub folder: String,

    pub json: bool,
}

#[derive(Debug)]
pub struct RestructureUndo {
    pub folder: String,

    pub check: bool,
    pub lose_changes: bool,
}

#[derive(Debug)]
pub struct RestructureFinish {
    pub folder: String,

    pub check: bool,
    pub yes: bool,
}

#[derive(Debug)]
pub struct RestructureWhy {
    pub path: String,

    pub plan: Option<String>,
}

#[derive(Debug)]
pub struct Clean {
    pub all: bool,
    pub plan: bool,
    pub yes: bool,
}

#[derive(Debug)]
pub struct Completions {
    pub shell: String,
}

impl Xtask {
    #[allow(dead_code)]
    pub fn from_env_or_exit() -> Self {
        Self::from_env_or_exit_()
    }

    #[allow(dead_code)]
    pub fn from_env() -> xflags::Result<Self> {
        Self::from_env_()
    }

    #[allow(dead_code)]
    pub fn from_vec(args: Vec<std::ffi::OsString>) -> xflags::Result<Self> {
        Self::from_vec_(args)
    }
}
// generated end
