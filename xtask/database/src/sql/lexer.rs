//! One token of SQL as psql's scanner cuts it (src/fe_utils/psqlscan.l, 15 to 18; standard_conforming_strings on).
//! Stateless: a token begins where the last one ended, and no context is needed to read it.

use std::ops::Range;

/// What a run of bytes is. Blanks are tokens too: the lengths of all tokens add up to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Space,
    /// Up to, without, the line end.
    LineComment,
    /// Nested as in SQL, not as in C.
    BlockComment,
    /// A keyword or an unquoted name.
    Word,
    /// A number or a parameter (`$1`), with whatever letters are glued to it.
    Number,
    /// `'…'` with any prefix but `E`.
    Text,
    /// `E'…'`, where a backslash escapes, and the parts that continue it on later lines.
    EscapeText,
    QuotedName,
    DollarText,
    Semicolon,
    Open,
    Close,
    /// A `:` that psql could take for one of its variables (`:name`, `:'name'`, `[1:HOST]`).
    Colon,
    Backslash,
    Other,
}

impl Token {
    pub fn is_blank(self) -> bool {
        matches!(self, Token::Space | Token::LineComment | Token::BlockComment)
    }
}

/// A token that begins at `start` and never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unterminated {
    pub what: &'static str,
    pub start: usize,
}

/// The token that begins at byte `at`, and where it ends. `at` must be before the end of the text.
pub fn token(text: &str, at: usize) -> Result<(Token, usize), Unterminated> {
    let bytes = text.as_bytes();
    let peek = |ahead: usize| bytes.get(at + ahead).copied().unwrap_or(0);
    let run = |from: usize, is_part: fn(u8) -> bool| {
        from + bytes[from.min(bytes.len())..].iter().take_while(|&&byte| is_part(byte)).count()
    };
    let unterminated = |what| Unterminated { what, start: at };
    let is_name = |byte| is_name_start(byte) || matches!(byte, b'0'..=b'9' | b'$');
    let number = |from: usize| {
        let end = run(from, |byte| byte.is_ascii_digit());
        match (bytes.get(end), bytes.get(end + 1)) {
            // psql's: `1e--5` has no comment
            (Some(b'e' | b'E'), Some(b'+' | b'-')) if from == at => run(end + 2, is_name),
            (Some(&byte), _) if is_name_start(byte) => run(end, is_name),
            _ => end,
        }
    };
    let quoted = |from, escapes| {
        let end = if escapes { end_of_escape_text(bytes, from, |_| {}) } else { end_of_quotes(bytes, from, b'\'') };
        end.ok_or(unterminated("quoted string"))
    };
    let name = |from| end_of_quotes(bytes, from, b'"').ok_or(unterminated("quoted name"));
    Ok(match (peek(0), peek(1)) {
        (byte, _) if is_space(byte) => (Token::Space, run(at, is_space)),
        (b'-', b'-') => (Token::LineComment, run(at, |byte| !matches!(byte, b'\n' | b'\r'))),
        (b'/', b'*') => (Token::BlockComment, end_of_comment(bytes, at).ok_or(unterminated("/* comment"))?),
        (b'\'', _) => (Token::Text, quoted(at + 1, false)?),
        (b'e' | b'E', b'\'') => (Token::EscapeText, quoted(at + 2, true)?),
        (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', b'\'') => (Token::Text, quoted(at + 2, false)?),
        (b'u' | b'U', b'&') if peek(2) == b'\'' => (Token::Text, quoted(at + 3, false)?),
        (b'u' | b'U', b'&') if peek(2) == b'"' => (Token::QuotedName, name(at + 3)?),
        (b'"', _) => (Token::QuotedName, name(at + 1)?),
        (b'$', next) if next.is_ascii_digit() => (Token::Number, number(at + 1)),
        (b'$', _) => match dollar_tag(text, at) {
            Some(tag) => match text[at + tag.len()..].find(tag) {
                Some(length) => (Token::DollarText, at + tag.len() + length + tag.len()),
                None => return Err(unterminated("dollar-quoted string")),
            },
            None => (Token::Other, at + 1),
        },
        (byte, _) if is_name_start(byte) => (Token::Word, run(at, is_name)),
        (byte, _) if byte.is_ascii_digit() => (Token::Number, number(at)),
        (b';', _) => (Token::Semicolon, at + 1),
        (b'(', _) => (Token::Open, at + 1),
        (b')', _) => (Token::Close, at + 1),
        (b'\\', _) => (Token::Backslash, at + 1),
        (b':', b':' | b'=') => (Token::Other, at + 2),
        (b':', next) if is_name_start(next) || next.is_ascii_digit() || matches!(next, b'\'' | b'"' | b'{') => {
            (Token::Colon, at + 1)
        }
        _ => (Token::Other, at + 1),
    })
}

