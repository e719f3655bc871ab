"""Apache Kafka's own command line tools against azimuth-broker and against Apache Kafka, answers compared.

Usage: python tools.py path/to/azimuth-broker path/to/kafka-jars [--report DIR] [part of a step's name]

Runs the same steps on both clusters, side by side, and prints one line for each: same, same in other words
(errors of the same class, lists in another order), explained (with the reason) or DIFFERENT. With --report the answers are written there, as a difference where they differ. Closes with `N passed, N failed`; exits 1 when an
answer differs without an explanation.
"""

import argparse
import base64
import difflib
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clusters import PASSWORD, Kafka, Ours, java

HERE = Path(__file__).parent
STEP_DEADLINE = 90
T = "org.apache.kafka.tools."
TRANSACTIONS = T + "TransactionsCommand"
TOPICS, ACLS, CONFIGS = T + "TopicCommand", T + "AclCommand", "kafka.admin.ConfigCommand"
COPIER = T + "TransactionalMessageCopier"
TOKENS = T + "DelegationTokenCommand"
METRICS = T + "ClientMetricsCommand"
GROUPS, REASSIGN = T + "consumer.group.ConsumerGroupCommand", T + "reassign.ReassignPartitionsCommand"


class Runner:
    """One JVM that runs tools against one cluster."""

    def __init__(self, cluster, jars):
        self.cluster, self.jars = cluster, jars
        # They live too short for the best compiler.
        command = [*java(jars, cluster.dir, "-Xmx512m", "-XX:TieredStopAtLevel=1"), str(HERE / "Tools.java")]
        if not (cluster.dir / "log4j2.properties").exists():
            from clusters import LOGGING

            (cluster.dir / "log4j2.properties").write_text(LOGGING)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def alone(self, tool, arguments):
        """In a JVM of its own, for a tool that does its last things only when that ends."""
        command = [*java(self.jars, self.cluster.dir, "-Xmx256m", "-XX:TieredStopAtLevel=1"), tool, *arguments]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=STEP_DEADLINE)
        except subprocess.TimeoutExpired as late:
            raise SystemExit(f"{self.cluster.name}: {tool} {arguments} did not end within {STEP_DEADLINE} s: {(late.stdout or b'')[-500:]}") from None
        return done.returncode, done.stdout

    def run(self, tool, arguments, stdin=""):
        words = [stdin, tool, *arguments]
        self.process.stdin.write(" ".join("." + base64.b64encode(word.encode()).decode() for word in words) + "\n")
        self.process.stdin.flush()
        killer = threading.Timer(STEP_DEADLINE, self.process.kill)
        killer.start()
        line = self.process.stdout.readline()
        killer.cancel()
        if not line:
            raise SystemExit(f"{self.cluster.name}: {tool} {arguments} did not end within {STEP_DEADLINE} s")
        status, text = line.split(" ")
        return int(status), base64.b64decode(text).decode(errors="replace")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def normal(text, cluster):
    """What has to be the same: without ids, ports, folders, times, and in an order of its own."""
    for name, ports in (("INTERNAL", cluster.internal), ("CLIENTS", cluster.clients), ("CONTROLLER", cluster.control)):
        for node, port in ports.items():
            text = re.sub(rf"\b{port}\b", f"{name}{node}", text)
    # Which of a broker's two folders a replica lies in is chance.
    text = re.sub(re.escape(str(cluster.dir)) + r"/data-(\d)-[ab]", r"DIR/data-\1", text).replace(str(cluster.dir), "DIR")
    # Before ids, which a secret may seem to have inside.
    text = re.sub(r"\S{86}==", "HMAC", text)
    text = re.sub(r"(?<![\w-])[A-Za-z0-9_-]{22}(?![\w-])", "ID", text)
    text = re.sub(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+\] ", "", text)
    text = re.sub(r"\b1[789]\d{11}\b", "TIME", text)
    text = re.sub(r"console-consumer-[\w-]+|[\w-]+-[0-9a-f]{8}-[0-9a-f-]{27}", "MEMBER", text)
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    # A trace of calls tells where in the tool it failed, not what was answered.
    noise = ("WARN", "SLF4J", "at ", "... ", "Suppressed: ")
    return sorted(line for line in lines if line and not line.startswith(noise))


