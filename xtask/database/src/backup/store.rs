//! Where the backups of an environment lie: a folder of BACKUP_DIR, in it a folder a backup. What is half-made has a
//! name of its own that begins with a dot, and is removed by the next run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value};

use super::manifest::{self, Manifest};
use base::tools::files::{self, Lock};
use base::tools::os;
use base::ui::{self, Failure, suggest};
use base::workspace::{Environment, Workspace, entries};

/// The ending of a backup that is being made.
const MAKING: &str = ".new";
/// The ending of a backup that is being removed.
const REMOVING: &str = ".gone";

/// A folder that has a backup's name.
#[derive(Debug)]
pub struct Backup {
    pub folder: Utf8PathBuf,
    /// Or why it cannot be used.
    pub manifest: Result<Manifest>,
    /// What the last restore that proved it has noted.
    pub verified: Option<Map<String, Value>>,
}

impl Backup {
    fn open(folder: Utf8PathBuf) -> Backup {
        let manifest = manifest::read(&folder).and_then(|manifest| match folder.file_name() == Some(&manifest.id) {
            true => Ok(manifest),
            false => anyhow::bail!("its manifest is that of `{}`", manifest.id),
        });
        let verified = manifest.as_ref().ok().and_then(|manifest| manifest::verified(&folder, manifest));
        Backup { folder, manifest, verified }
    }
    pub fn id(&self) -> &str {
        self.folder.file_name().unwrap_or_default()
    }
    /// The manifest, or refused (exit 3).
    pub fn usable(&self) -> Result<&Manifest> {
        self.manifest.as_ref().map_err(|error| {
            let message = format!("the backup `{}` is damaged: {error:#}; nothing was touched", self.id());
            Failure::refused(message).hint("take another one: `cargo xtask db backups` lists them").into()
        })
    }
    /// Seconds since 1970 of its snapshot; what has no manifest is as old as its name says.
    pub fn created(&self) -> u64 {
        let moment = self.id().rsplit('-').next().unwrap_or_default();
        self.manifest
            .as_ref()
            .ok()
            .and_then(|manifest| seconds_of(&manifest.created_at))
            .or(seconds_of(moment))
            .unwrap_or(0)
    }
    pub fn verified_at(&self) -> Option<&str> {
        self.verified.as_ref()?.get("verified_at")?.as_str()
    }
    /// Seconds since 1970.
    pub fn verified_seconds(&self) -> Option<u64> {
        seconds_of(self.verified_at()?)
    }
}

/// The backups of one environment.
#[derive(Clone, Debug)]
pub struct Store {
    pub folder: Utf8PathBuf,
    environment: String,
}

impl Store {
    pub fn of(workspace: &Workspace, environment: &Environment) -> Store {
        Store { folder: workspace.backups(environment), environment: environment.name.clone() }
    }

    /// `production-20260101T020000Z`.
    pub fn new_id(&self, created_at: &str) -> String {
        let moment: String = created_at.chars().filter(|c| !"-:".contains(*c)).collect();
        format!("{}-{moment}", self.environment)
    }
    pub fn folder_of(&self, id: &str) -> Utf8PathBuf {
        self.folder.join(id)
    }
    /// An empty folder for a backup that is being made; only its owner may look in.
    pub fn temporary(&self, id: &str) -> Result<Utf8PathBuf> {
        let folder = self.folder.join(format!(".{id}.{}{MAKING}", os::random_hex(4)?));
        make_private(&folder)?;
        Ok(folder)
    }

    /// Excludes other runs that write here, for as long as the value lives.
    pub fn lock(&self, patience: Duration) -> Result<Lock> {
        make_private(&self.folder)?;
        Lock::take(&self.folder.join(".lock"), &format!("the backups of `{}`", self.environment), patience)
    }

    /// Removes what killed runs have left half-made or half-removed. The caller holds the lock.
    pub fn sweep(&self) {
        let is_ours = |path: &Utf8PathBuf| {
            path.file_name().is_some_and(|name| {
                let start = format!(".{}-", self.environment);
                name.starts_with(&start) && (name.ends_with(MAKING) || name.ends_with(REMOVING))
            })
        };
        let leftovers: Vec<Utf8PathBuf> = entries(&self.folder).into_iter().filter(is_ours).collect();
        files::remove_half_made(&leftovers);
    }

