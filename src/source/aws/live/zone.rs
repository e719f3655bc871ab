//! DescribeAvailabilityZones: the table of zone names and ids. Its `state` hardly ever changes in an outage, so it
//! says nothing on health.

use std::collections::BTreeMap;

use crate::model::cloud::Zone;
use crate::source::Error;

use super::Aws;

pub(super) async fn zones(aws: &Aws) -> Result<BTreeMap<String, Zone>, Error> {
    let call = aws.clients().await?.ec2.describe_availability_zones().send();
    let answer = aws.ask("EC2", "DescribeAvailabilityZones", call).await?;
    let zones = answer.availability_zones().iter().filter_map(|zone| {
        let name = zone.zone_name()?.to_owned();
        let state = zone.state().map_or("unknown", |state| state.as_str()).to_owned();
        let id = zone.zone_id()?.to_owned();
        Some((name.clone(), Zone { name, id, state }))
    });
    Ok(zones.collect())
}
