"""Judges the broker with clients that nobody here wrote: kafka-python and kcat, and with raw sockets that no client would send.

Usage: python clients.py path/to/azimuth-broker [part of a test's name]

Starts a cluster of three brokers on free ports, runs every test on it, prints one line for each and at last
`N passed, N failed`. Exits 1 when one failed. Needs kafka-python with lz4, python-snappy, zstandard and crc32c, and kcat.
"""

import functools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import defaultdict
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, MemberToRemove, OffsetSpec
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

DEADLINE = 30
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def until(what, ask, deadline=DEADLINE):
    """Asks again until the answer is truthy, and returns it. Errors of Kafka and of assertions count as no; the last is told."""
    end, last = time.monotonic() + deadline, None
    while time.monotonic() < end:
        try:
            last = ask()
            if last:
                return last
        except (AssertionError, errors.KafkaError) as no:
            last = no
        time.sleep(0.05)
    raise AssertionError(f"not within {deadline} s: {what} (last: {last!r})")


def same(got, expected, what="got"):
    assert got == expected, f"{what}: {got!r} instead of {expected!r}"


def raises(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__} was raised")


class Cluster:
    """Three brokers and a controller in one process, in a folder that goes with it."""

    # What kafka-python is given to log in, and kcat likewise.
    LOGIN = {}
    KCAT_LOGIN = ()

    def __init__(self, program, *options):
        self.program = program
        self.dir = Path(tempfile.mkdtemp(prefix="azimuth-clients-"))
        self.log_path = self.dir / "broker.log"
        self.log_file = self.log_path.open("wb")
        command = [program, "cluster", "--nodes", "3", "--racks", "a,b,c", "--dir", str(self.dir / "data"), "--port", "0"]
        command += options
        for override in ["group.initial.rebalance.delay.ms=200", "group.min.session.timeout.ms=1000"]:
            command += ["--override", override]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log_file, text=True)
        # Bounded by the broker itself: it gives up when it is not ready within a minute.
        ready = self.process.stdout.readline()
        if not ready.startswith("ready "):
            self.stop()
            raise SystemExit(f"the cluster is not ready: {self.log()}")
        self.bootstrap = ready.split()[1]
        self.addresses = self.bootstrap.split(",")
        self.admin = KafkaAdminClient(bootstrap_servers=self.addresses, **self.LOGIN)
        self.names = 0

    def stop(self):
        """Ends it in an orderly way; answers its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.log_file.close()
        return status

    def log(self):
        # A folder may be asked for after the file is closed, never before the text is written: it is unbuffered.
        return self.log_path.read_text(errors="replace")

    def topic(self, partitions=1, replicas=3, configs=None):
        """A new topic with a name of its own, with a leader for every partition."""
        self.names += 1
        name = f"t{self.names}-{sys._getframe(1).f_code.co_name[:40]}"
        wanted = {"num_partitions": partitions, "replication_factor": replicas, "configs": configs or {}}
        self.admin.create_topics({name: wanted}, wait_for_metadata=True)
        return name

    def producer(self, **options):
        return KafkaProducer(**{"bootstrap_servers": self.addresses, "acks": "all", "linger_ms": 5} | self.LOGIN | options)

    def consumer(self, *topics, **options):
        options = {"bootstrap_servers": self.addresses, "auto_offset_reset": "earliest"} | self.LOGIN | options
        return KafkaConsumer(*topics, **options)

    def produce(self, topic, values, **options):
        """Sends every value and waits until all are acknowledged; answers what was acknowledged."""
        producer = self.producer(**options)
        sent = [producer.send(topic, value) for value in values]
        producer.flush(DEADLINE)
        acknowledged = [future.get(DEADLINE) for future in sent]
        producer.close()
        return acknowledged

    def read(self, topic, count, partitions=1, **options):
        """The first `count` records by kafka-python, in the order of partition and offset."""
        consumer = self.consumer(**options)
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        records = []

        def more():
            for batch in consumer.poll(200).values():
                records.extend(batch)
            return len(records) >= count

        until(f"{count} records of {topic}", more)
        consumer.close()
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def kcat(self, *arguments, given=None, deadline=DEADLINE):
        """What kcat prints."""
        login = [part for one in self.KCAT_LOGIN for part in ("-X", one)]
        done = subprocess.run(
            ["kcat", "-b", self.bootstrap, *login, *arguments], input=given, capture_output=True, text=True, timeout=deadline
        )
        assert done.returncode == 0, f"kcat {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def segments(self, topic, partition=0):
        return sorted((self.dir / "data").glob(f"broker-*/data/{topic}-{partition}/*.log"))

    def partition(self, topic, partition=0):
        topics = self.admin.describe_topics([topic])
        return next(one for one in topics[0]["partitions"] if one["partition_index"] == partition)

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.admin.close()
        status = self.stop()
        log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        if failure:
            print("the last of its log:\n" + "\n".join(log.splitlines()[-40:]))
        else:
            same(status, 0, "exit status of the cluster")
            assert "panicked" not in log, log


class Guarded(Cluster):
    """The same with SCRAM on every listener, and PLAIN for clients; the users come from a file, as no password belongs on a command line."""

    LOGIN = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512"}
    LOGIN |= {"sasl_plain_username": "alice", "sasl_plain_password": "first"}
    KCAT_LOGIN = ("security.protocol=SASL_PLAINTEXT", "sasl.mechanisms=PLAIN")
    KCAT_LOGIN += ("sasl.username=alice", "sasl.password=alice-plain")

    def __init__(self, program):
        jaas = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="node" password="node-secret";'
        given = {
            "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            "listener.name.clients.plain.sasl.jaas.config": 'PlainLoginModule required user_alice="alice-plain";',
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "sasl.mechanism.controller.protocol": "SCRAM-SHA-512",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": jaas,
            "listener.name.controller.scram-sha-512.sasl.jaas.config": jaas,
        }
        with tempfile.NamedTemporaryFile("w", prefix="azimuth-users-") as users:
            users.write("# users\nSCRAM-SHA-512=[name=node,password=node-secret]\n")
            users.write('SCRAM-SHA-256=[name=alice,password="alice-secret"]\n')
            users.write("SCRAM-SHA-512=[name=alice,password=first]\n")
            users.flush()
            options = [part for one in given.items() for part in ("--override", "%s=%s" % one)]
            super().__init__(program, "--add-scram-file", users.name, *options)


class Processes(Cluster):
    """The same with a process for each node, which can be killed. Failures are noticed within SESSION seconds."""

    SESSION = 1.0

    def __init__(self, program):
        self.restarted = {}
        fast = {"broker.session.timeout.ms": int(self.SESSION * 1000), "broker.heartbeat.interval.ms": 100}
        fast["replica.lag.time.max.ms"] = 2000
        super().__init__(program, "--processes", *(part for one in fast.items() for part in ("--override", "%s=%s" % one)))

    def node(self, name):
        """The process of `broker-N` or of the `controller`; None while there is none."""
        file = str(self.properties(name))
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # ended meanwhile
            if file.encode() in arguments:
                return int(folder.name)
        return None

    def properties(self, name):
        return self.dir / "data" / name / "server.properties"

    def kill(self, name):
        """`kill -9`; answers the process that is gone."""
        process = self.node(name)
        os.kill(process, signal.SIGKILL)
        if name in self.restarted:
            self.restarted.pop(name).wait(DEADLINE)
        until("the process is gone", lambda: not self.is_running(process))
        return process

    @staticmethod
    def is_running(process):
        try:
            return ") Z " not in Path(f"/proc/{process}/stat").read_text()
        except OSError:
            return False

    def restart(self, name):
        """Starts a broker as a user does who finds it dead: `cluster` only starts its controller again."""
        command = [self.program, "serve", str(self.properties(name))]
        self.restarted[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log_file)

    def in_sync(self, topic):
        def all_of_them():
            partitions = self.admin.describe_topics([topic])[0]["partitions"]
            return all(one["leader_id"] > 0 and len(one["isr_nodes"]) == 3 for one in partitions)

        until("all replicas are in sync", all_of_them)

    def led_by_another(self, topic, partition, dead):
        """How many seconds it takes until another broker leads."""
        begun = time.monotonic()
        until("another leads", lambda: self.partition(topic, partition)["leader_id"] not in (-1, dead))
        return time.monotonic() - begun

    def stop(self):
        for one in self.restarted.values():
            one.terminate()
        for one in self.restarted.values():
            one.wait(DEADLINE)
        return super().stop()


def batches(segment):
    """The codec and the size in bytes of every batch in a segment, as Kafka's message format v2 has them."""
    data, at, found = segment.read_bytes(), 0, []
    while at + 61 <= len(data):
        size = 12 + struct.unpack_from(">i", data, at + 8)[0]
        found.append((struct.unpack_from(">h", data, at + 21)[0] & 7, size))
        at += size
    return found


