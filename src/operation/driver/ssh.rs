//! The driver that runs one command on the broker's host, by the operator's own OpenSSH client and its config.
//!
//! The command is the host's to finish: what the context says, or `systemd-run` there. When the line is cut nobody here
//! knows what became of it, so the broker is looked at instead of asking again.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Driver, Exit, Run, State, process};

/// What ssh itself ends with when it, and not the remote command, failed. Source: ssh(1), EXIT STATUS.
const SSH_FAILED: i32 = 255;

pub(super) struct Ssh;

impl Ssh {
    pub fn new() -> Self {
        Self
    }
}

impl Driver for Ssh {
    fn begin<'a>(&'a self, words: &'a [String], run: &'a Run) -> BoxFuture<'a, Result<(), String>> {
        async move { process::begin(run, words, &BTreeMap::new()) }.boxed()
    }

    fn look<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, State> {
        async move { process::look(run, std::iter::empty()) }.boxed()
    }

    fn is_cut(&self, exit: &Exit) -> bool {
        exit.code.is_none_or(|code| code == SSH_FAILED)
    }
}
