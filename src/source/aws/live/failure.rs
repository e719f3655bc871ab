//! From the SDK's errors to one word and one line.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use crate::model::Trouble;
use crate::source::Error;

/// A reason is one line on a screen, not a dump.
const MAX_REASON: usize = 240;

pub(super) fn timed_out(peer: &str, what: &str, after: Duration) -> Error {
    Error::TimedOut {
        peer: peer.to_owned(),
        what: what.to_owned(),
        after,
    }
}

/// The word for a failed call.
pub(super) fn word<E>(peer: &str, what: &str, deadline: Duration, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    match error {
        SdkError::ServiceError(_) => said(peer, what, error.code(), error.message(), status),
        SdkError::TimeoutError(_) => timed_out(peer, what, deadline),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => timed_out(peer, what, deadline),
        _ => unsaid(peer, what, error, status),
    }
}

/// AWS answered with an error.
fn said(peer: &str, what: &str, code: Option<&str>, message: Option<&str>, status: Option<u16>) -> Error {
    let Some(code) = code.filter(|code| !code.is_empty()) else {
        return not_understood(peer, what, status);
    };
    let (peer, what) = (peer.to_owned(), what.to_owned());
    let reason = line(message.unwrap_or(code));
    match trouble(code) {
        Trouble::Throttled => Error::Throttled {
            peer,
            what,
            reason: code.to_owned(),
        },
        Trouble::Expired => Error::Expired { peer, reason },
        Trouble::Unsupported => Error::Unsupported { peer, what },
        Trouble::Denied => Error::Denied {
            reason: format!("{code}; {}", way_out(&peer, &what, code)),
            peer,
            what,
        },
        _ => Error::Refused {
            peer,
            what,
            code: code.to_owned(),
            reason,
        },
    }
}

/// What to do about a denial: a missing right is named as the policy spells it.
fn way_out(peer: &str, what: &str, code: &str) -> String {
    match code {
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            let service = match peer.split(' ').next() {
                Some("CloudWatch") => "cloudwatch",
                Some("STS") => "sts",
                Some("SSM") => "ssm",
                Some("Route53") => "route53",
                _ => "ec2",
            };
            format!("the policy lacks {service}:{what}")
        }
        _ => "check the credentials with `aws sts get-caller-identity`".to_owned(),
    }
}

/// The word for an AWS error code. Sources: EC2 API error codes, CloudWatch common errors.
fn trouble(code: &str) -> Trouble {
    match code.trim_start_matches("Client.").trim_start_matches("Server.") {
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "SlowDown"
        // Route 53 works on one change of a zone after the other.
        | "PriorRequestNotComplete"
        | "LimitExceededFault" => Trouble::Throttled,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "Blocked"
        | "OptInRequired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "NotAuthorized" => Trouble::Denied,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Trouble::Expired,
        "InvalidAction" | "UnknownOperationException" | "UnsupportedOperation" => Trouble::Unsupported,
        _ => Trouble::Refused,
    }
}

/// Nobody answered, or the answer is not AWS's.
fn unsaid(peer: &str, what: &str, error: &(dyn StdError + 'static), status: Option<u16>) -> Error {
    let mut causes = vec![error];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    let root = causes.last().map(|cause| line(&cause.to_string())).unwrap_or_default();
    let credentials = causes.iter().find_map(|cause| cause.downcast_ref::<CredentialsError>());
    if let Some(failure) = credentials {
        return no_credentials(peer, what, failure, &root);
    }
    if status.is_some() {
        return not_understood(peer, what, status);
    }
    if causes.iter().any(|cause| cause.to_string().contains("timed out")) {
        return timed_out(peer, what, super::CALL);
    }
    Error::Unreachable {
        peer: peer.to_owned(),
        reason: root,
    }
}

/// The word for a provider that gives no credentials.
pub(super) fn provider(peer: &str, what: &str, failure: &CredentialsError) -> Error {
    let mut root: &(dyn StdError + 'static) = failure;
    while let Some(cause) = root.source() {
        root = cause;
    }
    no_credentials(peer, what, failure, &line(&root.to_string()))
}

fn no_credentials(peer: &str, what: &str, failure: &CredentialsError, root: &str) -> Error {
    let expired = ["expired", "Expired", "ExpiredToken", "sso login"]
        .iter()
        .any(|word| root.contains(word));
    match failure {
        _ if expired => Error::Expired {
            peer: peer.to_owned(),
            reason: root.to_owned(),
        },
        CredentialsError::ProviderTimedOut(_) => timed_out(peer, "the request for credentials", super::CALL),
        CredentialsError::CredentialsNotLoaded(_) => Error::Denied {
            peer: peer.to_owned(),
            what: what.to_owned(),
            reason: "no AWS credentials are found: set `profile` in the context, AWS_PROFILE, or an instance profile"
                .to_owned(),
        },
        _ => Error::Denied {
            peer: peer.to_owned(),
            what: what.to_owned(),
            reason: format!("the AWS credentials cannot be loaded: {root}"),
        },
    }
}

fn not_understood(peer: &str, what: &str, status: Option<u16>) -> Error {
    let (peer, what) = (peer.to_owned(), what.to_owned());
    match status {
        Some(404 | 501) => Error::Unsupported { peer, what },
        Some(429) => Error::Throttled {
            peer,
            what,
            reason: "HTTP 429".to_owned(),
        },
        status => Error::Refused {
            peer,
            what,
            code: status.map_or("no status".to_owned(), |status| format!("HTTP {status}")),
            reason: "the answer is not one of AWS".to_owned(),
        },
    }
}

fn line(text: &str) -> String {
    let one: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &one[..end]),
        None => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_words() {
        let word = |code| {
            said(
                "EC2 us-east-1",
                "DescribeVolumes",
                Some(code),
                Some("as it said"),
                Some(400),
            )
            .trouble()
        };
        assert_eq!(word("RequestLimitExceeded"), Trouble::Throttled);
        assert_eq!(word("Client.RequestLimitExceeded"), Trouble::Throttled);
        assert_eq!(word("UnauthorizedOperation"), Trouble::Denied);
        assert_eq!(word("AuthFailure"), Trouble::Denied);
        assert_eq!(word("RequestExpired"), Trouble::Expired);
        assert_eq!(word("InvalidAction"), Trouble::Unsupported);
        assert_eq!(word("Unavailable"), Trouble::Refused);
    }

    #[test]
    fn a_denial_names_the_missing_right() {
        let denied = said(
            "EC2 us-east-1",
            "DescribeVolumes",
            Some("UnauthorizedOperation"),
            Some("no"),
            None,
        );
        let sentence = denied.to_string();
        assert!(sentence.contains("ec2:DescribeVolumes"), "{sentence}");
        let denied = said(
            "CloudWatch us-east-1",
            "GetMetricData",
            Some("AccessDenied"),
            None,
            None,
        );
        assert!(denied.to_string().contains("cloudwatch:GetMetricData"));
    }

    #[test]
    fn what_aws_would_not_say_is_not_aws() {
        let html = said("EC2 us-east-1", "DescribeVolumeStatus", None, None, Some(500));
        assert_eq!(html.trouble(), Trouble::Refused);
        assert!(html.to_string().contains("HTTP 500"));
        assert_eq!(
            said("EC2 x", "Y", None, None, Some(404)).trouble(),
            Trouble::Unsupported
        );
    }

    #[test]
    fn reasons_are_one_short_line() {
        let long = line(&format!("a\n b{}", "c".repeat(1000)));
        assert!(!long.contains('\n') && long.chars().count() == MAX_REASON + 1);
    }
}
