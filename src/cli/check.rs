//! `azimuth check …`

mod page;

use super::exit::{Exit, Failure};
use super::facts::{Facts, gather, paths};
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, print};
use super::triage::with_facts;
use crate::check::practice::{self, Check, Finding, Lack, Plane, Proof, Score, Section as Chapter, Severity, Status};
use crate::command::check::{Plane as Asked, Run, Unknown, Verb};
use crate::command::triage::FailOn;
use crate::command::{Line, Output};
use crate::feed::Section;
use crate::model::{Moment, nearest};
use crate::operation::shelf::Shelf;
use crate::settings::state;

/// What the brokers' protocol tells.
const KAFKA: [Section; 12] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::Offsets,
    Section::Groups,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::TopicConfigs,
    Section::Quorum,
    Section::Reassignments,
    Section::Acls,
    Section::ClientMetrics,
];
const AWS: [Section; 4] = [Section::Instances, Section::Volumes, Section::Metrics, Section::Account];

/// Findings with what they are worth together.
struct Report {
    findings: Vec<Finding>,
    scores: Vec<Score>,
    /// Registered brokers, and how many there should be.
    brokers: (u32, Option<u32>),
    /// Something fails, or warns where that counts; or brokers are missing.
    is_no: bool,
    /// Something could not be seen that counts.
    is_partial: bool,
}

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(asked) => judge(line, asked).await,
        Verb::List { section } => {
            let chapter = section.as_deref().map(chapter).transpose()?;
            let checks: Vec<&'static Check> = practice::all()
                .filter(|check| chapter.is_none_or(|chapter| check.section == chapter))
                .collect();
            let answer = Answer::list(CHECKS, checks.iter().copied(), "check", |check| check.id.to_owned());
            super::print(line, &super::Command::Check(verb.clone()), &answer)
        }
        Verb::Explain { id } => {
            let check = known(id)?;
            let mut answer = Answer::list(EXPLAINED, [check], "check", |check| check.id.to_owned());
            answer.blocks[0].upright = true;
            super::print(line, &super::Command::Check(verb.clone()), &answer)
        }
    }
}

async fn judge(line: &Line, asked: &Run) -> Result<Exit, Failure> {
    let checks = chosen(asked)?;
    let facts = gather(line, &needs(asked)).await?;
    let findings = with_facts(
        &facts.snapshot,
        facts.now,
        asked.strict,
        &mut Shelf::default(),
        |facts| practice::judge(facts, checks.iter().copied()),
    );
    let report = Report::of(findings, asked, brokers(line, asked, &facts)?);
    let exit = match line.global.output {
        Output::Nagios => report.nagios(asked),
        _ => report.exit(),
    };
    if asked.quiet && exit == Exit::Done {
        return Ok(exit);
    }
    let now = facts.now;
    let answer = report.answer(facts, line.global.output);
    match line.global.output {
        Output::Prom => page::print(&page::prometheus(&report, &answer, now))?,
        Output::Nagios => page::print(&page::nagios(&report, &answer, exit))?,
        _ => {
            let mut out = super::out::stdout();
            super::printed(print(&mut out, line, "check.run", &answer))?;
        }
    }
    Ok(exit)
}

fn known(id: &str) -> Result<&'static Check, Failure> {
    practice::find(id).ok_or_else(|| {
        let near = nearest(id, practice::all().map(|check| check.id));
        let hint = near.map_or_else(
            || "azimuth check list has them".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        Failure::usage(format!("there is no check {id}; {hint}"))
    })
}

fn chapter(name: &str) -> Result<Chapter, Failure> {
    name.parse().map_err(|_| {
        let all: Vec<String> = Chapter::all().map(|one| one.to_string()).collect();
        Failure::usage(format!("there is no section {name}; there are {}", all.join(", ")))
    })
}

/// The checks that were asked for, less those of planes that were not.
fn chosen(asked: &Run) -> Result<Vec<&'static Check>, Failure> {
    let chapter = asked.section.as_deref().map(chapter).transpose()?;
    let named = asked.ids.iter().map(|id| known(id)).collect::<Result<Vec<_>, _>>()?;
    let all: Vec<&'static Check> = match named.is_empty() {
        true => practice::all().collect(),
        false => named,
    };
    let wanted = |plane: Plane| match plane {
        Plane::Kafka => asked.plane.contains(&Asked::Kafka),
        Plane::Aws => asked.plane.contains(&Asked::Aws),
        Plane::Metrics => asked.plane.contains(&Asked::Metrics),
        Plane::Recording => asked.plane.contains(&Asked::Recording),
        Plane::Elb | Plane::Cloudtrail | Plane::Dlm | Plane::Dns | Plane::Host => false,
    };
    let fits = |check: &&'static Check| {
        let planes = asked.plane.is_empty() || check.planes.iter().all(|plane| wanted(*plane));
        planes && chapter.is_none_or(|chapter| check.section == chapter)
    };
    Ok(all.into_iter().filter(fits).collect())
}

