//! Whether what an engine is made of outlives the terminal: the session that it is begun in, and the agent that lends its keys.
//!
//! Looked at on this host alone, and told only where something would end with the line. What AWS lends is judged where plans are made
//! (`plan::restart::reach`).

use std::path::{Path, PathBuf};

use crate::model::driver::DriverName;
use crate::plan::gate::{Class, Gate, Verdict};
use crate::plan::{Plan, restart, volume};

const GATE: &str = "outlives-connection";
/// Somebody still looks at what takes no longer.
const SHORT_SECONDS: u64 = 600;
/// A broker takes so long. Source: MSK developer guide, "Patching": 5 to 15 minutes a broker.
const TURN_SECONDS: u64 = 300;

/// What is known of the session of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Session {
    user: String,
    /// Its control group: `/user.slice/user-1000.slice/session-4.scope`.
    group: String,
    /// `KillUserProcesses` of logind.
    kills: bool,
    /// Whether the user's manager stays after the last logout.
    lingers: bool,
    /// Somebody came by ssh.
    remote: bool,
    /// `SSH_AUTH_SOCK`.
    agent: Option<PathBuf>,
}

/// The gate, where something would end with the connection.
pub(super) fn gate(plan: &Plan) -> Option<Gate> {
    judge(plan, &Session::here())
}

impl Session {
    fn here() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let user = variable("USER").unwrap_or_default();
        Self {
            group: std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
            kills: kills(Path::new("/etc/systemd")),
            // A name is no path.
            lingers: !user.contains('/') && Path::new("/var/lib/systemd/linger").join(&user).exists(),
            remote: variable("SSH_CONNECTION").is_some(),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
            user,
        }
    }

    /// Why the engine would end when its user logs out.
    fn ends(&self) -> Option<String> {
        let in_session = self
            .group
            .lines()
            .any(|line| line.contains("/session-") && line.ends_with(".scope"));
        let in_manager = self.group.contains("/user@");
        let user = &self.user;
        if in_session && self.kills {
            return Some(format!(
                "logind ends what you leave behind when you log out (KillUserProcesses=yes): loginctl enable-linger {user}, then begin it by systemd-run --user --scope azimuth …"
            ));
        }
        (in_manager && !self.lingers).then(|| {
            format!("your systemd manager ends with your last session, and this with it: loginctl enable-linger {user}")
        })
    }

    /// Why ssh could not log in any more. sshd makes such sockets as /tmp/ssh-*/agent.*, since OpenSSH 10.1 as
    /// ~/.ssh/agent/*.sshd.*.
    fn lends(&self) -> Option<String> {
        let path = self.agent.as_ref()?.display().to_string();
        let forwarded = path.starts_with("/tmp/ssh-") || path.contains(".sshd.");
        (self.remote && forwarded).then(|| {
            format!(
                "the driver ssh logs in by an agent that your terminal forwards ({path}) and that ends with the line: use a key or an agent of this host"
            )
        })
    }
}

fn judge(plan: &Plan, session: &Session) -> Option<Gate> {
    let by_ssh = restart::turns(plan).any(|turn| turn.driver == DriverName::Ssh)
        || volume::runs(plan).any(|(_, run)| run.driver == DriverName::Ssh);
    let lent = session.lends().filter(|_| by_ssh);
    let faults: Vec<String> = [session.ends(), lent].into_iter().flatten().collect();
    if faults.is_empty() {
        return None;
    }
    let turns: u64 = restart::turns(plan).map(|turn| TURN_SECONDS + turn.soak_seconds).sum();
    let moves = plan
        .throttle
        .as_ref()
        .and_then(|throttle| throttle.seconds)
        .unwrap_or(0);
    let class = match turns.max(moves) > SHORT_SECONDS {
        true => Class::Hard,
        false => Class::Soft,
    };
    Some(Gate::new(GATE, class, Verdict::Fail, faults.join("; ")))
}

