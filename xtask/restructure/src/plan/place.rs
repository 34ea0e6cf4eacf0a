//! From what a file is for to where it lies in the layout.

use crate::classify::class::{said_by, words};
use crate::classify::documents::Document;
use crate::classify::look::What;
use crate::classify::{Class, Role, Verdict, former};
use crate::language::{Family, Language};
use crate::path::RelPath;

use super::Options;

/// The environments that folders name, with what the layout calls them.
const ENVIRONMENTS: &[(&str, &str)] = &[
    ("dev", "dev"),
    ("development", "dev"),
    ("local", "dev"),
    ("staging", "staging"),
    ("stage", "staging"),
    ("production", "production"),
    ("prod", "production"),
];
/// Words of folders that say no more than the place in the layout does.
const GENERIC: &str =
    "sql db database databases script scripts root additional standalone misc files ops operations src source";

/// What the place of a file depends on.
pub struct Placed<'a> {
    /// Relative to the folder.
    pub path: &'a RelPath,
    pub verdict: &'a Verdict,
    pub language: Language,
    pub what: What,
    /// What most of the infrastructure in its folder is.
    pub around: What,
    /// Seconds since 1970.
    pub changed: i64,
}

/// A place in the layout: a folder of it, and the way below that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    pub is_archive: bool,
    base: RelPath,
    /// The folders of the old path that say something.
    rest: Vec<Vec<u8>>,
    old: RelPath,
}

impl Spot {
    fn new(base: impl Into<Vec<u8>>, rest: Vec<Vec<u8>>, old: &RelPath) -> Spot {
        Spot { is_archive: false, base: RelPath::new(base).unwrap_or_default(), rest, old: old.clone() }
    }
    fn archive(period: &str, kind: &str, old: &RelPath) -> Spot {
        let rest = old.parent().unwrap_or_default().parts().map(<[u8]>::to_vec).collect();
        Spot { is_archive: true, ..Spot::new(format!("_archive/{period}/{kind}"), rest, old) }
    }
    /// The short path.
    pub fn path(&self) -> RelPath {
        let folder = self.rest.iter().fold(self.base.clone(), |folder, part| folder.join(part));
        folder.join(self.old.name())
    }
    /// With the whole old path below the place, which no other file has.
    pub fn unmistakable(&self) -> RelPath {
        self.base.append(&self.old)
    }
}

/// Where a file goes; None for one that stays or waits for a decision.
pub fn spot(placed: &Placed, options: &Options) -> Option<Spot> {
    let path = placed.path;
    match &placed.verdict.role {
        Role::Stays | Role::Unknown => None,
        Role::Former => Some(Spot::archive(&period(placed), kind(placed), path)),
        Role::Document(Document::Record) if !lies_in(path, &["docs"]) => {
            Some(Spot::archive(&period(placed), "documents", path))
        }
        Role::Document(kind) => {
            let kind = if *kind == Document::Record { Document::Guide } else { *kind };
            let generic = format!("{GENERIC} doc docs documentation {}", kind.folder());
            Some(
                in_layout(path, &["docs"])
                    .unwrap_or_else(|| Spot::new(format!("docs/{}", kind.folder()), rest(path, &generic), path)),
            )
        }
        Role::Script if options.keep_scripts => Some(kept_script(placed)),
        Role::Script => Some(Spot::archive(&options.period, "deprecated-scripts", path)),
        Role::Query(purpose) => Some(in_layout(path, &["database/queries"]).unwrap_or_else(|| {
            Spot::new(format!("database/queries/{purpose}"), set(path, "query queries report reports"), path)
        })),
        Role::Live => Some(live(placed, options)),
    }
}

