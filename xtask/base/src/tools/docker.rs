//! Docker, as far as tasks ask it: the engine, the containers of a Compose project, images.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::Value;

use super::Cmd;
use super::cmd::Output;
use crate::ui::Failure;

/// The engine that `docker` reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Made when it was installed: tells one engine from another.
    pub id: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    pub version: String,
    /// Where images and volumes lie on its host.
    pub root: String,
}

/// Looks at the engine, once. Exit 4 when docker is missing or the engine does not answer.
pub fn engine() -> Result<Engine> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine.clone());
    }
    let engine = look_at_engine()?;
    Ok(ENGINE.get_or_init(|| engine).clone())
}

fn look_at_engine() -> Result<Engine> {
    let answer = Cmd::new("docker").args(["info", "--format", "{{json .}}"]).ask()?;
    let facts: Value = serde_json::from_str(answer.stdout.trim()).unwrap_or(Value::Null);
    let text = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
    // Without an engine the client still prints what it knows of itself.
    if text("ID").is_empty() {
        let errors = facts["ServerErrors"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let told = errors.map(str::to_owned).chain([answer.stderr.trim().to_owned()]).find(|line| !line.is_empty());
        let why = told.map(|why| format!(": {}", why.lines().next().unwrap_or_default())).unwrap_or_default();
        let failure = Failure::cannot_tell(format!("the Docker engine does not answer{why}"));
        return Err(failure.hint("start it, and see that `docker info` works for this user").into());
    }
    Ok(Engine {
        id: text("ID"),
        architecture: architecture(&text("Architecture")).to_owned(),
        version: text("ServerVersion"),
        root: text("DockerRootDir"),
    })
}

/// The kernel's name of an architecture as images have it.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The version of Compose; exit 4 when it is missing or older than 2.
pub fn compose_version() -> Result<String> {
    let answer = Cmd::new("docker").args(["compose", "version", "--short"]).ask()?;
    let version = answer.stdout.trim().trim_start_matches('v').to_owned();
    match super::versions::is_at_least(&version, &[2]) && answer.ok() {
        true => Ok(version),
        false => {
            let failure = Failure::cannot_tell("Docker Compose 2 is not installed as a plugin of docker");
            Err(failure.hint("install it (docs.docker.com/compose/install); `docker compose version` must work").into())
        }
    }
}

/// A container of a Compose project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// Its service in the project.
    pub service: String,
    /// `sha256:…`
    pub image: String,
    /// `running`, `exited`, `restarting`, `created` …
    pub status: String,
    /// `healthy`, `unhealthy`, `starting`; empty where no check is defined.
    pub health: String,
    pub exit_code: i64,
    pub restarts: u64,
    /// RFC 3339.
    pub started_at: String,
    labels: Value,
    ports: Value,
}

impl Container {
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels[name].as_str()
    }
    /// The host's port that leads to one of its own, with the address to dial.
    pub fn published(&self, port: u16) -> Option<(String, u16)> {
        let binding = self.ports[format!("{port}/tcp")].as_array()?.first()?;
        let host = match binding["HostIp"].as_str().unwrap_or_default() {
            "" | "0.0.0.0" | "::" => "127.0.0.1",
            host => host,
        };
        Some((host.to_owned(), binding["HostPort"].as_str()?.parse().ok()?))
    }

    /// True when it is on this port of the host.
    pub fn publishes(&self, port: u16) -> bool {
        let bindings = self.ports.as_object().into_iter().flatten().flat_map(|(_, all)| all.as_array()).flatten();
        bindings.filter_map(|binding| binding["HostPort"].as_str()).any(|own| own.parse() == Ok(port))
    }

    fn from_json(facts: &Value) -> Container {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = &facts["State"];
        let labels = &facts["Config"]["Labels"];
        Container {
            id: text(&facts["Id"]),
            name: text(&facts["Name"]).trim_start_matches('/').to_owned(),
            service: text(&labels["com.docker.compose.service"]),
            image: text(&facts["Image"]),
            status: text(&state["Status"]),
            health: text(&state["Health"]["Status"]),
            exit_code: state["ExitCode"].as_i64().unwrap_or(0),
            restarts: facts["RestartCount"].as_u64().unwrap_or(0),
            started_at: text(&state["StartedAt"]),
            labels: labels.clone(),
            ports: facts["NetworkSettings"]["Ports"].clone(),
        }
    }
}

/// The containers of a project, running or not, one-off ones aside. Exit 4 when the engine does not answer.
pub fn containers(project: &str) -> Result<Vec<Container>> {
    let filters =
        [format!("label=com.docker.compose.project={project}"), "label=com.docker.compose.oneoff=False".to_owned()];
    let list = Cmd::new("docker")
        .args(["ps", "--all", "--quiet", "--no-trunc"])
        .args(filters.iter().flat_map(|filter| ["--filter", filter]));
    let ids = ask(&list)?;
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // One that has gone between the two questions is an error for docker, and none to us: the others are told all the same.
    let answer = Cmd::new("docker").args(["inspect", "--type", "container"]).args(ids).ask()?;
    let facts: Value = serde_json::from_str(&answer.stdout).context("`docker inspect` did not answer in JSON")?;
    let mut containers: Vec<Container> = facts.as_array().into_iter().flatten().map(Container::from_json).collect();
    containers.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    Ok(containers)
}

