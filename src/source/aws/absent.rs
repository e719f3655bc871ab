//! The AWS source of a build without the `aws` feature: it cannot be connected, so nothing can be asked of it.

use std::collections::BTreeMap;

use crate::model::Moment;
use crate::model::cloud::{Caller, Cost, Instance, InstanceType, Metrics, Modification, Volume, Zone};
use crate::source::Error;

use super::options::{MetricTarget, Options, Scope, Status};

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

    pub async fn metrics(&self, _targets: &[MetricTarget], _now: Moment) -> Result<Metrics, Error> {
        match *self {}
    }
}