fn live(placed: &Placed, options: &Options) -> Spot {
    let path = placed.path;
    let here =
        |base: &str, words: &str| in_layout(path, &[base]).unwrap_or_else(|| Spot::new(base, set(path, words), path));
    match placed.verdict.class {
        Class::Migrations => here("database/migrations", "migration migrations"),
        Class::Schema => here("database/schema", "schema schemas"),
        Class::Maintenance => here("database/maintenance", "maintenance"),
        Class::Backups => here("database/backups", "backup backups"),
        Class::Seeds => in_layout(path, &["database/seeds"]).unwrap_or_else(|| {
            let environment = environment_in(path);
            let names = environment.map_or(String::new(), |(written, _)| written);
            let set = set(path, &format!("seed seeds {names}"));
            let environment = environment_in(path).map_or("shared", |(_, name)| name);
            Spot::new(format!("database/seeds/{environment}"), set, path)
        }),
        Class::Queries => here("database/queries/utilities", "query queries"),
        Class::Monitoring => {
            in_layout(path, &["infrastructure/monitoring", "config/monitoring"]).unwrap_or_else(|| {
                Spot::new(
                    "infrastructure/monitoring",
                    rest(path, &format!("{GENERIC} infrastructure infra monitoring config")),
                    path,
                )
            })
        }
        Class::Infrastructure => in_layout(path, &["infrastructure"]).unwrap_or_else(|| {
            let (folder, words) = infrastructure(placed);
            Spot::new(
                format!("infrastructure/{folder}"),
                rest(path, &format!("{GENERIC} infrastructure infra {words}")),
                path,
            )
        }),
        Class::Config if placed.what == What::Environment => in_layout(path, &["config/environments"])
            .unwrap_or_else(|| Spot::new("config/environments", Vec::new(), path)),
        Class::Config => in_layout(path, &["config"])
            .unwrap_or_else(|| Spot::new("config", rest(path, &format!("{GENERIC} config configs conf")), path)),
        Class::Testing => in_layout(path, &["tests"])
            .unwrap_or_else(|| Spot::new("tests", rest(path, &format!("{GENERIC} test tests testing")), path)),
        Class::Docs => in_layout(path, &["docs"]).unwrap_or_else(|| {
            Spot::new("docs/guides", rest(path, &format!("{GENERIC} doc docs documentation")), path)
        }),
        _ if options.keep_scripts => kept_script(placed),
        _ => Spot::archive(&options.period, "deprecated-scripts", path),
    }
}

fn kept_script(placed: &Placed) -> Spot {
    let class = placed.verdict.class;
    let function = if class.is_database() { "database" } else { class.name() };
    let generic = format!("{GENERIC} core tools bin {function} {}", function.replace('-', " "));
    let mut rest = rest(placed.path, &generic);
    // `deploy/` says no more than `deployment/` does.
    let says_the_same = |part: &Vec<u8>| {
        let own = words(&String::from_utf8_lossy(part));
        let is_same = |word: &String| said_by(word).iter().any(|(said, weight)| *said == class && *weight >= 1.0);
        !own.is_empty() && own.iter().all(is_same)
    };
    rest.retain(|part| !says_the_same(part));
    Spot::new(format!("scripts/{function}"), rest, placed.path)
}

/// The folder of infrastructure that a form belongs to, and words of folders that say the same.
fn infrastructure(placed: &Placed) -> (&'static str, &'static str) {
    let by_form = |what: What| match what {
        What::Terraform => Some(("terraform", "terraform tf")),
        What::Kubernetes | What::Kustomization | What::HelmChart => {
            Some(("kubernetes", "kubernetes k8s kube manifests"))
        }
        What::Compose | What::Dockerfile => Some(("docker", "docker compose")),
        What::Ansible => Some(("ansible", "ansible")),
        What::CloudFormation => Some(("cloudformation", "cloudformation")),
        What::Nginx => Some(("nginx", "nginx")),
        What::Systemd => Some(("systemd", "systemd")),
        What::Crontab => Some(("cron", "cron crontab")),
        _ => None,
    };
    let own = (placed.what == What::Terraform).then_some(placed.what);
    if let Some(found) = own.or(Some(placed.around)).and_then(by_form).or_else(|| by_form(placed.what)) {
        return found;
    }
    let folders: Vec<String> = placed
        .path
        .parent()
        .unwrap_or_default()
        .parts()
        .flat_map(|part| words(&String::from_utf8_lossy(part)))
        .collect();
    let has = |names: &[&str]| folders.iter().any(|word| names.contains(&word.as_str()));
    if has(&["terraform", "tf"]) {
        ("terraform", "terraform tf")
    } else if has(&["k8s", "kubernetes", "kube", "helm", "manifests"]) {
        ("kubernetes", "kubernetes k8s kube manifests")
    } else if has(&["docker", "compose"]) {
        ("docker", "docker compose")
    } else if has(&["ansible"]) {
        ("ansible", "ansible")
    } else {
        ("other", "other")
    }
}

