//! Face 2: the terminal screens. Events in, one state, one draw; what takes time runs elsewhere and comes back as a message.

pub mod app;
pub mod input;
pub mod open;
pub mod run;
pub mod runtime;
pub mod terminal;
pub mod theme;
pub mod verbs;
pub mod view;
pub mod widget;

use std::sync::Arc;

use color_eyre::eyre::{Context, eyre};
use tokio::sync::watch;

use crate::model::{Moment, Snapshot};
use crate::settings::appearance::{Appearance, Colours, Glyphs};
use crate::settings::keymap::Keymap;
use crate::settings::paths::Paths;
use crate::settings::preset::Preset;
use crate::settings::theme::Theme as ThemeFile;

use app::State;
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
    pub contexts: Vec<String>,
    pub appearance: Appearance,
    pub paths: Option<Paths>,
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
        let mut screen = terminal::init()?;
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
                let shown = tokio::task::spawn_blocking(move || terminal::page(&text)).await?;
                if let Err(error) = shown {
                    let notice = app::Message::Notice(app::field::Tone::Error, error);
                    console.state.update((console.clock)(), notice);
                }
            }
        }
    }
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
    } = options;
    let keymap_name = appearance.keymap.as_deref().unwrap_or("default");
    let folder = paths.as_ref().map(Paths::keymaps);
    let file = Keymap::load(keymap_name, folder.as_deref())?;
    let router = Router::new(&file).wrap_err_with(|| format!("keymap `{keymap_name}`"))?;
    let look = Look {
        colours: appearance.colours.unwrap_or(Colours::Sixteen),
        glyphs: appearance.glyphs.unwrap_or(Glyphs::Unicode),
        paths,
    };
    let name = appearance.theme.unwrap_or_else(|| "dark".to_owned());
    let theme = look.theme(&name).map_err(|error| eyre!(error))?;
    let clock: run::Clock = Box::new(Moment::now);
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
    })
}
