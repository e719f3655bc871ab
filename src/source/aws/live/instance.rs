//! DescribeInstances, by ids or by address.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::operation::describe_instances::DescribeInstancesOutput;
use aws_sdk_ec2::types;

use crate::model::cloud::Instance;
use crate::source::Error;

use super::super::options::{Options, Scope};
use super::{Aws, every_page, filter, moment, tags};

const WHAT: &str = "DescribeInstances";

/// Ids a request; no page size may go with them.
const IDS: usize = 200;

const PAGE: i32 = 1000;

pub(super) async fn instances(aws: &Aws, scope: &Scope) -> Result<BTreeMap<String, Instance>, Error> {
    match scope {
        Scope::Ids(ids) => by_ids(aws, ids).await,
        Scope::Addresses(addresses) => by_addresses(aws, addresses).await,
    }
}

async fn by_ids(aws: &Aws, ids: &[String]) -> Result<BTreeMap<String, Instance>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let mut found = BTreeMap::new();
    for ids in ids.chunks(IDS) {
        let answer = known_only(ids, |ids| {
            aws.ask("EC2", WHAT, ec2.describe_instances().set_instance_ids(Some(ids)).send())
        });
        let Some(answer) = answer.await? else { continue };
        found.extend(
            answer
                .reservations()
                .iter()
                .flat_map(types::Reservation::instances)
                .filter_map(read),
        );
    }
    Ok(found)
}

