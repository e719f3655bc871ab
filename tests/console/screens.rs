//! Every screen as a person sees it, at the sizes that people have.

use azimuth::model::record::{Record, TimestampType};
use azimuth::settings::appearance::{Colours, Glyphs};
use azimuth::tui::app::operation::Operation;

use super::fixture;
use super::harness::{Console, Opening};
use super::stories;

async fn screen(size: (u16, u16), keys: &str) -> String {
    let mut console = Console::open(Opening {
        size,
        ..Opening::default()
    })
    .await;
    console.press(keys).await;
    console.text()
}

macro_rules! screens {
    ($($name:ident: $size:expr, $keys:expr;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                insta::assert_snapshot!(stringify!($name), screen($size, $keys).await);
            }
        )*
    };
}

const SMALL: (u16, u16) = (80, 24);
const USUAL: (u16, u16) = (120, 40);
const LARGE: (u16, u16) = (200, 50);

screens! {
    triage_80x24: SMALL, "!";
    triage_120x40: USUAL, "!";
    triage_next_120x40: USUAL, "1 G k";
    broker_80x24: SMALL, "2";
    broker_120x40: USUAL, "2";
    broker_200x50: LARGE, "2";
    broker_wide_80x24: SMALL, "w right right right";
    broker_partitions_120x40: USUAL, "j enter";
    broker_logdirs_120x40: USUAL, "j enter tab";
    broker_configs_120x40: USUAL, "j enter tab tab";
    topic_80x24: SMALL, "3";
    topic_120x40: USUAL, "3";
    topic_200x50: LARGE, "3";
    topic_heat_120x40: USUAL, "3 h";
    topic_partitions_80x24: SMALL, "3 j j enter";
    topic_partitions_120x40: USUAL, "3 j j enter";
    topic_configs_120x40: USUAL, "3 G enter tab";
    group_80x24: SMALL, "4";
    group_120x40: USUAL, "4";
    group_200x50: LARGE, "4";
    group_partitions_120x40: USUAL, "4 j j enter";
    group_members_120x40: USUAL, "4 j j enter tab";
    volume_80x24: SMALL, "5";
    volume_120x40: USUAL, "5";
    volume_200x50: LARGE, "5";
    volume_open_120x40: USUAL, "5 enter";
    acl_80x24: SMALL, "8";
    acl_120x40: USUAL, "8";
    acl_200x50: LARGE, "8";
    acl_open_120x40: USUAL, "8 j enter";
    check_80x24: SMALL, "7";
    check_120x40: USUAL, "7";
    check_200x50: LARGE, "7";
    check_open_120x40: USUAL, "7 enter";
    whatif_80x24: SMALL, ": w h a t i f enter";
    whatif_120x40: USUAL, ": w h a t i f enter";
    whatif_open_120x40: USUAL, ": w h a t i f enter enter";
    cost_80x24: SMALL, ": c o s t enter";
    cost_120x40: USUAL, ": c o s t enter";
    cost_200x50: LARGE, ": c o s t enter";
    dashboard_80x24: SMALL, ": d a s h b o a r d enter";
    dashboard_120x40: USUAL, ": d a s h b o a r d enter";
    dashboard_200x50: LARGE, ": d a s h b o a r d enter";
    dashboard_open_120x40: USUAL, ": d a s h b o a r d enter j j j j enter";
    context_80x24: SMALL, "0";
    context_120x40: USUAL, "0";
    user_80x24: SMALL, ": u s e r enter";
    user_120x40: USUAL, ": u s e r enter";
    user_quotas_120x40: USUAL, ": u s e r enter j j j enter tab";
    quota_80x24: SMALL, ": q u o t a enter";
    quota_120x40: USUAL, ": q u o t a enter";
    quota_200x50: LARGE, ": q u o t a enter";
    config_80x24: SMALL, "9";
    config_120x40: USUAL, "9";
    config_open_120x40: USUAL, "9 enter";
    config_topics_80x24: SMALL, "9 / i n s y n c enter enter tab";
    logdir_80x24: SMALL, ": l o g d i r enter";
    logdir_120x40: USUAL, ": l o g d i r enter";
    logdir_open_120x40: USUAL, ": l o g d i r enter enter";
    logdir_relieve_80x24: SMALL, ": l o g d i r enter r";
    logdir_relieve_120x40: USUAL, ": l o g d i r enter r";
    reassignment_80x24: SMALL, ": r e a s s i g n m enter";
    reassignment_120x40: USUAL, ": r e a s s i g n m enter";
    transaction_80x24: SMALL, ": t r a n s a c t i o n enter";
    transaction_120x40: USUAL, ": t r a n s a c t i o n enter";
    help_80x24: SMALL, "?";
    help_120x40: USUAL, "?";
    palette_80x24: SMALL, ": o r d";
    filter_80x24: SMALL, "3 / c l i";
    sort_80x24: SMALL, "s";
    copy_120x40: USUAL, "y";
    inspect_80x24: SMALL, "i";
}

