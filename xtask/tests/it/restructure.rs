//! `restructure` on a small old operations folder with what such folders have: copies, applications, secrets, odd names,
//! broken references. What each verb says, and that a folder comes back bit for bit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use serde_json::Value;

use crate::sandbox::{Run, Sandbox, XTASK, is_root, skip};

/// A value that must not turn up anywhere but in the files that hold it.
pub const SECRET: &str = "kF83hs9QpzMARKED";

/// The program that restructures is built when it is first called; here by cargo's own environment, once.
fn build() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let status = Command::new(XTASK).args(["restructure", "undo", "/"]).output().unwrap();
        assert_eq!(status.status.code(), Some(2), "{}", String::from_utf8_lossy(&status.stderr));
    });
}

/// A sandbox with an old operations folder in `old`.
pub fn bench() -> Sandbox {
    build();
    let sandbox = Sandbox::new();
    let write = |path: &str, text: &str| sandbox.write(format!("old/{path}"), text);
    let script = |path: &str, text: &str| {
        write(path, text);
        fs::set_permissions(sandbox.path("old").join(path), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "scripts/deploy/deploy.sh",
        "#!/bin/bash\n# Deploys everything to production\nset -e\ncd \"$(dirname \"$0\")/../..\"\nsource scripts/lib/common.sh\nkubectl apply -f k8s/app.yaml\n",
    );
    script("scripts/lib/common.sh", "#!/bin/bash\n# Shared functions\nlog() { echo \"$1\"; }\n");
    script(
        "scripts/database/backup.sh",
        "#!/bin/bash\n# Backs the database up\npg_dump \"$DATABASE_URL\" > backup.sql\n",
    );
    script(
        "scripts/start-services.sh",
        &format!("#!/bin/bash\nexport API_TOKEN={SECRET}\ndocker-compose -f docker/docker-compose.yml up -d\n"),
    );
    script(
        "scripts-copy/deploy/deploy.sh",
        "#!/bin/bash\n# Deploys everything to production\nset -e\ncd \"$(dirname \"$0\")/../..\"\nsource scripts/lib/common.sh\nkubectl apply -f k8s/app.yaml\n",
    );
    write("scripts-copy/lib/common.sh", "#!/bin/bash\n# Shared functions\nlog() { echo \"$1\"; }\n");
    write(
        "docker/docker-compose.yml",
        "services:\n  web:\n    build: ../services/web\n    volumes:\n      - ../sql/init.sql:/docker-entrypoint-initdb.d/init.sql\n",
    );
    write("k8s/app.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n");
    write("sql/init.sql", "CREATE TABLE a (id int);\n");
    write("sql/001_add_name.sql", "-- Adds a name\nALTER TABLE a ADD name text;\n");
    write("sql/check_locks.sql", "-- Who waits for whom\nSELECT * FROM pg_locks;\n");
    write("sql/seed_names.sql", "INSERT INTO a (name) VALUES ('x');\n");
    write("services/web/package.json", "{\"name\": \"web\", \"main\": \"src/index.js\"}\n");
    write("services/web/src/index.js", "module.exports = require('./lib');\n");
    write("services/web/src/lib.js", "module.exports = 1;\n");
    write(
        "docs/guide.md",
        "# How to deploy\n\nRun [the script](../scripts/deploy/deploy.sh), see [nothing](gone.md).\n",
    );
    write("notes/ROLLBACK_RUNBOOK.md", "# Rolling back\n\n1. [Deploy](../scripts/deploy/deploy.sh) the old one.\n");
    write("README.md", "# Old operations\n\nSee [guide](docs/guide.md).\n");
    write("sql/old/unused.sql.bak", "SELECT 1;\n");
    fs::create_dir(sandbox.path("old/empty")).unwrap();
    symlink("../scripts/deploy/deploy.sh", sandbox.path("old/docs/current")).unwrap();
    sandbox
}

/// Everything below a folder: kind, mode, time to the nanosecond, content.
pub fn snapshot(folder: &Path) -> BTreeMap<Vec<u8>, (u32, i64, i64, Vec<u8>)> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<Vec<u8>, (u32, i64, i64, Vec<u8>)>) {
        let facts = folder.symlink_metadata().unwrap();
        let content = if facts.is_symlink() {
            folder.read_link().unwrap().as_os_str().as_bytes().to_vec()
        } else if facts.is_file() {
            fs::read(folder).unwrap_or_default()
        } else {
            Vec::new()
        };
        let name = folder.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        found.insert(name, (facts.mode(), facts.mtime(), facts.mtime_nsec(), content));
        if facts.is_dir() {
            for entry in
                fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.file_name() != ".git")
            {
                walk(&entry.path(), root, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// What differs between two snapshots, for a message one can read.
#[track_caller]
pub fn assert_same(
    before: &BTreeMap<Vec<u8>, (u32, i64, i64, Vec<u8>)>,
    after: &BTreeMap<Vec<u8>, (u32, i64, i64, Vec<u8>)>,
    place: &str,
) {
    let names: std::collections::BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
    let differ: Vec<String> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            let show = |one: Option<&(u32, i64, i64, Vec<u8>)>| {
                one.map(|one| (format!("{:o}", one.0), one.1, one.2, one.3.len()))
            };
            format!("{}: {:?} / {:?}", String::from_utf8_lossy(name), show(before.get(name)), show(after.get(name)))
        })
        .collect();
    assert!(differ.is_empty(), "{place}: {differ:#?}");
}

fn plan(sandbox: &Sandbox) -> Run {
    sandbox.xtask("restructure plan old --period 2026-q1 -o plan.yaml").exits(0)
}

#[test]
fn scan_tells_what_is_there_and_touches_nothing() {
    let sandbox = bench();
    let before = snapshot(&sandbox.path("old"));
    let scan = sandbox.xtask("restructure scan old --json").exits(0).json();
    assert_same(&before, &snapshot(&sandbox.path("old")), "scan");
    assert_eq!(scan["duplicates"]["redundant"], 2);
    let broken: Vec<&str> =
        scan["references"]["broken"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(broken, ["gone.md"]);
    assert_eq!(scan["units"][0]["folder"], "services/web");
    let secrets = scan["secrets"].as_array().unwrap();
    assert_eq!(
        (secrets[0]["file"].as_str(), secrets[0]["line"].as_u64()),
        (Some("scripts/start-services.sh"), Some(2))
    );
    assert_eq!(scan["overlaps"][0]["same_path"], 2);
    assert_eq!(scan["syntax"]["broken"].as_array().unwrap().len(), 0);
    sandbox.xtask("restructure scan old --html page.html").exits(0).prints("2 redundant copies");
    assert!(sandbox.read("page.html").contains("scripts-copy/"));
}

#[test]
fn a_plan_is_carried_out_verified_and_taken_back() {
    let sandbox = bench();
    let before = snapshot(&sandbox.path("old"));
    plan(&sandbox);
    assert_same(&before, &snapshot(&sandbox.path("old")), "plan");
    sandbox.xtask("restructure apply plan.yaml --check").exits(3);
    assert_same(&before, &snapshot(&sandbox.path("old")), "apply --check");
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    let archived = "old/_archive/2026-q1/deprecated-scripts/scripts";
    assert_eq!(
        sandbox.read(format!("{archived}/deploy/deploy.sh")).lines().nth(3),
        Some("cd \"$(dirname \"$0\")/../../../../..\"")
    );
    assert!(sandbox.read(format!("{archived}/deploy/deploy.sh")).contains("\nsource _archive/2026-q1/deprecated-scripts/scripts/lib/common.sh\nkubectl apply -f infrastructure/kubernetes/app.yaml\n"));
    assert!(sandbox.read("old/infrastructure/docker/docker-compose.yml").contains("build: ../../services/web\n"));
    assert!(sandbox.path("old/database/migrations/sql/001_add_name.sql").is_file());
    assert!(sandbox.path("old/database/queries/diagnostics/sql/check_locks.sql").is_file());
    assert!(sandbox.path("old/database/seeds/shared/sql/seed_names.sql").is_file());
    assert!(sandbox.path("old/services/web/src/index.js").is_file());
    assert!(sandbox.path("old/docs/runbooks/notes/ROLLBACK_RUNBOOK.md").is_file());
    assert_eq!(
        sandbox.path("old/docs/current").read_link().unwrap(),
        Path::new("../_archive/2026-q1/deprecated-scripts/scripts/deploy/deploy.sh")
    );
    assert!(
        sandbox
            .read("old/docs/guide.md")
            .contains("(../_archive/2026-q1/deprecated-scripts/scripts/deploy/deploy.sh), see [nothing](gone.md)")
    );
    assert!(!sandbox.path("old/scripts-copy").exists());
    assert!(sandbox.read("old/CATALOG.md").contains("| scripts/database/backup.sh | `cargo xtask db backup` |"));
    assert!(sandbox.read("old/_archive/retired-paths").contains("scripts-copy -> "));
    sandbox.xtask("restructure verify old").exits(0).prints("ok  all scripts work after the move");
    sandbox.xtask("restructure apply plan.yaml").exits(3).says("has been restructured already");
    sandbox.xtask("restructure undo old").exits(0);
    assert_same(&before, &snapshot(&sandbox.path("old")), "undo");
    sandbox.xtask("restructure undo old").exits(2).says("has not been restructured");
}

#[test]
fn a_second_apply_makes_the_same_tree_to_the_last_time_stamp() {
    let sandbox = bench();
    plan(&sandbox);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    let mut first = snapshot(&sandbox.path("old"));
    sandbox.xtask("restructure undo old").exits(0);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    let mut second = snapshot(&sandbox.path("old"));
    for tree in [&mut first, &mut second] {
        tree.retain(|name, _| !name.starts_with(b".ops"));
    }
    assert_same(&first, &second, "second apply");
    sandbox.xtask("restructure finish old").exits(3).says("not confirmed");
    sandbox.xtask("restructure finish old --yes").exits(0);
    assert!(!sandbox.path("old/.ops").exists());
    second.retain(|name, _| !name.starts_with(b".ops"));
    assert_same(&second, &snapshot(&sandbox.path("old")), "finish");
    // What is in the layout now stays there.
    let again = sandbox.xtask("restructure plan old --period 2026-q1 --json").exits(0).json();
    let moved: Vec<&str> = again["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| file["action"] != "keep")
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(moved, Vec::<&str>::new());
}

#[test]
fn scripts_can_be_kept_by_their_function() {
    let sandbox = bench();
    sandbox.xtask("restructure plan old --keep-scripts -o plan.yaml").exits(0);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    for path in ["scripts/deployment/deploy.sh", "scripts/database/backup.sh", "scripts/services/start-services.sh"] {
        assert!(sandbox.path("old").join(path).is_file(), "{path}");
    }
    sandbox.xtask("restructure verify old").exits(0);
}

#[test]
fn a_plan_can_be_edited_and_made_again() {
    let sandbox = bench();
    plan(&sandbox);
    let text = sandbox.read("plan.yaml");
    let (head, entry) = text.split_once("  - path: sql/001_add_name.sql\n").unwrap();
    let entry = entry.replacen("action: move", "action: keep # Ann wants it there", 1);
    let entry: Vec<&str> =
        entry.lines().filter(|line| !line.contains("to: database/migrations/sql/001_add_name.sql")).collect();
    let text = format!("{head}  # leave this one\n  - path: sql/001_add_name.sql\n{}\n", entry.join("\n"));
    sandbox.write("plan.yaml", &text);
    plan(&sandbox);
    let again = sandbox.read("plan.yaml");
    assert!(again.contains("  # leave this one\n") && again.contains("action: keep # Ann wants it there"), "{again}");
    // The plan that was written last is the one that is asked.
    for way in [
        "old/sql/001_add_name.sql",
        "old/sql/001_add_name.sql --plan plan.yaml",
        "sql/001_add_name.sql --plan plan.yaml",
    ] {
        sandbox.xtask(&format!("restructure why {way}")).exits(0).prints("by hand, in line ");
    }
    sandbox.xtask("restructure why old/sql/gone.sql").exits(2).says("there is no `old/sql/gone.sql`");
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    assert!(sandbox.path("old/sql/001_add_name.sql").is_file());
    sandbox
        .xtask("restructure why old/scripts-copy/lib/common.sh")
        .exits(0)
        .prints("the same bytes stood in scripts/lib/common.sh");
    sandbox.xtask("restructure why old/scripts/database/backup.sh").exits(0).prints("cargo xtask db backup");
    sandbox.xtask("restructure verify old").exits(0);
}

#[test]
fn rules_of_ones_own_win_over_guesses() {
    let sandbox = bench();
    sandbox.write("config/restructure.yaml", "rules:\n  - match: 'notes/**'\n    to: docs/notes/\n    why: Ann reads them there\n  - match: k8s\n    action: keep\n");
    let plan = sandbox.xtask("restructure plan old --json").exits(0).json();
    let find = |path: &str| plan["files"].as_array().unwrap().iter().find(|file| file["path"] == path).unwrap().clone();
    assert_eq!(find("notes/ROLLBACK_RUNBOOK.md")["to"], "docs/notes/ROLLBACK_RUNBOOK.md");
    assert_eq!(find("notes/ROLLBACK_RUNBOOK.md")["reason"], "Ann reads them there (rule config/restructure.yaml:2)");
    assert_eq!(find("k8s/app.yaml")["action"], "keep");
    sandbox.write("config/restructure.yaml", "rules:\n  - mach: x\n");
    sandbox
        .xtask("restructure plan old")
        .exits(2)
        .says("config/restructure.yaml:2:5: error: unknown key `mach` in a rule")
        .says("did you mean `match`?");
}

#[test]
fn what_imports_each_other_by_name_stays_together_however_long_the_chain() {
    let sandbox = Sandbox::new();
    const LENGTH: usize = 60;
    for number in 0..LENGTH {
        let text = format!("import link_{}\n\n\ndef run():\n    return link_{}.run()\n", number + 1, number + 1);
        sandbox.write(format!("old/chain/link_{number}.py"), text);
        sandbox.write(format!("old/chain/free_{number}.py"), format!("import json\n\nprint(json.dumps({number}))\n"));
    }
    sandbox.write(format!("old/chain/link_{LENGTH}.py"), "def run():\n    return 1\n");
    let rules = format!(
        "rules:\n  - match: chain/link_{LENGTH}.py\n    action: keep\n  - match: 'chain/*.py'\n    to: services/tools/\n"
    );
    sandbox.write("config/restructure.yaml", rules);
    plan(&sandbox);
    let made = sandbox.xtask("restructure plan old --period 2026-q1 --json").exits(0).json();
    let is_kept = |file: &&Value| file["action"] == "keep";
    let files = made["files"].as_array().unwrap();
    let is_link = |file: &&Value| file["path"].as_str().unwrap().contains("/link_");
    assert!(files.iter().filter(is_link).all(|file| is_kept(&file)), "{files:#?}");
    assert_eq!(files.iter().filter(|file| !is_link(file) && !is_kept(file)).count(), LENGTH, "the others go");
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    sandbox.xtask("restructure verify old").exits(0);
}

#[test]
fn a_plan_that_is_stale_or_impossible_is_refused_before_anything_is_touched() {
    let sandbox = bench();
    plan(&sandbox);
    sandbox.write("old/sql/init.sql", "CREATE TABLE b (id int);\n");
    sandbox.write("old/new.sh", "#!/bin/sh\n");
    let before = snapshot(&sandbox.path("old"));
    sandbox
        .xtask("restructure apply plan.yaml")
        .exits(3)
        .says("error: `sql/init.sql` has changed since the plan was made")
        .says("`new.sh` is new since the plan was made")
        .says("the plan is stale");
    assert_same(&before, &snapshot(&sandbox.path("old")), "stale");
    plan(&sandbox);
    let edit = |from: &str, to: &str| {
        let text = sandbox.read("plan.yaml");
        assert!(text.contains(from), "{from}");
        sandbox.write("edited.yaml", text.replacen(from, to, 1));
        sandbox.xtask("restructure apply edited.yaml")
    };
    edit("to: database/migrations/sql/001_add_name.sql", "to: README.md")
        .exits(3)
        .says("`sql/001_add_name.sql` cannot go to `README.md`: that is taken");
    edit("to: database/migrations/sql/001_add_name.sql", "to: docs/current/x.sql")
        .exits(3)
        .says("`docs/current` is a symbolic link");
    edit("to: database/migrations/sql/001_add_name.sql", "to: .git/hooks/pre-commit").exits(3).says("belongs to git");
    edit("to: database/migrations/sql/001_add_name.sql", "to: ../../outside.sql")
        .exits(2)
        .says("is no path below the folder");
    edit("to: database/migrations/sql/001_add_name.sql", "to: database/seeds/shared/sql/seed_names.sql")
        .exits(3)
        .says("goes too");
    edit("of: scripts/lib/common.sh", "of: README.md").exits(3).says("is no duplicate of `README.md`");
    assert_same(&before, &snapshot(&sandbox.path("old")), "impossible");
}

#[test]
fn undo_does_not_lose_what_was_changed_since() {
    let sandbox = bench();
    plan(&sandbox);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    sandbox.write("old/docs/guide.md", "mine\n");
    sandbox.write("old/database/migrations/sql/001_add_name.sql", "edited\n");
    sandbox.xtask("restructure undo old").exits(3).says("`docs/guide.md` was changed after it was written by apply");
    sandbox.xtask("restructure verify old").exits(0);
    sandbox.xtask("restructure undo old --lose-changes").exits(3).says("`sql/001_add_name.sql` has another time stamp");
    assert_eq!(sandbox.read("old/sql/001_add_name.sql"), "edited\n");
    assert!(sandbox.read("old/docs/guide.md").contains("gone.md"));
}

#[test]
fn retired_paths_that_come_back_are_found() {
    let sandbox = bench();
    plan(&sandbox);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    let is_back = || {
        sandbox.write("old/scripts-copy/lib/common.sh", "back\n");
        sandbox.xtask("restructure verify old").exits(3).says("_archive/retired-paths:").says("`scripts-copy` is back");
        fs::remove_dir_all(sandbox.path("old/scripts-copy")).unwrap();
    };
    is_back();
    sandbox.xtask("restructure finish old --yes").exits(0);
    sandbox.xtask("restructure verify old").exits(0).prints("none is back");
    is_back();
}

#[test]
fn secrets_are_named_and_never_shown() {
    let sandbox = bench();
    sandbox.write("old/.env.production", format!("# the key: {SECRET}\nAPI_KEY={SECRET}\n"));
    sandbox.write("old/scripts/token.py", format!("\"\"\"token = '{SECRET}'\"\"\"\nprint(1)\n"));
    sandbox.write("old/notes/access.md", format!("# password: {SECRET}\n"));
    sandbox.write("old/scripts/bad.py", format!("def f(:\n  key = '{SECRET}'\n"));
    sandbox.write("old/scripts/bad.js", format!("const key = `{SECRET};\n"));
    let printed: Vec<String> = [
        "restructure scan old --html page.html",
        "restructure scan old --json --verbose",
        "restructure plan old -o plan.yaml --html plan.html",
        "restructure plan old --json",
        "restructure apply plan.yaml --verbose",
        "restructure verify old --json",
    ]
    .iter()
    .map(|words| sandbox.xtask(words).exits(0))
    .map(|run| run.stdout + &run.stderr)
    .collect();
    assert!(printed.iter().all(|text| !text.contains(SECRET)), "printed");
    for file in [
        "page.html",
        "plan.html",
        "plan.yaml",
        "old/CATALOG.md",
        "old/_archive/README.md",
        "old/.ops/restructure/journal.json",
        "old/.ops/restructure/progress",
    ] {
        assert!(!sandbox.read(file).contains(SECRET), "{file}");
    }
    let readmes = sandbox.files().into_iter().filter(|path| path.ends_with("README.md"));
    for readme in readmes {
        assert!(!String::from_utf8_lossy(&fs::read(&readme).unwrap()).contains(SECRET), "{}", readme.display());
    }
    let syntax: String = fs::read_to_string(sandbox.path(".ops/restructure-syntax.json")).unwrap();
    assert!(!syntax.contains(SECRET));
}

#[test]
fn odd_names_go_there_and_back() {
    let sandbox = bench();
    let odd: [&[u8]; 9] = [
        b"two words.sh",
        b"it's.sh",
        b"-rf.sh",
        b"new\nline.sh",
        b"\xff\xfe.sh",
        "\u{1f680}.sh".as_bytes(),
        b"a\\b.sh",
        b"#x: y.sh",
        b"$(id).sh",
    ];
    for (number, name) in odd.iter().enumerate() {
        sandbox
            .write(Path::new("old/scripts/odd").join(OsStr::from_bytes(name)), format!("#!/bin/sh\necho {number}\n"));
    }
    symlink("loop-b", sandbox.path("old/loop-a")).unwrap();
    symlink("loop-a", sandbox.path("old/loop-b")).unwrap();
    symlink("/etc", sandbox.path("old/outside")).unwrap();
    symlink("..", sandbox.path("old/scripts/up")).unwrap();
    fs::hard_link(sandbox.path("old/scripts/lib/common.sh"), sandbox.path("old/scripts/lib/same.sh")).unwrap();
    sandbox.write("old/scripts/nothing.sh", "");
    let before = snapshot(&sandbox.path("old"));
    plan(&sandbox);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    for name in odd {
        let path = Path::new("old/_archive/2026-q1/deprecated-scripts/scripts/odd").join(OsStr::from_bytes(name));
        assert!(sandbox.path(&path).is_file(), "{path:?}");
    }
    sandbox.xtask("restructure verify old").exits(0);
    sandbox.xtask("restructure undo old").exits(0);
    assert_same(&before, &snapshot(&sandbox.path("old")), "undo");
}

#[test]
fn a_repository_gets_two_commits_and_loses_them_again() {
    let sandbox = bench();
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-C", "old"];
        sandbox.git(&[&who, args].concat())
    };
    sandbox.git(&["init", "-q", "old"]);
    sandbox.write("old/.gitignore", "*.log\n");
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "all"]);
    sandbox.write("old/scripts/made.log", "x\n");
    let (before, head) = (snapshot(&sandbox.path("old")), git(&["rev-parse", "HEAD"]));
    plan(&sandbox);
    sandbox.write("old/scripts/deploy/deploy.sh", "#!/bin/bash\n");
    plan(&sandbox);
    sandbox
        .xtask("restructure apply plan.yaml")
        .exits(3)
        .says("git has changes that are not committed")
        .says("`scripts/deploy/deploy.sh`");
    git(&["checkout", "-q", "--", "scripts/deploy/deploy.sh"]);
    let facts = |path: &str| sandbox.path(path).symlink_metadata().unwrap();
    let times = before[&b"scripts/deploy/deploy.sh"[..].to_vec()].1;
    let _set = Command::new("touch")
        .args(["-d", &format!("@{times}")])
        .arg(sandbox.path("old/scripts/deploy/deploy.sh"))
        .status()
        .unwrap();
    assert_eq!(facts("old/scripts/deploy/deploy.sh").mtime(), times);
    let before = snapshot(&sandbox.path("old"));
    plan(&sandbox);
    sandbox.xtask("restructure apply plan.yaml").exits(0).says("12 files move, 2 copies of others go");
    assert_eq!(git(&["status", "--porcelain"]), "");
    let log = git(&["log", "--format=%s"]);
    assert_eq!(
        log,
        "restructure: what refers to moved files, and what tells of them\nrestructure: files move into the layout\nall\n"
    );
    let moves = git(&["show", "--format=", "--name-status", "-M100%", "HEAD~1"]);
    assert!(moves.lines().all(|line| line.starts_with("R100") || line.starts_with('D')), "{moves}");
    let follow =
        git(&["log", "--follow", "--format=%s", "--", "_archive/2026-q1/deprecated-scripts/scripts/deploy/deploy.sh"]);
    assert_eq!(follow.lines().count(), 3, "{follow}");
    assert!(sandbox.path("old/scripts/made.log").is_file());
    sandbox.xtask("restructure verify old").exits(0);
    sandbox.xtask("restructure undo old").exits(0);
    assert_eq!((git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain"])), (head, String::new()));
    assert_same(&before, &snapshot(&sandbox.path("old")), "undo");
    // Where somebody has committed on top, the way back is one more commit.
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    sandbox.write("old/other.txt", "x\n");
    git(&["add", "other.txt"]);
    git(&["commit", "-q", "-m", "other"]);
    sandbox.xtask("restructure undo old").exits(0);
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert!(git(&["log", "--format=%s"]).starts_with("undo restructure"));
    assert!(sandbox.path("old/scripts/deploy/deploy.sh").is_file());
}

#[test]
fn repositories_inside_data_and_installed_things_are_left_alone() {
    let sandbox = bench();
    sandbox.write("old/inner/.git/HEAD", "ref: refs/heads/main\n");
    sandbox.write("old/inner/scripts/deploy.sh", "#!/bin/sh\nkubectl apply -f x\n");
    sandbox.write("old/data/pg/PG_VERSION", "15\n");
    sandbox.write("old/data/pg/base/1/2", "x");
    sandbox.write("old/data/pg/global/1", "x");
    sandbox.write("old/tools/node_modules/left/index.js", "1\n");
    let before = snapshot(&sandbox.path("old"));
    plan(&sandbox);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    for path in ["inner/scripts/deploy.sh", "data/pg/base/1/2", "tools/node_modules/left/index.js"] {
        assert!(sandbox.path("old").join(path).is_file(), "{path}");
    }
    sandbox.xtask("restructure verify old").exits(0);
    sandbox.xtask("restructure undo old").exits(0);
    assert_same(&before, &snapshot(&sandbox.path("old")), "undo");
}

#[test]
fn into_another_workspace() {
    let sandbox = bench();
    sandbox.write("new/config/README.md", "# Configuration\n");
    sandbox.write("new/CATALOG.md", "# Our catalog\n");
    sandbox.write("new/docs/README.md", "# Documents\n");
    let (old, new) = (snapshot(&sandbox.path("old")), snapshot(&sandbox.path("new")));
    sandbox.xtask("restructure plan old --into new --period 2026-q1 -o plan.yaml").exits(0);
    sandbox.xtask("restructure apply plan.yaml").exits(0);
    assert!(sandbox.path("new/infrastructure/docker/docker-compose.yml").is_file());
    assert!(sandbox.read("new/infrastructure/docker/docker-compose.yml").contains("build: ../../../old/services/web"));
    assert!(sandbox.path("old/services/web/src/index.js").is_file());
    let catalog = sandbox.read("new/CATALOG.md");
    assert!(catalog.starts_with("# Our catalog\n") && catalog.contains("restructure: begin"), "{catalog}");
    sandbox.xtask("restructure verify old").exits(0);
    sandbox.xtask("restructure undo old").exits(0);
    assert_same(&old, &snapshot(&sandbox.path("old")), "undo of the old folder");
    assert_same(&new, &snapshot(&sandbox.path("new")), "undo of the new one");
}

#[test]
fn what_may_not_be_read_or_changed_stays_and_is_told() {
    if is_root() {
        return skip("what_may_not_be_read_or_changed_stays_and_is_told", "root may read and change everything");
    }
    let sandbox = bench();
    sandbox.write("old/locked/secret.sh", "#!/bin/sh\n");
    fs::set_permissions(sandbox.path("old/locked"), fs::Permissions::from_mode(0o000)).unwrap();
    let run = sandbox.xtask("restructure plan old -o plan.yaml");
    fs::set_permissions(sandbox.path("old/locked"), fs::Permissions::from_mode(0o755)).unwrap();
    run.exits(0);
    assert!(sandbox.read("plan.yaml").contains("cannot be read"));
    fs::set_permissions(sandbox.path("old/sql"), fs::Permissions::from_mode(0o555)).unwrap();
    plan(&sandbox);
    let run = sandbox.xtask("restructure apply plan.yaml");
    fs::set_permissions(sandbox.path("old/sql"), fs::Permissions::from_mode(0o755)).unwrap();
    run.exits(3).says("this user may not change the folder");
}
