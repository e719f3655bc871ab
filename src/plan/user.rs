//! Plans that give users SCRAM credentials, or take them away (KIP-554). A password is in no plan: it travels to the engine
//! by itself, and is kept nowhere.

use serde::{Deserialize, Serialize};

use super::acl::Settings;
use super::gate::{Class, Gate, Verdict};
use super::{Error, Kind, Plan, Step, Undo};
use crate::model::acl::{CLUSTER, Operation, Permission, ResourceKind, user_of};
use crate::model::snapshot::Snapshot;
use crate::model::user::User;
use crate::model::{Moment, nearest};

/// Under this name the password travels.
pub const PASSWORD: &str = "password";

/// The bounds that Kafka sets (`ScramMechanism`, KIP-554).
const ITERATIONS: std::ops::RangeInclusive<i32> = 4096..=16384;

/// What somebody wants of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Set {
        user: String,
        mechanism: String,
        iterations: i32,
    },
    /// Without a mechanism all of them.
    Delete { user: String, mechanism: Option<String> },
}

/// One credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub user: String,
    /// `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// Rounds of the one that is set; of one that is deleted, what it had.
    pub iterations: i32,
    /// Rounds of the one that it replaces.
    pub replaces: Option<i32>,
}

/// Plans it. Needs the cluster, its users, rules and the brokers' configs; and who we are.
///
/// # Errors
/// When there is no such user, or the rounds are not Kafka's.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    let users = told(snapshot)?;
    match wish {
        Wish::Set {
            user,
            mechanism,
            iterations,
        } => {
            if !ITERATIONS.contains(iterations) {
                let (least, most) = (ITERATIONS.start(), ITERATIONS.end());
                return Err(Error::Impossible(format!(
                    "Kafka takes {least} to {most} iterations, not {iterations}"
                )));
            }
            let replaces = rounds(users, user, mechanism);
            let undo = match replaces {
                None => Undo::Full {
                    how: format!("delete the {mechanism} credential of {user}"),
                },
                Some(_) => Undo::None {
                    why: "Kafka keeps no password, so the one that is replaced cannot be given back".to_owned(),
                },
            };
            let credential = Credential {
                user: user.clone(),
                mechanism: mechanism.clone(),
                iterations: *iterations,
                replaces,
            };
            let verb = if replaces.is_some() { "replace" } else { "set" };
            Ok(Plan {
                title: format!("{verb} the {mechanism} password of user {user}"),
                gates: gates(snapshot, user, replaces.is_some()),
                undo,
                steps: vec![Step::SetCredential(credential)],
                ..Plan::draft(snapshot, Kind::UserSet, context, now)?
            })
        }
        Wish::Delete { user, mechanism } => {
            let found = users.iter().find(|one| one.name == *user);
            let own = found.map_or(&[][..], |one| &one.credentials);
            let chosen = own
                .iter()
                .filter(|one| mechanism.as_ref().is_none_or(|wanted| one.mechanism == *wanted));
            let steps: Vec<Step> = chosen
                .map(|one| {
                    Step::DeleteCredential(Credential {
                        user: user.clone(),
                        mechanism: one.mechanism.clone(),
                        iterations: one.iterations,
                        replaces: None,
                    })
                })
                .collect();
            if steps.is_empty() {
                let near = nearest(
                    user,
                    users.iter().map(|one| one.name.as_str()).filter(|name| name != user),
                );
                let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                let of = mechanism.as_ref().map_or("SCRAM".to_owned(), Clone::clone);
                return Err(Error::Impossible(format!("user {user} has no {of} credential{near}")));
            }
            Ok(Plan {
                title: format!("delete the credentials of user {user}"),
                gates: gates(snapshot, user, true),
                undo: Undo::None {
                    why: "Kafka keeps no password, so a credential cannot be given back".to_owned(),
                },
                steps,
                ..Plan::draft(snapshot, Kind::UserDelete, context, now)?
            })
        }
    }
}

/// What a plan of this kind was made for; `None` of another kind.
pub fn wish_of(plan: &Plan) -> Option<Wish> {
    plan.steps.iter().find_map(|step| match step {
        Step::SetCredential(one) => Some(Wish::Set {
            user: one.user.clone(),
            mechanism: one.mechanism.clone(),
            iterations: one.iterations,
        }),
        Step::DeleteCredential(one) => Some(Wish::Delete {
            user: one.user.clone(),
            mechanism: (plan.steps.len() == 1).then(|| one.mechanism.clone()),
        }),
        _ => None,
    })
}

