//! May this command change this cluster? One pure answer, asked before every change by every face.

use super::context::Contexts;
use super::pin::Pins;
use super::{Class, Context};

/// What applies to the cluster at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What `--confirm` must equal: the context's name.
    pub name: String,
    pub class: Class,
    pub changes: bool,
    /// A plan says why.
    pub reason: bool,
}

/// What the operator has said on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consent {
    pub dry_run: bool,
    pub yes: bool,
    pub confirm: Option<String>,
    /// It was said why, or need not be.
    pub reasoned: bool,
}

/// What may happen now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is changed, so nothing need be asked.
    DryRun,
    Go,
    /// Ask the person at the terminal to type this name; without a terminal it is a refusal (`Refusal::Unconfirmed`).
    Ask(String),
    Refused(Refusal),
}

/// Why not, and the way out. Exit 4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} is read-only: set changes = true in its context to allow changes")]
    ReadOnly(String),
    #[error(
        "this cluster is in no context, so it is read-only; add one (azimuth context add), or give --allow-changes"
    )]
    Stranger,
    #[error("{0} wants to know why: give --reason TEXT; it is kept in the journal")]
    Unreasoned(String),
    #[error("{0} is prod: --yes is not accepted, give --confirm with the context's name")]
    YesOnProd(String),
    #[error("--confirm {given} is not the name of this context; nothing was changed")]
    WrongName { given: String },
    #[error("{name} needs a confirmation: give {}", if *.prod { "--confirm with the context's name" } else { "--yes" })]
    Unconfirmed { name: String, prod: bool },
}

/// The rule for a context once its cluster's id is known. A bare `--bootstrap` at a cluster of known contexts
/// inherits the strictest of theirs, whatever `--allow-changes` says.
pub fn of(context: &Context, cluster_id: &str, contexts: &Contexts, pins: &Pins) -> Rule {
    let own = Rule {
        name: context.name.clone(),
        class: context.class,
        changes: context.changes,
        reason: context.reason,
    };
    if context.file.is_some() {
        return own;
    }
    let by_pin = pins
        .contexts_of(cluster_id)
        .filter_map(|name| contexts.context.get_key_value(name));
    let by_hand = contexts
        .context
        .iter()
        .filter(|(_, entry)| entry.cluster_id.as_deref() == Some(cluster_id));
    let inherited = by_pin.chain(by_hand).map(|(name, entry)| Rule {
        name: name.clone(),
        class: entry.class,
        changes: entry.changes,
        reason: entry.reason,
    });
    inherited
        .max_by_key(|rule| (!rule.changes, rule.class, rule.reason))
        .unwrap_or(own)
}

impl Rule {
    /// May a change go ahead? Read-only comes first: no confirmation outranks it, nor a missing reason.
    pub fn verdict(&self, consent: &Consent) -> Verdict {
        if consent.dry_run {
            return Verdict::DryRun;
        }
        if !self.changes {
            return Verdict::Refused(self.read_only());
        }
        if self.reason && !consent.reasoned {
            return Verdict::Refused(Refusal::Unreasoned(self.name.clone()));
        }
        let prod = self.class == Class::Prod;
        match &consent.confirm {
            Some(given) if *given == self.name => Verdict::Go,
            Some(given) => Verdict::Refused(Refusal::WrongName { given: given.clone() }),
            None if consent.yes && prod => Verdict::Refused(Refusal::YesOnProd(self.name.clone())),
            None if consent.yes => Verdict::Go,
            None => Verdict::Ask(self.name.clone()),
        }
    }

    /// The refusal when a question was due and nobody is there to answer it.
    pub fn unconfirmed(&self) -> Refusal {
        Refusal::Unconfirmed {
            name: self.name.clone(),
            prod: self.class == Class::Prod,
        }
    }

