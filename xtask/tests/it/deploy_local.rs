//! `deploy`, `rollback`, `releases` and `logs` on the local engine, against real PostgreSQL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::deployment::{CRASHES, Deployment, NEVER_READY, TELLING, dies_later};
use crate::sandbox::{is_root, skip, wait};

#[test]
fn a_first_deployment_then_nothing_to_do_then_only_what_changed() {
    let Some(bench) = Deployment::new("a_first_deployment_then_nothing_to_do_then_only_what_changed") else { return };
    bench.xtask("deploy dev --plan").exits(3).prints("; now nothing").says_nothing_of("error");
    let run = bench.xtask("deploy dev --plan --json").exits(3).json();
    assert_eq!((run["live"].is_null(), run["nothing_to_do"].as_bool()), (true, Some(false)));
    bench.xtask("deploy dev").exits(0).says("release 1 of `dev` is live");
    assert_eq!(bench.answer(), "one info");
    bench.xtask("deploy dev --plan").exits(0).prints("nothing to do: release 1 is live");
    bench.xtask("deploy dev").exits(0).says("nothing to do: release 1 is live and runs as it should");

    let beta = bench.sandbox().pid("beta");
    bench.alpha("two");
    bench.xtask("deploy dev --explain").exits(3).prints("alpha: services/alpha/server.py changed");
    bench.xtask("deploy dev").exits(0).says("release 2 of `dev` is live");
    assert_eq!((bench.answer().as_str(), bench.sandbox().pid("beta")), ("two info", beta));

    // A value alone makes a release too.
    bench.sandbox().replace("config/environments/.env.dev", "API_KEY=a-key-of-this-test", "API_KEY=another-key-of-it");
    bench.xtask("deploy dev --explain").exits(3).prints("value of API_KEY: changed").says_nothing_of("another-key");
    bench.xtask("deploy dev").exits(0);
    assert_eq!(bench.states(), ["verified", "verified", "verified"]);
    bench.xtask("releases verify").exits(0).says("is what the tasks wrote");
    let shown = bench.xtask("releases show 2").exits(0);
    for words in ["alpha: services/alpha/server.py changed", "rollout", "gate", "ready 200", "restart alpha"] {
        assert!(shown.stdout.contains(words), "{words} in {shown}");
    }
}

#[test]
fn back_to_the_release_before_and_to_three_before() {
    let Some(bench) = Deployment::small("back_to_the_release_before_and_to_three_before") else { return };
    for (text, level) in [("one", "info"), ("two", "debug"), ("three", "warn"), ("four", "error")] {
        bench.sandbox().write(
            "config/environments/.env.dev",
            format!(
                "DATABASE_ADMIN_URL={0}\nDATABASE_URL={0}\nAPI_KEY=key-of-{text}\nLOG_LEVEL={level}\n",
                bench.bench.url
            ),
        );
        bench.alpha(text);
        bench.xtask("deploy dev").exits(0);
    }
    assert_eq!(bench.answer(), "four error");
    bench.xtask("rollback dev --plan").exits(3).prints("bring back release 3");
    bench.xtask("rollback dev").exits(0).says("release 3 runs again in `dev`, as release 5");
    assert_eq!(bench.answer(), "three warn");
    bench.xtask("rollback dev --to 1").exits(0).says("release 1 runs again");
    assert_eq!(bench.answer(), "one info");
    // Its own secret too, from the record and not from the file.
    let pid = bench.sandbox().pid("alpha");
    let environment = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).unwrap()).into_owned();
    assert!(environment.contains("API_KEY=key-of-one\0"), "its own value of the key");
    bench.xtask("rollback dev").exits(3).says("there is none before it");
    bench.xtask("rollback dev --to 9").exits(2).says("there is no release 9");
    // The tree says four: a deployment brings that again.
    bench.xtask("deploy dev").exits(0);
    assert_eq!(bench.answer(), "four error");

    // Without what it needs a release does not come back, and nothing is touched.
    fs::remove_file(bench.sandbox().path(".ops/releases/dev/3/values.json")).unwrap();
    let pid = bench.sandbox().pid("alpha");
    bench.xtask("rollback dev --to 3").exits(3).says("its values are gone").says("nothing was touched");
    assert_eq!(bench.sandbox().pid("alpha"), pid);
}