/// The last word of logind's files, in the order in which systemd reads them.
fn kills(folder: &Path) -> bool {
    let more = std::fs::read_dir(folder.join("logind.conf.d"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = more
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "conf"))
        .collect();
    files.sort();
    files.insert(0, folder.join("logind.conf"));
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let mut last = false;
    for text in texts {
        for line in text.lines() {
            if let Some(value) = line.trim().strip_prefix("KillUserProcesses=") {
                last = matches!(value.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on");
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::driver::{Action, Place};
    use crate::operation::testing;
    use crate::plan::Step;
    use crate::plan::restart::Turn;

    fn roll(driver: DriverName, brokers: i32) -> Plan {
        let turn = |broker| {
            Step::Restart(Turn {
                action: Action::Restart,
                place: Place {
                    broker,
                    host: "b".to_owned(),
                    instance: None,
                    az: None,
                },
                zone: "a".to_owned(),
                driver,
                words: Vec::new(),
                deadline_seconds: 900,
                soak_seconds: 60,
                drain: false,
                voter: false,
                controller: false,
                apart: None,
                batch: None,
                upgrade_to: None,
                leaders: 0,
                replicas: 0,
            })
        };
        Plan {
            steps: (1..=brokers).map(turn).collect(),
            ..testing::plan(&[])
        }
    }

    fn remote(agent: &str) -> Session {
        Session {
            user: "anna".to_owned(),
            remote: true,
            agent: Some(PathBuf::from(agent)),
            ..Session::default()
        }
    }

    #[test]
    fn an_agent_that_is_forwarded_stops_what_ssh_has_to_carry_out() {
        let told = |driver, brokers, agent: &str| judge(&roll(driver, brokers), &remote(agent));
        let long = told(DriverName::Ssh, 6, "/tmp/ssh-XXXX/agent.7").unwrap();
        assert_eq!((long.class, long.verdict), (Class::Hard, Verdict::Fail));
        assert!(long.evidence.contains("ends with the line"), "{}", long.evidence);
        let new = told(DriverName::Ssh, 1, "/home/anna/.ssh/agent/s.x.sshd.y").unwrap();
        assert_eq!(new.class, Class::Soft, "a short one may be dared");
        assert_eq!(told(DriverName::Command, 6, "/tmp/ssh-XXXX/agent.7"), None);
        assert_eq!(told(DriverName::Ssh, 6, "/run/user/1000/keyring/ssh"), None);
    }

    #[test]
    fn a_session_that_takes_its_processes_with_it_stops_everything() {
        let session = Session {
            user: "anna".to_owned(),
            group: "0::/user.slice/user-1000.slice/session-4.scope\n".to_owned(),
            kills: true,
            ..Session::default()
        };
        let gate = judge(&roll(DriverName::Command, 6), &session).unwrap();
        assert!(
            gate.evidence.contains("loginctl enable-linger anna"),
            "{}",
            gate.evidence
        );
        let kept = Session {
            kills: false,
            ..session.clone()
        };
        assert_eq!(judge(&roll(DriverName::Command, 6), &kept), None);
        let manager = Session {
            group: "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n".to_owned(),
            ..session
        };
        assert!(judge(&roll(DriverName::Command, 1), &manager).is_some());
        let lingers = Session {
            lingers: true,
            ..manager
        };
        assert_eq!(judge(&roll(DriverName::Command, 1), &lingers), None);
    }

    #[test]
    fn the_last_word_of_logind_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!kills(folder.path()));
        std::fs::write(
            folder.path().join("logind.conf"),
            "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n",
        )
        .unwrap();
        assert!(kills(folder.path()));
        std::fs::create_dir(folder.path().join("logind.conf.d")).unwrap();
        std::fs::write(
            folder.path().join("logind.conf.d/9.conf"),
            "[Login]\nKillUserProcesses=no\n",
        )
        .unwrap();
        assert!(!kills(folder.path()));
    }
}
