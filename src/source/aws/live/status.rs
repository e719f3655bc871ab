//! DescribeInstanceStatus: system, instance and attached-EBS checks, and scheduled events.

use std::collections::BTreeMap;

use aws_sdk_ec2::types;

use crate::model::cloud::Event;
use crate::source::Error;

use super::super::options::Status;
use super::instance::known_only;
use super::{Aws, moment};

const WHAT: &str = "DescribeInstanceStatus";

/// Ids a request, EC2's own limit.
const IDS: usize = 100;

pub(super) async fn statuses(aws: &Aws, instances: &[String]) -> Result<BTreeMap<String, Status>, Error> {
    let ec2 = &aws.clients().await?.ec2;
    let mut found = BTreeMap::new();
    for ids in instances.chunks(IDS) {
        let answer = known_only(ids, |ids| {
            // Without `include_all` an instance that is not running has no row at all.
            let call = ec2
                .describe_instance_status()
                .set_instance_ids(Some(ids))
                .include_all_instances(true);
            aws.ask("EC2", WHAT, call.send())
        });
        let Some(answer) = answer.await? else { continue };
        for status in answer.instance_statuses() {
            if let Some(id) = status.instance_id() {
                found.insert(id.to_owned(), read(status));
            }
        }
    }
    Ok(found)
}

fn read(status: &types::InstanceStatus) -> Status {
    let check = |summary: Option<&types::InstanceStatusSummary>| {
        summary
            .and_then(types::InstanceStatusSummary::status)
            .map(|word| word.as_str().to_owned())
    };
    let ebs = status.attached_ebs_status().and_then(types::EbsStatusSummary::status);
    Status {
        state: status
            .instance_state()
            .and_then(types::InstanceState::name)
            .map(|state| state.as_str().to_owned()),
        system_check: check(status.system_status()),
        instance_check: check(status.instance_status()),
        ebs_check: ebs.map(|word| word.as_str().to_owned()),
        events: status.events().iter().filter_map(event).collect(),
    }
}

/// Completed events linger for a week, marked in their description.
fn event(event: &types::InstanceStatusEvent) -> Option<Event> {
    let description = event.description().unwrap_or_default();
    let over = ["[Completed]", "[Canceled]"]
        .iter()
        .any(|mark| description.starts_with(mark));
    (!over).then(|| Event {
        code: event.code().map_or("unknown", types::EventCode::as_str).to_owned(),
        description: description.to_owned(),
        not_before: moment(event.not_before()),
        deadline: moment(event.not_before_deadline()),
    })
}