/// Asks for ids, and again without those that EC2 says it does not know (terminated an hour ago or more). `None` when
/// it knows none of them.
pub(super) async fn known_only<T, F, Fut>(ids: &[String], mut call: F) -> Result<Option<T>, Error>
where
    F: FnMut(Vec<String>) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut ids = ids.to_vec();
    while !ids.is_empty() {
        match call(ids.clone()).await {
            Ok(answer) => return Ok(Some(answer)),
            Err(Error::Refused { code, reason, .. })
                if code.starts_with("InvalidInstanceID") && ids.iter().any(|id| reason.contains(id.as_str())) =>
            {
                ids.retain(|id| !reason.contains(id.as_str()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Joined here and not by EC2's filter: a filter takes 200 values, and secondary interfaces need another one.
async fn by_addresses(aws: &Aws, addresses: &[String]) -> Result<BTreeMap<String, Instance>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let options = &aws.shared.options;
    let mut filters: Vec<_> = options
        .tags
        .iter()
        .map(|(key, value)| filter(format!("tag:{key}"), [value.clone()]))
        .collect();
    filters.extend(options.vpc.iter().map(|vpc| filter("vpc-id", [vpc.clone()])));
    let filters = (!filters.is_empty()).then_some(filters);

    let pages = every_page(WHAT, DescribeInstancesOutput::next_token, |token| {
        let call = ec2
            .describe_instances()
            .set_filters(filters.clone())
            .max_results(PAGE)
            .set_next_token(token);
        aws.ask("EC2", WHAT, call.send())
    });
    let pages = pages.await?;
    let reservations = pages.iter().flat_map(DescribeInstancesOutput::reservations);
    let all: BTreeMap<_, _> = reservations
        .flat_map(types::Reservation::instances)
        .filter_map(read)
        .collect();
    Ok(join(all, addresses, options))
}

/// Keeps the instances at the addresses and those that the context maps. Tagged ones only where no address is found:
/// another cluster of the account may well number its brokers with the same tag.
fn join(mut all: BTreeMap<String, Instance>, addresses: &[String], options: &Options) -> BTreeMap<String, Instance> {
    if addresses.is_empty() {
        return all;
    }
    let tag = options.broker_tag();
    let wanted: BTreeSet<&str> = addresses.iter().map(String::as_str).collect();
    let found = all.values().any(|instance| has_one_of(instance, &wanted));
    all.retain(|id, instance| {
        let fits = match found {
            true => has_one_of(instance, &wanted),
            false => instance.tags.contains_key(tag),
        };
        fits || options.mapped.contains(id)
    });
    all
}

fn has_one_of(instance: &Instance, wanted: &BTreeSet<&str>) -> bool {
    let addresses = instance.private_addresses.iter().chain(&instance.public_address);
    addresses.into_iter().any(|address| wanted.contains(address.as_str()))
}

fn read(instance: &types::Instance) -> Option<(String, Instance)> {
    let id = instance.instance_id()?.to_owned();
    let placement = instance.placement();
    let zone = placement
        .and_then(types::Placement::availability_zone)
        .unwrap_or_default();
    let monitoring = instance.monitoring().and_then(types::Monitoring::state);
    let value = Instance {
        id: id.clone(),
        instance_type: instance
            .instance_type()
            .map_or("", types::InstanceType::as_str)
            .to_owned(),
        zone: zone.to_owned(),
        zone_id: placement
            .and_then(types::Placement::availability_zone_id)
            .map(ToOwned::to_owned),
        state: instance
            .state()
            .and_then(types::InstanceState::name)
            .map_or("unknown", types::InstanceStateName::as_str)
            .to_owned(),
        private_addresses: addresses(instance),
        private_dns: instance
            .private_dns_name()
            .filter(|name| !name.is_empty())
            .map(str::to_ascii_lowercase),
        public_address: instance
            .public_ip_address()
            .filter(|ip| !ip.is_empty())
            .map(ToOwned::to_owned),
        launched_at: moment(instance.launch_time()),
        tags: tags(instance.tags()),
        root_device: instance.root_device_name().map(ToOwned::to_owned),
        detailed_monitoring: monitoring == Some(&types::MonitoringState::Enabled),
        metadata_tokens: instance
            .metadata_options()
            .and_then(types::InstanceMetadataOptionsResponse::http_tokens)
            .map(|tokens| tokens.as_str().to_owned()),
        security_groups: security_groups(instance),
        vpc: instance.vpc_id().filter(|id| !id.is_empty()).map(ToOwned::to_owned),
        ..Instance::default()
    };
    Some((id, value))
}

/// Of the instance and of each interface, each once.
fn security_groups(instance: &types::Instance) -> Vec<String> {
    let interfaces = instance.network_interfaces().iter();
    let all = interfaces.flat_map(types::InstanceNetworkInterface::groups);
    let ids = all
        .chain(instance.security_groups())
        .filter_map(types::GroupIdentifier::group_id);
    let ids: BTreeSet<&str> = ids.filter(|id| !id.is_empty()).collect();
    ids.into_iter().map(ToOwned::to_owned).collect()
}

/// Every private address on every interface, the primary one first.
fn addresses(instance: &types::Instance) -> Vec<String> {
    let mut all: Vec<String> = instance
        .private_ip_address()
        .map(ToOwned::to_owned)
        .into_iter()
        .collect();
    for interface in instance.network_interfaces() {
        let secondary = interface
            .private_ip_addresses()
            .iter()
            .filter_map(|address| address.private_ip_address());
        let six = interface
            .ipv6_addresses()
            .iter()
            .filter_map(|address| address.ipv6_address());
        for address in interface.private_ip_address().into_iter().chain(secondary).chain(six) {
            if !address.is_empty() && !all.iter().any(|known| known == address) {
                all.push(address.to_owned());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, address: &str, tagged: bool) -> (String, Instance) {
        let mut instance = Instance {
            id: id.to_owned(),
            private_addresses: vec![address.to_owned()],
            ..Instance::default()
        };
        if tagged {
            instance.tags.insert("kafka:broker-id".to_owned(), "1".to_owned());
        }
        (id.to_owned(), instance)
    }

    #[test]
    fn a_stranger_with_the_tag_is_found_only_where_no_address_is() {
        let all = BTreeMap::from([
            instance("i-ours", "10.0.0.1", false),
            instance("i-tagged", "10.0.0.2", true),
            instance("i-mapped", "10.0.0.3", false),
        ]);
        let mut options = Options::default();
        let ids = |options: &Options, address: &str| {
            join(all.clone(), &[address.to_owned()], options)
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&options, "10.0.0.1"), ["i-ours"]);
        assert_eq!(ids(&options, "127.0.0.1"), ["i-tagged"]);
        options.mapped.insert("i-mapped".to_owned());
        assert_eq!(ids(&options, "10.0.0.1"), ["i-mapped", "i-ours"]);
    }
}
