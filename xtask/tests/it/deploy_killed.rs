//! kill -9 of `deploy` at each of its steps on the local engine: the next run sees it, and ends well both by going on and by
//! going back. The table lists step and outcome.

use crate::deployment::{Deployment, TELLING};
use crate::sandbox::{signal, wait};
use std::time::Duration;

/// The step at which the run is killed, and whether anything of the new release may run by then.
const STEPS: [(&str, bool); 8] = [
    ("preflight", false),
    ("build", false),
    ("show", false),
    ("backup", false),
    ("migrate", false),
    ("rollout", true),
    ("gate", true),
    ("record", true),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Resume,
    Rollback,
    /// A plain deployment of what is committed.
    Deploy,
}

#[test]
fn a_killed_deployment_is_seen_and_ends_well_both_ways() {
    let Some(bench) = Deployment::small("a_killed_deployment_is_seen_and_ends_well_both_ways") else { return };
    let config = bench.sandbox().read("config/services/database.yaml");
    bench.sandbox().write(
        "config/services/database.yaml",
        format!("{}\nenvironments:\n  dev: {{backup_before_deploy: true}}\n", config.trim_end()),
    );
    bench.sandbox().write("database/backups/backup-policy.md", POLICY);
    bench.commit();
    bench.xtask("deploy dev").exits(0);
    let mut missed = Vec::new();
    for (index, (step, may_run)) in STEPS.into_iter().enumerate() {
        for then in [Then::Resume, Then::Rollback, Then::Deploy] {
            let case = format!("killed at {step}, then {then:?}");
            let before = bench.answer();
            let text = format!("{step}-{then:?}");
            bench.bench.migration(&format!("{index}{}_m", then as u8), "-- migrate: compatible\nselect 1;\n");
            bench.alpha(&text);
            let mut run = bench.sandbox().command(&["deploy", "dev"]).spawn();
            let seen = bench.wait_for_step(&mut run, step);
            run.kill();
            if !seen {
                // It was too quick for this look; what follows holds all the same.
                missed.push(case.clone());
            }
            let now = bench.answer();
            let is_untouched = now == before || (may_run || !seen);
            assert!(is_untouched, "{case}: {now}");
            let newest = bench.releases()[0].clone();
            let was_at_work = newest["state"] == "running";
            if was_at_work {
                bench.xtask("").exits(0).prints("was interrupted");
                bench.xtask("releases").exits(0).prints("interrupted at");
            }
            match then {
                Then::Resume => {
                    bench.xtask("deploy dev --resume").exits(0);
                    bench.xtask("deploy dev").exits(0);
                    assert_eq!(bench.answer(), format!("{text} info"), "{case}");
                }
                Then::Rollback => {
                    if was_at_work {
                        bench.xtask("rollback dev").exits(0);
                        assert_eq!(bench.answer(), before, "{case}");
                    }
                    bench.xtask("deploy dev --yes").exits(0);
                }
                Then::Deploy => {
                    let run = bench.xtask("deploy dev");
                    if was_at_work
                        && ["migrate", "rollout", "gate", "record"].contains(&step)
                        && seen
                        && run.code != Some(0)
                    {
                        run.exits(3).says("was interrupted at").says("--resume").says("rollback dev");
                        bench.xtask("deploy dev --yes").exits(0);
                    } else {
                        run.exits(0);
                    }
                    assert_eq!(bench.answer(), format!("{text} info"), "{case}");
                }
            }
            bench.sandbox().assert_one_release_copy_of("alpha");
            bench.xtask("releases verify").exits(0);
        }
    }
    assert!(missed.len() <= STEPS.len(), "most were missed: {missed:?}");
}