#[test]
fn a_broken_release_leaves_the_old_one_serving() {
    let Some(bench) = Deployment::small("a_broken_release_leaves_the_old_one_serving") else { return };
    bench.xtask("deploy dev").exits(0);
    let serves = |case: &str| assert_eq!(bench.answer(), "one info", "{case}");

    bench.alpha_is("def broken(:\n");
    bench.xtask("deploy dev").exits(1).says("SyntaxError").says("nothing was rolled out: release 1 goes on");
    serves("does not build");

    bench.alpha_is(CRASHES);
    let run = bench.xtask("deploy dev").exits(6).says("alpha is not running").says("| the cause of it all");
    run.says("exited with 7").says("release 3 failed; release 1 runs again");
    serves("crashes at start");

    bench.alpha_is(NEVER_READY);
    let run = bench.xtask("deploy dev --wait 2").exits(6).says("status 503: thinking").says("| still thinking");
    run.says("release 1 runs again");
    serves("never ready");

    bench.alpha_is(&dies_later());
    bench.sandbox().replace("config/environments/.env.dev.example", "GATE_SOAK=200ms", "GATE_SOAK=10s");
    bench.commit();
    bench.xtask("deploy dev").exits(6).says("| out of breath").says("release 1 runs again");
    serves("dies in the soak");

    bench.sandbox().replace("config/environments/.env.dev.example", "GATE_SOAK=10s", "GATE_SOAK=200ms");
    bench.alpha("two");
    bench.bench.migration("1_broken", "create table t (n int);\ninsert into t values ('x');\n");
    bench.commit();
    bench.xtask("deploy dev").exits(1).says("invalid input syntax").says("release 1 goes on");
    serves("a migration fails");
    assert_eq!(bench.states(), ["verified", "failed", "rolled-back", "rolled-back", "rolled-back", "failed"]);
    bench.xtask("releases verify").exits(0);
}

#[test]
fn the_first_release_has_nothing_to_go_back_to_but_the_sources() {
    let Some(bench) = Deployment::small("the_first_release_has_nothing_to_go_back_to_but_the_sources") else { return };
    bench.alpha_is(CRASHES);
    bench.xtask("deploy dev").exits(1).says("failed and was stopped; there is none before it");
    assert_eq!(bench.answer(), "");

    // What runs well from its sources, and not from a copy.
    let picky = format!("import os, sys\nif '.ops' in os.getcwd():\n    sys.exit(5)\n{TELLING}");
    bench.alpha_is(&picky);
    bench.xtask("services start").exits(0);
    bench.xtask("deploy dev").exits(6).says("exited with 5").says("the services run from their sources again");
    assert_eq!(bench.answer(), "TEXT info");
    assert_eq!(bench.sandbox().status("alpha")["release"], serde_json::Value::Null);

    // Sources that are broken by now cannot come back, and that is said.
    bench.alpha_is(CRASHES);
    bench.xtask("deploy dev").exits(7).says("could not be rolled back");
    assert_eq!(bench.states(), ["failed", "rolled-back", "stuck"]);
}

fn extra(port: u16) -> String {
    format!(
        "source: services/extra\nlanguage: python\nport: {port}\nhealth: {{live: /, ready: /}}\nrun: [python, server.py]\n"
    )
}

