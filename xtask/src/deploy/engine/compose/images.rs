//! Images by content: one is built when there is none for its part yet, from a copy that holds the part's inputs alone.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::tag;
use crate::deploy::artifact::{self, Artifact, Part};
use crate::deploy::engine::{Pins, Render, UnitKind, World};
use crate::tools::docker::{self, Image};
use crate::tools::{Cmd, files, os};
use crate::ui::{Failure, Step};
use crate::workspace::service::Service;

/// The image of each service, built where it is missing; the id that pins it, or the digest where a registry has it.
pub fn build(world: &World<'_>, project: &str, artifact: &Artifact, services: &[String], step: &Step) -> Result<Pins> {
    let mut pins = Pins::new();
    let registry = registry(world);
    let tags: Vec<String> =
        services.iter().map(|name| Ok(tag(project, name, artifact.part(name)?.short()))).collect::<Result<_>>()?;
    let there = docker::images(&tags)?;
    let engine = if there.iter().all(Option::is_some) { None } else { Some(docker::engine()?) };
    for ((name, tag), image) in services.iter().zip(&tags).zip(there) {
        let image = match image {
            Some(image) => image,
            None => one(world, project, name, tag, artifact.part(name)?, step)?,
        };
        if let Some(engine) = engine.as_ref().filter(|engine| engine.architecture != image.architecture) {
            // It would begin with "exec format error"; under its tag it would be taken for the right one.
            let _removed = Cmd::new("docker").args(["image", "rm", tag]).ask()?;
            let message = format!(
                "the image of {name} is made for {}, and this engine runs {}",
                image.architecture, engine.architecture
            );
            let hint = format!("look for `--platform` in the Dockerfile of {name}, and at the image it begins with");
            return Err(Failure::failed(message).hint(hint).into());
        }
        let pin = match registry {
            Some(registry) => push(tag, &image, registry, step)?,
            None => image.id,
        };
        pins.insert(name.clone(), pin);
    }
    Ok(pins)
}

fn one(world: &World<'_>, project: &str, name: &str, tag: &str, part: &Part, step: &Step) -> Result<Image> {
    let service = world.services.get(name).with_context(|| format!("config/services has no {name}"))?;
    let image = artifact::image_of(service);
    let context = world.workspace.ops().join("contexts").join(format!("{}-{}", part.short(), os::random_hex(4)?));
    sweep(context.parent().unwrap_or(&context));
    let record = record(world, project, name);
    let result = (|| {
        artifact::stage(world.workspace, part, world.migrations, &context)?;
        let dockerfile = context.join(&image.dockerfile);
        if !dockerfile.is_file() {
            let (message, hint) = no_dockerfile(service, &image.dockerfile);
            return Err(Failure::usage(message).hint(hint).into());
        }
        step.detail(&format!("image of {name}"));
        let mut build = Cmd::new("docker")
            .args(["build", "--progress", "plain", "--tag", tag, "--file", dockerfile.as_str()])
            .args(["--label", &format!("{}={}", super::PART, part.id)])
            .args(["--build-arg", &format!("SERVICE_SOURCE={}", service.source)]);
        if let Some(target) = &image.target {
            build = build.args(["--target", target]);
        }
        let build = build.arg(&context).env_clear().envs(docker::own_environment()).env("DOCKER_BUILDKIT", "1");
        build.run(step).map_err(|error| error.context(Failure::failed(format!("the image of {name} cannot be built"))))
    })();
    // Best effort: the next build removes what stays.
    let _removed = files::remove(&context);
    result?;
    files::write_json(&record, &json!({"inputs": part.inputs}))?;
    docker::images(&[tag])?.pop().flatten().with_context(|| format!("docker built {tag} and does not have it"))
}

/// What is said of a Dockerfile that is missing, with the hint.
pub fn no_dockerfile(service: &Service, dockerfile: &str) -> (String, String) {
    let message = format!("`{dockerfile}`, from which {} is built, is not there", service.name);
    (message, format!("`image` in {} names it", service.file))
}

/// The images of what a release runs beside the services, pulled where they are missing; the id that pins each. Another
/// image under the same name is then another release.
pub fn fetch(render: &Render, step: &Step) -> Result<Pins> {
    let beside = render.units().into_iter().filter(|unit| unit.kind != UnitKind::Service);
    let named: Vec<(String, String)> = beside
        .filter_map(|unit| {
            let definition = &render.document["services"][&unit.name];
            // One that is built from its own files has no name that could be pulled.
            let image = definition["image"].as_str().filter(|_| definition["build"].is_null())?.to_owned();
            Some((unit.name, image))
        })
        .collect();
    let names: Vec<&str> = named.iter().map(|(_, image)| image.as_str()).collect();
    let mut found = docker::images(&names)?;
    for ((unit, name), image) in named.iter().zip(&mut found).filter(|(_, image)| image.is_none()) {
        step.detail(&format!("pull {name}"));
        Cmd::new("docker").args(["pull", "--quiet", name]).run(step).map_err(|error| {
            error.context(Failure::cannot_tell(format!("the image `{name}` of {unit} cannot be pulled")))
        })?;
        *image = docker::images(&[name])?.pop().flatten();
    }
    let pin = |((unit, name), image): ((String, String), Option<Image>)| match image {
        Some(image) => Ok((unit, image.id)),
        None => Err(Failure::failed(format!("docker does not have the image `{name}` of {unit}")).into()),
    };
    named.into_iter().zip(found).map(pin).collect()
}

