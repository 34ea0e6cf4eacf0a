use super::*;

/// Each piece that executes something, COPY with its data behind `«`; checks that nothing is lost on the way.
fn pieces(text: &str) -> Vec<String> {
    let pieces = split(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let joined: String = pieces.iter().map(|piece| &text[piece.whole.clone()]).collect();
    assert_eq!(joined, text);
    pieces
        .iter()
        .filter_map(|piece| match &piece.kind {
            Kind::Empty => None,
            Kind::Copy { data } => Some(format!("{}«{}", piece.sql(text), &text[data.clone()])),
            Kind::Meta { name, arguments } => Some(format!("\\{}[{}]", &text[name.clone()], &text[arguments.clone()])),
            Kind::Sql => Some(piece.sql(text).to_owned()),
        })
        .collect()
}

fn error(text: &str) -> String {
    split(text).expect_err(text).to_string()
}

#[test]
fn statements() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("\u{feff}", &[]),
        (" ;; \n-- only ; a comment\n/* ; */", &[]),
        ("a;b", &["a;", "b"]),
        ("\u{feff}-- c\na ; -- d\n\x0c b -- ;\n", &["a ;", "b"]),
        (
            "select ';', $$;$$, \";\", E'\\';', (1;2), /* ; */ 1; b;",
            &["select ';', $$;$$, \";\", E'\\';', (1;2), /* ; */ 1;", "b;"],
        ),
        ("a\r\n;\r\nb;\r\n", &["a\r\n;", "b;"]),
        ("a --;\r;b", &["a --;\r;", "b"]),
        ("select 1); b;", &["select 1);", "b;"]),
        ("é;ü", &["é;", "ü"]),
        ("do $x$ begin; $$ ; $$ end $x$; b", &["do $x$ begin; $$ ; $$ end $x$;", "b"]),
        (
            "create rule r as on insert to t do (select 1; select 2); b",
            &["create rule r as on insert to t do (select 1; select 2);", "b"],
        ),
        ("select U&'d\\0061;' UESCAPE '!'; b", &["select U&'d\\0061;' UESCAPE '!';", "b"]),
    ];
    for (text, expected) in cases {
        assert_eq!(pieces(text), *expected, "{text}");
    }
}

#[test]
fn function_bodies_in_sql() {
    for whole in [
        "create function f() returns int begin atomic select 1; select case when true then 2 end; end;",
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC select case 1 when 1 then case 2 when 2 then 3 end end; select 1; END;",
        "create function f(begin int) returns table (\"end\" int) language sql begin atomic; end;",
        "create function f() returns int language plpgsql as $$ begin; end; $$;",
        "create function f() returns int return case when true then 1 end;",
        "create function s.f() begin atomic select (case when true then 1 end); end;",
    ] {
        assert_eq!(pieces(&format!("{whole}\nselect 2;")), [whole, "select 2;"]);
    }
    // only psql's own head counts
    assert_eq!(pieces("create table begin(a int); begin; end; create trigger t execute function begin(); b;").len(), 5);
    assert_eq!(pieces("create or replace view v as select 1 as begin; b;").len(), 2);
}

