//! Systems Manager: commands sent to hosts, what became of them, and which agents listen.
//!
//! SendCommand knows no token that makes it safe to ask twice, so it is asked once and never retried; who lost the answer finds
//! the command by its comment.

use std::collections::BTreeMap;

use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::operation::describe_instance_information::DescribeInstanceInformationOutput;
use aws_sdk_ssm::operation::list_commands::ListCommandsOutput;
use aws_sdk_ssm::types::{CommandFilter, CommandFilterKey, InstanceInformationStringFilter};

use super::super::options::{Invocation, Order};
use super::{Aws, every_page, moment};
use crate::model::Moment;
use crate::model::cloud::Agent;
use crate::source::Error;

/// Values a filter of DescribeInstanceInformation, SSM's own limit.
const VALUES: usize = 100;
/// Agents a page, SSM's own limit.
const PAGE: i32 = 50;

pub(super) async fn agents(aws: &Aws, instances: &[String]) -> Result<BTreeMap<String, Option<Agent>>, Error> {
    const WHAT: &str = "DescribeInstanceInformation";
    let ssm = &aws.clients().await?.ssm;
    let mut found: BTreeMap<String, Option<Agent>> = instances.iter().map(|id| (id.clone(), None)).collect();
    for instances in instances.chunks(VALUES) {
        let these = InstanceInformationStringFilter::builder()
            .key("InstanceIds")
            .set_values(Some(instances.to_vec()))
            .build()
            .map_err(|error| Error::Local(error.to_string()))?;
        let pages = every_page(WHAT, DescribeInstanceInformationOutput::next_token, |token| {
            let call = ssm
                .describe_instance_information()
                .filters(these.clone())
                .max_results(PAGE)
                .set_next_token(token);
            aws.ask("SSM", WHAT, call.send())
        });
        for page in pages.await? {
            for told in page.instance_information_list() {
                let Some(id) = told.instance_id() else { continue };
                let agent = Agent {
                    ping: told.ping_status().map_or("unknown", |ping| ping.as_str()).to_owned(),
                    last_ping_at: moment(told.last_ping_date_time()),
                    version: told.agent_version().map(ToOwned::to_owned),
                };
                found.insert(id.to_owned(), Some(agent));
            }
        }
    }
    Ok(found)
}

/// The id of the command that was taken.
pub(super) async fn send(aws: &Aws, order: &Order) -> Result<String, Error> {
    const WHAT: &str = "SendCommand";
    let ssm = &aws.clients().await?.ssm;
    let once = aws_sdk_ssm::config::Builder::new().retry_config(RetryConfig::disabled());
    let call = ssm
        .send_command()
        .instance_ids(&order.instance)
        .document_name(&order.document)
        .set_parameters(Some(order.parameters.clone().into_iter().collect()))
        .comment(&order.comment)
        .timeout_seconds(order.delivery_seconds)
        .max_concurrency("1")
        .max_errors("0")
        .customize()
        .config_override(once);
    let answer = aws.ask("SSM", WHAT, call.send()).await?;
    let id = answer.command().and_then(|command| command.command_id());
    id.map(ToOwned::to_owned).ok_or_else(|| Error::Refused {
        peer: "SSM".to_owned(),
        what: WHAT.to_owned(),
        code: "no id".to_owned(),
        reason: "the answer names no command".to_owned(),
    })
}

/// The command with this comment that was sent to an instance since.
pub(super) async fn sent(aws: &Aws, instance: &str, since: Moment, comment: &str) -> Result<Option<String>, Error> {
    const WHAT: &str = "ListCommands";
    let ssm = &aws.clients().await?.ssm;
    // SSM takes whole seconds here.
    let second = Moment::from_second(since.as_second()).unwrap_or(since);
    let after = CommandFilter::builder()
        .key(CommandFilterKey::InvokedAfter)
        .value(second.to_string())
        .build()
        .map_err(|error| Error::Local(error.to_string()))?;
    let pages = every_page(WHAT, ListCommandsOutput::next_token, |token| {
        let call = ssm
            .list_commands()
            .instance_id(instance)
            .filters(after.clone())
            .max_results(PAGE)
            .set_next_token(token);
        aws.ask("SSM", WHAT, call.send())
    });
    let pages = pages.await?;
    let mut commands = pages.iter().flat_map(ListCommandsOutput::commands);
    let found = commands.find(|command| command.comment() == Some(comment));
    Ok(found.and_then(|command| command.command_id()).map(ToOwned::to_owned))
}

/// How a command stands on an instance; `None` while SSM does not know it there, as it may not at first.
pub(super) async fn invocation(aws: &Aws, command: &str, instance: &str) -> Result<Option<Invocation>, Error> {
    let ssm = &aws.clients().await?.ssm;
    let call = ssm.get_command_invocation().command_id(command).instance_id(instance);
    let answer = match aws.ask("SSM", "GetCommandInvocation", call.send()).await {
        Err(Error::Refused { code, .. }) if code == "InvocationDoesNotExist" => return Ok(None),
        other => other?,
    };
    let said = [answer.standard_output_content(), answer.standard_error_content()];
    Ok(Some(Invocation {
        status: answer.status().map_or("unknown", |status| status.as_str()).to_owned(),
        detail: answer.status_details().unwrap_or_default().to_owned(),
        code: (answer.response_code() >= 0).then(|| answer.response_code()),
        said: said.into_iter().flatten().collect::<Vec<_>>().join("\n"),
    }))
}
