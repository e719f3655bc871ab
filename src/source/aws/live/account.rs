//! What the account has around the instances: DescribeSecurityGroups, DescribeSubnets, GetEbsEncryptionByDefault, and
//! CloudWatch's DescribeAlarms. Read for checks only, each in as many requests as it has pages.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsOutput;
use aws_sdk_cloudwatch::types as watch;
use aws_sdk_ec2::operation::describe_security_groups::DescribeSecurityGroupsOutput;
use aws_sdk_ec2::operation::describe_subnets::DescribeSubnetsOutput;
use aws_sdk_ec2::types;

use crate::model::cloud::{Alarm, SecurityGroup, Subnet};
use crate::source::Error;

use super::{Aws, every_page, filter};

/// Values a filter, EC2's own limit.
const VALUES: usize = 200;

const PAGE: i32 = 1000;

/// Alarms a page, CloudWatch's own limit.
const ALARMS: i32 = 100;

/// Whoever comes from anywhere.
const WORLD: [&str; 2] = ["0.0.0.0/0", "::/0"];

pub(super) async fn security_groups(aws: &Aws, ids: &[String]) -> Result<BTreeMap<String, SecurityGroup>, Error> {
    const WHAT: &str = "DescribeSecurityGroups";
    let ec2 = &aws.clients().await?.ec2;
    let mut found = BTreeMap::new();
    for ids in ids.chunks(VALUES) {
        let these = filter("group-id", ids.iter().cloned());
        let pages = every_page(WHAT, DescribeSecurityGroupsOutput::next_token, |token| {
            let call = ec2.describe_security_groups().filters(these.clone()).max_results(PAGE);
            aws.ask("EC2", WHAT, call.set_next_token(token).send())
        });
        let pages = pages.await?;
        let groups = pages.iter().flat_map(DescribeSecurityGroupsOutput::security_groups);
        found.extend(groups.filter_map(group));
    }
    Ok(found)
}

pub(super) async fn subnets(aws: &Aws, vpcs: &[String]) -> Result<BTreeMap<String, Subnet>, Error> {
    const WHAT: &str = "DescribeSubnets";
    let ec2 = &aws.clients().await?.ec2;
    let mut found = BTreeMap::new();
    for vpcs in vpcs.chunks(VALUES) {
        let these = filter("vpc-id", vpcs.iter().cloned());
        let pages = every_page(WHAT, DescribeSubnetsOutput::next_token, |token| {
            let call = ec2.describe_subnets().filters(these.clone()).max_results(PAGE);
            aws.ask("EC2", WHAT, call.set_next_token(token).send())
        });
        let pages = pages.await?;
        found.extend(pages.iter().flat_map(DescribeSubnetsOutput::subnets).filter_map(subnet));
    }
    Ok(found)
}

pub(super) async fn encryption_by_default(aws: &Aws) -> Result<bool, Error> {
    let call = aws.clients().await?.ec2.get_ebs_encryption_by_default().send();
    let answer = aws.ask("EC2", "GetEbsEncryptionByDefault", call).await?;
    Ok(answer.ebs_encryption_by_default().unwrap_or(false))
}

/// Those on metrics of EC2 and EBS: an account has thousands on other things.
pub(super) async fn alarms(aws: &Aws) -> Result<Vec<Alarm>, Error> {
    const WHAT: &str = "DescribeAlarms";
    let client = &aws.clients().await?.cloudwatch;
    let pages = every_page(WHAT, DescribeAlarmsOutput::next_token, |token| {
        let call = client.describe_alarms().max_records(ALARMS).set_next_token(token);
        aws.ask("CloudWatch", WHAT, call.send())
    });
    let pages = pages.await?;
    let all = pages.iter().flat_map(DescribeAlarmsOutput::metric_alarms);
    Ok(all.filter(|alarm| is_ours(alarm)).filter_map(alarm).collect())
}

fn is_ours(alarm: &watch::MetricAlarm) -> bool {
    matches!(alarm.namespace(), Some("AWS/EC2" | "AWS/EBS"))
}

fn alarm(alarm: &watch::MetricAlarm) -> Option<Alarm> {
    let dimensions = alarm.dimensions().iter();
    Some(Alarm {
        name: alarm.alarm_name()?.to_owned(),
        metric: alarm.metric_name()?.to_owned(),
        dimensions: dimensions
            .filter_map(|one| Some((one.name()?.to_owned(), one.value()?.to_owned())))
            .collect(),
        state: alarm.state_value().map_or("?", watch::StateValue::as_str).to_owned(),
        actions_enabled: alarm.actions_enabled().unwrap_or(false),
    })
}

fn group(group: &types::SecurityGroup) -> Option<(String, SecurityGroup)> {
    let id = group.group_id()?.to_owned();
    let open = group.ip_permissions().iter().filter(|rule| is_open(rule));
    let value = SecurityGroup {
        id: id.clone(),
        name: group.group_name().unwrap_or_default().to_owned(),
        open_to_world: open.map(ports).collect(),
    };
    Some((id, value))
}

fn is_open(rule: &types::IpPermission) -> bool {
    let four = rule.ip_ranges().iter().filter_map(types::IpRange::cidr_ip);
    let six = rule.ipv6_ranges().iter().filter_map(types::Ipv6Range::cidr_ipv6);
    four.chain(six).any(|range| WORLD.contains(&range))
}

/// All ports where the rule is about every protocol.
fn ports(rule: &types::IpPermission) -> (u16, u16) {
    let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
    match (port(rule.from_port()), port(rule.to_port())) {
        (Some(from), Some(to)) => (from, to),
        _ => (0, u16::MAX),
    }
}

fn subnet(subnet: &types::Subnet) -> Option<(String, Subnet)> {
    let id = subnet.subnet_id()?.to_owned();
    let value = Subnet {
        id: id.clone(),
        cidr: subnet.cidr_block()?.to_owned(),
        zone: subnet.availability_zone().unwrap_or_default().to_owned(),
        zone_id: subnet.availability_zone_id().map(ToOwned::to_owned),
    };
    Some((id, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_to_the_world_counts_and_every_protocol_is_every_port() {
        let rule = |range: &str, from: Option<i32>| {
            types::IpPermission::builder()
                .ip_ranges(types::IpRange::builder().cidr_ip(range).build())
                .set_from_port(from)
                .set_to_port(from)
                .build()
        };
        let told = types::SecurityGroup::builder()
            .group_id("sg-1")
            .ip_permissions(rule("10.0.0.0/8", Some(9092)))
            .ip_permissions(rule("0.0.0.0/0", Some(22)))
            .ip_permissions(rule("0.0.0.0/0", None))
            .build();
        let (id, read) = group(&told).unwrap();
        assert_eq!((id.as_str(), read.open_to_world), ("sg-1", vec![(22, 22), (0, 65535)]));
    }
}
