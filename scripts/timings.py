#!/usr/bin/env python3
"""What a cold build spends: CPU seconds of every crate, build scripts told apart.

    scripts/timings.py [ROWS]      builds in an empty directory of its own, prints a Markdown table

The build is that of `make demo`, and then what `make test` compiles beyond it. A crate that the
second compiles again with other features is named: there should be none.

Cargo's own `--timings` tells time on the wall, which says little on a busy machine. So every
compiler and every build script runs below this program, which asks the system what they spent.
"""

import collections
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile

ME = os.path.abspath(__file__)
ROOT = os.path.dirname(os.path.dirname(ME))
DEMO = ["cargo", "build", "--workspace", "--bins"]
TEST = ["cargo", "build", "--workspace", "--lib", "--bins", "--tests"]


def measured(kind, name, command):
    """Runs a command, notes what it and its children spent, and returns its exit status."""
    # Cargo hands out its slots for parallel work through descriptors, which must stay open.
    code = subprocess.call(command, close_fds=False)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = {"kind": kind, "name": name, "cpu": spent.ru_utime + spent.ru_stime}
    # One write of less than a page: lines of processes beside one another do not mix.
    log = os.open(os.environ["DEVNET_TIMINGS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(log, (json.dumps(line) + "\n").encode())
    os.close(log)
    return code


def argument(words, flag):
    """The value of `flag VALUE` or of `-C key=VALUE`."""
    for before, word in zip(words, words[1:]):
        if before == flag:
            return word
        if before == "-C" and word.startswith(flag + "="):
            return word[len(flag) + 1 :]
    return ""


def compiler(words):
    """Stands before rustc. A build script that it has made is replaced by one that calls it
    through this program, since Cargo has no wrapper for build scripts."""
    name = argument(words, "--crate-name")
    package = os.environ.get("CARGO_PKG_NAME", name)
    version = os.environ.get("CARGO_PKG_VERSION", "")
    if not name or name == "___":
        return subprocess.call(words, close_fds=False)
    is_script = name.startswith("build_script_")
    kind = "compile script" if is_script else "compile " + argument(words, "--emit")
    code = measured(kind, f"{package} {version}", words)
    made = os.path.join(argument(words, "--out-dir"), name + argument(words, "extra-filename"))
    if is_script and code == 0:
        os.rename(made, made + ".real")
        with open(made, "w", encoding="utf-8") as stand_in:
            call = f'"{ME}" run "{package} {version}" "{made}.real"'
            stand_in.write(f'#!/bin/sh\nexec {call} "$@"\n')
        os.chmod(made, os.stat(made).st_mode | stat.S_IXUSR)
    return code


def build(command, target, log):
    """Runs one build below the stand-ins and returns (kind, name, CPU s) of what it ran."""
    open(log, "w", encoding="utf-8").close()
    env = dict(os.environ, CARGO_TARGET_DIR=target, RUSTC_WRAPPER=ME, DEVNET_TIMINGS_LOG=log)
    subprocess.run(command, cwd=ROOT, env=env, check=True)
    with open(log, encoding="utf-8") as lines:
        return [(one["kind"], one["name"], one["cpu"]) for one in map(json.loads, lines)]


def table(units, rows):
    """Prints what the packages spent, the dearest first."""
    spent = collections.defaultdict(lambda: [0.0, 0.0])
    for kind, name, cpu in units:
        spent[name][kind == "run script"] += cpu
    order = sorted(spent.items(), key=lambda item: -sum(item[1]))
    print("| crate | compiler, CPU s | build script, CPU s |\n|---|---:|---:|")
    for name, (compile_s, script_s) in order[:rows]:
        print(f"| {name} | {compile_s:.1f} | {script_s:.1f} |")
    rest = [sum(column) for column in zip(*(cost for _, cost in order[rows:]))] or [0, 0]
    print(f"| {len(order[rows:])} others | {rest[0]:.1f} | {rest[1]:.1f} |")
    total = [sum(column) for column in zip(*spent.values())]
    print(f"| **all** | **{total[0]:.1f}** | **{total[1]:.1f}** |")


def main():
    """Two cold builds in one empty directory, that of `make demo` and the rest of `make test`."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    work = tempfile.mkdtemp(prefix="devnet-timings.")
    try:
        target, log = os.path.join(work, "target"), os.path.join(work, "log")
        demo = build(DEMO, target, log)
        test = build(TEST, target, log)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n`{' '.join(DEMO)}`: {sum(cpu for _, _, cpu in demo):.0f} CPU s\n")
    table(demo, rows)
    print(f"\n`{' '.join(TEST)}` after it: {sum(cpu for _, _, cpu in test):.0f} CPU s\n")
    table(test, rows)
    # A package of this project has several targets; of the others, each is compiled once.
    foreign = {name for kind, name, _ in demo if not name.startswith("devnet-")}
    again = sorted({name for kind, name, _ in test} & foreign)
    print("\nCompiled again by the second: " + (", ".join(again) or "nothing"))


if __name__ == "__main__":
    if len(sys.argv) > 3 and sys.argv[1] == "run":
        sys.exit(measured("run script", sys.argv[2], sys.argv[3:]))
    if os.environ.get("DEVNET_TIMINGS_LOG"):
        sys.exit(compiler(sys.argv[1:]))
    main()
