use super::*;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn item(name: &str, act: Act) -> Item {
    Item {
        path: path(name),
        is_folder: false,
        act,
        class: Class::Deployment,
        confidence: 0.9,
        because: "runs `kubectl apply`: \"yes\"".to_owned(),
        print: "0123456789ab".to_owned(),
        by_hand: false,
        line: 0,
    }
}

fn sample() -> Plan {
    let options =
        Options { folder: "/tmp".into(), into: "/tmp".into(), keep_scripts: false, period: "2026-q1".to_owned() };
    let mut kept = item("services", Act::Keep);
    kept.is_folder = true;
    let items = vec![
        item("-a b.sh", Act::Archive(path("_archive/2026-q1/-a b.sh"))),
        item("2024", Act::Drop(path("x"))),
        kept,
        item("x", Act::Move(path("y/it's"))),
        item("z: #1", Act::Decide),
    ];
    Plan { options, readmes: Readmes::EveryFolder, digest: "ab".repeat(32), items }
}

/// A file that goes away with the value.
struct File(Utf8PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let file = std::env::temp_dir().join(format!("xtask-plan-{name}-{}.yaml", std::process::id()));
        let file = Utf8PathBuf::from_path_buf(file).unwrap();
        std::fs::write(&file, text).unwrap();
        File(file)
    }
    fn read(&self) -> Plan {
        read(&self.0, Utf8Path::new("plan.yaml")).unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

#[test]
fn what_is_written_is_read() {
    let odd = RelPath::new(b"caf\xe9\n\\x".to_vec()).unwrap();
    let mut plan = sample();
    plan.items.push(Item { path: odd, ..item("q", Act::Keep) });
    plan.items.sort_by(|a, b| a.path.cmp(&b.path));
    let file = File::new("round", "");
    let text = render(&plan, &file.0);
    std::fs::write(&file.0, &text).unwrap();
    let again = file.read();
    assert_eq!(render(&again, &file.0), text);
    assert!(again.items.iter().all(|item| !item.by_hand));
    assert_eq!(
        again.items.iter().map(|item| &item.act).collect::<Vec<_>>(),
        plan.items.iter().map(|item| &item.act).collect::<Vec<_>>()
    );
}

#[test]
fn what_is_wrong_has_its_place() {
    let plan = sample();
    let text = render(&plan, Utf8Path::new("/tmp/plan.yaml"));
    let text = text
        .replace("to: _archive/2026-q1/-a b.sh", "to: ../outside")
        .replace("'_archive/2026-q1/-a b.sh'", "../outside")
        .replace("action: needs-decision", "action: delete")
        .replace("period: '2026-q1'", "period: ../x")
        .replace("path: services/", "path: x");
    let file = File::new("wrong", &text);
    let error = read(&file.0, Utf8Path::new("plan.yaml")).unwrap_err();
    let failure = error.downcast_ref::<Failure>().unwrap();
    let lines: Vec<String> = failure.findings().iter().map(Finding::line).collect();
    expect_test::expect![[r#"
        [
            "plan.yaml:13:9: error: `../x` is no name of a period, such as 2026-q1",
            "plan.yaml:20:9: error: `../outside` is no path below the folder: no leading slash, no `.` or `..` in it",
            "plan.yaml:18:5: error: `action: archive` needs `to: PATH`",
            "plan.yaml:46:13: error: `delete` is not known here",
            "plan.yaml:38:1: error: `x` has an entry already, on line 32",
        ]
    "#]]
    .assert_debug_eq(&lines);
}

#[test]
fn comments_and_decisions_survive_a_new_plan() {
    let file = File::new("again", "");
    let text = render(&sample(), &file.0)
        .replace("period: '2026-q1'", "period: '2026-q1' # as agreed")
        .replace("  - path: x\n", "  # ask Ann\n  - path: x # she knows\n")
        .replace("    to: 'y/it''s'\n", "    to: elsewhere/x # not y\n");
    std::fs::write(&file.0, &text).unwrap();
    let old = file.read();
    let by_hand: Vec<String> = old.items.iter().filter(|item| item.by_hand).map(|item| item.path.to_string()).collect();
    assert_eq!(by_hand, ["x"]);
    let new = again(&old, &file.0, &old, &text);
    // Only the mark of the changed entry differs, and still says so.
    let changed: Vec<(&str, &str)> = text.lines().zip(new.lines()).filter(|(a, b)| a != b).collect();
    assert!(matches!(changed.as_slice(), [(_, after)] if after.ends_with("-hand")), "{changed:?}");
    std::fs::write(&file.0, &new).unwrap();
    assert_eq!(again(&file.read(), &file.0, &file.read(), &new), new);
    // An entry whose file is gone leaves its remark, one that is new stands where it belongs.
    let mut plan = file.read();
    plan.items.retain(|item| item.path != path("x"));
    plan.items.insert(3, item("w", Act::Keep));
    let new = again(&plan, &file.0, &file.read(), &new);
    assert!(
        new.contains("# ask Ann") && new.contains("  - path: w\n    action: keep\n") && !new.contains("she knows"),
        "{new}"
    );
}