def stored_with(cluster, topic, codec):
    """Asserts that every replica stores the topic's batches with this codec."""
    segments = cluster.segments(topic)
    same(len(segments), 3, "replicas on disk")
    for segment in segments:
        codecs = until("the replica has the records", lambda: {found[0] for found in batches(segment)})
        same(codecs, {CODECS[codec]}, f"codecs in {segment}")


# --- records -------------------------------------------------------------------------------------------------------


def values_for(codec, count=200):
    return [f"{codec} record {number} ".encode() * 20 for number in range(count)]


def codec_from_kafka_python(codec, cluster):
    topic, values = cluster.topic(), values_for(codec)
    cluster.produce(topic, values, compression_type=None if codec == "none" else codec)
    stored_with(cluster, topic, codec)
    same([record.value for record in cluster.read(topic, len(values))], values, "read by kafka-python")
    printed = cluster.kcat("-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%s\n")
    same(printed.encode().splitlines(), values, "read by kcat")


def codec_from_kcat(codec, cluster):
    topic, values = cluster.topic(), [value.strip() for value in values_for(codec)]
    given = "".join(value.decode() + "\n" for value in values)
    # Debian's kcat carries librdkafka 2.0.2, which compresses only when version 0 of Produce is advertised.
    cluster.kcat("-P", "-t", topic, "-p", "0", "-z", codec, "-X", "acks=all", "-X", "linger.ms=50", given=given)
    stored_with(cluster, topic, codec)
    same([record.value for record in cluster.read(topic, len(values))], values, "read by kafka-python")
    printed = cluster.kcat("-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%s\n")
    same(printed.encode().splitlines(), values, "read by kcat")


for _codec in CODECS:
    for _run in (codec_from_kafka_python, codec_from_kcat):
        _test = functools.partial(_run, _codec)
        _test.__name__ = f"{_run.__name__}[{_codec}]"
        test(_test)


@test
def a_codec_of_the_topics_own_is_what_is_stored(cluster):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic, values = cluster.topic(configs={"compression.type": codec}), values_for(codec)
        cluster.produce(topic, values)
        stored_with(cluster, topic, codec)
        same([record.value for record in cluster.read(topic, len(values))], values, "read by kafka-python")
        printed = cluster.kcat("-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%s\n")
        same(printed.encode().splitlines(), values, "read by kcat")


@test
def keys_headers_and_timestamps_come_back(cluster):
    topic = cluster.topic()
    producer = cluster.producer()
    headers = [("trace", b"1"), ("trace", b"2"), ("empty", b""), ("ü", "ü".encode())]
    sent = producer.send(topic, b"value", key=b"key", headers=headers, timestamp_ms=1_700_000_000_123).get(DEADLINE)
    producer.send(topic, None, key=b"tombstone", timestamp_ms=1_700_000_000_124).get(DEADLINE)
    producer.send(topic, b"", timestamp_ms=1_700_000_000_125).get(DEADLINE)
    producer.close()
    same((sent.partition, sent.offset), (0, 0), "acknowledged at")
    first, second, third = cluster.read(topic, 3)
    same((first.key, first.value, first.timestamp), (b"key", b"value", 1_700_000_000_123), "the first record")
    same([tuple(header) for header in first.headers], headers, "headers, in order and with duplicates")
    same((second.key, second.value, second.timestamp), (b"tombstone", None, 1_700_000_000_124), "the second record")
    same((third.key, third.value), (None, b""), "the third record")
    lines = cluster.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J").splitlines()
    seen = json.loads(lines[0])
    same((seen["key"], seen["ts"], seen["offset"]), ("key", 1_700_000_000_123, 0), "kcat's first record")
    same(seen["headers"][:4], ["trace", "1", "trace", "2"], "kcat's headers")


@test
def records_of_kcat_with_keys_and_headers(cluster):
    topic = cluster.topic(partitions=3)
    given = "".join(f"k{number}:v{number}\n" for number in range(90))
    cluster.kcat("-P", "-t", topic, "-K", ":", "-H", "a=1", "-H", "a=2", "-X", "acks=all", given=given)
    records = cluster.read(topic, 90, partitions=3)
    same(sorted(record.value for record in records), sorted(b"v%d" % number for number in range(90)))
    assert len({record.partition for record in records}) == 3, "keys are spread over the partitions"
    assert all(record.headers == [("a", b"1"), ("a", b"2")] for record in records), records[0].headers