/// `E` on access rules: a rule more, one less, and a line that cannot be read.
async fn editor(size: (u16, u16), open: &str) -> String {
    let mut console = Console::open(Opening {
        size,
        verbs: true,
        read_only: false,
        ..Opening::default()
    })
    .await;
    console.press(open).await.press("E").await;
    console
        .press("end enter")
        .await
        .types("allow User:new to consume on topic orders")
        .await;
    console.press("down down down home ctrl-k").await;
    console.press("end enter").await.types("alow x").await;
    console.text()
}

#[tokio::test(start_paused = true)]
async fn the_editor_of_rules_at_each_size() {
    insta::assert_snapshot!("acl_editor_120x40", editor(USUAL, "8").await);
    insta::assert_snapshot!("acl_editor_80x24", editor(SMALL, "8").await);
}

#[tokio::test(start_paused = true)]
async fn the_editor_of_rules_shows_what_would_happen() {
    let mut console = Console::open(Opening {
        size: USUAL,
        verbs: true,
        read_only: false,
        ..Opening::default()
    })
    .await;
    console.press("8 E end enter").await;
    console.types("allow User:new to consume on topic orders").await;
    insta::assert_snapshot!("acl_editor_plan_120x40", console.text());
}

#[tokio::test(start_paused = true)]
async fn ascii_draws_nothing_but_ascii() {
    let opening = Opening {
        size: USUAL,
        glyphs: Glyphs::Ascii,
        colours: Colours::None,
        theme: "mono",
        ..Opening::default()
    };
    let mut console = Console::open(opening).await;
    for keys in [
        "2",
        "3",
        "h",
        "4",
        "5",
        "9",
        ": l o g d i r enter",
        "r",
        ": q u o r u m enter",
        ": r e a s s i g n m enter",
        ": t r a n s a c t i o n enter",
        "?",
        "esc",
        ":",
        "esc",
        "y",
    ] {
        console.press(keys).await;
        assert!(console.text().is_ascii(), "after {keys}:\n{}", console.text());
    }
    console.press("esc 2").await;
    insta::assert_snapshot!("broker_ascii_120x40", console.text());
    console.press("3").await;
    insta::assert_snapshot!("topic_ascii_120x40", console.text());
}

