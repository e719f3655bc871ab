//! Processor time, from `/proc`.

use std::fs;
use std::process::Child;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::Failure;

/// Clock ticks per second in `/proc`: USER_HZ, which is part of Linux's interface.
const TICKS: f64 = 100.0;

/// Processor seconds that a process has used, in user space and in the kernel; also of one that was not reaped yet.
pub fn of(process: u32) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = after_name(&text);
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    // utime and stime are the 14th and 15th, and the name is the 2nd.
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => Err(format!("/proc/{process}/stat is not understood: {text}").into()),
    }
}

/// Processor seconds that everything on this machine has used.
pub fn of_all() -> Result<f64, Failure> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq
    Ok((ticks.iter().take(7).sum::<f64>() - ticks.iter().skip(3).take(2).sum::<f64>()) / TICKS)
}

/// The children of a process, and itself.
pub fn family(parent: u32) -> Vec<u32> {
    let own = parent.to_string();
    let children = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let process: u32 = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(entry.path().join("stat")).ok()?;
            (after_name(&text).get(1) == Some(&own.as_str())).then_some(process)
        });
    children.chain([parent]).collect()
}

/// The fields after the name, which may hold anything.
fn after_name(text: &str) -> Vec<&str> {
    text.rsplit_once(')')
        .map_or("", |(_, fields)| fields)
        .split_whitespace()
        .collect()
}

/// A process as the system calls know it.
pub fn pid(process: u32) -> Result<Pid, Failure> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| "a process without an id".into())
}

/// Waits for the end of a child and leaves it to be reaped.
pub fn until_ended(child: &Child) -> Result<(), Failure> {
    waitid(
        WaitId::Pid(pid(child.id())?),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    Ok(())
}