@test
def offsets_by_time_and_ends(cluster):
    topic = cluster.topic(partitions=2)
    at = TopicPartition(topic, 1)
    producer = cluster.producer(linger_ms=0)
    for number in range(10):
        producer.send(topic, b"%d" % number, partition=1, timestamp_ms=1_000_000 + number * 1000).get(DEADLINE)
    producer.close()
    consumer = cluster.consumer()
    same(consumer.beginning_offsets([at]), {at: 0}, "beginning")
    same(consumer.end_offsets([at]), {at: 10}, "end")
    found = consumer.offsets_for_times({at: 1_004_500})[at]
    same((found.offset, found.timestamp), (5, 1_005_000), "the first record at or after a time")
    same(consumer.offsets_for_times({at: 9_000_000})[at], None, "after the last record")
    consumer.close()
    same(cluster.kcat("-Q", "-t", f"{topic}:1:1004500").strip(), f"{topic} [1] offset 5", "kcat's query")
    latest = cluster.admin.list_partition_offsets({at: OffsetSpec.MAX_TIMESTAMP})[at]
    same((latest.offset, latest.timestamp), (9, 1_009_000), "the record with the largest timestamp")


@test
def seek_into_a_batch_and_fetch_less_than_one(cluster):
    topic = cluster.topic()
    cluster.produce(topic, [b"%04d" % number + b"x" * 2000 for number in range(100)], linger_ms=200, batch_size=1 << 20)
    # One batch of 200 kB: larger than the reader allows, and the reader starts in its middle.
    consumer = cluster.consumer(max_partition_fetch_bytes=1000, fetch_max_bytes=1000)
    at = TopicPartition(topic, 0)
    consumer.assign([at])
    consumer.seek(at, 57)
    got = []
    until("a record", lambda: got.extend(consumer.poll(200).get(at, [])) or got)
    consumer.close()
    same((got[0].offset, got[0].value[:4]), (57, b"0057"), "the first record")


@test
def large_records_up_to_the_limit(cluster):
    topic = cluster.topic(configs={"max.message.bytes": "200000"})
    producer = cluster.producer(max_request_size=10_000_000)
    producer.send(topic, os.urandom(190_000)).get(DEADLINE)
    raises(errors.MessageSizeTooLargeError, lambda: producer.send(topic, os.urandom(250_000)).get(DEADLINE))
    producer.close()
    cluster.produce(topic, [b"after"])
    same([len(record.value) for record in cluster.read(topic, 2)], [190_000, 5], "sizes")


@test
def a_compacted_topic_takes_no_record_without_a_key(cluster):
    topic = cluster.topic(configs={"cleanup.policy": "compact"})
    producer = cluster.producer(linger_ms=500, enable_idempotence=False)
    sent = [producer.send(topic, b"value", key=key) for key in (b"a", None, b"c")]
    producer.flush(DEADLINE)
    told = []
    for future in sent:
        try:
            told.append(future.get(DEADLINE))
        except errors.KafkaError as failure:
            told.append(type(failure))
    same(told, [errors.KafkaError, errors.InvalidRecordError, errors.KafkaError], "only one of the batch is to blame")
    same(producer.send(topic, b"value", key=b"d").get(DEADLINE).offset, 0, "the offset of what follows")
    producer.close()


@test
def acks_none_one_and_all(cluster):
    topic = cluster.topic()
    for acks in (0, 1, "all"):
        cluster.produce(topic, [b"acks %s" % str(acks).encode()] * 10, acks=acks, enable_idempotence=False)
    for acks in ("0", "1", "all"):
        cluster.kcat("-P", "-t", topic, "-X", f"acks={acks}", given=f"kcat {acks}\n" * 10)
    values = [record.value for record in cluster.read(topic, 60)]
    counts = {value: values.count(value) for value in values}
    same(set(counts.values()), {10}, "times each value is there")
    same(len(counts), 6, "values")


@test
def idempotent_producers_keep_order(cluster):
    topic, values = cluster.topic(), [b"%06d" % number for number in range(5000)]
    cluster.produce(topic, values, enable_idempotence=True, linger_ms=0, batch_size=500)
    same([record.value for record in cluster.read(topic, len(values))], values, "by kafka-python")
    topic = cluster.topic()
    given = "".join(value.decode() + "\n" for value in values)
    cluster.kcat("-P", "-t", topic, "-X", "enable.idempotence=true", "-X", "batch.num.messages=10", given=given)
    same([record.value for record in cluster.read(topic, len(values))], values, "by kcat")
    states = cluster.segments(topic)
    header = states[0].read_bytes()[:61]
    assert struct.unpack_from(">q", header, 43)[0] >= 0, "the batches carry a producer id"


@test
def topics_are_created_when_asked_for(cluster):
    cluster.kcat("-P", "-t", "made-by-kcat", given="hello\n")
    same(cluster.read("made-by-kcat", 1)[0].value, b"hello")
    cluster.produce("made-by-kafka-python", [b"hello"])
    same(cluster.read("made-by-kafka-python", 1)[0].value, b"hello")


@test
def fetch_sessions_see_new_records_on_many_partitions(cluster):
    topic = cluster.topic(partitions=30)
    consumer, producer = cluster.consumer(topic), cluster.producer()
    seen = defaultdict(list)
    for round_ in range(5):
        for partition in range(30):
            if (partition + round_) % 3 == 0:
                producer.send(topic, b"%d" % round_, partition=partition)
        producer.flush(DEADLINE)
        expected = sum(1 for earlier in range(round_ + 1) for partition in range(30) if (partition + earlier) % 3 == 0)

        def read():
            for at, batch in consumer.poll(200).items():
                seen[at.partition].extend(record.value for record in batch)
            return sum(map(len, seen.values())) == expected

        until(f"all records of round {round_}", read)
    producer.close()
    consumer.close()
    for partition in range(30):
        same(seen[partition], [b"%d" % round_ for round_ in range(5) if (partition + round_) % 3 == 0], f"partition {partition}")


# --- groups --------------------------------------------------------------------------------------------------------


class Watch(ConsumerRebalanceListener):
    def __init__(self):
        self.revoked = []

    def on_partitions_revoked(self, revoked):
        self.revoked.append({at.partition for at in revoked})

    def on_partitions_assigned(self, assigned):
        pass


class Member(threading.Thread):
    """A consumer in a group, which reads until it is told to leave."""

    def __init__(self, cluster, group, topic, assignor=RangePartitionAssignor, **options):
        super().__init__(daemon=True)
        self.options = {
            "group_id": group,
            "session_timeout_ms": 6000,
            "heartbeat_interval_ms": 200,
            "auto_commit_interval_ms": 200,
            "partition_assignment_strategy": [assignor],
        } | options
        self.cluster, self.topic, self.watch = cluster, topic, Watch()
        self.assigned, self.values, self.failure = frozenset(), [], None
        self.generation, self.leaving = -1, threading.Event()
        self.start()

    def run(self):
        consumer = None
        try:
            consumer = self.cluster.consumer(**self.options)
            consumer.subscribe([self.topic], listener=self.watch)
            while not self.leaving.is_set():
                for batch in consumer.poll(100).values():
                    self.values.extend(record.value for record in batch)
                self.assigned = frozenset(at.partition for at in consumer.assignment())
                self.generation = consumer.group_metadata().generation_id
        except Exception as failure:  # told by whoever waits for this member
            self.failure = failure
        finally:
            if consumer is not None:
                consumer.close()
            self.assigned = frozenset()

    def leave(self):
        self.leaving.set()
        self.join(DEADLINE)
        assert not self.is_alive(), "the member does not leave"


