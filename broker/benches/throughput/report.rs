//! What was measured, and the table of it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::client::Ended;
use super::moment::Moment;
use super::{Cell, Failure, KAFKA, OURS, System, cpu};

/// One run of one cell.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// 10⁶ bytes of values per second, by the client's clock.
    pub throughput: f64,
    /// Processor seconds of all brokers per 10⁹ bytes of values.
    pub cpu: f64,
}

impl Run {
    /// Measures `work`, and prints the run with what others on this machine used meanwhile.
    pub fn of(
        system: &impl System,
        cell: Cell,
        work: impl FnOnce() -> Result<Ended, Failure>,
    ) -> Result<Self, Failure> {
        let processes = system.processes();
        let used = || {
            processes
                .iter()
                .map(|process| cpu::of(*process))
                .sum::<Result<f64, Failure>>()
        };
        let (before, all_before, begun) = (used()?, cpu::of_all()?, Instant::now());
        let ended = work()?;
        let (brokers, all) = (used()? - before, cpu::of_all()? - all_before);
        let client = ended.processes().map(cpu::of).sum::<Result<f64, Failure>>()?;
        let elapsed = begun.elapsed().as_secs_f64();
        let measured = ended.measured()?;
        let bytes = measured.bytes as f64;
        let run = Self {
            throughput: bytes / 1e3 / measured.milliseconds.max(1) as f64,
            cpu: brokers / (bytes / 1e9),
        };
        println!(
            "{:14} {:19} {:7.1} MB/s {:6.2} CPU-s/GB   client {:5.2} CPU-s/GB, others {:3.0} % of a processor",
            system.name(),
            cell.title(),
            run.throughput,
            run.cpu,
            client / (bytes / 1e9),
            (all - brokers - client).max(0.0) / elapsed * 100.0,
        );
        Ok(run)
    }
}

/// All runs that count.
#[derive(Default)]
pub struct Report {
    runs: BTreeMap<(Cell, &'static str), Vec<Run>>,
    moments: BTreeMap<(Moment, &'static str), Vec<f64>>,
}

impl Report {
    pub fn add(&mut self, system: &'static str, cell: Cell, run: Run) {
        self.runs.entry((cell, system)).or_default().push(run);
    }

    pub fn tell(&mut self, system: &'static str, moment: Moment, value: f64) {
        println!("{system:14} {:28} {value:10.1}", moment.title());
        self.moments.entry((moment, system)).or_default().push(value);
    }

    /// The table, and for cells that both systems have the ratios of the medians.
    pub fn print(&self) {
        println!(
            "\n{:19} {:14} {:>4}  {:>22}  {:>22}",
            "", "", "runs", "MB/s (min–max)", "CPU-s/GB (min–max)"
        );
        for ((cell, system), runs) in &self.runs {
            println!(
                "{:19} {:14} {:>4}  {:>22}  {:>22}",
                cell.title(),
                system,
                runs.len(),
                spread(runs, |run| run.throughput, 0),
                spread(runs, |run| run.cpu, 2)
            );
        }
        println!();
        for cell in Cell::ALL {
            let of = |system| self.runs.get(&(cell, system));
            if let (Some(ours), Some(kafka)) = (of(OURS), of(KAFKA)) {
                println!(
                    "{:19} {:.2} times Apache Kafka's throughput at {:.2} of its processor time per GB",
                    cell.title(),
                    median(ours, |run| run.throughput) / median(kafka, |run| run.throughput),
                    median(ours, |run| run.cpu) / median(kafka, |run| run.cpu)
                );
            }
        }
        self.print_moments();
    }

    fn print_moments(&self) {
        println!(
            "\n{:28} {:>26}  {:>26}  {:>6}",
            "median (min–max)", OURS, KAFKA, "ratio"
        );
        for moment in Moment::ALL {
            let ours = self.moments.get(&(moment, OURS));
            let kafka = self.moments.get(&(moment.of_kafka(), KAFKA));
            let told =
                |values: Option<&Vec<f64>>| values.map_or("–".to_owned(), |values| spread(values, |one| *one, 1));
            let middle = |values: &Vec<f64>| median(values, |one| *one);
            let ratio = ours.zip(kafka).map(|(ours, kafka)| middle(ours) / middle(kafka));
            if ours.is_some() || kafka.is_some() {
                let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}"));
                println!(
                    "{:28} {:>26}  {:>26}  {ratio:>6}",
                    moment.title(),
                    told(ours),
                    told(kafka)
                );
            }
        }
    }
}

fn sorted<T>(runs: &[T], of: impl Fn(&T) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median<T>(runs: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let values = sorted(runs, of);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

fn spread<T>(runs: &[T], of: impl Fn(&T) -> f64 + Copy, digits: usize) -> String {
    let values = sorted(runs, of);
    let (least, most) = (values.first().unwrap_or(&f64::NAN), values.last().unwrap_or(&f64::NAN));
    format!("{:.digits$} ({least:.digits$}–{most:.digits$})", median(runs, of))
}
