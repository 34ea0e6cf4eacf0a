//! What a file is written in, by its content where that tells, by its name where it does not.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::path::RelPath;

use Language::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Shell,
    PowerShell,
    Batch,
    Python,
    JavaScript,
    TypeScript,
    Ruby,
    Perl,
    Php,
    Lua,
    R,
    Groovy,
    Go,
    Rust,
    Java,
    Kotlin,
    Scala,
    CSharp,
    C,
    Swift,
    Elixir,
    Sql,
    Terraform,
    Dockerfile,
    Make,
    Yaml,
    Json,
    Toml,
    Ini,
    Dotenv,
    Nginx,
    Systemd,
    Crontab,
    Jinja,
    Xml,
    Markdown,
    Rst,
    Html,
    Css,
    Csv,
    Proto,
    GraphQl,
    Notebook,
    Diff,
    Ignore,
    Certificate,
    Log,
    Text,
    Image,
    Document,
    Archive,
    Program,
    Database,
    Binary,
    Empty,
}

/// What files of a language are for, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Run by an interpreter: may be a script or a program's module.
    Script,
    /// Compiled.
    Program,
    Query,
    /// Infrastructure and builds, as text.
    Infrastructure,
    Config,
    Document,
    Data,
    Binary,
}

/// Language, name, endings, whole names, interpreters; words with blanks between.
type Row = (Language, &'static str, &'static str, &'static str, &'static str);

const TABLE: &[Row] = &[
    (
        Shell,
        "shell",
        "sh bash zsh ksh bats",
        ".envrc .bashrc .profile .bash_profile .zshrc",
        "sh bash zsh dash ksh ash bats",
    ),
    (PowerShell, "powershell", "ps1 psm1 psd1", "", "pwsh"),
    (Batch, "batch", "bat cmd", "", ""),
    (Python, "python", "py pyi pyw", "", "python pypy"),
    (JavaScript, "javascript", "js mjs cjs jsx", "Jakefile", "node nodejs bun"),
    (TypeScript, "typescript", "ts tsx mts cts", "", "ts-node tsx deno"),
    (Ruby, "ruby", "rb rake gemspec", "Gemfile Rakefile Vagrantfile Capfile Brewfile Fastfile", "ruby"),
    (Perl, "perl", "pl pm", "", "perl"),
    (Php, "php", "php", "", "php"),
    (Lua, "lua", "lua", "", "lua"),
    (R, "r", "r", "", "Rscript"),
    (Groovy, "groovy", "groovy gradle", "Jenkinsfile", "groovy"),
    (Go, "go", "go", "go.mod go.sum go.work", ""),
    (Rust, "rust", "rs", "", ""),
    (Java, "java", "java", "", ""),
    (Kotlin, "kotlin", "kt kts", "", ""),
    (Scala, "scala", "scala sbt", "", ""),
    (CSharp, "c#", "cs csproj sln", "", ""),
    (C, "c", "c h cc cpp cxx hpp hh m mm", "", ""),
    (Swift, "swift", "swift", "", ""),
    (Elixir, "elixir", "ex exs", "", "elixir"),
    (Sql, "sql", "sql psql pgsql ddl dml", "", "psql"),
    (Terraform, "terraform", "tf tfvars hcl nomad", "", ""),
    (Dockerfile, "dockerfile", "dockerfile", "Dockerfile Containerfile", ""),
    (Make, "make", "mk mak", "Makefile makefile GNUmakefile", "make"),
    (Yaml, "yaml", "yml yaml", ".clang-format", ""),
    (Json, "json", "json jsonc json5 geojson jsonl ndjson tfstate", ".babelrc .eslintrc .prettierrc .swcrc", ""),
    (Toml, "toml", "toml", "Pipfile Cargo.lock poetry.lock uv.lock", ""),
    (
        Ini,
        "ini",
        "ini cfg conf properties cnf editorconfig",
        ".npmrc .editorconfig .gitconfig .gitmodules .flake8 .pylintrc .coveragerc .yarnrc",
        "",
    ),
    (Dotenv, "dotenv", "env", "", ""),
    (Systemd, "systemd", "service timer socket mount target", "", ""),
    (Crontab, "crontab", "cron crontab", "crontab", ""),
    (Jinja, "template", "j2 jinja jinja2 tmpl tpl erb mustache hbs ejs gotmpl", "", ""),
    (Xml, "xml", "xml xsd xsl wsdl plist", "", ""),
    (Markdown, "markdown", "md mdx markdown mdc", "", ""),
    (Rst, "restructuredtext", "rst adoc asciidoc org textile", "", ""),
    (Html, "html", "html htm vue svelte", "", ""),
    (Css, "css", "css scss sass less", "", ""),
    (Csv, "csv", "csv tsv", "", ""),
    (Proto, "protobuf", "proto avsc thrift", "", ""),
    (GraphQl, "graphql", "graphql gql", "", ""),
    (Notebook, "notebook", "ipynb", "", ""),
    (Diff, "diff", "diff patch", "", ""),
    (
        Ignore,
        "patterns",
        "",
        ".gitignore .dockerignore .npmignore .gitattributes .eslintignore .prettierignore .helmignore .vercelignore \
         .railwayignore .gitkeep .keep CODEOWNERS",
        "",
    ),
    (Certificate, "certificate", "pem crt cer key csr pub asc gpg p12 pfx jks", "", ""),
    (Log, "log", "log", "", ""),
    (
        Text,
        "text",
        "txt text lst list rtf in",
        "LICENSE LICENCE NOTICE AUTHORS CONTRIBUTORS MAINTAINERS OWNERS COPYING VERSION CHANGELOG README INSTALL TODO \
         Procfile .nvmrc .node-version .python-version .ruby-version .tool-versions yarn.lock Gemfile.lock",
        "",
    ),
    (Image, "image", "png jpg jpeg gif svg ico webp bmp drawio puml plantuml mmd dot", "", ""),
    (Document, "document", "pdf doc docx xls xlsx ppt pptx odt ods", "", ""),
    (Archive, "archive", "zip tar gz tgz bz2 xz zst 7z rar jar war whl", "", ""),
    (Program, "program", "so dylib dll exe o a class pyc pyo wasm bin", "", ""),
    (Database, "database", "db sqlite sqlite3 rdb mdb dump bson parquet", "", ""),
    (Nginx, "nginx", "", "nginx.conf", ""),
    (Binary, "binary", "", "", ""),
    (Empty, "empty", "", "", ""),
];

