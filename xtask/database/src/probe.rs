//! Asks a server on a Unix socket whether it takes a session: the first messages of PostgreSQL's protocol, without the
//! price of starting psql.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use camino::Utf8Path;

/// Protocol 3.0.
const PROTOCOL: i32 = 196_608;
const LIMIT: Duration = Duration::from_secs(5);
/// What a server sends at most before it is ready; more is no PostgreSQL.
const LONGEST: usize = 64 * 1024;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The session stood.
    Ready,
    /// SQLSTATE and message.
    Refused { code: String, message: String },
    /// Nobody answers on the socket.
    Nobody,
}

impl Answer {
    /// The server runs and takes sessions, if perhaps not this one. 57P03: it starts, recovers or stops.
    pub fn is_up(&self) -> bool {
        match self {
            Answer::Ready => true,
            Answer::Refused { code, .. } => code != "57P03",
            Answer::Nobody => false,
        }
    }
    /// The session stood, or would if others left room for it.
    pub fn is_welcome(&self) -> bool {
        match self {
            Answer::Ready => true,
            Answer::Refused { code, .. } => code == "53300",
            Answer::Nobody => false,
        }
    }
}

/// Opens a session on the socket in `folder` and ends it at once.
pub fn probe(folder: &Utf8Path, user: &str, database: &str) -> Answer {
    talk(folder, user, database).unwrap_or(Answer::Nobody)
}

fn talk(folder: &Utf8Path, user: &str, database: &str) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(folder.join(".s.PGSQL.5432"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for word in ["user", user, "database", database, "application_name", "xtask probe", ""] {
        body.extend(word.as_bytes());
        body.push(0);
    }
    stream.write_all(&length(body.len()).to_be_bytes())?;
    stream.write_all(&body)?;
    loop {
        let (kind, body) = message(&mut stream)?;
        match kind {
            b'Z' => {
                // The answer stands whether or not the server hears the farewell.
                let _farewell = stream.write_all(b"X\0\0\0\x04");
                return Ok(Answer::Ready);
            }
            b'E' => return Ok(refusal(&body)),
            b'R' if !body.starts_with(&[0, 0, 0, 0]) => {
                let message = "the server asks for a password".to_owned();
                return Ok(Answer::Refused { code: "28P01".to_owned(), message });
            }
            _ => {}
        }
    }
}

/// A message's length counts itself.
fn length(body: usize) -> u32 {
    u32::try_from(body + 4).unwrap_or(u32::MAX)
}

fn message(stream: &mut UnixStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0u8; 5];
    stream.read_exact(&mut head)?;
    let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).unwrap_or(0);
    if !(4..LONGEST).contains(&length) {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData));
    }
    let mut body = vec![0u8; length - 4];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

/// Fields of an error: a letter and a text each.
fn refusal(body: &[u8]) -> Answer {
    let field = |letter: u8| {
        let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&letter));
        found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
    };
    Answer::Refused { code: field(b'C'), message: field(b'M') }
}
