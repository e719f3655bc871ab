"""Rust's clients against azimuth-broker, or with --kafka JARS against Apache Kafka: the integration tests of rust-rdkafka (on the
librdkafka that it brings) and of rskafka, whose protocol is its own.

Usage: python suite_rust.py path/to/azimuth-broker [--kafka JARS] [--cache DIR] [--suite rskafka]

Both suites come with the crates' sources. They are built once, for minutes (cargo, gcc, make, zlib1g-dev, libssl-dev, and a JDK, which
rskafka's tests link but do not use here). Prints each test that did not pass and closes with `N passed, N failed, N skipped`. Exits 1
when a test fails that is not in KNOWN.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from clusters import NODES
from suites import Tally, cluster, options

# Per crate: its version, the brokers and properties that its own continuous integration has, and what its tests read.
SUITES = {
    "rdkafka": {
        "version": "0.39.0",
        "nodes": [0],
        # Several of its tests say localhost, without a port.
        "port": 9092,
        "properties": {"num.partitions": "3", "group.initial.rebalance.delay.ms": "0"},
        "environment": lambda cluster: {"KAFKA_HOST": cluster.bootstrap},
    },
    "rskafka": {
        "version": "0.6.0",
        # What its lock file names does not compile any more.
        "newer": {"rsasl": "2.3.1"},
        "nodes": NODES,
        "properties": {"auto.create.topics.enable": "false"},
        "environment": lambda cluster: {"TEST_INTEGRATION": "1", "TEST_BROKER_IMPL": "kafka", "KAFKA_CONNECT": cluster.bootstrap},
    },
}
DEADLINE = 600
# Why a test cannot pass here, by its name.
KNOWN = {
    "test_low_producers::test_base_producer_timeout": "wants a topic that is created by a record to be there no sooner than 100 ms later",
}


def cargo(*words, folder):
    # A configuration above the cache is not the suite's.
    done = subprocess.run(["cargo", *words], cwd=folder, capture_output=True, text=True, env=os.environ | {"CARGO_BUILD_BUILD_DIR": str(folder / "target")})
    if done.returncode != 0:
        raise SystemExit(f"cargo {words[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def sources(cache, crate, version, newer):
    """A copy of the crate's sources, a package of its own, with some dependencies at a newer version than it was released with."""
    folder = cache / f"{crate}-{version}"
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as place:
        fetcher = Path(place) / "fetcher"
        (fetcher / "src").mkdir(parents=True)
        (fetcher / "src" / "lib.rs").touch()
        (fetcher / "Cargo.toml").write_text(f'[package]\nname = "fetcher"\nversion = "0.0.0"\n[dependencies]\n{crate} = "={version}"\n[workspace]\n')
        known = json.loads(cargo("metadata", "--format-version", "1", folder=fetcher))
        package = next(one for one in known["packages"] if one["name"] == crate)
        made = Path(place) / folder.name
        shutil.copytree(Path(package["manifest_path"]).parent, made)
        # The compiler that its authors pin is not the one that is here.
        (made / "rust-toolchain.toml").unlink(missing_ok=True)
        for name, precise in newer.items():
            cargo("update", name, "--precise", precise, folder=made)
        shutil.move(made, folder)
    return folder


def build(folder):
    """The programs of the integration tests by their names."""
    programs = {}
    for line in cargo("test", "--no-run", "--locked", "--tests", "--message-format", "json", folder=folder).splitlines():
        told = json.loads(line)
        if told.get("reason") == "compiler-artifact" and told["executable"] and "test" in told["target"]["kind"]:
            programs[told["target"]["name"]] = told["executable"]
    return programs


def run(program, folder, environment):
    """Each test's outcome by its name, and what a failed one printed last."""
    try:
        done = subprocess.run([program, "--test-threads", "2"], cwd=folder, env=os.environ | environment, capture_output=True, text=True, errors="replace", timeout=DEADLINE)
    except subprocess.TimeoutExpired as late:
        return {f"(within {DEADLINE} s)": ("failed", (late.stdout or b"").decode(errors="replace")[-300:])}
    kinds = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
    outcomes = {name: (kinds[kind], "") for name, kind in re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", done.stdout, re.M)}
    for name, text in re.findall(r"^---- (\S+) stdout ----\n((?:(?!----).*\n)*)", done.stdout, re.M):
        panic = re.search(r"panicked at .*\n(?:.*\n?){1,4}", text)
        outcomes[name] = ("failed", " ".join((panic.group() if panic else text[-300:]).split())[:400])
    if done.returncode != 0 and not any(kind == "failed" for kind, _ in outcomes.values()):
        outcomes["(its end)"] = ("failed", f"exit {done.returncode}: {done.stderr[-300:]}")
    return outcomes


def main():
    asked, crates = options(SUITES)
    tally = Tally(KNOWN)
    for crate in crates:
        suite = SUITES[crate]
        folder = sources(asked.cache, crate, suite["version"], suite.get("newer", {}))
        programs = build(folder)
        outcomes = {}
        with cluster(asked, plain=True, overrides=suite["properties"], nodes=suite["nodes"], port=suite.get("port")) as here:
            for name, program in sorted(programs.items()):
                told = run(program, folder, suite["environment"](here))
                outcomes |= {f"{name}::{test}": outcome for test, outcome in told.items()}
        tally.add(crate, outcomes)
    tally.close()


if __name__ == "__main__":
    main()
