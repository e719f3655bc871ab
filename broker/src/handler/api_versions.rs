//! ApiVersions (18): what this listener serves, and the finalized features (KIP-511, KIP-584).

use std::ops::RangeInclusive;

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Refused, Reply, apis};
use crate::image::feature::FEATURES;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=4;

pub async fn handle(cx: &Context, call: &Call, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if call.version >= 3 && !(is_plain(&request.client_software_name) && is_plain(&request.client_software_version)) {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    if call.version >= 3 {
        let (name, version) = (request.client_software_name, request.client_software_version);
        call.software.get_or_init(|| (name.to_string(), version.to_string()));
    }
    let image = cx.image();
    let mut response = ApiVersionsResponse::default().with_api_keys(advertised(cx));
    // Tagged fields: written from version 3 on, and an error to set before.
    if call.version >= 3 {
        response.finalized_features_epoch = image.offset;
        for (name, level) in &image.features {
            let finalized = FinalizedFeatureKey::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_min_version_level(*level)
                .with_max_version_level(*level);
            response.finalized_features.push(finalized);
        }
        // Clients before version 4 cannot read a least level of 0 (KAFKA-17492).
        let shown = FEATURES.iter().filter(|feature| feature.min > 0 || call.version >= 4);
        response.supported_features = shown
            .map(|feature| {
                SupportedFeatureKey::default()
                    .with_name(StrBytes::from_static_str(feature.name))
                    .with_min_version(feature.min)
                    .with_max_version(feature.max)
            })
            .collect();
    }
    response
}

/// Answers a version that we do not have in version 0, naming the versions that we have.
pub fn refuse(_cx: &Context, call: &Call) -> Result<Reply, Refused> {
    let own = ApiVersion::default()
        .with_api_key(ApiKey::ApiVersions as i16)
        .with_min_version(*VERSIONS.start())
        .with_max_version(*VERSIONS.end());
    let response = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(vec![own]);
    let call = Call {
        version: 0,
        ..call.clone()
    };
    Reply::message(&response, &call).map_err(|reason| Refused::Unwritable {
        api: "ApiVersions".to_owned(),
        reason,
    })
}

fn advertised(cx: &Context) -> Vec<ApiVersion> {
    let api = |api: super::Api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(*api.versions.start())
            .with_max_version(*api.versions.end())
    };
    apis(cx.face).into_iter().map(api).collect()
}

/// KIP-511: letters and digits, with dots and dashes inside.
fn is_plain(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(name.chars().next()) && edge(name.chars().last()) && name.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn software_names_follow_kip_511() {
        assert!(is_plain("apache-kafka-java"));
        assert!(is_plain("4.1.0"));
        assert!(!is_plain(""));
        assert!(!is_plain("-x"));
        assert!(!is_plain("a b"));
    }
}
