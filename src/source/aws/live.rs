//! The AWS source over the SDK: clients made at the first question, one deadline and one meter for all calls.

mod account;
mod caller;
mod change;
mod command;
mod connect;
mod dns;
mod failure;
mod instance;
mod instance_type;
mod metric;
mod own;
mod publish;
mod status;
mod trial;
mod volume;
mod zone;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use tokio::sync::OnceCell;

use crate::model::Moment;
use crate::model::cloud::{
    Agent, Alarm, Caller, Cost, Credentials, Instance, InstanceType, Metrics, Modification, SecurityGroup, Subnet,
    Volume, Zone,
};
use crate::model::dns::{RecordSet, Records};
use crate::model::volume::{Change, EbsSnapshot, Shape};
use crate::source::Error;
use connect::Clients;

use super::options::{Datum, Invocation, MetricTarget, Options, Order, Scope, Status};

/// One HTTP exchange with its retry. The feed's own deadline bounds questions of several pages.
const CALL: Duration = Duration::from_secs(8);

/// Pages of one question. At 500 to 1,000 items each this is far beyond one cluster; an endpoint that never stops
/// paging is refused.
const MAX_PAGES: usize = 100;

/// USD a metric asked of GetMetricData: 0.01 a thousand, no free tier (CloudWatch pricing).
const USD_PER_METRIC: f64 = 0.01 / 1000.0;

/// The endpoint of `azimuth demo` starts its request ids with this, which AWS never does.
const SIMULATED: &str = "simulated-";

/// A handle to the AWS plane of one context; clones share clients and meter.
#[derive(Debug, Clone)]
pub struct Aws {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    clients: OnceCell<Clients>,
    requests: AtomicU64,
    metrics: AtomicU64,
    /// How much faster than AWS's the simulated cloud's clock runs; 0 for AWS itself.
    simulated: AtomicU32,
}

impl Aws {
    /// Remembers where to ask. Nothing is read or sent before the first question.
    ///
    /// # Errors
    /// None here; a build without AWS fails with [`Error::Unsupported`].
    pub fn connect(options: Options) -> Result<Self, Error> {
        let shared = Shared {
            options,
            clients: OnceCell::new(),
            requests: AtomicU64::new(0),
            metrics: AtomicU64::new(0),
            simulated: AtomicU32::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// What asking has cost so far.
    pub fn cost(&self) -> Cost {
        let metrics = self.shared.metrics.load(Ordering::Relaxed);
        Cost {
            requests: self.shared.requests.load(Ordering::Relaxed),
            metrics,
            usd: metrics as f64 * USD_PER_METRIC,
        }
    }

    /// True once the simulated cloud of `azimuth demo` has answered.
    pub fn simulated(&self) -> bool {
        self.clock_factor() > 0
    }

    /// How much faster than AWS's the simulated cloud's clock runs; 0 for AWS itself.
    pub fn clock_factor(&self) -> u32 {
        self.shared.simulated.load(Ordering::Relaxed)
    }

    /// The region that is asked.
    ///
    /// # Errors
    /// When no region is set anywhere.
    pub async fn region(&self) -> Result<Option<String>, Error> {
        Ok(Some(self.clients().await?.region.clone()))
    }

    /// As whom is asked. GetCallerIdentity, which no policy can deny.
    ///
    /// # Errors
    /// One of the words of [`Error`], as for every call here.
    pub async fn caller(&self) -> Result<Caller, Error> {
        caller::caller(self).await
    }

    /// The AZ id of the machine that this runs on, where that is an instance.
    pub async fn own_zone(&self) -> Option<String> {
        // A simulated cloud has no place for us.
        match self.shared.options.simulated {
            true => None,
            false => own::zone(None).await,
        }
    }

    /// The region's zones by name. DescribeAvailabilityZones.
    ///
    /// # Errors
    /// One of the words of [`Error`], as for every call here.
    pub async fn zones(&self) -> Result<BTreeMap<String, Zone>, Error> {
        zone::zones(self).await
    }

    /// Instances by id, without their status checks. DescribeInstances.
    ///
    /// # Errors
    /// As for every call here. One id in a zone under disruption fails the whole call.
    pub async fn instances(&self, scope: &Scope) -> Result<BTreeMap<String, Instance>, Error> {
        instance::instances(self, scope).await
    }

    /// Status checks and scheduled events by instance id. DescribeInstanceStatus.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn statuses(&self, instances: &[String]) -> Result<BTreeMap<String, Status>, Error> {
        status::statuses(self, instances).await
    }

    /// The volumes attached to these instances, by volume id, without modifications. DescribeVolumes.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn volumes(&self, instances: &[String]) -> Result<BTreeMap<String, Volume>, Error> {
        volume::volumes(self, instances).await
    }

