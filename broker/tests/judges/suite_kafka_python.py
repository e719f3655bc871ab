"""kafka-python's own integration suite against azimuth-broker, and against Apache Kafka with --kafka JARS.

Usage: python suite_kafka_python.py path/to/azimuth-broker [--kafka JARS] [--cache DIR] [pytest arguments]

The suite comes from the package's source distribution. Prints each test that did not pass, then the counts of each cluster,
then the tests that Apache Kafka passes and we do not. Closes with `N passed, N failed, N skipped` for azimuth-broker and exits 1 when a test fails
here that Apache Kafka passes (without --kafka: when one fails that is not in KNOWN).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

from clusters import Kafka, Ours

VERSION = "3.0.12"
SERVICE = '''
"""What the source distribution leaves out: a broker that somebody else started."""


class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self): ...

    def close(self): ...

    def stop(self): ...

    def dump_logs(self): ...

    def wait_for(self, pattern, timeout=30): ...


class SpawnedService(ExternalService): ...
'''
# What the suite is written for: one broker, whose id is 0.
NODES = [0]
PROPERTIES = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "super.users": "User:ANONYMOUS",
}
# Tests that fail here without a comparison, and why.
KNOWN = {
    "TestSSLConnection::test_legacy_kafka_client_ssl": "starts a broker of its own",
    "TestSSLConnection::test_ssl_handshake": "starts a broker of its own",
    "test_consumer_integration::test_kafka_version_infer": "wants to find version 4.0",
}


def sources(cache):
    folder = cache / f"kafka_python-{VERSION}"
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as place:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "-d", place, f"kafka-python=={VERSION}"], check=True)
        with tarfile.open(next(Path(place).glob("*.tar.gz"))) as archive:
            archive.extractall(place, filter="data")
        made = Path(place) / folder.name
        (made / "test" / "__init__.py").touch()
        (made / "test" / "service.py").write_text(SERVICE)
        shutil.move(made, folder)
    return folder


def run(cluster, folder, arguments):
    """Each test's outcome by its name."""
    report = cluster.dir / "report.xml"
    first = next(iter(cluster.internal.values()))
    environment = os.environ | {"KAFKA_ROOT": "/tmp", "KAFKA_URI": f"kafka://127.0.0.1:{first}", "KAFKA_VERSION": "4.0.0"}
    command = [sys.executable, "-m", "pytest", "test/integration", "-q", "--timeout", "60", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if not report.exists():
        raise SystemExit(f"pytest did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    outcomes = {}
    for case in xml.parse(report).iter("testcase"):
        kinds = {child.tag: (child.get("message") or "").splitlines()[:1] for child in case}
        kind = next((kind for kind in ("failure", "error", "skipped") if kind in kinds), "passed")
        name = case.get("classname").split(".")[-1] + "::" + case.get("name")
        outcomes[name] = ("failed" if kind in ("failure", "error") else kind, " ".join(kinds.get(kind, [])))
    return outcomes


def counts(outcomes):
    kinds = [kind for kind, _ in outcomes.values()]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("passed", "failed", "skipped"))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("broker")
    options.add_argument("--kafka")
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "azimuth")
    asked, arguments = options.parse_known_args()
    folder = sources(asked.cache)
    with Ours(str(Path(asked.broker).resolve()), plain=True, overrides=PROPERTIES, nodes=NODES) as ours:
        mine = run(ours, folder, arguments)
    for name, (kind, why) in sorted(mine.items()):
        if kind == "failed":
            print(f"ours   {name}: {why}")
    worse = {name for name, (kind, _) in mine.items() if kind == "failed"} - set(KNOWN)
    if asked.kafka:
        with Kafka(asked.kafka, plain=True, overrides=PROPERTIES, nodes=NODES) as kafka:
            theirs = run(kafka, folder, arguments)
        for name, (kind, why) in sorted(theirs.items()):
            if kind == "failed":
                print(f"Kafka  {name}: {why}")
        print(f"Apache Kafka: {counts(theirs)}")
        worse = {name for name, (kind, _) in mine.items() if kind == "failed" and theirs.get(name, ("failed",))[0] != "failed"}
        for name in sorted(worse):
            print(f"only here: {name}")
    print(f"azimuth-broker: {counts(mine)}")
    sys.exit(bool(worse))


if __name__ == "__main__":
    main()