/// The table by ending, by whole name, by interpreter.
struct Index {
    endings: HashMap<&'static str, Language>,
    names: HashMap<&'static str, Language>,
    interpreters: HashMap<&'static str, Language>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let by = |words: fn(&Row) -> &'static str| {
        TABLE.iter().flat_map(|row| words(row).split_whitespace().map(|word| (word, row.0))).collect()
    };
    Index { endings: by(|row| row.2), names: by(|row| row.3), interpreters: by(|row| row.4) }
});

impl Language {
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("text", |row| row.1)
    }
    pub fn family(self) -> Family {
        match self {
            Shell | PowerShell | Batch | Python | JavaScript | TypeScript | Ruby | Perl | Php | Lua | R | Groovy => {
                Family::Script
            }
            Go | Rust | Java | Kotlin | Scala | CSharp | C | Swift | Elixir | Proto | GraphQl | Html | Css => {
                Family::Program
            }
            Sql => Family::Query,
            Terraform | Dockerfile | Make | Nginx | Systemd | Crontab => Family::Infrastructure,
            Yaml | Json | Toml | Ini | Dotenv | Jinja | Xml | Ignore | Certificate => Family::Config,
            Markdown | Rst | Text | Image | Document | Notebook | Diff => Family::Document,
            Csv | Log | Database | Archive => Family::Data,
            Program | Binary | Empty => Family::Binary,
        }
    }
    /// True for the source of a program that is built before it runs.
    pub fn is_compiled(self) -> bool {
        self.family() == Family::Program && !matches!(self, Proto | GraphQl | Html | Css)
    }
    /// True for what people or programs run as a file of its own.
    pub fn is_code(self) -> bool {
        matches!(self.family(), Family::Script | Family::Program)
    }

    /// `head` is the beginning of the content, `is_text` what the whole of it is.
    pub fn of(path: &RelPath, head: &[u8], is_text: bool) -> Language {
        if head.is_empty() {
            return Empty;
        }
        if let Some(language) = by_magic(head) {
            return language;
        }
        let name = String::from_utf8_lossy(path.name());
        let named = by_name(undressed(&name));
        if !is_text {
            return named
                .filter(|named| matches!(named, Image | Document | Archive | Program | Database | Certificate))
                .unwrap_or(Binary);
        }
        if let Some(language) = by_interpreter(head) {
            return language;
        }
        match named {
            // Endings that mean little: the content decides where it is plain.
            None | Some(Text | Log | Ini | Jinja | Database | Program | Archive | Document) => by_content(head)
                // `# ` begins a comment in a configuration and a heading in a document.
                .filter(|found| !(*found == Markdown && named == Some(Ini)))
                .or(named.filter(|named| !matches!(named, Database | Program | Archive | Document)))
                .unwrap_or(Text),
            Some(named) => named,
        }
    }
}

