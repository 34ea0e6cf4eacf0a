//! `postgres://…` as libpq understands it, taken apart into environment variables, so that no password stands in argv.

use anyhow::Result;

use base::tools::Cmd;
use base::ui::Failure;
use base::ui::redact::percent_decode;

/// Parameters of a URL and the variables that mean the same to libpq.
const PARAMETERS: [(&str, &str); 34] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("dbname", "PGDATABASE"),
    ("passfile", "PGPASSFILE"),
    ("require_auth", "PGREQUIREAUTH"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslcompression", "PGSSLCOMPRESSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslsni", "PGSSLSNI"),
    ("requirepeer", "PGREQUIREPEER"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("min_protocol_version", "PGMINPROTOCOLVERSION"),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    ("gssencmode", "PGGSSENCMODE"),
    ("krbsrvname", "PGKRBSRVNAME"),
    ("gsslib", "PGGSSLIB"),
    ("gssdelegation", "PGGSSDELEGATION"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
];

/// How to reach one database, as the variables that libpq reads.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    variables: Vec<(String, String)>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.variables.iter().filter(|(name, _)| name != "PGPASSWORD");
        f.debug_map().entries(shown.map(|(name, value)| (name, value))).finish()
    }
}

impl Connection {
    pub fn new(variables: Vec<(String, String)>) -> Connection {
        Connection { variables }
    }
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    /// The same with one variable set, or set anew.
    pub fn with(mut self, name: &str, value: &str) -> Connection {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
    /// The same server, another database.
    pub fn to_database(&self, name: &str) -> Connection {
        self.clone().with("PGDATABASE", name)
    }
    /// A client of PostgreSQL that goes there. Whatever this process has in PG… variables would lead it elsewhere, so
    /// it does not get them.
    pub fn apply(&self, cmd: Cmd) -> Cmd {
        let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let cmd = inherited.filter(|name| name.starts_with("PG")).fold(cmd, Cmd::env_remove);
        cmd.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
    /// True when what is said may pass a network, so that a client should be able to encrypt.
    pub fn may_leave_the_machine(&self) -> bool {
        let hosts = self.get("PGHOSTADDR").or(self.get("PGHOST")).unwrap_or_default();
        let is_local = |host: &str| {
            let host = host.trim();
            host.is_empty() || host.starts_with(['/', '@']) || ["localhost", "127.0.0.1", "::1"].contains(&host)
        };
        let mode = self.get("PGSSLMODE").unwrap_or("prefer");
        match mode {
            "disable" => false,
            "allow" | "prefer" => !hosts.split(',').all(is_local),
            _ => true,
        }
    }
}

/// Takes a URL apart, or says (exit 2) what is wrong with it without repeating it. `key` names where it comes from.
pub fn parse(key: &str, url: &str) -> Result<Connection> {
    let wrong = |what: &str| {
        let failure = Failure::usage(format!("`{key}` cannot be read as a PostgreSQL URL: {what}"));
        let hint = "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full; special characters as %XX";
        anyhow::Error::from(failure.hint(hint))
    };
    let rest = url.strip_prefix("postgresql://").or_else(|| url.strip_prefix("postgres://"));
    let rest = rest.ok_or_else(|| wrong("it does not begin with postgres://"))?;
    if rest.contains('#') {
        return Err(wrong("it contains `#`"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (hosts, ports) = hosts_and_ports(hosts).ok_or_else(|| wrong("its host or port is not one"))?;
    let mut connection = Connection::new(Vec::new());
    let parts = [
        ("PGHOST", hosts),
        ("PGPORT", ports),
        ("PGUSER", user.to_owned()),
        ("PGPASSWORD", password.to_owned()),
        ("PGDATABASE", database.to_owned()),
    ];
    for (name, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
        connection =
            connection.with(name, &decode(&value).ok_or_else(|| wrong("a % is not followed by two hex digits"))?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("a parameter has no value"))?;
        let found = PARAMETERS.iter().find(|(known, _)| *known == name);
        let Some((_, variable)) = found else {
            return Err(wrong(&format!("its parameter `{name}` cannot be passed on to psql")));
        };
        let value = decode(value).ok_or_else(|| wrong("a % is not followed by two hex digits"))?;
        connection = connection.with(variable, &value);
    }
    Ok(connection)
}

/// Percent-decoded; None where an escape is not one.
fn decode(text: &str) -> Option<String> {
    let escapes = text.split('%').skip(1);
    let valid = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    let decoded = percent_decode(text);
    (escapes.into_iter().all(valid) && !decoded.contains('\0')).then_some(decoded)
}

/// `a:1,[::1]:2` as `a,::1` and `1,2`.
fn hosts_and_ports(text: &str) -> Option<(String, String)> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let (host, port) = match part.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                let port = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
                (host, port)
            }
            None => part.split_once(':').unwrap_or((part, "")),
        };
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return None;
        }
        hosts.push(host);
        ports.push(port);
    }
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    Some((hosts.join(","), ports))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        match parse("URL", url) {
            Ok(connection) => {
                let pairs = connection.variables.iter().map(|(name, value)| format!("{name}={value}"));
                pairs.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_part_becomes_a_variable() {
        assert_eq!(
            shown("postgres://own%40er:p%2Fa%3As@db.example:6432/vital?sslmode=require&connect_timeout=3"),
            "PGHOST=db.example PGPORT=6432 PGUSER=own@er PGPASSWORD=p/a:s PGDATABASE=vital PGSSLMODE=require \
             PGCONNECT_TIMEOUT=3"
        );
        assert_eq!(shown("postgresql:///v?host=%2Ftmp%2Fx%20y&port=5433"), "PGDATABASE=v PGHOST=/tmp/x y PGPORT=5433");
        assert_eq!(shown("postgres://a:1,[::1]:2,c/v"), "PGHOST=a,::1,c PGPORT=1,2, PGDATABASE=v");
        assert_eq!(shown("postgres://"), "");
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        for (url, what) in [
            ("mysql://secret@x/y", "it does not begin with postgres://"),
            ("postgres://u:secret%zz@x/y", "a % is not followed by two hex digits"),
            ("postgres://u:secret@x:port/y", "its host or port is not one"),
            ("postgres://u:secret@x/y?keepalives=1", "its parameter `keepalives` cannot be passed on to psql"),
        ] {
            assert_eq!(shown(url), format!("`URL` cannot be read as a PostgreSQL URL: {what}"));
        }
    }

    #[test]
    fn only_what_stays_here_may_do_without_tls() {
        let leaves = |url: &str| parse("URL", url).unwrap().may_leave_the_machine();
        assert!(!leaves("postgres://localhost/v") && !leaves("postgres:///v?host=%2Ftmp"));
        assert!(leaves("postgres://db/v") && leaves("postgres://localhost/v?sslmode=require"));
        assert!(leaves("postgres://localhost,db/v") && !leaves("postgres://db/v?sslmode=disable"));
    }
}
