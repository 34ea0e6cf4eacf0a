//! The values that services get from the environment, and the keyed hashes by which releases are told apart: none of them
//! can be found by trying, and none is in the ledger.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::tools::{files, hash};
use crate::ui::{redact, suggest};
use crate::workspace::Environment;
use crate::workspace::service::Services;

/// The key that an engine fills in for a database that it runs.
const DATABASE_URL: &str = "DATABASE_URL";

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub value: String,
    /// It reaches a service by a pipe or a file, and is shown nowhere.
    pub is_secret: bool,
}

/// Every key that a service of the release gets, with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    all: BTreeMap<String, Given>,
}

impl Values {
    /// `database_url` is what services get where the environment leaves it to the engine.
    pub fn of(environment: &Environment, services: &Services, database_url: &str) -> Values {
        let mut all = BTreeMap::new();
        for key in services.running().flat_map(|service| &service.env) {
            let own = environment.get(key).unwrap_or_default();
            let value = if key == DATABASE_URL && own.is_empty() { database_url } else { own };
            let is_secret = environment.is_sensitive(key) || redact::url_password(value).is_some();
            if is_secret {
                redact::remember(value);
            }
            all.insert(key.clone(), Given { value: value.to_owned(), is_secret });
        }
        Values { all }
    }

    pub fn get(&self, key: &str) -> Option<&Given> {
        self.all.get(key)
    }

    /// The keyed hash of each.
    pub fn hashes(&self, key: &str) -> BTreeMap<String, String> {
        self.all.iter().map(|(name, given)| (name.clone(), hashed(key, name, &given.value))).collect()
    }

    /// The file of a release that holds them; mode 0600.
    pub fn write(&self, path: &Utf8Path) -> Result<()> {
        let one = |given: &Given| json!({"value": given.value, "secret": given.is_secret});
        let all: serde_json::Map<String, Value> =
            self.all.iter().map(|(key, given)| (key.clone(), one(given))).collect();
        files::write_json(path, &Value::Object(all))
    }

    pub fn read(path: &Utf8Path) -> Result<Values> {
        let value = files::read_json(path).with_context(|| format!("`{path}` is gone or torn"))?;
        let one = |(key, value): (&String, &Value)| {
            let given = Given { value: value["value"].as_str()?.to_owned(), is_secret: value["secret"].as_bool()? };
            Some((key.clone(), given))
        };
        let all = value.as_object().into_iter().flatten().map(one).collect::<Option<BTreeMap<_, _>>>();
        let all = all.with_context(|| format!("`{path}` is torn"))?;
        all.values().filter(|given| given.is_secret).for_each(|given| redact::remember(&given.value));
        Ok(Values { all })
    }

    /// Writes each secret of `references` (a key and where its file lies) that is not there yet: mode 0444, because a
    /// container's user is another one, in a folder of mode 0700, because nobody else of this host may read it.
    pub fn write_secrets(&self, references: &[(String, Utf8PathBuf)]) -> Result<()> {
        for (key, path) in references {
            let known = self.all.keys().map(String::as_str);
            let given = self.all.get(key);
            let given = given.with_context(|| {
                format!("the release has no value for `{key}`: {}", suggest::did_you_mean(key, known))
            })?;
            write_secret(path, &given.value)?;
        }
        Ok(())
    }
}

/// HMAC-SHA-256 of a value under the environment's key; nothing as long as there is no key, because such a hash could be
/// found by trying.
pub fn hashed(key: &str, name: &str, value: &str) -> String {
    if key.is_empty() { String::new() } else { hash::hmac_sha256(key.as_bytes(), format!("{name}={value}").as_bytes()) }
}

/// Writes one secret for a container to read; see [`Values::write_secrets`].
pub fn write_secret(path: &Utf8Path, value: &str) -> Result<()> {
    let folder = path.parent().context("a secret needs a folder")?;
    files::make_folder(folder)?;
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder, private).with_context(|| format!("failed to close `{folder}` to others"))?;
    if files::read(path)?.is_none_or(|old| old != value) {
        files::write(path, value, 0o444)?;
    }
    // Whatever the umask has made of it.
    let readable = std::fs::Permissions::from_mode(0o444);
    std::fs::set_permissions(path, readable).with_context(|| format!("failed to open `{path}` to containers"))
}