#[test]
fn a_rollback_that_is_killed_is_gone_on_with() {
    let Some(bench) = Deployment::small("a_rollback_that_is_killed_is_gone_on_with") else { return };
    bench.xtask("deploy dev").exits(0);
    // Ends late, so that the rollback behind it takes a while: it must be stopped first.
    bench.alpha_is(&slow("bad").replace("200 OK", "500 Bad"));
    let mut run = bench.sandbox().command(&["deploy", "dev", "--wait", "1"]).spawn();
    assert!(bench.wait_for_step(&mut run, "rollback"), "{}", run.stderr());
    run.kill();
    bench.xtask("deploy dev --resume").exits(6).says("release 1 runs again");
    assert_eq!(bench.answer(), "one info");
    assert_eq!(bench.states(), ["verified", "rolled-back"]);
}

#[test]
fn a_rollback_by_hand_that_is_killed_goes_where_it_went() {
    let Some(bench) = Deployment::small("a_rollback_by_hand_that_is_killed_goes_where_it_went") else { return };
    for text in ["one", "two"] {
        bench.alpha(text);
        bench.xtask("deploy dev").exits(0);
    }
    bench.alpha_is(&slow("three"));
    bench.xtask("deploy dev").exits(0);
    let mut run = bench.sandbox().command(&["rollback", "dev"]).spawn();
    assert!(bench.wait_for_step(&mut run, "rollout"), "{}", run.stderr());
    run.kill();
    bench.xtask("deploy dev --resume").exits(3).says("release 4 is a rollback");
    bench.xtask("rollback dev").exits(0).says("release 2 runs again");
    assert_eq!(bench.answer(), "two info");
    bench.xtask("rollback dev").exits(0).says("release 1 runs again");
    assert_eq!(bench.states(), ["verified", "verified", "verified", "interrupted", "verified", "verified"]);
}

/// A service that takes a while to end.
fn slow(text: &str) -> String {
    TELLING.replace("TEXT", text).replace(
        "import os, socket",
        "import os, signal, socket, time\nsignal.signal(signal.SIGTERM, lambda *_: time.sleep(3) or os._exit(0))",
    )
}

#[test]
fn a_database_that_goes_away_in_the_middle_is_told_as_it_is() {
    for (soak, step, codes, words) in
        [("20s", "gate", &[7][..], "the lock of this environment was lost"), ("200ms", "preflight", &[4, 7, 0][..], "")]
    {
        let Some(bench) = Deployment::small("a_database_that_goes_away_in_the_middle_is_told_as_it_is") else { return };
        let env = "config/environments/.env.dev";
        bench.sandbox().write(env, "DATABASE_ADMIN_URL=embedded:\nAPI_KEY=a-key-of-this-test\n");
        bench.sandbox().replace(
            "config/environments/.env.dev.example",
            "GATE_SOAK=200ms",
            &format!("GATE_SOAK={soak}"),
        );
        bench.commit();
        let mut run = bench.sandbox().command(&["deploy", "dev"]).spawn();
        let seen = bench.wait_for_step(&mut run, step);
        if !seen {
            continue;
        }
        let postmaster = bench.sandbox().pid("database");
        let keeper = bench.sandbox().keeper("database");
        signal("KILL", keeper);
        signal("KILL", postmaster);
        let run = run.wait();
        assert!(codes.contains(&run.code.unwrap_or(-1)), "{run}");
        let run = run.says(words);
        if run.code == Some(7) {
            run.says("alpha: running");
        }
        // With the database back, the next run sees it and ends well.
        bench.sandbox().replace(
            "config/environments/.env.dev.example",
            &format!("GATE_SOAK={soak}"),
            "GATE_SOAK=200ms",
        );
        bench.commit();
        assert!(wait(Duration::from_secs(20), || bench.xtask("db query --format json").code.is_some()));
        bench.xtask("deploy dev --yes").exits(0);
        assert_eq!(bench.answer(), "one info");
    }
}

const POLICY: &str =
    "---\ndefault: {keep_daily: 1, keep_weekly: 0, max_age: 7d, verify_every: 30d, jobs: 1}\n---\n# Backup policy\n";
