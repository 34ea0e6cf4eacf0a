use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use camino::Utf8PathBuf;

use super::*;
use crate::moves::{Fate, Moves};

/// Every reference in a tree of which nothing is known.
fn find(tree: &Tree) -> anyhow::Result<Vec<Reference>> {
    Ok(resolved(tree, &crate::contents::said_after(tree, tree, &[])?))
}

/// A folder that goes away with the value.
struct Scratch(Utf8PathBuf);

impl Scratch {
    fn new(name: &str, files: &[(&str, &str)]) -> Scratch {
        let folder = std::env::temp_dir().join(format!("xtask references {name} {}", std::process::id()));
        let _old = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let scratch = Scratch(Utf8PathBuf::from_path_buf(folder).unwrap().canonicalize_utf8().unwrap());
        for (path, text) in files {
            scratch.write(path, text.as_bytes());
        }
        scratch
    }
    fn write(&self, path: &str, text: &[u8]) {
        let there = self.0.join(path);
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::write(&there, text).unwrap();
        if text.starts_with(b"#!") {
            fs::set_permissions(&there, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    fn tree(&self) -> Tree {
        Tree::read(&[&self.0]).unwrap()
    }
    fn run(&self, command: &str) -> String {
        let output = Command::new("bash").args(["-c", command]).current_dir(&self.0).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && err.is_empty(), "{command}: {}\n{out}{err}", output.status);
        out
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

/// Every file below a `from` goes to the `to` beside it; the first that fits counts.
fn moves(tree: &Tree, ways: &[(&str, &str)]) -> Moves {
    let wholes = tree.ids().filter(|id| tree.entry(*id).is_whole()).map(|id| tree.path(id).clone());
    let fates = wholes.filter_map(|file| {
        let (from, to) = ways.iter().find(|(from, _)| file.is_within(&path(from)))?;
        let to = path(to).append(&file.below(&path(from))?);
        Some((file, Fate::At(to)))
    });
    Moves::new(tree, fates.collect::<Vec<_>>())
}

/// The tree after, with its rewritten files, and what is unclear; proves that nothing is lost on the way.
fn carried_out(tree: &Tree, moves: &Moves) -> (Tree, BTreeMap<String, String>, Vec<String>) {
    let references = find(tree).unwrap();
    let rewrites = rewrite(tree, &references, moves).unwrap();
    let written: Vec<(RelPath, Vec<u8>)> = rewrites
        .edits
        .chunk_by(|a, b| a.file == b.file)
        .map(|edits| {
            let content = tree.content(edits[0].file).unwrap();
            (moves.after(tree.path(edits[0].file)), apply(&content, &edits.iter().collect::<Vec<_>>()))
        })
        .collect();
    let texts = written.iter().map(|(path, text)| (path.to_string(), String::from_utf8_lossy(text).into_owned()));
    let texts = texts.collect();
    let unclear = rewrites.unclear.iter().map(|unclear| {
        format!(
            "{}:{}: {}: {}",
            tree.path(unclear.file),
            unclear.line,
            String::from_utf8_lossy(&unclear.text),
            unclear.why
        )
    });
    let unclear: Vec<String> = unclear.collect();
    let after = tree.after(moves, written);
    let references_after = find(&after).unwrap();
    let lost = compare((tree, &references), (&after, &references_after), moves, &rewrites.edits);
    let is_unclear =
        |lost: &Lost| rewrites.unclear.iter().any(|unclear| unclear.file == lost.file && unclear.span == lost.span);
    let lost: Vec<&Lost> = lost.iter().filter(|lost| !is_unclear(lost)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    (after, texts, unclear)
}

/// What becomes of the text of the file at `at` when some files move. The others are empty.
#[track_caller]
fn check(files: &[&str], at: &str, text: &str, ways: &[(&str, &str)], expected: &str) {
    let mut all: Vec<(&str, &str)> = files.iter().map(|file| (*file, "")).collect();
    all.push((at, text));
    let scratch = Scratch::new(&format!("{:?}", std::thread::current().id()), &all);
    let tree = scratch.tree();
    let moves = moves(&tree, ways);
    let (after, _, unclear) = carried_out(&tree, &moves);
    let id = after.get(&moves.after(&path(at))).unwrap();
    let mut now = String::from_utf8_lossy(&after.content(id).unwrap()).into_owned();
    unclear.iter().for_each(|line| now += &format!("unclear {line}\n"));
    assert_eq!(now, expected);
}

#[test]
fn shell_follows_what_it_names() {
    let files = ["lib/common.sh", "sql/a b.sql", "sql/c.sql", "conf/x.yml", "scripts/tools/other.sh"];
    check(
        &files,
        "scripts/run.sh",
        "source lib/common.sh\npsql -f \"sql/a b.sql\" -f sql/a\\ b.sql -f 'sql/c.sql'\ncat conf/x.yml --file=conf/x.yml\nbash scripts/tools/other.sh\n",
        &[("lib", "shared files"), ("sql", "database/it's"), ("conf/x.yml", "config/$x.yml")],
        "source shared\\ files/common.sh\npsql -f \"database/it's/a b.sql\" -f database/it\\'s/a\\ b.sql -f 'database/it'\\''s/c.sql'\ncat config/\\$x.yml --file=config/\\$x.yml\nbash scripts/tools/other.sh\n",
    );
}

#[test]
fn what_is_used_without_quotes_gets_no_blank() {
    let text = "DIR=data\ncat $DIR/x.txt\n";
    check(&["data/x.txt"], "run.sh", text, &[("data", "a/data")], "DIR=a/data\ncat $DIR/x.txt\n");
    let told = format!(
        "{text}unclear run.sh:1: data: the new path cannot be written in its place\nunclear run.sh:2: x.txt: what it is read from cannot be rewritten\n"
    );
    check(&["data/x.txt"], "run.sh", text, &[("data", "a data")], &told);
}

#[test]
fn steps_up_are_counted_anew() {
    let text = "HERE=\"$(cd \"$(dirname \"${BASH_SOURCE[0]}\")\" && pwd)\"\nROOT=\"$(cd \"$HERE/..\" && pwd)\"\nTOP=$(dirname \"$HERE\")\n. \"$HERE/lib.sh\"\ncat \"$ROOT/conf/x.yml\" \"$TOP/conf/x.yml\"\ncd \"$(dirname \"$0\")/..\"\n./scripts/run.sh\n";
    let files = ["scripts/lib.sh", "conf/x.yml"];
    check(
        &files,
        "scripts/run.sh",
        text,
        &[("scripts", "a/b/c")],
        "HERE=\"$(cd \"$(dirname \"${BASH_SOURCE[0]}\")\" && pwd)\"\nROOT=\"$(cd \"$HERE/../../..\" && pwd)\"\nTOP=$(dirname \"$(dirname \"$(dirname \"$HERE\")\")\")\n. \"$HERE/lib.sh\"\ncat \"$ROOT/conf/x.yml\" \"$TOP/conf/x.yml\"\ncd \"$(dirname \"$0\")/../../..\"\n./a/b/c/run.sh\n",
    );
    // The script alone goes away: what it has beside it is reached from there.
    check(
        &files,
        "scripts/run.sh",
        text,
        &[("scripts/run.sh", "run.sh")],
        "HERE=\"$(cd \"$(dirname \"${BASH_SOURCE[0]}\")\" && pwd)\"\nROOT=\"$(cd \"$HERE\" && pwd)\"\nTOP=$HERE\n. \"$HERE/scripts/lib.sh\"\ncat \"$ROOT/conf/x.yml\" \"$TOP/conf/x.yml\"\ncd \"$(dirname \"$0\")\"\n./run.sh\n",
    );
}

#[test]
fn a_folder_that_is_split_goes_the_way_of_what_is_used() {
    check(
        &["db/a.sql", "db/b.sql", "db/notes.md"],
        "run.sh",
        "cd db\npsql -f a.sql\npsql -f ./b.sql\n",
        &[("db/notes.md", "docs/notes.md"), ("db", "database/sql")],
        "cd database/sql\npsql -f a.sql\npsql -f ./b.sql\n",
    );
    check(
        &["db/a.sql", "db/b.md"],
        "run.sh",
        "cd db\nmake\n",
        &[("db/a.sql", "x/a.sql"), ("db/b.md", "y/b.md")],
        "cd x\nmake\nunclear run.sh:1: db: the folder's files go different ways; it leads to where most of them are\n",
    );
}

#[test]
fn patterns_go_with_all_their_files_or_are_told() {
    let files = ["m/1.sql", "m/2.sql", "m/x.md"];
    let text = "for f in m/*.sql; do psql -f \"$f\"; done\n";
    check(
        &files,
        "run.sh",
        text,
        &[("m/x.md", "docs/x.md"), ("m", "db/m")],
        "for f in db/m/*.sql; do psql -f \"$f\"; done\n",
    );
    let told = format!("{text}unclear run.sh:1: m/*.sql: the files that it matches go different ways\n");
    check(&files, "run.sh", text, &[("m/1.sql", "a/1.sql"), ("m/2.sql", "b/2.sql")], &told);
}

#[test]
fn what_may_mean_two_files_is_left_when_they_part() {
    let files = ["conf/x.yml", "tools/conf/x.yml"];
    let text = "cat conf/x.yml\n";
    check(&files, "tools/run.sh", text, &[("other", "x")], text);
    let told =
        format!("{text}unclear tools/run.sh:1: conf/x.yml: it may mean several files, and they go different ways\n");
    check(&files, "tools/run.sh", text, &[("conf", "config")], &told);
}

#[test]
fn what_two_want_otherwise_is_not_written() {
    let text = "for p in a b; do cat conf/$p/x.yml; done\n";
    let files = ["conf/a/x.yml", "conf/b/x.yml"];
    let expected = "for p in a b; do cat settings/$p/x.yml; done\n";
    check(&files, "run.sh", text, &[("conf", "settings")], expected);
    let told = "unclear run.sh:1: conf/a/x.yml: what is used through it goes different ways\n";
    check(&files, "run.sh", text, &[("conf/a", "other/a")], &format!("{text}{told}"));
}

#[test]
fn where_it_runs_is_known_from_its_callers() {
    let scratch = Scratch::new(
        "callers",
        &[
            ("package.json", r#"{"scripts": {"a": "cd services/api && bash ../../scripts/run.sh"}}"#),
            ("scripts/run.sh", "cat conf/x.yml\n"),
            ("services/api/conf/x.yml", ""),
            ("conf/x.yml", ""),
        ],
    );
    let tree = scratch.tree();
    let moves = moves(&tree, &[("services/api/conf", "services/api/config"), ("conf", "settings")]);
    let (_, texts, unclear) = carried_out(&tree, &moves);
    assert_eq!(texts["scripts/run.sh"], "cat config/x.yml\n");
    assert!(unclear.is_empty(), "{unclear:?}");
}

#[test]
fn documents() {
    check(
        &["docs/a b.md", "img/x.png", "scripts/run.sh", "docs/sub/index.md"],
        "docs/guide.md",
        "[a](a%20b.md#part \"t\") ![x](../img/x.png) [d]: no\n\n[r]: <a b.md>\n\nRun `scripts/run.sh`, or scripts/run.sh --x, not scripts/run.\n\n```sh\n$ ./scripts/run.sh\n```\n\n[folder](sub/) [gone](gone.md) [w](https://x.org/docs/a.md)\n",
        &[("docs", "handbook/en"), ("scripts", "tools")],
        "[a](a%20b.md#part \"t\") ![x](../../img/x.png) [d]: no\n\n[r]: <a b.md>\n\nRun `tools/run.sh`, or tools/run.sh --x, not scripts/run.\n\n```sh\n$ ./tools/run.sh\n```\n\n[folder](sub/) [gone](gone.md) [w](https://x.org/docs/a.md)\n",
    );
    // A record of the past keeps its words; its links still work.
    check(
        &["docs/a.md", "scripts/run.sh"],
        "CHANGELOG.md",
        "- `scripts/run.sh` is new, see [a](docs/a.md)\n",
        &[("docs", "handbook"), ("scripts", "tools")],
        "- `scripts/run.sh` is new, see [a](handbook/a.md)\n",
    );
}

#[test]
fn compose_and_its_dockerfiles() {
    let scratch = Scratch::new(
        "compose",
        &[
            (
                "docker/docker-compose.yml",
                "services:\n  api:\n    build:\n      context: ../services/api\n      dockerfile: ../../docker/Dockerfile.api\n    env_file: api.env\n    volumes: [\"./conf/x.conf:/etc/x.conf:ro\", data:/data]\n",
            ),
            ("docker/Dockerfile.api", "FROM node\nCOPY package.json src/ ./\n"),
            ("docker/api.env", ""),
            ("docker/conf/x.conf", ""),
            ("services/api/package.json", "{}"),
            ("services/api/src/x.js", ""),
        ],
    );
    let tree = scratch.tree();
    let moves = moves(
        &tree,
        &[
            ("docker/Dockerfile.api", "build/Dockerfile.api"),
            ("docker/conf", "config"),
            ("docker", "infra/docker"),
            ("services/api/src", "services/api/source"),
        ],
    );
    let (_, texts, unclear) = carried_out(&tree, &moves);
    assert_eq!(
        texts["infra/docker/docker-compose.yml"],
        "services:\n  api:\n    build:\n      context: ../../services/api\n      dockerfile: ../../build/Dockerfile.api\n    env_file: api.env\n    volumes: [\"../../config/x.conf:/etc/x.conf:ro\", data:/data]\n"
    );
    assert_eq!(texts["build/Dockerfile.api"], "FROM node\nCOPY package.json source/ ./\n");
    assert!(unclear.is_empty(), "{unclear:?}");
}

#[test]
fn python_and_javascript() {
    check(
        &["data/x.csv", "lib/tool.py", "lib/__init__.py"],
        "jobs/load.py",
        "from pathlib import Path\nimport os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))\nfrom lib.tool import x\nROOT = Path(__file__).resolve().parent.parent\na = ROOT / \"data\" / \"x.csv\"\nb = os.path.join(os.path.dirname(os.path.dirname(__file__)), 'data', 'x.csv')\nc = Path(__file__).parents[1] / 'data/x.csv'\n",
        &[("jobs", "services/jobs"), ("data", "assets/data")],
        "from pathlib import Path\nimport os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '../..'))\nfrom lib.tool import x\nROOT = Path(__file__).resolve().parent.parent.parent\na = ROOT / \"assets/data\" / \"x.csv\"\nb = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'assets/data', 'x.csv')\nc = Path(__file__).parents[2] / 'assets/data/x.csv'\n",
    );
    check(
        &["src/lib/index.ts", "src/util.ts", "data/x.json", "src/api/y.ts"],
        "src/api/main.ts",
        "import a from '../lib';\nimport b from \"../util.js\";\nimport c from './y';\nconst d = require('../../data/x.json');\nconst e = path.join(__dirname, '..', '..', 'data', 'x.json');\nconst ROOT = path.resolve(__dirname, '../..');\nconst f = `${ROOT}/data/x.json`;\n",
        &[
            ("src/util.ts", "src/shared/helper.ts"),
            ("src/lib", "src/shared/lib"),
            ("data", "assets"),
            ("src/api/main.ts", "src/main.ts"),
        ],
        "import a from './shared/lib';\nimport b from \"./shared/helper.js\";\nimport c from './api/y';\nconst d = require('../assets/x.json');\nconst e = path.join(__dirname, '..', 'assets', 'x.json');\nconst ROOT = path.resolve(__dirname, '..');\nconst f = `${ROOT}/assets/x.json`;\n",
    );
}

#[test]
fn bytes_around_a_path_stay_as_they_are() {
    let scratch = Scratch::new("bytes", &[("lib/a.sh", "")]);
    let text = b"\xef\xbb\xbf# caf\xe9\r\n. lib/a.sh # \xff\r\necho \"\tlib/a.sh\"  \r\n\\\r\n";
    scratch.write("run.sh", text);
    let tree = scratch.tree();
    let moves = moves(&tree, &[("lib", "l")]);
    let references = find(&tree).unwrap();
    let rewrites = rewrite(&tree, &references, &moves).unwrap();
    let content = tree.content(tree.get(&path("run.sh")).unwrap()).unwrap();
    let now = apply(&content, &rewrites.edits.iter().collect::<Vec<_>>());
    assert_eq!(now, b"\xef\xbb\xbf# caf\xe9\r\n. l/a.sh # \xff\r\necho \"\tl/a.sh\"  \r\n\\\r\n");
}

#[test]
fn what_is_not_there_is_told_apart() {
    let scratch = Scratch::new(
        "outcomes",
        &[
            (".gitignore", "*.local\n/cache/\n"),
            (
                "run.sh",
                ". lib/gone.sh\n. .env.local\n. .venv/bin/activate\necho x > out/made.txt\ncat < out/made.txt\n. /etc/profile\ncat ../outside.txt\ncat cache/x.json\n",
            ),
            ("a.md", "[x](gone.md) [y](https://x.org) [z](#z) [w](../../up.md)\n"),
        ],
    );
    let tree = scratch.tree();
    let shown: Vec<String> = find(&tree)
        .unwrap()
        .iter()
        .map(|reference| {
            format!(
                "{}:{} {} {:?}",
                tree.path(reference.file),
                reference.line,
                String::from_utf8_lossy(&reference.text),
                reference.outcome
            )
        })
        .collect();
    expect_test::expect![[r#"
        .gitignore:2 cache/ Runtime
        a.md:1 gone.md Broken
        a.md:1 ../../up.md External
        run.sh:1 lib/gone.sh Broken
        run.sh:2 .env.local Runtime
        run.sh:3 .venv/bin/activate Runtime
        run.sh:4 out/made.txt Runtime
        run.sh:5 out/made.txt Runtime
        run.sh:7 ../outside.txt External
        run.sh:8 cache/x.json Runtime"#]]
    .assert_eq(&shown.join("\n"));
}

const PROJECT: &[(&str, &str)] = &[
    (
        "scripts/all.sh",
        "#!/bin/bash\nset -e\ncd \"$(dirname \"$0\")/..\"\nsource scripts/lib/say.sh\nsay one\n\"./scripts/deep/two.sh\" \"$PWD\" > /dev/null\nbash scripts/deep/two.sh\npython3 jobs/three.py\nnode web/four.js\nfor f in data/*.txt; do cat \"$f\"; done\nmake -s -C tools five\nbash -c 'cd data && cat \"a b.txt\"'\nNAME=data\ncat \"$NAME/c.txt\" \"./$NAME/c.txt\"\n(cd web && node ./five.js)\nbash scripts/deep/gap.sh\n",
    ),
    ("scripts/lib/say.sh", "say() { echo \"say $1 $(cat \"$(dirname \"${BASH_SOURCE[0]}\")/../../data/c.txt\")\"; }\n"),
    ("scripts/deep/gap.sh", "#!/bin/bash\nD=$(dirname $(dirname $0))\nsource $D/lib/say.sh\nsay gap\n"),
    (
        "scripts/deep/two.sh",
        "#!/bin/bash\nHERE=\"$(cd -- \"$(dirname -- \"${BASH_SOURCE[0]}\")\" &> /dev/null && pwd)\"\nROOT=\"$(cd \"$HERE/../..\" && pwd)\"\nUP=$(dirname \"$(dirname \"$HERE\")\")\n. \"$HERE/../lib/say.sh\"\nsay two\ncat \"$ROOT\"/data/'a b.txt' \"${UP}/data/c.txt\"\n",
    ),
    (
        "jobs/three.py",
        "import os, sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent / 'lib'))\nfrom helper import text\nHERE = os.path.dirname(os.path.abspath(__file__))\nROOT = Path(__file__).resolve().parents[1]\nprint(text(), open(os.path.join(HERE, '..', 'data', 'c.txt')).read().strip(), (ROOT / 'data' / 'a b.txt').read_text().strip(), open(f'{ROOT}/data/c.txt').read().strip())\n",
    ),
    (
        "jobs/lib/helper.py",
        "import os\n\ndef text():\n    return open(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + '/data/c.txt').read().strip()\n",
    ),
    (
        "web/four.js",
        "const fs = require('fs'), path = require('path');\nconst { five } = require('./lib/five');\nconst ROOT = path.resolve(__dirname, '..');\nconsole.log(five(), fs.readFileSync(path.join(__dirname, '..', 'data', 'c.txt'), 'utf8').trim(), fs.readFileSync(`${ROOT}/data/a b.txt`, 'utf8').trim(), fs.readFileSync(__dirname + '/../data/c.txt', 'utf8').trim());\n",
    ),
    ("web/five.js", "console.log(require('./lib/five.js').five());\n"),
    (
        "web/lib/five.js",
        "exports.five = () => require('fs').readFileSync(require('path').join(__dirname, '../../data/c.txt'), 'utf8').trim();\n",
    ),
    ("tools/Makefile", "CONF = ../data/c.txt\nfive:\n\t@cat \"$(CONF)\"\n\t@bash ../scripts/deep/two.sh\n"),
    ("data/a b.txt", "AB\n"),
    ("data/c.txt", "C\n"),
];

/// The strongest proof there is: the programs themselves say the same before and after.
#[test]
fn programs_say_the_same_after_a_move() {
    let ways: &[&[(&str, &str)]] = &[
        &[("data", "assets/some data")],
        &[("scripts", "_archive/2026/deprecated-scripts/scripts")],
        &[("jobs", "services/jobs"), ("web", "w")],
        &[("scripts/deep", "deep"), ("scripts/lib", "a/b/lib"), ("tools", "t/o/o/ls")],
        &[("scripts/deep/two.sh", "two.sh"), ("jobs/lib", "jobs/inner"), ("web/lib", "lib"), ("data", "d")],
        &[("web/four.js", "four.js"), ("jobs/three.py", "jobs/more/three.py"), ("scripts/all.sh", "run/all.sh")],
    ];
    for (number, ways) in ways.iter().enumerate() {
        let before = Scratch::new(&format!("run {number}"), PROJECT);
        let tree = before.tree();
        let moves = moves(&tree, ways);
        let (after, _, unclear) = carried_out(&tree, &moves);
        let there = Scratch::new(&format!("ran {number}"), &[]);
        for id in after.ids().filter(|id| after.entry(*id).is_file()) {
            there.write(&after.path(id).to_string(), &after.content(id).unwrap());
        }
        let all = moves.after(&path("scripts/all.sh"));
        assert_eq!(before.run("bash scripts/all.sh"), there.run(&format!("bash {all}")), "{ways:?} {unclear:?}");
    }
}

#[test]
fn nothing_is_written_when_nothing_moves_and_the_way_back_undoes_all() {
    let scratch = Scratch::new("back", PROJECT);
    let tree = scratch.tree();
    let references = find(&tree).unwrap();
    assert!(rewrite(&tree, &references, &moves(&tree, &[("data", "data")])).unwrap().edits.is_empty());
    let there = moves(&tree, &[("data", "assets/data"), ("scripts", "a/scripts"), ("web", "b/c/web")]);
    let (after, ..) = carried_out(&tree, &there);
    let (back, ..) =
        carried_out(&after, &moves(&after, &[("assets/data", "data"), ("a/scripts", "scripts"), ("b/c/web", "web")]));
    for (file, text) in PROJECT {
        let id = back.get(&path(file)).unwrap();
        assert_eq!(String::from_utf8_lossy(&back.content(id).unwrap()), **text, "{file}");
    }
}

#[test]
fn a_symbolic_link_leads_where_it_led() {
    let scratch = Scratch::new("links", &[("a/x.txt", ""), ("run.sh", "cat b/link.txt\n")]);
    fs::create_dir_all(scratch.0.join("b")).unwrap();
    std::os::unix::fs::symlink("../a/x.txt", scratch.0.join("b/link.txt")).unwrap();
    let tree = scratch.tree();
    let moves = moves(&tree, &[("a", "c/d"), ("b", "e")]);
    let (after, texts, _) = carried_out(&tree, &moves);
    let link = after.at(&path("e/link.txt")).unwrap();
    assert_eq!(link.kind, crate::tree::Kind::Symlink(b"../c/d/x.txt".to_vec()));
    assert_eq!(texts["run.sh"], "cat e/link.txt\n");
}

fn broken(tree: &Tree) -> Vec<String> {
    let references = find(tree).unwrap();
    let broken = references.iter().filter(|reference| reference.outcome == Outcome::Broken);
    broken.map(|one| format!("{}: {}", tree.path(one.file), String::from_utf8_lossy(&one.text))).collect()
}

#[test]
fn compose_files_that_are_given_together_are_read_from_where_the_first_one_lies() {
    let scratch = Scratch::new(
        "project",
        &[
            ("suites/base.yml", "services: {}\n"),
            (
                "suites/Caddy/docker-compose.yml",
                "services:\n  a:\n    build: ../..\n    volumes:\n      - ./Caddy/conf.yml:/conf.yml\n      - ./Caddy/gone.yml:/gone.yml\n",
            ),
            ("suites/Caddy/conf.yml", "a: 1\n"),
            ("other/docker-compose.yml", "services:\n  a:\n    volumes:\n      - ./conf.yml:/conf.yml\n"),
            ("conf.yml", "not this one: it is a name alone\n"),
        ],
    );
    let tree = scratch.tree();
    assert_eq!(
        broken(&tree),
        ["other/docker-compose.yml: ./conf.yml", "suites/Caddy/docker-compose.yml: ./Caddy/gone.yml"]
    );
    let (_, written, unclear) =
        carried_out(&tree, &moves(&tree, &[("suites/Caddy/conf.yml", "suites/conf/caddy.yml")]));
    assert!(written["suites/Caddy/docker-compose.yml"].contains("- ./conf/caddy.yml:/conf.yml"), "{written:?}");
    assert_eq!(unclear, Vec::<String>::new());
}

#[test]
fn what_is_made_fetched_or_asked_for_is_not_broken() {
    let scratch = Scratch::new(
        "made",
        &[
            (".gitmodules", "[submodule \"ci\"]\n\tpath = .ci\n\turl = https://host.example/ci.git\n"),
            ("conf/app.yml.in", "a: @A@\n"),
            (
                "run.sh",
                "#!/bin/sh\nbash .ci/build.sh\n. conf/app.yml\nif [ -f conf/own.sh ]; then . conf/own.sh; fi\nkubectl get pods -o yaml\nsource ./gone.sh\nteam/image:20.1_go bash\n",
            ),
            ("image/Dockerfile.in", "FROM x\n"),
            ("image/Dockerfile", "FROM x\nCOPY payload/peer /usr/bin\n"),
            ("lib/plugin.py", "from ..loader import x\n"),
        ],
    );
    assert_eq!(broken(&scratch.tree()), ["run.sh: ./gone.sh"]);
}