/// The way back of a credential that was set.
///
/// # Errors
/// When it replaced one.
pub fn undoing(one: &Credential) -> Result<Wish, Error> {
    match one.replaces {
        None => Ok(Wish::Delete {
            user: one.user.clone(),
            mechanism: Some(one.mechanism.clone()),
        }),
        Some(_) => Err(lost(&one.user)),
    }
}

/// Why a password cannot be given back.
pub fn lost(user: &str) -> Error {
    Error::Impossible(format!(
        "the password of {user} that was there cannot be given back: Kafka keeps none; azimuth user set {user} gives a new one"
    ))
}

/// What is not as the plan saw it.
pub fn drift(step: &Step, snapshot: &Snapshot) -> Option<String> {
    let (one, was) = match step {
        Step::SetCredential(one) => (one, one.replaces),
        Step::DeleteCredential(one) => (one, Some(one.iterations)),
        _ => return None,
    };
    let users = match told(snapshot) {
        Ok(users) => users,
        Err(error) => return Some(error.to_string()),
    };
    let is = rounds(users, &one.user, &one.mechanism);
    let words = |rounds: Option<i32>| rounds.map_or("not there".to_owned(), |rounds| format!("of {rounds} iterations"));
    (was != is).then(|| {
        let (user, mechanism) = (&one.user, &one.mechanism);
        format!(
            "the {mechanism} credential of {user} was {} and is {}",
            words(was),
            words(is)
        )
    })
}

/// One step, in a line.
pub fn line(step: &Step) -> Option<String> {
    match step {
        Step::SetCredential(one) => Some(match one.replaces {
            None => format!("  + {}  {}, {} iterations", one.user, one.mechanism, one.iterations),
            Some(before) => format!(
                "  ~ {}  {}, {before} → {} iterations, another password",
                one.user, one.mechanism, one.iterations
            ),
        }),
        Step::DeleteCredential(one) => Some(format!(
            "  - {}  {}, {} iterations",
            one.user, one.mechanism, one.iterations
        )),
        _ => None,
    }
}

fn told(snapshot: &Snapshot) -> Result<&[User], Error> {
    match snapshot.users.get() {
        Some(users) => Ok(users),
        None => Err(Error::Blind {
            what: "the users",
            why: snapshot.users.problem().unwrap_or_default(),
        }),
    }
}

fn rounds(users: &[User], user: &str, mechanism: &str) -> Option<i32> {
    let found = users.iter().find(|one| one.name == user)?;
    let own = found.credentials.iter().find(|one| one.mechanism == mechanism)?;
    Some(own.iterations)
}

/// `was`: the user could log in so before, and whoever does cannot any more.
fn gates(snapshot: &Snapshot, user: &str, was: bool) -> Vec<Gate> {
    let own = snapshot.principal.as_deref().and_then(user_of) == Some(user);
    let lockout = match (own, was) {
        (true, true) => (
            Verdict::Fail,
            format!("{user} is you: this context's password no longer works afterwards"),
        ),
        (true, false) => (Verdict::Pass, format!("{user} is you, and keeps how you log in now")),
        (false, _) => (Verdict::Pass, format!("you do not log in as {user}")),
    };
    vec![
        Gate::new("lockout", Class::Soft, lockout.0, lockout.1),
        inter_broker(snapshot, user, was),
    ]
}

