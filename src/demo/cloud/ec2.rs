//! EC2's read operations over the simulated fleet.

pub(super) mod change;
mod describe;

use super::fault::{Faults, Refusal};
use super::fleet::{Disk, Fleet, Machine};
use super::query::Query;
use super::time::Tempo;
use super::xml::Xml;

/// Items a page when the request does not say.
pub(super) const PAGE: usize = 1000;

/// Seconds a modification is in `modifying`, then in `optimizing`.
const MODIFYING: i64 = 5;
const OPTIMIZING: i64 = 600;

/// One modification of a volume.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) before: Disk,
    pub(super) after: Disk,
    pub(super) started_at: i64,
}

/// What an operation looks at.
pub(super) struct View<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) faults: &'a Faults,
    pub(super) changes: &'a [Change],
    pub(super) now: i64,
    pub(super) tempo: Tempo,
    pub(super) page: usize,
    pub(super) request: &'a str,
}

/// Answers one call with an XML document.
pub(super) fn answer(view: &View<'_>, action: &str, query: &Query) -> Result<String, Refusal> {
    match action {
        "DescribeAvailabilityZones" => Ok(describe::zones(view)),
        "DescribeInstances" => describe::instances(view, query),
        "DescribeSecurityGroups" => describe::security_groups(view, query),
        "DescribeSubnets" => describe::subnets(view, query),
        "GetEbsEncryptionByDefault" => Ok(describe::encryption_by_default(view)),
        "DescribeInstanceStatus" => describe::statuses(view, query),
        "DescribeInstanceTypes" => describe::types(view, query),
        "DescribeVolumes" => describe::volumes(view, query),
        "DescribeVolumesModifications" => describe::modifications(view, query),
        "DescribeSnapshots" => describe::snapshots(view, query),
        "GetCallerIdentity" => Ok(identity(view)),
        other => Err(Refusal::new(
            400,
            "InvalidAction",
            format!("The action {other} is not valid for this web service."),
        )),
    }
}

/// STS answers on the same port: nobody, in an account that cannot exist.
fn identity(view: &View<'_>) -> String {
    let mut xml = Xml::default();
    xml.nest("GetCallerIdentityResponse", |xml| {
        xml.nest("GetCallerIdentityResult", |xml| {
            xml.leaf("Arn", "arn:aws:sts::000000000000:assumed-role/simulated/azimuth-demo");
            xml.leaf("UserId", "SIMULATED:azimuth-demo")
                .leaf("Account", "000000000000");
        });
        xml.nest("ResponseMetadata", |xml| {
            xml.leaf("RequestId", view.request);
        });
    });
    xml.into_text()
}

/// EC2's error document.
pub(super) fn error(refusal: &Refusal, request: &str) -> String {
    let mut xml = Xml::default();
    xml.nest("Response", |xml| {
        xml.nest("Errors", |xml| {
            xml.nest("Error", |xml| {
                xml.leaf("Code", &refusal.code).leaf("Message", &refusal.message);
            });
        });
        xml.leaf("RequestID", request);
    });
    xml.into_text()
}

impl View<'_> {
    /// EC2 refuses a call that touches a zone under disruption, or that names no instance at all (EC2 API reference,
    /// DescribeInstances).
    fn check_zones(&self, ids: &[&str]) -> Result<(), Refusal> {
        let disrupted = |id: &str| {
            let machine = self.fleet.machine(id);
            machine.is_some_and(|machine| self.faults.outages.contains_key(&machine.zone))
        };
        let touched = match ids {
            [] => !self.faults.outages.is_empty(),
            ids => ids.iter().any(|id| disrupted(id)),
        };
        match touched {
            true => Err(Refusal::new(
                503,
                "Unavailable",
                "The server is overloaded and can't handle the request.",
            )),
            false => Ok(()),
        }
    }

    /// The machines asked for by id, in the fleet's order.
    fn by_ids(&self, ids: &[&str]) -> Result<Vec<&Machine>, Refusal> {
        let unknown: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| self.fleet.machine(id).is_none())
            .collect();
        match unknown.as_slice() {
            [] => {
                let machines = self.fleet.machines.iter();
                Ok(machines
                    .filter(|machine| ids.is_empty() || ids.contains(&machine.id.as_str()))
                    .collect())
            }
            [id] => Err(Refusal::new(
                400,
                "InvalidInstanceID.NotFound",
                format!("The instance ID '{id}' does not exist"),
            )),
            ids => Err(Refusal::new(
                400,
                "InvalidInstanceID.NotFound",
                format!("The instance IDs '{}' do not exist", ids.join(", ")),
            )),
        }
    }

    /// One page of the items, and the token of the next.
    fn page<T>(&self, query: &Query, items: Vec<T>) -> Result<(Vec<T>, Option<usize>), Refusal> {
        let asked = query
            .get("MaxResults")
            .and_then(|size| size.parse().ok())
            .unwrap_or(PAGE);
        let size = asked.min(self.page).max(1);
        let start = match query.get("NextToken") {
            None | Some("") => 0,
            Some(token) => token
                .parse::<usize>()
                .map_err(|_| Refusal::new(400, "InvalidParameterValue", "Unable to parse pagination token"))?,
        };
        let next = (start.saturating_add(size) < items.len()).then(|| start + size);
        Ok((items.into_iter().skip(start).take(size).collect(), next))
    }
}

/// Whether a filter of this name lets an item through; an unknown filter is refused, as EC2 does. A value may end in
/// the wildcard `*`.
fn passes(filters: &[(&str, Vec<&str>)], field: impl Fn(&str) -> Option<Vec<String>>) -> Result<bool, Refusal> {
    for (name, wanted) in filters {
        let have = field(name)
            .ok_or_else(|| Refusal::new(400, "InvalidParameterValue", format!("The filter '{name}' is invalid")))?;
        let matches = |value: &String| {
            wanted.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(start) => value.starts_with(start),
                None => value == wanted,
            })
        };
        if !have.iter().any(matches) {
            return Ok(false);
        }
    }
    Ok(true)
}