/// All tokens of a text that is known to be whole, as a statement is that `split` returned.
pub fn tokens(text: &str) -> impl Iterator<Item = (Token, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let (token, end) = if start < text.len() {
            token(text, start).ok()?
        } else {
            return None;
        };
        at = end;
        Some((token, &text[start..end]))
    })
}

/// The statement as psql must be given it, to hand the server the same characters at the same positions.
///
/// psql puts its own variables in the place of `:HOST` or `[1:USER]`, and some come back after every statement, so that
/// unsetting them is no help: `\:` is a colon that it leaves alone, and it takes the backslash away. It drops empty lines
/// outside quotes, which would move every error after them: they become a blank of the same length.
pub fn for_psql(statement: &str) -> String {
    if !statement.contains(':') && !statement.contains("\n\n") {
        return statement.to_owned();
    }
    let mut sent = String::with_capacity(statement.len() + 16);
    for (token, text) in tokens(statement) {
        let at = sent.len();
        if token == Token::Colon {
            sent.push('\\');
        }
        sent.push_str(text);
        let mut fill =
            |blank: Range<usize>| sent.replace_range(at + blank.start..at + blank.end, &filled(&text[blank]));
        match token {
            Token::Space => fill(0..text.len()),
            Token::EscapeText => _ = end_of_escape_text(text.as_bytes(), 2, fill),
            _ => {}
        }
    }
    sent
}

/// Without empty lines, and as long as before.
fn filled(blank: &str) -> String {
    let mut before = '\0';
    blank
        .chars()
        .map(|char| if std::mem::replace(&mut before, char) == '\n' && char == '\n' { ' ' } else { char })
        .collect()
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// After the closing quote of a string or name, in which a doubled quote is a quote.
fn end_of_quotes(bytes: &[u8], mut at: usize, quote: u8) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == quote)? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// After the last quote of `E'…'`, where a backslash escapes. A string goes on where only blanks with a line end stand
/// between it and the next quote, and keeps its escapes there: in `E'a'⏎'it\'s'` the last quote is the end. (A string
/// without escapes goes on too, but its parts read the same by themselves.) `on_gap` gets the blanks in between.
fn end_of_escape_text(bytes: &[u8], mut at: usize, mut on_gap: impl FnMut(Range<usize>)) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => match continuation(bytes, at + 1) {
                Some(inside) => {
                    on_gap(at + 1..inside - 1);
                    at = inside;
                }
                None => return Some(at + 1),
            },
            _ => at += 1,
        }
    }
}

/// Where the string continues, if it does.
fn continuation(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut line_end = false;
    loop {
        match *bytes.get(at)? {
            b'\n' | b'\r' => line_end = true,
            byte if is_space(byte) => {}
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
                continue;
            }
            b'\'' if line_end => return Some(at + 1),
            _ => return None,
        }
        at += 1;
    }
}

