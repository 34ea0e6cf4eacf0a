//! Which task does the work that a script did.

use crate::classify::class::words;
use crate::classify::{Class, Verdict};
use crate::path::RelPath;

/// Words of a script's name, the class it must be of for them to count, and the task.
const TASKS: &[(&[&str], &[Class], &str)] = &[
    (&["rollback"], &[Class::Deployment], "rollback ENV"),
    (&["deploy", "deployment", "release", "rollout", "publish", "promote"], &[Class::Deployment], "deploy ENV"),
    (&["verify", "validate", "check", "test"], &[Class::Deployment], "health --env ENV"),
    (&["backup", "dump", "snapshot"], &[Class::Backups], "db backup"),
    (&["restore", "recover"], &[Class::Backups], "db restore"),
    (&["vacuum", "reindex", "analyze", "maintenance", "prune", "cleanup"], &[Class::Maintenance], "db maintain"),
    (&["seed", "seeds", "populate", "load", "bootstrap"], &[Class::Seeds], "db seed"),
    (&["import", "load", "loader", "ingest", "batch", "upload"], &[Class::DataManagement], "db import"),
    (&["export", "dump", "download"], &[Class::DataManagement], "db export"),
    (&["sync", "synchronize", "replicate", "copy"], &[Class::DataManagement], "db sync"),
    (&["verify", "check", "status"], &[Class::Migrations, Class::Schema], "migrate status"),
    (
        &["migrate", "migration", "migrations", "migrator", "run", "apply", "execute", "schema"],
        &[Class::Migrations, Class::Schema],
        "migrate",
    ),
    (&["query", "queries", "list", "show", "get", "find", "report", "inspect"], &[Class::Queries], "db query"),
    (&["stop", "shutdown", "kill"], &[Class::Services, Class::Monitoring], "services stop"),
    (&["restart"], &[Class::Services, Class::Monitoring], "services restart"),
    (
        &["start", "startup", "run", "serve", "launch", "up", "dev"],
        &[Class::Services, Class::Monitoring],
        "services start",
    ),
    (&["log", "logs"], &[Class::Services, Class::Monitoring], "logs"),
    (&["alert", "alerts"], &[Class::Monitoring], "alerts check"),
    (
        &["health", "healthcheck", "status", "check", "monitor", "monitoring", "uptime", "metrics"],
        &[Class::Services, Class::Monitoring],
        "health",
    ),
    (&["validate", "verify", "check", "doctor", "prerequisites"], &[Class::Setup], "doctor"),
    (&["setup", "install", "bootstrap", "init", "configure", "prepare"], &[Class::Setup], "setup"),
    (&["build"], &[Class::Ci, Class::Services, Class::Setup], "build"),
    (&["ci", "lint", "format", "precommit", "check"], &[Class::Ci], "ci"),
    (&["test", "tests", "e2e", "integration", "smoke", "unit"], &[Class::Testing, Class::Ci], "test"),
    (&["env", "environment", "config"], &[Class::Testing, Class::Config, Class::Utilities], "config check"),
    (&["validate", "validator", "compliance", "scanner", "audit"], &[Class::Testing, Class::Utilities], "validate"),
    (&["clean", "cleanup"], &[Class::Utilities, Class::Maintenance], "clean"),
    (&["terraform", "plan", "apply", "infra", "provision"], &[Class::Infrastructure], "infra plan"),
];

/// The task by the script's name and class; None where no task does that.
pub fn of(path: &RelPath, verdict: &Verdict) -> Option<&'static str> {
    of_class(path, verdict.class)
}

pub fn of_class(path: &RelPath, class: Class) -> Option<&'static str> {
    let name = String::from_utf8_lossy(path.name()).into_owned();
    let own = words(name.split('.').next().unwrap_or_default());
    let fits = |row: &&(&[&str], &[Class], &str)| {
        row.1.contains(&class) && own.iter().any(|word| row.0.contains(&word.as_str()))
    };
    TASKS.iter().find(fits).map(|row| row.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_commands_have_their_task() {
        let of = |name: &str, class| of_class(&RelPath::new(name).unwrap(), class);
        assert_eq!(of("bin/deploy-production", Class::Deployment), Some("deploy ENV"));
        assert_eq!(of("rollback.sh", Class::Deployment), Some("rollback ENV"));
        assert_eq!(of("stop-services.sh", Class::Services), Some("services stop"));
        assert_eq!(of("run-migrations.ts", Class::Migrations), Some("migrate"));
        assert_eq!(of("import_agents.py", Class::DataManagement), Some("db import"));
        assert_eq!(of("rename-avatars.sh", Class::Utilities), None);
    }
}
