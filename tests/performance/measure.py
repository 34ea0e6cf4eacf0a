"""What the tasks cost, each as a ratio to a lower bound measured in the same run.

A ratio above its limit fails the run. Times are wall-clock medians; compared things are measured in turns, so that a
noisy machine hits both alike. Everything happens in clones below a temporary folder; a running dev stack is not touched,
but a busy machine makes every figure worse: run it alone.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import backups
import deploys
import restructure

WORKSPACE = Path(os.environ.get("XTASK_TEST_WORKSPACE", Path(__file__).resolve().parents[2]))
CARD_CRATES = ["xshell", "xflags", "anyhow", "serde_json", "camino", "duct"]
ENV = {name: value for name, value in os.environ.items() if not re.match(r"CARGO(_|$)|RUST(_|UP_TOOLCHAIN)|XTASK|DEV__", name)}

results: list[tuple[str, float, float, str]] = []


def record(what: str, ratio: float, limit: float, detail: str) -> None:
    results.append((what, ratio, limit, detail))
    verdict = "ok" if ratio <= limit else "TOO SLOW"
    print(f"{verdict:<8} {what}: {ratio:.2f} times the bound, at most {limit} ({detail})", flush=True)


def run(command: list, cwd: Path, env: dict | None = None) -> float:
    """Runs a command that must succeed; its wall time in seconds."""
    started = time.monotonic()
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env or ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return seconds


def in_turns(rounds: int, *subjects) -> list[float]:
    """Calls each subject in turn, `rounds` times; the median of each one's times."""
    times = [[] for _ in subjects]
    for _ in range(rounds):
        for index, subject in enumerate(subjects):
            times[index].append(subject())
    return [statistics.median(series) for series in times]


def clone(scratch: Path, name: str) -> Path:
    """A clone of the last commit, with ports that are free now."""
    target = scratch / name
    run(["git", "clone", "--quiet", WORKSPACE, target], scratch)
    for file in sorted((target / "config/services").glob("*.yaml")):
        text = file.read_text()
        file.write_text(re.sub(r"(?m)^port: \d+", lambda _: f"port: {free_port()}", text))
    return target


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def crates_alone(scratch: Path) -> Path:
    """A package with the card's six crates, at the workspace's locked versions, cargo's own profile and an empty main."""
    target = scratch / "crates"
    (target / "src").mkdir(parents=True)
    (target / "src/main.rs").write_text("fn main() {}\n")
    manifest = (WORKSPACE / "Cargo.toml").read_text()
    lines = [line for line in manifest.splitlines() if line.split("=")[0].strip() in CARD_CRATES]
    (target / "Cargo.toml").write_text(
        '[package]\nname = "crates"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\n'
        + "\n".join(lines) + "\n[workspace]\n"
    )
    shutil.copy(WORKSPACE / "Cargo.lock", target / "Cargo.lock")
    return target


def empty_main(scratch: Path) -> Path:
    """The workspace's own manifests, alias and dependencies, with an empty main."""
    target = scratch / "empty"
    for manifest in [WORKSPACE / "Cargo.toml", *sorted((WORKSPACE / "xtask").glob("**/Cargo.toml"))]:
        copy = target / manifest.relative_to(WORKSPACE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, copy)
        if copy.parent != target:
            (copy.parent / "src").mkdir()
            (copy.parent / "src/lib.rs").touch()
    shutil.copy(WORKSPACE / "Cargo.lock", target / "Cargo.lock")
    shutil.copytree(WORKSPACE / ".cargo", target / ".cargo")
    (target / "xtask/src/main.rs").write_text("fn main() {}\n")
    return target


def build(folder: Path, package: str) -> float:
    output = folder / "target"
    shutil.rmtree(output, ignore_errors=True)
    return run(["cargo", "build", "--quiet", "--package", package], folder)


def cold_build(scratch: Path, tree: Path) -> None:
    alone = crates_alone(scratch)
    run(["cargo", "fetch", "--quiet"], alone)
    whole, bound = in_turns(3, lambda: build(tree, "xtask"), lambda: build(alone, "crates"))
    record("cold build of xtask", whole / bound, 3.5, f"{whole:.1f} s; the six crates alone {bound:.1f} s")


def overview(scratch: Path, tree: Path) -> None:
    empty = empty_main(scratch)
    run(["cargo", "xtask"], empty)
    run(["cargo", "xtask"], tree)
    ours, bound = in_turns(41, lambda: run(["cargo", "xtask"], tree), lambda: run(["cargo", "xtask"], empty))
    record("cargo xtask with nothing to do", ours / bound, 1.2, f"{ours * 1000:.0f} ms; an empty main {bound * 1000:.0f} ms")


