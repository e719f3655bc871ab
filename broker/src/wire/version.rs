//! Which version of an API two sides use.

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::VersionRange;

/// The highest version in both `ours` and what `theirs` advertises for `key`.
/// `None` if they do not advertise the API or the ranges do not meet.
pub fn common_version(theirs: &ApiVersionsResponse, key: i16, ours: VersionRange) -> Option<i16> {
    let range = advertised(theirs, key)?;
    let common = range.intersect(&ours);
    (!common.is_empty()).then_some(common.max)
}

/// What `theirs` advertises for `key`.
pub(super) fn advertised(theirs: &ApiVersionsResponse, key: i16) -> Option<VersionRange> {
    theirs
        .api_keys
        .iter()
        .find(|api| api.api_key == key)
        .map(|api| VersionRange {
            min: api.min_version,
            max: api.max_version,
        })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    use super::*;

    fn advertising(min: i16, max: i16) -> ApiVersionsResponse {
        let api = ApiVersion::default()
            .with_api_key(3)
            .with_min_version(min)
            .with_max_version(max);
        ApiVersionsResponse::default().with_api_keys(vec![api])
    }

    #[test]
    fn the_highest_version_of_both_is_used() {
        let ours = VersionRange { min: 1, max: 9 };
        assert_eq!(common_version(&advertising(0, 13), 3, ours), Some(9));
        assert_eq!(common_version(&advertising(0, 4), 3, ours), Some(4));
    }

    #[test]
    fn ranges_that_do_not_meet_have_no_version() {
        let ours = VersionRange { min: 5, max: 9 };
        assert_eq!(common_version(&advertising(0, 4), 3, ours), None);
        assert_eq!(common_version(&advertising(0, 9), 4, ours), None);
    }
}
