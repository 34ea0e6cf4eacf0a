//! Adding a service is a folder and one YAML file: it appears in build, test, services, health and the overview, with no
//! other edit.

use crate::sandbox::{NODE, PYTHON, Sandbox, fake_program, free_port};

/// As somebody would write it, by the table of docs and nothing else.
fn add(sandbox: &Sandbox, name: &str, language: &str, run: &str, file: &str, script: &str) {
    sandbox.write(format!("services/{name}/{file}"), script);
    let port = free_port();
    let yaml = format!(
        "source: services/{name}\nlanguage: {language}\nport: {port}\nhealth: {{live: /healthz, ready: /readyz}}\nrun: {run}\n"
    );
    sandbox.write(format!("config/services/{name}.yaml"), yaml);
}

#[test]
fn a_new_service_appears_everywhere_with_no_other_edit() {
    let sandbox = Sandbox::with_two_services();
    sandbox.init_git();
    sandbox.xtask("services start").exits(0);
    let pids = (sandbox.pid("alpha"), sandbox.pid("beta"));

    add(&sandbox, "mailer", "python", "[python, server.py]", "server.py", PYTHON);
    add(&sandbox, "web-shop", "node", "[node, server.js]", "server.js", NODE);
    let edits = sandbox.git(&["status", "--porcelain", "--untracked-files=all"]);
    let expected = "?? config/services/mailer.yaml\n?? config/services/web-shop.yaml\n?? services/mailer/server.py\n?? services/web-shop/server.js\n";
    assert_eq!(edits, expected);

    sandbox.xtask("config check").exits(0).says("4 services");
    sandbox.xtask("overview").exits(0).prints("  mailer    stopped").prints("  web-shop  stopped");
    let next = sandbox.xtask("").exits(0);
    next.prints("mailer, web-shop not running");
    sandbox.xtask("build --explain").exits(0).prints("mailer    build: it was never done here");
    sandbox.xtask("build mailer web-shop").exits(0).says("ok     build mailer").says("ok     build web-shop");
    sandbox.xtask("test mailr").exits(2).says("did you mean `mailer`?");
    sandbox.xtask("services start --plan").exits(3).prints("mailer    start").prints("web-shop  start");
    sandbox.xtask("services start").exits(0).says("ok     service mailer").says("ok     service web-shop");
    assert_eq!(pids, (sandbox.pid("alpha"), sandbox.pid("beta")), "the others were left alone");
    sandbox.assert_one_copy_of(&["alpha", "beta", "mailer", "web-shop"]);
    sandbox.xtask("services status").exits(0).prints("mailer    running").prints("web-shop  running");
    sandbox.xtask("services logs web-shop").exits(0).prints("web-shop  listening");
    sandbox.xtask("health").exits(0).prints("mailer    ok").prints("web-shop  ok");
    sandbox.xtask("doctor").prints("mailer runs, pid ");
    assert_eq!(sandbox.git(&["status", "--porcelain", "--untracked-files=all"]), expected, "nothing else was written");
    sandbox.xtask("services stop mailer").exits(0);
    sandbox.assert_one_copy_of(&["alpha", "beta", "web-shop"]);
}

