//! Capitals that open a line with a command to edit: what is chosen, as it is now, for the person to write what it shall be.

use crate::command::{Command, config, quota, user};
use crate::model::Moment;
use crate::model::acl::user_of;
use crate::model::config::Owner;

use super::action::Action;
use super::field::{Field, Tone};
use super::place::Noun;
use super::state::State;

impl State {
    /// Whether the rows of this page can be set, and taken away.
    pub(super) fn drafts(&self, action: Action) -> bool {
        match self.place().noun {
            Noun::Quota => true,
            Noun::User => action == Action::Set,
            _ => self.is_of_configs(),
        }
    }

    pub(super) fn draft(&mut self, now: Moment, action: Action) {
        match self.place().noun {
            Noun::Quota => self.draft_quota(action),
            Noun::User => self.draft_user(),
            _ => self.draft_config(now, action),
        }
    }

    /// The limits of the row; of a list without rows, an example.
    fn draft_quota(&mut self, action: Action) {
        let key = self.list().selected.clone().unwrap_or_default();
        let found = self.rows.quotas.iter().find(|row| row.entity.words() == key);
        let Some(row) = found else {
            self.open_palette("quota set producer_byte_rate=1000000 --user NAME");
            return;
        };
        let own = self.snapshot.quotas.get().into_iter().flatten();
        let own = own
            .filter(|quota| quota.entity == row.entity)
            .flat_map(|quota| &quota.limits);
        let (of, overrides) = (quota::Of::naming(&row.entity), Vec::new());
        let verb = match action {
            Action::Set => quota::Verb::Set {
                pairs: own.map(|(name, value)| format!("{name}={value}")).collect(),
                of,
                overrides,
            },
            _ => quota::Verb::Unset {
                names: own.map(|(name, _)| name.clone()).collect(),
                of,
                overrides,
            },
        };
        self.open_palette(&Command::Quota(verb).to_string());
    }

    /// A password is never typed here, so the line names a file.
    fn draft_user(&mut self) {
        let chosen = self.place().name.clone().or_else(|| self.list().selected.clone());
        let principal = chosen.unwrap_or_else(|| "User:NAME".to_owned());
        let verb = user::Verb::Set {
            name: user_of(&principal).unwrap_or(&principal).to_owned(),
            mechanism: user::Mechanism::Sha512,
            iterations: 4096,
            password: user::Password {
                password_file: Some("FILE".into()),
                ..user::Password::default()
            },
            overrides: Vec::new(),
        };
        self.open_palette(&Command::User(verb).to_string());
    }

    /// Whether the rows of this page are configs, or what has them.
    fn is_of_configs(&self) -> bool {
        let place = self.place();
        match (place.noun, &place.name) {
            (Noun::Config, _) => true,
            (Noun::Broker, Some(_)) => place.tab == 2,
            (Noun::Topic, Some(_)) => place.tab == 1,
            _ => false,
        }
    }

    /// Opens a line that sets the config of the row to what it is, or takes it away; the person writes what it shall be.
    fn draft_config(&mut self, now: Moment, action: Action) {
        let Some((name, owner, value)) = self.chosen_config() else {
            self.notify(now, Tone::Warn, "choose a config".to_owned());
            return;
        };
        let (on, overrides) = (config::On::of(&owner), Vec::new());
        let verb = match action {
            Action::Set => config::Verb::Set {
                pairs: vec![format!("{name}={value}")],
                on,
                from_file: Vec::new(),
                overrides,
            },
            _ => config::Verb::Unset {
                names: vec![name],
                on,
                overrides,
            },
        };
        self.open_palette(&Command::Config(verb).to_string());
    }

    /// The config of the row, what it belongs to, and its value there.
    fn chosen_config(&self) -> Option<(String, Owner, String)> {
        let place = self.place();
        let row = self.selected()?;
        let field = |column: &str| row.fields.get(self.table.column(column)?);
        let told = |column: &str| field(column).map(|field| field.text.clone());
        // What is no value must not look like one: `(sensitive)`, `""`, `-`, `?`.
        let is_value =
            |field: &&Field| !matches!(field.tone, Tone::Muted | Tone::Unknown) && !field.text.starts_with('(');
        let value = |column: &str| match field(column).filter(is_value) {
            Some(field) => field.text.clone(),
            None => String::new(),
        };
        let broker = |id: &str| id.parse().ok().map(Owner::Broker);
        match (place.noun, &place.name, place.tab) {
            (Noun::Config, None, _) => Some((row.key.clone(), Owner::AllBrokers, value("usual"))),
            (Noun::Config, Some(name), 0) => Some((name.clone(), broker(&row.key)?, value("value"))),
            (Noun::Config, Some(_), _) => Some((told("name")?, Owner::Topic(row.key.clone()), value("value"))),
            (Noun::Broker, Some(id), _) => Some((row.key.clone(), broker(id)?, value("value"))),
            (Noun::Topic, Some(topic), _) => Some((row.key.clone(), Owner::Topic(topic.clone()), value("value"))),
            _ => None,
        }
    }
}
