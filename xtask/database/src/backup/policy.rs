//! What the policy says of the backups there are: which are no longer asked for, and whether there are enough. Pure: the
//! moment is given.

use std::collections::BTreeSet;
use std::time::Duration;

use super::store::Backup;
use base::ui::{self, Finding};
use base::workspace::BackupPolicy;

const DAY: u64 = 86_400;

/// What the rules look at.
#[derive(Clone, Debug)]
pub struct Facts {
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    pub is_usable: bool,
    pub verified: Option<u64>,
}

impl Facts {
    pub fn of(backup: &Backup) -> Facts {
        Facts {
            id: backup.id().to_owned(),
            created: backup.created(),
            is_usable: backup.manifest.is_ok(),
            verified: backup.verified_seconds(),
        }
    }
}

/// Days count in UTC; weeks begin on Monday (1970 began on a Thursday).
fn day(seconds: u64) -> u64 {
    seconds / DAY
}
fn week(seconds: u64) -> u64 {
    (seconds / DAY + 3) / 7
}

/// The ids that nothing asks for any more. Kept are: the newest of each of the last days and weeks, all of the last 24
/// hours, the newest of all, the newest that was verified, those in `wanted`, and whatever cannot be read.
pub fn surplus(backups: &[Facts], policy: &BackupPolicy, wanted: &[String], now: u64) -> Vec<String> {
    let mut usable: Vec<&Facts> = backups.iter().filter(|backup| backup.is_usable).collect();
    usable.sort_by_key(|backup| std::cmp::Reverse(backup.created));
    let mut kept: BTreeSet<&str> = BTreeSet::new();
    kept.extend(usable.first().map(|backup| backup.id.as_str()));
    kept.extend(usable.iter().find(|backup| backup.verified.is_some()).map(|backup| backup.id.as_str()));
    kept.extend(usable.iter().filter(|it| it.created + DAY > now || wanted.contains(&it.id)).map(|it| it.id.as_str()));
    let mut keep_newest_of = |bucket: fn(u64) -> u64, count: u32| {
        let mut seen = BTreeSet::new();
        for backup in &usable {
            let its = bucket(backup.created);
            if its + u64::from(count) > bucket(now) && seen.insert(its) {
                kept.insert(&backup.id);
            }
        }
    };
    keep_newest_of(day, policy.keep_daily);
    keep_newest_of(week, policy.keep_weekly);
    usable.iter().filter(|backup| !kept.contains(backup.id.as_str())).map(|backup| backup.id.clone()).collect()
}

/// In what the policy is not met; empty when it is.
pub fn unmet(backups: &[Facts], policy: &BackupPolicy, environment: &str, now: u64) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let since = |then: u64| Duration::from_secs(now.saturating_sub(then));
    let make = format!("cargo xtask db backup --env {environment}");
    let verify = format!("cargo xtask db restore latest --verify --env {environment}");
    match backups.iter().filter(|backup| backup.is_usable).map(|backup| backup.created).max() {
        None => findings.push(Finding::error(format!("there is no backup of `{environment}`")).hint(&make)),
        Some(newest) if since(newest) > policy.max_age => {
            let (age, limit) = (ui::age(since(newest)), ui::age(policy.max_age));
            findings
                .push(Finding::error(format!("the newest backup is {age} old, at most {limit} is asked")).hint(&make));
        }
        Some(_) => {}
    }
    match backups.iter().filter(|backup| backup.is_usable).filter_map(|backup| backup.verified).max() {
        None => findings.push(Finding::error("no backup was ever verified by a restore").hint(&verify)),
        Some(last) if since(last) > policy.verify_every => {
            let (age, limit) = (ui::age(since(last)), ui::age(policy.verify_every));
            let message = format!("a backup was last verified {age} ago, at most {limit} is asked");
            findings.push(Finding::error(message).hint(&verify));
        }
        Some(_) => {}
    }
    for backup in backups.iter().filter(|backup| !backup.is_usable) {
        let finding = Finding::error(format!("the backup `{}` is damaged", backup.id));
        findings.push(finding.hint("look what happened to its folder, then remove it by hand"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 20_000 * DAY + 12 * 3600;

    fn backup(days_ago: u64, hour: u64) -> Facts {
        let created = (20_000 - days_ago) * DAY + hour * 3600;
        Facts { id: format!("{days_ago}d{hour}h"), created, is_usable: true, verified: None }
    }
    fn policy(keep_daily: u32, keep_weekly: u32) -> BackupPolicy {
        let max_age = Duration::from_secs(26 * 3600);
        BackupPolicy { keep_daily, keep_weekly, max_age, verify_every: Duration::from_secs(7 * DAY), jobs: 1 }
    }
    fn verified(backup: Facts, days_ago: u64) -> Facts {
        Facts { verified: Some(NOW - days_ago * DAY), ..backup }
    }

    #[test]
    fn the_newest_of_each_day_and_week_stays() {
        let all = [backup(0, 2), backup(0, 9), backup(1, 2), backup(2, 2), backup(3, 2)];
        // What is younger than a day stays, however many there are.
        assert_eq!(surplus(&all, &policy(3, 0), &[], NOW), ["3d2h"]);
        assert_eq!(surplus(&all, &policy(0, 0), &["2d2h".to_owned()], NOW), ["1d2h", "3d2h"]);
        // Day 20,000 is a Friday: its week began four days earlier.
        let weeks: Vec<Facts> = (0..20).map(|days| backup(days, 2)).collect();
        let gone = surplus(&weeks, &policy(1, 3), &[], NOW);
        let kept: Vec<&str> =
            weeks.iter().map(|backup| backup.id.as_str()).filter(|id| !gone.contains(&(*id).to_owned())).collect();
        assert_eq!(kept, ["0d2h", "5d2h", "12d2h"]);
    }

    #[test]
    fn the_newest_and_the_last_verified_always_stay() {
        let old = [backup(40, 1), verified(backup(50, 1), 50), verified(backup(60, 1), 1), backup(45, 1)];
        assert_eq!(surplus(&old, &policy(0, 0), &[], NOW), ["45d1h", "60d1h"]);
        let damaged = Facts { is_usable: false, ..backup(90, 1) };
        assert!(surplus(&[backup(0, 1), damaged], &policy(0, 0), &[], NOW).is_empty());
    }

    #[test]
    fn what_is_not_met_is_told() {
        let lines = |backups: &[Facts]| {
            let findings = unmet(backups, &policy(1, 1), "dev", NOW);
            findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(lines(&[verified(backup(0, 2), 1)]), "");
        assert_eq!(lines(&[]), "there is no backup of `dev`; no backup was ever verified by a restore");
        assert_eq!(
            lines(&[verified(backup(3, 12), 8)]),
            "the newest backup is 3 days old, at most 26 h is asked; \
             a backup was last verified 8 days ago, at most 7 days is asked"
        );
        assert_eq!(
            lines(&[verified(backup(0, 2), 1), Facts { is_usable: false, ..backup(9, 9) }]),
            "the backup `9d9h` is damaged"
        );
    }
}