def shares(*members):
    """What the members have between them, when no partition is missing or twice there."""
    for member in members:
        if member.failure:
            raise RuntimeError("a member failed") from member.failure
    sizes = sorted(len(member.assigned) for member in members)
    together = set().union(*(member.assigned for member in members))
    return sizes if len(together) == sum(sizes) else None


def rebalance(assignor, cluster):
    topic, group = cluster.topic(partitions=4), f"group-{assignor.__name__}"
    producer, sent = cluster.producer(), []

    def send(count=40):
        for _ in range(count):
            sent.append(b"%d" % len(sent))
            producer.send(topic, sent[-1], partition=len(sent) % 4)
        producer.flush(DEADLINE)

    def read(*members):
        everything = [value for member in members for value in list(member.values)]
        return set(everything) == set(sent) and everything

    one = Member(cluster, group, topic, assignor)
    until("the first member has everything", lambda: shares(one) == [4])
    send()
    until("the first member reads", lambda: read(one))
    two = Member(cluster, group, topic, assignor)
    until("both have a half", lambda: shares(one, two) == [2, 2])
    if assignor is CooperativeStickyAssignor:
        gone = set().union(*one.watch.revoked)
        assert len(gone) == 2 and not gone & one.assigned, f"revoked {one.watch.revoked}, kept {one.assigned}"
    description = cluster.admin.describe_groups([group])[group]
    same((description["group_state"], len(description["members"])), ("Stable", 2), "described")
    send()
    everything = until("both read on", lambda: read(one, two))
    assert two.values, "the second member reads its half"
    two.leave()
    until("the first has everything again", lambda: shares(one) == [4])
    send()
    everything = until("the first reads all", lambda: read(one, two))
    same(sorted(everything), sorted(sent), "each record is read once, as every member committed before it gave up")
    one.leave()
    offsets = cluster.admin.list_group_offsets(group)[group]
    same(sum(offset.offset for offset in offsets.values()), len(sent), "committed")
    producer.close()


for _assignor in (RangePartitionAssignor, CooperativeStickyAssignor):
    _test = functools.partial(rebalance, _assignor)
    _test.__name__ = f"group_rebalances[{_assignor.__name__}]"
    test(_test)