/// Where images are pushed to; None where they stay on the host.
pub fn registry<'a>(world: &'a World<'_>) -> Option<&'a str> {
    world.environment.get("IMAGE_REGISTRY").map(|registry| registry.trim_end_matches('/'))
}

/// What an image was last built from here.
fn record(world: &World<'_>, project: &str, name: &str) -> Utf8PathBuf {
    world.workspace.build_records().join(format!("{name}.image of {project}.json"))
}

/// Why the image of each service would be built; empty for one that is there.
pub fn stale(
    world: &World<'_>,
    project: &str,
    artifact: &Artifact,
    services: &[String],
) -> Result<Vec<(String, Vec<String>)>> {
    let tags = tags(project, artifact, services)?;
    let mut stale = Vec::new();
    for (name, image) in services.iter().zip(docker::images(&tags)?) {
        let mut reasons = Vec::new();
        if image.is_none() {
            let then = files::read_json(&record(world, project, name));
            let then = then.map(|record| json!({"id": "", "parts": {name: {"id": "", "inputs": record["inputs"]}}}));
            reasons = artifact.changes(then.as_ref().and_then(Artifact::from_json).as_ref(), name);
            if reasons.is_empty() {
                reasons.push("its image is gone".to_owned());
            }
        }
        stale.push((name.clone(), reasons));
    }
    Ok(stale)
}

fn tags(project: &str, artifact: &Artifact, services: &[String]) -> Result<Vec<String>> {
    services.iter().map(|name| Ok(tag(project, name, artifact.part(name)?.short()))).collect()
}

/// Removes the contexts of builds that were killed: those older than a day.
fn sweep(folder: &Utf8Path) {
    for path in crate::workspace::entries(folder) {
        let age = path.metadata().and_then(|facts| facts.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() > 86_400) {
            let _removed = files::remove(&path);
        }
    }
}

/// Pushes an image; its name by digest, the same wherever it is pulled.
fn push(tag: &str, image: &Image, registry: &str, step: &Step) -> Result<String> {
    let name = format!("{registry}/{tag}");
    let repository = name.rsplit_once(':').map_or(name.as_str(), |(repository, _)| repository);
    let digest =
        |image: &Image| image.digests.iter().find(|digest| digest.starts_with(&format!("{repository}@"))).cloned();
    // What was pushed once is there.
    if let Some(digest) = digest(image) {
        return Ok(digest);
    }
    step.detail(&format!("push {name}"));
    docker::ask(&Cmd::new("docker").args(["tag", tag, &name]))?;
    let pushed = Cmd::new("docker").args(["push", &name]).run(step);
    pushed.map_err(|error| {
        let failure = Failure::cannot_tell(format!("{name} cannot be pushed to its registry"));
        error.context(failure.hint("see that it is reached and that `docker login` was done for it"))
    })?;
    let image = docker::images(&[&name])?.pop().flatten().with_context(|| format!("{name} is gone"))?;
    digest(&image).with_context(|| format!("the registry told no digest of {name}"))
}

/// Removes the tags of this project that no render of `keep` runs; the images of other environments have other tags.
pub fn prune(registry: Option<&str>, project: &str, keep: &[Render]) -> Result<Vec<String>> {
    let mut kept: Vec<String> = Vec::new();
    for render in keep {
        for unit in render.units() {
            let service = &render.document["services"][&unit.name];
            kept.extend(
                service["labels"][super::PART].as_str().map(|part| tag(project, &unit.name, artifact::short(part))),
            );
        }
    }
    let mut removed = Vec::new();
    // Of every service, also of those that are no longer in the tree.
    for all in std::iter::once(format!("{project}/*")).chain(registry.map(|registry| format!("{registry}/{project}/*")))
    {
        let list = Cmd::new("docker").args(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", &all]);
        for name in docker::ask(&list)?.lines().filter(|name| !kept.iter().any(|kept| name.ends_with(kept))) {
            // One that a container still uses stays, and is removed another time.
            if Cmd::new("docker").args(["image", "rm", name]).ask()?.ok() {
                removed.push(format!("the image {name}"));
            }
        }
    }
    Ok(removed)
}

/// `sha256:` and twelve digits.
pub fn short(image: &str) -> &str {
    image.get(..19).unwrap_or(image)
}
