//! Clients from the standard chains: environment, profile, SSO, process, container, IMDS, and the context's overrides.

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_ec2::config::Credentials;
use std::time::Duration;

use crate::model::cloud;
use crate::source::Error;

use super::super::options::Options;
use super::CALL;

const CONNECT: Duration = Duration::from_secs(3);

/// One client a service, all with the same credentials and connections.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) cloudwatch: aws_sdk_cloudwatch::Client,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) ssm: aws_sdk_ssm::Client,
    pub(super) route53: aws_sdk_route53::Client,
    pub(super) region: String,
    credentials: Option<SharedCredentialsProvider>,
}

/// Reads the chains. The region may come from IMDS, so this may ask the network once, within the deadline.
pub(super) async fn clients(options: &Options) -> Result<Clients, Error> {
    let config = tokio::time::timeout(CALL, load(options))
        .await
        .map_err(|_| super::failure::timed_out("AWS", "the region", CALL))?;
    let Some(region) = config.region().map(ToString::to_string) else {
        return Err(Error::Local(
            "no AWS region is known: set `region` in the context, AWS_REGION, or the profile's region".to_owned(),
        ));
    };
    Ok(Clients {
        ec2: aws_sdk_ec2::Client::new(&config),
        cloudwatch: aws_sdk_cloudwatch::Client::new(&config),
        sts: aws_sdk_sts::Client::new(&config),
        ssm: aws_sdk_ssm::Client::new(&config),
        route53: aws_sdk_route53::Client::new(&config),
        region,
        credentials: config.credentials_provider(),
    })
}

/// When the credentials end that requests are signed with.
pub(super) async fn credentials(clients: &Clients) -> Result<cloud::Credentials, Error> {
    const WHAT: &str = "credentials";
    let none = |reason: &str| Error::Denied {
        peer: "AWS".to_owned(),
        what: WHAT.to_owned(),
        reason: reason.to_owned(),
    };
    let Some(provider) = &clients.credentials else {
        return Err(none("there is no provider of credentials"));
    };
    let told = tokio::time::timeout(CALL, provider.provide_credentials()).await;
    let told = told.map_err(|_| super::failure::timed_out("AWS", WHAT, CALL))?;
    let told = told.map_err(|error| super::failure::provider("AWS", WHAT, &error))?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let from_environment = variable("AWS_ACCESS_KEY_ID").as_deref() == Some(told.access_key_id());
    let renewed = match (from_environment, told.session_token()) {
        (true, Some(_)) => cloud::Renewal::Never,
        _ => cloud::Renewal::Itself,
    };
    let told_end = told.expiry().and_then(|at| crate::model::Moment::try_from(at).ok());
    // What programs that export temporary credentials write beside them.
    let beside = || {
        ["AWS_CREDENTIAL_EXPIRATION", "AWS_SESSION_EXPIRATION"]
            .into_iter()
            .find_map(|name| variable(name)?.parse().ok())
    };
    let ends_at = match renewed {
        cloud::Renewal::Never => told_end.or_else(beside),
        cloud::Renewal::Itself => told_end,
    };
    Ok(cloud::Credentials {
        ends_at,
        renewed,
        temporary: told.session_token().is_some(),
    })
}

async fn load(options: &Options) -> SdkConfig {
    let config = loader(options).load().await;
    let Some(role) = &options.role_arn else { return config };
    let role = AssumeRoleProvider::builder(role)
        .configure(&config)
        .session_name("azimuth")
        .build()
        .await;
    let credentials = aws_sdk_ec2::config::SharedCredentialsProvider::new(role);
    config.into_builder().credentials_provider(credentials).build()
}

fn loader(options: &Options) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_timeout(CALL)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .timeout_config(timeouts);
    if let Ok(name) = AppName::new("azimuth") {
        loader = loader.app_name(name);
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if options.simulated {
        let nobody = Credentials::new("AKIASIMULATED", "simulated", None, None, "azimuth demo");
        loader = loader.credentials_provider(nobody);
    }
    loader
}
