"""librdkafka's own test suite (the tests that need a broker) against azimuth-broker, or with --kafka JARS against Apache Kafka.

Usage: python suite_librdkafka.py path/to/azimuth-broker [--kafka JARS] [--cache DIR] [--protocol consumer] [--tests 0081,0090]

Builds the suite once from the librdkafka that the workspace is built on (gcc, g++, make, libssl-dev, zlib1g-dev). Prints one line for each
test and closes with `N passed, N failed`. Exits 1 when a test fails that is not in KNOWN.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from clusters import LOGGING, Kafka, Ours, java

PROPERTIES = {
    "group.initial.rebalance.delay.ms": "3000",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
TEST_DEADLINE = 300
# The suite's own factor to its time limits: clients, brokers and Kafka's tools share two cores here.
PATIENCE = 2
# They run without a broker: their subject is librdkafka itself, or its own mock of a broker.
LOCAL = "mock", "unittests", "ut"
# Why a test cannot pass here, by its number.
KNOWN = {
    "0077": "asks for a segment.bytes of 10000, which Kafka 4's own tool refuses",
    "0129": "asks for a segment.bytes of 20000, which Kafka 4 refuses too",
}


def build(cache):
    lock = (Path(__file__).parents[3] / "Cargo.lock").read_text()
    version = re.search(r'name = "rdkafka-sys"\nversion = "([^"]+)"', lock).group(1)
    source = next(Path.home().glob(f".cargo/registry/src/*/rdkafka-sys-{version}/librdkafka"))
    folder = cache / f"librdkafka-{source.parent.name}"
    if (folder / "tests" / "test-runner").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    for command in (["./configure", "--disable-gssapi"], ["make", "-j2", "libs"], ["make", "-j2", "-C", "tests", "build"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return folder


def shims(cluster, jars):
    """The two scripts that some tests call."""
    home = cluster.dir / "kafka" / "bin"
    home.mkdir(parents=True)
    (cluster.dir / "log4j2.properties").write_text(LOGGING)
    for name, tool in (("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"), ("kafka-acls.sh", "org.apache.kafka.tools.AclCommand")):
        command = " ".join(f"'{word}'" for word in java(jars, cluster.dir, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"))
        (home / name).write_text(f'#!/bin/sh\nexec {command} {tool} "$@"\n')
        (home / name).chmod(0o755)
    return home.parent


def numbers(folder):
    """The tests that talk to a broker."""
    files = sorted((folder / "tests").glob("0*-*.c*"))
    return [file.name[:4] for file in files if not any(word in file.stem.split("-", 1)[1].replace("_", "-").split("-") for word in LOCAL)]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("broker")
    options.add_argument("jars", help="Kafka's jars, for the scripts that some tests call")
    options.add_argument("--kafka", action="store_true")
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "azimuth")
    options.add_argument("--tests")
    options.add_argument("--protocol", default="classic", choices=["classic", "consumer"], help="the group protocol of consumers")
    options.add_argument("--logs", type=Path, help="a folder for the output of tests that fail")
    asked = options.parse_args()
    folder = build(asked.cache)
    # Its brokers allow nobody everything, so that the tests of authorization see ACLs at work.
    users = {"super.users": "User:ANONYMOUS"} if asked.kafka else {"super.users": "User:nobody"}
    start = (lambda: Kafka(asked.jars, plain=True, overrides=PROPERTIES | users)) if asked.kafka else (lambda: Ours(str(Path(asked.broker).resolve()), plain=True, overrides=PROPERTIES | users))
    passed, failed, unexpected = 0, 0, 0
    with start() as cluster:
        (folder / "tests" / "test.conf").write_text(f"bootstrap.servers={cluster.bootstrap}\ntest.timeout.multiplier={PATIENCE}\n")
        environment = os.environ | {
            "LD_LIBRARY_PATH": "../src:../src-cpp",
            "TEST_KAFKA_VERSION": "4.0.0.0",
            "BROKERS": cluster.bootstrap,
            "TEST_CONSUMER_GROUP_PROTOCOL": asked.protocol,
            "KAFKA_PATH": str(shims(cluster, asked.jars)),
        }
        for number in asked.tests.split(",") if asked.tests else numbers(folder):
            began = time.monotonic()
            command = ["./test-runner", "-p1", "-Q", "-L"]
            try:
                done = subprocess.run(command, cwd=folder / "tests", env=environment | {"TESTS": number}, capture_output=True, timeout=TEST_DEADLINE)
                ok, output = done.returncode == 0, done.stdout + done.stderr
            except subprocess.TimeoutExpired as late:
                ok, output = False, (late.stdout or b"") + (late.stderr or b"")
            passed, failed = passed + ok, failed + (not ok)
            unexpected += not ok and number not in KNOWN
            print(f"{number} {'ok' if ok else 'FAILED ' + KNOWN.get(number, '')} ({time.monotonic() - began:.0f} s)", flush=True)
            if not ok and asked.logs:
                asked.logs.mkdir(parents=True, exist_ok=True)
                (asked.logs / f"{number}.log").write_bytes(output)
    print(f"{passed} passed, {failed} failed")
    sys.exit(unexpected > 0)


if __name__ == "__main__":
    main()
