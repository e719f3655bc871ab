//! The same facts with rates, growth and loads over another time than the usual one.

use std::sync::Arc;

use super::history::{Series, Window};
use super::logdir::LogDir;
use super::metric::BrokerMetrics;
use super::offset::Offsets;
use super::{BrokerId, Observed, Snapshot};

impl Snapshot {
    /// Rates of logs, growth of directories, loads of instances and volumes, and what clients produce and fetch, each over
    /// `window`, as far as it is remembered; what is not stays as it is. Linear in partitions.
    #[must_use]
    pub fn over(&self, window: Window) -> Self {
        let mut over = self.clone();
        let rates = self.history.trail.rates(window.seconds());
        for section in over.offsets.values_mut() {
            replace(section, |offsets: &mut Offsets| {
                for log in offsets.iter_mut() {
                    log.span.rate = rates.get(&log.topic, log.partition).or(log.span.rate);
                }
            });
        }
        for (id, section) in &mut over.logdirs {
            replace(section, |dirs: &mut Vec<LogDir>| {
                let alone = dirs.len() == 1;
                for dir in dirs {
                    let growth = self.growth(*id, &dir.path, alone, window);
                    dir.growth_bytes_per_second = growth.or(dir.growth_bytes_per_second);
                }
            });
        }
        for (id, section) in &mut over.broker_metrics {
            let Some(traffic) = self.history.traffic.get(id) else {
                continue;
            };
            let rate = |series: &Series| series.slope_per_second(window.seconds());
            replace(section, |metrics: &mut BrokerMetrics| {
                metrics.in_bytes_per_second = rate(&traffic.in_bytes).or(metrics.in_bytes_per_second);
                metrics.out_bytes_per_second = rate(&traffic.out_bytes).or(metrics.out_bytes_per_second);
            });
        }
        replace(&mut over.cloud.metrics, |metrics| {
            let instances = metrics.instances.values_mut().flat_map(|instance| instance.loads_mut());
            let volumes = metrics.volumes.values_mut().flat_map(|volume| volume.loads_mut());
            for point in instances.chain(volumes) {
                point.value = point.over(window);
            }
        });
        over
    }

    fn growth(&self, broker: BrokerId, path: &str, alone: bool, window: Window) -> Option<f64> {
        let history = &self.history;
        let own = history.dir_bytes.get(&broker).and_then(|dirs| dirs.get(path));
        let own = own.and_then(|series| series.slope_per_second(window.seconds()));
        // What another console has recorded is told of brokers only.
        let recorded = || history.broker_bytes.get(&broker)?.slope_per_second(window.seconds());
        own.or_else(|| recorded().filter(|_| alone))
    }
}

