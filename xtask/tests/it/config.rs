//! Configuration: every kind of bad file is named by file, line and column and ends with 2; where values come from; what
//! a process variable may not change; what is never shown.

use expect_test::{Expect, expect};

use crate::sandbox::Sandbox;

/// Runs `config check` on a workspace with one service file; its talk must be `expected`.
#[track_caller]
fn check_service(yaml: &str, expected: Expect) {
    let sandbox = Sandbox::new();
    sandbox.write("services/alpha/server.py", "");
    sandbox.write("config/services/alpha.yaml", yaml);
    let run = sandbox.xtask("config check").exits(2);
    assert_eq!(run.stdout, "");
    expected.assert_eq(&run.stderr);
    // What needs the services refuses as well, and touches nothing.
    sandbox.xtask("services start").exits(2).says("error: config/services cannot be used");
    assert!(!sandbox.path(".ops/run").exists());
}

const GOOD: &str = "source: services/alpha
language: python
port: 20001
health: {live: /, ready: /}
run: [python, server.py]
";

#[test]
fn an_unknown_key() {
    check_service(
        &GOOD.replace("port:", "prot:"),
        expect![[r#"
            config/services/alpha.yaml:1:1: error: the key `port` is missing in a service
            config/services/alpha.yaml:3:1: error: unknown key `prot` in a service
              hint: did you mean `port`?
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
}

#[test]
fn a_wrong_type_and_an_unknown_word() {
    check_service(
        &GOOD.replace("20001", "eighty").replace("python\n", "pyhton\n").replace("ready: /", "ready: ready"),
        expect![[r#"
            config/services/alpha.yaml:2:11: error: `pyhton` is not known here
              hint: did you mean `python`?
            config/services/alpha.yaml:3:7: error: expected a port between 1 and 65535, found `eighty`
            config/services/alpha.yaml:4:26: error: `ready` is not a path: it must begin with `/`
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
    check_service(
        &GOOD.replace("20001", "70000").replace("[python, server.py]", "python server.py"),
        expect![[r#"
            config/services/alpha.yaml:3:7: error: expected a port between 1 and 65535, found `70000`
            config/services/alpha.yaml:5:6: error: expected a list: the program and its arguments, found `python server.py`
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
}

#[test]
fn tabs_duplicate_keys_and_what_yaml_itself_refuses() {
    check_service(
        &GOOD.replace("health: {live: /, ready: /}", "health:\n\tlive: /"),
        expect![[r#"
            config/services/alpha.yaml:5:1: error: a tab indents this line; YAML allows only spaces
              hint: replace the tab by spaces
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
    check_service(
        &format!("{GOOD}port: 20002\n"),
        expect![[r#"
            config/services/alpha.yaml:6:1: error: the key `port` stands here a second time; the first is on line 3
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
    check_service(
        &GOOD.replace("server.py]", "server.py"),
        expect![[r#"
            config/services/alpha.yaml:6:1: error: not valid YAML: while parsing a flow sequence, expected ',' or ']'
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
    check_service(
        &format!("{}image: {{dockerfile: ../Dockerfile}}\n", GOOD.replace("source: services/alpha", "source: /etc")),
        expect![[r#"
            config/services/alpha.yaml:1:9: error: `/etc` leads out of the workspace: it is told from its root, without `..`
            config/services/alpha.yaml:6:21: error: `../Dockerfile` leads out of the workspace: it is told from its root, without `..`
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
    check_service(
        "- a list\n",
        expect![[r#"
            config/services/alpha.yaml:1:1: error: a service must be a mapping (`key: value`), not a list
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
    check_service(
        "",
        expect![[r#"
            config/services/alpha.yaml:1:1: error: a service must be a mapping (`key: value`), not nothing
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
}

#[test]
fn what_only_shows_when_all_files_are_read() {
    let sandbox = Sandbox::with_two_services();
    sandbox.replace("config/services/beta.yaml", "depends_on: [alpha]", "depends_on: [alhpa]");
    let run = sandbox.xtask("config check").exits(2);
    run.says("config/services/beta.yaml:5:14: error: unknown dependency `alhpa`\n  hint: did you mean `alpha`?");
    sandbox.replace("config/services/beta.yaml", "alhpa", "alpha");
    sandbox.replace("config/services/alpha.yaml", "depends_on: []", "depends_on: [beta]");
    let run = sandbox.xtask("services start").exits(2);
    run.says("config/services/alpha.yaml:5:14: error: dependencies in a circle: alpha -> beta -> alpha");
    sandbox.replace("config/services/alpha.yaml", "depends_on: [beta]", "depends_on: []");
    let (alpha, beta) = (sandbox.port("alpha"), sandbox.port("beta"));
    sandbox.replace("config/services/beta.yaml", &format!("port: {beta}"), &format!("port: {alpha}"));
    let run = sandbox.xtask("config check").exits(2);
    run.says(&format!(
        "config/services/beta.yaml:3:7: error: port {alpha} is also the port of alpha (config/services/alpha.yaml:3:7)"
    ));
    sandbox.replace("config/services/beta.yaml", &format!("port: {alpha}"), &format!("port: {beta}"));
    sandbox.replace("config/services/beta.yaml", "services/beta", "services/bata");
    let run = sandbox.xtask("config check").exits(2);
    run.says("config/services/beta.yaml:1:9: error: the folder `services/bata` is not there");
    sandbox.replace("config/services/beta.yaml", "services/bata", "services/beta");
    sandbox.replace("config/services/beta.yaml", "[LOG_LEVEL,", "[LOG_LEVLE,");
    let run = sandbox.xtask("config check").exits(2);
    run.says("config/services/beta.yaml:7:7: error: beta wants the key `LOG_LEVLE`, which .env.dev.example does not");
    sandbox.replace("config/services/beta.yaml", "LOG_LEVLE", "LOG_LEVEL");
    sandbox.write("config/services/Gamma.yaml", GOOD);
    let run = sandbox.xtask("config check").exits(2);
    run.says("config/services/Gamma.yaml:1:1: error: `Gamma` cannot name a service");
    std::fs::remove_file(sandbox.path("config/services/Gamma.yaml")).unwrap();
    sandbox.xtask("config check").exits(0).says("the configuration can be used: 1 environments, 2 services");
    sandbox.write("config/services/gamma.yaml", b"source: caf\xe9\n");
    sandbox.xtask("config check").exits(2).says("gamma.yaml:1: not UTF-8");
}

/// Runs `config check` on an environment's schema and values.
#[track_caller]
fn check_environment(schema: &str, values: &str, expected: Expect) {
    let sandbox = Sandbox::new();
    sandbox.write("config/environments/.env.dev.example", schema);
    sandbox.write("config/environments/.env.dev", values);
    let run = sandbox.xtask("config check").exits(2);
    expected.assert_eq(&run.stderr);
    sandbox.xtask("services start").exits(2).says("error: the environment `dev` cannot be used");
}

#[test]
fn unknown_decorators_and_types_and_defaults_that_break_their_own_type() {
    check_environment(
        "# @requird\nA=x\n\n# @type=prot\nB=1\n\n# @type=port\nC=0\n\n# Word. \n# @sensitive\nD=x\n\n# @type=int words\nE=1\n",
        "",
        expect![[r#"
            config/environments/.env.dev.example:1:3: error: unknown decorator `@requird`
              hint: did you mean `required`?
            config/environments/.env.dev.example:4:3: error: unknown type `prot`
              hint: did you mean `port`?
            config/environments/.env.dev.example:8:3: error: the default of `C` must be a port between 1 and 65535, found `0`
            config/environments/.env.dev.example:12:3: error: `D` is @sensitive: an example is committed and must not hold its value
              hint: leave it empty
            config/environments/.env.dev.example:14:3: error: `words` stands among decorators, which begin with `@`
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
}

#[test]
fn a_missing_required_key_an_unknown_one_and_a_placeholder() {
    check_environment(
        "# @required\nA=\n\n# @required @sensitive\nAPI_KEY=\n\nB=\n",
        "API_KEI=1\nAPI_KEY=changeme\nB=<your value>\n",
        expect![[r#"
            config/environments/.env.dev:1:1: error: unknown key `API_KEI`: the example does not declare it
              hint: did you mean `API_KEY`?
            config/environments/.env.dev.example:2:1: error: the required key `A` has no value
              hint: set it in config/environments/.env.dev
            config/environments/.env.dev:2:9: error: `API_KEY` still holds a placeholder
              hint: put the real value in its place
            config/environments/.env.dev:3:3: error: `B` still holds a placeholder
              hint: put the real value in its place
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
}

#[test]
fn unterminated_quotes_and_lines_that_are_no_assignment() {
    check_environment(
        "A=\nB=\nC=\n",
        "A='x' y\nnonsense\nA=2\nexport B = \"two\\nlines\"\n=1\nC=\"open\n",
        expect![[r#"
            config/environments/.env.dev:1:7: error: text after the closing quote
            config/environments/.env.dev:2:9: error: expected `=` after `nonsense`
            config/environments/.env.dev:5:1: error: expected KEY=value or a comment
            config/environments/.env.dev:6:3: error: the quote (") that opens here is never closed
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
    check_environment(
        "A=\n",
        "A=1\nA=2\n",
        expect![[r#"
            config/environments/.env.dev:2:1: error: the key `A` stands here a second time; the first is on line 1
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
}

#[test]
fn values_that_are_not_of_their_type() {
    check_environment(
        "# @type=port\nA=\n# @type=bool\nB=\n# @type=enum(debug,info)\nC=\n# @type=url\nD=\n# @type=duration\nE=\n# @type=int\nF=\n# @type=int @sensitive\nG=\n",
        "A=99999\nB=yes\nC=inof\nD=postgres://me:hush-hush@\nE=5 minutes\nF=1.5\nG=my-secret-number\n",
        expect![[r#"
            config/environments/.env.dev:1:3: error: `A` must be a port between 1 and 65535, found `99999`
            config/environments/.env.dev:2:3: error: `B` must be true or false, found `yes`
            config/environments/.env.dev:3:3: error: `C` must be one of debug, info, found `inof`
            config/environments/.env.dev:5:3: error: `E` must be a duration such as 500ms, 30s, 5m, 2h or 1d, found `5 minutes`
            config/environments/.env.dev:6:3: error: `F` must be a whole number, found `1.5`
            config/environments/.env.dev:7:3: error: `G` must be a whole number
            the configuration cannot be used: 1 environments, 0 services
        "#]],
    );
}

#[test]
fn a_test_suite_that_cannot_be_used() {
    let sandbox = Sandbox::new();
    sandbox.write("tests/smoke/suite.yaml", "run: [node, smoke.js]\nneeds: [databse]\nslow: true\n");
    let run = sandbox.xtask("config check").exits(2);
    expect![[r#"
        tests/smoke/suite.yaml:2:9: error: `databse` is not known here
          hint: did you mean `database`?
        tests/smoke/suite.yaml:3:1: error: unknown key `slow` in a suite
          hint: one of: run, needs, by_default
        the configuration cannot be used: 1 environments, 0 services
    "#]]
    .assert_eq(&run.stderr);
}

#[test]
fn findings_as_json() {
    let sandbox = Sandbox::new();
    sandbox.write("config/environments/.env.dev", "LOG_LEVEL=loud\n");
    let run = sandbox.xtask("config check --json").exits(2);
    assert_eq!(run.stderr, "");
    expect![[r#"
        {
          "findings": [
            {
              "column": 11,
              "file": "config/environments/.env.dev",
              "hint": null,
              "line": 1,
              "message": "`LOG_LEVEL` must be one of debug, info, warn, error, found `loud`",
              "severity": "error"
            }
          ],
          "ok": false
        }
    "#]]
    .assert_eq(&run.stdout);
}

#[test]
fn findings_annotate_the_file_in_github_actions() {
    let sandbox = Sandbox::new();
    sandbox.write("config/environments/.env.dev", "LOG_LEVEL=loud\n");
    let run = sandbox.command(&["config", "check"]).env("GITHUB_ACTIONS", "true").run().exits(2);
    run.says("::error file=config/environments/.env.dev,line=1,col=11::`LOG_LEVEL` must be one of");
}

#[test]
fn each_value_has_its_source_and_the_process_wins() {
    let sandbox = Sandbox::new();
    sandbox.write("config/environments/.env.dev", "# mine\nLOG_LEVEL=warn\n");
    let source = |run: &crate::sandbox::Run, key: &str| {
        let keys = run.json()["keys"].as_array().unwrap().clone();
        let found = keys.into_iter().find(|one| one["key"] == key).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["source"].as_str().unwrap().to_owned())
    };
    let pair = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    let run = sandbox.xtask("config --json").exits(0);
    assert_eq!(source(&run, "DATABASE_ADMIN_URL"), pair("embedded:", "config/environments/.env.dev.example:3"));
    assert_eq!(source(&run, "LOG_LEVEL"), pair("warn", "config/environments/.env.dev:2"));
    assert_eq!(source(&run, "API_KEY"), pair("", "not set"));
    let run = sandbox.command(&["config", "--json"]).env("DEV__LOG_LEVEL", "debug").run().exits(0);
    assert_eq!(source(&run, "LOG_LEVEL"), pair("debug", "$DEV__LOG_LEVEL"));
    // A bare variable never retargets an environment.
    let run =
        sandbox.command(&["config", "--json"]).env("LOG_LEVEL", "debug").env("DATABASE_ADMIN_URL", "postgres://x/y");
    let run = run.run().exits(0);
    assert_eq!(source(&run, "LOG_LEVEL"), pair("warn", "config/environments/.env.dev:2"));
    assert_eq!(source(&run, "DATABASE_ADMIN_URL"), pair("embedded:", "config/environments/.env.dev.example:3"));
    let run = sandbox.command(&["config", "check"]).env("DEV__LOG_LEVEL", "loud").run().exits(2);
    run.says("config/environments/.env.dev.example:7:1: error: `LOG_LEVEL` must be one of debug, info, warn, error");
}

#[test]
fn what_says_which_target_is_meant_is_read_only_from_its_file() {
    let sandbox = Sandbox::new();
    for key in ["PROTECTED", "PROMOTE_FROM", "DEPLOY_ENGINE", "KUBE_CONTEXT", "KUBE_NAMESPACE", "FREEZE"] {
        sandbox.write("config/environments/.env.dev.example", format!("{key}=a\n"));
        sandbox.write("config/environments/.env.dev", "");
        let run = sandbox.command(&["config"]).env(&format!("DEV__{key}"), "b").run().exits(2);
        run.says(&format!("error: `DEV__{key}` is set, but `{key}` says which target is meant"))
            .says(&format!("hint: unset DEV__{key}"))
            .prints("config/environments/.env.dev.example:1");
    }
}

#[test]
fn secrets_are_masked_wherever_configuration_is_shown() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "config/environments/.env.dev.example",
        "# @type=url\nDATABASE_ADMIN_URL=\n\n# @sensitive\nAPI_KEY=\n\n# @sensitive @type=int\nPIN=\n\nPLAIN=\n",
    );
    sandbox.write(
        "config/environments/.env.dev",
        "DATABASE_ADMIN_URL=postgres://me:marked-pass%2Fword@db/x\nAPI_KEY=marked-key-1\nPIN=marked-pin-2\nPLAIN=see marked-key-1\n",
    );
    for words in ["config", "config --json", "config check", "config check --json", "-v config"] {
        let run = sandbox.xtask(words);
        assert_eq!(run.code, Some(2), "{run}");
        run.says_nothing_of("marked");
    }
    sandbox.xtask("config").exits(2).prints("postgres://me:********@db/x").prints("see ********");
    let given = sandbox.command(&["config"]).env("DEV__API_KEY", "marked-from-outside").run();
    given.exits(2).says_nothing_of("marked-from-outside");
}
