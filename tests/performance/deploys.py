"""`deploy` on Compose: with nothing to do, against looking at the same containers by hand; with one service changed, against
building and starting that one by hand. Without Docker both are skipped by name.
"""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

ROUNDS = 5


def has_docker(env: dict) -> bool:
    asks = (["docker", "version", "--format", "{{.Server.Version}}"], ["docker", "compose", "version"])
    return all(subprocess.run(ask, env=env, capture_output=True).returncode == 0 for ask in asks)


def measure(tree: Path, env: dict, record, free_port) -> None:
    if not has_docker(env):
        print("skipped: deploy on Compose: there is no Docker here", flush=True)
        return
    project = f"performance-{os.getpid()}"
    (tree / "config/environments/.env.staging").write_text(f"COMPOSE_PROJECT={project}\nAPI_GATEWAY_PORT={free_port()}\n")
    try:
        compare(tree, env, record, project)
    finally:
        remove(project)


def call(words: list, tree: Path, env: dict) -> float:
    started = time.monotonic()
    done = subprocess.run([str(word) for word in words], cwd=tree, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return time.monotonic() - started


def compare(tree: Path, env: dict, record, project: str) -> None:
    deploy = [tree / "target/debug/xtask", "deploy", "staging", "--allow-dirty", "--workspace", tree]
    call(deploy, tree, env)
    release = tree / ".ops/releases/staging/1/render.json"
    document = json.loads(release.read_text())
    compose = ["docker", "compose", "--project-name", project, "--file"]

    def urls() -> list[str]:
        found = []
        for unit in document["x-ops"]["units"]:
            answer = subprocess.run([*compose, str(release), "port", unit["name"], str(unit["port"])], env=env, capture_output=True, text=True, check=True)
            found += [f"http://{answer.stdout.strip()}{unit[path]}" for path in ("ready", "live")]
        return found

    probes = urls()

    def observe() -> float:
        started = time.monotonic()
        call([*compose, release, "ps", "--all"], tree, env)
        call(["curl", "--silent", "--fail", "--parallel", *[word for url in probes for word in ("--output", "/dev/null", url)]], tree, env)
        return time.monotonic() - started

    times = [(call(deploy, tree, env), observe()) for _ in range(2 * ROUNDS + 1)]
    mine, bound = (statistics.median(series) for series in zip(*times))
    record("deploy with nothing to do", mine / bound, 3.0, f"{mine:.2f} s; docker compose ps and the probes {bound:.2f} s")

    # The same service from the same files, built and started by Compose itself.
    by_hand = tree / ".ops/by-hand.json"
    document["services"]["api-gateway"]["image"] = f"{project}/by-hand"
    document["services"]["api-gateway"]["build"] = {
        "context": str(tree), "dockerfile": "infrastructure/docker/Dockerfile.frontend", "target": "api-gateway",
    }
    by_hand.write_text(json.dumps(document))
    source = tree / "services/api-gateway/src/server.js"
    text = source.read_text()

    def change(mark: str) -> None:
        source.write_text(f"{text}// {mark}\n")

    def bare(number: int) -> float:
        change(f"by hand {number}")
        built = call([*compose, by_hand, "build", "api-gateway"], tree, env)
        return built + call([*compose, by_hand, "up", "--detach", "--no-deps", "--wait", "api-gateway"], tree, env)

    def ours(number: int) -> float:
        change(f"deployed {number}")
        return call(deploy, tree, env)

    times = [(ours(number), bare(number)) for number in range(ROUNDS)]
    mine, bound = (statistics.median(series) for series in zip(*times))
    record("deploy of one changed service", mine / bound, 1.25, f"{mine:.2f} s; docker compose build and up --wait {bound:.2f} s")
    source.write_text(text)


def remove(project: str) -> None:
    mine = ["--filter", f"label=com.docker.compose.project={project}"]
    for listing, removal in ((["ps", "-aq"], ["rm", "-fv"]), (["network", "ls", "-q"], ["network", "rm"]), (["volume", "ls", "-q"], ["volume", "rm"])):
        ids = subprocess.run(["docker", *listing, *mine], capture_output=True, text=True).stdout.split()
        if ids:
            subprocess.run(["docker", *removal, *ids], capture_output=True)
    images = subprocess.run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], capture_output=True, text=True).stdout.split()
    for image in images:
        if image.startswith(f"{project}/"):
            subprocess.run(["docker", "image", "rm", image], capture_output=True)
