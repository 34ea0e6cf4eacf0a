//! A marked value in .env.dev turns up nowhere but in the processes that need it: no output, no log, no record, no command
//! line, no other file, while all tasks run.

use std::collections::BTreeMap;

use crate::sandbox::{PYTHON, Sandbox, all_processes, wait};

/// Says everything it knows, in every way a careless service would.
const CHATTY: &str = r#"import json, os, sys, urllib.parse
print("starting with", dict(os.environ))
print(json.dumps(dict(os.environ)))
for name, value in os.environ.items():
    print(f"{name}={value}", file=sys.stderr)
    print(urllib.parse.quote(value, safe=""))
sys.stdout.flush()
"#;

/// Parts of the values that must not be seen; each stands in one line of its value.
const MARKS: [&str; 4] = ["Marked-Key-71f3", "Marked-Pass-8a2c", "Marked-Line-One-55", "Marked-Line-Two-66"];

fn marked_sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.write(
        "config/environments/.env.dev.example",
        format!("{}\n# @sensitive @type=url\nUPSTREAM_URL=\n\n# @sensitive\nCERTIFICATE=\n", crate::sandbox::SCHEMA),
    );
    sandbox.write(
        "config/environments/.env.dev",
        "API_KEY='Marked-Key-71f3 \"with\" $igns/and%blanks'\nUPSTREAM_URL=https://me:Marked-Pass-8a2c%2F@example.org/x\n\
         CERTIFICATE=\"Marked-Line-One-55\\nMarked-Line-Two-66\\n\"\n",
    );
    sandbox.python("alpha", &[], &format!("{CHATTY}{PYTHON}"));
    sandbox.python("beta", &["alpha"], PYTHON);
    for service in ["alpha", "beta"] {
        sandbox.replace(&format!("config/services/{service}.yaml"), "API_KEY]", "API_KEY, UPSTREAM_URL, CERTIFICATE]");
    }
    sandbox
}

/// Every place in which a mark is seen.
fn sightings(sandbox: &Sandbox) -> BTreeMap<String, Vec<&'static str>> {
    let mut seen: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    let mut look = |place: String, bytes: &[u8]| {
        for mark in MARKS.iter().filter(|mark| bytes.windows(mark.len()).any(|part| part == mark.as_bytes())) {
            seen.entry(place.clone()).or_default().push(mark);
        }
    };
    for file in sandbox.files().iter().filter(|file| !file.ends_with("config/environments/.env.dev")) {
        look(file.display().to_string(), &std::fs::read(file).unwrap_or_default());
        look(format!("the name of {}", file.display()), file.to_string_lossy().as_bytes());
    }
    for process in all_processes() {
        look(format!("the command line of {}", process.pid), process.command.as_bytes());
    }
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("xtask-") && entry.path().is_file() {
            look(entry.path().display().to_string(), &std::fs::read(entry.path()).unwrap_or_default());
        }
    }
    seen
}

#[test]
fn a_marked_value_appears_nowhere_while_all_tasks_run() {
    let sandbox = marked_sandbox();
    let tasks = [
        "overview --json",
        "doctor",
        "doctor --json",
        "build -v",
        "services start -v",
        "services status --json",
        "services logs",
        "services logs --grep Marked-Key",
        "health -v",
        "health --json",
        "config",
        "config --json",
        "config check",
        "services start --plan",
        "services restart alpha",
        "build --explain",
        "clean",
        "clean --plan",
        "completions bash",
        "migrate status",
        "migrate --plan",
        "db query",
        "db query nothing",
        "test alpha",
    ];
    for task in tasks {
        let running = sandbox.command(&task.split(' ').collect::<Vec<_>>()).spawn();
        let run = running.wait();
        assert!(run.code.is_some() && !run.stderr.contains("panicked"), "{run}");
    }
    assert!(wait(std::time::Duration::from_secs(20), || sandbox.log("alpha").contains("listening")));
    let log = sandbox.log("alpha");
    assert!(
        log.contains("API_KEY=********\n") && log.contains("UPSTREAM_URL=********\n"),
        "it did speak, masked: {log}"
    );
    assert_eq!(sightings(&sandbox), BTreeMap::new());
    sandbox.xtask("services stop -v").exits(0);
    assert_eq!(sightings(&sandbox), BTreeMap::new());
}

#[test]
fn nor_in_the_error_of_a_service_that_dies_talking() {
    let sandbox = marked_sandbox();
    let dies = "import json, os\nprint(json.dumps(dict(os.environ)), flush=True)\n\
                raise SystemExit('no luck with ' + os.environ['API_KEY'] + os.environ['CERTIFICATE'])\n";
    sandbox.write("services/alpha/server.py", dies);
    let run = sandbox.xtask("services start").exits(1);
    run.says("alpha did not stay up").says("no luck with ********");
    sandbox.command(&["services", "start"]).env("DEV__API_KEY", "Marked-Key-71f3-given").run().exits(1);
    assert_eq!(sightings(&sandbox), BTreeMap::new());
}

#[test]
fn values_reach_the_service_as_they_are() {
    let sandbox = marked_sandbox();
    sandbox.write(
        "services/alpha/server.py",
        format!("import os\nopen('seen', 'w').write(os.environ['API_KEY'] + os.environ['CERTIFICATE'])\n{PYTHON}"),
    );
    sandbox.xtask("services start alpha").exits(0);
    let expected = "Marked-Key-71f3 \"with\" $igns/and%blanksMarked-Line-One-55\nMarked-Line-Two-66\n";
    assert_eq!(sandbox.read("services/alpha/seen"), expected);
}
