use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::moves::Fate;

/// A folder that goes away with the value.
struct Scratch(Utf8PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("xtask-tree-{name}-{}", std::process::id()));
        let _old = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Scratch(Utf8PathBuf::from_path_buf(folder).unwrap().canonicalize_utf8().unwrap())
    }
    fn write(&self, path: impl AsRef<std::path::Path>, text: &str) {
        let path = self.0.as_std_path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fn git(&self, args: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"];
        assert!(Command::new("git").args(who).args(args).current_dir(&self.0).status().unwrap().success());
    }
    fn tree(&self) -> Tree {
        Tree::read(&[&self.0]).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn listing(tree: &Tree) -> Vec<String> {
    tree.entries()
        .iter()
        .map(|entry| {
            let kind = match &entry.kind {
                Kind::File => String::new(),
                Kind::Folder => "/".to_owned(),
                Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
                Kind::Other => "?".to_owned(),
            };
            let closed = entry.closed.as_ref().map(|why| format!(" {why:?}")).unwrap_or_default();
            format!("{}{kind}{closed} {:?}", entry.path, entry.git)
        })
        .collect()
}

#[test]
fn a_folder_as_it_is() {
    let scratch = Scratch::new("plain");
    scratch.write("a-b", "");
    scratch.write("a/x.sh", "echo\n");
    fs::set_permissions(scratch.0.join("a/x.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    scratch.write(std::ffi::OsStr::from_bytes(b"a/ \n\xff"), "odd");
    scratch.write("node_modules/m/index.js", "");
    scratch.write("pg/PG_VERSION", "15\n");
    scratch.write("pg/base/1", "");
    scratch.write("pg/global/1", "");
    scratch.write("inner/.git/HEAD", "");
    scratch.write("inner/file", "");
    fs::create_dir(scratch.0.join("empty")).unwrap();
    symlink("..", scratch.0.join("a/up")).unwrap();
    symlink("/etc/passwd", scratch.0.join("out")).unwrap();
    let tree = scratch.tree();
    expect_test::expect![[r#"
        [
            "/ Outside",
            "a/ Outside",
            "a-b Outside",
            "a/ \\x0a\\xff Outside",
            "a/up -> .. Outside",
            "a/x.sh Outside",
            "empty/ Outside",
            "inner/ Repository Outside",
            "node_modules/ Dependencies Outside",
            "out -> /etc/passwd Outside",
            "pg/ Data Outside",
        ]
    "#]]
    .assert_debug_eq(&listing(&tree));
    let below: Vec<String> = tree.below(&path("a")).map(|id| tree.path(id).to_string()).collect();
    assert_eq!(below, [r"a/ \x0a\xff", "a/up", "a/x.sh"]);
    assert_eq!(tree.children(&path("")).count(), 7);
    assert!(tree.is_file(&path("a/x.sh")) && tree.is_folder(&path("a")) && !tree.is_file(&path("a/up")));
    assert!(tree.closed(&path("node_modules/m/index.js")).is_some() && tree.closed(&path("a/x.sh")).is_none());
    let script = tree.get(&path("a/x.sh")).unwrap();
    assert_eq!((tree.entry(script).mode, tree.entry(script).size), (0o750, 5));
    assert_eq!(tree.content(script).unwrap().as_ref(), b"echo\n");
    assert_eq!(tree.digest(script).unwrap(), base::tools::hash::digest(b"echo\n"));
    let link = tree.get(&path("out")).unwrap();
    assert_eq!(tree.content(link).unwrap().as_ref(), b"/etc/passwd", "a link is not followed");
}

#[test]
fn what_git_says_and_what_lies_around() {
    let scratch = Scratch::new("git");
    scratch.git(&["init", "-q"]);
    scratch.write(".gitignore", "*.log\n/ops/build/\n");
    scratch.write("README.md", "");
    scratch.write("ops/run.sh", "");
    scratch.write("ops/made.log", "");
    scratch.write("ops/build/out", "");
    scratch.git(&["add", "-A"]);
    scratch.git(&["commit", "-qm", "all"]);
    scratch.write("ops/new.sh", "");
    scratch.write("ops/run.sh", "changed");
    let tree = Tree::read(&[&scratch.0.join("ops")]).unwrap();
    expect_test::expect![[r#"
        [
            "/ Outside",
            ".gitignore Tracked",
            "README.md Tracked",
            "ops/ Tracked",
            "ops/build/ Ignored Ignored",
            "ops/made.log Ignored",
            "ops/new.sh Untracked",
            "ops/run.sh Tracked",
        ]
    "#]]
    .assert_debug_eq(&listing(&tree));
    assert_eq!(tree.root(), scratch.0);
    assert_eq!(tree.given(), [path("ops")]);
    let sources: Vec<String> = tree.sources().map(|id| tree.path(id).to_string()).collect();
    assert_eq!(sources, ["ops/made.log", "ops/new.sh", "ops/run.sh"]);
    assert!(tree.repositories()[0].changed.contains(&path("ops/run.sh")));
    // An ignored folder is as good as none.
    let inside = Tree::read(&[&scratch.0.join("ops/build")]).unwrap();
    assert_eq!(inside.root(), scratch.0.join("ops/build"));
}

#[test]
fn two_folders_have_their_common_root() {
    let scratch = Scratch::new("two");
    scratch.write("old/a", "");
    scratch.write("new/b", "");
    scratch.write("other/c", "");
    let tree = Tree::read(&[&scratch.0.join("old"), &scratch.0.join("new")]).unwrap();
    expect_test::expect![[r#"
        [
            "/ Outside",
            "new/ Outside",
            "new/b Outside",
            "old/ Outside",
            "old/a Outside",
        ]
    "#]]
    .assert_debug_eq(&listing(&tree));
}

#[test]
fn the_tree_after() {
    let scratch = Scratch::new("after");
    scratch.write("old/a.sh", "a");
    scratch.write("old/sub/b.sh", "b");
    scratch.write("copy/b.sh", "b");
    scratch.write("stay/c.md", "c");
    let tree = scratch.tree();
    let fates = [
        (path("old/a.sh"), Fate::At(path("new/a.sh"))),
        (path("old/sub/b.sh"), Fate::At(path("new/sub/b.sh"))),
        (path("copy/b.sh"), Fate::DroppedFor(path("old/sub/b.sh"))),
        (path("stay/c.md"), Fate::At(path("stay/c.md"))),
    ];
    let moves = Moves::new(&tree, fates);
    assert_eq!(moves.len(), 3);
    assert_eq!(moves.after(&path("copy/b.sh")), path("new/sub/b.sh"));
    assert_eq!(moves.before(&path("new/a.sh")), path("old/a.sh"));
    assert_eq!(moves.folder(&path("old")), Some(path("new")));
    assert_eq!(moves.folder(&path("copy")), Some(path("new/sub")));
    assert_eq!(moves.folder(&path("stay")), Some(path("stay")));
    assert_eq!(moves.folder(&path("")), None);
    let after = tree.after(&moves, [(path("new/README.md"), b"new".to_vec()), (path("new/a.sh"), b"A".to_vec())]);
    let names: Vec<String> = after.entries().iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(names, ["", "new", "new/README.md", "new/a.sh", "new/sub", "new/sub/b.sh", "stay", "stay/c.md"]);
    let text = |name: &str| after.content(after.get(&path(name)).unwrap()).unwrap().into_owned();
    assert_eq!(
        (text("new/a.sh"), text("new/sub/b.sh"), text("new/README.md")),
        (b"A".into(), b"b".into(), b"new".into())
    );
}
