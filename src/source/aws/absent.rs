//! The AWS source of a build without the `aws` feature: it cannot be connected, so nothing can be asked of it.

use std::collections::BTreeMap;

use crate::model::Moment;
use crate::model::cloud::{
    Agent, Alarm, Caller, Cost, Credentials, Instance, InstanceType, Metrics, Modification, SecurityGroup, Subnet,
    Volume, Zone,
};
use crate::model::dns::{RecordSet, Records};
use crate::model::volume::{Change, EbsSnapshot};
use crate::source::Error;

use super::options::{Datum, Invocation, MetricTarget, Options, Order, Scope, Status};

/// Has no value: [`Aws::connect`] always fails.
#[derive(Debug, Clone)]
pub enum Aws {}

impl Aws {
    /// Fails and says how to get a build with AWS.
    pub fn connect(_options: Options) -> Result<Self, Error> {
        Err(Error::Unsupported {
            peer: "this build of azimuth".to_owned(),
            what: "AWS: build it with the feature `aws`".to_owned(),
        })
    }

    pub fn cost(&self) -> Cost {
        match *self {}
    }

    pub fn simulated(&self) -> bool {
        match *self {}
    }

    pub fn clock_factor(&self) -> u32 {
        match *self {}
    }

    pub async fn region(&self) -> Result<Option<String>, Error> {
        match *self {}
    }

    pub async fn caller(&self) -> Result<Caller, Error> {
        match *self {}
    }

    pub async fn own_zone(&self) -> Option<String> {
        match *self {}
    }

    pub async fn zones(&self) -> Result<BTreeMap<String, Zone>, Error> {
        match *self {}
    }

    pub fn broker_tag(&self) -> &str {
        match *self {}
    }

    pub async fn instances(&self, _scope: &Scope) -> Result<BTreeMap<String, Instance>, Error> {
        match *self {}
    }

    pub async fn statuses(&self, _instances: &[String]) -> Result<BTreeMap<String, Status>, Error> {
        match *self {}
    }

    pub async fn volumes(&self, _instances: &[String]) -> Result<BTreeMap<String, Volume>, Error> {
        match *self {}
    }

    pub async fn modifications(&self, _volumes: &[String]) -> Result<BTreeMap<String, Modification>, Error> {
        match *self {}
    }

    pub async fn snapshots(&self, _volumes: &[String], _now: Moment) -> Result<BTreeMap<String, Moment>, Error> {
        match *self {}
    }

    pub async fn types(&self, _names: &[String]) -> Result<BTreeMap<String, InstanceType>, Error> {
        match *self {}
    }

    pub async fn change(&self, _change: &Change, _token: &str, _dry_run: bool) -> Result<Vec<String>, Error> {
        match *self {}
    }

    pub async fn volume(&self, _id: &str) -> Result<Option<Volume>, Error> {
        match *self {}
    }

    pub async fn ebs_snapshots(&self, _ids: &[String], _token: Option<&str>) -> Result<Vec<EbsSnapshot>, Error> {
        match *self {}
    }

    pub async fn trials(&self, _volume: &Volume) -> Vec<(&'static str, Option<Result<(), Error>>)> {
        match *self {}
    }

    pub async fn credentials(&self) -> Result<Credentials, Error> {
        match *self {}
    }

    pub async fn agents(&self, _instances: &[String]) -> Result<BTreeMap<String, Option<Agent>>, Error> {
        match *self {}
    }

    pub async fn send_command(&self, _order: &Order) -> Result<String, Error> {
        match *self {}
    }

    pub async fn sent_command(&self, _instance: &str, _since: Moment, _comment: &str) -> Result<Option<String>, Error> {
        match *self {}
    }

    pub async fn invocation(&self, _command: &str, _instance: &str) -> Result<Option<Invocation>, Error> {
        match *self {}
    }

    pub async fn security_groups(&self, _ids: &[String]) -> Result<BTreeMap<String, SecurityGroup>, Error> {
        match *self {}
    }

    pub async fn subnets(&self, _vpcs: &[String]) -> Result<BTreeMap<String, Subnet>, Error> {
        match *self {}
    }

    pub async fn encryption_by_default(&self) -> Result<bool, Error> {
        match *self {}
    }

    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        match *self {}
    }

    pub async fn records(&self, _record: &str, _zone: Option<&str>) -> Result<Records, Error> {
        match *self {}
    }

    pub async fn upsert(&self, _zone: &str, _sets: &[RecordSet], _comment: &str) -> Result<String, Error> {
        match *self {}
    }

    pub async fn dns_change(&self, _id: &str) -> Result<Option<bool>, Error> {
        match *self {}
    }

    pub async fn put_metrics(&self, _namespace: &str, _data: &[Datum], _at: Moment) -> Result<(), Error> {
        match *self {}
    }

    pub async fn metrics(&self, _targets: &[MetricTarget], _now: Moment) -> Result<Metrics, Error> {
        match *self {}
    }
}
