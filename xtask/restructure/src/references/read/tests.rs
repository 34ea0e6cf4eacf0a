use expect_test::{Expect, expect};

use super::*;

/// What a text says, a line a mention: its place, what it is, how sure, the path (what is known only at run time behind a
/// bar), where it is read from.
fn check(language: Language, text: &str, expect: Expect) {
    let said = read(language, text.as_bytes());
    let mut shown = String::new();
    for (number, mention) in said.mentions.iter().enumerate() {
        let line = text[..mention.span.start].matches('\n').count() + 1;
        let path = String::from_utf8_lossy(&mention.text).into_owned();
        let tail = if mention.tail.is_empty() {
            String::new()
        } else {
            format!("|{}", String::from_utf8_lossy(&mention.tail))
        };
        let bases: Vec<String> = mention.bases.iter().map(|base| format!("{base:?}")).collect();
        let raw = &text[mention.span.clone()];
        let raw = if raw == path { String::new() } else { format!(" as {raw:?}") };
        let what = format!("{} {:?} {path}{tail}{raw}", mention.kind.name(), mention.weight);
        shown += &format!("{number} {line}: {what} <- {}\n", bases.join(" or "));
    }
    expect.assert_eq(&shown);
}

#[test]
fn shell_sources_calls_and_folders() {
    check(
        Language::Shell,
        r#"#!/bin/bash
source lib/common.sh
. "./env.sh"
bash scripts/run.sh --file=conf/a.yml data/in.csv
./deploy.sh > out/log.txt 2>&1 < conf/input.txt
sudo FOO=bar "bin/my tool.sh"
cd services/api && python3 src/main.py
(cd web; npm run build)
node build/x.js | tee result.txt
if [ -f config/x.yml ]; then cat config/x.yml; fi
"#,
        expect![[r#"
            0 2: source Sure lib/common.sh <- Cwd
            1 3: source Sure ./env.sh <- Cwd
            2 4: call Sure scripts/run.sh <- Cwd
            3 4: argument Likely conf/a.yml <- Cwd
            4 4: argument Likely data/in.csv <- Cwd
            5 5: redirection Made out/log.txt <- Cwd
            6 5: redirection Sure conf/input.txt <- Cwd
            7 5: call Sure ./deploy.sh <- Cwd
            8 6: variable Idle bar <- Cwd
            9 6: call Sure bin/my tool.sh <- Cwd
            10 7: folder Sure services/api <- Cwd
            11 7: call Sure src/main.py <- At(10)
            12 8: folder Sure web <- At(10)
            13 9: call Sure build/x.js <- At(10)
            14 9: argument Made result.txt <- At(10)
            15 10: argument Likely config/x.yml <- At(10)
            16 10: argument Likely config/x.yml <- At(10)
        "#]],
    );
}

#[test]
fn shell_idioms_of_the_own_folder() {
    check(
        Language::Shell,
        r#"
SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(cd "$SCRIPT_DIR/../.." && pwd)"
PARENT=$(dirname "$SCRIPT_DIR")
source "$SCRIPT_DIR/lib.sh"
bash "${ROOT}"/scripts/'a b.sh'
cd "$(dirname "$0")/.."
cat "$PARENT/x.txt" `dirname $0`/y.txt
here=${0%/*}
. "$here/z.sh"
TOP=$(git rev-parse --show-toplevel)
cp "$TOP/a.txt" /tmp/
"$ROOT/bin/tool-$ARCH" "$ROOT"/sql/*.sql
"#,
        expect![[r#"
            0 3: folder Sure ../.. as "/../.." <- Own
            1 4: folder Likely .. as "$(dirname \"$SCRIPT_DIR\")" <- Own
            2 5: source Sure lib.sh as "/lib.sh" <- Own
            3 6: call Sure scripts/a b.sh as "/scripts/'a b.sh" <- At(0)
            4 7: folder Sure .. as "/.." <- Own
            5 8: argument Likely x.txt as "/x.txt" <- At(1)
            6 8: argument Likely y.txt as "/y.txt" <- Own
            7 10: source Sure z.sh as "/z.sh" <- Own
            8 12: argument Likely a.txt as "/a.txt" <- Root
            9 13: call Likely bin/|tool-* as "/bin/" <- At(0)
            10 13: argument Likely sql/|*.sql as "/sql/" <- At(0)
        "#]],
    );
}

#[test]
fn shell_variables_loops_and_texts() {
    check(
        Language::Shell,
        r#"
FILE=database/schema.sql
psql -f "$FILE"
psql -f "$ROOT_DIR/$FILE"
for f in a.sql b.sql; do psql -f "migrations/$f"; done
for f in migrations/*.sql; do psql < "$f"; done
CONF="${CONF:-config/default.yml}"
NAMES=(one.sh two.sh)
echo "run ./scripts/help.sh to learn more, or see https://example.org/a/b.sh"
bash -c 'cd docs && ./build.sh'
cat <<EOF2 > made.txt
see $DIR/inner.txt and docs/guide.md
EOF2
psql <<'SQL'
\i sql/first.sql
SQL
case "$1" in
  up) docker compose -f docker/compose.yml --env-file .env up ;;
  *) docker build -f docker/Dockerfile services/api ;;
esac
"#,
        expect![[r#"
            0 2: variable Likely database/schema.sql <- Root or Cwd
            1 5: variable Word a.sql <- Cwd
            2 5: variable Word b.sql <- Cwd
            3 5: argument Likely migrations/|a.sql <- Cwd
            4 5: argument Likely migrations/|b.sql <- Cwd
            5 6: variable Likely migrations/|*.sql <- Cwd
            6 7: variable Likely config/default.yml <- Cwd
            7 8: variable Word one.sh <- Cwd
            8 8: variable Word two.sh <- Cwd
            9 9: prose Word ./scripts/help.sh <- Above
            10 10: folder Sure docs <- Cwd
            11 10: call Sure ./build.sh <- At(10)
            12 11: redirection Made made.txt <- Cwd
            13 12: prose Word docs/guide.md <- Above
            14 12: argument Word inner.txt as "/inner.txt" <- Own
            15 15: include Sure sql/first.sql <- Cwd
            16 18: argument Sure docker/compose.yml <- Cwd
            17 18: argument Sure .env <- Cwd
            18 19: argument Sure docker/Dockerfile <- Cwd
            19 19: folder Likely services/api <- Cwd
        "#]],
    );
}

#[test]
fn markdown() {
    check(
        Language::Markdown,
        "# T\n\n[a](docs/a.md#x \"t\") ![i](<img/b c.png>) [h](https://x.org/y) [s](#s)\n[r]: ../r.md\n[p](with%20blank.md) and `scripts/run.sh` and `a/b c` `not-a-path`\n\n```sh\n$ cd services/api\n$ ./start.sh\n```\n\n```yaml\nfile: conf/x.yml\n```\n\n<img src=\"img/z.png\">\n",
        expect![[r#"
            0 3: link Sure docs/a.md <- Own
            1 3: image Sure img/b c.png <- Own
            2 4: link Sure ../r.md <- Own
            3 5: link Sure with blank.md as "with%20blank.md" <- Own
            4 5: code span Likely scripts/run.sh <- Above
            5 8: folder Likely services/api <- Cwd
            6 9: call Likely ./start.sh <- At(5)
            7 13: prose Word conf/x.yml <- Above
            8 16: image Sure img/z.png <- Own
        "#]],
    );
    check(
        Language::Record,
        "- [a](docs/a.md) adds `scripts/run.sh`\n",
        expect![[r#"
        0 1: link Sure docs/a.md <- Own
    "#]],
    );
}

#[test]
fn compose() {
    check(
        Language::Compose,
        "services:\n  api:\n    build:\n      dockerfile: ../docker/Dockerfile.api\n      context: ./services/api\n    env_file: [.env, conf/api.env]\n    volumes:\n      - ./config/nginx.conf:/etc/nginx/nginx.conf:ro\n      - data:/var\n      - type: bind\n        source: ../logs\n  db:\n    build: ${DB_DIR:-./db}\n    extends:\n      file: base.yml\nsecrets:\n  key:\n    file: ./secrets/key\n",
        expect![[r#"
            0 5: build Sure ./services/api <- Project
            1 4: build Sure ../docker/Dockerfile.api <- At(0)
            2 6: include Sure .env <- Project
            3 6: include Sure conf/api.env <- Project
            4 8: setting Sure ./config/nginx.conf <- Project
            5 11: setting Likely ../logs <- Project
            6 13: build Likely ./db <- Project
            7 13: build Likely Dockerfile as "" <- At(6)
            8 15: include Sure base.yml <- Project
            9 18: build Likely ./secrets/key <- Project
        "#]],
    );
}

#[test]
fn dockerfiles() {
    check(
        Language::Dockerfile,
        "FROM node AS build\nCOPY package.json package-lock.json ./\nCOPY --from=build /app/dist /srv\nCOPY --chown=a:b \\\n  src/ ./src/\nADD [\"a b.txt\", \"/x\"]\nCOPY *.py /app/\nRUN --mount=type=bind,source=go.mod,target=go.mod go build\nRUN cat /etc/passwd\n",
        expect![[r#"
            0 2: build Sure package.json <- Cwd
            1 2: build Sure package-lock.json <- Cwd
            2 5: build Sure src/ <- Cwd
            3 6: build Sure a b.txt <- Cwd
            4 7: build Sure |*.py <- Cwd
            5 8: build Likely go.mod <- Cwd
        "#]],
    );
}

#[test]
fn makefiles() {
    check(
        Language::Makefile,
        "include mk/common.mk\n-include local.mk\nSCRIPTS := scripts\nCONF = config/app.yml\nbuild: src/main.c config.h\n\t@bash scripts/build.sh $(CONF)\n\tcd services/api && \\\n\t  npm ci\n\t$(SCRIPTS)/run.sh $$HOME/x\n\t$(MAKE) -C web\n",
        expect![[r#"
            0 1: include Sure mk/common.mk <- Cwd
            1 2: include Likely local.mk <- Cwd
            2 3: variable Likely scripts <- Cwd
            3 4: variable Likely config/app.yml <- Cwd
            4 5: argument Word src/main.c <- Cwd
            5 5: argument Word config.h <- Cwd
            6 6: call Sure scripts/build.sh <- Cwd
            7 7: folder Sure services/api <- Cwd
            8 9: call Sure run.sh as "/run.sh" <- At(2)
            9 10: folder Likely web <- Cwd
        "#]],
    );
}

#[test]
fn packages() {
    check(
        Language::Package,
        r#"{"name": "x/y", "main": "./lib/index.js", "bin": {"x": "bin/x.js"}, "files": ["lib", "!lib/test"],
 "workspaces": ["packages/*"], "scripts": {"a": "node scripts/a.js && cd sub && bash \"../b.sh\""},
 "dependencies": {"z": "file:../z", "w": "^1.0.0"}}"#,
        expect![[r#"
            0 1: setting Likely ./lib/index.js <- Own
            1 1: setting Likely bin/x.js <- Own
            2 1: pattern Likely lib <- Own
            3 1: pattern Likely lib/test <- Own
            4 2: pattern Likely packages/|* <- Own
            5 2: call Sure scripts/a.js <- Own
            6 2: folder Sure sub <- Own
            7 2: call Sure ../b.sh <- At(6)
            8 3: setting Likely ../z <- Own
        "#]],
    );
    check(
        Language::Tsconfig,
        r#"{"extends": "../tsconfig.base.json", "compilerOptions": {"baseUrl": "./src", "outDir": "dist", "paths": {"@/*": ["lib/*"]}},
 "include": ["src/**/*.ts"], "references": [{"path": "../shared"}]}"#,
        expect![[r#"
            0 1: setting Likely ./src <- Own
            1 1: include Sure ../tsconfig.base.json <- Own
            2 1: setting Made dist <- Own
            3 1: pattern Likely lib/|* <- At(0)
            4 2: pattern Likely src/|**/*.ts <- Own
            5 2: include Sure ../shared <- Own
        "#]],
    );
}

#[test]
fn workflows() {
    check(
        Language::Github,
        "on:\n  push:\n    paths:\n      - 'services/api/**'\n      - '!docs/x.md'\ndefaults:\n  run:\n    working-directory: services\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@v4\n      - uses: ./.github/actions/setup\n        with:\n          config: ./ci/config.yml\n          key: ${{ hashFiles('web/package-lock.json') }}\n      - name: run\n        working-directory: web\n        run: |\n          bash ../scripts/x.sh\n          ./local.sh\n      - run: ./in-services.sh\n",
        expect![[r#"
            0 8: folder Likely services <- Root
            1 18: folder Likely web <- Root
            2 4: pattern Likely services/api/|** <- Root
            3 5: pattern Likely docs/x.md <- Root
            4 13: call Sure ./.github/actions/setup <- Root
            5 15: setting Likely ./ci/config.yml <- Root
            6 16: pattern Likely web/package-lock.json <- Root
            7 20: call Sure ../scripts/x.sh <- At(1)
            8 21: call Sure ./local.sh <- At(1)
            9 22: call Sure ./in-services.sh <- At(0)
        "#]],
    );
    check(
        Language::Ci,
        "test:\n  script:\n    - cd services/api\n    - ./test.sh\n  rules:\n    - changes: [services/api/main.py]\ninclude:\n  - local: /ci/base.yml\n",
        expect![[r#"
            0 3: folder Sure services/api <- Root
            1 4: call Sure ./test.sh <- At(0)
            2 6: pattern Likely services/api/main.py <- Root
            3 8: include Likely ci/base.yml <- Root
        "#]],
    );
}

#[test]
fn kustomize_and_terraform() {
    check(
        Language::Kustomize,
        "resources:\n  - ../base\n  - https://x.org/y.yaml\n  - deployment.yaml\npatches:\n  - path: patch.yaml\n  - patch: |-\n      - op: add\nconfigMapGenerator:\n  - name: c\n    files: [app.conf=files/app.conf]\n",
        expect![[r#"
            0 2: include Sure ../base <- Own
            1 4: include Sure deployment.yaml <- Own
            2 6: include Sure patch.yaml <- Own
            3 11: include Likely files/app.conf <- Own
        "#]],
    );
    check(
        Language::Terraform,
        "module \"a\" {\n  source = \"../modules/a\"\n}\nmodule \"b\" {\n  source = \"hashicorp/consul/aws\"\n}\nlocals {\n  x = file(\"${path.module}/files/x.json\")\n  y = templatefile(\"t/y.tpl\", {})\n  z = \"${path.module}/env/${var.env}.yml\"\n}\n",
        expect![[r#"
            0 2: include Sure ../modules/a <- Own
            1 8: open Likely files/x.json as "/files/x.json" <- Own
            2 9: open Likely t/y.tpl <- Own or Cwd
            3 10: open Likely env/|*.yml as "/env/" <- Own
        "#]],
    );
}

#[test]
fn python_paths() {
    check(
        Language::Python,
        r#"
import os, sys
from pathlib import Path
ROOT = Path(__file__).resolve().parent.parent
HERE = os.path.dirname(os.path.abspath(__file__))
UP = os.path.dirname(os.path.dirname(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
a = ROOT / "config" / "a.yml"
b = open(os.path.join(os.path.dirname(__file__), '../data/b.csv'))
c = Path(__file__).parents[2].joinpath("c", "d.txt")
d = f"{ROOT}/sql/{name}.sql"
with open("out/result.json", "w") as f: pass
e = open('conf/e.json')
"""docs: see docs/guide.md"""
"#,
        expect![[r#"
            0 2: import Likely os <- Modules
            1 2: import Likely sys <- Modules
            2 3: import Likely pathlib <- Modules
            3 3: import Word Path <- At(2)
            4 4: variable Likely .. as "Path(__file__).resolve().parent.parent" <- Own
            5 6: variable Likely .. as "os.path.dirname(os.path.dirname(__file__))" <- Own
            6 7: folder Likely ../lib as "os.path.join(HERE, \"..\", \"lib\")" <- Own
            7 8: variable Likely config/a.yml as "ROOT / \"config\" / \"a.yml\"" <- At(4)
            8 9: open Sure ../data/b.csv as "os.path.join(os.path.dirname(__file__), '../data/b.csv')" <- Own
            9 10: variable Likely ../../c/d.txt as "Path(__file__).parents[2].joinpath(\"c\", \"d.txt\")" <- Own
            10 11: variable Likely sql|/*.sql as "{ROOT}/sql/{name}.sql" <- At(4)
            11 12: open Made out/result.json <- Cwd
            12 13: open Likely conf/e.json <- Cwd
            13 14: prose Word docs/guide.md <- Above
        "#]],
    );
}

#[test]
fn python_imports() {
    check(
        Language::Python,
        "import a.b, c as d\nfrom e.f import g, h as i\nfrom . import j\nfrom ..k.l import (\n    m,\n    n,\n)\ntry:\n    from .local import *\nexcept ImportError: pass\n",
        expect![[r#"
            0 1: import Likely a/b as "a.b" <- Modules
            1 1: import Likely c <- Modules
            2 2: import Likely e/f as "e.f" <- Modules
            3 2: import Word g <- At(2)
            4 2: import Word h <- At(2)
            5 3: import Likely . <- Own
            6 3: import Word j <- At(5)
            7 4: import Sure ../k/l as "..k.l" <- Own
            8 5: import Word m <- At(7)
            9 6: import Word n <- At(7)
            10 9: import Likely local as ".local" <- Own
        "#]],
    );
}

#[test]
fn javascript() {
    check(
        Language::JavaScript,
        r#"import a, { b } from './a';
export * from "../b/index.js";
const c = require('./c.json'), d = await import(`./d`);
import e from '@/e';
const ROOT = path.resolve(__dirname, '..');
const f = path.join(ROOT, 'config', 'f.json');
fs.writeFileSync(path.join(__dirname, '../out/g.txt'), x);
const h = new URL('./h.txt', import.meta.url);
const i = `${ROOT}/sql/${name}.sql`;
execSync('bash scripts/j.sh --x');
const k = __dirname + '/../k.txt', l = a / b / c, m = /"not a string/;
define(['./n'], function () {});
fs.readFileSync('data/o.csv');
"#,
        expect![[r#"
            0 1: import Sure ./a <- Own
            1 2: import Sure ../b/index.js <- Own
            2 3: import Sure ./c.json <- Own
            3 3: import Sure ./d <- Own
            4 4: import Likely @/e <- Outside
            5 5: variable Likely .. as "path.resolve(__dirname, '..')" <- Own
            6 6: variable Likely config/f.json as "path.join(ROOT, 'config', 'f.json')" <- At(5)
            7 7: open Made ../out/g.txt as "path.join(__dirname, '../out/g.txt')" <- Own
            8 8: variable Likely ./h.txt as "new URL('./h.txt', import.meta.url)" <- Own
            9 9: variable Likely sql|/*.sql as "${ROOT}/sql/${name}.sql" <- At(5)
            10 10: call Likely scripts/j.sh <- Cwd
            11 11: variable Likely ../k.txt as "__dirname + '/../k.txt'" <- Own
            12 12: import Sure ./n <- Own
            13 13: open Likely data/o.csv <- Cwd
        "#]],
    );
}

#[test]
fn sql_and_patterns() {
    check(
        Language::Sql,
        "-- run: psql -f database/all.sql\n\\i schema/a.sql\n\\ir ../b.sql\n\\copy t from 'data/c.csv' csv\nselect '\\i no.sql';\n",
        expect![[r#"
            0 1: prose Word database/all.sql <- Above
            1 2: include Sure schema/a.sql <- Cwd
            2 3: include Sure ../b.sql <- Own
            3 4: open Likely data/c.csv <- Cwd
        "#]],
    );
    check(
        Language::Ignore,
        "# c\nnode_modules\n/docs/a.md\n!config/keep.yml\n*.log\nlogs/\n",
        expect![[r#"
        0 3: pattern Likely docs/a.md <- Own
        1 4: pattern Likely config/keep.yml <- Own
    "#]],
    );
    check(
        Language::Owners,
        "/services/api/ @team\n*.md @x\n",
        expect![[r#"
        0 1: pattern Likely services/api/ <- Root
    "#]],
    );
}

#[test]
fn settings() {
    check(
        Language::Yaml,
        "rule_files:\n  - rules/a.yml\nname: some/thing else\ncommand: bash scripts/x.sh\ntemplate_path: t.html\nimage: a/b:1\n",
        expect![[r#"
            0 2: setting Word rules/a.yml <- Own or Above
            1 3: prose Word some/thing <- Above
            2 4: setting Word bash scripts/x.sh <- Own or Above
            3 4: prose Word scripts/x.sh <- Above
            4 5: setting Word t.html <- Own or Above
        "#]],
    );
    check(
        Language::Toml,
        "[tool.x]\nreadme = \"README.md\"\npath = './a/b'\nv = \"1.0/2\"\n",
        expect![[r#"
        0 2: setting Word README.md <- Own or Above
        1 3: setting Likely ./a/b <- Own or Above
        2 4: setting Word 1.0/2 <- Own or Above
    "#]],
    );
    check(
        Language::Json,
        r#"{"$schema": "./schema.json", "a": ["conf/b.yml"], "u": "https://x.org/c/d.json"}"#,
        expect![[r#"
            0 1: setting Likely ./schema.json <- Own or Above
            1 1: setting Word conf/b.yml <- Own or Above
        "#]],
    );
    check(
        Language::Text,
        "// see docs/a.md and and/or http://x.org/b/c.md $X/d/e.sh\n",
        expect![[r#"
        0 1: prose Word docs/a.md <- Above
        1 1: prose Word and/or <- Above
    "#]],
    );
}