@test
def a_member_that_dies_is_expelled(cluster):
    topic, group = cluster.topic(partitions=2), "group-expelled"
    one = Member(cluster, group, topic, session_timeout_ms=2000)
    # A consumer whose process stops without a word: kcat, killed.
    dead = subprocess.Popen(
        ["kcat", "-b", cluster.bootstrap, "-X", "session.timeout.ms=2000", "-X", "heartbeat.interval.ms=200"]
        + ["-X", "partition.assignment.strategy=range", "-G", group, topic],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until("they share", lambda: shares(one) == [1])
    finally:
        dead.kill()
        dead.wait()
    until("the other one takes over", lambda: shares(one) == [2])
    one.leave()


@test
def static_members_return_without_a_rebalance(cluster):
    topic, group = cluster.topic(partitions=4), "group-static"
    one = Member(cluster, group, topic, group_instance_id="one", session_timeout_ms=20_000)
    two = Member(cluster, group, topic, group_instance_id="two", session_timeout_ms=20_000)
    until("both have a half", lambda: shares(one, two) == [2, 2] and one.generation == two.generation)
    generation, had = one.generation, two.assigned
    two.leave()
    two = Member(cluster, group, topic, group_instance_id="two", session_timeout_ms=20_000)
    until("it has what it had", lambda: two.assigned == had)
    same((one.generation, two.generation), (generation, generation), "generations")
    members = cluster.admin.describe_groups([group])[group]["members"]
    same(sorted(member["group_instance_id"] for member in members), ["one", "two"], "described instances")
    # Another with the same instance id takes its place, and the first is fenced.
    usurper = Member(cluster, group, topic, group_instance_id="two", session_timeout_ms=20_000)
    until("the first is fenced", lambda: isinstance(two.failure, errors.FencedInstanceIdError))
    until("the usurper has what it had", lambda: usurper.assigned == had)
    usurper.leave()
    removed = cluster.admin.remove_group_members(group, [MemberToRemove(group_instance_id="two")])
    same(list(removed.values()), [errors.NoError], "removed")
    until("the other one has everything", lambda: shares(one) == [4])
    one.leave()


@test
def offsets_are_committed_with_metadata(cluster):
    topic, group = cluster.topic(partitions=2), "group-commit"
    cluster.produce(topic, [b"x"] * 20)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = cluster.consumer(group_id=group, enable_auto_commit=False)
    consumer.assign([first, second])
    consumer.commit({first: OffsetAndMetadata(3, "by hand, ü", 0)})
    found = consumer.committed(first, metadata=True)
    same((found.offset, found.metadata), (3, "by hand, ü"), "committed")
    same(consumer.committed(second), None, "not committed")
    consumer.close()
    listed = cluster.admin.list_group_offsets(group)[group]
    same({at: (offset.offset, offset.metadata) for at, offset in listed.items()}, {first: (3, "by hand, ü")}, "listed")
    same(cluster.admin.alter_group_offsets(group, {second: OffsetAndMetadata(4, "", -1)}), {second: errors.NoError}, "altered")
    reset = cluster.admin.reset_group_offsets(group, {first: OffsetSpec.EARLIEST})[first]
    same((reset["error"], reset["offset"]), (errors.NoError, 0), "reset")
    same(cluster.admin.delete_group_offsets(group, [second]), {second: errors.NoError}, "deleted")
    same(set(cluster.admin.list_group_offsets(group)[group]), {first}, "left")


@test
def kcat_consumes_in_a_group(cluster):
    topic, group = cluster.topic(partitions=4), "group-kcat"
    options = ["-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-u", "-q", "-f", "%p %s\n"]
    command = ["kcat", "-b", cluster.bootstrap, *options, "-G", group, topic]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    got = [[], []]
    threads = [
        threading.Thread(target=lambda lines, reader: lines.extend(reader.stdout), args=pair, daemon=True)
        for pair in zip(got, readers)
    ]
    for thread in threads:
        thread.start()

    def both_have_a_half():
        described = cluster.admin.describe_groups([group])[group]
        return described["group_state"] == "Stable" and len(described["members"]) == 2

    try:
        until("both are members", both_have_a_half)
        given = "".join(f"k{number}:{number}\n" for number in range(300))
        cluster.kcat("-P", "-t", topic, "-K", ":", given=given)
        until("all is read", lambda: sum(map(len, got)) == 300)
        # Told to end, kcat commits and leaves.
        for reader in readers:
            reader.terminate()
        same([reader.wait(DEADLINE) for reader in readers], [0, 0], "exit statuses")
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
    read = [[tuple(map(int, line.split())) for line in lines] for lines in got]
    same(sorted(value for lines in read for _, value in lines), list(range(300)), "read")
    same(sorted(len({partition for partition, _ in lines}) for lines in read), [2, 2], "partitions of each")
    committed = cluster.admin.list_group_offsets(group)[group]
    same(sum(offset.offset for offset in committed.values()), 300, "committed")
    # What comes after is read by the next one, from where these stopped.
    cluster.kcat("-P", "-t", topic, "-p", "3", given="later\n")
    same(cluster.kcat(*options, "-c", "1", "-G", group, topic), "3 later\n", "read after a restart")


@test
def groups_are_listed_described_and_deleted(cluster):
    topic, group = cluster.topic(), "group-admin"
    member = Member(cluster, group, topic, client_id="the client")
    until("it has the partition", lambda: shares(member) == [1])
    listed = {one["group_id"]: one for one in cluster.admin.list_groups()}
    same((listed[group]["protocol_type"], listed[group]["group_state"]), ("consumer", "Stable"), "listed")
    assert group in {one["group_id"] for one in cluster.admin.list_groups(states_filter=["Stable"])}
    assert group not in {one["group_id"] for one in cluster.admin.list_groups(states_filter=["Empty"])}
    assert group not in {one["group_id"] for one in cluster.admin.list_groups(types_filter=["consumer"])}
    described = cluster.admin.describe_groups([group])[group]
    same((described["group_state"], described["protocol_data"]), ("Stable", "range"), "described")
    same(described["members"][0]["client_id"], "the client", "client id")
    same(described["members"][0]["client_host"].lstrip("/"), "127.0.0.1", "client host")
    same(cluster.admin.delete_groups([group]), {group: "NonEmptyGroupError"}, "deleted while it has a member")
    member.leave()
    until("it is empty", lambda: cluster.admin.describe_groups([group])[group]["group_state"] == "Empty")
    same(cluster.admin.delete_groups([group]), {group: "OK"}, "deleted")
    assert group not in {one["group_id"] for one in cluster.admin.list_groups()}
    same(cluster.admin.delete_groups([group]), {group: "GroupIdNotFoundError"}, "deleted again")


# --- administration ------------------------------------------------------------------------------------------------


@test
def cluster_and_apis_are_described(cluster):
    described = cluster.admin.describe_cluster()
    same([broker["rack"] for broker in described["brokers"]], ["a", "b", "c"], "racks")
    same([f"{broker['host']}:{broker['port']}" for broker in described["brokers"]], cluster.addresses, "addresses")
    same(len(described["cluster_id"]), 22, "length of the cluster id")
    seen = json.loads(cluster.kcat("-L", "-J"))
    same([broker["name"] for broker in seen["brokers"]], cluster.addresses, "kcat's brokers")
    versions = {key.name: version for key, version in cluster.admin.api_versions().items()}
    # Debian's librdkafka compresses only if Produce 0 is there, and Kafka 4.1 lists JoinGroup from 0.
    same((versions["Produce"][0], versions["JoinGroup"][0]), (0, 0), "lowest versions of Produce and JoinGroup")
    quorum = cluster.admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
    same([voter["replica_id"] for voter in quorum["current_voters"]], [quorum["leader_id"]], "voters")


@test
def topics_are_created_checked_and_deleted(cluster):
    admin = cluster.admin
    assigned = {0: [1, 2], 1: [2, 3], 2: [3, 1]}
    admin.create_topics({"by-hand": {"assignments": assigned, "configs": {"retention.ms": "1000"}}}, wait_for_metadata=True)
    described = admin.describe_topics(["by-hand"])[0]
    found = {one["partition_index"]: one["replica_nodes"] for one in described["partitions"]}
    same(found, assigned, "replicas")
    raises(errors.TopicAlreadyExistsError, lambda: admin.create_topics(["by-hand"]))
    raises(errors.InvalidTopicError, lambda: admin.create_topics(["no/slash"]))
    too_many = {"too-many": {"num_partitions": 1, "replication_factor": 4}}
    raises(errors.InvalidReplicationFactorError, lambda: admin.create_topics(too_many))
    bad = {"bad": {"configs": {"retention.ms": "soon"}}}
    raises(errors.InvalidConfigurationError, lambda: admin.create_topics(bad))
    admin.create_topics({"checked": {"num_partitions": 2}}, validate_only=True)
    assert "checked" not in admin.list_topics()
    spread = cluster.topic(partitions=6)
    for one in admin.describe_topics([spread])[0]["partitions"]:
        same(sorted(one["replica_nodes"]), [1, 2, 3], "one replica in each rack")
    leaders = [one["leader_id"] for one in admin.describe_topics([spread])[0]["partitions"]]
    same({leaders.count(broker) for broker in (1, 2, 3)}, {2}, "leaders for each broker")
    admin.delete_topics(["by-hand"])
    until("it is gone", lambda: "by-hand" not in admin.list_topics())
    until("its files are gone", lambda: not list((cluster.dir / "data").glob("broker-*/data/by-hand-*")))
    raises(errors.UnknownTopicOrPartitionError, lambda: admin.delete_topics(["by-hand"]))
    by_id = admin.describe_topics([spread])[0]["topic_id"]
    admin.delete_topics([uuid.UUID(str(by_id))])
    until("it is gone by id", lambda: spread not in admin.list_topics())


@test
def partitions_are_added(cluster):
    topic, admin = cluster.topic(partitions=1), cluster.admin
    admin.create_partitions({topic: 3})
    until("there are three", lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 3)
    admin.wait_for_topics([topic])
    raises(errors.InvalidPartitionsError, lambda: admin.create_partitions({topic: 2}))
    admin.create_partitions({topic: {"count": 4, "assignments": [[3, 1, 2]]}})
    until("there are four", lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 4)
    same(cluster.partition(topic, 3)["replica_nodes"], [3, 1, 2], "replicas of the fourth")
    admin.wait_for_topics([topic])
    producer = cluster.producer()
    same(producer.send(topic, b"x", partition=3).get(DEADLINE).offset, 0, "the first offset")
    producer.close()


@test
def configs_are_described_and_altered(cluster):
    topic, admin = cluster.topic(configs={"retention.ms": "3600000"}), cluster.admin

    def values():
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        return admin.describe_configs([resource], config_filter="all", include_synonyms=True)["topic"][topic]

    assert len(values()) >= 25, f"every key of a topic is there, not only {sorted(values())}"
    same(values()["retention.ms"]["value"], "3600000", "as created")
    change = {"segment.bytes": "2000000", "cleanup.policy": ("APPEND", "compact"), "retention.ms": ("DELETE", None)}
    done = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, change)])
    same(done, {"topic": {topic: "OK"}}, "altered")
    until("the change is seen", lambda: values()["segment.bytes"]["value"] == "2000000")
    same(set(values()["cleanup.policy"]["value"].split(",")), {"delete", "compact"}, "appended")
    same(values()["retention.ms"]["value"], "604800000", "back to the default")
    bad = ConfigResource(ConfigResourceType.TOPIC, topic, {"segment.bytes": "lots"})
    assert "OK" not in str(admin.alter_configs([bad])), "a bad value is refused"
    checked = ConfigResource(ConfigResourceType.TOPIC, topic, {"segment.bytes": "3000000"})
    same(admin.alter_configs([checked], validate_only=True), {"topic": {topic: "OK"}}, "checked")
    same(values()["segment.bytes"]["value"], "2000000", "not changed by a check")
    broker = admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "2")], config_filter="all")["broker"]["2"]
    same((broker["broker.rack"]["value"], broker["node.id"]["value"]), ("b", "2"), "the broker's own")