#[test]
fn what_deploy_put_there_is_given_back() {
    let Some(bench) = Deployment::new("what_deploy_put_there_is_given_back") else { return };
    bench.xtask("services start").exits(0);
    bench.xtask("deploy dev").exits(0);
    let copy = |name: &str| fs::read_link(format!("/proc/{}/cwd", bench.sandbox().pid(name))).unwrap();
    assert!(copy("alpha").starts_with(bench.sandbox().path(".ops/releases/dev")), "{:?}", copy("alpha"));

    // What is edited does not reach the release, and `services start` keeps to it.
    bench.sandbox().write("services/alpha/server.py", TELLING.replace("TEXT", "edited"));
    let pid = bench.sandbox().pid("beta");
    bench.sandbox().kill_service("alpha");
    bench.xtask("services start").exits(0).says("release 1");
    assert_eq!((bench.answer().as_str(), bench.sandbox().pid("beta")), ("one info", pid));
    assert_eq!(bench.sandbox().status("alpha")["release"], 1);
    bench.xtask("services restart alpha").exits(0);
    assert_eq!(bench.answer(), "one info");
    bench.xtask("services start --source --plan").exits(3);
    assert_eq!(bench.answer(), "one info");

    bench.xtask("services start --source").exits(0);
    assert_eq!(bench.answer(), "edited info");
    assert!(copy("alpha").ends_with("services/alpha"));
    bench.xtask("deploy dev").exits(3).says("the tree is not what is committed: services/alpha/server.py");
    bench.sandbox().git(&["checkout", "-q", "services/alpha/server.py"]);
    bench.xtask("deploy dev").exits(0).says("release 3 of `dev` is live");
    assert_eq!(bench.answer(), "one info");
    bench.xtask("services stop").exits(0);
    bench.xtask("deploy dev").exits(0).says("release 4 of `dev` is live");
}

#[test]
fn the_checks_refuse_before_anything_is_touched() {
    let Some(bench) = Deployment::small("the_checks_refuse_before_anything_is_touched") else { return };
    bench.xtask("deploy dev").exits(0);
    bench.alpha("two");
    let env = "config/environments/.env.dev";
    let values = bench.sandbox().read(env);

    bench.sandbox().write(env, format!("{values}FREEZE=\"Mon 00:00 - Sun 24:00 Europe/Vienna\"\n"));
    bench
        .xtask("deploy dev")
        .exits(3)
        .says("`dev` is frozen: Mon 00:00 - Sun 24:00 Europe/Vienna")
        .says("--break-glass REASON");
    assert_eq!(bench.answer(), "one info");
    let run = bench.sandbox().run(&["deploy", "dev", "--break-glass", "the shop is down"]);
    run.exits(0).says("(overridden)");
    bench.xtask("releases show 3").exits(0).prints("the shop is down").prints("`dev` is frozen");
    bench.sandbox().write(env, format!("{values}FREEZE=whenever\n"));
    bench.xtask("deploy dev").exits(2).says(":8: error: `FREEZE`: `whenever` is no window");
    bench.sandbox().write(env, format!("{values}FREEZE=Mon 00:00 - Sun 24:00 Europe/Nowhere\n"));
    bench.alpha("three");
    bench.xtask("deploy dev").exits(3).says("the time zone `Europe/Nowhere`, which PostgreSQL does not know");
    bench.sandbox().write(env, &values);

    // Somebody else has the port that a new service wants.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bench.sandbox().write("config/services/extra.yaml", extra(taken.local_addr().unwrap().port()));
    bench.sandbox().write("services/extra/server.py", TELLING);
    bench.commit();
    bench.xtask("deploy dev").exits(3).says(&format!("of extra is taken by pid {}", std::process::id()));
    drop(taken);
    bench.xtask("deploy dev").exits(0);
    for (line, why) in [
        ("PROMOTE_FROM=stagign", "unknown environment `stagign`"),
        ("PROMOTE_FROM=dev", "`dev` is this environment itself"),
        ("COMPOSE_PROJECT=Our Shop", "`Our Shop` is no name of a project"),
    ] {
        bench.sandbox().write(env, format!("{values}{line}\n"));
        bench.xtask("deploy dev").exits(2).says(why);
    }
    bench.sandbox().write(env, &values);
    bench.xtask("deploy dev --plan --resume").exits(2).says("--plan and --resume exclude each other");
    bench.xtask("deploy dev --json").exits(2).says("add --plan");
    bench.xtask("deploy dev --database").exits(2).says("not run by Compose");
    bench.xtask("deploy rehearsal-1").exits(2).says("cannot be an environment");
    bench.xtask("deploy nowhere").exits(2).says("unknown environment `nowhere`");
    bench.xtask("deploy dev --engine docker").exits(2).says("there is no engine `docker`");
    assert_eq!(bench.states(), ["verified", "refused", "verified", "refused", "refused", "verified"]);
}

