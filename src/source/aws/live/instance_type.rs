//! DescribeInstanceTypes: what a type sustains.

use std::collections::BTreeMap;

use aws_sdk_ec2::types;

use crate::model::cloud::InstanceType;
use crate::source::Error;

use super::Aws;

const WHAT: &str = "DescribeInstanceTypes";

/// Names a request, EC2's own limit.
const NAMES: usize = 100;

pub(super) async fn types(aws: &Aws, names: &[String]) -> Result<BTreeMap<String, InstanceType>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let mut found = BTreeMap::new();
    for names in names.chunks(NAMES) {
        let names = names
            .iter()
            .map(|name| types::InstanceType::from(name.as_str()))
            .collect();
        let call = ec2.describe_instance_types().set_instance_types(Some(names));
        let answer = aws.ask("EC2", WHAT, call.send()).await?;
        found.extend(answer.instance_types().iter().filter_map(read));
    }
    Ok(found)
}

fn read(info: &types::InstanceTypeInfo) -> Option<(String, InstanceType)> {
    let name = info.instance_type()?.as_str().to_owned();
    let ebs = info.ebs_info().and_then(types::EbsInfo::ebs_optimized_info);
    let cards = info.network_info().map_or(&[][..], types::NetworkInfo::network_cards);
    let value = InstanceType {
        name: name.clone(),
        vcpus: info
            .v_cpu_info()
            .and_then(types::VCpuInfo::default_v_cpus)
            .map(i64::from),
        memory_mib: info.memory_info().and_then(types::MemoryInfo::size_in_mib),
        ebs_baseline_mb_per_second: ebs.and_then(types::EbsOptimizedInfo::baseline_throughput_in_m_bps),
        ebs_maximum_mb_per_second: ebs.and_then(types::EbsOptimizedInfo::maximum_throughput_in_m_bps),
        ebs_baseline_iops: ebs.and_then(types::EbsOptimizedInfo::baseline_iops).map(i64::from),
        network_baseline_gbit_per_second: cards
            .first()
            .and_then(types::NetworkCardInfo::baseline_bandwidth_in_gbps),
        instance_storage_gb: info
            .instance_storage_info()
            .and_then(types::InstanceStorageInfo::total_size_in_gb),
        burstable: info.burstable_performance_supported().unwrap_or(false),
        current_generation: info.current_generation(),
        store_encryption: info
            .instance_storage_info()
            .and_then(types::InstanceStorageInfo::encryption_support)
            .map(|support| support.as_str().to_owned()),
        ebs_optimized: info
            .ebs_info()
            .and_then(types::EbsInfo::ebs_optimized_support)
            .map(|support| support.as_str().to_owned()),
    };
    Some((name, value))
}