@test
def records_are_deleted(cluster):
    topic = cluster.topic()
    cluster.produce(topic, [b"%d" % number for number in range(100)])
    at = TopicPartition(topic, 0)
    same(cluster.admin.delete_records({at: 60})[at]["low_watermark"], 60, "low watermark")
    consumer = cluster.consumer()
    same(consumer.beginning_offsets([at]), {at: 60}, "beginning")
    consumer.close()
    same([record.offset for record in cluster.read(topic, 40)], list(range(60, 100)), "what is left")
    raises(errors.OffsetOutOfRangeError, lambda: cluster.admin.delete_records({at: 1000}))
    same(cluster.admin.delete_records({at: -1})[at]["low_watermark"], 100, "low watermark, everything deleted")


@test
def log_dirs_are_described(cluster):
    topic = cluster.topic(partitions=2)
    cluster.produce(topic, [os.urandom(1000) for _ in range(100)])

    def sizes():
        found = {}
        for broker in cluster.admin.describe_log_dirs([topic]):
            for folder in broker["log_dirs"]:
                same(folder["error_code"], 0, "error of the folder")
                assert folder["total_bytes"] > folder["usable_bytes"] > 0, folder
                for one in folder["topics"]:
                    for partition in one["partitions"]:
                        assert not partition["is_future_key"]
                        found[broker["broker"], partition["partition_index"]] = partition["partition_size"]
        return found

    same(set(sizes()), {(broker, partition) for broker in (1, 2, 3) for partition in (0, 1)}, "replicas")

    def as_on_disk():
        on_disk = {
            (broker, partition): sum(
                path.stat().st_size for path in (cluster.dir / f"data/broker-{broker}/data/{topic}-{partition}").glob("*.log")
            )
            for broker in (1, 2, 3)
            for partition in (0, 1)
        }
        return sizes() == on_disk and sum(on_disk.values()) > 300_000

    until("sizes are those of the files", as_on_disk)


@test
def partitions_are_described_page_by_page(cluster):
    topic = cluster.topic(partitions=5)
    found = cluster.admin.describe_topic_partitions([topic])
    text = json.dumps(found, default=str)
    same(text.count('"partition_index"'), 5, "partitions")
    page = cluster.admin.describe_topic_partitions([topic], response_partition_limit=2)
    assert page, "a page has partitions"


@test
def partitions_are_reassigned(cluster):
    admin = cluster.admin
    # What is deleted stays on the disk for a minute, unless a topic says otherwise.
    admin.create_topics({"moved": {"assignments": {0: [1, 2]}, "configs": {"file.delete.delay.ms": "100"}}}, wait_for_metadata=True)
    at = TopicPartition("moved", 0)
    cluster.produce("moved", [b"%d" % number for number in range(500)])
    same(admin.alter_partition_reassignments({at: [3, 1]}), {at: None}, "accepted")
    until("it is where it shall be", lambda: sorted(cluster.partition("moved")["replica_nodes"]) == [1, 3])
    until("and in sync", lambda: sorted(cluster.partition("moved")["isr_nodes"]) == [1, 3])
    until("nothing is left to do", lambda: not admin.list_partition_reassignments())
    until("the old replica's files are gone", lambda: not list((cluster.dir / "data/broker-2/data").glob("moved-*")))
    same([record.value for record in cluster.read("moved", 500)], [b"%d" % number for number in range(500)], "read")
    same(admin.alter_partition_reassignments({at: None}), {at: errors.NoReassignmentInProgressError}, "nothing to cancel")
    same(admin.alter_partition_reassignments({at: [1, 9]}), {at: errors.InvalidReplicationAssignmentError}, "no such broker")


@test
def the_preferred_leader_is_elected(cluster):
    admin = cluster.admin
    admin.create_topics({"elected": {"assignments": {0: [1, 2, 3]}}}, wait_for_metadata=True)
    at = TopicPartition("elected", 0)
    until("all are in sync", lambda: len(cluster.partition("elected")["isr_nodes"]) == 3)
    same(admin.alter_partition_reassignments({at: [2, 1, 3]}), {at: None}, "accepted")
    until("the order is the new one", lambda: cluster.partition("elected")["replica_nodes"] == [2, 1, 3])
    admin.elect_leaders(0, {"elected": [0]})
    until("the first one leads", lambda: cluster.partition("elected")["leader_id"] == 2)
    again = admin.elect_leaders(0, {"elected": [0]}, raise_errors=False)
    same(
        again.replica_election_results[0].partition_result[0].error_code,
        errors.ElectionNotNeededError.errno,
        "asked for once more",
    )


# --- what no client sends ------------------------------------------------------------------------------------------


class Raw:
    """A connection without manners."""

    def __init__(self, cluster):
        self.cluster = cluster
        host, port = cluster.addresses[0].split(":")
        self.socket = socket.create_connection((host, int(port)), DEADLINE)
        self.local = "%s:%d" % self.socket.getsockname()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def request(self, key, version, body, flexible=False):
        header = struct.pack(">hhi", key, version, 7) + struct.pack(">h", 3) + b"bad" + (b"\0" if flexible else b"")
        data = header + body
        return self.send(struct.pack(">i", len(data)) + data)

    def answer(self):
        """One frame's payload after the correlation id."""
        size = struct.unpack(">i", self.exactly(4))[0]
        return self.exactly(size)[4:]

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, f"closed after {len(data)} of {count} bytes"
            data += more
        return data

    def closed(self):
        """Asserts that the broker closes it without an answer, and says why in one line of its log."""
        try:
            same(self.socket.recv(100), b"", "received")
        except ConnectionResetError:
            pass  # closed with bytes of ours unread
        self.told()

    def told(self):
        def lines():
            return [line for line in self.cluster.log().splitlines() if f" {self.local} " in re.sub(r"\x1b\[[0-9;]*m", "", line)]

        until("a line in the log", lines)
        same(len(lines()), 1, "lines in the log")
        self.socket.close()