#[test]
fn what_was_lost_is_not_begun_anew_unasked() {
    let Some(bench) = Deployment::small("what_was_lost_is_not_begun_anew_unasked") else { return };
    bench.xtask("deploy dev").exits(0);
    let env = "config/environments/.env.dev";
    let values = bench.sandbox().read(env);
    fs::remove_file(bench.sandbox().path(env)).unwrap();
    bench.xtask("deploy dev").exits(2).says(".env.dev is missing, and release 1 of `dev` was made here");
    assert!(!bench.sandbox().path(env).exists());
    bench.sandbox().write(env, values);

    bench.bench.ask("drop schema ops cascade");
    bench.alpha("two");
    bench.xtask("deploy dev").exits(3).says("the database of `dev` knows of no release").says("or begin anew: --yes");
    assert_eq!(bench.bench.ask("select to_regnamespace('ops') is null"), "t");
    bench.xtask("deploy dev --yes").exits(0);
    assert_eq!(bench.answer(), "two info");
}

#[test]
fn what_is_live_and_not_well_is_told() {
    let Some(bench) = Deployment::small("what_is_live_and_not_well_is_told") else { return };
    // Well as long as a file is not there.
    let sick = bench.sandbox().path(".ops/sick");
    let status =
        format!("b\"HTTP/1.1 %d Told\\r\\n\" % (503 if os.path.exists({:?}) else 200) + b\"", sick.to_str().unwrap());
    let body = NEVER_READY.replace("b\"HTTP/1.1 503 Service Unavailable\\r\\n", &status);
    bench.alpha_is(&body);
    bench.xtask("deploy dev").exits(0);
    bench.xtask("deploy dev").exits(0).says("nothing to do");
    fs::write(&sick, "").unwrap();
    bench.xtask("deploy dev").exits(3).says("nothing to change: release 1 is live, but alpha is not ready: status 503");
}

