//! Runbooks as files: what makes sense, what does not and where; and runs by hands that note what they are asked, killed
//! before and after everything they do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path as File;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::book::{Book, Changes, Parameter};
use super::condition::Condition;
use super::journal::{Event, Journal, Phase, Run};
use super::path::Path;
use super::run::{Hands, Order, Outcome, Runner, exit};
use super::text::Template;
use super::value::Values;
use crate::command::value::Time;
use crate::model::Moment;
use crate::operation::{Id, Who};

fn values() -> Values {
    Values::from([
        ("zone".to_owned(), json!("use1-az1")),
        ("brokers".to_owned(), json!([4, 5])),
        ("none".to_owned(), json!("")),
        ("dash".to_owned(), json!("--yes")),
        ("spaced".to_owned(), json!("a b 'c'")),
        ("look.status".to_owned(), json!("fail")),
        ("look.count".to_owned(), json!(3)),
        ("look.ok".to_owned(), json!(false)),
        ("look.missing".to_owned(), Value::Null),
    ])
}

#[test]
fn values_become_words_and_never_more_than_one() {
    let fill = |line: &str| Template::parse(line).unwrap().fill(&values());
    assert_eq!(fill("a ${zone} b${look.count}c").unwrap(), ["a", "use1-az1", "b3c"]);
    assert_eq!(fill("x --broker ${brokers}").unwrap(), ["x", "--broker", "4,5"]);
    assert_eq!(fill("x ${spaced}").unwrap(), ["x", "a b 'c'"]);
    assert_eq!(
        fill("x [--topic ${none}] [--az ${zone}] y").unwrap(),
        ["x", "--az", "use1-az1", "y"]
    );
    assert_eq!(fill("x [ --topic ${none} ] y").unwrap(), ["x", "y"]);
    assert!(fill("x ${dash}").unwrap_err().contains("flag"));
    assert!(fill("x ${none}").unwrap_err().contains("empty"));
    assert!(fill("x ${look.missing}").unwrap_err().contains("look.missing"));
    for bad in ["${", "${a", "${A}", "${a.b.c}", "[a", "a ] b", "'a"] {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn conditions_are_judged_by_what_is_known() {
    let cases = [
        ("look.status == 'fail'", true),
        ("look.status != \"fail\"", false),
        ("look.count >= 3 and look.count < 4", true),
        ("look.count == '3'", true),
        ("not look.ok and (zone == 'x' or zone == 'use1-az1')", true),
        ("not (look.ok or brokers)", false),
        ("none", false),
        ("look.missing == null", true),
        ("look.missing < 3", false),
        ("look.missing != 3", true),
        ("look.count > 2.5", true),
    ];
    for (text, holds) in cases {
        assert_eq!(Condition::parse(text).unwrap().holds(&values()), holds, "{text}");
    }
    for bad in ["", "a =", "a = b", "(a", "a b", "a ==", "not", "'a", "A", "a and"] {
        assert!(Condition::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn outputs_are_found_in_answers() {
    let answer = json!({
        "culprit": {"name": "use1-az1"},
        "items": [
            {"id": 1, "state": "up", "az_id": "use1-az1", "log.dirs": 2},
            {"id": 2, "state": "down", "az_id": "use1-az1"},
            {"id": 3, "state": "down", "az_id": "use1-az2"},
        ],
    });
    let cases = [
        ("culprit.name", json!("use1-az1")),
        ("culprit.age", Value::Null),
        ("items[1].id", json!(2)),
        ("items[9].id", Value::Null),
        ("items[*].id", json!([1, 2, 3])),
        ("items[state!=up].id", json!([2, 3])),
        ("items[az_id=${zone}&state!=up].id", json!([2])),
        ("items[az_id=${look.missing}].id", json!([])),
        ("items[rack|az_id=${zone}].id", json!([1, 2])),
        ("items[rack|az_id!=${zone}].id", json!([3])),
        ("items[rack!=${zone}].id", json!([])),
        ("count items", json!(3)),
        ("count items[state=down]", json!(2)),
        ("count items[state=gone]", json!(0)),
    ];
    for (path, found) in cases {
        assert_eq!(Path::parse(path).unwrap().find(&answer, &values()), found, "{path}");
    }
    for bad in ["", "a..b", "a[", "a]", "a[x]", "a[1]b", ".a"] {
        assert!(Path::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn shipped_runbooks_make_sense() {
    for (name, text) in super::preset::SHIPPED {
        let book = Book::read(name, text).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        assert!(!book.about.is_empty() && book.steps.len() > 2, "{name}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let cases = [
        (
            "azimuth: 2\ntitle: t\nsteps:\n- {name: a, check: triage}\n",
            1,
            10,
            "version 2",
        ),
        ("azimuth: 1\ntitle: t\nsteps: []\n", 1, 10, "no step"),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    chek: triage\n",
            5,
            5,
            "chek",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: brokr list\n",
            5,
            12,
            "brokr",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: topic delete x\n",
            5,
            12,
            "changes something",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: triage --context b\n",
            5,
            12,
            "the run's",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: triage --watch\n",
            5,
            12,
            "--watch",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    command: demo\n",
            5,
            14,
            "no step",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: broker show ${b}\n",
            5,
            12,
            "no parameter b",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    when: b.ok\n    check: triage\n",
            5,
            11,
            "no step b before",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: triage\n  - name: b\n    when: a.x\n    check: triage\n",
            7,
            11,
            "no output x",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    apply: plan\n",
            5,
            12,
            "no step before makes a plan",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    plan: broker list\n",
            5,
            11,
            "no plan",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: triage\n    on-failure: b\n",
            6,
            17,
            "no rescue b",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: triage\n    shell: ls\n",
            4,
            5,
            "check and shell",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: triage\n    env: {A: b}\n",
            6,
            14,
            "env is of no use",
        ),
        (
            "azimuth: 1\ntitle: t\nsteps:\n  - name: a\n    check: triage\n    timeout: soon\n",
            6,
            14,
            "duration",
        ),
        ("azimuth: 1\ntitle: t\nsteps:\n  - check: triage\n", 4, 5, "no name"),
        (
            "azimuth: 1\ntitle: t\nparameters:\n  n: {type: integer, default: some}\nsteps:\n- {name: a, check: triage}\n",
            4,
            31,
            "whole number",
        ),
        ("azimuth: 1\ntitle: t\nsteps:\n\t- name: a\n", 4, 2, "tabs"),
    ];
    for (text, line, column, what) in cases {
        let problems = Book::read("t", text).expect_err(text);
        let first = &problems[0];
        assert_eq!((first.line, first.column), (line, column), "{text}\n{problems:#?}");
        assert!(first.what.contains(what), "{text}\n{problems:#?}");
    }
    // All of them at once, in order.
    let text = "azimuth: 1\ntitle: t\nsteps:\n  - name: A\n    check: nothing\n  - name: b\n    wait: rain\n";
    let lines: Vec<u64> = Book::read("t", text)
        .unwrap_err()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [4, 5, 7]);
}

#[test]
fn parameters_are_held_to_their_kinds() {
    let text = "azimuth: 1\ntitle: t\nparameters:\n  n: {type: integer, about: how many}\n  time: {type: duration, default: 5m}\n  \
                mode: {choices: [slow, fast], default: slow}\nsteps:\n- {name: a, check: triage}\n";
    let book = Book::read("t", text).unwrap();
    let set = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        book.set(&pairs.collect())
    };
    let values = set(&[("n", "4"), ("mode", "fast")]).unwrap();
    assert_eq!(values["n"], json!(4));
    assert_eq!(values["time"], json!("5m"));
    assert_eq!(values["mode"], json!("fast"));
    for (given, told) in [
        (&[][..], "needs --set n=INTEGER (how many)"),
        (&[("n", "four")], "--set n"),
        (&[("n", "4"), ("time", "soon")], "--set time"),
        (&[("n", "4"), ("mode", "odd")], "slow, fast"),
        (&[("n", "4"), ("m", "1")], "mode, n, time"),
    ] {
        let error = set(given).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

/// A world in which commands leave traces, and hands that may be cut off before or after each.
#[derive(Default)]
struct World {
    /// Every act, in order: of operations with their reasons.
    acts: RefCell<Vec<String>>,
    /// Exit statuses of lines, one after the other; 0 where there is none.
    exits: RefCell<BTreeMap<String, Vec<u8>>>,
    answers: BTreeMap<String, Value>,
    given: BTreeMap<String, Value>,
    said: RefCell<Vec<String>>,
    /// Points until it is killed.
    left: Cell<u32>,
    killed: Notify,
}

impl World {
    /// Never goes on where it is killed.
    async fn point(&self) {
        if self.left.get() == 0 {
            return;
        }
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn exit(&self, line: &str) -> u8 {
        let mut exits = self.exits.borrow_mut();
        match exits.get_mut(line) {
            Some(list) if !list.is_empty() => list.remove(0),
            _ => exit::DONE,
        }
    }

    async fn act(&self, line: &str, trace: String) -> Outcome {
        self.point().await;
        self.acts.borrow_mut().push(trace);
        let exit = self.exit(line);
        self.point().await;
        Outcome {
            exit,
            answer: self.answers.get(line).cloned().unwrap_or_default(),
            said: format!("exit {exit}"),
            ..Outcome::default()
        }
    }

    fn acts(&self) -> Vec<String> {
        self.acts.borrow().clone()
    }
}

impl Hands for World {
    fn carry_out<'a>(&'a self, order: &'a Order) -> LocalBoxFuture<'a, Outcome> {
        async move {
            let line = order.words.join(" ");
            let trace = match order.changes {
                Changes::ByOperation => format!("{line} | {}", order.reason),
                _ => line.clone(),
            };
            self.act(&line, trace).await
        }
        .boxed_local()
    }

    fn take_up<'a>(&'a self, order: &'a Order) -> LocalBoxFuture<'a, Option<Outcome>> {
        async move {
            let ends = format!(" | {}", order.reason);
            let begun = self.acts.borrow().iter().any(|act| act.ends_with(&ends));
            begun.then(|| Outcome {
                said: "taken up".to_owned(),
                ..Outcome::default()
            })
        }
        .boxed_local()
    }

    fn shell<'a>(
        &'a self,
        script: &'a str,
        env: &'a BTreeMap<String, String>,
        _timeout: Option<Time>,
    ) -> LocalBoxFuture<'a, Outcome> {
        async move {
            let values: Vec<&str> = env.values().map(String::as_str).collect();
            self.act(script, format!("{script} {}", values.join(" ")).trim().to_owned())
                .await
        }
        .boxed_local()
    }

    fn ask(&self, step: &str, _question: &str, _asked: &Parameter) -> Result<Value, String> {
        self.given.get(step).cloned().ok_or_else(|| "nobody answers".to_owned())
    }

    fn say(&self, what: &str) {
        self.said.borrow_mut().push(what.to_owned());
    }
}

fn journal(folder: &File) -> std::path::PathBuf {
    folder.join("journal.jsonl")
}

fn id() -> Id {
    Id::parse("abc123").unwrap()
}

/// Begins, or goes on. `None`: killed.
async fn go(folder: &File, book: &Book, world: &World, more: Vec<Event>) -> Option<(Run, u8)> {
    let path = journal(folder);
    let mut journal = match path.exists() {
        true => Journal::take_up(&path, &id()).unwrap(),
        false => {
            let begun = Event::Begun {
                book: book.name.clone(),
                text: book.text.clone(),
                values: Values::new(),
                context: "dev".to_owned(),
                by: Who::default(),
                reason: None,
            };
            Journal::create(&path, begun, Moment::now()).unwrap()
        }
    };
    for event in more {
        journal.append(event, Moment::now()).unwrap();
    }
    let run = Run::of(&id(), journal.entries()).unwrap();
    let runner = Runner {
        book,
        run,
        journal,
        folder: folder.to_owned(),
        hands: world,
    };
    tokio::select! {
        ended = runner.carry_out() => Some(ended.unwrap()),
        () = world.killed.notified() => None,
    }
}

const WHOLE: &str = "\
azimuth: 1
title: everything there is
steps:
  - name: look
    check: broker list
    outputs: {down: 'items[state!=up].id', all: 'count items'}
  - {name: never, when: look.all == 0, command: topic delete orders}
  - {name: plan, plan: reassign plan --drain-broker 4}
  - {name: drain, apply: plan}
  - {name: start, each: look.down, command: 'broker start ${item}'}
  - {name: note, shell: echo, env: {COUNT: '${look.all}'}}
  - {name: move, command: leader move --from-broker 4}
  - {name: wait, wait: isr}
";

fn brokers() -> BTreeMap<String, Value> {
    let items = json!({"items": [{"id": 1, "state": "up"}, {"id": 4, "state": "down"}, {"id": 5, "state": "down"}]});
    BTreeMap::from([("broker list".to_owned(), items)])
}

#[tokio::test(start_paused = true)]
async fn steps_follow_each_other_and_use_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let book = Book::read("whole", WHOLE).unwrap();
    let world = World {
        answers: brokers(),
        ..World::default()
    };
    let (run, exit) = go(folder.path(), &book, &world, Vec::new()).await.unwrap();
    assert_eq!((run.phase, exit), (Phase::Finished, exit::DONE));
    let plan = folder.path().join("plan.json").display().to_string();
    let of = |step: &str| format!("runbook whole, run abc123, step {step}, attempt 1");
    let expected = [
        "broker list".to_owned(),
        format!("reassign plan --drain-broker 4 --out {plan}"),
        format!("reassign apply {plan} | {}", of("drain")),
        format!("broker start 4 | {}", of("start#4")),
        format!("broker start 5 | {}", of("start#5")),
        "echo 3".to_owned(),
        format!("leader move --from-broker 4 | {}", of("move")),
        "wait isr".to_owned(),
    ];
    assert_eq!(world.acts(), expected);
    assert_eq!(
        Journal::chain(&journal(folder.path()))
            .unwrap()
            .to_string()
            .split(':')
            .next(),
        Some("whole")
    );
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_goes_on_and_repeats_no_change() {
    let book = Book::read("whole", WHOLE).unwrap();
    let mut doubted = 0;
    for at in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let world = World {
            answers: brokers(),
            left: Cell::new(at),
            ..World::default()
        };
        if go(folder.path(), &book, &world, Vec::new()).await.is_some() {
            assert!(at > 14, "{at} points");
            break;
        }
        world.left.set(0);
        let (mut run, mut ended) = go(folder.path(), &book, &world, Vec::new()).await.unwrap();
        // What a script did is not seen: somebody has to look.
        if run.phase == Phase::Stopped {
            assert_eq!(
                (ended, run.rests.as_ref().unwrap().0.as_str()),
                (exit::REFUSED, "note"),
                "killed at {at}"
            );
            doubted += 1;
            let was_done = world.acts().iter().any(|act| act.starts_with("echo"));
            let (step, by) = ("note".to_owned(), Who::default());
            let event = match was_done {
                true => Event::Settled { step, by },
                false => Event::Back { step, by },
            };
            (run, ended) = go(folder.path(), &book, &world, vec![event]).await.unwrap();
        }
        assert_eq!(
            (run.phase, ended),
            (Phase::Finished, exit::DONE),
            "killed at {at}: {:#?}",
            world.said.borrow()
        );
        let changes = [
            "reassign apply",
            "broker start 4",
            "broker start 5",
            "echo",
            "leader move",
        ];
        for change in changes {
            let made = world.acts().iter().filter(|act| act.starts_with(change)).count();
            assert_eq!(made, 1, "{change} made {made} times, killed at {at}");
        }
    }
    assert_eq!(doubted, 2);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_passed_over_or_stop() {
    let text = "azimuth: 1\ntitle: t\nsteps:\n  - {name: a, wait: isr, retry: {times: 3, every: 30s}}\n  \
                - {name: b, check: broker list, on-failure: continue}\n  - {name: c, when: not b.ok, command: leader elect}\n";
    let book = Book::read("t", text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let world = World::default();
    world.exits.borrow_mut().insert("wait isr".to_owned(), vec![1, 3]);
    world.exits.borrow_mut().insert("broker list".to_owned(), vec![3]);
    world.exits.borrow_mut().insert("leader elect".to_owned(), vec![4]);
    let (run, ended) = go(folder.path(), &book, &world, Vec::new()).await.unwrap();
    assert_eq!((run.phase, ended), (Phase::Stopped, exit::REFUSED));
    assert_eq!(world.acts().iter().filter(|act| *act == "wait isr").count(), 3);
    assert_eq!(run.rests.unwrap().0, "c");
    // The cause is gone: it goes on there, and only there.
    world.acts.borrow_mut().retain(|act| !act.starts_with("leader elect"));
    let (run, ended) = go(folder.path(), &book, &world, Vec::new()).await.unwrap();
    assert_eq!((run.phase, ended), (Phase::Finished, exit::DONE));
    let last = world.acts().last().unwrap().clone();
    assert_eq!(last, "leader elect | runbook t, run abc123, step c, attempt 2");
    assert_eq!(world.acts().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failure_may_lead_to_a_rescue() {
    let text = "azimuth: 1\ntitle: t\nsteps:\n  - {name: a, command: leader elect, on-failure: back}\n  - {name: b, check: triage}\n\
                rescue:\n  back:\n    - {name: undo, command: leader restore}\n    - {name: well, wait: healthy}\n";
    let book = Book::read("t", text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let world = World::default();
    world.exits.borrow_mut().insert("leader elect".to_owned(), vec![5]);
    world.exits.borrow_mut().insert("wait healthy".to_owned(), vec![1]);
    // The rescue itself may fail, and goes on where it did.
    let (run, ended) = go(folder.path(), &book, &world, Vec::new()).await.unwrap();
    assert_eq!((run.phase, ended), (Phase::Stopped, exit::NO));
    let (run, ended) = go(folder.path(), &book, &world, Vec::new()).await.unwrap();
    assert_eq!((run.phase, ended), (Phase::Rescued, exit::PART_WAY));
    let acts = world.acts();
    assert_eq!(acts.len(), 4, "{acts:?}");
    assert!(!acts.iter().any(|act| act == "triage"));
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_rests_until_there_is_one() {
    let text = "azimuth: 1\ntitle: t\nsteps:\n  - {name: go, prompt: Go on?}\n  - {name: a, command: leader elect}\n";
    let book = Book::read("t", text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let world = World::default();
    let (run, ended) = go(folder.path(), &book, &world, Vec::new()).await.unwrap();
    assert_eq!((run.phase, ended), (Phase::Stopped, exit::USAGE));
    let no = World {
        given: BTreeMap::from([("go".to_owned(), json!(false))]),
        ..World::default()
    };
    let (run, ended) = go(folder.path(), &book, &no, Vec::new()).await.unwrap();
    assert_eq!((run.phase, ended), (Phase::Stopped, exit::NO));
    assert!(no.acts().is_empty());
    let yes = World {
        given: BTreeMap::from([("go".to_owned(), json!(true))]),
        ..World::default()
    };
    let (run, _) = go(folder.path(), &book, &yes, Vec::new()).await.unwrap();
    assert_eq!(run.phase, Phase::Finished);
    assert_eq!(run.values["go.answer"], json!(true));
}

/// What serde would read of a struct, from the struct itself.
mod fields {
    use serde::Deserialize;
    use serde::de::{Deserializer, Error as _, Visitor, value::Error};

    struct Names<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("no struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            *self.0 = fields;
            Err(Error::custom("seen"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
            seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    pub fn of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
        let mut names: &'static [&'static str] = &[];
        let _ = T::deserialize(Names(&mut names));
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    }
}

#[test]
fn the_schema_that_is_published_is_that_of_the_types() {
    use strum::VariantNames as _;

    use super::file;
    use super::value::Kind;

    let schema: Value = serde_json::from_str(include_str!("../../docs/runbook.schema.json")).unwrap();
    let keys = |place: &Value| {
        let mut keys: Vec<String> = place["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort_unstable();
        keys
    };
    let step = &schema["$defs"]["step"];
    assert_eq!(keys(&schema), fields::of::<file::File>());
    assert_eq!(keys(step), fields::of::<file::Step>());
    assert_eq!(keys(&schema["$defs"]["parameter"]), fields::of::<file::Parameter>());
    assert_eq!(keys(&schema["$defs"]["retry"]), fields::of::<file::Retry>());
    assert_eq!(schema["$defs"]["kind"]["enum"], json!(Kind::VARIANTS));
    assert_eq!(step["properties"]["expect"]["enum"], json!(file::Expect::VARIANTS));
    assert_eq!(schema["properties"]["azimuth"]["const"], json!(file::VERSION));
    for place in [&schema, step, &schema["$defs"]["parameter"], &schema["$defs"]["retry"]] {
        assert_eq!(place["additionalProperties"], json!(false));
    }
    // What must be there, and of what there is one.
    let whole = json!({"azimuth": 1, "title": "t", "steps": [{"name": "a", "check": "triage"}]});
    for field in schema["required"].as_array().unwrap() {
        let mut part = whole.clone();
        part.as_object_mut().unwrap().remove(field.as_str().unwrap());
        assert!(Book::read("t", &part.to_string()).is_err(), "without {field}");
    }
    assert!(Book::read("t", &whole.to_string()).is_ok());
    let kinds: Vec<&str> = step["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["required"][0].as_str().unwrap())
        .collect();
    let none = json!({"azimuth": 1, "title": "t", "steps": [{"name": "a"}]}).to_string();
    let told = Book::read("t", &none).unwrap_err()[0].what.clone();
    let (last, others) = kinds.split_last().unwrap();
    assert!(
        told.ends_with(&format!("give it {} or {last}", others.join(", "))),
        "{told}"
    );
}
