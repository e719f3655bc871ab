//! Who hears a key: the layers that the state names, first come first served, from the loaded keymap.

use std::collections::HashMap;

use crate::settings::keymap::Keymap;
use crate::tui::app::Action;
use crate::tui::app::place::Layer;
use crate::tui::app::state::Binding;

use super::chord::{Reached, Trie};
use super::key::{self, Key};

/// The keymap, and the chord being typed.
#[derive(Debug, Clone, Default)]
pub struct Router {
    layers: HashMap<Layer, Trie>,
    bindings: Vec<Binding>,
    pending: Vec<Key>,
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    Action(Action),
    /// The chord goes on; `pending` shows it.
    Pending,
    /// Nobody binds it.
    Nobody,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("keymap layer [{0}] is unknown; layers are {known}", known = layer_names())]
    Layer(String),
    #[error("keymap [{layer}] \"{chord}\": there is no action `{action}`")]
    Action {
        layer: &'static str,
        chord: String,
        action: String,
    },
    #[error("keymap [{layer}] \"{chord}\": {source}")]
    Key {
        layer: &'static str,
        chord: String,
        source: key::Error,
    },
    #[error("keymap [{layer}] \"{chord}\": {key} belongs to terminals and multiplexers and cannot be bound")]
    Reserved {
        layer: &'static str,
        chord: String,
        key: String,
    },
    #[error("keymap [{layer}] \"{chord}\" can never be heard: it begins with, equals or begins another chord there")]
    Shadowed { layer: &'static str, chord: String },
}

fn layer_names() -> String {
    use strum::IntoEnumIterator;
    Layer::iter().map(Layer::name).collect::<Vec<_>>().join(", ")
}

impl Router {
    pub fn new(keymap: &Keymap) -> Result<Self, Error> {
        let mut router = Self::default();
        for (name, chords) in &keymap.layers {
            let layer: Layer = name.parse().map_err(|_| Error::Layer(name.clone()))?;
            for (chord, action) in chords {
                router.bind(layer, chord, action)?;
            }
        }
        router
            .bindings
            .sort_by_key(|binding| (binding.layer, binding.action, rank(&binding.chord)));
        Ok(router)
    }

    fn bind(&mut self, layer: Layer, chord: &str, action: &str) -> Result<(), Error> {
        let name = layer.name();
        let key = |word: &str| word.parse::<Key>();
        let keys: Result<Vec<Key>, key::Error> = chord.split_whitespace().map(key).collect();
        let keys = keys.map_err(|source| Error::Key {
            layer: name,
            chord: chord.to_owned(),
            source,
        })?;
        if let Some(reserved) = keys.iter().find(|key| key.is_reserved()) {
            return Err(Error::Reserved {
                layer: name,
                chord: chord.to_owned(),
                key: reserved.to_string(),
            });
        }
        let known: Action = action.parse().map_err(|_| Error::Action {
            layer: name,
            chord: chord.to_owned(),
            action: action.to_owned(),
        })?;
        let inserted = self.layers.entry(layer).or_default().insert(&keys, known);
        inserted.map_err(|_| Error::Shadowed {
            layer: name,
            chord: chord.to_owned(),
        })?;
        self.bindings.push(Binding {
            layer,
            chord: chord.to_owned(),
            action: known,
        });
        Ok(())
    }

    /// Every chord, by layer and action, shortest and plainest first.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Hears one key. An unfinished chord that leads nowhere is dropped, and its last key heard alone.
    pub fn hear(&mut self, layers: &[Layer], key: Key) -> Hit {
        self.pending.push(key);
        for layer in layers {
            match self
                .layers
                .get(layer)
                .map_or(Reached::Nothing, |trie| trie.reach(&self.pending))
            {
                Reached::Action(action) => {
                    self.pending.clear();
                    return Hit::Action(action);
                }
                Reached::More => return Hit::Pending,
                Reached::Nothing => {}
            }
        }
        let alone = self.pending.len() > 1;
        self.pending.clear();
        if alone { self.hear(layers, key) } else { Hit::Nobody }
    }

    /// The chord so far, as shown: `g …`.
    pub fn pending(&self) -> String {
        self.pending.iter().map(Key::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// Single letters before names before combinations.
fn rank(chord: &str) -> (usize, bool, String) {
    (
        chord.split_whitespace().count(),
        chord.chars().count() > 1 && chord != "enter",
        chord.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::preset::Preset;

    const LIST: [Layer; 3] = [Layer::Topic, Layer::List, Layer::Global];

    fn router(name: &str) -> Router {
        Router::new(&Keymap::load(name, None).unwrap()).unwrap()
    }

    fn hear(router: &mut Router, layers: &[Layer], key: &str) -> Hit {
        router.hear(layers, key.parse().unwrap())
    }

    #[test]
    fn the_first_layer_that_knows_a_key_has_it() {
        let mut router = router("default");
        assert_eq!(hear(&mut router, &LIST, "h"), Hit::Action(Action::Heat));
        assert_eq!(hear(&mut router, &LIST, "j"), Hit::Action(Action::Next));
        assert_eq!(hear(&mut router, &LIST, "q"), Hit::Action(Action::Quit));
        assert_eq!(hear(&mut router, &[Layer::Dialog], "q"), Hit::Action(Action::Cancel));
        assert_eq!(hear(&mut router, &[Layer::Prompt], "q"), Hit::Nobody);
    }

    #[test]
    fn a_chord_that_leads_nowhere_gives_its_last_key_back() {
        let mut router = router("vim");
        assert_eq!(hear(&mut router, &LIST, "g"), Hit::Pending);
        assert_eq!(router.pending(), "g");
        assert_eq!(hear(&mut router, &LIST, "g"), Hit::Action(Action::First));
        assert_eq!(hear(&mut router, &LIST, "g"), Hit::Pending);
        assert_eq!(hear(&mut router, &LIST, "j"), Hit::Action(Action::Next));
        assert_eq!(router.pending(), "");
    }

    #[test]
    fn mistakes_in_a_keymap_file_are_named() {
        let error = |text: &str| Router::new(&toml::from_str(text).unwrap()).unwrap_err().to_string();
        assert!(error("[list]\nx = \"dance\"").contains("no action `dance`"));
        assert!(error("[lst]\nx = \"next\"").contains("[lst] is unknown"));
        assert!(error("[list]\n\"ctrl-a\" = \"next\"").contains("belongs to terminals"));
        assert!(error("[list]\n\"g\" = \"next\"\n\"g g\" = \"first\"").contains("never be heard"));
        assert!(error("[list]\n\"hyper-x\" = \"next\"").contains("is no key"));
    }
}
