//! Numbers for people: three digits or so, and a unit. Bytes are decimal, as AWS bills and disks are sold.

use crate::model::Moment;

/// `1.24 TB`, `512 GB`, `3.1 MB`, `17 B`.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, "B")
}

/// `84 MB/s` for bytes per second.
pub fn mb_per_second(rate: f64) -> String {
    format!("{}/s", scaled(rate, "B"))
}

pub fn count<T: ToString>(number: &T) -> String {
    number.to_string()
}

pub fn percent(percent: f64) -> String {
    if percent > 0.0 && percent < 9.95 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// Two places at most, none where there are none.
pub fn plain(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `41s`, `3h40m`, `9d`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let (days, hours, minutes) = (seconds / 86400, seconds % 86400 / 3600, seconds % 3600 / 60);
    match (days, hours, minutes) {
        (3.., ..) => format!("{days}d"),
        (1.., ..) => format!("{days}d{hours}h"),
        (0, 1.., _) => format!("{hours}h{minutes:02}m"),
        (0, 0, 10..) => format!("{minutes}m"),
        (0, 0, 1..) => format!("{minutes}m{:02}s", seconds % 60),
        _ => format!("{seconds}s"),
    }
}

/// UTC to the second.
pub fn moment(at: Moment) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn scaled(number: f64, unit: &str) -> String {
    const STEPS: [(f64, &str); 5] = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (scaled, prefix) = STEPS
        .iter()
        .find(|(step, _)| number.abs() >= *step)
        .map_or((number, ""), |(step, prefix)| (number / step, *prefix));
    let digits = match scaled.abs() {
        0.0 => 0,
        small if small < 9.95 && (!prefix.is_empty() || small.fract() != 0.0) => 1,
        _ => 0,
    };
    format!("{scaled:.digits$} {prefix}{unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(17), "17 B");
        assert_eq!(bytes(3_100_000), "3.1 MB");
        assert_eq!(bytes(512_000_000_000), "512 GB");
        assert_eq!(bytes(1_240_000_000_000), "1.2 TB");
        assert_eq!(mb_per_second(84_000_000.0), "84 MB/s");
        assert_eq!(percent(61.4), "61%");
        assert_eq!(percent(0.44), "0.4%");
        assert_eq!(plain(0.4), "0.4");
        assert_eq!(plain(12.0), "12");
        assert_eq!(duration(41.0), "41s");
        assert_eq!(duration(13_200.0), "3h40m");
        assert_eq!(duration(90_000.0), "1d1h");
        assert_eq!(duration(777_600.0), "9d");
    }
}