fn needs(asked: &Run) -> Vec<Section> {
    let wants = |plane| asked.plane.is_empty() || asked.plane.contains(&plane);
    let mut needs = KAFKA.to_vec();
    if wants(Asked::Aws) {
        needs.extend(AWS);
    }
    if wants(Asked::Metrics) {
        needs.push(Section::BrokerMetrics);
    }
    needs
}

/// Registered brokers, and how many there should be: said, or the most that were ever seen from this host. A capture knows no
/// more than itself.
fn brokers(line: &Line, asked: &Run, facts: &Facts) -> Result<(u32, Option<u32>), Failure> {
    let Some(cluster) = facts.snapshot.cluster.get() else {
        return Ok((0, asked.expect_brokers));
    };
    let seen = cluster.brokers.len() as u32;
    if line.global.from.is_some() {
        return Ok((seen, asked.expect_brokers));
    }
    let folder = state::of(&cluster.id, &paths()?)?.folder;
    let most = state::most_brokers(&folder, seen)?;
    Ok((seen, asked.expect_brokers.or(Some(most))))
}

impl Report {
    fn of(findings: Vec<Finding>, asked: &Run, brokers: (u32, Option<u32>)) -> Self {
        let counts = |finding: &Finding| match finding.status {
            Status::Fail => finding.is_bad(),
            Status::Warn => finding.is_bad() && asked.fail_on == FailOn::Warn,
            _ => false,
        };
        let missing = brokers.1.is_some_and(|expected| brokers.0 < expected);
        // Where nothing at all was seen the number of brokers is no "no".
        let seen = brokers.0 > 0;
        let unknown = |finding: &Finding| finding.status == Status::Unknown && finding.lack != Some(Lack::Plane);
        Self {
            is_no: findings.iter().any(counts) || (missing && seen),
            is_partial: asked.unknown == Unknown::Fail && (findings.iter().any(unknown) || !seen),
            scores: practice::scores(&findings),
            findings,
            brokers,
        }
    }

    fn exit(&self) -> Exit {
        match (self.is_no, self.is_partial) {
            (true, _) => Exit::No,
            (false, true) => Exit::Partial,
            (false, false) => Exit::Done,
        }
    }

    /// Nagios has numbers of its own: 1 warning, 2 critical, 3 unknown.
    fn nagios(&self, asked: &Run) -> Exit {
        let fails = self
            .findings
            .iter()
            .any(|finding| finding.status == Status::Fail && finding.is_bad());
        let warns = self
            .findings
            .iter()
            .any(|finding| finding.status == Status::Warn && finding.is_bad());
        let missing = self.is_no && !fails && !(warns && asked.fail_on == FailOn::Warn);
        match (fails || missing, warns, self.is_partial) {
            // Their 2 is what we call usage.
            (true, ..) => Exit::Usage,
            (false, true, _) => Exit::No,
            (false, false, true) => Exit::Partial,
            (false, false, false) => Exit::Done,
        }
    }

    /// For people the scores, and what is not well; wide has everything.
    fn answer(&self, facts: Facts, output: Output) -> Answer {
        let mut all: Vec<&Finding> = self.findings.iter().collect();
        all.sort_by_key(|finding| (finding.status, std::cmp::Reverse(finding.severity)));
        let items = self.findings.iter().map(item).collect();
        let shown = |finding: &&&Finding| {
            output == Output::Wide || matches!(finding.status, Status::Fail | Status::Warn | Status::Unknown)
        };
        let bad = all
            .iter()
            .filter(|finding| finding.is_bad())
            .map(|finding| finding.check.id.to_owned());
        let mut blocks = vec![
            Block {
                sheet: Sheet::of(SCORES, &self.scores),
                ..Block::default()
            },
            Block {
                sheet: Sheet::of(FINDINGS, all.iter().filter(shown).copied()),
                ..Block::default()
            },
        ];
        if let (seen, Some(expected)) = self.brokers
            && seen < expected
        {
            blocks[0].title = Some(format!("✖ {seen} of {expected} brokers are registered"));
        }
        let scores = Sheet::of(SCORES, &self.scores).items();
        let answer = Answer {
            complete: true,
            items,
            names: bad.collect(),
            beside: [("scores", scores), ("brokers", vec![expectation(self.brokers)])].into(),
            blocks,
            ..Answer::default()
        };
        // What was not seen is told check by check.
        facts.only(|_| false).seal(Answer {
            complete: !self.is_partial,
            is_no: self.is_no,
            ..answer
        })
    }
}