def meant(lines):
    """The same without the words of errors, whose class stays, and with lists in an order of their own."""
    text = [re.sub(r"(\w+(?:Exception|Error)): .*", r"\1", line) for line in lines]
    text = [re.sub(r"(Error while executing [\w ]+ command) .*", r"\1", line) for line in text]
    return sorted(" ".join(sorted(re.split(r"[,\s]+", line))) for line in text)


class Step:
    def __init__(self, name, tool, *arguments, stdin="", secure=False, pick=None, until=None, server_first=False, server_option="--bootstrap-server", alone=False, keep=None):
        self.name, self.tool, self.arguments = name, tool, arguments
        self.stdin, self.secure, self.pick, self.until, self.server_first = stdin, secure, pick, until, server_first
        self.server_option, self.alone, self.keep = server_option, alone, keep

    def on(self, runner):
        cluster = runner.cluster
        server = cluster.secure if self.secure else cluster.bootstrap
        arguments = [argument.format(dir=cluster.dir, **cluster.kept) for argument in self.arguments]
        bootstrap = [self.server_option, server]
        # Before the name of a subcommand that has options of its own.
        arguments = bootstrap + arguments if self.server_first else arguments + bootstrap
        if self.secure and "--command-config" not in arguments:
            which = {"ConsoleProducer": "--command-config", "ConsoleConsumer": "--command-config"}
            arguments += [which.get(self.tool.rsplit(".", 1)[1], "--command-config"), str(cluster.client_properties)]
        end = time.monotonic() + STEP_DEADLINE
        while True:
            status, text = runner.alone(self.tool, arguments) if self.alone else runner.run(self.tool, arguments, self.stdin)
            if self.until is None or re.search(self.until, text) or time.monotonic() > end:
                break
        if self.keep:
            self.keep(text, cluster)
        lines = normal(text, cluster)
        if self.pick:
            lines = self.pick(lines)
        return [f"exit {status}", *lines]


def shape(lines):
    """Only which columns and how many rows there are: the values live."""
    return [re.sub(r"-?\d+(\.\d+)?", "N", line) for line in lines]


def config_names(lines):
    return sorted({match.group(1) for line in lines if (match := re.match(r"([a-z][a-z0-9._]+)=", line))})


