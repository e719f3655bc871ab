//! The real loop with a hand on the keys and an eye on the screen: `console.press("j j enter")`, `console.shows("..")`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azimuth::feed::Section;
use azimuth::model::Snapshot;
use azimuth::model::record::Record;
use azimuth::settings::appearance::{Colours, Glyphs};
use azimuth::settings::keymap::Keymap;
use azimuth::settings::preset::Preset;
use azimuth::settings::theme::Theme as ThemeFile;
use azimuth::tui::app::operation::{Operation, Operator, Sheet};
use azimuth::tui::app::record::Batch;
use azimuth::tui::app::state::{Origin, Start};
use azimuth::tui::app::{Message, State};
use azimuth::tui::input::{Key, Router};
use azimuth::tui::run::{self, Leave, Look};
use azimuth::tui::runtime::{Facts, Runtime, Verbs};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use futures::StreamExt;
use futures::future::BoxFuture;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio::sync::watch;
use tokio::time;

use super::fixture;

/// What the screens wished for, in order.
#[derive(Debug, Default)]
pub struct Wishes {
    pub refreshed: BTreeSet<Section>,
    pub planned: Vec<String>,
    /// Texts of rules that were planned.
    pub reasons: Vec<(String, String)>,
    pub schedules: Vec<(String, String)>,
    pub rules: Vec<String>,
    pub applied: Vec<(String, Option<String>)>,
    pub copied: Vec<String>,
    pub titles: Vec<String>,
}

pub struct Console {
    console: run::Console,
    terminal: Terminal<TestBackend>,
    publish: watch::Sender<Arc<Snapshot>>,
    pub wishes: Arc<Mutex<Wishes>>,
    pub left: Option<Leave>,
}

/// How the console is opened.
pub struct Opening {
    pub size: (u16, u16),
    pub snapshot: Snapshot,
    pub theme: &'static str,
    pub keymap: &'static str,
    pub colours: Colours,
    pub glyphs: Glyphs,
    pub class: &'static str,
    pub read_only: bool,
    pub verbs: bool,
    pub triage_first: bool,
    pub operations: Vec<Operation>,
    pub operators: Vec<Operator>,
}

impl Default for Opening {
    fn default() -> Self {
        Self {
            size: (120, 40),
            snapshot: fixture::snapshot(),
            theme: "dark",
            keymap: "default",
            colours: Colours::True,
            glyphs: Glyphs::Unicode,
            class: "prod",
            read_only: true,
            verbs: false,
            triage_first: false,
            operations: Vec::new(),
            operators: Vec::new(),
        }
    }
}

struct FakeFacts(Arc<Mutex<Wishes>>);

impl Facts for FakeFacts {
    fn refresh(&self, section: Section) {
        self.0.lock().unwrap().refreshed.insert(section);
    }

    fn focus(&self, _: BTreeSet<Section>) {}

    fn note(&self, _: azimuth::model::event::Event) {}
}

/// Plans by repeating the command; prod wants its name, and what names `full` a reason.
struct FakeVerbs {
    wishes: Arc<Mutex<Wishes>>,
    confirm: Option<String>,
    operations: watch::Receiver<Arc<Vec<Operation>>>,
    operators: watch::Receiver<Arc<Vec<Operator>>>,
}

