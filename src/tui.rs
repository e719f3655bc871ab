//! Face 2: the terminal screens. Events in, one state, one draw; what takes time runs elsewhere and comes back as a message.

pub mod app;
pub mod input;
pub mod open;
pub mod past;
pub mod run;
pub mod runtime;
pub mod terminal;
pub mod theme;
pub mod verbs;
pub mod view;
pub mod widget;

use std::sync::Arc;

use color_eyre::eyre::{WrapErr, eyre};
use tokio::sync::watch;

use crate::model::{Moment, Snapshot};
use crate::settings::appearance::{Appearance, Colours, Glyphs};
use crate::settings::keymap::Keymap;
use crate::settings::paths::Paths;
use crate::settings::preset::Preset;
use crate::settings::theme::Theme as ThemeFile;

use app::State;
use app::context::Context;
use app::first::{First, Pick};
use app::place::Noun;
use app::state::{Origin, Start};
use input::Router;
use run::{Console, Leave, Look};
use runtime::{Facts, Runtime, Verbs};

/// What the screens need to open.
pub struct Options {
    pub origin: Origin,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub facts: Arc<dyn Facts>,
    /// `None` leaves the screens without any action that changes the cluster.
    pub verbs: Option<Arc<dyn Verbs>>,
    /// The contexts that the palette can switch to.
    pub contexts: Vec<Context>,
    pub appearance: Appearance,
    pub paths: Option<Paths>,
    /// What time it is on the screens; `None` is the machine's.
    pub clock: Option<run::Clock>,
}

/// How the person left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Quit,
    SwitchContext(String),
}

/// Opens the screens and stays until the person leaves, the terminal is lost, or a signal says so. The terminal is
/// given back in every case; operations go on without us, and the last line says how to come back to them.
pub async fn run(options: Options) -> color_eyre::Result<Outcome> {
    let mut console = console(options)?;
    let outcome = screens(&mut console).await;
    terminal::restore();
    console.runtime.leave().await;
    for operation in console
        .state
        .operations
        .iter()
        .filter(|operation| operation.is_running())
    {
        let id = &operation.id;
        println!("still running: azimuth operation attach {id} · to stop it: azimuth operation abort {id}");
    }
    outcome
}

async fn screens(console: &mut Console) -> color_eyre::Result<Outcome> {
    loop {
        let mut screen = terminal::init(console.mouse)?;
        let size = screen.size()?;
        let resize = app::Message::Resize(size.width, size.height);
        console.state.update((console.clock)(), resize);
        let leave = {
            let mut events = terminal::events()?;
            run::run(&mut screen, &mut events, console).await?
        };
        match leave {
            Leave::Quit | Leave::InputEnded => return Ok(Outcome::Quit),
            Leave::SwitchContext(name) => return Ok(Outcome::SwitchContext(name)),
            Leave::Page(text) => {
                terminal::restore();
                console.titled.clear();
                let shown = tokio::task::spawn_blocking(move || terminal::page(&text)).await?;
                if let Err(error) = shown {
                    let notice = app::Message::Notice(app::field::Tone::Error, error);
                    console.state.update((console.clock)(), notice);
                }
            }
        }
    }
}

/// Shows what was found on this machine until something is chosen; `None` when the person leaves.
pub async fn choose(
    mut first: First,
    appearance: Appearance,
    paths: Option<Paths>,
) -> color_eyre::Result<Option<Pick>> {
    let mut router = router(&appearance, paths.as_ref())?;
    let (look, name) = look(&appearance, paths);
    let theme = look.theme(&name).map_err(|error| eyre!(error))?;
    let mut screen = terminal::init(false)?;
    let mut events = terminal::events()?;
    let chosen = run::first::choose(&mut screen, &mut events, &mut router, &mut first, &theme).await;
    terminal::restore();
    Ok(chosen?)
}

/// The keymap that was chosen.
fn router(appearance: &Appearance, paths: Option<&Paths>) -> color_eyre::Result<Router> {
    let name = appearance.keymap.as_deref().unwrap_or("default");
    let file = Keymap::load(name, paths.map(Paths::keymaps).as_deref())?;
    Router::new(&file).wrap_err_with(|| format!("keymap `{name}`"))
}

/// How themes are loaded here, and the name of the first.
fn look(appearance: &Appearance, paths: Option<Paths>) -> (Look, String) {
    let look = Look {
        colours: appearance.colours.unwrap_or(Colours::Sixteen),
        glyphs: appearance.glyphs.unwrap_or(Glyphs::Unicode),
        paths,
    };
    (look, appearance.theme.clone().unwrap_or_else(|| "dark".to_owned()))
}

fn console(options: Options) -> color_eyre::Result<Console> {
    let Options {
        origin,
        snapshots,
        facts,
        verbs,
        contexts,
        appearance,
        paths,
        clock,
    } = options;
    let router = router(&appearance, paths.as_ref())?;
    let mouse = appearance.mouse.unwrap_or(false);
    let (look, name) = look(&appearance, paths);
    let theme = look.theme(&name).map_err(|error| eyre!(error))?;
    let clock: run::Clock = clock.unwrap_or_else(|| Box::new(Moment::now));
    let (runtime, messages) = Runtime::new(facts, verbs.clone());
    let state = State::new(Start {
        now: clock(),
        width: 80,
        height: 24,
        origin,
        verbs: verbs.is_some(),
        triage_first: true,
        themes: ThemeFile::names(look.paths.as_ref().map(Paths::themes).as_deref()),
        theme: name,
        contexts,
        bindings: router.bindings().to_vec(),
        zone: Some(jiff::tz::TimeZone::system()),
    });
    runtime.run(app::Effect::Focus(Noun::Broker));
    let clipboard = Box::new(|text: &str| terminal::copy(text));
    Ok(Console {
        state,
        router,
        theme,
        look,
        runtime,
        messages,
        snapshots,
        clock,
        clipboard,
        title: Box::new(terminal::title),
        titled: String::new(),
        mouse,
    })
}