def steps():
    """The tour of the tools, in an order in which each finds what it needs."""
    records = "".join(f"k{number}:v{number}\n" for number in range(100))
    acl = ["--topic", "orders", "--group", "billing"]
    return [
        Step("topics: create", TOPICS, "--create", "--topic", "orders", "--partitions", "3", "--replication-factor", "3", "--config", "retention.ms=86400000"),
        Step("topics: create with assignment", TOPICS, "--create", "--topic", "placed", "--replica-assignment", "1:2,2:3,3:1"),
        Step("topics: create again", TOPICS, "--create", "--topic", "orders", "--partitions", "3"),
        Step("topics: create, too many replicas", TOPICS, "--create", "--topic", "wide", "--partitions", "1", "--replication-factor", "9"),
        Step("topics: create, bad name", TOPICS, "--create", "--topic", "a b", "--partitions", "1"),
        Step("topics: create, bad config", TOPICS, "--create", "--topic", "bad", "--partitions", "1", "--config", "retention.ms=abc"),
        Step("topics: list", TOPICS, "--list"),
        Step("topics: describe placed", TOPICS, "--describe", "--topic", "placed"),
        Step("topics: describe, count", TOPICS, "--describe", "--topic", "orders", pick=shape),
        Step("topics: describe, none", TOPICS, "--describe", "--topic", "nothing"),
        Step("topics: under-replicated", TOPICS, "--describe", "--under-replicated-partitions"),
        Step("topics: at min ISR", TOPICS, "--describe", "--at-min-isr-partitions"),
        Step("topics: unavailable", TOPICS, "--describe", "--unavailable-partitions"),
        Step("topics: more partitions", TOPICS, "--alter", "--topic", "orders", "--partitions", "6"),
        Step("topics: fewer partitions", TOPICS, "--alter", "--topic", "orders", "--partitions", "2"),
        Step("configs: topic set", CONFIGS, "--alter", "--entity-type", "topics", "--entity-name", "orders", "--add-config", "segment.bytes=10485760,min.insync.replicas=2"),
        Step("configs: topic describe", CONFIGS, "--describe", "--entity-type", "topics", "--entity-name", "orders"),
        Step("configs: topic describe all", CONFIGS, "--describe", "--all", "--entity-type", "topics", "--entity-name", "orders"),
        Step("configs: topic append", CONFIGS, "--alter", "--entity-type", "topics", "--entity-name", "orders", "--add-config", "cleanup.policy=[compact,delete]"),
        Step("configs: topic after append", CONFIGS, "--describe", "--entity-type", "topics", "--entity-name", "orders"),
        Step("configs: topic unset", CONFIGS, "--alter", "--entity-type", "topics", "--entity-name", "orders", "--delete-config", "cleanup.policy,segment.bytes"),
        Step("configs: topic bad value", CONFIGS, "--alter", "--entity-type", "topics", "--entity-name", "orders", "--add-config", "retention.ms=x"),
        Step("configs: topic bad name", CONFIGS, "--alter", "--entity-type", "topics", "--entity-name", "orders", "--add-config", "nope=1"),
        Step("configs: no topic", CONFIGS, "--alter", "--entity-type", "topics", "--entity-name", "nothing", "--add-config", "retention.ms=1"),
        Step("configs: broker set", CONFIGS, "--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", "log.retention.ms=7200000"),
        Step("configs: broker describe", CONFIGS, "--describe", "--entity-type", "brokers", "--entity-name", "1"),
        Step("configs: broker describe all, names", CONFIGS, "--describe", "--all", "--entity-type", "brokers", "--entity-name", "1", pick=config_names),
        Step("configs: default broker set", CONFIGS, "--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "message.max.bytes=2000000"),
        Step("configs: default broker describe", CONFIGS, "--describe", "--entity-type", "brokers", "--entity-default"),
        Step("configs: broker read-only", CONFIGS, "--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", "node.id=7"),
        Step("configs: broker unset", CONFIGS, "--alter", "--entity-type", "brokers", "--entity-name", "1", "--delete-config", "log.retention.ms"),
        Step("configs: default broker unset", CONFIGS, "--alter", "--entity-type", "brokers", "--entity-default", "--delete-config", "message.max.bytes"),
        Step("configs: broker logger set", CONFIGS, "--alter", "--entity-type", "broker-loggers", "--entity-name", "1", "--add-config", "root=WARN"),
        Step("configs: broker logger bad level", CONFIGS, "--alter", "--entity-type", "broker-loggers", "--entity-name", "1", "--add-config", "root=LOUD"),
        Step("configs: broker loggers", CONFIGS, "--describe", "--entity-type", "broker-loggers", "--entity-name", "1", pick=lambda lines: lines[:1]),
        Step("configs: user quota set", CONFIGS, "--alter", "--entity-type", "users", "--entity-name", "alice", "--add-config", "producer_byte_rate=1048576,request_percentage=50"),
        Step("configs: user and client quota", CONFIGS, "--alter", "--entity-type", "users", "--entity-name", "alice", "--entity-type", "clients", "--entity-name", "app", "--add-config", "consumer_byte_rate=2048"),
        Step("configs: default client quota", CONFIGS, "--alter", "--entity-type", "clients", "--entity-default", "--add-config", "controller_mutation_rate=10"),
        Step("configs: ip quota", CONFIGS, "--alter", "--entity-type", "ips", "--entity-name", "127.0.0.9", "--add-config", "connection_creation_rate=100"),
        Step("configs: bad quota", CONFIGS, "--alter", "--entity-type", "clients", "--entity-name", "app", "--add-config", "producer_byte_rate=-5"),
        Step("configs: unknown quota", CONFIGS, "--alter", "--entity-type", "clients", "--entity-name", "app", "--add-config", "speed=5"),
        Step("configs: users describe", CONFIGS, "--describe", "--entity-type", "users"),
        Step("configs: users and clients describe", CONFIGS, "--describe", "--entity-type", "users", "--entity-type", "clients"),
        Step("configs: clients describe", CONFIGS, "--describe", "--entity-type", "clients"),
        Step("configs: ips describe", CONFIGS, "--describe", "--entity-type", "ips"),
        Step("configs: SCRAM user set", CONFIGS, "--alter", "--entity-type", "users", "--entity-name", "carol", "--add-config", f"SCRAM-SHA-256=[iterations=8192,password={PASSWORD}]"),
        Step("configs: SCRAM user describe", CONFIGS, "--describe", "--entity-type", "users", "--entity-name", "carol"),
        Step("configs: SCRAM user unset", CONFIGS, "--alter", "--entity-type", "users", "--entity-name", "carol", "--delete-config", "SCRAM-SHA-256"),
        Step("configs: SCRAM user unset again", CONFIGS, "--alter", "--entity-type", "users", "--entity-name", "carol", "--delete-config", "SCRAM-SHA-256"),
        Step("configs: quotas unset", CONFIGS, "--alter", "--entity-type", "users", "--entity-name", "alice", "--delete-config", "producer_byte_rate,request_percentage"),
        Step("configs: client quota unset", CONFIGS, "--alter", "--entity-type", "clients", "--entity-default", "--delete-config", "controller_mutation_rate"),
        Step("acls: add consumer", ACLS, "--add", "--allow-principal", "User:alice", "--consumer", *acl),
        Step("acls: add producer by prefix", ACLS, "--add", "--allow-principal", "User:alice", "--producer", "--topic", "ord", "--resource-pattern-type", "prefixed"),
        Step("acls: deny from a host", ACLS, "--add", "--deny-principal", "User:bob", "--deny-host", "10.0.0.1", "--operation", "Read", "--topic", "orders"),
        Step("acls: cluster", ACLS, "--add", "--allow-principal", "User:carol", "--operation", "AlterConfigs", "--operation", "Describe", "--cluster"),
        Step("acls: bad principal", ACLS, "--add", "--allow-principal", "alice", "--operation", "Read", "--topic", "orders"),
        Step("acls: list", ACLS, "--list"),
        Step("acls: list of a principal", ACLS, "--list", "--principal", "User:alice"),
        Step("acls: list of a topic, match", ACLS, "--list", "--topic", "orders", "--resource-pattern-type", "match"),
        Step("acls: remove", ACLS, "--remove", "--force", "--deny-principal", "User:bob", "--deny-host", "10.0.0.1", "--operation", "Read", "--topic", "orders"),
        Step("acls: list after", ACLS, "--list", "--topic", "orders"),
        Step("producer: SASL_SSL with SCRAM", T + "ConsoleProducer", "--topic", "orders", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:", stdin=records, secure=True),
        Step("offsets: latest", T + "GetOffsetShell", "--topic", "orders", pick=lambda lines: [str(sum(int(line.rsplit(":", 1)[1]) for line in lines))]),
        Step("consumer: SASL_SSL with SCRAM", T + "consumer.ConsoleConsumer", "--topic", "orders", "--group", "billing", "--from-beginning", "--max-messages", "100", "--timeout-ms", "30000", secure=True),
        Step("tokens: create", TOKENS, "--create", "--max-life-time-period", "-1", "--renewer-principal", "User:alice", secure=True, keep=keep_token, pick=token_shape),
        Step("tokens: create for another", TOKENS, "--create", "--max-life-time-period", "3600000", "--owner-principal", "User:alice", secure=True, pick=token_shape),
        Step("tokens: describe", TOKENS, "--describe", secure=True, until=r"tokens : [12]", pick=token_shape),
        Step("tokens: describe one owner's", TOKENS, "--describe", "--owner-principal", "User:alice", secure=True, until=r"tokens : 2", pick=token_shape),
        Step("tokens: log in with one", T + "ConsoleProducer", "--topic", "orders", "--command-config", "{dir}/token.properties", stdin="by:token\n", secure=True),
        Step("tokens: none for who has one", TOKENS, "--create", "--max-life-time-period", "-1", "--command-config", "{dir}/token.properties", secure=True),
        Step("tokens: renew", TOKENS, "--renew", "--renew-time-period", "-1", "--hmac", "{hmac}", secure=True, pick=token_shape),
        Step("tokens: expire", TOKENS, "--expire", "--expiry-time-period", "-1", "--hmac", "{hmac}", secure=True, pick=token_shape),
        Step("tokens: renew what is gone", TOKENS, "--renew", "--renew-time-period", "-1", "--hmac", "{hmac}", secure=True, pick=token_shape),
        Step("groups: list", GROUPS, "--list"),
        Step("groups: describe", GROUPS, "--describe", "--group", "billing", pick=shape),
        Step("groups: state", GROUPS, "--describe", "--group", "billing", "--state", pick=shape),
        Step("groups: members", GROUPS, "--describe", "--group", "billing", "--members"),
        Step("groups: reset, dry run", GROUPS, "--reset-offsets", "--group", "billing", "--topic", "orders", "--to-earliest", "--dry-run"),
        Step("groups: reset", GROUPS, "--reset-offsets", "--group", "billing", "--topic", "orders", "--to-earliest", "--execute"),
        Step("groups: delete offsets", GROUPS, "--delete-offsets", "--group", "billing", "--topic", "orders"),
        Step("groups: delete", GROUPS, "--delete", "--group", "billing"),
        Step("groups: delete again", GROUPS, "--delete", "--group", "billing"),
        Step("groups: describe none", GROUPS, "--describe", "--group", "nobody"),
        Step("consumer protocol: consume", T + "consumer.ConsoleConsumer", "--topic", "orders", "--group", "modern", "--from-beginning", "--max-messages", "101", "--timeout-ms", "30000", "--command-property", "group.protocol=consumer"),
        Step("consumer protocol: list", GROUPS, "--list", "--type", "consumer"),
        Step("consumer protocol: list states", GROUPS, "--list", "--state", "empty", "--type", "consumer"),
        Step("consumer protocol: describe", GROUPS, "--describe", "--group", "modern", pick=shape),
        Step("consumer protocol: state", GROUPS, "--describe", "--group", "modern", "--state", "--verbose", pick=shape),
        Step("consumer protocol: members", GROUPS, "--describe", "--group", "modern", "--members", "--verbose"),
        Step("consumer protocol: reset", GROUPS, "--reset-offsets", "--group", "modern", "--topic", "orders", "--to-earliest", "--execute"),
        Step("consumer protocol: again, by pattern", T + "consumer.ConsoleConsumer", "--include", "ord.*", "--group", "modern", "--max-messages", "100", "--timeout-ms", "30000", "--command-property", "group.protocol=consumer", "--command-property", "group.remote.assignor=range", pick=lambda lines: [line for line in lines if "Processed" in line]),
        Step("consumer protocol: delete offsets", GROUPS, "--delete-offsets", "--group", "modern", "--topic", "orders"),
        Step("configs: group set", CONFIGS, "--alter", "--entity-type", "groups", "--entity-name", "modern", "--add-config", "consumer.session.timeout.ms=50000"),
        Step("configs: group describe", CONFIGS, "--describe", "--entity-type", "groups", "--entity-name", "modern", pick=lambda lines: [line for line in lines if "consumer.session" in line]),
        Step("configs: group, too short", CONFIGS, "--alter", "--entity-type", "groups", "--entity-name", "modern", "--add-config", "consumer.session.timeout.ms=5"),
        Step("configs: group unset", CONFIGS, "--alter", "--entity-type", "groups", "--entity-name", "modern", "--delete-config", "consumer.session.timeout.ms"),
        Step("consumer protocol: delete", GROUPS, "--delete", "--group", "modern"),
        Step("client metrics: alter", METRICS, "--alter", "--name", "all", "--metrics", "org.apache.kafka.producer.", "--interval", "1000", "--match", "client_id=app.*"),
        Step("client metrics: bad match", METRICS, "--alter", "--name", "bad", "--match", "shoe_size=42"),
        Step("client metrics: bad interval", METRICS, "--alter", "--name", "bad", "--interval", "7"),
        Step("client metrics: list", METRICS, "--list"),
        Step("client metrics: describe", METRICS, "--describe", "--name", "all"),
        Step("client metrics: delete", METRICS, "--delete", "--name", "all"),
        Step("client metrics: list none", METRICS, "--list"),
        Step("transactions: produce", T + "ProducerPerformance", "--topic", "orders", "--num-records", "1000", "--record-size", "100", "--throughput", "-1", "--transactional-id", "perf", "--transaction-duration-ms", "20", pick=lambda lines: re.findall(r"^1000 records sent", "\n".join(lines), re.M)),
        Step("transactions: read committed", T + "consumer.ConsoleConsumer", "--topic", "orders", "--from-beginning", "--isolation-level", "read_committed", "--max-messages", "1100", "--timeout-ms", "30000", pick=lambda lines: [line for line in lines if "Processed" in line]),
        Step("verifiable producer", T + "VerifiableProducer", "--topic", "verified", "--max-messages", "1000", "--repeating-keys", "10", alone=True, pick=verified),
        Step("verifiable producer: acks 1", T + "VerifiableProducer", "--topic", "verified", "--max-messages", "1000", "--acks", "1", "--value-prefix", "7", alone=True, pick=verified),
        *[
            Step(f"verifiable consumer: {protocol}", T + "VerifiableConsumer", "--topic", "verified", "--group-id", f"verified-{protocol}", "--group-protocol", protocol, "--max-messages", "2000", alone=True, pick=verified)
            for protocol in ("classic", "consumer")
        ],
        Step("verifiable consumer: committed", GROUPS, "--describe", "--group", "verified-consumer", pick=lambda lines: [str(sum(int(line.split()[3]) for line in lines if line.startswith("verified-")))]),
        *[
            Step(f"transactional copier{mode and ', ' + mode}", COPIER, "--input-topic", "verified", "--input-partition", "0", "--output-topic", f"copied{mode}", "--consumer-group", f"copier{mode}", "--transactional-id", f"copier{mode}", "--transaction-size", "50", *([mode] if mode else []), server_option="--broker-list", pick=copied)
            for mode in ("", "--group-mode", "--use-group-metadata", "--enable-random-aborts")
        ],
        Step("consumer performance", T + "ConsumerPerformance", "--topic", "verified", "--num-records", "2000", "--hide-header", pick=lambda lines: [line.split(", ")[4] for line in lines if line.count(", ") > 6]),
        Step("end to end latency", T + "EndToEndLatency", "--topic", "latency", "--num-records", "500", "--producer-acks", "all", "--record-size", "100", pick=shape),
        Step("transactions: list", TRANSACTIONS, "list", server_first=True, pick=shape, until="CompleteCommit"),
        Step("transactions: list, none", TRANSACTIONS, "list", "--duration-filter", "3600000", server_first=True),
        Step("transactions: describe", TRANSACTIONS, "describe", "--transactional-id", "perf", server_first=True, pick=shape),
        Step("transactions: describe none", TRANSACTIONS, "describe", "--transactional-id", "nobody", server_first=True),
        Step("transactions: producers", TRANSACTIONS, "describe-producers", "--topic", "orders", "--partition", "0", server_first=True, pick=lambda lines: [line for line in lines if "ProducerId" in line]),
        Step("transactions: hanging", TRANSACTIONS, "find-hanging", "--broker-id", "1", server_first=True),
        Step("transactions: abort nothing", TRANSACTIONS, "abort", "--topic", "orders", "--partition", "0", "--start-offset", "0", server_first=True),
        Step("records: delete", T + "DeleteRecordsCommand", "--offset-json-file", "{dir}/delete.json"),
        Step("offsets: earliest", T + "GetOffsetShell", "--topic", "placed", "--time", "earliest"),
        Step("log dirs: describe", T + "LogDirsCommand", "--describe", "--topic-list", "placed", pick=log_dirs),
        Step("log dirs: no such broker", T + "LogDirsCommand", "--describe", "--broker-list", "1,9", pick=lambda lines: [line for line in lines if "9" in line and "{" not in line]),
        Step("reassign: generate", REASSIGN, "--generate", "--topics-to-move-json-file", "{dir}/topics.json", "--broker-list", "1,2", pick=shape),
        Step("reassign: execute with throttle", REASSIGN, "--execute", "--reassignment-json-file", "{dir}/move.json", "--throttle", "10000000"),
        Step("configs: throttles are set", CONFIGS, "--describe", "--entity-type", "brokers", "--entity-name", "1"),
        Step("reassign: verify", REASSIGN, "--verify", "--reassignment-json-file", "{dir}/move.json", until=r"placed-0 is completed[\s\S]*placed-1 is completed"),
        Step("reassign: list", REASSIGN, "--list"),
        Step("configs: throttles are gone", CONFIGS, "--describe", "--entity-type", "brokers", "--entity-name", "1"),
        Step("topics: describe moved", TOPICS, "--describe", "--topic", "placed"),
        Step("reassign: cancel nothing", REASSIGN, "--cancel", "--reassignment-json-file", "{dir}/move.json"),
        Step("reassign: no such broker", REASSIGN, "--execute", "--reassignment-json-file", "{dir}/nowhere.json"),
        Step("election: preferred, one", T + "LeaderElectionCommand", "--election-type", "preferred", "--topic", "placed", "--partition", "0"),
        Step("election: preferred, all", T + "LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions"),
        Step("election: unclean, not needed", T + "LeaderElectionCommand", "--election-type", "unclean", "--topic", "placed", "--partition", "0"),
        Step("election: no such topic", T + "LeaderElectionCommand", "--election-type", "preferred", "--topic", "nothing", "--partition", "0"),
        Step("quorum: status", T + "MetadataQuorumCommand", "describe", "--status", pick=shape),
        Step("quorum: replication", T + "MetadataQuorumCommand", "describe", "--replication", pick=shape),
        Step("features: describe", T + "FeatureCommand", "describe", server_first=True, pick=levels),
        Step("features: upgrade, dry run", T + "FeatureCommand", "upgrade", "--feature", "metadata.version=99", "--dry-run", server_first=True, pick=refused_feature),
        Step("features: downgrade", T + "FeatureCommand", "downgrade", "--feature", "metadata.version=20", server_first=True, pick=refused_feature),
        Step("cluster: id", T + "ClusterTool", "cluster-id"),
        Step("cluster: endpoints", T + "ClusterTool", "list-endpoints"),
        Step("cluster: unregister unknown", T + "ClusterTool", "unregister", "--id", "99"),
        Step("topics: delete", TOPICS, "--delete", "--topic", "placed"),
        Step("topics: delete again", TOPICS, "--delete", "--topic", "placed"),
        Step("api versions", T + "BrokerApiVersionsCommand", pick=shape_of_apis),
    ]


def said(lines):
    """The events that a client prints as JSON, whose times are words by now."""
    return [json.loads(line.replace("TIME", "0")) for line in lines if line.startswith("{")]


def verified(lines):
    """What a verifiable client counts: its events by name, and the records consumed."""
    events = said(lines)
    counted = Counter(event["name"] for event in events if event["name"].startswith("producer") or event["name"].endswith("complete"))
    consumed = sum(event["count"] for event in events if event["name"] == "records_consumed")
    refused = [event for event in events if event["name"] == "offsets_committed" and not event["success"]]
    return [*(f"{name} {number}" for name, number in sorted(counted.items())), f"consumed {consumed}", f"refused {refused}"]


def copied(lines):
    """What the copier had done at its end."""
    done = said(lines)
    return [str(max((event.get("consumed", 0) for event in done), default=None)), str(min((event.get("remaining", 0) for event in done), default=None))]


def keep_token(text, cluster):
    """Keeps the token that was made, and writes what a client needs to log in with it."""
    found = re.search(r"^(\S{22})\s+(\S{88})\s", text, re.M)
    if found:
        cluster.kept |= {"token": found.group(1), "hmac": found.group(2)}
        cluster.write_client(cluster.dir / "token.properties", found.group(1), found.group(2), ' tokenauth="true"')


def token_shape(lines):
    """Without times."""
    return [re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d|TIME", "WHEN", line) for line in lines]


def levels(lines):
    """The features that both have, without the offset that they were read at."""
    return [re.sub(r" Epoch: \d+", "", line) for line in lines if "group.version" in line or "transaction.version" in line]


def refused_feature(lines):
    """Without which levels of the metadata log's format each knows: there is one here."""
    return [line.split("following feature had an error")[0] for line in lines]


def log_dirs(lines):
    """The replicas and errors there are, wherever they lie."""
    return sorted(set(re.findall(r'"(?:partition|error)":(?:"[^"]+"|null)', " ".join(lines))))


def shape_of_apis(lines):
    return sorted({line.split(" [")[0] for line in lines if "(" in line and "UNSUPPORTED" not in line})


# Why an answer may differ, by step.
DEFAULTS = (
    "Kafka lists no default where the property has none under that name (log.retention.ms falls back to log.retention.hours); "
    "here each name has its default"
)
EXPLAINED = {
    "configs: topic describe": DEFAULTS,
    "configs: topic describe all": DEFAULTS,
    "configs: topic after append": DEFAULTS,
    "configs: broker describe": DEFAULTS,
    "configs: throttles are set": DEFAULTS,
    "configs: broker describe all, names": "only properties of what is here: no quorum of controllers, tiered storage, share groups",
    "api versions": "no share and streams groups, changes of the quorum; versions are those of Kafka 4.1",
}


def files(cluster):
    """What the steps name, in each cluster's folder."""
    (cluster.dir / "delete.json").write_text('{"partitions":[{"topic":"placed","partition":0,"offset":0}],"version":1}')
    (cluster.dir / "topics.json").write_text('{"topics":[{"topic":"placed"}],"version":1}')
    (cluster.dir / "move.json").write_text('{"version":1,"partitions":[{"topic":"placed","partition":0,"replicas":[3,1]},{"topic":"placed","partition":1,"replicas":[2,1]}]}')
    (cluster.dir / "nowhere.json").write_text('{"version":1,"partitions":[{"topic":"placed","partition":0,"replicas":[9,1]}]}')


def main():
    options = argparse.ArgumentParser()
    options.add_argument("broker")
    options.add_argument("jars")
    options.add_argument("--report", type=Path)
    options.add_argument("--plain", action="store_true", help="without security: what a listener in plaintext can tell")
    options.add_argument("only", nargs="?", default="")
    asked = options.parse_args()
    broker = str(Path(asked.broker).resolve())
    with Kafka(asked.jars, plain=asked.plain) as theirs, Ours(broker, plain=asked.plain) as ours:
        runners = []
        for cluster in (ours, theirs):
            files(cluster)
            runners.append(Runner(cluster, asked.jars))
        failed = 0
        todo = [step for step in steps() if not (asked.plain and step.secure)]
        with ThreadPoolExecutor(2) as pool:
            for step in todo:
                mine, kafka = pool.map(lambda runner: step.on(runner), runners)
                if asked.only not in step.name:
                    continue
                verdict = "same"
                if mine != kafka:
                    alike = meant(mine) == meant(kafka)
                    failed += not (alike or step.name in EXPLAINED)
                    why = "explained: " + EXPLAINED[step.name] if step.name in EXPLAINED else "DIFFERENT"
                    verdict = "same, in other words" if alike else why
                if asked.report:
                    asked.report.mkdir(parents=True, exist_ok=True)
                    lines = list(difflib.unified_diff(kafka, mine, "Apache Kafka", "azimuth-broker", lineterm="", n=1000))
                    (asked.report / (re.sub(r"\W+", "-", step.name) + ".diff")).write_text("\n".join(lines or kafka) + "\n")
                print(f"{step.name:40} {kafka[0]:8} {verdict}", flush=True)
        for runner in runners:
            runner.stop()
    print(f"{len(todo) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
