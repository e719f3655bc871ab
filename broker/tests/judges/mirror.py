"""MirrorMaker 2 of Apache Kafka between azimuth-broker and Apache Kafka, there and back at the same time, with exactly-once delivery.

Usage: python mirror.py path/to/azimuth-broker path/to/kafka-jars [--baseline] [--logs DIR]

Produces to both clusters, mirrors each into the other and prints one line for each thing that has to be there then. With
--baseline both clusters are Apache Kafka, which tells what MirrorMaker does by itself. Closes with `N passed, N failed`; exits 1 when one failed.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from clusters import LOGGING, Kafka, Ours, free_ports, java
from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.structs import OffsetAndMetadata

# MirrorMaker itself takes a minute or two to start on two cores that are busy.
DEADLINE = 300
RECORDS = 1000
GROUP = "billing"
SETTINGS = {
    "plugin.discovery": "service_load",
    "tasks.max": "2",
    "refresh.topics.interval.seconds": "2",
    "refresh.groups.interval.seconds": "2",
    "sync.topic.configs.interval.seconds": "2",
    "sync.topic.acls.interval.seconds": "2",
    "sync.group.offsets.enabled": "true",
    "sync.group.offsets.interval.seconds": "2",
    "emit.checkpoints.interval.seconds": "2",
    "emit.heartbeats.interval.seconds": "1",
    "offset.lag.max": "0",
    "exactly.once.source.support": "enabled",
    "dedicated.mode.enable.internal.rest": "true",
}


class Side:
    """One of the two clusters, by the name that its topics have at the other."""

    def __init__(self, alias, cluster):
        self.alias, self.cluster = alias, cluster
        self.servers = cluster.bootstrap.split(",")
        self.admin = KafkaAdminClient(bootstrap_servers=self.servers)

    def send(self, producer, topic, fate):
        now = int(time.time() * 1000)
        for number in range(RECORDS):
            value = f"{fate}{self.alias}-{number}".encode()
            producer.send(topic, value, key=b"k%d" % (number % 50), headers=[("n", b"%d" % number)], timestamp_ms=now + number)
        producer.flush()

    def fill(self):
        """Two topics, the second in transactions of which one is aborted, and a group at the end of a partition."""
        topics = {
            "orders": {"num_partitions": 3, "replication_factor": 3, "configs": {"retention.ms": "86400000"}},
            "state": {"num_partitions": 2, "replication_factor": 3, "configs": {"cleanup.policy": "compact"}},
        }
        self.admin.create_topics(topics, wait_for_metadata=True)
        plain = KafkaProducer(bootstrap_servers=self.servers, acks="all", compression_type="lz4")
        self.send(plain, "orders", "")
        plain.close()
        producer = KafkaProducer(bootstrap_servers=self.servers, transactional_id="filler")
        producer.init_transactions()
        for fate, end in (("abort", producer.abort_transaction), ("commit", producer.commit_transaction)):
            producer.begin_transaction()
            self.send(producer, "state", fate)
            end()
        producer.close()
        reader = KafkaConsumer(bootstrap_servers=self.servers, group_id=GROUP, enable_auto_commit=False)
        partition = TopicPartition("orders", 0)
        reader.assign([partition])
        reader.commit({partition: OffsetAndMetadata(reader.end_offsets([partition])[partition], "", -1)})
        reader.close()

    def read(self, topic, start=0):
        """What a reader of committed records sees: per partition the key, value, headers and time of each from an offset on."""
        consumer = KafkaConsumer(bootstrap_servers=self.servers, isolation_level="read_committed", auto_offset_reset="earliest")
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        if not partitions:
            return None
        consumer.assign(partitions)
        ends, seen = consumer.end_offsets(partitions), {partition.partition: [] for partition in partitions}
        end = time.monotonic() + 10
        while time.monotonic() < end and any(consumer.position(partition) < ends[partition] for partition in partitions):
            for partition, records in consumer.poll(500).items():
                seen[partition.partition] += [(one.key, one.value, one.headers, one.timestamp) for one in records if one.offset >= start]
        consumer.close()
        return seen

    def config(self, topic, name):
        (values,) = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])["topic"].values()
        return values[name]["value"]

    def left(self, topic):
        """How many records the group has before it in the first partition, or None before it has an offset there."""
        reader = KafkaConsumer(bootstrap_servers=self.servers, group_id=GROUP, enable_auto_commit=False)
        offset = reader.committed(TopicPartition(topic, 0))
        reader.close()
        return offset and len(self.read(topic, offset)[0])


def checks(source, target):
    """Each with what it is, how it is asked, and what has to be answered."""
    a = source.alias
    for topic in ("orders", "state"):
        yield f"records of {topic}", lambda topic=topic: target.read(f"{a}.{topic}"), source.read(topic)
    yield "retention.ms", lambda: target.config(f"{a}.orders", "retention.ms"), "86400000"
    yield "cleanup.policy", lambda: target.config(f"{a}.state", "cleanup.policy"), "compact"
    yield "offsets of a group", lambda: target.left(f"{a}.orders"), 0
    yield "heartbeats", lambda: bool(target.read("heartbeats")), True
    yield "checkpoints", lambda: any((target.read(f"{a}.checkpoints.internal") or {}).values()), True
    source.admin.create_partitions({"orders": 5})
    yield "more partitions", lambda: len(target.read(f"{a}.orders")), 5
    producer = KafkaProducer(bootstrap_servers=source.servers, acks="all")
    for partition in range(5):
        producer.send("orders", b"late", partition=partition)
    producer.close()
    yield "later records", lambda: target.read(f"{a}.orders"), source.read("orders")


def judge(source, target):
    failed = total = 0
    for what, ask, expected in checks(source, target):
        began, got = time.monotonic(), None
        while time.monotonic() < began + DEADLINE:
            try:
                got = ask()
            except (errors.KafkaError, KeyError, TypeError, ValueError) as error:
                got = error
            if got == expected:
                break
            time.sleep(0.5)
        total, failed = total + 1, failed + (got != expected)
        why = "ok" if got == expected else f"FAILED: {str(got)[:300]} instead of {str(expected)[:300]}"
        print(f"{source.alias} to {target.alias}: {what}: {why} ({time.monotonic() - began:.0f} s)", flush=True)
    return total, failed


def mirror_properties(folder, sides):
    text = {"clusters": ",".join(side.alias for side in sides), "listeners": f"http://127.0.0.1:{free_ports(1)[0]}"} | SETTINGS
    for source, target in (sides, sides[::-1]):
        text |= {
            f"{source.alias}.bootstrap.servers": source.cluster.bootstrap,
            f"{source.alias}->{target.alias}.enabled": "true",
            f"{source.alias}->{target.alias}.topics": "orders,state",
            f"{source.alias}->{target.alias}.consumer.isolation.level": "read_committed",
            f"{source.alias}.exactly.once.source.support": "enabled",
        }
    path = folder / "mirror.properties"
    path.write_text("".join(f"{key} = {value}\n" for key, value in text.items()))
    return path


def main():
    options = argparse.ArgumentParser()
    options.add_argument("broker")
    options.add_argument("jars")
    options.add_argument("--baseline", action="store_true", help="Apache Kafka on both sides")
    options.add_argument("--logs", type=Path, help="a file for what MirrorMaker says")
    asked = options.parse_args()
    first = (lambda: Kafka(asked.jars, plain=True)) if asked.baseline else (lambda: Ours(str(Path(asked.broker).resolve()), plain=True))
    with first() as one, Kafka(asked.jars, plain=True) as other:
        sides = Side("kafka0" if asked.baseline else "ours", one), Side("kafka", other)
        for side in sides:
            side.fill()
        (one.dir / "log4j2.properties").write_text(LOGGING)
        one.spawn("mirror", [*java(asked.jars, one.dir, "-Xmx1g"), "org.apache.kafka.connect.mirror.MirrorMaker", str(mirror_properties(one.dir, sides))])
        results = [judge(*pair) for pair in (sides, sides[::-1])]
        if asked.logs:
            asked.logs.write_text(one.log("mirror"))
    total, failed = (sum(column) for column in zip(*results))
    print(f"{total - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
