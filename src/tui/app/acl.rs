//! Access rules, each read as a line: `allow User:billing from * to Read,Describe on topic prefix orders-`.

use crate::model::acl::{self, Operation, Pattern, Permission, ResourceKind, Rule};
use crate::model::{Moment, Snapshot};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// Every rule; `enter` shows all that hold for its principal.
pub fn list(snapshot: &Snapshot, now: Moment) -> Table {
    let rules = snapshot.acls.get().map_or(&[][..], |acls| &acls.rules);
    let opens = |rule: &Rule| Some(Place::open(Noun::Acl, rule.principal.clone()));
    table(snapshot, now, rules.iter(), opens, empty(snapshot))
}

/// The rules that hold for one principal: those that name it, and those for everybody.
pub fn open(snapshot: &Snapshot, principal: &str, now: Moment) -> Table {
    let rules = snapshot.acls.get().map_or(&[][..], |acls| &acls.rules);
    let own = rules.iter().filter(|rule| rule.holds_for(principal));
    let empty = match snapshot.acls.get().is_some_and(|acls| acls.authorizer) {
        true => format!("no rule holds for {principal}"),
        false => empty(snapshot),
    };
    table(snapshot, now, own, resource, empty)
}

/// The thing that a rule names, where it has a screen.
fn resource(rule: &Rule) -> Option<Place> {
    let one = rule.pattern == Pattern::Literal && rule.name != acl::ANY;
    match rule.resource {
        ResourceKind::Topic if one => Some(Place::open(Noun::Topic, rule.name.clone())),
        ResourceKind::Group if one => Some(Place::open(Noun::Group, rule.name.clone())),
        _ => None,
    }
}

fn table<'a>(
    snapshot: &Snapshot,
    now: Moment,
    rules: impl Iterator<Item = &'a Rule>,
    opens: impl Fn(&Rule) -> Option<Place>,
    empty: String,
) -> Table {
    let columns = vec![
        Column::new("permission", "rule", 0).width(5, 5),
        Column::new("principal", "principal", 0).width(10, 40),
        Column::new("host", "from", 1).width(4, 39),
        Column::new("operations", "to", 0).width(8, 48),
        Column::new("resource_type", "on", 0).width(5, 16),
        Column::new("pattern", "pattern", 1).width(7, 8),
        Column::new("resource", "name", 0).width(10, 60),
        Column::new("age", "age", 1).width(0, 6),
    ];
    let age = match snapshot.acls.is_fresh() {
        true => None,
        false => snapshot.acls.age_seconds(now),
    };
    let row = |rule: &Rule| row(rule, age, opens(rule));
    Table {
        columns,
        rows: rules.map(row).collect(),
        noun: "rule",
        empty,
        ..Table::default()
    }
}

fn row(rule: &Rule, age: Option<i64>, opens: Option<Place>) -> Row {
    let open_to_all = is_open_to_all(rule);
    let permission = match rule.permission {
        Permission::Allow if open_to_all => Field::new("allow").tone(Tone::Warn),
        Permission::Allow => Field::new("allow").tone(Tone::Ok),
        Permission::Deny => Field::new("deny").tone(Tone::Error),
    };
    let line = rule.to_string();
    let mut notes = vec![line.clone()];
    if open_to_all {
        notes.push("▲ everybody may change it".to_owned());
    }
    Row {
        key: line,
        fields: vec![
            permission,
            Field::new(rule.principal.clone()),
            Field::new(rule.host.clone()),
            Field::new(rule.operation_list()),
            Field::new(rule.resource.to_string()),
            Field::new(rule.pattern.to_string()),
            Field::new(rule.name.clone()),
            match age {
                Some(age) => Field::new(text::age(age)).tone(Tone::Warn).number(age as f64),
                None => Field::default(),
            },
        ],
        badness: u64::from(open_to_all),
        notes,
        opens,
        ..Row::default()
    }
}

/// Lets everybody change something.
fn is_open_to_all(rule: &Rule) -> bool {
    use Operation::{All, Alter, AlterConfigs, ClusterAction, Create, Delete, Write};
    let changes = |operation: &Operation| {
        matches!(
            operation,
            All | Write | Create | Delete | Alter | AlterConfigs | ClusterAction
        )
    };
    rule.permission == Permission::Allow && rule.principal == acl::EVERYBODY && rule.operations.iter().any(changes)
}

/// Why there is no rule to show.
fn empty(snapshot: &Snapshot) -> String {
    match (snapshot.acls.get(), snapshot.acls.problem()) {
        (Some(acls), _) if !acls.authorizer => {
            "the cluster has no authorizer (SECURITY_DISABLED): everybody may do everything".to_owned()
        }
        (Some(_), _) => "there are no rules".to_owned(),
        (None, Some(why)) => format!("? the rules are not known: {why}"),
        (None, None) => "? the rules are not known".to_owned(),
    }
}
