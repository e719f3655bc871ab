"""Node's clients against azimuth-broker, or with --kafka JARS against Apache Kafka: node-rdkafka's own end-to-end tests, and
kafkajs and @platformatic/kafka, whose packages bring none, by those of node_clients.mjs.

Usage: python suite_node.py path/to/azimuth-broker [--kafka JARS] [--cache DIR] [--suite clients]

Installs the packages once (node with npm) and builds node-rdkafka with the librdkafka that it brings (node's headers, gcc, g++, make,
libssl-dev). Prints each test that did not pass and closes with `N passed, N failed, N skipped`. Exits 1 when a test fails that is not in KNOWN.
"""

import os
import re
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from clusters import NODES
from suites import Tally, cluster, options

PACKAGES = ["kafkajs@2.2.4", "@platformatic/kafka@1.35.0", "node-rdkafka@3.6.1", "mocha@10.8.2", "node-gyp@11.5.0"]
PROPERTIES = {"group.initial.rebalance.delay.ms": "0"}
# What node-rdkafka's continuous integration makes before its tests, each with one partition.
TOPICS = ["test", "test2", "test3", "test4", "test5", "test6"]
HERE = Path(__file__).parent.resolve()
DEADLINE = 1200
# Why a test cannot pass here, by its name.
EMPTY = "an empty Buffer has no address in the Node 20 that is here, and node-rdkafka takes it for null before anything is sent"
KNOWN = {
    "Consumer/Producer should be able to produce and consume messages: empty buffer key and empty value": EMPTY,
    "Consumer/Producer should be able to produce and consume messages: empty key and empty value": EMPTY,
    "Producer with_dr_msg_cb should produce a message with an empty payload and empty key (https://github.com/Blizzard/node-rdkafka/issues/117)": EMPTY,
}


def command(*words, cwd, **options):
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def install(cache):
    """The folder with the packages, without what their install steps would fetch."""
    folder = cache / f"node-{sha256(' '.join(PACKAGES).encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as place:
        made = Path(place) / folder.name
        made.mkdir()
        (made / "package.json").write_text("{}")
        command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", *PACKAGES, cwd=made)
        shutil.move(made, folder)
    return folder


def node_rdkafka(folder):
    native = folder / "node_modules" / "node-rdkafka"
    if not (native / "build" / "Release" / "node-librdkafka.node").exists():
        headers = command("node", "-p", "require('path').dirname(require('path').dirname(process.execPath))", cwd=folder).strip()
        command("node", "../node-gyp/bin/node-gyp.js", "rebuild", f"--nodedir={headers}", cwd=native)
    specs = sorted(str(path) for path in (native / "e2e").glob("*.spec.js"))
    return ["node", "../mocha/bin/mocha.js", "--exit", "--timeout", "120000", "--reporter", "tap", *specs], native


def clients(folder):
    return ["node", "--test", "--test-force-exit", "--test-reporter=tap", str(HERE / "node_clients.mjs")], folder


SUITES = {"clients": clients, "node-rdkafka": node_rdkafka}


def make_topics(cluster):
    from kafka.admin import KafkaAdminClient, NewTopic

    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap.split(","))
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1) for name in TOPICS])
    admin.close()


def run(cluster, folder, suite):
    """Each test's outcome by its name, and why it failed."""
    words, place = suite(folder)
    done = subprocess.run(words, cwd=place, env=os.environ | {"KAFKA_HOST": cluster.bootstrap}, capture_output=True, text=True, timeout=DEADLINE)
    outcomes = {}
    # Of node's own runner the tests are those within a group, of mocha all.
    indent = "    " if "--test" in words else ""
    results = re.compile(rf"^{indent}(not ok|ok) \d+ (?:- )?(.+?)(?: # (SKIP|TIME).*)?\n((?:(?!{indent}(?:not )?ok ).*\n)*)", re.M)
    for outcome, name, remark, details in results.findall(done.stdout):
        kind = "skipped" if remark == "SKIP" else "passed" if outcome == "ok" else "failed"
        outcomes[name] = (kind, " ".join(details.split())[:300])
    if not outcomes:
        raise SystemExit(f"{words[1]} did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return outcomes


def main():
    asked, suites = options(SUITES)
    folder = install(asked.cache)
    tally = Tally(KNOWN)
    for name in suites:
        native = name == "node-rdkafka"
        layout = {"plain": True, "overrides": PROPERTIES | ({"num.partitions": "1"} if native else {}), "nodes": [1] if native else NODES}
        with cluster(asked, **layout) as here:
            if native:
                make_topics(here)
            outcomes = run(here, folder, SUITES[name])
        tally.add(name, outcomes)
    tally.close()


if __name__ == "__main__":
    main()
