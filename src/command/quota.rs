//! `azimuth quota …`

use clap::Subcommand;

use super::words::Words;

/// What can be done with client quotas.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Quotas of users, client ids and addresses, and which of them wins
    #[command(after_long_help = "\
Examples:
  azimuth quota list
  azimuth quota list --user billing --client-id etl

With flags only the quotas that may hold for such a client are listed, and DECIDES names the limits that each of
them sets for it. A part that is not given is one that no quota names. Each broker holds its clients to the byte
rates and the request percentage on its own; the mutation rate is the controller's.")]
    List {
        /// Of this user
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Of this client id
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// Of this address
        #[arg(long, value_name = "ADDRESS")]
        ip: Option<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::List { user, client_id, ip } = self;
        Words::new(&["quota", "list"])
            .option("--user", user)
            .option("--client-id", client_id)
            .option("--ip", ip)
    }
}
