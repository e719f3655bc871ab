//! `azimuth wait mirrored`: until a mirror has what its source has, as far as the newest records tell.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{End, Talk, print};
use crate::check::State;
use crate::cli::exit::{Exit, Failure};
use crate::cli::facts::{hold_to_pin, way_to};
use crate::command::Line;
use crate::command::wait::Mirrored;
use crate::feed::Sources;
use crate::feed::mirrored::newest;
use crate::model::Moment;
use crate::model::mirrored::{Newest, compared};
use crate::model::snapshot::Snapshot;
use crate::plan::gate::few;
use crate::settings::Context;
use crate::settings::pin::Pins;

/// Between two looks.
const PACE: Duration = Duration::from_secs(1);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(15);

pub(super) async fn run(line: &Line, wish: &Mirrored, patience: Duration, hold: Duration) -> Result<Exit, Failure> {
    let mut here = Side::of(line, None)?;
    let mut there = Side::of(line, Some(&wish.source))?;
    if here.context.name == there.context.name {
        return Err(Failure::usage(format!(
            "--source {} is this context; name the one that is copied",
            wish.source
        )));
    }
    let began = Instant::now();
    let mut talk = Talk::default();
    let mut since: Option<Instant> = None;
    let mut last = State::Unknown("nothing was seen yet".to_owned());
    let mut seen = None;
    let held = loop {
        if began.elapsed() >= patience {
            break false;
        }
        // The source first: what the mirror gets meanwhile is not behind.
        last = match there.look().await? {
            Err(why) => State::Unknown(format!("{}: {why}", there.context.name)),
            Ok((_, source)) => match here.look().await? {
                Err(why) => State::Unknown(format!("{}: {why}", here.context.name)),
                Ok((snapshot, mirror)) => {
                    seen = snapshot
                        .cluster
                        .get()
                        .map(|cluster| (cluster.id.clone(), Moment::now()));
                    judge(wish, &source, &mirror)
                }
            },
        };
        talk.tell(&last, began.elapsed());
        since = match last {
            State::Holds(_) => since.or_else(|| Some(Instant::now())),
            _ => None,
        };
        if since.is_some_and(|since| since.elapsed() >= hold) {
            break true;
        }
        sleep(PACE.min(patience.saturating_sub(began.elapsed()))).await;
    };
    let unknown = matches!(last, State::Unknown(_));
    let end = End {
        held,
        state: last.text().to_owned(),
        waited_seconds: began.elapsed().as_secs_f64(),
    };
    print(line, &end, unknown, seen)
}

fn judge(wish: &Mirrored, source: &Newest, mirror: &Newest) -> State {
    // What a mirror writes for itself is copied by nobody.
    let own = |topic: &str| topic == "heartbeats" || topic.starts_with("mm2-") || topic.ends_with(".internal");
    let wanted = |topic: &String| match wish.topics.is_empty() {
        true => !own(topic),
        false => wish.topics.contains(topic),
    };
    if let Some(missing) = wish
        .topics
        .iter()
        .find(|name| !source.keys().any(|(topic, _)| topic == *name))
    {
        return State::No(format!("there is no topic {missing} on {}", wish.source));
    }
    let asked: Newest = source
        .iter()
        .filter(|((topic, _), _)| wanted(topic))
        .map(|(at, newest)| (at.clone(), *newest))
        .collect();
    let told = compared(&asked, mirror, &wish.prefix);
    let below = wish.below.as_ref().map_or(0, |time| time.0.as_millis() as i64);
    if !told.missing.is_empty() {
        return State::No(format!("not mirrored: {}", few(&told.missing)));
    }
    let count = format!("{} partitions", told.partitions);
    match told.worst {
        Some(worst) if told.behind_ms > below => State::No(format!(
            "{worst} is {:.1} s behind, of {count}",
            told.behind_ms as f64 / 1000.0
        )),
        Some(worst) => State::Holds(format!(
            "{count} mirrored, {worst} is {:.1} s behind",
            told.behind_ms as f64 / 1000.0
        )),
        None => State::Holds(format!("{count} mirrored to their newest record")),
    }
}

/// One of the two clusters.
struct Side {
    context: Context,
    pins: Pins,
    sources: Sources,
}

impl Side {
    fn of(line: &Line, name: Option<&str>) -> Result<Self, Failure> {
        let (context, pins, sources) = way_to(&line.global, name)?;
        Ok(Self { context, pins, sources })
    }

    /// What it has; a wrong cluster is a failure, an answer that is missing a reason.
    async fn look(&mut self) -> Result<Result<(Snapshot, Newest), String>, Failure> {
        let told = newest(&self.sources, LOOK).await;
        if let Ok((snapshot, _)) = &told {
            hold_to_pin(&self.context, &mut self.pins, snapshot)?;
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(all: &[(&str, Option<i64>)]) -> Newest {
        all.iter().map(|(topic, at)| (((*topic).to_owned(), 0), *at)).collect()
    }

    fn wish(topics: &[&str], below: Option<u64>) -> Mirrored {
        Mirrored {
            source: "primary".to_owned(),
            prefix: "p.".to_owned(),
            topics: topics.iter().map(|name| (*name).to_owned()).collect(),
            below: below.map(|ms| crate::command::value::Time(Duration::from_millis(ms))),
            ..Mirrored::default()
        }
    }

    #[test]
    fn behind_is_told_with_the_partition_and_what_the_mirror_writes_itself_is_left_out() {
        let source = newest(&[
            ("a", Some(9000)),
            ("heartbeats", Some(9000)),
            ("mm2-offsets.x.internal", Some(1)),
        ]);
        let mirror = newest(&[("p.a", Some(8000))]);
        let told = judge(&wish(&[], None), &source, &mirror);
        assert_eq!(told, State::No("a-0 is 1.0 s behind, of 1 partitions".to_owned()));
        assert!(matches!(
            judge(&wish(&[], Some(2000)), &source, &mirror),
            State::Holds(_)
        ));
        assert!(matches!(judge(&wish(&["b"], None), &source, &mirror), State::No(why) if why.contains("no topic b")));
        let nothing = judge(&wish(&[], None), &source, &newest(&[]));
        assert!(matches!(nothing, State::No(why) if why.contains("not mirrored")));
    }
}