/// Endings that say what became of a file, not what it is.
pub const FORMER: &[&str] = &[
    "bak",
    "backup",
    "old",
    "orig",
    "save",
    "saved",
    "tmp",
    "temp",
    "disabled",
    "off",
    "broken",
    "deprecated",
    "unused",
    "rej",
    "swp",
    "copy",
    "prev",
    "previous",
    "dead",
    "archived",
    "dist",
    "example",
    "sample",
    "template",
];

/// The name without what dresses it up: `a.sql.backup`, `a.sql.bak2`, `b.sh~`, `c.md"`.
fn undressed(name: &str) -> &str {
    let mut name = name.trim_end_matches(['~', '"', '\'', ' ', '#']);
    loop {
        let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else { return name };
        let word = ending.to_ascii_lowercase();
        let word = word.split(['_', '-']).next().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
        if !FORMER.contains(&word) || stem.ends_with('.') {
            return name;
        }
        name = stem;
    }
}

fn by_name(name: &str) -> Option<Language> {
    if let Some(language) = INDEX.names.get(name) {
        return Some(*language);
    }
    let lower = name.to_ascii_lowercase();
    if lower == ".env" || lower.starts_with(".env.") || lower.ends_with(".env") || lower == "env" {
        return Some(Dotenv);
    }
    if lower.starts_with("dockerfile.") || lower.starts_with("dockerfile-") || lower.ends_with("dockerfile") {
        return Some(Dockerfile);
    }
    if lower.starts_with("makefile.") || lower == "makefile" {
        return Some(Make);
    }
    let (_, ending) = lower.rsplit_once('.')?;
    INDEX.endings.get(ending).copied()
}

fn by_magic(head: &[u8]) -> Option<Language> {
    const MAGIC: &[(&[u8], Language)] = &[
        (b"\x7fELF", Program),
        (b"MZ\x90", Program),
        (b"\xca\xfe\xba\xbe", Program),
        (b"\xfe\xed\xfa", Program),
        (b"\x89PNG", Image),
        (b"\xff\xd8\xff", Image),
        (b"GIF8", Image),
        (b"%PDF", Document),
        (b"\x1f\x8b", Archive),
        (b"BZh", Archive),
        (b"\xfd7zXZ", Archive),
        (b"(\xb5/\xfd", Archive),
        (b"PK\x03\x04", Archive),
        (b"SQLite format 3", Database),
        (b"PGDMP", Database),
        (b"REDIS0", Database),
    ];
    MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, language)| *language)
}

/// The `#!` line.
fn by_interpreter(head: &[u8]) -> Option<Language> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace().flat_map(|word| word.rsplit('/').next());
    let mut word = words.next()?;
    if word == "env" {
        word = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    }
    let plain = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INDEX.interpreters.get(word).or_else(|| INDEX.interpreters.get(plain)).copied()
}

