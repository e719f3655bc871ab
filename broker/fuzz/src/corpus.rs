//! Sound inputs to begin with: real requests, batches, segments, indexes and metadata, made by our own encoders.

use azimuth_broker::env::clock::Clock;
use azimuth_broker::env::disk::Disk;
use azimuth_broker::id::{NodeId, TopicId};
use azimuth_broker::image::{self, Record};
use azimuth_broker::log::{Log, LogConfig};
use azimuth_broker::record::{BatchBuilder, Compression};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::api;

/// Seeds of the target of that name.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    match target {
        "request" => requests(),
        "sasl" => logins(),
        "batch" | "segment" => batches(),
        "index" => indexes(),
        "metadata" => metadata(),
        _ => Vec::new(),
    }
}

fn requests() -> Vec<Vec<u8>> {
    let text = StrBytes::from_static_str;
    let topic = || TopicName(text("orders"));
    let group = || GroupId(text("billing"));
    let mut frames = api::defaults();
    for version in 0..=18 {
        let records = Some(Bytes::from(one_batch(Compression::None, 0, 3)));
        let partition = PartitionProduceData::default().with_index(1).with_records(records);
        let produce = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(topic())
                    .with_partition_data(vec![partition]),
            ]);
        frames.extend(api::frame(&produce, version));
        let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
        let fetch = FetchRequest::default().with_max_wait_ms(500).with_topics(vec![
            FetchTopic::default()
                .with_topic(topic())
                .with_partitions(vec![partition.clone(), partition]),
        ]);
        frames.extend(api::frame(&fetch, version));
        let metadata =
            MetadataRequest::default()
                .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(topic())); 3]));
        frames.extend(api::frame(&metadata, version));
        let config = CreatableTopicConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("1000")));
        let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
        let create = CreateTopicsRequest::default().with_topics(vec![
            CreatableTopic::default()
                .with_name(topic())
                .with_num_partitions(-1)
                .with_assignments(vec![assignment])
                .with_configs(vec![config]),
        ]);
        frames.extend(api::frame(&create, version));
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(&[0; 20]));
        let join = JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(45_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        frames.extend(api::frame(&join, version));
        let commit = OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(topic())
                .with_partitions(vec![OffsetCommitRequestPartition::default().with_committed_offset(7)]),
        ]);
        frames.extend(api::frame(&commit, version));
        let alter = AlterableConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("5")));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configs(vec![alter]);
        let configs = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        frames.extend(api::frame(&configs, version));
        let sasl = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"\0alice\0secret"));
        frames.extend(api::frame(&sasl, version));
    }
    frames
}

fn logins() -> Vec<Vec<u8>> {
    // {"alg":"none"}.{"sub":"alice","iat":1700000000,"exp":1800000000}.
    const TOKEN: &str = "n,,\x01auth=Bearer eyJhbGciOiJub25lIn0.\
        eyJzdWIiOiJhbGljZSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxODAwMDAwMDAwfQ.\x01\x01";
    let login = |mechanism: u8, messages: &[&str]| {
        let mut seed = vec![mechanism];
        for message in messages {
            seed.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
            seed.extend_from_slice(message.as_bytes());
        }
        seed
    };
    let scram = [
        "n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    ];
    vec![
        login(0, &["\0alice\0secret"]),
        login(0, &["alice\0alice\0secret"]),
        login(1, &scram),
        login(2, &scram),
        login(2, &["n,a=bob,n=alice=2C,r=x,ext=1", "c=biws,r=x,p=AA=="]),
        login(3, &[TOKEN]),
        login(3, &["n,a=alice,\x01auth=Bearer a.b.c\x01key=value\x01\x01"]),
    ]
}

fn one_batch(compression: Compression, offset: i64, count: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new().compression(compression).place(offset, 0);
    for at in 0..count {
        let headers = [(&b"trace"[..], Some(&b"0123456789"[..])), (&b"none"[..], None)];
        builder.add_with_headers(
            1_700_000_000_000 + at as i64,
            Some(b"key"),
            Some(&[b'v'; 100]),
            &headers,
        );
    }
    builder.build().map(|bytes| bytes.to_vec()).unwrap_or_default()
}

fn batches() -> Vec<Vec<u8>> {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut seeds: Vec<Vec<u8>> = codecs.iter().map(|codec| one_batch(*codec, 0, 5)).collect();
    let mut all = Vec::new();
    for (codec, offset) in codecs.into_iter().zip((0..).step_by(5)) {
        all.extend(one_batch(codec, offset, 5));
    }
    seeds.push(all);
    let mut idempotent = BatchBuilder::new().producer(7, 1, 0);
    idempotent.add(-1, None, None);
    seeds.extend(idempotent.build().map(|bytes| bytes.to_vec()));
    let mut control = BatchBuilder::new().producer(7, 1, -1).transactional().control();
    control.add(0, Some(&[0, 0, 0, 1]), Some(&[0; 6]));
    seeds.extend(control.build().map(|bytes| bytes.to_vec()));
    seeds
}

/// The files that a log of twenty batches leaves, each behind the number by which the target knows it.
fn indexes() -> Vec<Vec<u8>> {
    let mut seeds = vec![b"\x020\n1\n0 0\n".to_vec(), b"\x00".to_vec()];
    let Ok(dir) = tempfile::tempdir() else { return seeds };
    let path = dir.path().join("orders-0");
    let config = LogConfig {
        index_interval_bytes: 100,
        ..LogConfig::default()
    };
    let clock = Clock::manual(1_700_000_000_000);
    if let Ok(log) = Log::open(&Disk::real(), path.clone(), config, clock, 0, false) {
        for offset in 0..20 {
            let mut builder = BatchBuilder::new().producer(7, 1, offset);
            builder.add(1_700_000_000_000 + i64::from(offset), Some(b"key"), Some(&[b'v'; 300]));
            let _ = builder.build().map(|bytes| log.append_as_leader(bytes, 0));
        }
        let _ = log.close();
    }
    for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
        let kinds = [".index", ".timeindex", "leader-epoch-checkpoint", ".snapshot"];
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(kind) = kinds.iter().position(|kind| name.ends_with(kind))
            && let Ok(content) = std::fs::read(entry.path())
        {
            seeds.push([vec![kind as u8], content].concat());
        }
    }
    seeds
}

fn metadata() -> Vec<Vec<u8>> {
    let records = [
        Record::Cluster { id: "c".to_owned() },
        Record::Feature {
            name: "metadata.version".to_owned(),
            level: 27,
        },
    ];
    let mut seeds: Vec<Vec<u8>> = image::encode(&records, 1_000)
        .map(|bytes| bytes.to_vec())
        .into_iter()
        .collect();
    let state = r#"{"replicas":[1,2],"isr":[1],"leader":1,"leader_epoch":3,"partition_epoch":5}"#;
    // Read, so that fields that join later have their defaults.
    let Ok(state) = serde_json::from_str(state) else {
        return seeds;
    };
    for record in [
        Record::Topic {
            id: TopicId(Default::default()),
            name: "orders".to_owned(),
        },
        Record::Partition {
            topic: TopicId(Default::default()),
            partition: 0,
            state,
        },
        Record::BrokerState {
            id: NodeId(1),
            fenced: true,
            in_controlled_shutdown: false,
        },
        Record::DeleteTopic {
            id: TopicId(Default::default()),
        },
    ] {
        seeds.extend(image::encode(&[record], 1_000).map(|bytes| bytes.to_vec()));
    }
    seeds
}
