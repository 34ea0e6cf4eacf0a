"""`restructure scan`: against fclones, which only groups identical files, and against jscpd, which only looks for copied
passages; and how its cost grows with the number of files. The folder is made here, in the shape of a grown operations
folder, unless XTASK_TEST_OLD_FOLDER names a real one. Without a network for fclones and jscpd they are skipped by name.
"""

import math
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path

ROUNDS = 7
FILES = 2600
GROWTH = [12_500, 25_000, 50_000, 100_000]
WORDS = "agent backup cache deploy export gateway health import index job key lock migrate notify order policy query release".split()


def text_of(kind: str, number: int, chance: random.Random) -> str:
    """About 2 to 30 kB, in which things of the same folder are named."""
    lines = []
    for line in range(chance.randrange(30, 400)):
        one, two, three = (chance.choice(WORDS) for _ in range(3))
        lines.append({
            "sh": f'run_{one} --{two}="$1" --count {line} | grep -v {three} || echo "{one} failed in line {line}"',
            "sql": f"INSERT INTO {one}_{two} (id, name, note) VALUES ({line}, '{three}', '{one} of {two}, number {number}');",
            "py": f"{one}_{line} = {two}.{three}('{one}', {line}, limit={number})",
            "md": f"The {one} of a {two} is kept for {line} days, see `{three}`.",
            "json": f'  "{one}_{line}": ["{two}", "{three}", {number}],',
        }[kind])
    return "\n".join(lines) + "\n"


def make(folder: Path, files: int) -> None:
    chance = random.Random(files)
    texts: list[str] = []
    for number in range(files):
        place = folder / f"part-{number // 2000}" / f"{WORDS[number // 100 % len(WORDS)]}-{number // 100}"
        place.mkdir(parents=True, exist_ok=True)
        kind = ("sh", "sql", "py", "md", "json")[number % 5]
        if texts and chance.random() < 0.25:
            text = chance.choice(texts)
        else:
            text = text_of(kind, number, chance)
            head = {
                "sh": f'#!/bin/bash\ncd "$(dirname "$0")/../.."\nsource "$(dirname "$0")/f{number - 5}.sh"\n',
                "py": f"import f{number - 5}\nfrom pathlib import Path\nHERE = Path(__file__).parent\nTEXT = (HERE / 'f{number + 2}.json').read_text()\n",
                "md": f"# Part {number}\n\n[script](f{number - 3}.sh), [data](./f{number - 2}.sql), [the next](f{number + 5}.md)\n\n",
                "json": "{\n",
            }.get(kind, "")
            text = head + text + ('  "end": 0\n}\n' if kind == "json" else "")
        if len(texts) < 500:
            texts.append(text)
        (place / f"f{number}.{kind}").write_text(text)


def call(words: list, env: dict) -> float:
    started = time.monotonic()
    done = subprocess.run([str(word) for word in words], env=env, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stderr[-2000:]}"
    return time.monotonic() - started


def fclones(tools: Path, env: dict) -> list | None:
    """As its users have it, built once for all runs on this machine."""
    program = tools / "fclones/bin/fclones"
    if not program.exists():
        subprocess.run(["cargo", "install", "--quiet", "fclones", "--locked", "--root", tools / "fclones"], env=env)
    return [program, "group", "--hidden", "--no-ignore"] if program.exists() else None


def jscpd(tools: Path, env: dict) -> list | None:
    folder = tools / "jscpd"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "node_modules/.bin/jscpd"
    if not program.exists():
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, "jscpd@4"], env=env, cwd=folder)
    return [program, "--silent", "--output", folder / "report"] if program.exists() else None


def measure(scratch: Path, tree: Path, tools: Path, env: dict, record) -> None:
    given = os.environ.get("XTASK_TEST_OLD_FOLDER")
    folder = Path(given) if given else scratch / "old"
    if not given:
        make(folder, FILES)
    scan = [tree / "target/debug/xtask", "restructure", "scan", folder, "--workspace", tree]
    # Builds the program, and lets the parsers of other languages say once what they say of each text.
    call(scan, env)

    def median(words: list) -> float:
        return statistics.median(call(words, env) for _ in range(ROUNDS))

    other = fclones(tools, env)
    if other:
        times = [(call(scan, env), call([*other, folder], env)) for _ in range(2 * ROUNDS + 1)]
        mine, bound = (statistics.median(series) for series in zip(*times))
        record("restructure scan, against fclones group", mine / bound, 2.0, f"{mine * 1000:.0f} ms; fclones {bound * 1000:.0f} ms")
    else:
        print("skipped: restructure scan against fclones: it cannot be had here", flush=True)
    other = jscpd(tools, env)
    if other:
        alone = [*scan, "--no-syntax"]
        bound = call([*other, folder], env)
        mine = median(alone)
        record("restructure scan, against jscpd", mine / bound, 1.0, f"{mine * 1000:.0f} ms; jscpd {bound:.1f} s")
    else:
        print("skipped: restructure scan against jscpd: it cannot be had here", flush=True)
    growth(scratch, scan, env, record)


def growth(scratch: Path, scan: list, env: dict, record) -> None:
    """The cost of a file at each size, against that at the smallest; n log n would let it grow as the logarithm does."""
    costs = []
    for files in GROWTH:
        folder = scratch / f"grown-{files}"
        make(folder, files)
        words = [folder if str(word) == str(scan[3]) else word for word in scan]
        call([*words, "--no-syntax"], env)
        seconds = min(call([*words, "--no-syntax"], env) for _ in range(3))
        costs.append(seconds / files)
        shutil.rmtree(folder)
    allowed = math.log(GROWTH[-1]) / math.log(GROWTH[0])
    steps = ", ".join(f"{files}: {cost * files:.2f} s" for files, cost in zip(GROWTH, costs))
    # Half as much again for what caches of the machine hold of the smaller ones.
    record("restructure scan of 100,000 files, for each file, against 12,500", costs[-1] / costs[0], round(1.5 * allowed, 2), steps)