fn expectation((seen, expected): (u32, Option<u32>)) -> Data {
    Data::Map(vec![("registered", seen.into()), ("expected", expected.into())])
}

fn item(finding: &Finding) -> Data {
    let proof = |proof: &Proof| {
        Data::Map(vec![
            ("source", proof.source.into()),
            ("subject", proof.subject.as_str().into()),
            ("field", proof.field.as_str().into()),
            ("value", proof.value.as_str().into()),
            ("expected", proof.expected.as_str().into()),
            ("seen_at", proof.seen_at.map(|at| at.to_string()).into()),
        ])
    };
    let check = finding.check;
    Data::Map(vec![
        ("id", check.id.into()),
        ("title", check.title.into()),
        ("seed_ref", check.row.into()),
        ("section", check.section.to_string().into()),
        ("severity", finding.severity.to_string().into()),
        ("status", finding.status.to_string().into()),
        ("why", finding.why.as_str().into()),
        ("missing", finding.lack.map(|lack| lack.to_string()).into()),
        ("fix", finding.fix.clone().into()),
        ("explained_by", finding.explained_by.clone().into()),
        ("evidence", Data::List(finding.evidence.iter().map(proof).collect())),
        ("more_evidence", (finding.more as u64).into()),
    ])
}

/// As triage marks its lines.
pub(super) fn mark(status: Status) -> &'static str {
    match status {
        Status::Fail => "✖",
        Status::Warn => "▲",
        Status::Unknown => "?",
        Status::Pass => "●",
        Status::NotApplicable => "-",
        Status::Advice => "i",
    }
}

const SCORES: &[Column<Score>] = &[
    Column {
        key: "section",
        title: "SECTION",
        rank: Rank::Always,
        field: |score| Field::data(score.section.to_string(), score.section.title()),
    },
    Column {
        key: "passing",
        title: "PASSING",
        rank: Rank::Always,
        field: |score| Field::data(score.words(), score.words()),
    },
    Column {
        key: "fail",
        title: "FAIL",
        rank: Rank::Always,
        field: |score| Field::number(score.fail, score.fail),
    },
    Column {
        key: "warn",
        title: "WARN",
        rank: Rank::Always,
        field: |score| Field::number(score.warn, score.warn),
    },
    Column {
        key: "unknown",
        title: "UNKNOWN",
        rank: Rank::Always,
        field: |score| Field::number(score.unknown, score.unknown),
    },
    Column {
        key: "no_plane",
        title: "NO PLANE",
        rank: Rank::Usual,
        field: |score| Field::number(score.no_plane, score.no_plane),
    },
    Column {
        key: "not_applicable",
        title: "N/A",
        rank: Rank::Usual,
        field: |score| Field::number(score.not_applicable, score.not_applicable),
    },
    Column {
        key: "advice",
        title: "ADVICE",
        rank: Rank::Usual,
        field: |score| Field::number(score.advice, score.advice),
    },
];

const FINDINGS: &[Column<Finding>] = &[
    Column {
        key: "status",
        title: "",
        rank: Rank::Always,
        field: |finding| {
            let words = match (finding.lack, &finding.explained_by) {
                (Some(lack), _) => format!("{} unknown ({lack})", mark(finding.status)),
                (None, Some(operation)) => format!("- {} (operation {operation})", finding.status),
                (None, None) => format!("{} {}", mark(finding.status), finding.status),
            };
            Field::data(finding.status.to_string(), words)
        },
    },
    Column {
        key: "id",
        title: "CHECK",
        rank: Rank::Always,
        field: |finding| Field::text(finding.check.id),
    },
    Column {
        key: "severity",
        title: "SEVERITY",
        rank: Rank::Usual,
        field: |finding| Field::text(finding.severity.to_string()),
    },
    Column {
        key: "why",
        title: "WHY",
        rank: Rank::Always,
        field: |finding| Field::text(finding.why.as_str()),
    },
    Column {
        key: "fix",
        title: "FIX",
        rank: Rank::Wide,
        field: |finding| Field::maybe(finding.fix.as_ref()),
    },
];