fn replace<T: Clone>(section: &mut Observed<T>, change: impl FnOnce(&mut T)) {
    if let Some(value) = &mut section.value {
        change(Arc::make_mut(value));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Moment;
    use crate::model::cloud::{InstanceMetrics, Metrics, Point, VolumeMetrics};
    use crate::model::history::{History, Traffic};
    use crate::model::offset::Span;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn series(of: impl Fn(i64) -> f64) -> Series {
        let mut series = Series::default();
        for second in (0..=600).step_by(10) {
            series.push(at(second), of(second));
        }
        series
    }

    /// Everything ran at 10 a second for nine minutes, and has run at 1,000 for one.
    fn burst(second: i64) -> f64 {
        (second.min(540) * 10 + (second - 540).max(0) * 1000) as f64
    }

    fn dir(path: &str, growth: Option<f64>) -> LogDir {
        LogDir {
            path: path.to_owned(),
            error: None,
            total_bytes: None,
            usable_bytes: None,
            growth_bytes_per_second: growth,
            replicas: Arc::default(),
            top: Vec::new(),
            copies: Vec::new(),
        }
    }

    fn seen() -> Snapshot {
        let mut history = History::default();
        for second in (0..=600).step_by(10) {
            history
                .trail
                .push(at(second), [("orders", 0, burst(second) as i64)].into_iter());
        }
        let dirs = BTreeMap::from([("/data".to_owned(), series(burst))]);
        history.dir_bytes = Arc::new([(1, dirs)].into());
        let traffic = Traffic {
            in_bytes: series(burst),
            out_bytes: Series::default(),
        };
        history.traffic = Arc::new([(1, traffic)].into());
        let span = Span {
            start: 0,
            end: burst(600) as i64,
            rate: Some(1000.0),
        };
        let offsets = Offsets::from_iter([("orders", 0, span)]);
        let dir = dir("/data", Some(1000.0));
        let metrics = BrokerMetrics {
            in_bytes_per_second: Some(1000.0),
            out_bytes_per_second: Some(7.0),
            ..BrokerMetrics::default()
        };
        let point = Some(Point {
            at: at(540),
            value: 1000.0,
            over_5m: Some(208.0),
            over_10m: Some(109.0),
        });
        let mut snapshot = Snapshot::default();
        snapshot.offsets.insert(1, Observed::fresh(offsets, at(600)));
        snapshot.logdirs.insert(1, Observed::fresh(vec![dir], at(600)));
        snapshot.broker_metrics.insert(1, Observed::fresh(metrics, at(600)));
        let instance = InstanceMetrics {
            cpu_percent: point,
            status_check_failed_ebs: point,
            ..InstanceMetrics::default()
        };
        let volume = VolumeMetrics {
            write_ops_per_second: point,
            stalled_io: point,
            ..VolumeMetrics::default()
        };
        let metrics = Metrics {
            instances: [("i-1".to_owned(), instance)].into(),
            volumes: [("vol-1".to_owned(), volume)].into(),
        };
        snapshot.cloud.metrics = Observed::fresh(metrics, at(600));
        snapshot.history = Arc::new(history);
        snapshot
    }

    #[test]
    fn every_rate_and_load_is_over_the_time_that_is_wanted_and_no_state_is() {
        let seen = seen();
        for (seconds, wanted, load) in [(60, 1000.0, 1000.0), (300, 208.0, 208.0), (600, 109.0, 109.0)] {
            let over = seen.over(Window::of(seconds));
            let rate = over.offsets[&1].get().unwrap().get("orders", 0).unwrap().rate;
            assert_eq!(rate, Some(wanted), "{seconds}");
            let dirs = over.logdirs[&1].get().unwrap();
            assert_eq!(dirs[0].growth_bytes_per_second, Some(wanted), "{seconds}");
            let scraped = over.broker_metrics[&1].get().unwrap();
            assert_eq!(scraped.in_bytes_per_second, Some(wanted), "{seconds}");
            assert_eq!(scraped.out_bytes_per_second, Some(7.0), "what is not remembered stays");
            let metrics = over.cloud.metrics.get().unwrap();
            let (instance, volume) = (&metrics.instances["i-1"], &metrics.volumes["vol-1"]);
            assert_eq!(instance.cpu_percent.unwrap().value, load, "{seconds}");
            assert_eq!(volume.write_ops_per_second.unwrap().value, load, "{seconds}");
            assert_eq!(instance.status_check_failed_ebs.unwrap().value, 1000.0);
            assert_eq!(volume.stalled_io.unwrap().value, 1000.0);
        }
        assert_eq!(
            seen.offsets[&1].get().unwrap().get("orders", 0).unwrap().rate,
            Some(1000.0)
        );
    }

    #[test]
    fn a_directory_that_another_console_watched_goes_by_its_broker() {
        let mut seen = seen();
        let mut history = History::clone(&seen.history);
        history.dir_bytes = Arc::default();
        history.broker_bytes = Arc::new([(1, series(burst))].into());
        seen.history = Arc::new(history);
        let growth = |seen: &Snapshot| seen.over(Window::of(600)).logdirs[&1].get().unwrap()[0].growth_bytes_per_second;
        assert_eq!(growth(&seen), Some(109.0));
        let mut dirs = seen.logdirs[&1].get().unwrap().clone();
        dirs.push(dir("/more", None));
        seen.logdirs.insert(1, Observed::fresh(dirs, at(600)));
        assert_eq!(growth(&seen), Some(1000.0), "of two it cannot be told which");
    }
}
