//! What is wrong with a node's links: rules that can change while connections are open.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::env::random::Random;
use crate::env::world::World;

/// What happens on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Connections end, and new ones are refused.
    Cut,
    /// Nothing arrives and nothing is refused; what was sent arrives when it is over, as TCP sends it again.
    Silence,
    /// Everything arrives so many milliseconds later, in each direction.
    Delay(u64),
}

/// One effect and whom it hits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The peers' addresses, `host:port` as they are dialled; `None` for all.
    pub peers: Option<Vec<String>>,
    pub effect: Effect,
}

/// The rules of one node. Clones share them; the default can only cut.
#[derive(Debug, Clone)]
pub struct Faults {
    rules: Arc<watch::Sender<Vec<Rule>>>,
    relaying: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Arc::new(watch::Sender::new(Vec::new())),
            relaying: false,
        }
    }
}

impl Faults {
    /// Every link goes through a relay in this process, which can hold back what it passes on.
    pub fn relaying() -> Self {
        Self {
            relaying: true,
            ..Self::default()
        }
    }

    /// Replaces all rules.
    pub fn set(&self, rules: Vec<Rule>) {
        self.rules.send_replace(rules);
    }

    pub(super) fn is_relaying(&self) -> bool {
        self.relaying
    }

    pub(super) fn way(&self, addr: &str) -> Way {
        Way {
            addr: addr.into(),
            rules: self.rules.subscribe(),
            latency: None,
        }
    }
}

/// The way to one peer, as the rules have it at any time.
#[derive(Debug, Clone)]
pub(super) struct Way {
    addr: Arc<str>,
    rules: watch::Receiver<Vec<Rule>>,
    latency: Option<Latency>,
}

/// How long things take on a link of a [`World`].
#[derive(Debug, Clone)]
pub(super) struct Latency {
    random: Random,
    link: u64,
}

impl Latency {
    pub fn of(random: Random, link: u64) -> Self {
        Self { random, link }
    }

    /// Half a millisecond as a rule, now and then forty.
    fn draw(&self) -> Duration {
        let most = if self.random.below(50) == 0 { 40_000 } else { 1_000 };
        Duration::from_micros(self.random.below(most))
    }
}

impl Way {
    /// The same, on which things take time.
    pub fn slowly(self, latency: Latency) -> Self {
        Self {
            latency: Some(latency),
            ..self
        }
    }

    /// Notes what arrives, where that is kept.
    pub fn passes(&self, bytes: &[u8]) {
        if let (Some(latency), Some(world)) = (&self.latency, World::here()) {
            world.pass(latency.link, bytes);
        }
    }

    /// Waits as long as it takes to connect, beyond what the system needs.
    ///
    /// # Errors
    /// `HostUnreachable` when the way is cut.
    pub async fn open(&mut self) -> io::Result<()> {
        self.heard().await;
        if self.has(Effect::Cut) {
            return Err(io::Error::from(io::ErrorKind::HostUnreachable));
        }
        // There and back.
        let delay = self.delay() * 2;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Ok(())
    }

    /// Waits until the way is cut.
    pub async fn cut(&mut self) {
        self.until(|addr, rules| effects(addr, rules).any(|effect| effect == Effect::Cut))
            .await;
    }

    /// Waits until there is no silence.
    pub async fn heard(&mut self) {
        self.until(|addr, rules| effects(addr, rules).all(|effect| effect != Effect::Silence))
            .await;
    }

    /// How much later things arrive, in one direction.
    pub fn delay(&self) -> Duration {
        let rules = self.rules.borrow();
        let delays = effects(&self.addr, &rules).filter_map(|effect| match effect {
            Effect::Delay(ms) => Some(Duration::from_millis(ms)),
            _ => None,
        });
        let latency = self.latency.as_ref().map(Latency::draw).unwrap_or_default();
        latency + delays.max().unwrap_or_default()
    }

    fn has(&self, wanted: Effect) -> bool {
        effects(&self.addr, &self.rules.borrow()).any(|effect| effect == wanted)
    }

    async fn until(&mut self, good: impl Fn(&str, &[Rule]) -> bool) {
        let addr = Arc::clone(&self.addr);
        if self.rules.wait_for(|rules| good(&addr, rules)).await.is_err() {
            // Nobody is left who could change the rules.
            std::future::pending::<()>().await;
        }
    }
}

fn effects<'a>(addr: &'a str, rules: &'a [Rule]) -> impl Iterator<Item = Effect> + 'a {
    let hits = move |rule: &&Rule| {
        rule.peers
            .as_ref()
            .is_none_or(|peers| peers.iter().any(|peer| peer == addr))
    };
    rules.iter().filter(hits).map(|rule| rule.effect)
}
