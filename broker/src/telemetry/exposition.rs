//! The text that Prometheus reads, format 0.0.4: samples grouped by metric, each group with its type and help.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Metrics being written, in the order of their names.
#[derive(Debug, Default)]
pub struct Exposition {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Debug)]
struct Metric {
    kind: &'static str,
    help: &'static str,
    samples: String,
}

impl Exposition {
    /// Something that only grows; its name ends with `_total` or `_count`.
    pub fn counter(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        self.sample(name, "counter", help, labels, value);
    }

    /// Something that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        self.sample(name, "gauge", help, labels, value);
    }

    fn sample(&mut self, name: &str, kind: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        if !self.metrics.contains_key(name) {
            let metric = Metric {
                kind,
                help,
                samples: String::new(),
            };
            self.metrics.insert(name.to_owned(), metric);
        }
        let Some(metric) = self.metrics.get_mut(name) else {
            return;
        };
        let out = &mut metric.samples;
        out.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            out.push(if at == 0 { '{' } else { ',' });
            out.push_str(label);
            out.push_str("=\"");
            escape(out, value);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        // Writing to a String does not fail.
        let _ = writeln!(out, " {value}");
    }

    /// The text as it is sent.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, metric) in &self.metrics {
            // Writing to a String does not fail.
            let _ = write!(
                text,
                "# HELP {name} {}\n# TYPE {name} {}\n{}",
                metric.help, metric.kind, metric.samples
            );
        }
        text
    }
}

fn escape(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_metric_stand_together_under_one_type() {
        let mut exposition = Exposition::default();
        exposition.counter("b_total", "Bees.", &[], 3.0);
        exposition.gauge("a", "A.", &[("topic", "x"), ("client", "say \"hi\"\\\n")], 0.5);
        exposition.counter("b_total", "Bees.", &[("topic", "x")], 2.0);
        assert_eq!(
            exposition.render(),
            "# HELP a A.\n# TYPE a gauge\na{topic=\"x\",client=\"say \\\"hi\\\"\\\\\\n\"} 0.5\n\
             # HELP b_total Bees.\n# TYPE b_total counter\nb_total 3\nb_total{topic=\"x\"} 2\n"
        );
    }
}
