//! PutMetricData: custom metrics, as few requests as CloudWatch takes them in.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use crate::model::Moment;
use crate::source::Error;

use super::super::options::Datum;
use super::Aws;

const WHAT: &str = "PutMetricData";

/// CloudWatch's limit for one request (API reference, PutMetricData).
const DATA: usize = 1000;

/// The longest value of a dimension that it takes.
const VALUE: usize = 1024;

pub(super) async fn put(aws: &Aws, namespace: &str, data: &[Datum], at: Moment) -> Result<(), Error> {
    let cloudwatch = &aws.clients().await?.cloudwatch;
    let at = DateTime::from_secs(at.as_second());
    for data in data.chunks(DATA) {
        let call = cloudwatch
            .put_metric_data()
            .namespace(namespace)
            .set_metric_data(Some(data.iter().map(|datum| told(datum, at)).collect()));
        aws.ask("CloudWatch", WHAT, call.send()).await?;
    }
    Ok(())
}

fn told(datum: &Datum, at: DateTime) -> MetricDatum {
    let dimension = |(name, value): &(&'static str, String)| {
        // It refuses what is not ASCII, and a value without a letter.
        let plain = |letter: char| if letter.is_ascii_graphic() { letter } else { '_' };
        let value: String = value.chars().take(VALUE).map(plain).collect();
        let value = if value.is_empty() { "-".to_owned() } else { value };
        Dimension::builder().name(*name).value(value).build()
    };
    MetricDatum::builder()
        .metric_name(datum.name)
        .set_dimensions(Some(datum.dimensions.iter().map(dimension).collect()))
        .unit(StandardUnit::from(datum.unit))
        .value(datum.value)
        .timestamp(at)
        .build()
}