fn planes(check: &Check) -> Vec<String> {
    check.planes.iter().map(Plane::to_string).collect()
}

/// What there is of a row without looking at any cluster.
fn coverage(check: &Check) -> &'static str {
    match (check.planes.is_empty(), check.missing_plane()) {
        (true, _) => "advice",
        (false, Some(_)) => "no plane",
        (false, None) => "judged",
    }
}

const CHECKS: &[Column<Check>] = &[
    Column {
        key: "id",
        title: "CHECK",
        rank: Rank::Always,
        field: |check| Field::text(check.id),
    },
    Column {
        key: "title",
        title: "SHOULD BE SO",
        rank: Rank::Usual,
        field: |check| Field::text(check.title),
    },
    Column {
        key: "seed_ref",
        title: "ROW",
        rank: Rank::Always,
        field: |check| Field::text(check.row),
    },
    Column {
        key: "severity",
        title: "SEVERITY",
        rank: Rank::Always,
        field: |check| Field::text(check.severity.to_string()),
    },
    Column {
        key: "section",
        title: "SECTION",
        rank: Rank::Always,
        field: |check| Field::text(check.section.to_string()),
    },
    Column {
        key: "holds",
        title: "2018",
        rank: Rank::Usual,
        field: |check| Field::text(check.holds.to_string()),
    },
    Column {
        key: "coverage",
        title: "COVERAGE",
        rank: Rank::Always,
        field: |check| Field::text(coverage(check)),
    },
    Column {
        key: "planes",
        title: "PLANES",
        rank: Rank::Wide,
        field: |check| Field::list(&planes(check)),
    },
];

const EXPLAINED: &[Column<Check>] = &[
    Column {
        key: "id",
        title: "CHECK",
        rank: Rank::Always,
        field: |check| Field::text(check.id),
    },
    Column {
        key: "title",
        title: "SHOULD BE SO",
        rank: Rank::Always,
        field: |check| Field::text(check.title),
    },
    Column {
        key: "seed_ref",
        title: "ROW",
        rank: Rank::Always,
        field: |check| Field::data(check.row, format!("{}, {}", check.row, check.section.title())),
    },
    Column {
        key: "said",
        title: "SAID IN 2018",
        rank: Rank::Always,
        field: |check| match check.said {
            "" => Field::data(Data::Null, "nothing"),
            said => Field::text(said),
        },
    },
    Column {
        key: "holds",
        title: "HOLDS",
        rank: Rank::Always,
        field: |check| {
            let words = match check.holds {
                practice::Holds::Keep => "keep: still right",
                practice::Holds::Update => "update: the idea is right, the value or the way is not",
                practice::Holds::Invert => "invert: following it today is a fault",
                practice::Holds::New => "new: the article does not have it",
            };
            Field::data(check.holds.to_string(), words)
        },
    },
    Column {
        key: "today",
        title: "TODAY",
        rank: Rank::Always,
        field: |check| Field::text(check.today),
    },
    Column {
        key: "severity",
        title: "SEVERITY",
        rank: Rank::Always,
        field: |check| {
            let status = if check.severity >= Severity::High {
                "fails"
            } else {
                "warns"
            };
            Field::data(check.severity.to_string(), format!("{}: {status}", check.severity))
        },
    },
    Column {
        key: "planes",
        title: "LOOKS AT",
        rank: Rank::Always,
        field: |check| {
            let words: Vec<&str> = check.planes.iter().map(|plane| plane.words()).collect();
            let text = match (words.is_empty(), check.missing_plane()) {
                (true, _) => "nothing: no API can answer it".to_owned(),
                (false, Some(plane)) => format!("{}, for which this Azimuth has no client", plane.words()),
                (false, None) => words.join("; "),
            };
            Field::data(planes(check), text)
        },
    },
    Column {
        key: "coverage",
        title: "COVERAGE",
        rank: Rank::Wide,
        field: |check| Field::text(coverage(check)),
    },
];

/// When facts were seen, as Prometheus counts time.
fn seconds(at: Moment) -> i64 {
    at.as_second()
}
