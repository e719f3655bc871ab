//! What the AWS source is told, and what it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::cloud::Event;
use crate::model::identity::BROKER_TAG;

/// Where and as whom to ask. Everything unset comes from the standard chains: environment, profile, container, IMDS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub profile: Option<String>,
    pub region: Option<String>,
    /// Overrides `AWS_ENDPOINT_URL` for this context.
    pub endpoint_url: Option<String>,
    /// A role to assume with the chain's credentials.
    pub role_arn: Option<String>,
    /// Discovery looks only at instances that carry all these tags.
    pub tags: BTreeMap<String, String>,
    /// Discovery looks only at this VPC.
    pub vpc: Option<String>,
    /// The instance tag with the broker id, where it is not `kafka:broker-id`.
    pub broker_tag: Option<String>,
    /// Instances that the context maps brokers to: discovery finds them wherever they are.
    pub mapped: BTreeSet<String>,
    /// Sign with made-up credentials. For the endpoint of `azimuth demo`, which checks none: real ones are then never
    /// read, let alone sent there.
    pub simulated: bool,
}

impl Options {
    /// The instance tag with the broker id.
    pub fn broker_tag(&self) -> &str {
        self.broker_tag.as_deref().unwrap_or(BROKER_TAG)
    }
}

/// Which instances are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// These instances, of one zone. An id that EC2 no longer knows is left out of the answer.
    Ids(Vec<String>),
    /// Instances that have one of these addresses, private or public, on any interface. Joined on this side over all
    /// pages of the instances that the options' tags and VPC let through. Where no address is found, those that carry
    /// the broker tag; an empty list finds them all.
    Addresses(Vec<String>),
}

/// An instance or a volume with the dimensions its metrics are kept under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricTarget {
    Instance {
        id: String,
        /// Points every minute instead of every five.
        detailed_monitoring: bool,
    },
    Volume {
        id: String,
        instance: Option<String>,
        volume_type: String,
    },
}

/// What DescribeInstanceStatus says of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub state: Option<String>,
    /// `ok`, `impaired`, `initializing`, `insufficient-data`, `not-applicable`.
    pub system_check: Option<String>,
    pub instance_check: Option<String>,
    pub ebs_check: Option<String>,
    /// Scheduled events that are not completed.
    pub events: Vec<Event>,
}

/// A value of a custom metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    pub name: &'static str,
    pub dimensions: Vec<(&'static str, String)>,
    /// One of CloudWatch's: `Count`, `Seconds`, `None`, …
    pub unit: &'static str,
    pub value: f64,
}

/// A document to be run on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub instance: String,
    pub document: String,
    pub parameters: BTreeMap<String, Vec<String>>,
    /// By which the command is found again; at most 100 letters (SSM API reference, SendCommand).
    pub comment: String,
    /// How long its agent may take to fetch it; afterwards it is never run.
    pub delivery_seconds: i32,
}

/// How a command stands on an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// `Pending`, `InProgress`, `Delayed`, `Success`, `Cancelled`, `TimedOut`, `Failed`, `Cancelling`.
    pub status: String,
    /// More exactly, for example `DeliveryTimedOut` or `ExecutionTimedOut`.
    pub detail: String,
    /// Exit status, once there is one.
    pub code: Option<i32>,
    /// The first 24,000 letters of its output and 8,000 of its errors.
    pub said: String,
}
