//! The real binary in a pseudo-terminal: what a person sees, types, and finds afterwards.

use crate::cluster;
use crate::pty::Terminal;

#[test]
fn the_demo_opens_answers_keys_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::run(home.path(), &["demo"]);
    terminal.shows("6 brokers in 3 zones");
    #[cfg(feature = "aws")]
    terminal.shows("SIMULATED");
    terminal.until("shows three zones up", |screen| screen.matches("2/2 up").count() == 3);
    terminal.press("3");
    terminal.shows("payments");
    terminal.press("4");
    terminal.until("shows all groups at work", |screen| {
        ["analytics", "archive", "billing", "fraud"]
            .iter()
            .all(|group| screen.contains(group))
    });
    terminal.press("5");
    #[cfg(feature = "aws")]
    terminal.shows("vol-0");
    terminal.press("?");
    terminal.shows("keys on volume");
    terminal.press("\u{1b}");
    terminal.until("closes the help", |screen| !screen.contains("keys on volume"));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.is_alternate(), "the terminal is given back");
    let left: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.starts_with("azimuth-demo"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_broker_that_dies_ages_its_own_cells_and_comes_back_by_itself() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = runtime.block_on(cluster::start(folder.path()));
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::run(home.path(), &["--bootstrap", &cluster.bootstrap()]);
    terminal.shows("3/3");
    // Triage opens first where this machine's disk is nearly full.
    terminal.press("2");
    let victim = cluster.ids()[2];
    runtime.block_on(cluster.kill(victim));
    terminal.shows("unreachable");
    terminal.shows("2/3");
    // The others are alive, and so are the keys.
    terminal.press("?");
    terminal.shows("keys on broker");
    terminal.press("\u{1b}");
    runtime.block_on(cluster.restart(victim)).unwrap();
    terminal.until("recovers by itself", |screen| {
        screen.contains("3/3") && !screen.contains("unreachable")
    });
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    runtime.block_on(cluster.shutdown());
}