#[test]
fn what_is_for_tests_alone_comes_with_tests_and_what_builds_comes_with_the_build() {
    let sandbox = Sandbox::with_two_services();
    let tool = r#"{"name": "maker", "version": "1.0.0", "bin": {"maker": "maker.js"}}"#;
    sandbox.write("tools/maker/package.json", tool);
    let made = "#!/usr/bin/env node\nimport('node:fs').then((fs) => fs.mkdirSync('dist', { recursive: true }));\n";
    sandbox.write("tools/maker/maker.js", made);
    sandbox.write("tools/lib/package.json", r#"{"name": "lib", "version": "1.0.0"}"#);
    let package = |scripts: &str| {
        let needs = r#""dependencies": {"lib": "file:../../tools/lib"}, "devDependencies": {"maker": "file:../../tools/maker"}"#;
        let lock = r#"{"name": "web", "lockfileVersion": 3, "requires": true, "packages": {
            "": {"name": "web", NEEDS},
            "../../tools/lib": {"version": "1.0.0"},
            "../../tools/maker": {"version": "1.0.0", "dev": true, "bin": {"maker": "maker.js"}},
            "node_modules/lib": {"resolved": "../../tools/lib", "link": true},
            "node_modules/maker": {"resolved": "../../tools/maker", "link": true}}}"#;
        sandbox.write("services/web/package-lock.json", lock.replace("NEEDS", needs));
        sandbox.write("services/web/package.json", format!(r#"{{"name": "web", "scripts": {{{scripts}}}, {needs}}}"#));
    };
    add(&sandbox, "web", "node", "[node, server.js]", "server.js", NODE);
    package(r#""test": "maker""#);
    sandbox.xtask("build web").exits(0).says("ok     install web");
    let is_there = |what: &str| sandbox.path("services/web/node_modules").join(what).exists();
    assert!(is_there("lib") && !is_there("maker"));
    // This workspace has no database to test with; what the tests need comes before that.
    sandbox.xtask("test web").says("ok     install the tools of web");
    assert!(is_there("lib") && is_there("maker"));
    package(r#""build": "maker""#);
    sandbox.xtask("build web").exits(0).says("ok     install web").says("ok     build web");
    assert!(is_there("maker") && sandbox.path("services/web/dist").exists());
}

#[test]
fn what_npm_installed_once_is_copied_into_other_clones_unless_it_is_damaged() {
    let mut sandbox = Sandbox::with_two_services();
    sandbox.set("XDG_CACHE_HOME", sandbox.path("shared"));
    sandbox.write("tools/lib/package.json", r#"{"name": "lib", "version": "1.0.0"}"#);
    let needs = r#""dependencies": {"lib": "file:../../tools/lib"}"#;
    let lock = r#"{"name": "web", "lockfileVersion": 3, "requires": true, "packages": {
        "": {"name": "web", NEEDS},
        "../../tools/lib": {"version": "1.0.0"},
        "node_modules/lib": {"resolved": "../../tools/lib", "link": true}}}"#;
    sandbox.write("services/web/package-lock.json", lock.replace("NEEDS", needs));
    sandbox.write("services/web/package.json", format!(r#"{{"name": "web", {needs}}}"#));
    add(&sandbox, "web", "node", "[node, server.js]", "server.js", NODE);
    let bin = sandbox.path("bin");
    fake_program(&bin, "npm", "echo 'npm was called' >&2; exit 1");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let modules = sandbox.path("services/web/node_modules");
    let without_npm = || {
        std::fs::remove_dir_all(&modules).unwrap();
        sandbox.command(&["build", "web"]).env("PATH", &path).run()
    };

    sandbox.xtask("build web").exits(0);
    let list = sandbox.read("services/web/node_modules/.package-lock.json");
    without_npm().exits(0).says("ok     install web");
    assert_eq!(sandbox.read("services/web/node_modules/.package-lock.json"), list);
    assert!(modules.join("lib/package.json").exists());

    let sets: Vec<_> = std::fs::read_dir(sandbox.path("shared/vital-ops/node_modules")).unwrap().flatten().collect();
    let [set] = &sets[..] else { panic!("one set: {sets:?}") };
    std::fs::write(set.path().join("node_modules/.package-lock.json"), "damaged").unwrap();
    without_npm().exits(1).says("npm was called");
    assert!(!modules.exists() && !set.path().exists(), "neither is half of it left, nor is it tried again");
    sandbox.xtask("build web").exits(0);
    assert_eq!(sandbox.read("services/web/node_modules/.package-lock.json"), list);
    without_npm().exits(0);

    // npm runs this one each time, in the folder itself or in one beside it.
    let lib = |script: &str| {
        sandbox.write(
            "tools/lib/package.json",
            format!(r#"{{"name": "lib", "version": "1.0.0", "scripts": {{{script}}}}}"#),
        );
    };
    lib(r#""prepare": "true""#);
    without_npm().exits(1).says("npm was called");
    lib(r#""test": "true""#);
    sandbox.command(&["build", "web"]).env("PATH", &path).run().exits(0);

    // Another lock file is another set.
    sandbox.write("services/web/package-lock.json", lock.replace("NEEDS", needs) + "\n");
    without_npm().exits(1).says("npm was called");
}