def setup(scratch: Path, tree: Path) -> None:
    """Setup of a fresh clone against its longest branch alone, all package caches warm.

    A branch is what leads to a service that answers: what it is made from, its start, the start of what stands on it. It
    runs alone in a clone where all else is there. Folders are moved aside, not deleted: for a minute after thousands of
    files are deleted, ext4 looks at each freed number before it makes a file, and that would be half of what is measured.
    """
    xtask = tree / "target/debug/xtask"
    count = itertools.count()

    def aside(*folders: Path) -> None:
        for folder in folders:
            if folder.exists():
                folder.rename(scratch / f"aside-{next(count)}")

    def setup_in(folder: Path) -> float:
        return run([xtask, "setup", "--workspace", folder], folder)

    def stop(folder: Path, *names: str) -> None:
        run([xtask, "services", "stop", *names, "--workspace", folder], folder)

    def whole() -> float:
        folder = clone(scratch, f"fresh-{next(count)}")
        seconds = setup_in(folder)
        stop(folder)
        return seconds

    full = clone(scratch, "full")
    setup_in(full)
    names = sorted(file.stem for file in (full / "config/services").glob("*.yaml") if file.stem != "database")

    def service(name: str):
        source = full / re.search(r"(?m)^source: *(\S+)", (full / f"config/services/{name}.yaml").read_text()).group(1)

        def measure() -> float:
            stop(full, name)
            aside(source / "node_modules", source / ".venv")
            return setup_in(full)

        return measure

    def database() -> float:
        stop(full)
        aside(full / ".ops/tools", full / ".ops/postgres")
        return setup_in(full)

    running = [name for name in names if re.search(r"(?m)^port:", (full / f"config/services/{name}.yaml").read_text())]
    branches = {name: service(name) for name in running} | {"database": database}
    mine, *times = in_turns(3, whole, *branches.values())
    stop(full)
    alone = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in zip(branches, times))
    record("setup on warm caches", mine / max(times), 1.3, f"{mine:.1f} s; each branch alone: {alone}")

    # What one task does for a branch, without a service that starts: on few cores no setup comes near the longest of these,
    # since all of them and all starts share the cores.
    def task(*words: str):
        def measure() -> float:
            folder = clone(scratch, f"fresh-{next(count)}")
            shutil.copy(full / "config/environments/.env.dev", folder / "config/environments")
            seconds = run([xtask, *words, "--workspace", folder], folder)
            stop(folder)
            return seconds
        return measure

    tasks = {f"build {name}": task("build", name) for name in running} | {"migrate": task("migrate")}
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in zip(tasks, in_turns(3, *tasks.values())))
    print(f"         for comparison, on {os.cpu_count()} cores, in fresh clones: {parts}")


def ready(url: str) -> bool:
    """One probe by the same client the tasks use."""
    return subprocess.run(["curl", "--silent", "--fail", "--output", "/dev/null", "--max-time", "5", url]).returncode == 0


