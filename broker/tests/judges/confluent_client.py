"""Debian's python3-confluent-kafka (1.7.0, on librdkafka 2.0.2: both older than what we build on) against azimuth-broker, or with
--kafka JARS against Apache Kafka: its package brings no tests, so these are ours.

Usage: python confluent_client.py path/to/azimuth-broker [--kafka JARS]

Debian's module belongs to Debian's Python, which runs this file once more with the brokers' addresses. Prints each test that did not
pass and closes with `N passed, N failed`. Exits 1 when one failed.
"""

import argparse
import subprocess
import sys
import uuid
from pathlib import Path

DEBIANS_PYTHON = "/usr/bin/python3"
DEADLINE = 300
# Seconds that a single answer may take.
WAIT = 30
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
COUNT = 200


class Tests:
    """Each method that begins with test_ is one."""

    def __init__(self, bootstrap):
        import confluent_kafka
        from confluent_kafka import admin

        self.kafka, self.admins = confluent_kafka, admin
        self.bootstrap = bootstrap
        self.admin = admin.AdminClient({"bootstrap.servers": bootstrap})

    def topic(self, partitions=3, **config):
        name = f"confluent-{uuid.uuid4().hex[:8]}"
        new = self.admins.NewTopic(name, partitions, 3, config={key.replace("_", "."): value for key, value in config.items()})
        self.admin.create_topics([new], operation_timeout=WAIT)[name].result(WAIT)
        return name

    def producer(self, **config):
        return self.kafka.Producer({"bootstrap.servers": self.bootstrap, "acks": "all"} | {key.replace("_", "."): value for key, value in config.items()})

    def consumer(self, group=None, **config):
        words = {"bootstrap.servers": self.bootstrap, "group.id": group or uuid.uuid4().hex, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        return self.kafka.Consumer(words | {key.replace("_", "."): value for key, value in config.items()})

    def read(self, consumer, count):
        """So many values; fails where nothing comes any more."""
        values = []
        while len(values) < count:
            message = consumer.poll(WAIT)
            assert message is not None, f"{len(values)} of {count} records came"
            assert message.error() is None, message.error()
            values.append(message.value())
        return values

    def filled(self, count=COUNT, **config):
        topic = self.topic()
        failed = []
        producer = self.producer(**config)
        for number in range(count):
            producer.produce(topic, str(number), key=str(number % 7), headers={"n": str(number)}, on_delivery=lambda error, _: failed.append(error) if error else None)
        assert producer.flush(WAIT) == 0 and not failed, failed
        return topic

    def test_every_codec_is_read_back(self):
        for codec in CODECS:
            topic = self.filled(compression_type=codec, linger_ms="50")
            consumer = self.consumer()
            consumer.subscribe([topic])
            assert sorted(map(int, self.read(consumer, COUNT))) == list(range(COUNT)), codec
            consumer.close()

    def test_headers_keys_and_timestamps_survive(self):
        topic = self.topic(1)
        producer = self.producer(enable_idempotence=True)
        producer.produce(topic, b"value", key=b"key", headers=[("a", b"1"), ("a", b"2"), ("b", None)], timestamp=1_700_000_000_000)
        assert producer.flush(WAIT) == 0
        consumer = self.consumer()
        consumer.assign([self.kafka.TopicPartition(topic, 0, 0)])
        message = consumer.poll(WAIT)
        told = (message.key(), message.value(), message.headers(), message.timestamp())
        assert told == (b"key", b"value", [("a", b"1"), ("a", b"2"), ("b", None)], (self.kafka.TIMESTAMP_CREATE_TIME, 1_700_000_000_000)), told
        consumer.close()

    def test_a_group_goes_on_where_it_committed(self):
        topic, group = self.filled(), uuid.uuid4().hex
        first = self.consumer(group)
        first.subscribe([topic])
        some = self.read(first, 50)
        first.commit(asynchronous=False)
        first.close()
        second = self.consumer(group)
        second.subscribe([topic])
        rest = self.read(second, COUNT - 50)
        assert sorted(map(int, some + rest)) == list(range(COUNT))
        second.close()

    def test_two_members_share_the_partitions(self):
        topic, group = self.filled(), uuid.uuid4().hex
        members = [self.consumer(group, session_timeout_ms=6000), self.consumer(group, session_timeout_ms=6000)]
        for member in members:
            member.subscribe([topic])
        values, shares = set(), [0, 0]
        for _ in range(WAIT * 20):
            for member in members:
                message = member.poll(0.05)
                if message is not None and message.error() is None:
                    values.add(int(message.value()))
            shares = [len(member.assignment()) for member in members]
            if sorted(shares) == [1, 2] and len(values) == COUNT:
                break
        assert sorted(shares) == [1, 2] and len(values) == COUNT, (shares, len(values))
        for member in members:
            member.close()

    def test_offsets_by_time_and_watermarks(self):
        topic = self.topic(1)
        producer = self.producer()
        for number in range(10):
            producer.produce(topic, str(number), timestamp=1_700_000_000_000 + number * 1000)
        assert producer.flush(WAIT) == 0
        consumer = self.consumer()
        asked = self.kafka.TopicPartition(topic, 0, 1_700_000_004_500)
        assert [one.offset for one in consumer.offsets_for_times([asked], WAIT)] == [5]
        assert consumer.get_watermark_offsets(self.kafka.TopicPartition(topic, 0), WAIT) == (0, 10)
        consumer.close()

    def test_an_aborted_transaction_is_not_read(self):
        topic = self.topic(1)
        producer = self.producer(transactional_id=uuid.uuid4().hex)
        producer.init_transactions(WAIT)
        for end, value in [("commit", "1"), ("abort", "2"), ("commit", "3")]:
            producer.begin_transaction()
            producer.produce(topic, value)
            producer.flush(WAIT)
            producer.commit_transaction(WAIT) if end == "commit" else producer.abort_transaction(WAIT)
        consumer = self.consumer(isolation_level="read_committed")
        consumer.assign([self.kafka.TopicPartition(topic, 0, 0)])
        assert self.read(consumer, 2) == [b"1", b"3"]
        consumer.close()

    def test_offsets_are_committed_with_a_transaction(self):
        source, target, group = self.filled(), self.topic(1), uuid.uuid4().hex
        consumer = self.consumer(group)
        consumer.subscribe([source])
        values = self.read(consumer, COUNT)
        producer = self.producer(transactional_id=uuid.uuid4().hex)
        producer.init_transactions(WAIT)
        producer.begin_transaction()
        for value in values:
            producer.produce(target, value)
        producer.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), WAIT)
        producer.commit_transaction(WAIT)
        committed = consumer.committed([self.kafka.TopicPartition(source, partition) for partition in range(3)], WAIT)
        assert sum(one.offset for one in committed if one.offset > 0) == COUNT, committed
        consumer.close()

    def test_configs_are_described_and_altered(self):
        topic = self.topic(1, retention_ms="3600000")
        resource = self.admins.ConfigResource(self.admins.RESOURCE_TOPIC, topic)
        told = self.admin.describe_configs([resource], request_timeout=WAIT)[resource].result(WAIT)
        assert told["retention.ms"].value == "3600000"
        resource.set_config("retention.ms", "7200000")
        self.admin.alter_configs([resource], request_timeout=WAIT)[resource].result(WAIT)
        told = self.admin.describe_configs([resource], request_timeout=WAIT)[resource].result(WAIT)
        assert told["retention.ms"].value == "7200000"

    def test_partitions_are_added_and_topics_deleted(self):
        topic = self.topic(1)
        more = self.admins.NewPartitions(topic, 4)
        self.admin.create_partitions([more], operation_timeout=WAIT)[topic].result(WAIT)
        assert len(self.admin.list_topics(topic, WAIT).topics[topic].partitions) == 4
        self.admin.delete_topics([topic], operation_timeout=WAIT)[topic].result(WAIT)
        assert topic not in self.admin.list_topics(timeout=WAIT).topics

    def test_groups_are_listed(self):
        topic, group = self.filled(), uuid.uuid4().hex
        consumer = self.consumer(group)
        consumer.subscribe([topic])
        self.read(consumer, 1)
        told = [one for one in self.admin.list_groups(timeout=WAIT) if one.id == group]
        assert [(one.state, one.protocol_type, len(one.members)) for one in told] == [("Stable", "consumer", 1)], told
        consumer.close()

    def test_what_is_not_there_is_said(self):
        consumer = self.consumer(topic_metadata_refresh_interval_ms=1000)
        consumer.subscribe([f"none-{uuid.uuid4().hex}"])
        message = consumer.poll(WAIT)
        assert message is not None and message.error().code() == self.kafka.KafkaError.UNKNOWN_TOPIC_OR_PART, message
        consumer.close()


def work(bootstrap):
    tests = Tests(bootstrap)
    print("confluent-kafka {0[0]}, librdkafka {1[0]}".format(tests.kafka.version(), tests.kafka.libversion()))
    passed = failed = 0
    for name in [name for name in dir(tests) if name.startswith("test_")]:
        try:
            getattr(tests, name)()
            passed += 1
        except (AssertionError, tests.kafka.KafkaException) as error:
            failed += 1
            print(f"{name[5:].replace('_', ' ')} FAILED {error}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("broker", nargs="?")
    options.add_argument("--kafka", metavar="JARS")
    options.add_argument("--bootstrap", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.bootstrap:
        sys.exit(work(asked.bootstrap))
    from clusters import Kafka, Ours

    layout = {"plain": True, "overrides": {"group.initial.rebalance.delay.ms": "0", "auto.create.topics.enable": "false"}}
    with Kafka(asked.kafka, **layout) if asked.kafka else Ours(str(Path(asked.broker).resolve()), **layout) as cluster:
        done = subprocess.run([DEBIANS_PYTHON, __file__, "--bootstrap", cluster.bootstrap], timeout=DEADLINE)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
