//! BROKER_LOGGER, the resource of log levels (KIP-412): asked of the broker whose process it is, and never stored.

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::protocol::StrBytes;

use super::Context;
use crate::env::logger::{self, LEVELS, Level, Loggers, ROOT};
use crate::wire::ErrorCode;

/// The resource's type in requests.
pub(super) const BROKER_LOGGER: i8 = 8;
/// DYNAMIC_BROKER_LOGGER_CONFIG of DescribeConfigs.
const SOURCE: i8 = 6;
/// The type of every level in DescribeConfigs v3.
const STRING: i8 = 2;

const SET: i8 = 0;
const DELETE: i8 = 1;

type Refusal = (ErrorCode, String);

/// Every logger with its level, or those of `keys`.
pub(super) fn describe(
    cx: &Context,
    name: &str,
    keys: Option<&[StrBytes]>,
    version: i16,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let loggers = loggers(cx, name)?;
    let wanted =
        |logger: &str| keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| key.as_str() == logger));
    let described = |(logger, level): (String, Level)| {
        let mut result = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(logger))
            .with_value(Some(StrBytes::from_string(level.to_string())))
            .with_config_source(SOURCE);
        if version >= 3 {
            result.config_type = STRING;
        }
        result
    };
    let shown = loggers.levels().into_iter().filter(|(logger, _)| wanted(logger));
    Ok(shown.map(described).collect())
}

/// Sets levels, or takes them back to what the process was started with; nothing of it with `validate_only`.
pub(super) fn alter(cx: &Context, asked: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let loggers = loggers(cx, &asked.resource_name)?;
    let mut changes: Vec<(String, Option<Level>)> = Vec::new();
    for config in &asked.configs {
        let name = config.name.to_string();
        if changes.iter().any(|(known, _)| *known == name) {
            let why = format!("The request names the logger {name} twice.");
            return Err((ErrorCode::InvalidRequest, why));
        }
        let level = match config.config_operation {
            SET => Some(level(&name, config.value.as_deref().unwrap_or_default())?),
            DELETE if name == ROOT => {
                let why = "Removing the log level of the root logger is not allowed";
                return Err((ErrorCode::InvalidRequest, why.to_owned()));
            }
            DELETE => None,
            operation => {
                let operation = if operation == 2 { "APPEND" } else { "SUBTRACT" };
                let why = format!("{operation} operation is not allowed for the BROKER_LOGGER resource");
                return Err((ErrorCode::InvalidRequest, why));
            }
        };
        if !loggers.has(&name) {
            return Err((ErrorCode::InvalidConfig, format!("Logger {name} does not exist!")));
        }
        changes.push((name, level));
    }
    if validate_only {
        return Ok(());
    }
    for (name, level) in &changes {
        let level = level.map_or("what it was at the start".to_owned(), |level| level.to_string());
        tracing::info!("the log level of {name} is set to {level}");
    }
    loggers
        .change(&changes)
        .map_err(|why| (ErrorCode::UnknownServerError, why))
}

fn level(name: &str, value: &str) -> Result<Level, Refusal> {
    value.parse().map_err(|()| {
        let why = format!(
            "Cannot set the log level of {name} to {value} as it is not a supported log level. Valid log levels are {}",
            LEVELS.join(", ")
        );
        (ErrorCode::InvalidConfig, why)
    })
}

/// The process's loggers, if this node was asked for its own.
fn loggers(cx: &Context, name: &str) -> Result<&'static Loggers, Refusal> {
    let invalid = |why: String| (ErrorCode::InvalidRequest, why);
    if name.is_empty() {
        return Err(invalid("Broker id must not be empty".to_owned()));
    }
    if name != cx.node.to_string() {
        let why = format!("Unexpected broker id, expected {} but received {name}.", cx.node);
        return Err(invalid(why));
    }
    logger::installed().ok_or_else(|| {
        invalid(
            "The log of this process belongs to the program that runs the broker, and its levels cannot change."
                .to_owned(),
        )
    })
}