def services(tree: Path) -> None:
    """`services start` against the same processes started bare, one after the other along the longest chain."""
    xtask = tree / "target/debug/xtask"
    run([xtask, "setup", "--workspace", tree], tree)
    status = json.loads(subprocess.run([xtask, "services", "status", "--json", "--workspace", tree], env=ENV, capture_output=True, text=True, check=True).stdout)
    order = [service for service in status["services"] if service["name"] != "database"]
    bare = []
    for service in order:
        process = Path(f"/proc/{service['pid']}")
        argv = [word for word in (process / "cmdline").read_text().split("\0") if word]
        env = dict(entry.split("=", 1) for entry in (process / "environ").read_text().split("\0") if "=" in entry)
        text = (tree / f"config/services/{service['name']}.yaml").read_text()
        path = re.search(r"ready: *([^,}\s]+)", text).group(1)
        bare.append((argv, env, os.readlink(process / "cwd"), f"http://127.0.0.1:{service['port']}{path}"))
    names = [service["name"] for service in order]

    def stop() -> None:
        run([xtask, "services", "stop", *names, "--workspace", tree], tree)

    def ours() -> float:
        stop()
        return run([xtask, "services", "start", "--workspace", tree], tree)

    def chain() -> float:
        stop()
        started = time.monotonic()
        children = []
        for argv, env, cwd, url in bare:
            children.append(subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            while not ready(url):
                time.sleep(0.01)
        seconds = time.monotonic() - started
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
        return seconds

    mine, bound = in_turns(7, ours, chain)
    record("services start to green", mine / bound, 1.3, f"{mine:.2f} s; bare starts {bound:.2f} s: {' -> '.join(names)}")
    run([xtask, "services", "stop", "--workspace", tree], tree)
    run([xtask, "clean", "--all", "--yes", "--workspace", tree], tree)


def database(tree: Path) -> None:
    xtask = tree / "target/debug/xtask"
    run([xtask, "migrate", "--workspace", tree], tree)
    backups.measure(tree, ENV, record)


def migrations(scratch: Path, tree: Path) -> None:
    """A thousand one-statement migrations against one psql session that runs the same transactions, dbmate and sqlx-cli."""
    xtask = tree / "target/debug/xtask"
    count = 1000
    run([xtask, "clean", "--all", "--yes", "--workspace", tree], tree)
    shutil.rmtree(tree / "database/migrations")
    shutil.rmtree(tree / "database/seeds")
    pending = tree / "database/migrations/pending"
    theirs = {name: scratch / name for name in ("dbmate", "sqlx")}
    for folder in [pending, *theirs.values()]:
        folder.mkdir(parents=True)
    lines = ["create table ledger (version text primary key, name text, state text, sha256 text, raw text, chain text, run text, who text, host text, tool text, started timestamptz, applied timestamptz, duration bigint);"]
    for number in range(1, count + 1):
        statement = f"create table t{number} (id bigint primary key, n int);"
        name = f"{number:04}_t{number}.sql"
        (pending / name).write_text(statement + "\n")
        (theirs["sqlx"] / name).write_text(statement + "\n")
        (theirs["dbmate"] / name).write_text(f"-- migrate:up\n{statement}\n-- migrate:down\n")
        texts = ", ".join(f"'{text}'" for text in [f"{number:04}", f"t{number}", "applied", "a" * 64, "b" * 64, "c" * 64, "run", "who", "host", "0.1.0"])
        lines.append(f"BEGIN;\n{statement}\nINSERT INTO ledger VALUES ({texts}, transaction_timestamp(), clock_timestamp(), 1);\nCOMMIT;")
    script = scratch / "thousand.sql"
    script.write_text("\n".join(lines) + "\n")
    run([xtask, "migrate", "--workspace", tree], tree)
    folder = hashlib.sha256(str((tree / ".ops/postgres/dev").resolve()).encode()).hexdigest()[:12]
    socket_folder = f"/tmp/ops-{os.getuid()}-{folder}"
    psql = [next((tree / ".ops/tools").glob("**/bin/psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", socket_folder, "-U", "postgres"]
    tools = scratch / "node"
    tools.mkdir()
    run(["npm", "install", "--silent", "--prefix", tools, "dbmate"], tools)
    url = f"postgres://postgres@localhost/vital_dev?socket={socket_folder}&sslmode=disable"
    commands = {
        "ours": [xtask, "migrate", "--workspace", tree],
        "one psql session": [*psql, "-d", "vital_dev", "-f", script],
        "dbmate": [tools / "node_modules/.bin/dbmate", "--url", url, "--migrations-dir", theirs["dbmate"], "--no-dump-schema", "migrate"],
        "sqlx-cli": [sqlx(), "migrate", "run", "--source", theirs["sqlx"], "--database-url", f"postgres:///vital_dev?host={socket_folder}&user=postgres"],
    }

    def empty() -> None:
        # The old one gets another name. Dropped, its thousands of files would be what is measured: after that, ext4 looks
        # for a minute at each number that was just freed before it makes a file.
        aside = f"alter database vital_dev rename to aside_{time.monotonic_ns()}"
        run([*psql, "-d", "postgres", "-c", aside, "-c", "create database vital_dev template template0", "-c", "checkpoint"], tree)

    def from_empty(name: str):
        def measure() -> float:
            empty()
            return run(commands[name], tree)
        return measure

    mine, *bounds = in_turns(5, *(from_empty(name) for name in commands))
    for (name, bound), limit in zip(zip(list(commands)[1:], bounds), [1.3, 1.0, 1.0]):
        record(f"a thousand migrations, against {name}", mine / bound, limit, f"{mine:.2f} s; {name} {bound:.2f} s")
    # Each in a database that has its own ledger.
    nothing = []
    for name in ("ours", "dbmate", "sqlx-cli"):
        from_empty(name)()
        nothing.append(in_turns(11, lambda: run(commands[name], tree))[0])
    mine, bound, native = nothing
    record("migrate with nothing to do, against dbmate", mine / bound, 0.5, f"{mine * 1000:.0f} ms; dbmate {bound * 1000:.0f} ms")
    print(f"         for comparison, sqlx-cli, one process without psql and without a look at the history's hashes: {native * 1000:.0f} ms")
    run([xtask, "clean", "--all", "--yes", "--workspace", tree], tree)


def sqlx() -> Path:
    """sqlx-cli as its users have it, built once for all runs on this machine."""
    root = WORKSPACE / ".ops/tools/sqlx-cli"
    program = root / "bin/sqlx"
    if not program.exists():
        run(["cargo", "install", "--quiet", "sqlx-cli", "--locked", "--root", root, "--no-default-features", "--features", "postgres"], WORKSPACE)
    return program


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="xtask-performance-") as folder:
        scratch = Path(folder)
        tree = clone(scratch, "tree")
        cold_build(scratch, tree)
        overview(scratch, tree)
        setup(scratch, tree)
        services(tree)
        database(tree)
        deploys.measure(tree, ENV, record, free_port)
        migrations(scratch, tree)
        restructure.measure(scratch, tree, WORKSPACE / ".ops/tools", ENV, record)
    slow = sum(ratio > limit for _, ratio, limit, _ in results)
    print(f"performance: {len(results) - slow} passed, {slow} failed")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
