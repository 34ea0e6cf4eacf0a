//! What a statement does to the transaction it runs in, told from its first words. It decides what a file must declare
//! (`own-transaction`, `no-transaction`); what only the server can know (a procedure that commits) is said to be unknown.

use super::lexer::{Token, tokens};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Runs inside a transaction block.
    Plain,
    /// Begins or ends a transaction: the words that do.
    TransactionControl(&'static str),
    /// PostgreSQL refuses it inside a transaction block: what it is.
    OutsideTransaction(&'static str),
    /// Runs inside, but what it adds cannot be used before the commit ("unsafe use of new value").
    AddsEnumValue,
    /// CALL, or a DO whose body says COMMIT or ROLLBACK: may end the transaction, which PostgreSQL allows only outside.
    MayEndTransaction(&'static str),
    /// `ROLLBACK TO`: revives a transaction that failed, so that a later COMMIT keeps the rest of it.
    RollbackToSavepoint,
}

/// The nature of one statement, as `split` cut it.
pub fn nature(statement: &str) -> Nature {
    use Nature::*;
    let words = words(statement);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let concurrently = |what: &'static str| if has("CONCURRENTLY") { OutsideTransaction(what) } else { Plain };
    let is_to =
        |after: usize| word(if matches!(word(after), "WORK" | "TRANSACTION") { after + 1 } else { after }) == "TO";
    match (word(0), word(1), word(2)) {
        ("COMMIT", "PREPARED", _) => OutsideTransaction("COMMIT PREPARED"),
        ("ROLLBACK", "PREPARED", _) => OutsideTransaction("ROLLBACK PREPARED"),
        ("ROLLBACK", ..) if is_to(1) => RollbackToSavepoint,
        ("BEGIN", ..) => TransactionControl("BEGIN"),
        ("START", "TRANSACTION", _) => TransactionControl("START TRANSACTION"),
        ("COMMIT", ..) => TransactionControl("COMMIT"),
        ("END", ..) => TransactionControl("END"),
        ("ROLLBACK", ..) => TransactionControl("ROLLBACK"),
        ("ABORT", ..) => TransactionControl("ABORT"),
        ("PREPARE", "TRANSACTION", _) => TransactionControl("PREPARE TRANSACTION"),
        ("VACUUM", ..) => OutsideTransaction("VACUUM"),
        ("DISCARD", "ALL", _) => OutsideTransaction("DISCARD ALL"),
        ("ALTER", "SYSTEM", _) => OutsideTransaction("ALTER SYSTEM"),
        ("CREATE", "DATABASE", _) => OutsideTransaction("CREATE DATABASE"),
        ("DROP", "DATABASE", _) => OutsideTransaction("DROP DATABASE"),
        ("ALTER", "DATABASE", _) if word(3) == "SET" && word(4) == "TABLESPACE" => {
            OutsideTransaction("ALTER DATABASE … SET TABLESPACE")
        }
        ("CREATE", "TABLESPACE", _) => OutsideTransaction("CREATE TABLESPACE"),
        ("DROP", "TABLESPACE", _) => OutsideTransaction("DROP TABLESPACE"),
        ("CREATE", "INDEX", "CONCURRENTLY") => OutsideTransaction("CREATE INDEX CONCURRENTLY"),
        ("CREATE", "UNIQUE", "INDEX") if word(3) == "CONCURRENTLY" => {
            OutsideTransaction("CREATE UNIQUE INDEX CONCURRENTLY")
        }
        ("DROP", "INDEX", "CONCURRENTLY") => OutsideTransaction("DROP INDEX CONCURRENTLY"),
        ("REINDEX", ..) if has("DATABASE") || has("SYSTEM") || has("SCHEMA") => {
            OutsideTransaction("REINDEX of more than a table")
        }
        ("REINDEX", ..) => concurrently("REINDEX CONCURRENTLY"),
        ("CLUSTER", "" | "VERBOSE", "") | ("CLUSTER", "(", _) if !cluster_has_table(&words) => {
            OutsideTransaction("CLUSTER of all tables")
        }
        ("ALTER", "TABLE", _) if has("DETACH") => concurrently("DETACH PARTITION CONCURRENTLY"),
        ("ALTER", "TYPE", _) if words.windows(2).any(|pair| pair[0] == "ADD" && pair[1] == "VALUE") => AddsEnumValue,
        ("CREATE", "SUBSCRIPTION", _) if !has("CREATE_SLOT") && !has("CONNECT") => {
            OutsideTransaction("CREATE SUBSCRIPTION")
        }
        ("ALTER", "SUBSCRIPTION", _) if has("REFRESH") => OutsideTransaction("ALTER SUBSCRIPTION … REFRESH"),
        ("DROP", "SUBSCRIPTION", _) => OutsideTransaction("DROP SUBSCRIPTION"),
        ("CALL", ..) => MayEndTransaction("CALL"),
        ("DO", ..) if body_ends_transaction(statement) => MayEndTransaction("DO"),
        _ => Plain,
    }
}

/// The words in upper case, and `(`; a quoted name is never a keyword, but holds its place. Enough of a statement to
/// tell what it is, not the rows of a long INSERT.
fn words(statement: &str) -> Vec<String> {
    const ENOUGH: usize = 200;
    let significant = tokens(statement).filter(|(token, _)| !token.is_blank());
    let words = significant.filter_map(|(token, text)| match token {
        Token::Word => Some(text.to_ascii_uppercase()),
        Token::QuotedName => Some("\"\"".to_owned()),
        Token::Open | Token::Close => Some(text.to_owned()),
        _ => None,
    });
    words.take(ENOUGH).collect()
}

/// `CLUSTER (VERBOSE) t` names a table, `CLUSTER (VERBOSE)` none.
fn cluster_has_table(words: &[String]) -> bool {
    words.iter().position(|word| word == ")").is_some_and(|close| close + 1 < words.len())
}

/// Whether a DO block's text, read as SQL, has a COMMIT or ROLLBACK outside quotes and comments.
fn body_ends_transaction(statement: &str) -> bool {
    let Some((_, quoted)) = tokens(statement).find(|(token, _)| matches!(token, Token::DollarText | Token::Text))
    else {
        return false;
    };
    let tag = quoted.strip_prefix('$').and_then(|rest| rest.find('$')).map_or(1, |end| end + 2);
    let body = quoted.get(tag..quoted.len() - tag).unwrap_or_default();
    tokens(body).any(|(token, text)| {
        token == Token::Word && (text.eq_ignore_ascii_case("commit") || text.eq_ignore_ascii_case("rollback"))
    })
}

#[cfg(test)]
mod tests {
    use super::Nature::*;
    use super::*;

    #[test]
    fn natures() {
        let cases: &[(&str, Nature)] = &[
            ("/* c */ begin -- x\n;", TransactionControl("BEGIN")),
            ("Begin Work;", TransactionControl("BEGIN")),
            ("START TRANSACTION READ ONLY;", TransactionControl("START TRANSACTION")),
            ("commit and chain", TransactionControl("COMMIT")),
            ("END;", TransactionControl("END")),
            ("rollback work;", TransactionControl("ROLLBACK")),
            ("abort;", TransactionControl("ABORT")),
            ("PREPARE TRANSACTION 'x';", TransactionControl("PREPARE TRANSACTION")),
            ("prepare transaction_list as select 1;", Plain),
            ("savepoint a;", Plain),
            ("release a;", Plain),
            ("rollback to a;", RollbackToSavepoint),
            ("rollback /* c */ transaction to savepoint a;", RollbackToSavepoint),
            ("commit prepared 'x';", OutsideTransaction("COMMIT PREPARED")),
            ("select 'begin'; ", Plain),
            ("create function f() begin atomic select 1; end;", Plain),
            ("do $$ begin raise notice 'commit'; /* rollback */ end $$;", Plain),
            ("do language plpgsql $x$ begin commit; end $x$;", MayEndTransaction("DO")),
            ("do 'begin commit; end';", MayEndTransaction("DO")),
            ("call p();", MayEndTransaction("CALL")),
            (
                "create unique index concurrently if not exists i on t (a);",
                OutsideTransaction("CREATE UNIQUE INDEX CONCURRENTLY"),
            ),
            ("create index concurrently on t (a);", OutsideTransaction("CREATE INDEX CONCURRENTLY")),
            ("create index \"concurrently\" on t (a);", Plain),
            ("drop index concurrently i;", OutsideTransaction("DROP INDEX CONCURRENTLY")),
            ("reindex (verbose, concurrently) table t;", OutsideTransaction("REINDEX CONCURRENTLY")),
            ("reindex table t;", Plain),
            ("reindex database d;", OutsideTransaction("REINDEX of more than a table")),
            ("refresh materialized view concurrently v;", Plain),
            (
                "alter table only s.t detach partition p concurrently;",
                OutsideTransaction("DETACH PARTITION CONCURRENTLY"),
            ),
            ("alter table t detach partition p;", Plain),
            ("alter type s.\"T\" add value if not exists 'x';", AddsEnumValue),
            ("alter type t add attribute a int;", Plain),
            ("vacuum (analyze) t;", OutsideTransaction("VACUUM")),
            ("cluster;", OutsideTransaction("CLUSTER of all tables")),
            ("cluster (verbose);", OutsideTransaction("CLUSTER of all tables")),
            ("cluster (verbose) t;", Plain),
            ("cluster verbose;", OutsideTransaction("CLUSTER of all tables")),
            ("cluster t using i;", Plain),
            ("create database d;", OutsideTransaction("CREATE DATABASE")),
            ("alter database d set tablespace t;", OutsideTransaction("ALTER DATABASE … SET TABLESPACE")),
            ("alter database d set search_path = s;", Plain),
            ("alter system set x = 1;", OutsideTransaction("ALTER SYSTEM")),
            ("create subscription s connection 'x' publication p with (create_slot = false);", Plain),
            ("discard all;", OutsideTransaction("DISCARD ALL")),
            ("discard temp;", Plain),
            ("", Plain),
        ];
        for (statement, expected) in cases {
            assert_eq!(nature(statement), *expected, "{statement}");
        }
    }
}