impl Verbs for FakeVerbs {
    fn plan(&self, words: Vec<String>) -> BoxFuture<'static, Result<Sheet, String>> {
        let command = words.join(" ");
        self.wishes.lock().unwrap().planned.push(command.clone());
        let confirm = self.confirm.clone();
        let closed = command.contains("full");
        Box::pin(async move {
            use azimuth::tui::app::field::{Field, Tone};
            Ok(Sheet {
                id: "plan-1".into(),
                title: command.clone(),
                lines: vec![
                    Field::new("12 partitions · 227 GB on 6 brokers · undo: none (records deleted)").tone(Tone::Warn),
                    Field::new("gates  ✓ no partition offline   ✓ cluster id pinned   ▲ group billing still reads it"),
                ],
                command: format!("azimuth {command} --context prod-eu"),
                confirm,
                blocked: closed.then(|| "gate disk is closed: broker 4 at 92%".to_owned()),
                against: closed.then(|| "disk".to_owned()).into_iter().collect(),
                wants_reason: false,
                when: command.starts_with("reassign").then(String::new),
            })
        })
    }

    fn reason(&self, sheet: String, reason: String) -> BoxFuture<'static, Result<Sheet, String>> {
        self.wishes.lock().unwrap().reasons.push((sheet, reason));
        self.plan(vec!["with".to_owned(), "reason".to_owned()])
    }

    fn schedule(&self, sheet: String, when: String) -> BoxFuture<'static, Result<Sheet, String>> {
        self.wishes.lock().unwrap().schedules.push((sheet, when));
        self.plan(vec!["with".to_owned(), "hours".to_owned()])
    }

    fn apply(&self, sheet: String, confirm: Option<String>) -> BoxFuture<'static, Result<String, String>> {
        self.wishes.lock().unwrap().applied.push((sheet, confirm));
        Box::pin(async { Ok("started operation 7f3".to_owned()) })
    }

    fn save(&self, sheet: String) -> BoxFuture<'static, Result<String, String>> {
        Box::pin(async move { Ok(format!("saved {sheet}")) })
    }

    fn plan_rules(&self, text: String) -> BoxFuture<'static, Result<Sheet, String>> {
        self.wishes.lock().unwrap().rules.push(text);
        self.plan(["acl", "apply", "DRAFT", "--prune"].map(str::to_owned).to_vec())
    }

    fn read(&self, words: &[String]) -> Result<azimuth::feed::Tail, String> {
        Err(format!("no cluster here to read {} from", words.join(" ")))
    }

    fn fleet(&self) -> BoxFuture<'static, Result<Vec<azimuth::operation::fleet::Line>, String>> {
        Box::pin(async {
            Ok(vec![(
                "staging-eu".to_owned(),
                Err("cannot reach b-1.staging-eu".to_owned()),
            )])
        })
    }

    fn operations(&self) -> watch::Receiver<Arc<Vec<Operation>>> {
        self.operations.clone()
    }

    fn operators(&self) -> watch::Receiver<Arc<Vec<Operator>>> {
        self.operators.clone()
    }

    fn shows(&self, _: &str) {}

    fn leave(&self) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Console {
    /// Opens on the fixture and draws the first screen.
    pub async fn open(opening: Opening) -> Self {
        let wishes: Arc<Mutex<Wishes>> = Arc::default();
        let (publish, snapshots) = watch::channel(Arc::new(opening.snapshot));
        let router = Router::new(&Keymap::load(opening.keymap, None).unwrap()).unwrap();
        let look = Look {
            paths: None,
            colours: opening.colours,
            glyphs: opening.glyphs,
        };
        let verbs: Option<Arc<dyn Verbs>> = opening.verbs.then(|| {
            let (keep, mut operations) = watch::channel(Arc::new(opening.operations.clone()));
            operations.mark_changed();
            let (kept, mut operators) = watch::channel(Arc::new(opening.operators.clone()));
            operators.mark_changed();
            std::mem::forget(kept);
            std::mem::forget(keep);
            let confirm = (opening.class == "prod").then(|| "prod-eu".to_owned());
            Arc::new(FakeVerbs {
                wishes: wishes.clone(),
                confirm,
                operations,
                operators,
            }) as Arc<dyn Verbs>
        });
        let (runtime, messages) = Runtime::new(Arc::new(FakeFacts(wishes.clone())), verbs);
        let origin = Origin {
            context: "prod-eu".into(),
            class: opening.class.into(),
            read_only: opening.read_only,
            bootstrap: "b-1.kafka.internal:9092".into(),
            target: vec!["--context".into(), "prod-eu".into()],
        };
        let state = State::new(Start {
            now: fixture::now(),
            width: opening.size.0,
            height: opening.size.1,
            origin,
            verbs: opening.verbs,
            triage_first: opening.triage_first,
            theme: opening.theme.into(),
            themes: ThemeFile::names(None),
            contexts: fixture::contexts(),
            zone: Some(jiff::tz::TimeZone::fixed(jiff::tz::offset(1))),
            bindings: router.bindings().to_vec(),
        });
        let began = time::Instant::now();
        let clock = Box::new(move || fixture::now() + jiff::SignedDuration::try_from(began.elapsed()).unwrap());
        let (copied, titled) = (wishes.clone(), wishes.clone());
        let console = run::Console {
            theme: look.theme(opening.theme).unwrap(),
            state,
            router,
            look,
            runtime,
            messages,
            snapshots,
            clock,
            clipboard: Box::new(move |text| copied.lock().unwrap().copied.push(text.to_owned())),
            title: Box::new(move |text| titled.lock().unwrap().titles.push(text.to_owned())),
            titled: String::new(),
            mouse: true,
        };
        let terminal = Terminal::new(TestBackend::new(opening.size.0, opening.size.1)).unwrap();
        let mut console = Self {
            console,
            terminal,
            publish,
            wishes,
            left: None,
        };
        console.wait(Duration::from_millis(100)).await;
        console
    }

    /// The same on a console that was made elsewhere.
    pub async fn on(console: run::Console, size: (u16, u16)) -> Self {
        let mut console = Self {
            console,
            terminal: Terminal::new(TestBackend::new(size.0, size.1)).unwrap(),
            publish: watch::channel(Arc::default()).0,
            wishes: Arc::default(),
            left: None,
        };
        console.resize(size.0, size.1).await;
        console
    }

    /// Presses keys 50 ms apart, each as a keymap file writes it, and waits for the screen to settle.
    pub async fn press(&mut self, keys: &str) -> &mut Self {
        let events = keys.split_whitespace().map(event).collect();
        self.feed(events, Duration::from_millis(50)).await
    }

    /// Types text key by key.
    pub async fn types(&mut self, text: &str) -> &mut Self {
        let key = |c: char| Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
        self.feed(text.chars().map(key).collect(), Duration::from_millis(50))
            .await
    }

    /// Leaves the screen to another terminal.
    pub fn into_console(self) -> (run::Console, watch::Sender<Arc<Snapshot>>) {
        (self.console, self.publish)
    }

    /// All at once, as a terminal that was not read for a while gives them.
    pub async fn burst(&mut self, keys: &str) -> &mut Self {
        let events = keys.split_whitespace().map(event).collect();
        self.feed(events, Duration::ZERO).await
    }

    /// A click of the left button on the line that shows this text.
    pub async fn click(&mut self, text: &str) -> &mut Self {
        let screen = self.text();
        let row = screen.lines().position(|line| line.contains(text));
        let row = row.unwrap_or_else(|| panic!("no line shows {text:?}:\n{screen}"));
        self.mouse(MouseEventKind::Down(MouseButton::Left), row as u16).await
    }

    pub async fn mouse(&mut self, kind: MouseEventKind, row: u16) -> &mut Self {
        let event = MouseEvent {
            kind,
            column: 10,
            row,
            modifiers: KeyModifiers::NONE,
        };
        self.feed(vec![Event::Mouse(event)], Duration::ZERO).await
    }

    pub async fn paste(&mut self, text: &str) -> &mut Self {
        self.feed(vec![Event::Paste(text.to_owned())], Duration::ZERO).await
    }

    pub async fn resize(&mut self, width: u16, height: u16) -> &mut Self {
        self.terminal.backend_mut().resize(width, height);
        self.feed(vec![Event::Resize(width, height)], Duration::ZERO).await
    }

    pub async fn wait(&mut self, time: Duration) -> &mut Self {
        self.run(Vec::new(), Duration::ZERO, time).await
    }

    /// New facts arrive.
    pub async fn publish(&mut self, snapshot: Snapshot) -> &mut Self {
        self.publish.send(Arc::new(snapshot)).unwrap();
        self.wait(Duration::from_millis(200)).await
    }

    /// Records arrive for the stream that is read; nothing more comes.
    pub async fn receive(&mut self, records: Vec<Record>) -> &mut Self {
        let state = &mut self.console.state;
        let batch = Batch {
            words: state.records.words.clone(),
            read: records.len() as u64,
            records,
            ..Batch::default()
        };
        state.update(fixture::now(), Message::Records(batch));
        self.wait(Duration::from_millis(200)).await
    }

    async fn feed(&mut self, events: Vec<Event>, apart: Duration) -> &mut Self {
        self.run(events, apart, Duration::from_millis(200)).await
    }

    async fn run(&mut self, events: Vec<Event>, apart: Duration, rest: Duration) -> &mut Self {
        let keys = futures::stream::iter(events).then(move |event| async move {
            if !apart.is_zero() {
                time::sleep(apart).await;
            }
            Ok(event)
        });
        let end = futures::stream::once(async move { time::sleep(rest).await }).filter_map(|()| async { None });
        let mut input = Box::pin(keys.chain(end));
        let left = run::run(&mut self.terminal, &mut input, &mut self.console)
            .await
            .unwrap();
        self.left = (left != Leave::InputEnded).then_some(left);
        self
    }

    /// The screen as text, line by line.
    pub fn text(&self) -> String {
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width.max(1));
        let line = |cells: &[ratatui::buffer::Cell]| {
            let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            text.trim_end().to_owned()
        };
        buffer.content().chunks(width).map(line).collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    pub fn shows(&self, text: &str) -> &Self {
        assert!(
            self.text().contains(text),
            "the screen does not show {text:?}:\n{}",
            self.text()
        );
        self
    }

    #[track_caller]
    pub fn hides(&self, text: &str) -> &Self {
        assert!(
            !self.text().contains(text),
            "the screen shows {text:?}:\n{}",
            self.text()
        );
        self
    }

    /// The line under the cursor.
    #[track_caller]
    pub fn cursor_on(&self, text: &str) -> &Self {
        let screen = self.text();
        let line = screen.lines().find(|line| line.starts_with('▸')).unwrap_or_default();
        assert!(
            line.contains(text),
            "the cursor is on {line:?}, not on {text:?}:\n{screen}"
        );
        self
    }

    pub fn buffer(&self) -> &ratatui::buffer::Buffer {
        self.terminal.backend().buffer()
    }
}

/// The event that a terminal sends for a key as a keymap file writes it.
pub fn event(word: &str) -> Event {
    let key: Key = word.parse().unwrap();
    let mut modifiers = KeyModifiers::NONE;
    modifiers.set(KeyModifiers::CONTROL, key.ctrl);
    modifiers.set(KeyModifiers::ALT, key.alt);
    modifiers.set(KeyModifiers::SHIFT, key.shift);
    let code = if key.shift && key.code == KeyCode::Tab {
        KeyCode::BackTab
    } else {
        key.code
    };
    Event::Key(KeyEvent::new(code, modifiers))
}