    /// The last modification of each of these volumes that was ever modified. DescribeVolumesModifications.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn modifications(&self, volumes: &[String]) -> Result<BTreeMap<String, Modification>, Error> {
        volume::modifications(self, volumes).await
    }

    /// When the last completed snapshot of each of these volumes was begun; those without one in the last
    /// [`SNAPSHOT_DAYS`](crate::model::cloud::SNAPSHOT_DAYS) are left out. DescribeSnapshots.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn snapshots(&self, volumes: &[String], now: Moment) -> Result<BTreeMap<String, Moment>, Error> {
        volume::snapshots(self, volumes, now).await
    }

    /// What instance types sustain, by name; immutable, so worth keeping. DescribeInstanceTypes.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn types(&self, names: &[String]) -> Result<BTreeMap<String, InstanceType>, Error> {
        instance_type::types(self, names).await
    }

    /// The newest complete point of every series of the targets, 500 series a request. GetMetricData.
    /// A series without data is absent, which is not 0.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn metrics(&self, targets: &[MetricTarget], now: Moment) -> Result<Metrics, Error> {
        metric::metrics(self, targets, now).await
    }

    /// Puts values of custom metrics, of one moment, 1,000 a request. PutMetricData.
    ///
    /// # Errors
    /// As for every call here; a denial names the missing right.
    pub async fn put_metrics(&self, namespace: &str, data: &[Datum], at: Moment) -> Result<(), Error> {
        publish::put(self, namespace, data, at).await
    }

    /// Changes a volume, once; the ids of what was made. With `dry_run` only whether it would be done.
    ///
    /// # Errors
    /// As for every call here; a denial names the missing right.
    pub async fn change(&self, change: &Change, token: &str, dry_run: bool) -> Result<Vec<String>, Error> {
        change::change(self, change, token, dry_run).await
    }

    /// A volume by its id, wherever it is attached. DescribeVolumes.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn volume(&self, id: &str) -> Result<Option<Volume>, Error> {
        change::one_volume(self, id).await
    }

    /// Snapshots by id, or those that an act with this token made. DescribeSnapshots.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn ebs_snapshots(&self, ids: &[String], token: Option<&str>) -> Result<Vec<EbsSnapshot>, Error> {
        change::ebs_snapshots(self, ids, token).await
    }

    /// Which of the calls that change something a policy lets through, tried on a volume without doing anything; `None` where that
    /// cannot be tried.
    pub async fn trials(&self, volume: &Volume) -> Vec<(&'static str, Option<Result<(), Error>>)> {
        let about = trial::About {
            instance: volume.instance.as_deref().unwrap_or_default(),
            volume: &volume.id,
            device: volume.device.as_deref().unwrap_or_default(),
            zone: &volume.zone,
            shape: Shape::of(volume),
        };
        trial::trials(self, &about).await
    }

    /// When the credentials end that are in use, and whether they are renewed by themselves. Asks nobody but their provider.
    ///
    /// # Errors
    /// As for every call here: there are none, or they have ended.
    pub async fn credentials(&self) -> Result<Credentials, Error> {
        let clients = self.clients().await?;
        connect::credentials(clients).await
    }

    /// The SSM agents of these instances, by instance id; `None` where none ever registered. DescribeInstanceInformation.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn agents(&self, instances: &[String]) -> Result<BTreeMap<String, Option<Agent>>, Error> {
        command::agents(self, instances).await
    }

    /// Has a document run on one instance; the command's id. SendCommand, asked once: an error may come although it was taken.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn send_command(&self, order: &Order) -> Result<String, Error> {
        command::send(self, order).await
    }

    /// The command with this comment that was sent to an instance since. ListCommands.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn sent_command(&self, instance: &str, since: Moment, comment: &str) -> Result<Option<String>, Error> {
        command::sent(self, instance, since, comment).await
    }

    /// How a command stands; `None` while SSM does not know it on that instance. GetCommandInvocation.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn invocation(&self, command: &str, instance: &str) -> Result<Option<Invocation>, Error> {
        command::invocation(self, command, instance).await
    }

    /// What these security groups let in from everywhere, by id. DescribeSecurityGroups.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn security_groups(&self, ids: &[String]) -> Result<BTreeMap<String, SecurityGroup>, Error> {
        account::security_groups(self, ids).await
    }

    /// The subnets of these VPCs, by id. DescribeSubnets.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn subnets(&self, vpcs: &[String]) -> Result<BTreeMap<String, Subnet>, Error> {
        account::subnets(self, vpcs).await
    }

    /// Whether the account encrypts new volumes in this region. GetEbsEncryptionByDefault.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn encryption_by_default(&self) -> Result<bool, Error> {
        account::encryption_by_default(self).await
    }

    /// The alarms on metrics of EC2 and EBS. DescribeAlarms, a request for each hundred.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        account::alarms(self).await
    }

    /// The record sets of a name, in this hosted zone, or in the one whose name is the longest end of it. ListHostedZonesByName,
    /// ListResourceRecordSets.
    ///
    /// # Errors
    /// As for every call here; when no zone holds the name, or several do.
    pub async fn records(&self, record: &str, zone: Option<&str>) -> Result<Records, Error> {
        dns::records(self, record, zone).await
    }

    /// Makes record sets so, all of them or none; the id of the change. ChangeResourceRecordSets, UPSERT alone, so that asking twice
    /// changes nothing.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn upsert(&self, zone: &str, sets: &[RecordSet], comment: &str) -> Result<String, Error> {
        dns::upsert(self, zone, sets, comment).await
    }

    /// Whether all of Route 53 has a change; `None` while it is not known. GetChange.
    ///
    /// # Errors
    /// As for every call here.
    pub async fn dns_change(&self, id: &str) -> Result<Option<bool>, Error> {
        dns::state(self, id).await
    }

    /// The instance tag with the broker id.
    pub fn broker_tag(&self) -> &str {
        self.shared.options.broker_tag()
    }

    async fn clients(&self) -> Result<&Clients, Error> {
        let Shared { options, clients, .. } = &*self.shared;
        clients.get_or_try_init(|| connect::clients(options)).await
    }

    /// Sends one request, meters it and turns its failure into a word.
    async fn ask<T, E>(
        &self,
        service: &str,
        what: &str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Error>
    where
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let peer = format!("{service} {}", self.clients().await?.region);
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        // The SDK keeps the same deadline; this one holds whatever a credentials provider does.
        let deadline = CALL + Duration::from_secs(1);
        let Ok(answer) = tokio::time::timeout(deadline, call).await else {
            return Err(failure::timed_out(&peer, what, CALL));
        };
        let answer = answer.map_err(|error| failure::word(&peer, what, CALL, &error))?;
        if let Some(rest) = answer.request_id().and_then(|id| id.strip_prefix(SIMULATED)) {
            // `simulated-x10-7`, or `simulated-7` at AWS's own pace.
            let factor = rest
                .strip_prefix('x')
                .and_then(|rest| rest.split('-').next()?.parse().ok());
            self.shared.simulated.store(factor.unwrap_or(1), Ordering::Relaxed);
        }
        Ok(answer)
    }
}

