//! What an SQL file is for: by its statements, helped by its name and its folders.

use super::class::{Class, words};
use super::look::Sql;
use super::{Role, Verdict, verdict};
use crate::path::RelPath;

/// Words of a name that look at something.
const LOOKS: &[&str] = &[
    "check",
    "verify",
    "diagnose",
    "diagnostic",
    "diagnostics",
    "debug",
    "inspect",
    "health",
    "status",
    "locks",
    "version",
    "missing",
    "schema",
    "validate",
    "audit",
    "test",
    "structure",
    "exists",
    "columns",
    "tables",
];

pub fn verdict_of(path: &RelPath, sql: &Sql) -> Verdict {
    let name = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    let own = words(&name);
    let folder: Vec<String> =
        path.parent().unwrap_or_default().parts().flat_map(|part| words(&String::from_utf8_lossy(part))).collect();
    let says = |names: &[&str]| own.iter().chain(&folder).any(|word| names.contains(&word.as_str()));
    let has_version = has_version(&name);
    let counted = counted(sql);
    let structure = sql.structure + sql.routines;
    if !sql.writes() && sql.selects > 0 {
        let looks = own.iter().any(|word| LOOKS.contains(&word.as_str()));
        let purpose = if sql.is_about_server || looks {
            "diagnostics"
        } else if sql.aggregates {
            "analytics"
        } else {
            "utilities"
        };
        return verdict(Class::Queries, 0.9, format!("only reads: {counted}"), Role::Query(purpose));
    }
    if sql.upkeep > 0 && sql.upkeep >= structure + sql.inserts + sql.changes {
        return verdict(Class::Maintenance, 0.9, format!("is upkeep: {counted}"), Role::Live);
    }
    let is_seed = says(&["seed", "seeds", "seeding", "fixtures", "sample", "populate"]);
    let is_migration = has_version || says(&["migration", "migrations", "migrate", "alembic", "flyway"]);
    let fills = sql.inserts > 0 && sql.inserts >= 2 * structure;
    if sql.inserts > 0 && is_seed && !(is_migration && structure > sql.inserts) {
        return verdict(Class::Seeds, 0.92, format!("fills tables and its name says so: {counted}"), Role::Live);
    }
    if fills && !is_migration {
        return verdict(Class::Seeds, 0.8, format!("mostly fills tables: {counted}"), Role::Live);
    }
    if structure > 0 {
        let is_schema = !has_version
            && says(&[
                "schema",
                "schemas",
                "functions",
                "function",
                "policies",
                "policy",
                "triggers",
                "views",
                "ddl",
                "types",
            ]);
        if is_schema && !says(&["migration", "migrations"]) {
            return verdict(Class::Schema, 0.75, format!("describes the schema: {counted}"), Role::Live);
        }
        let (confidence, how) = if is_migration { (0.92, " and its name says so") } else { (0.7, "") };
        return verdict(Class::Migrations, confidence, format!("changes the schema{how}: {counted}"), Role::Live);
    }
    if fills {
        return verdict(Class::Migrations, 0.75, format!("fills tables among migrations: {counted}"), Role::Live);
    }
    if sql.changes > 0 || sql.inserts > 0 {
        return verdict(Class::Migrations, 0.55, format!("changes rows: {counted}"), Role::Live);
    }
    // Nothing in it runs; what is left are names.
    let class = if is_seed {
        Class::Seeds
    } else if is_migration {
        Class::Migrations
    } else {
        Class::Queries
    };
    let role = if class == Class::Queries { Role::Query("utilities") } else { Role::Live };
    verdict(class, 0.4, "holds no statement of a known kind", role)
}

/// `0001_x.sql`, `20250101120000_x.sql`, `V2__x.sql`, `x.up.sql`.
fn has_version(name: &str) -> bool {
    let digits = name.trim_start_matches('v').chars().take_while(char::is_ascii_digit).count();
    let after = name.trim_start_matches('v').get(digits..).unwrap_or_default();
    (digits >= 3 && after.starts_with(['_', '-', '.']))
        || (digits >= 1 && after.starts_with("__"))
        || name.ends_with(".up.sql")
        || name.ends_with(".down.sql")
}

fn counted(sql: &Sql) -> String {
    let parts = [
        (sql.structure, "of structure"),
        (sql.routines, "of functions and views"),
        (sql.inserts, "inserts"),
        (sql.changes, "updates and deletes"),
        (sql.selects, "selects"),
        (sql.upkeep, "of upkeep"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!("{} by its lines", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_decide_and_names_help() {
        let of = |name: &str, sql: Sql| verdict_of(&RelPath::new(name).unwrap(), &sql);
        let none = Sql::default();
        let reads = Sql { selects: 3, ..none };
        assert_eq!(of("migrations/VERIFY_x.sql", reads).role, Role::Query("diagnostics"));
        assert_eq!(of("x/top.sql", Sql { aggregates: true, ..reads }).role, Role::Query("analytics"));
        assert_eq!(of("x/a.sql", Sql { structure: 3, ..none }).class, Class::Migrations);
        assert_eq!(of("x/20250101_a.sql", Sql { structure: 3, inserts: 9, ..none }).class, Class::Migrations);
        assert_eq!(of("seeds/a.sql", Sql { structure: 1, inserts: 2, ..none }).class, Class::Seeds);
        assert_eq!(of("x/a.sql", Sql { inserts: 5, ..none }).class, Class::Seeds);
        assert_eq!(of("functions/a.sql", Sql { routines: 1, ..none }).class, Class::Schema);
        assert_eq!(of("x/v.sql", Sql { upkeep: 2, ..none }).class, Class::Maintenance);
        assert!(
            has_version("v2__x.sql")
                && has_version("001_x.sql")
                && !has_version("v2_x.sql")
                && !has_version("vacuum.sql")
        );
    }
}