/// Its own path, where that lies in one of these folders of the layout already.
fn in_layout(path: &RelPath, bases: &[&str]) -> Option<Spot> {
    let base = bases.iter().find(|base| lies_in(path, &[base]))?;
    let base = RelPath::new(*base)?;
    let below = path.below(&base)?;
    let rest = below.parent().unwrap_or_default().parts().map(<[u8]>::to_vec).collect();
    Some(Spot { is_archive: false, base, rest, old: path.clone() })
}

fn lies_in(path: &RelPath, bases: &[&str]) -> bool {
    bases.iter().any(|base| RelPath::new(*base).is_some_and(|base| path.is_within(&base) && *path != base))
}

/// The folders of a path without those whose words are all among `generic`.
fn rest(path: &RelPath, generic: &str) -> Vec<Vec<u8>> {
    let says_nothing = |part: &&[u8]| {
        let own = words(&String::from_utf8_lossy(part));
        !own.is_empty() && own.iter().all(|word| generic.split(' ').any(|known| known == word))
    };
    let folder = path.parent().unwrap_or_default();
    folder.parts().filter(|part| !says_nothing(part)).map(<[u8]>::to_vec).collect()
}

/// The same with at least one folder, so that what nobody has taken over yet does not lie among what tasks run.
fn set(path: &RelPath, generic: &str) -> Vec<Vec<u8>> {
    let found = rest(path, &format!("{GENERIC} {generic}"));
    if !found.is_empty() {
        return found;
    }
    let folder = path.parent().unwrap_or_default();
    let name = if folder.is_root() { b"imported" } else { folder.name() };
    vec![name.to_vec()]
}

/// The environment that a folder of the path names: as it is written, and as the layout calls it.
fn environment_in(path: &RelPath) -> Option<(String, &'static str)> {
    path.ancestors().find_map(|folder| {
        let name = String::from_utf8_lossy(folder.name()).to_lowercase();
        let found = ENVIRONMENTS.iter().find(|(written, _)| *written == name)?;
        Some((name, found.1))
    })
}

/// The same path but for the environment it names.
pub fn differ_by_environment(a: &RelPath, b: &RelPath) -> bool {
    let plain = |path: &RelPath| -> Vec<String> {
        path.parts()
            .map(|part| {
                let part = String::from_utf8_lossy(part).into_owned();
                let is_one =
                    |word: &String| ENVIRONMENTS.iter().any(|(name, _)| name == word) || word == "test" || word == "qa";
                if words(&part).iter().any(is_one) {
                    words(&part)
                        .into_iter()
                        .map(|word| if is_one(&word) { "*".to_owned() } else { word })
                        .collect::<Vec<_>>()
                        .join("-")
                } else {
                    part
                }
            })
            .collect()
    };
    plain(a) == plain(b)
}

fn period(placed: &Placed) -> String {
    former::period_in(placed.path).unwrap_or_else(|| former::period_of(placed.changed))
}