/// Asks for one page after the other. `page` takes a token, `next` finds the following one in an answer.
async fn every_page<T, F, Fut>(what: &str, next: fn(&T) -> Option<&str>, mut page: F) -> Result<Vec<T>, Error>
where
    F: FnMut(Option<String>) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut pages = Vec::new();
    let mut token = None;
    while pages.len() < MAX_PAGES {
        let answer = page(token).await?;
        token = next(&answer).filter(|token| !token.is_empty()).map(ToOwned::to_owned);
        pages.push(answer);
        if token.is_none() {
            return Ok(pages);
        }
    }
    Err(Error::Local(format!(
        "{what} goes on after {MAX_PAGES} pages: narrow it with the context's tags or VPC"
    )))
}

/// AWS's moment as ours.
fn moment(at: Option<&aws_sdk_ec2::primitives::DateTime>) -> Option<Moment> {
    let at = at?;
    Moment::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

fn tags(tags: &[aws_sdk_ec2::types::Tag]) -> BTreeMap<String, String> {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

fn filter(name: impl Into<String>, values: impl IntoIterator<Item = String>) -> aws_sdk_ec2::types::Filter {
    aws_sdk_ec2::types::Filter::builder()
        .name(name)
        .set_values(Some(values.into_iter().collect()))
        .build()
}