#[test]
fn copy_takes_the_lines_below() {
    let cases: &[(&str, &[&str])] = &[
        ("copy t from stdin;\n1;\t'\n\\.\nb;", &["copy t from stdin;«1;\t'\n", "b;"]),
        (
            "COPY t (a, \"from\") FROM STDIN WITH (FORMAT csv) ; -- data\r\n1\r\n\\.\r\nb",
            &["COPY t (a, \"from\") FROM STDIN WITH (FORMAT csv) ;«1\r\n", "b"],
        ),
        ("copy t from stdin;\n\\.", &["copy t from stdin;«"]),
        ("copy t from stdin;\n\\.x\n \\.\n\\.\n", &["copy t from stdin;«\\.x\n \\.\n"]),
        ("copy t from /* where */ stdout;\n\\.\n", &["copy t from /* where */ stdout;«"]),
        (
            "copy t from 'stdin'; b; copy t from program 'x'; copy (select 1 from stdin) to stdout; select 1 from stdin;",
            &[
                "copy t from 'stdin';",
                "b;",
                "copy t from program 'x';",
                "copy (select 1 from stdin) to stdout;",
                "select 1 from stdin;",
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(pieces(text), *expected, "{text}");
    }
    assert_eq!(error("a;\n copy t from stdin;\n1\n"), "2:2: the data of this COPY does not end");
    assert_eq!(error("copy t from stdin"), "1:1: COPY … FROM STDIN without `;` and data");
    assert_eq!(error("copy t from stdin; select 1;\n\\.\n"), "1:19: a statement behind COPY … FROM STDIN");
    assert_eq!(
        error("copy t from stdin (format 'binary');\n\\.\n"),
        "1:1: binary COPY data cannot stand in a text file"
    );
    assert_eq!(error("copy binary t from stdin;\n\\.\n"), "1:1: binary COPY data cannot stand in a text file");
    assert_eq!(error("a;\n\\.\n"), "2:1: the end of COPY data (`\\.`) without a COPY … FROM STDIN before it");
}

#[test]
fn lines_for_psql() {
    let cases: &[(&str, &[&str])] = &[
        (
            "\\set ON_ERROR_STOP 1\r\na; \\echo hi ;\n-- c\n\\q",
            &["\\set[ON_ERROR_STOP 1]", "a;", "\\echo[hi ;]", "\\q[]"],
        ),
        ("\\i'a b'\n\\!ls\n", &["\\i'a[b']", "\\!ls[]"]),
        ("'\\q'; $$\n\\q\n$$; --\\q\n/*\n\\q*/ \"\\q\";", &["'\\q';", "$$\n\\q\n$$;", "\"\\q\";"]),
    ];
    for (text, expected) in cases {
        assert_eq!(pieces(text), *expected, "{text}");
    }
    assert_eq!(error("select 1\n\\gexec\n"), "2:1: the psql command `\\gexec` inside a statement");
    assert_eq!(error("select 1 \\; select 2;"), "1:10: the psql command `\\;` inside a statement");
}

#[test]
fn what_does_not_end_is_placed_where_it_began() {
    assert_eq!(error("a;\r\n  select 'é\n;"), "2:10: unterminated quoted string");
    assert_eq!(error("a; /* /* */\n;"), "1:4: unterminated /* comment");
    assert_eq!(error("\u{feff}select $é$ $$;"), "1:8: unterminated dollar-quoted string");
    assert_eq!(error("select \"a;\n"), "1:8: unterminated quoted name");
    assert_eq!(error("a;\nselect (1, (2);\nb;"), "2:8: this parenthesis is never closed");
    assert_eq!(
        error("create function f() begin atomic select 1;\nb;"),
        "1:21: this block of a function body has no END"
    );
}

#[test]
fn places() {
    let text =
        "\u{feff}-- head\r\n\r\n\t/* é */ select\r\n  1;;\r\ncopy t from stdin;\r\n1\r\n2\r\n\\.\r\n\r\nlast -- x\r\n";
    let places: Vec<_> =
        split(text).unwrap().iter().map(|piece| format!("{}-{}", piece.place, piece.last_line)).collect();
    assert_eq!(places, ["3:10-4", "4:5-4", "5:1-7", "10:1-10"]);
    let copy = &split(text).unwrap()[2];
    assert_eq!(copy.data_line(text), Some(6));
}

/// Any input either splits without loss or is refused; none panics. A deterministic walk over nasty fragments.
#[test]
fn any_input_comes_back_byte_for_byte() {
    const PARTS: &[&str] = &[
        "'",
        "''",
        "E'",
        "\\",
        "\\'",
        "\"",
        "$$",
        "$a$",
        "$",
        "--",
        "/*",
        "*/",
        "\n",
        "\r\n",
        ";",
        "(",
        ")",
        "begin",
        " ",
        "create function ",
        "end",
        "case",
        "copy t from stdin;\n",
        "\\.\n",
        "é",
        "\u{feff}",
        ":x",
        "::",
        "1",
        "u&'",
        "\x0c",
        "a",
    ];
    let mut seed = 7_u64;
    let mut split_well = 0;
    for _ in 0..50_000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(PARTS[(seed >> 33) as usize % PARTS.len()]);
        }
        if let Ok(pieces) = split(&text) {
            split_well += 1;
            let joined: String = pieces.iter().map(|piece| &text[piece.whole.clone()]).collect();
            assert_eq!(joined, text);
            for piece in pieces {
                assert!(piece.whole.start <= piece.body.start && piece.body.end <= piece.whole.end, "{text}");
                if matches!(piece.kind, Kind::Sql | Kind::Copy { .. }) {
                    let plain = |text: &str| text.replace("\\:", ":").replace('\n', " ");
                    assert_eq!(plain(&lexer::for_psql(piece.sql(&text))), plain(piece.sql(&text)));
                }
            }
        }
    }
    assert!(split_well > 5_000, "{split_well}");
}