    /// Every backup, the newest first; damaged ones too.
    pub fn list(&self) -> Vec<Backup> {
        let start = format!("{}-", self.environment);
        let is_one = |path: &Utf8PathBuf| {
            path.file_name()
                .and_then(|name| name.strip_prefix(&start))
                .is_some_and(|moment| seconds_of(moment).is_some())
                && path.is_dir()
        };
        let mut backups: Vec<Backup> = entries(&self.folder).into_iter().filter(is_one).map(Backup::open).collect();
        backups.sort_by_key(|backup| std::cmp::Reverse(backup.created()));
        backups
    }

    /// Removes a backup; it loses its name first, so what is half-removed looks like none.
    pub fn remove(&self, backup: &Backup) -> Result<()> {
        let gone = self.folder.join(format!(".{}{REMOVING}", backup.id()));
        files::rename(&backup.folder, &gone)?;
        files::remove(&gone)
    }
}

/// The newest backup that a restore has proven; None when there is none.
pub fn latest_verified(workspace: &Workspace, environment: &Environment) -> Option<Backup> {
    Store::of(workspace, environment).list().into_iter().find(|backup| backup.verified.is_some())
}

/// A backup by its id, by the path of its folder, or `latest`: among those of `environment` first, then of the others.
pub fn find(workspace: &Workspace, environment: &Environment, id: &str) -> Result<Backup> {
    if id.contains('/') {
        let folder = Utf8Path::new(id).canonicalize_utf8().unwrap_or_else(|_| Utf8PathBuf::from(id));
        if folder.is_dir() {
            return Ok(Backup::open(folder));
        }
        return Err(Failure::usage(format!("there is no backup `{id}`")).hint("give the folder of a backup").into());
    }
    let own = Store::of(workspace, environment);
    let list = own.list();
    if id == "latest" {
        let newest = list.into_iter().find(|backup| backup.manifest.is_ok());
        return newest.ok_or_else(|| {
            let failure = Failure::refused(format!("`{}` has no backup that can be used", environment.name));
            failure.hint(format!("make one: `cargo xtask db backup --env {}`", environment.name)).into()
        });
    }
    let others = workspace.environment_names().into_iter().filter(|name| *name != environment.name);
    let others = others.filter_map(|name| Environment::load(workspace, &name).ok());
    // One folder may hold the backups of several environments, also of those that have no values on this machine.
    let beside = entries(own.folder.parent().unwrap_or(&own.folder)).into_iter();
    let folders = std::iter::once(own.folder.clone())
        .chain(others.map(|other| workspace.backups(&other)))
        .chain(beside.filter(|path| path.is_dir()));
    let found = folders.map(|folder| folder.join(id)).find(|folder| folder.is_dir());
    found.map(Backup::open).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no backup `{id}`"));
        let ids: Vec<&str> = list.iter().take(5).map(Backup::id).collect();
        let hint = match ids.is_empty() {
            true => format!("`{}` has none in {}", environment.name, workspace.relative(&own.folder)),
            false => suggest::did_you_mean(id, ids),
        };
        failure.hint(hint).into()
    })
}

fn make_private(folder: &Utf8Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let is_new = !folder.exists();
    files::make_folder(folder)?;
    if is_new {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Seconds since 1970 now.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Seconds since 1970 of `2026-01-01T02:00:00Z`, also without its signs; None for any other text.
pub fn seconds_of(moment: &str) -> Option<u64> {
    let digits: String = moment.chars().filter(char::is_ascii_digit).collect();
    let rest: String = moment.chars().filter(|c| !c.is_ascii_digit() && !"-:".contains(*c)).collect();
    if digits.len() != 14 || rest != "TZ" {
        return None;
    }
    let part = |from: usize, to: usize| digits[from..to].parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    // The other direction of `ui::utc`: years begin in March.
    let (year, month) = if month <= 2 { (year.checked_sub(1)?, month + 9) } else { (year, month - 3) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let seconds = days * 86_400 + part(8, 10)? * 3600 + part(10, 12)? * 60 + part(12, 14)?;
    // A date that there is not (month 13, 30 February) does not come back as itself.
    let back: String =
        ui::utc(UNIX_EPOCH + Duration::from_secs(seconds)).chars().filter(char::is_ascii_digit).collect();
    (back == digits).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back_as_themselves() {
        assert_eq!(seconds_of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds_of("20000229T123456Z"), Some(951_827_696));
        assert_eq!(seconds_of("2099-12-31T23:59:59Z"), Some(4_102_444_799));
        for wrong in ["20260230T000000Z", "20261301T000000Z", "20260101T000000", "x", "20260101T250000Z"] {
            assert_eq!(seconds_of(wrong), None, "{wrong}");
        }
    }
}