/// What the first lines look like.
fn by_content(head: &[u8]) -> Option<Language> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}');
    if text.starts_with("-----BEGIN ") {
        return Some(Certificate);
    }
    if text.starts_with("<?xml") {
        return Some(Xml);
    }
    let trimmed = text.trim_start();
    if trimmed.starts_with("<!DOCTYPE html") || trimmed.starts_with("<html") {
        return Some(Html);
    }
    let is_json =
        |open: char, next: &[char]| trimmed.strip_prefix(open).is_some_and(|rest| rest.trim_start().starts_with(next));
    if is_json('{', &['"', '}']) || is_json('[', &['{', '"', ']', '[']) {
        return Some(Json);
    }
    let mut counts: [(Language, usize); 7] =
        [(Sql, 0), (Shell, 0), (Python, 0), (JavaScript, 0), (Yaml, 0), (Dotenv, 0), (Markdown, 0)];
    let mut add = |language: Language| {
        counts.iter_mut().filter(|(known, _)| *known == language).for_each(|(_, count)| *count += 1)
    };
    let mut lines = 0;
    for line in text.lines().take(60).map(str::trim_end).filter(|line| !line.trim().is_empty()) {
        lines += 1;
        let word: String = line.trim_start().chars().take_while(|c| c.is_ascii_alphabetic()).collect();
        let upper = word.to_ascii_uppercase();
        let is_statement = [
            "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "GRANT", "WITH", "BEGIN", "COMMIT",
            "FROM", "WHERE", "JOIN", "VALUES", "COMMENT",
        ]
        .contains(&upper.as_str());
        if line.trim_start().starts_with("--") || (is_statement && word == upper) {
            add(Sql);
        }
        if ["echo", "export", "fi", "done", "esac", "then", "source", "set", "cd", "sudo", "exit"]
            .contains(&word.as_str())
        {
            add(Shell);
        }
        let is_block =
            line.ends_with(':') && ["def", "class", "if", "for", "try", "with", "while"].contains(&word.as_str());
        if is_block
            || ["import", "from"].contains(&word.as_str()) && !line.ends_with(';') && !line.contains(['\'', '"'])
        {
            add(Python);
        }
        if (["const", "let", "var", "function", "import", "export"].contains(&word.as_str())
            && line.contains(['{', ';', '=']))
            || line.starts_with("module.exports")
        {
            add(JavaScript);
        }
        let key = line.trim_start().trim_start_matches("- ").split(": ").next().unwrap_or_default();
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        if line == "---"
            || ((line.contains(": ") || line.ends_with(':')) && (is_key || line.ends_with(':') && !line.contains(' ')))
        {
            add(Yaml);
        }
        let name = line.strip_prefix("export ").unwrap_or(line).split('=').next().unwrap_or_default();
        if line.contains('=')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        {
            add(Dotenv);
        }
        if line.starts_with("# ")
            || line.starts_with("## ")
            || line.starts_with("```")
            || line.starts_with("- [")
            || line.starts_with("| ")
        {
            add(Markdown);
        }
    }
    let (language, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    // One line in three says so; a comment sign alone could be of a dozen languages.
    (count * 3 >= lines.max(1) && (count >= 2 || lines == 1)).then_some(language)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, content: &str) -> &'static str {
        Language::of(&RelPath::new(name).unwrap(), content.as_bytes(), !content.contains('\0')).name()
    }

    #[test]
    fn content_decides_where_it_can() {
        for (name, content, expected) in [
            ("run", "#!/usr/bin/env -S bash -e\n", "shell"),
            ("tool", "#!/usr/bin/python3.11\n", "python"),
            ("odd.txt", "#!/usr/bin/env node\n", "javascript"),
            ("logo", "\u{0}\u{1}", "binary"),
            ("Database", "-- a table\nCREATE TABLE x (\n  id int\n);\n", "sql"),
            ("Connection", "{\n  \"a\": 1\n}\n", "json"),
            ("settings", "a: 1\nb:\n  - c\n", "yaml"),
            ("config.txt", "API_URL=http://x\nPORT=1\n", "dotenv"),
            ("notes", "just some words\nand more of them\nwith no form\n", "text"),
            ("key", "-----BEGIN PRIVATE KEY-----\n", "certificate"),
            ("x.sql", "", "empty"),
            ("x.pdf", "SELECT 1;\n", "sql"),
        ] {
            assert_eq!(of(name, content), expected, "{name}");
        }
    }

    #[test]
    fn names_help_and_what_dresses_them_up_does_not_hide_them() {
        for (name, expected) in [
            ("a.sql.backup", "sql"),
            ("a.sql.bak2", "sql"),
            ("mode2.py.backup_wf", "python"),
            ("GUIDE.md\"", "markdown"),
            ("x.tf", "terraform"),
            (".env.production", "dotenv"),
            ("Dockerfile.backend", "dockerfile"),
            ("Makefile", "make"),
            ("a.d.ts", "typescript"),
            (".gitignore", "patterns"),
            ("build.rs~", "rust"),
            ("docker-compose.yml", "yaml"),
        ] {
            assert_eq!(of(name, "x\n"), expected, "{name}");
        }
    }
}