#[test]
fn a_disk_that_is_full_is_told_before_anything_is_touched() {
    let name = "a_disk_that_is_full_is_told_before_anything_is_touched";
    let Some(bench) = Deployment::small(name) else { return };
    bench.xtask("deploy dev").exits(0);
    let folder = bench.sandbox().path(".ops/releases");
    let mount = |args: &[&str]| {
        std::process::Command::new(args[0])
            .args(&args[1..])
            .arg(&folder)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !is_root() || !mount(&["mount", "-t", "tmpfs", "-o", "size=4m", "none"]) {
        return skip(name, "only root may mount a small disk");
    }
    bench.alpha("two");
    let run = bench.xtask("deploy dev");
    let answer = bench.answer();
    assert!(mount(&["umount"]));
    run.exits(3).says("MB are free in").says("`cargo xtask clean` removes what can be rebuilt");
    assert_eq!(answer, "one info");
}

#[test]
fn what_flaps_is_told_apart_from_what_is_down() {
    let Some(bench) = Deployment::small("what_flaps_is_told_apart_from_what_is_down") else { return };
    // Every second answer is an error.
    let flaps = TELLING.replace("while True:", "count = 0\nwhile True:\n    count += 1").replace(
        "client.sendall(",
        "client.sendall(b'HTTP/1.1 503 Busy\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' if count // 3 % 2 else ",
    );
    bench.alpha_is(&flaps);
    bench.xtask("services start").exits(0);
    let seen: Vec<String> = (0..6).map(|_| bench.xtask("health").stdout).collect();
    assert!(seen.iter().any(|text| text.contains("FLAPS")), "{seen:?}");
    bench.sandbox().kill_service("alpha");
    bench.xtask("health").exits(3).prints("DOWN").says_nothing_of("FLAPS");
}

#[test]
fn a_plan_is_carried_out_as_it_was_read_or_not_at_all() {
    let Some(bench) = Deployment::small("a_plan_is_carried_out_as_it_was_read_or_not_at_all") else { return };
    let plan = |name: &str| {
        let run = bench.xtask("deploy dev --plan --json").exits(3);
        bench.sandbox().write(format!(".ops/{name}"), run.stdout);
        bench.sandbox().path(format!(".ops/{name}")).to_str().unwrap().to_owned()
    };
    let apply = |file: &str| bench.sandbox().run(&["deploy", "dev", "--apply-plan", file]);
    let first = plan("first.json");
    bench.alpha("two");
    apply(&first).exits(3).says("is stale").says("artifact");
    // Of a database without a ledger too: what is made in it on the way is no change.
    apply(&plan("second.json")).exits(0);
    bench.alpha("three");
    let third = plan("third.json");
    bench.sandbox().replace("config/environments/.env.dev", "API_KEY=a-key-of-this-test", "API_KEY=another-key");
    apply(&third).exits(3).says("values_sha256");
    apply(&plan("fourth.json")).exits(0);
    assert_eq!(bench.answer(), "three info");
    bench.sandbox().write(".ops/torn.json", "{\"digest\": ");
    apply(bench.sandbox().path(".ops/torn.json").to_str().unwrap()).exits(2).says("torn.json:1:");
}

#[test]
fn a_schema_that_moved_on_keeps_the_old_code_away() {
    let Some(bench) = Deployment::small("a_schema_that_moved_on_keeps_the_old_code_away") else { return };
    bench.bench.migration("1_a", "create table a (n int);\n");
    bench.commit();
    bench.xtask("deploy dev").exits(0);
    bench.bench.migration("2_b", "-- migrate: compatible\nalter table a add column m int;\n");
    bench.alpha("two");
    bench.xtask("deploy dev").exits(0);
    bench.xtask("rollback dev").exits(0);
    assert_eq!(bench.answer(), "one info");
    bench.bench.migration("3_c", "alter table a drop column n;\n");
    bench.alpha("three");
    bench.xtask("deploy dev --plan").exits(3).prints("rollback: not possible: migration 3_c is not marked");
    bench.xtask("deploy dev").exits(0);
    bench
        .xtask("rollback dev")
        .exits(3)
        .says("migration 3_c was applied since and is not marked `-- migrate: compatible`");
    assert_eq!(bench.answer(), "three info");
    // A failure behind such a migration cannot go back by itself: a person is needed, and is told how.
    bench.bench.migration("4_d", "create table d ();\n");
    bench.alpha_is(CRASHES);
    let run = bench.xtask("deploy dev").exits(7).says("migration 4_d was applied since").says("alpha: exited with 7");
    run.says("rollback dev --dangerous-schema");
    bench.xtask("rollback dev --dangerous-schema").exits(0);
    assert_eq!(bench.answer(), "three info");
    bench.xtask("releases show 6").exits(0).prints("--dangerous-schema");
}

#[test]
fn an_edited_ledger_is_found() {
    let Some(bench) = Deployment::small("an_edited_ledger_is_found") else { return };
    bench.xtask("deploy dev").exits(0);
    bench.alpha("two");
    bench.xtask("deploy dev").exits(0);
    for (edit, undo, words) in [
        (
            "update ops.release set os_user = 'nobody' where number = 1",
            "",
            "release 1: what it was opened with was edited",
        ),
        ("update ops.release set outcome = '{}' where number = 2", "", "release 2: how it ended was edited"),
        (
            "update ops.release_step set detail = 'all was well' where release = 2 and step = 'gate' and event = 'done'",
            "",
            "release 2: the entry `gate done`",
        ),
        (
            "delete from ops.release_step where release = 1 and step = 'migrate' and event = 'begin'",
            "",
            "does not follow from the one before it",
        ),
    ] {
        bench.bench.ask(&format!(
            "create schema if not exists kept; drop table if exists kept.r, kept.s; \
             create table kept.r as table ops.release; create table kept.s as table ops.release_step; {edit}"
        ));
        bench.xtask("releases verify").exits(3).says(words);
        bench.bench.ask(&format!(
            "{undo} delete from ops.release_step; delete from ops.release; insert into ops.release select * from kept.r; \
             insert into ops.release_step overriding system value select * from kept.s order by id"
        ));
        bench.xtask("releases verify").exits(0);
    }
}

#[test]
fn hooks_are_told_and_may_stop() {
    let Some(bench) = Deployment::small("hooks_are_told_and_may_stop") else { return };
    let hook = |when: &str, script: &str| {
        bench.sandbox().write(format!("config/hooks/{when}/10-tell"), format!("#!/bin/sh\n{script}\n"));
        let path = bench.sandbox().path(format!("config/hooks/{when}/10-tell"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    hook("pre-deploy", "cat > .ops/pre.json; echo \"$OPS_RELEASE $OPS_ENVIRONMENT $OPS_STATE\" > .ops/pre.txt");
    hook("post-deploy", "echo it went well >&2; exit 3");
    hook("failed", "echo \"$OPS_STATE\" > .ops/failed.txt");
    bench.commit();
    bench.xtask("deploy dev").exits(0).says("a post-deploy hook failed").says("is live");
    assert_eq!(bench.sandbox().read(".ops/pre.txt"), "1 dev running\n");
    let told: serde_json::Value = serde_json::from_str(&bench.sandbox().read(".ops/pre.json")).unwrap();
    assert_eq!((told["release"].as_i64(), told["engine"].as_str()), (Some(1), Some("local")));
    bench.xtask("releases show 1").exits(0).prints("post-deploy");
    bench.xtask("releases verify").exits(0);

    bench.alpha_is(CRASHES);
    bench.xtask("deploy dev").exits(6);
    assert_eq!(bench.sandbox().read(".ops/failed.txt"), "rolled-back\n");
    hook("pre-deploy", "echo 'not on my watch'; exit 1");
    bench.commit();
    bench.xtask("deploy dev").exits(3).says("a pre-deploy hook said no; nothing was touched").says("not on my watch");
}

#[test]
fn a_protected_environment_wants_its_name() {
    let Some(bench) = Deployment::small("a_protected_environment_wants_its_name") else { return };
    let env = "config/environments/.env.dev";
    bench.sandbox().write(env, bench.sandbox().read(env) + "PROTECTED=true\n");
    bench.xtask("deploy dev --yes").exits(3).says("`dev` is protected").says("--confirm dev");
    bench.xtask("deploy dev --confirm staging").exits(3).says("declined; nothing was rolled out");
    assert_eq!(bench.answer(), "");
    bench.xtask("deploy dev --confirm dev").exits(0);
    bench.alpha("two");
    bench.xtask("deploy dev --confirm dev").exits(0);
    bench.xtask("rollback dev --yes").exits(3);
    bench.xtask("rollback dev --confirm dev").exits(0);
    assert_eq!(bench.answer(), "one info");
}

#[test]
fn the_ladder_takes_what_the_other_environment_has_verified() {
    let Some(bench) = Deployment::small("the_ladder_takes_what_the_other_environment_has_verified") else { return };
    let sandbox = bench.sandbox();
    let url = bench.bench.second_database("ladder");
    let example = sandbox.read("config/environments/.env.dev.example");
    let port = crate::sandbox::free_port();
    sandbox.write("config/environments/.env.upper.example", example + "\nALPHA_PORT=\n");
    sandbox.write(
        "config/environments/.env.dev.example",
        sandbox.read("config/environments/.env.dev.example") + "\nALPHA_PORT=\n",
    );
    sandbox.write(
        "config/environments/.env.upper",
        format!("DATABASE_ADMIN_URL={url}\nDATABASE_URL={url}\nAPI_KEY=k\nPROMOTE_FROM=dev\nALPHA_PORT={port}\n"),
    );
    bench.commit();
    bench.xtask("deploy upper").exits(3).says("it has not verified this artifact").says("cargo xtask deploy dev");
    bench.xtask("deploy dev").exits(0);
    bench.xtask("deploy upper").exits(0);
    bench.xtask("releases --env upper show 2").exits(0).prints("release 1 of dev");
    assert_eq!(crate::deployment::get(port), "one info");

    bench.alpha("two");
    bench.xtask("deploy dev").exits(0);
    bench.bench.ask("update ops.release set ended_at = ended_at - interval '20 days' where number = 2");
    bench.xtask("deploy upper").exits(3).says("takes what is at most 14 days old");
    bench.bench.ask("update ops.release set ended_at = ended_at + interval '20 days' where number = 2");
    // Where the other environment cannot be asked, a file signs it off.
    let file = sandbox.path(".ops/signed.json");
    fs::write(&file, bench.xtask("releases show 2 --json").exits(0).stdout).unwrap();
    let dev = sandbox.read("config/environments/.env.dev");
    sandbox.write("config/environments/.env.dev", dev.replace(&bench.bench.name, "gone"));
    bench.xtask("deploy upper").exits(3).says("cannot be asked what it has verified").says("--signed-off FILE");
    let with = |file: &std::path::Path| sandbox.run(&["deploy", "upper", "--signed-off", file.to_str().unwrap()]);
    let forged = sandbox.path(".ops/forged.json");
    fs::write(&forged, fs::read_to_string(&file).unwrap().replace("\"kind\": \"deploy\"", "\"kind\": \"rollback\""))
        .unwrap();
    with(&forged).exits(3).says("does not sign this artifact off");
    with(&file).exits(0);
    assert_eq!(crate::deployment::get(port), "two info");
}

#[test]
fn ten_at_once() {
    let Some(bench) = Deployment::small("ten_at_once") else { return };
    let runs: Vec<_> = (0..10).map(|_| bench.sandbox().command(&["deploy", "dev"]).spawn()).collect();
    let runs: Vec<_> = runs.into_iter().map(crate::sandbox::Running::wait).collect();
    let count = |code: i32| runs.iter().filter(|run| run.code == Some(code)).count();
    let done = runs.iter().filter(|run| run.stderr.contains("is live") && run.code == Some(0)).count();
    assert_eq!((count(0) + count(5), done >= 1), (10, true), "{runs:?}");
    for busy in runs.iter().filter(|run| run.code == Some(5)) {
        assert!(busy.stderr.contains("`xtask deploy dev pid "), "{busy}");
    }
    assert_eq!(bench.states(), ["verified"]);
    assert_eq!(bench.answer(), "one info");
}

#[test]
fn a_rehearsal_leaves_nothing_and_tells_a_rollback_that_fails() {
    let Some(bench) = Deployment::small("a_rehearsal_leaves_nothing_and_tells_a_rollback_that_fails") else { return };
    let sandbox = bench.sandbox();
    let before = |sandbox: &crate::sandbox::Sandbox| {
        let mut files: Vec<_> =
            sandbox.files().into_iter().filter(|path| path.starts_with(sandbox.path("."))).collect();
        files.retain(|path| {
            !path.to_string_lossy().contains("__pycache__") && !path.to_string_lossy().contains("/printed/")
        });
        files.retain(|path| {
            !path.to_string_lossy().contains(".ops/build") && !path.to_string_lossy().contains(".ops/locks")
        });
        files
    };
    bench.xtask("build").exits(0);
    let files = before(sandbox);
    bench.xtask("deploy dev --rehearse --engine local").exits(0).says("the rehearsal of `dev` went well");
    assert_eq!(before(sandbox), files);
    assert!(wait(Duration::from_secs(10), || sandbox.processes().is_empty()), "{:?}", sandbox.processes());
    bench.xtask("releases").exits(0).says("nothing was deployed");

    // A service that does not start a third time: what ran before cannot come back.
    let counting = format!(
        "import os, sys\npath = {:?}\nopen(path, 'a').write('x')\nif os.path.getsize(path) > 2:\n    print('enough', flush=True)\n    sys.exit(4)\n{}",
        sandbox.path(".ops/count").to_str().unwrap(),
        TELLING
    );
    bench.alpha_is(&counting);
    let run = bench.xtask("deploy dev --rehearse --engine local").exits(3).says("was not rolled back").says("| enough");
    run.says("nothing of the environment was touched");
    assert!(wait(Duration::from_secs(10), || sandbox.processes().is_empty()), "{:?}", sandbox.processes());
}

#[test]
fn logs_and_a_bundle_for_an_incident() {
    let Some(bench) = Deployment::new("logs_and_a_bundle_for_an_incident") else { return };
    bench.xtask("deploy dev").exits(0);
    bench.xtask("logs").exits(0).prints("alpha  listening").prints("beta   listening");
    bench.xtask("logs alpha --grep nothing").exits(0).says_nothing_of("listening");
    bench.xtask("logs gamma").exits(2).says("unknown service `gamma`");
    bench.xtask("logs --since soon").exits(2).says("`--since soon` is no age");
    let file = bench.sandbox().path(".ops/incident.tgz");
    bench.sandbox().run(&["logs", "--collect", file.to_str().unwrap()]).exits(0);
    let list = std::process::Command::new("tar").arg("-tzf").arg(&file).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for name in ["alpha.log", "beta.log", "config.json", "health.json", "machine.json", "releases.json", "running.json"]
    {
        assert!(list.contains(name), "{name} in {list}");
    }
    let all = std::process::Command::new("tar").arg("-xzOf").arg(&file).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&all).contains("a-key-of-this-test"));
}

#[test]
fn no_secret_stands_anywhere_but_in_its_own_files() {
    let Some(bench) = Deployment::small("no_secret_stands_anywhere_but_in_its_own_files") else { return };
    let secret = "s3cret-marked-value";
    let env = "config/environments/.env.dev";
    bench.sandbox().replace(env, "API_KEY=a-key-of-this-test", &format!("API_KEY={secret}"));
    bench
        .sandbox()
        .write("services/alpha/server.py", TELLING.replace("print(\"listening\"", "print(os.environ['API_KEY']"));
    bench.commit();
    for words in
        ["deploy dev --plan --json", "deploy dev -v", "deploy dev", "releases show 1 --json", "logs", "health --json"]
    {
        bench.xtask(words).says_nothing_of(secret);
    }
    let dump = bench.bench.ask("select string_agg(r::text, ' ') || (select string_agg(s::text, ' ') from ops.release_step s) from ops.release r");
    assert!(!dump.contains(secret));
    let mut holders = Vec::new();
    for path in bench.sandbox().files() {
        if fs::read(&path).is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret.as_bytes())) {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let name = path.strip_prefix(bench.sandbox().path("")).unwrap().display().to_string();
            holders.push(format!("{name} {mode:o}"));
        }
    }
    holders.sort();
    assert_eq!(holders, [".ops/releases/dev/1/values.json 600".to_owned(), format!("{env} 600")]);
    for process in crate::sandbox::all_processes() {
        assert!(!process.command.contains(secret), "{process:?}");
    }
}