/// Whether brokers may log in to each other as this user: it is a super user, or may act as the cluster does.
fn inter_broker(snapshot: &Snapshot, user: &str, was: bool) -> Gate {
    let gate = |verdict, evidence| Gate::new("inter-broker", Class::Soft, verdict, evidence);
    if !was {
        return gate(Verdict::Pass, "nobody logs in so yet".to_owned());
    }
    let principal = format!("User:{user}");
    let settings = Settings::of(snapshot);
    let acts = snapshot
        .acls
        .get()
        .into_iter()
        .flat_map(|acls| &acls.rules)
        .any(|rule| {
            rule.is_about(ResourceKind::Cluster, CLUSTER)
                && rule.permission == Permission::Allow
                && rule.principal == principal
                && rule.operations.contains(&Operation::ClusterAction)
        });
    match settings.super_users {
        _ if acts => gate(
            Verdict::Fail,
            format!("{user} has ClusterAction: brokers may log in to each other as it"),
        ),
        Some(users) if users.contains(&principal) => gate(
            Verdict::Fail,
            format!("{user} is a super user: brokers may log in to each other as it"),
        ),
        Some(_) => gate(
            Verdict::Pass,
            format!("{user} is no super user and has no ClusterAction"),
        ),
        None => gate(
            Verdict::Warn,
            format!("brokers do not tell super.users, so whether they log in as {user} is not known"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::cluster::Cluster;
    use crate::model::user;

    fn now() -> Moment {
        Moment::from_second(1_700_000_000).unwrap()
    }

    fn snapshot() -> Snapshot {
        let credential = |mechanism: &str| user::Credential {
            mechanism: mechanism.into(),
            iterations: 4096,
        };
        let billing = User {
            name: "billing".into(),
            credentials: vec![credential("SCRAM-SHA-256"), credential("SCRAM-SHA-512")],
        };
        let cluster = Cluster {
            id: "c1".into(),
            controller: Some(1),
            brokers: Vec::new(),
            version: None,
        };
        Snapshot {
            cluster: Observed::fresh(cluster, now()),
            users: Observed::fresh(vec![billing], now()),
            principal: Some("User:billing".into()),
            ..Snapshot::default()
        }
    }

    fn set(user: &str, iterations: i32) -> Wish {
        Wish::Set {
            user: user.into(),
            mechanism: "SCRAM-SHA-512".into(),
            iterations,
        }
    }

    fn make(wish: &Wish) -> Result<Plan, Error> {
        plan(&snapshot(), wish, "dev", now())
    }

    #[test]
    fn a_new_user_can_be_taken_back_and_a_replaced_password_cannot() {
        let new = make(&set("etl", 8192)).unwrap();
        assert!(matches!(new.undo, Undo::Full { .. }));
        let Step::SetCredential(one) = &new.steps[0] else {
            panic!()
        };
        let back = undoing(one).unwrap();
        assert!(matches!(back, Wish::Delete { mechanism: Some(_), .. }));
        let other = make(&set("billing", 8192)).unwrap();
        assert!(matches!(&other.undo, Undo::None { why } if why.contains("cannot be given back")));
        let Step::SetCredential(one) = &other.steps[0] else {
            panic!()
        };
        assert_eq!(one.replaces, Some(4096));
        assert!(
            undoing(one)
                .unwrap_err()
                .to_string()
                .contains("azimuth user set billing")
        );
        assert_eq!(wish_of(&other), Some(set("billing", 8192)));
    }

    #[test]
    fn ones_own_password_is_behind_a_gate() {
        let closed = |wish: &Wish| {
            let plan = make(wish).unwrap();
            plan.refused_by(&[]).map(|gate| gate.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(closed(&set("billing", 8192)), ["lockout"]);
        assert_eq!(closed(&set("etl", 8192)), Vec::<String>::new());
        let all = Wish::Delete {
            user: "billing".into(),
            mechanism: None,
        };
        assert_eq!(closed(&all), ["lockout"]);
        assert_eq!(make(&all).unwrap().steps.len(), 2);
    }

    #[test]
    fn what_kafka_would_refuse_is_refused_here() {
        let text = make(&set("etl", 1000)).unwrap_err().to_string();
        assert_eq!(text, "Kafka takes 4096 to 16384 iterations, not 1000");
        let missing = Wish::Delete {
            user: "biling".into(),
            mechanism: None,
        };
        let text = make(&missing).unwrap_err().to_string();
        assert_eq!(text, "user biling has no SCRAM credential; did you mean billing?");
    }

    #[test]
    fn drift_is_a_credential_that_came_or_went() {
        let plan = make(&set("billing", 8192)).unwrap();
        assert_eq!(drift(&plan.steps[0], &snapshot()), None);
        let mut gone = snapshot();
        gone.users = Observed::fresh(Vec::new(), now());
        let text = drift(&plan.steps[0], &gone).unwrap();
        assert!(text.ends_with("was of 4096 iterations and is not there"), "{text}");
    }
}