    fn read_only(&self) -> Refusal {
        // A bootstrap list is the name of what no context names.
        if self.name.contains(':') {
            Refusal::Stranger
        } else {
            Refusal::ReadOnly(self.name.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Paths;
    use crate::settings::target::{Asked, resolve};

    fn rule(class: Class, changes: bool) -> Rule {
        Rule {
            name: "prod-eu".to_owned(),
            class,
            changes,
            reason: false,
        }
    }

    fn consent(yes: bool, confirm: Option<&str>) -> Consent {
        Consent {
            dry_run: false,
            yes,
            confirm: confirm.map(str::to_owned),
            reasoned: false,
        }
    }

    #[test]
    fn read_only_outranks_every_confirmation() {
        for class in [Class::Dev, Class::Staging, Class::Prod] {
            let verdict = rule(class, false).verdict(&consent(true, Some("prod-eu")));
            assert_eq!(verdict, Verdict::Refused(Refusal::ReadOnly("prod-eu".to_owned())));
        }
    }

    #[test]
    fn a_dry_run_needs_no_leave() {
        let dry = Consent {
            dry_run: true,
            ..Consent::default()
        };
        assert_eq!(rule(Class::Prod, false).verdict(&dry), Verdict::DryRun);
    }

    #[test]
    fn a_context_that_asks_why_is_told() {
        let asking = Rule {
            reason: true,
            ..rule(Class::Dev, true)
        };
        let silent = consent(true, None);
        assert_eq!(
            asking.verdict(&silent),
            Verdict::Refused(Refusal::Unreasoned("prod-eu".to_owned()))
        );
        let reasoned = Consent {
            reasoned: true,
            ..silent
        };
        assert_eq!(asking.verdict(&reasoned), Verdict::Go);
    }

    #[test]
    fn prod_wants_its_name_and_not_yes() {
        let prod = rule(Class::Prod, true);
        assert_eq!(prod.verdict(&consent(false, Some("prod-eu"))), Verdict::Go);
        assert_eq!(
            prod.verdict(&consent(true, None)),
            Verdict::Refused(Refusal::YesOnProd("prod-eu".to_owned()))
        );
        assert!(matches!(
            prod.verdict(&consent(true, Some("prod-us"))),
            Verdict::Refused(Refusal::WrongName { .. })
        ));
        assert_eq!(prod.verdict(&consent(false, None)), Verdict::Ask("prod-eu".to_owned()));
    }

    #[test]
    fn elsewhere_yes_will_do_but_a_wrong_name_will_not() {
        let dev = rule(Class::Dev, true);
        assert_eq!(dev.verdict(&consent(true, None)), Verdict::Go);
        assert!(matches!(
            dev.verdict(&consent(true, Some("x"))),
            Verdict::Refused(Refusal::WrongName { .. })
        ));
        assert_eq!(
            rule(Class::Staging, true).verdict(&consent(false, None)),
            Verdict::Ask("prod-eu".to_owned())
        );
    }

    #[test]
    fn a_refusal_never_prints_the_name_to_paste() {
        let refused = Refusal::YesOnProd("prod-eu".to_owned()).to_string();
        assert!(!refused.contains("--confirm prod-eu"), "{refused}");
    }

    #[test]
    fn a_bare_bootstrap_inherits_the_strictest_context_of_a_known_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: folder.path().to_owned(),
            state: folder.path().join("state"),
            cache: folder.path().join("cache"),
        };
        let text =
            "[context.a]\nbootstrap = \"a:1\"\nclass = \"dev\"\nchanges = true\n[context.b]\nbootstrap = \"b:1\"\n";
        std::fs::write(paths.contexts(), text).unwrap();
        let contexts = Contexts::load(&paths.contexts()).unwrap();
        let mut pins = Pins::load(&paths).unwrap();
        for name in ["a", "b"] {
            let asked = Asked {
                context: Some(name.to_owned()),
                ..Asked::default()
            };
            pins.check(&resolve(&asked, &paths).unwrap(), "X").unwrap();
        }
        let asked = Asked {
            bootstrap: Some("c:1".to_owned()),
            allow_changes: true,
            ..Asked::default()
        };
        let bare = resolve(&asked, &paths).unwrap();
        let rule = of(&bare, "X", &contexts, &pins);
        assert_eq!((rule.name.as_str(), rule.changes), ("b", false));
        assert_eq!(
            rule.verdict(&consent(true, None)),
            Verdict::Refused(Refusal::ReadOnly("b".to_owned()))
        );
        let unknown = of(&bare, "Z", &contexts, &pins);
        assert_eq!(unknown.verdict(&consent(true, None)), Verdict::Go);
    }
}