#[tokio::test(start_paused = true)]
async fn without_colours_no_cell_has_one() {
    let mut console = Console::open(Opening {
        colours: Colours::None,
        ..Opening::default()
    })
    .await;
    for keys in ["2", "3", "4", "5", "9", ": l o g d i r enter", "r", "?", "esc"] {
        console.press(keys).await;
        for cell in console.buffer().content() {
            let colours = (cell.fg, cell.bg);
            assert_eq!(
                colours,
                (ratatui::style::Color::Reset, ratatui::style::Color::Reset),
                "after {keys}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_brokers_fold_the_healthy_ones() {
    let mut console = Console::open(Opening {
        snapshot: fixture::wide(),
        ..Opening::default()
    })
    .await;
    insta::assert_snapshot!("broker_wide_cluster_120x40", console.text());
    console.press("+").await.hides("more ●").shows("30 brokers");
    console.press("3").await;
    insta::assert_snapshot!("topic_wide_cluster_120x40", console.text());
}

#[tokio::test(start_paused = true)]
async fn before_the_first_answer_the_screen_says_whom_it_asks() {
    let snapshot = azimuth::model::Snapshot::default();
    let console = Console::open(Opening {
        size: SMALL,
        snapshot,
        ..Opening::default()
    })
    .await;
    console.shows("asking b-1.kafka.internal:9092");
    insta::assert_snapshot!("waiting_80x24", console.text());
}

#[tokio::test(start_paused = true)]
async fn no_size_breaks_a_screen() {
    for size in [(1, 1), (10, 3), (20, 5), (40, 10), (80, 24), (300, 100)] {
        let mut console = Console::open(Opening {
            size,
            ..Opening::default()
        })
        .await;
        console
            .press("3 h 4 5 ? esc : esc i y esc s esc 2 w right enter tab tab")
            .await;
        console.resize(2, 2).await.resize(90, 30).await.shows("prod-eu");
    }
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_is_silent_comes_first() {
    for (name, size) in [("quorum_80x24", SMALL), ("quorum_120x40", USUAL)] {
        let mut console = Console::open(Opening {
            size,
            snapshot: fixture::lost_voter(),
            ..Opening::default()
        })
        .await;
        console.press(": q u o r u m enter").await;
        insta::assert_snapshot!(name, console.text());
    }
}

fn records() -> Vec<Record> {
    let record = |(offset, key, value): (i64, Option<&str>, Option<&str>)| Record {
        topic: "orders".to_owned(),
        partition: 3,
        offset,
        timestamp_ms: Some(fixture::now().as_millisecond() - 1000 * (7_000_520 - offset)),
        timestamp_type: Some(TimestampType::CreateTime),
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.map(|value| value.as_bytes().to_vec()),
        headers: vec![("trace".to_owned(), Some(b"4bf92f3577b34da6".to_vec()))],
    };
    let paid =
        r#"{"order":"A-17","state":"paid","total":{"amount":4200,"currency":"EUR"},"items":[{"sku":"K-9","count":2}]}"#;
    let all = [
        (7_000_501, Some("customer-7"), Some(paid)),
        (7_000_502, Some("customer-9"), None),
        (
            7_000_503,
            None,
            Some("plain text, \u{1b}[31mcoloured by its sender\u{1b}[0m"),
        ),
        (7_000_504, Some("顧客-七"), Some("注文は\u{202e}支払済み")),
    ];
    all.into_iter().map(record).collect()
}

#[tokio::test(start_paused = true)]
async fn records_are_browsed_and_one_is_read_whole() {
    for (size, name) in [(SMALL, "80x24"), (USUAL, "120x40")] {
        let mut console = Console::open(Opening {
            size,
            verbs: true,
            ..Opening::default()
        })
        .await;
        console
            .press(":")
            .await
            .types("record tail orders --offset=-4")
            .await
            .press("enter")
            .await;
        console.receive(records()).await;
        insta::assert_snapshot!(format!("record_{name}"), console.text());
        console.press("g enter").await;
        insta::assert_snapshot!(format!("record_json_{name}"), console.text());
        console.press("tab tab").await;
        insta::assert_snapshot!(format!("record_hex_{name}"), console.text());
    }
}

#[tokio::test(start_paused = true)]
async fn operations_are_listed_and_one_is_followed() {
    let orphan = Operation {
        id: "91ce02".to_owned(),
        ..stories::running("orphaned")
    };
    let operations = vec![stories::running("running"), orphan];
    for (size, name) in [(SMALL, "80x24"), (USUAL, "120x40")] {
        let mut console = Console::open(Opening {
            size,
            verbs: true,
            operations: operations.clone(),
            ..Opening::default()
        })
        .await;
        console.press("6").await;
        insta::assert_snapshot!(format!("operation_{name}"), console.text());
        console.press("enter").await;
        insta::assert_snapshot!(format!("operation_steps_{name}"), console.text());
    }
}

#[tokio::test(start_paused = true)]
async fn throttles_that_were_left_behind_come_first() {
    for (name, size) in [("throttle_80x24", SMALL), ("throttle_120x40", USUAL)] {
        let mut console = Console::open(Opening {
            size,
            snapshot: fixture::throttled(),
            ..Opening::default()
        })
        .await;
        console.press(": t h r o t t l e enter").await;
        insta::assert_snapshot!(name, console.text());
    }
}
