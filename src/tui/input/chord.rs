//! A layer's chords as a trie: a sequence of keys leads to an action, or to more keys.

use std::collections::HashMap;

use super::key::Key;
use crate::tui::app::Action;

/// What a sequence of keys means so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    Action(Action),
    /// A chord begins so.
    More,
    Nothing,
}

/// The chords of one layer.
#[derive(Debug, Clone, Default)]
pub struct Trie {
    next: HashMap<Key, Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Action(Action),
    More(Trie),
}

/// The chord cannot be bound: an equal or a shorter one is.
#[derive(Debug, PartialEq, Eq)]
pub struct Shadowed;

impl Trie {
    pub fn insert(&mut self, chord: &[Key], action: Action) -> Result<(), Shadowed> {
        let Some((first, rest)) = chord.split_first() else {
            return Err(Shadowed);
        };
        if rest.is_empty() {
            return match self.next.insert(*first, Node::Action(action)) {
                None => Ok(()),
                Some(_) => Err(Shadowed),
            };
        }
        match self.next.entry(*first).or_insert_with(|| Node::More(Trie::default())) {
            Node::More(trie) => trie.insert(rest, action),
            Node::Action(_) => Err(Shadowed),
        }
    }

    pub fn reach(&self, keys: &[Key]) -> Reached {
        let Some((first, rest)) = keys.split_first() else {
            return Reached::More;
        };
        match self.next.get(first) {
            None => Reached::Nothing,
            Some(Node::Action(action)) if rest.is_empty() => Reached::Action(*action),
            Some(Node::Action(_)) => Reached::Nothing,
            Some(Node::More(trie)) => trie.reach(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(chord: &str) -> Vec<Key> {
        chord.split(' ').map(|key| key.parse().unwrap()).collect()
    }

    #[test]
    fn a_chord_is_reached_key_by_key() {
        let mut trie = Trie::default();
        trie.insert(&keys("g g"), Action::First).unwrap();
        assert_eq!(trie.reach(&keys("g")), Reached::More);
        assert_eq!(trie.reach(&keys("g g")), Reached::Action(Action::First));
        assert_eq!(trie.reach(&keys("g x")), Reached::Nothing);
    }

    #[test]
    fn a_chord_that_could_never_be_heard_is_refused() {
        let mut trie = Trie::default();
        trie.insert(&keys("g"), Action::First).unwrap();
        assert_eq!(trie.insert(&keys("g g"), Action::Last), Err(Shadowed));
        assert_eq!(trie.insert(&keys("g"), Action::Last), Err(Shadowed));
        let mut trie = Trie::default();
        trie.insert(&keys("g g"), Action::First).unwrap();
        assert_eq!(trie.insert(&keys("g"), Action::Last), Err(Shadowed));
    }
}
