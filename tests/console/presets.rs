//! The data files: every theme fills every role, every keymap is heard, and the lists match the folders.

use std::collections::BTreeSet;
use std::path::Path;

use azimuth::settings::appearance::{Colours, Glyphs};
use azimuth::settings::keymap::Keymap;
use azimuth::settings::preset::Preset;
use azimuth::settings::theme::Theme as ThemeFile;
use azimuth::tui::app::Action;
use azimuth::tui::app::place::{Layer, Noun};
use azimuth::tui::input::{Key, Router};
use azimuth::tui::theme::{Role, Theme};
use strum::{IntoEnumIterator, VariantArray};

fn folder(name: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let entries = std::fs::read_dir(path).unwrap();
    entries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_embedded_themes_are_those_of_the_folder() {
    let embedded: BTreeSet<String> = ThemeFile::PRESETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(embedded, folder("themes"));
}

#[test]
fn the_embedded_keymaps_are_those_of_the_folder() {
    let embedded: BTreeSet<String> = Keymap::PRESETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(embedded, folder("keymaps"));
}

#[test]
fn every_theme_fills_every_role_for_every_kind_of_terminal() {
    for (name, _) in ThemeFile::PRESETS {
        let file = ThemeFile::load(name, None).unwrap();
        assert_eq!(file.roles.len(), Role::VARIANTS.len(), "{name}");
        for colours in [Colours::None, Colours::Sixteen, Colours::Indexed, Colours::True] {
            for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
                Theme::new(&file, colours, glyphs).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}

#[test]
fn no_theme_leaves_a_colour_unused() {
    for (name, _) in ThemeFile::PRESETS {
        let file = ThemeFile::load(name, None).unwrap();
        let used: BTreeSet<&String> = file
            .roles
            .values()
            .flat_map(|look| look.fg.iter().chain(&look.bg))
            .collect();
        let unused: Vec<&String> = file.palette.keys().filter(|colour| !used.contains(colour)).collect();
        assert!(unused.is_empty(), "{name}: {unused:?}");
    }
}

/// What a glance must tell apart differs in every theme, also without colours.
#[test]
fn selection_errors_and_stale_values_stand_out() {
    for (name, _) in ThemeFile::PRESETS {
        for colours in [Colours::None, Colours::Sixteen, Colours::True] {
            let theme = Theme::new(&ThemeFile::load(name, None).unwrap(), colours, Glyphs::Unicode).unwrap();
            for role in [Role::Selection, Role::Error, Role::Stale] {
                assert_ne!(
                    theme.style(role),
                    theme.style(Role::Text),
                    "{name} {colours:?} {role:?}"
                );
            }
        }
    }
}

/// Screens without a number of their own are opened by the palette.
#[test]
fn every_keymap_is_heard_and_binds_every_action() {
    for (name, _) in Keymap::PRESETS {
        let router = Router::new(&Keymap::load(name, None).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let named = |action: &&Action| action.name().parse::<Noun>().is_err();
        for action in Action::VARIANTS.iter().filter(named) {
            assert!(
                router.bindings().iter().any(|binding| binding.action == *action),
                "{name}: {action:?} has no key"
            );
        }
    }
}

#[test]
fn no_chord_touches_a_key_of_the_terminal() {
    for (name, _) in Keymap::PRESETS {
        for (layer, chords) in Keymap::load(name, None).unwrap().layers {
            for chord in chords.keys() {
                for word in chord.split_whitespace() {
                    assert!(!word.parse::<Key>().unwrap().is_reserved(), "{name} [{layer}] {chord}");
                }
            }
        }
    }
}

/// Lower-case keys, enter and esc never change the cluster.
#[test]
fn changes_are_capitals() {
    for (name, _) in Keymap::PRESETS {
        let router = Router::new(&Keymap::load(name, None).unwrap()).unwrap();
        for binding in router.bindings().iter().filter(|binding| binding.action.is_change()) {
            let capital = binding.chord.chars().all(|c| c.is_ascii_uppercase());
            assert!(capital, "{name}: {:?} is bound to {}", binding.action, binding.chord);
        }
    }
}

#[test]
fn every_layer_of_the_default_keymap_is_there() {
    let file = Keymap::load("default", None).unwrap();
    let layers: BTreeSet<&str> = file.layers.keys().map(String::as_str).collect();
    assert_eq!(layers, Layer::iter().map(Layer::name).collect());
}

#[test]
fn every_action_has_a_sentence_of_help() {
    for action in Action::VARIANTS {
        let help = action.help();
        assert!(
            help.ends_with('.') && (10..=41).contains(&help.chars().count()),
            "{action:?}: {help}"
        );
    }
}