/// Stops a container with its own signal and grace, and removes it; nothing where there is none of this name.
pub fn remove_container(name: &str) -> Result<()> {
    let _stopped = Cmd::new("docker").args(["stop", name]).output()?;
    let remove = Cmd::new("docker").args(["rm", "--force", name]);
    let output = remove.ask()?;
    match output.ok() || output.stderr.contains("No such container") {
        true => Ok(()),
        false => Err(explain(&remove, &output)),
    }
}

/// stdout of a question that must be answered; a silent engine is exit 4.
pub fn ask(cmd: &Cmd) -> Result<String> {
    let output = cmd.ask()?;
    if output.ok() { Ok(output.stdout) } else { Err(explain(cmd, &output)) }
}

/// The error of a docker command, exit 4 where the engine was not there.
pub fn explain(cmd: &Cmd, output: &Output) -> anyhow::Error {
    let away = ["Cannot connect to the Docker daemon", "error during connect", "permission denied while trying"];
    if away.iter().any(|sign| output.stderr.contains(sign)) {
        let line = output.stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let failure = Failure::cannot_tell(format!("the Docker engine does not answer: {}", line.trim()));
        return failure.hint("start it, and see that `docker info` works for this user").into();
    }
    cmd.failure(output)
}

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`
    pub id: String,
    pub architecture: String,
    /// `repository@sha256:…`, where a registry has it.
    pub digests: Vec<String>,
}

/// Looks images up by name or id; None for what is not there. Exit 4 when the engine does not answer.
pub fn images<S: AsRef<str> + Sync>(names: &[S]) -> Result<Vec<Option<Image>>> {
    let look = |name: &S| -> Result<Option<Image>> {
        let cmd = Cmd::new("docker").args(["image", "inspect", name.as_ref()]);
        let output = cmd.ask()?;
        if !output.ok() {
            let gone = output.stderr.contains("No such image") || output.stderr.contains("no such image");
            return if gone { Ok(None) } else { Err(explain(&cmd, &output)) };
        }
        let facts: Value =
            serde_json::from_str(&output.stdout).context("`docker image inspect` did not answer in JSON")?;
        let facts = &facts[0];
        let text = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
        let digests = facts["RepoDigests"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Some(Image {
            id: text("Id"),
            architecture: text("Architecture"),
            digests: digests.map(str::to_owned).collect(),
        }))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(move || look(name))).collect();
        let lost = || anyhow::anyhow!("a thread ended early");
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(lost()))).collect()
    })
}

/// `docker compose` for one project, with one file that says everything; nothing of this process's environment gets in.
pub fn compose(project: &str, file: &Utf8Path) -> Cmd {
    let folder = file.parent().unwrap_or(Utf8Path::new("/"));
    Cmd::new("docker")
        .args(["compose", "--project-name", project, "--project-directory", folder.as_str()])
        .args(["--env-file", "/dev/null", "--file", file.as_str()])
        .env_clear()
        .envs(own_environment())
        // A file that holds a part of the project says nothing of the rest.
        .env("COMPOSE_IGNORE_ORPHANS", "true")
}

/// What docker itself needs of this process's environment.
pub fn own_environment() -> Vec<(String, String)> {
    let wanted = |name: &str| {
        matches!(name, "PATH" | "HOME" | "USER" | "XDG_RUNTIME_DIR" | "SSH_AUTH_SOCK" | "TMPDIR" | "BUILDX_CONFIG")
            || (name.starts_with("DOCKER_") && name != "DOCKER_DEFAULT_PLATFORM")
            || name.eq_ignore_ascii_case("http_proxy")
            || name.eq_ignore_ascii_case("https_proxy")
            || name.eq_ignore_ascii_case("no_proxy")
    };
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_is_read() {
        let container = Container::from_json(&json!({
            "Id": "abc", "Image": "sha256:1", "RestartCount": 2,
            "State": {"Status": "running", "Health": {"Status": "healthy"}, "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"},
            "Config": {"Labels": {"com.docker.compose.service": "api", "ops.fingerprint": "f"}},
            "NetworkSettings": {"Ports": {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8180"}], "9/tcp": null}},
        }));
        assert_eq!((container.service.as_str(), container.health.as_str(), container.restarts), ("api", "healthy", 2));
        assert_eq!(container.label("ops.fingerprint"), Some("f"));
        assert_eq!(container.published(8080), Some(("127.0.0.1".to_owned(), 8180)));
        assert_eq!((container.published(9), container.published(1)), (None, None));
        assert!(container.is_running());
    }
}