@test
def bad_input_costs_its_connection_and_one_line(cluster):
    topic = cluster.topic()
    others = cluster.producer()
    memory = rss(cluster)
    bad = [
        lambda raw: raw.send(b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n").closed(),
        lambda raw: raw.send(struct.pack(">i", 2**31 - 1)).closed(),
        lambda raw: raw.send(struct.pack(">i", -1) + b"x" * 10).closed(),
        lambda raw: raw.send(struct.pack(">i", 0)).closed(),
        lambda raw: raw.send(struct.pack(">i", 64) + os.urandom(64)).closed(),
        lambda raw: raw.request(999, 0, b"").closed(),
        lambda raw: raw.request(3, 99, b"").closed(),
        lambda raw: raw.request(0, 2, b"\0" * 32).closed(),
        # A Metadata request that announces two thousand million topics and has none.
        lambda raw: raw.request(3, 1, struct.pack(">i", 2_000_000_000)).closed(),
        # A Fetch request with a compact array of 2^32 - 2 topics.
        lambda raw: raw.request(1, 12, struct.pack(">iiiibii", -1, 1, 1, 1, 0, 0, -1) + b"\xff\xff\xff\xff\x0f", True).closed(),
    ]
    for number, act in enumerate(bad):
        try:
            act(Raw(cluster))
        except AssertionError as no:
            raise AssertionError(f"bad input {number}: {no}") from no
        same(others.send(topic, b"%d" % number).get(DEADLINE).offset, number, "others go on")
    others.close()
    assert rss(cluster) < memory + 50_000, f"memory went from {memory} to {rss(cluster)} kB"
    assert "panicked" not in cluster.log(), "nothing panics"


@test
def half_a_frame_costs_its_connection_and_one_line(cluster):
    raw = Raw(cluster).send(struct.pack(">i", 100) + b"x" * 50)
    raw.socket.shutdown(socket.SHUT_WR)
    raw.closed()
    # One that announces 50 MB and then stays silent holds no memory and no one up.
    memory = rss(cluster)
    silent = [Raw(cluster).send(struct.pack(">i", 50_000_000) + b"x") for _ in range(40)]
    same(len(json.loads(cluster.kcat("-L", "-J"))["brokers"]), 3, "brokers")
    assert rss(cluster) < memory + 100_000, f"memory went from {memory} to {rss(cluster)} kB"
    for one in silent:
        one.socket.close()


@test
def versions_from_the_future_are_told_what_is_served(cluster):
    raw = Raw(cluster).request(18, 127, b"\0")
    answer = raw.answer()
    same(struct.unpack_from(">h", answer)[0], errors.UnsupportedVersionError.errno, "error")
    # As Kafka does: only ApiVersions itself is listed, so that the client can ask again.
    same(struct.unpack_from(">ihhh", answer, 2), (1, 18, 0, 4), "the APIs that are listed")
    # The connection is kept for the next try.
    same(struct.unpack_from(">h", raw.request(18, 0, b"").answer())[0], 0, "error of the next try")
    raw.socket.close()


@test
def a_corrupt_batch_is_refused(cluster):
    topic = cluster.topic(replicas=1)
    cluster.produce(topic, [b"good"], enable_idempotence=False)
    good = cluster.segments(topic)[0].read_bytes()
    host, port = cluster.addresses[cluster.partition(topic)["leader_id"] - 1].split(":")

    def produced(batch):
        raw = Raw(cluster)
        raw.socket.close()
        raw.socket = socket.create_connection((host, int(port)), DEADLINE)
        name = topic.encode()
        body = struct.pack(">hhii", -1, -1, 5000, 1) + struct.pack(">h", len(name)) + name
        body += struct.pack(">iii", 1, 0, len(batch)) + batch
        answer = raw.request(0, 3, body).answer()
        raw.socket.close()
        # topics, name, partitions, index, error
        return struct.unpack_from(">h", answer, 4 + 2 + len(name) + 4 + 4)[0]

    same(produced(good), 0, "the batch as it is")
    same(produced(good[:-1] + bytes([good[-1] ^ 1])), errors.CorruptRecordError.errno, "one bit of a record is wrong")
    assert produced(good[:-5]) != 0, "a batch that is cut off"
    assert produced(good[:16] + b"\x01" + good[17:]) != 0, "an old message format"
    same([record.value for record in cluster.read(topic, 2)], [b"good", b"good"], "what is stored")


# --- processes that are killed -------------------------------------------------------------------------------------


class Load(threading.Thread):
    """Numbered records by kafka-python with acks=all, as fast as they are acknowledged, until it is told to stop."""

    IN_FLIGHT = 200

    def __init__(self, cluster, topic, partitions):
        super().__init__(daemon=True)
        self.producer = cluster.producer(
            linger_ms=1, request_timeout_ms=5000, reconnect_backoff_max_ms=200, metadata_max_age_ms=1000
        )
        self.topic, self.partitions = topic, partitions
        self.acknowledged, self.failure, self.stopping = {}, None, threading.Event()
        self.start()

    def run(self):
        room, number = threading.Semaphore(self.IN_FLIGHT), 0

        def sent(number, at):
            self.acknowledged[number] = (at.partition, at.offset)
            room.release()

        def failed(failure):
            self.failure = failure
            room.release()

        while not self.stopping.is_set():
            room.acquire()
            future = self.producer.send(self.topic, b"%d" % number, partition=number % self.partitions)
            future.add_callback(functools.partial(sent, number)).add_errback(failed)
            number += 1

    def advance(self, count=500):
        target = len(self.acknowledged) + count

        def enough():
            if self.failure:
                raise RuntimeError("a record was not acknowledged") from self.failure
            return len(self.acknowledged) >= target

        until(f"{count} more records are acknowledged", enough)

    def stop(self):
        self.stopping.set()
        self.join(DEADLINE)
        self.producer.flush(DEADLINE)
        self.producer.close()

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.stopping.set()
        if failure:
            self.producer.close(timeout=0)


class KcatLoad:
    """Lines that kcat sends with acks=all. It exits with 0 only when every one of them was acknowledged."""

    def __init__(self, cluster, topic, prefix):
        command = ["kcat", "-b", cluster.bootstrap, "-P", "-t", topic, "-X", "acks=all", "-X", "linger.ms=1"]
        command += ["-X", "retry.backoff.ms=50", "-X", "reconnect.backoff.max.ms=200", "-X", "message.send.max.retries=1000"]
        self.kcat = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.prefix, self.sent = prefix, []

    def send(self, count=200):
        for _ in range(count):
            self.sent.append(f"{self.prefix}-{len(self.sent)}")
            self.kcat.stdin.write(self.sent[-1] + "\n")
        self.kcat.stdin.flush()

    def finish(self):
        _, complaints = self.kcat.communicate(timeout=DEADLINE)
        same(self.kcat.returncode, 0, f"kcat's exit status ({complaints})")
        return self.sent


def rounds():
    """Three in an ordinary run, twenty in a heavy one."""
    return 20 if os.environ.get("AZIMUTH_HEAVY") else 3


def nothing_is_lost(cluster, topic, partitions, load, by_kcat):
    acknowledged, expected = dict(load.acknowledged), set(by_kcat)
    consumer = cluster.consumer()
    consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])

    def all_of_it():
        for batch in consumer.poll(200, max_records=10_000).values():
            for record in batch:
                value = record.value.decode()
                expected.discard(value)
                if value.isdigit() and acknowledged.get(int(value)) == (record.partition, record.offset):
                    del acknowledged[int(value)]
        return not acknowledged and not expected

    try:
        until("everything that was acknowledged is there", all_of_it)
    except AssertionError as no:
        lost = sorted(acknowledged.items())[:10], sorted(expected)[:10]
        raise AssertionError(f"lost: {len(acknowledged)} of kafka-python, {len(expected)} of kcat: {lost}") from no
    consumer.close()