fn end_of_comment(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0;
    loop {
        match (*bytes.get(at)?, bytes.get(at + 1).copied().unwrap_or(0)) {
            (b'/', b'*') => (depth, at) = (depth + 1, at + 2),
            (b'*', b'/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// `$$` or `$tag$` at `at`.
fn dollar_tag(text: &str, at: usize) -> Option<&str> {
    let inner = text[at + 1..].bytes().take_while(|&byte| is_name_start(byte) || byte.is_ascii_digit()).count();
    let end = at + 1 + inner;
    (text.as_bytes().get(end) == Some(&b'$')).then(|| &text[at..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(Token, &str)> {
        tokens(text).filter(|(token, _)| *token != Token::Space).collect()
    }

    #[test]
    fn strings_and_names() {
        use Token::*;
        let cases: &[(&str, &[(Token, &str)])] = &[
            (r"'a\' 'b'", &[(Text, r"'a\'"), (Text, "'b'")]),
            (r"E'a\'b''c\\'", &[(EscapeText, r"E'a\'b''c\\'")]),
            ("E'a' -- c\n\n 'it\\'s'", &[(EscapeText, "E'a' -- c\n\n 'it\\'s'")]),
            ("E'a' 'b\\'", &[(EscapeText, "E'a'"), (Text, "'b\\'")]),
            ("'a' /* c */\n'b'", &[(Text, "'a'"), (BlockComment, "/* c */"), (Text, "'b'")]),
            (r"fooE'a\'", &[(Word, "fooE"), (Text, r"'a\'")]),
            (
                r#"U&'d\0061t' U&"d""x" u&1"#,
                &[(Text, r"U&'d\0061t'"), (QuotedName, r#"U&"d""x""#), (Word, "u"), (Other, "&"), (Number, "1")],
            ),
            ("x'1f'b'01'N'n'", &[(Text, "x'1f'"), (Text, "b'01'"), (Text, "N'n'")]),
            (r#""a;""b'"'c'"#, &[(QuotedName, r#""a;""b'""#), (Text, "'c'")]),
        ];
        for (text, expected) in cases {
            assert_eq!(cut(text), *expected, "{text}");
        }
    }

    #[test]
    fn dollars_comments_and_colons() {
        use Token::*;
        let cases: &[(&str, &[(Token, &str)])] = &[
            ("$a$ $b$ ; $A$ $a $a$", &[(DollarText, "$a$ $b$ ; $A$ $a $a$")]),
            ("$$a$b$$c", &[(DollarText, "$$a$b$$"), (Word, "c")]),
            ("a$b$c $1 1$é$x$é$", &[(Word, "a$b$c"), (Number, "$1"), (Number, "1"), (DollarText, "$é$x$é$")]),
            ("1a$b$c$ 1e--;", &[(Number, "1a$b$c$"), (Number, "1e-"), (Other, "-"), (Semicolon, ";")]),
            ("$1$a$;$a$", &[(Number, "$1"), (DollarText, "$a$;$a$")]),
            (
                "/*/* ; */**/a*/**/b",
                &[(BlockComment, "/*/* ; */**/"), (Word, "a"), (Other, "*"), (BlockComment, "/**/"), (Word, "b")],
            ),
            ("a+--;\rb", &[(Word, "a"), (Other, "+"), (LineComment, "--;"), (Word, "b")]),
            (
                "a::b:c:=1:2",
                &[
                    (Word, "a"),
                    (Other, "::"),
                    (Word, "b"),
                    (Colon, ":"),
                    (Word, "c"),
                    (Other, ":="),
                    (Number, "1"),
                    (Colon, ":"),
                    (Number, "2"),
                ],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(cut(text), *expected, "{text}");
        }
    }

    #[test]
    fn what_never_ends() {
        for (text, what) in [
            ("'a''", "quoted string"),
            (r"E'a\'", "quoted string"),
            ("E'\\", "quoted string"),
            ("\"a\"\"", "quoted name"),
            ("$a$ $A$ $", "dollar-quoted string"),
            ("/* /* */", "/* comment"),
            ("/*/", "/* comment"),
        ] {
            assert_eq!(token(text, 0), Err(Unterminated { what, start: 0 }), "{text}");
        }
    }

    #[test]
    fn psql_drops_no_line() {
        assert_eq!(for_psql("a\n\n\nb -- c\n\n\r\n\nd"), "a\n  b -- c\n \r\n d");
        let quoted = "'\n\n' $$\n\n$$ /*\n\n*/ \"\n\n\" E'\n\n'";
        assert_eq!(for_psql(quoted), quoted);
        assert_eq!(for_psql("E'\n\n'\n\n-- '\n\n'\n\n'\n\n'x'"), "E'\n\n'\n -- '\n '\n\n'\n 'x'");
        assert_eq!(for_psql("'a'\n\n'b'"), "'a'\n 'b'");
    }

    #[test]
    fn psql_gets_no_variable_to_replace() {
        let sent = for_psql("select a[1:HOST], ':USER', b::int, $$:x$$, :'y', c[1 : 2], /* :z */ :{?w} --:v");
        assert_eq!(sent, "select a[1\\:HOST], ':USER', b::int, $$:x$$, \\:'y', c[1 : 2], /* :z */ \\:{?w} --:v");
    }
}