/// The folder of the archive for what is out of use.
fn kind(placed: &Placed) -> &'static str {
    match placed.language.family() {
        Family::Query => "old-sql",
        Family::Script | Family::Program => "deprecated-scripts",
        Family::Document => "documents",
        Family::Infrastructure | Family::Config => "old-configuration",
        Family::Data | Family::Binary => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(keep_scripts: bool) -> Options {
        Options { folder: "/x".into(), into: "/x".into(), keep_scripts, period: "2026-q1".to_owned() }
    }

    fn goes(path: &str, class: Class, role: Role, what: What, keep_scripts: bool) -> String {
        let path = RelPath::new(path).unwrap();
        let verdict = Verdict { class, confidence: 1.0, because: String::new(), role };
        let language = Language::of(&path, b"x\n", true);
        let placed =
            Placed { path: &path, verdict: &verdict, language, what, around: What::Plain, changed: 1_763_700_000 };
        spot(&placed, &options(keep_scripts)).map_or("stays".to_owned(), |spot| spot.path().to_string())
    }

    #[test]
    fn each_kind_has_its_place() {
        let live = |path, class| goes(path, class, Role::Live, What::Plain, false);
        assert_eq!(live("database/sql/migrations/2025/1_a.sql", Class::Migrations), "database/migrations/2025/1_a.sql");
        assert_eq!(live("sql/a.sql", Class::Migrations), "database/migrations/sql/a.sql");
        assert_eq!(live("a.sql", Class::Migrations), "database/migrations/imported/a.sql");
        assert_eq!(live("database/migrations/a.sql", Class::Migrations), "database/migrations/a.sql");
        assert_eq!(live("db/seeds/staging/base/a.sql", Class::Seeds), "database/seeds/staging/base/a.sql");
        assert_eq!(live("database/sql/seeds/a.sql", Class::Seeds), "database/seeds/shared/seeds/a.sql");
        let infra = |path, what| goes(path, Class::Infrastructure, Role::Live, what, false);
        assert_eq!(infra("docker/docker-compose.yml", What::Compose), "infrastructure/docker/docker-compose.yml");
        assert_eq!(infra("deploy/k8s/base/a.yaml", What::Kubernetes), "infrastructure/kubernetes/deploy/base/a.yaml");
        assert_eq!(
            infra("terraform/modules/vpc/main.tf", What::Terraform),
            "infrastructure/terraform/modules/vpc/main.tf"
        );
        assert_eq!(infra("infrastructure/k8s/a.yaml", What::Kubernetes), "infrastructure/k8s/a.yaml");
        let guide = Role::Document(Document::Guide);
        assert_eq!(
            goes("operations-docs/monitoring/A.md", Class::Docs, guide.clone(), What::Plain, false),
            "docs/guides/monitoring/A.md"
        );
        assert_eq!(goes("docs/own/A.md", Class::Docs, guide, What::Plain, false), "docs/own/A.md");
    }

    #[test]
    fn scripts_and_what_is_out_of_use() {
        let script =
            |keep| goes("scripts/core/deployment/deploy.sh", Class::Deployment, Role::Script, What::Plain, keep);
        assert_eq!(script(false), "_archive/2026-q1/deprecated-scripts/scripts/core/deployment/deploy.sh");
        assert_eq!(script(true), "scripts/deployment/deploy.sh");
        let former = |path| goes(path, Class::Archive, Role::Former, What::Plain, false);
        assert_eq!(
            former("scripts/archive/2024-q4/a.js"),
            "_archive/2024-q4/deprecated-scripts/scripts/archive/2024-q4/a.js"
        );
        assert_eq!(former("x/old/a.sql"), "_archive/2025-q4/old-sql/x/old/a.sql");
    }

    #[test]
    fn environments_in_paths() {
        let path = |text: &str| RelPath::new(text).unwrap();
        assert!(differ_by_environment(&path("tf/dev/main.tf"), &path("tf/prod/main.tf")));
        assert!(differ_by_environment(&path("values-dev.yaml"), &path("values-staging.yaml")));
        assert!(!differ_by_environment(&path("a/x"), &path("b/x")));
    }
}
