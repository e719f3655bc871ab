//! `azimuth mirror …`

use clap::Subcommand;

use super::words::Words;

/// What can be asked of mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// What MirrorMaker 2 copies into this cluster, how far it is behind, and where its groups would go on
    #[command(after_long_help = "\
The context is that of the mirror, the cluster that clients would move to. How old the last heartbeat is that arrived is how far
it is behind in time. Records are counted with --source, the context of the cluster that is copied: MirrorMaker's newest offset
sync says which record of the source is which of the mirror, and what follows it is in a row.

1 where a heartbeat is older than a minute, and with --source where nothing is mirrored; 3 where something was not seen. azimuth
context diff says what else is missing.

Examples:
  azimuth mirror list --context standby
  azimuth mirror list --context standby --source primary
  azimuth mirror list --context standby --source primary -o json | jq '.topics[] | select(.behind_records != 0)'")]
    List {
        /// The context of the cluster that is copied
        #[arg(long, value_name = "CONTEXT")]
        source: Option<String>,
        /// What MirrorMaker calls that cluster, where it is not the only one
        #[arg(long, value_name = "NAME", requires = "source")]
        alias: Option<String>,
        /// What MirrorMaker calls this cluster, where the source has several mirrors
        #[arg(long, value_name = "NAME", requires = "source")]
        this: Option<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { source, alias, this } => Words::new(&["mirror", "list"])
                .option("--source", source)
                .option("--alias", alias)
                .option("--this", this),
        }
    }
}
