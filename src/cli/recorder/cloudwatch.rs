//! The same numbers put into CloudWatch.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::super::exit::say;
use super::Seen;
use super::page::{Number, numbers};
use crate::feed::{Aws, Datum};
use crate::model::price;

/// The name of a finding is in its dimensions, and every new one would be a new metric for a month: only how many there are
/// is put there.
fn data(seen: &Seen) -> Vec<Datum> {
    let of = |dimensions: Vec<(&'static str, String)>, name: &'static str, unit, value| Datum {
        name,
        dimensions: std::iter::once(("Context", seen.snapshot.context.clone()))
            .chain(dimensions)
            .collect(),
        unit,
        value,
    };
    let found = seen.triage.causes.len() as f64;
    let mut data = vec![of(Vec::new(), "Findings", "Count", found)];
    for Number {
        name, labels, value, ..
    } in numbers(seen)
    {
        let group = labels.into_iter().map(|(_, value)| ("Group", value)).collect();
        let (name, unit) = match name {
            "azimuth_triage_status" => ("TriageStatus", "None"),
            "azimuth_triage_complete" => ("TriageComplete", "None"),
            "azimuth_group_lag_records" => ("LagRecords", "Count"),
            "azimuth_group_behind_seconds" => ("BehindSeconds", "Seconds"),
            "azimuth_group_safe_seconds" => ("SafeSeconds", "Seconds"),
            _ => continue,
        };
        data.push(of(group, name, unit, value));
    }
    data
}

/// Puts what was seen last, again and again. What goes wrong is told once, and again when it goes wrong otherwise.
pub async fn put(aws: Aws, namespace: String, mut seen: watch::Receiver<Option<Seen>>, every: Duration) {
    let (mut priced, mut failed) = (0, None::<String>);
    // Nothing was seen before the recorder is gone.
    if seen.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let mut ticks = interval_at(Instant::now(), every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(last) = seen.borrow().clone() else { continue };
        let data = data(&last);
        if data.len() > priced {
            priced = data.len();
            let month = price::custom_metrics_usd(priced);
            say(&format!(
                "azimuth: {priced} metrics in CloudWatch's {namespace}: ${month:.2} a month, us-east-1 list"
            ));
        }
        let trouble = aws.put_metrics(&namespace, &data, last.now).await.err();
        let trouble = trouble.map(|error| error.to_string());
        if let Some(why) = trouble.as_ref().filter(|why| failed.as_ref() != Some(*why)) {
            say(&format!("azimuth: nothing is put into CloudWatch: {why}"));
        }
        failed = trouble;
    }
}
