//! Spoils what was observed, in each way that the oracle is there to notice.

use super::history::{Observed, Outcome, Place, Promises, Told};
use super::judge::{ABORTED, APART, BACK, LOST, ORDER, PHANTOM, SKIPPED, STALE, TORN, TWICE, TWO_OWNERS, judge};

type Spoil = fn(&mut Promises, &mut Observed) -> Option<()>;

const WAYS: [(&str, Spoil); 12] = [
    (LOST, lose),
    (TWICE, double),
    (ORDER, swap),
    (ABORTED, show),
    (TORN, tear),
    (BACK, rewind),
    (APART, differ),
    (STALE, forget),
    (TWO_OWNERS, share),
    (SKIPPED, skip),
    (PHANTOM, invent),
    (BACK, begin_before),
];

fn lose(promises: &mut Promises, observed: &mut Observed) -> Option<()> {
    let ((place, _), values) = promises.acknowledged.iter().find(|(_, values)| !values.is_empty())?;
    let written = observed.written.get_mut(place)?;
    written.retain(|value| value != &values[0]);
    Some(())
}

fn double(_: &mut Promises, observed: &mut Observed) -> Option<()> {
    let written = observed.written.values_mut().find(|written| !written.is_empty())?;
    written.push(written[0].clone());
    Some(())
}

fn swap(promises: &mut Promises, observed: &mut Observed) -> Option<()> {
    let ((place, _), values) = promises.acknowledged.iter().find(|(_, values)| values.len() > 1)?;
    let written = observed.written.get_mut(place)?;
    let at = |wanted: &str| written.iter().position(|value| value == wanted);
    let (first, second) = (at(&values[0])?, at(&values[1])?);
    written.swap(first, second);
    Some(())
}

fn show(promises: &mut Promises, observed: &mut Observed) -> Option<()> {
    let aborted = |(records, outcome): &&(Vec<_>, Outcome)| *outcome == Outcome::Aborted && !records.is_empty();
    let (records, _) = promises.transactions.iter().find(aborted)?;
    let (place, value) = &records[0];
    observed.committed.entry(*place).or_default().push(value.clone());
    Some(())
}

fn tear(promises: &mut Promises, observed: &mut Observed) -> Option<()> {
    let large = |(records, outcome): &&(Vec<_>, Outcome)| *outcome == Outcome::Committed && records.len() > 1;
    let (records, _) = promises.transactions.iter().find(large)?;
    let (place, value) = &records[0];
    observed.committed.get_mut(place)?.retain(|is| is != value);
    Some(())
}

fn rewind(promises: &mut Promises, observed: &mut Observed) -> Option<()> {
    let (of, acknowledged) = promises.offsets.iter().find(|(_, acknowledged)| **acknowledged > 0)?;
    observed.offsets.insert(of.clone(), acknowledged - 1);
    Some(())
}

fn differ(_: &mut Promises, observed: &mut Observed) -> Option<()> {
    let logs = observed
        .replicas
        .values_mut()
        .find(|logs| logs.values().all(|log| !log.is_empty()))?;
    let log = logs.values_mut().next()?;
    let mut other = log.to_vec();
    *other.last_mut()? ^= 1;
    *log = other.into();
    Some(())
}

fn forget(promises: &mut Promises, observed: &mut Observed) -> Option<()> {
    let ((place, key), _) = promises.latest.first_key_value()?;
    observed.keyed.get_mut(place)?.retain(|(is, _)| is != key);
    Some(())
}

fn share(promises: &mut Promises, _: &mut Observed) -> Option<()> {
    let of = |told: &&mut Told| told.owned.iter().any(|(.., owned)| !owned.is_empty());
    let told = promises.groups.values_mut().find(of)?;
    let (_, epoch, owned) = told.owned.iter().find(|(.., owned)| !owned.is_empty())?.clone();
    told.owned.push(("another".to_owned(), epoch, owned));
    Some(())
}

fn skip(promises: &mut Promises, observed: &mut Observed) -> Option<()> {
    for told in promises.groups.values_mut() {
        for (_, place, end) in &told.commits {
            let offsets = observed.offset_of.get(place)?;
            let passed = |(at, value): &&(Place, String)| at == place && offsets.get(value).is_some_and(|is| is < end);
            if let Some(seen) = told.seen.iter().find(passed).cloned() {
                told.seen.remove(&seen);
                return Some(());
            }
        }
    }
    None
}

fn invent(promises: &mut Promises, _: &mut Observed) -> Option<()> {
    let told = promises.groups.values_mut().find(|told| !told.seen.is_empty())?;
    let (place, _) = told.seen.first()?.clone();
    told.seen.insert((place, "invented".to_owned()));
    Some(())
}

fn begin_before(promises: &mut Promises, _: &mut Observed) -> Option<()> {
    let commits = promises.groups.values_mut().find(|told| !told.commits.is_empty())?;
    let (epoch, place, offset) = *commits.commits.first()?;
    commits.begins.push((epoch + 1, place, offset - 1));
    Some(())
}

/// What goes unnoticed; nothing, if all is well.
pub fn unnoticed(promises: &Promises, observed: &Observed) -> Vec<&'static str> {
    let goes_unnoticed = |(kind, spoil): &(&'static str, Spoil)| {
        let (mut promises, mut observed) = (promises.clone(), observed.clone());
        // A seed that has nothing of the kind proves nothing.
        spoil(&mut promises, &mut observed).is_none()
            || !judge(&promises, &observed).iter().any(|(found, _)| found == kind)
    };
    WAYS.into_iter().filter(goes_unnoticed).map(|(kind, _)| kind).collect()
}