@test
def nothing_acknowledged_is_lost_when_leaders_are_killed(shared):
    by_kcat = []
    with Processes(shared.program) as cluster:
        topic = cluster.topic(partitions=3, configs={"min.insync.replicas": "2"})
        cluster.in_sync(topic)
        with Load(cluster, topic, 3) as load:
            load.advance()
            for round_ in range(rounds()):
                kcat = KcatLoad(cluster, topic, f"round-{round_}")
                kcat.send()
                leader = cluster.partition(topic, round_ % 3)["leader_id"]
                cluster.kill(f"broker-{leader}")
                kcat.send()
                cluster.led_by_another(topic, round_ % 3, leader)
                load.advance()
                cluster.restart(f"broker-{leader}")
                load.advance()
                kcat.send()
                cluster.in_sync(topic)
                by_kcat += kcat.finish()
            load.stop()
        nothing_is_lost(cluster, topic, 3, load, by_kcat)
        print(f"     {len(load.acknowledged)} records of kafka-python and {len(by_kcat)} of kcat, none lost")


@test
def without_its_controller_a_cluster_goes_on_and_elects_again_when_it_is_back(shared):
    by_kcat, waits = [], []
    with Processes(shared.program) as cluster:
        topic = cluster.topic(partitions=3, configs={"min.insync.replicas": "2"})
        cluster.in_sync(topic)
        with Load(cluster, topic, 3) as load:
            load.advance()
            for round_ in range(rounds()):
                kcat = KcatLoad(cluster, topic, f"round-{round_}")
                leader = cluster.partition(topic, round_ % 3)["leader_id"]
                # Stopped, not killed, its parent does not start it again: produce goes on for as long as it is away.
                controller = cluster.node("controller")
                os.kill(controller, signal.SIGSTOP)
                load.advance(1000)
                kcat.send()
                cluster.kill("controller")
                cluster.kill(f"broker-{leader}")
                until("it is started again", lambda: cluster.node("controller"))
                waits.append(cluster.led_by_another(topic, round_ % 3, leader))
                load.advance()
                kcat.send()
                cluster.restart(f"broker-{leader}")
                cluster.in_sync(topic)
                by_kcat += kcat.finish()
            load.stop()
        nothing_is_lost(cluster, topic, 3, load, by_kcat)
        print(f"     {len(load.acknowledged)} and {len(by_kcat)} records, none lost")
        print(f"     elections {min(waits):.2f} to {max(waits):.2f} s after its return")
        assert max(waits) < cluster.SESSION + 1, f"elections after {waits} s"


@test
def whoever_knows_the_password_is_let_in(shared):
    with Guarded(shared.program) as cluster:
        topic = cluster.topic(partitions=1)
        values = [b"%d" % number for number in range(50)]
        cluster.produce(topic, values)
        same([record.value for record in cluster.read(topic, 50)], values, "read by kafka-python")
        cluster.kcat("-P", "-t", topic, given="of kcat\n")
        options = ("-C", "-t", topic, "-o", "50", "-c", "1", "-e", "-q")
        same(cluster.kcat(*options), "of kcat\n", "read by kcat with PLAIN")
        scram = ("-X", "sasl.mechanisms=SCRAM-SHA-256", "-X", "sasl.password=alice-secret")
        version = re.search(r"librdkafka (\d+)\.(\d+)\.(\d+)", cluster.kcat("-V"))
        if tuple(map(int, version.groups())) >= (2, 6, 1):
            same(cluster.kcat(*scram, *options), "of kcat\n", "read by kcat with SCRAM")
        else:
            # It breaks the RFC, and Apache Kafka 4 does not let it in either.
            def is_refused_and_told():
                raises(AssertionError, lambda: cluster.kcat(*scram, *options))
                return "as librdkafka before 2.6.1 does" in cluster.log()

            until("the log says what to do", is_refused_and_told)
        wrong = cluster.LOGIN | {"sasl_plain_password": "wrong"}
        raises(errors.KafkaError, lambda: KafkaAdminClient(bootstrap_servers=cluster.addresses, **wrong))
        described = cluster.admin.describe_user_scram_credentials(["alice"])
        assert "alice" in str(described), described
        for secret in ["password=first", "alice-secret", "alice-plain", "node-secret"]:
            assert secret not in cluster.log(), f"the log holds {secret}"


def rss(cluster):
    """Resident memory of the cluster's process in kB."""
    status = Path(f"/proc/{cluster.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def main():
    program = sys.argv[1]
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    cluster = Cluster(program)
    passed, failed = 0, 0
    try:
        for one in TESTS:
            if wanted not in one.__name__:
                continue
            begun = time.monotonic()
            try:
                one(cluster)
                passed += 1
                print(f"ok   {one.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL {one.__name__} ({time.monotonic() - begun:.1f} s)\n{traceback.format_exc()}", flush=True)
        if cluster.process.poll() is not None:
            failed += 1
            print(f"FAIL the broker ended by itself: {cluster.process.returncode}")
        cluster.admin.close()
    finally:
        status = cluster.stop()
        log = cluster.log()
        shutil.rmtree(cluster.dir, ignore_errors=True)
    if status != 0 or "panicked" in log or "which is a bug" in log:
        failed += 1
        print(f"FAIL the broker stops in order and complains of no bug: exit status {status}")
    if failed:
        print("the last of the broker's log:\n" + "\n".join(log.splitlines()[-40:]))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
