//! What people do, told in keys and in what they then see. Time is paused: nothing here waits.

use std::sync::Arc;
use std::time::Duration;

use azimuth::feed::Section;
use azimuth::model::Observed;
use azimuth::model::Trouble;
use azimuth::model::throttle::{Setting, Side};
use azimuth::settings::appearance::{Colours, Glyphs};
use azimuth::settings::keymap::Keymap;
use azimuth::settings::preset::Preset;
use azimuth::settings::theme::Theme as ThemeFile;
use azimuth::tui::app::first::{First, Item, Pick};
use azimuth::tui::app::operation::{Operation, Operator, Step};
use azimuth::tui::input::Router;
use azimuth::tui::run::Leave;
use azimuth::tui::run::first::choose;
use azimuth::tui::theme::Theme;
use crossterm::event::{MouseButton, MouseEventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::fixture;
use super::harness::{Console, Opening};

async fn open() -> Console {
    Console::open(Opening::default()).await
}

fn with_verbs(class: &'static str) -> Opening {
    Opening {
        verbs: true,
        read_only: false,
        class,
        ..Opening::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_dead_broker_is_first_and_its_cells_show_their_age() {
    let console = open().await;
    console
        .cursor_on("✖ unreachable")
        .cursor_on("30 s")
        .shows("1/2 up")
        .shows("✖ 5/6")
        .shows("timed out: 10.0.2.11:9092 did not answer");
}

#[tokio::test(start_paused = true)]
async fn when_the_broker_returns_the_screen_recovers_by_itself_and_nothing_moves() {
    let mut console = open().await;
    console.publish(fixture::healthy()).await;
    console.cursor_on("● up").shows("● 6/6").hides("unreachable");
    console.wait(Duration::from_secs(40)).await.shows("moved");
    console.press("ctrl-r").await.hides("moved");
    assert!(console.wishes.lock().unwrap().refreshed.contains(&Section::Links));
}

#[tokio::test(start_paused = true)]
async fn j_j_enter_opens_a_topic_and_esc_comes_back_to_it() {
    let mut console = open().await;
    console.press("3").await.cursor_on("legacy-import");
    console
        .press("j j j enter")
        .await
        .shows("prod-eu")
        .shows("partitions ")
        .shows("▸ topic ▸");
    console.press("tab").await.shows("min.insync.replicas");
    console
        .press("esc")
        .await
        .hides("min.insync.replicas")
        .shows("11 topics");
    console.press("[").await.shows("6 brokers");
    console.press("]").await.shows("11 topics");
}

#[tokio::test(start_paused = true)]
async fn r_reads_the_records_of_a_topic_and_there_edits_what_is_read() {
    let mut console = Console::open(with_verbs("dev")).await;
    console
        .press("3 j j j r")
        .await
        .shows("▸ record")
        .shows("azimuth record tail clicks --offset=-50 --context prod-eu")
        .shows("no cluster here to read tail clicks --offset=-50 from");
    console.press("r").await.shows(":record tail clicks --offset=-50");
    console.press("esc esc").await.shows("11 topics").cursor_on("clicks");
    // A partition of an opened topic is read alone.
    console.press("enter j r").await.shows("--partition");
}

#[tokio::test(start_paused = true)]
async fn a_filter_works_while_it_is_typed_and_esc_gives_it_up() {
    let mut console = open().await;
    console
        .press("3 /")
        .await
        .types("ord !dlq")
        .await
        .shows("1 shown")
        .shows("orders")
        .hides("payments");
    console.press("enter").await.shows("1 of 11 topics").shows("/ord !dlq");
    console.press("esc").await.shows("11 topics").shows("payments");
    console
        .press("/")
        .await
        .types("zzz")
        .await
        .shows("nothing passes the filter");
    console.press("esc").await.shows("payments");
}

#[tokio::test(start_paused = true)]
async fn a_limit_can_be_filtered_by_its_percentage() {
    let mut console = open().await;
    console.press("/").await.types("disk:>90%").await;
    console.press("enter").await.shows("1 of 6 brokers").cursor_on("92%");
}

#[tokio::test(start_paused = true)]
async fn t_takes_rates_over_a_longer_time_and_the_command_says_so() {
    let mut console = open().await;
    console.press("4").await.shows("rates over 1m");
    console.press("t").await.shows("rates over 5m");
    console.shows("azimuth group list --window 5m --context prod-eu");
    console.press("t").await.shows("rates over 10m");
    console.press("t").await.shows("rates over 1m").hides("--window");
    console.press("2").await.shows("rates over 1m");
    console.press("t").await.shows("rates over 5m");
    console.shows("azimuth broker list --window 5m --context prod-eu");
    console
        .press("5")
        .await
        .shows("azimuth volume list --window 5m --context prod-eu");
    console.press("enter").await.shows("--window 5m");
    console
        .press("3")
        .await
        .shows("azimuth topic list --window 5m --context prod-eu");
    console.press("! t").await.shows("changes of 2h");
    console.shows("azimuth triage --window 2h --context prod-eu");
    console.press("t").await.shows("changes of 10m");
    console.press("t").await.hides("changes of").hides("--window");
    console.press("9 t").await.hides("rates over").hides("--window");
    console.press(":").await.types("group lag billing --window 10m").await;
    console
        .press("enter")
        .await
        .shows("▸ group ▸ billing")
        .shows("rates over 10m");
    console.shows("azimuth group lag billing --window 10m --context prod-eu");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_yet_is_said_with_how_far_it_is() {
    let mut snapshot = fixture::snapshot();
    let all = std::mem::take(&mut snapshot.logdirs);
    let mut console = Console::open(Opening {
        snapshot: snapshot.clone(),
        ..Opening::default()
    })
    .await;
    console.press("2").await.shows("reading log dirs 0/6");
    snapshot.logdirs.extend(all.clone().into_iter().take(2));
    console.publish(snapshot.clone()).await.shows("reading log dirs 2/6");
    console
        .wait(Duration::from_secs(4))
        .await
        .shows("reading log dirs 2/6 · ");
    snapshot.logdirs = all;
    console.publish(snapshot).await.hides("reading");
}

#[tokio::test(start_paused = true)]
async fn f_leaves_only_what_is_faulty() {
    let mut console = open().await;
    console
        .press("4 f")
        .await
        .shows("billing")
        .shows("faults only")
        .hides("shipping");
    console.press("f").await.shows("shipping");
}

#[tokio::test(start_paused = true)]
async fn the_palette_goes_to_a_thing_by_a_few_of_its_letters() {
    let mut console = open().await;
    console.press(":").await.types("gbill").await.shows("group billing");
    console.press("enter").await.shows("▸ group ▸ billing");
    console.press(":").await.types("theme light").await;
    console.press("enter : esc").await.shows("▸ group ▸ billing");
    console.press(":").await.types("nonsense").await;
    console.press("enter").await.shows("nothing here is called `nonsense`");
}

#[tokio::test(start_paused = true)]
async fn help_shows_the_loaded_keymap() {
    let mut console = Console::open(Opening {
        keymap: "vim",
        size: (160, 60),
        ..Opening::default()
    })
    .await;
    console
        .press("?")
        .await
        .shows("g g")
        .shows("Move to the first row.")
        .hides("Plan to delete");
    console.press("esc").await.hides("Move to the first row.");
    console.press("g").await.shows("g …");
    console.press("g").await.hides("g …");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_screen_keeps_still_until_z() {
    let mut console = open().await;
    console.press("z").await.shows("FROZEN at 21:04:29Z");
    console.publish(fixture::healthy()).await.shows("✖ unreachable");
    console.press("z").await.hides("unreachable");
}

#[tokio::test(start_paused = true)]
async fn what_is_copied_is_what_was_chosen() {
    let mut console = open().await;
    console.press("y enter").await.shows("copied command");
    console.press("3 y j j enter").await;
    let wishes = console.wishes.lock().unwrap();
    assert_eq!(wishes.copied[0], "azimuth broker list --context prod-eu");
    let row: serde_json::Value = serde_json::from_str(&wishes.copied[1]).unwrap();
    assert_eq!(
        (&row["topic"], &row["partitions"]),
        (&"legacy-import".into(), &1.into())
    );
}

#[tokio::test(start_paused = true)]
async fn sorting_by_a_column_holds_and_turns_round() {
    let mut console = open().await;
    console
        .press("3 s j enter")
        .await
        .shows("by topic ▲")
        .shows("__consumer_offsets");
    console.press("s enter").await.shows("by topic ▼");
    console.press("g").await.cursor_on("shipments");
}

#[tokio::test(start_paused = true)]
async fn marks_stay_with_their_rows() {
    let mut console = open().await;
    console.press("3 space space").await.shows("2 marked").shows("◆");
    console.press("u").await.hides("marked");
}

#[tokio::test(start_paused = true)]
async fn q_leaves_and_a_context_is_switched_by_leaving() {
    let mut console = open().await;
    assert_eq!(console.press("q").await.left, Some(Leave::Quit));
    console.press(":").await.types("context staging").await;
    console.press("enter").await;
    assert_eq!(console.left, Some(Leave::SwitchContext("staging-eu".into())));
    assert_eq!(console.press("ctrl-c").await.left, Some(Leave::Quit));
}

#[tokio::test(start_paused = true)]
async fn the_pager_gets_the_rows_on_screen() {
    let mut console = open().await;
    console.press("o").await;
    let Some(Leave::Page(text)) = &console.left else {
        panic!("{:?}", console.left)
    };
    assert!(
        text.lines().next().unwrap().contains("disk used") && text.lines().count() == 7,
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_read_only_context_says_so_and_plans_nothing() {
    let mut console = Console::open(Opening {
        read_only: true,
        ..with_verbs("prod")
    })
    .await;
    console.press("3 D").await.shows("prod-eu is read-only");
    console.press(".").await.shows("Plan to delete").shows("changes = true");
    assert!(console.wishes.lock().unwrap().planned.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_verbs_there_is_no_capital() {
    let mut console = open().await;
    console.press("3 D C R").await.hides("PLAN");
    console
        .press(".")
        .await
        .shows("there is nothing to do with a topic here");
    console.press("?").await.hides("Plan to");
}

#[tokio::test(start_paused = true)]
async fn rules_are_edited_as_text_beside_what_they_would_do() {
    let mut console = Console::open(with_verbs("dev")).await;
    console
        .press("8 E")
        .await
        .shows("scope all")
        .shows("has exactly these rules");
    console
        .press("end enter")
        .await
        .types("alow User:new to Read on topic orders")
        .await;
    console.shows("did you mean allow?").shows("1 line cannot be read");
    // A fault is gone to, and nothing is planned.
    console.press("up ctrl-o").await.shows("line 2: a line begins with");
    assert!(console.wishes.lock().unwrap().rules.is_empty());
    console.press("right delete").await.types("ll").await;
    console
        .shows("+ allow User:new from * to Read on topic orders")
        .shows("User:new gains Read on topic orders");
    console.shows("lockout").shows("which is you, keeps");
    // The word before the cursor is completed with what the cluster has.
    console
        .press("end enter")
        .await
        .types("allow User:new to Wri")
        .await
        .press("tab")
        .await;
    console
        .types("on tra")
        .await
        .press("tab")
        .await
        .types("t")
        .await
        .shows("to Write on transactional_id t");
    console.press("ctrl-o").await.shows("PLAN acl apply DRAFT --prune");
    let text = console.wishes.lock().unwrap().rules[0].clone();
    assert!(
        text.starts_with("scope all\nallow User:new to Read on topic orders\n"),
        "{text}"
    );
    assert!(
        text.contains("allow User:new to Write on transactional_id t\n"),
        "{text}"
    );
    // Leaving keeps the text.
    console
        .wait(Duration::from_millis(500))
        .await
        .press("esc")
        .await
        .press("esc")
        .await
        .shows("the text is kept");
    console
        .press("E")
        .await
        .shows("allow User:new to Write on transactional_id t");
    console.press("esc").await.hides("scope all");
}

#[tokio::test(start_paused = true)]
async fn a_principal_that_is_open_is_edited_alone_and_a_read_only_context_edits_nothing() {
    let mut console = Console::open(with_verbs("dev")).await;
    console.press("8 / b i l l enter enter").await.press("E").await;
    console.shows("scope principal User:billing").hides("User:shop");
    console.press("esc").await;
    let mut viewer = Console::open(Opening {
        verbs: true,
        ..Opening::default()
    })
    .await;
    viewer.press("8 E").await.shows("is read-only").hides("scope all");
}

#[tokio::test(start_paused = true)]
async fn five_thousand_rules_are_edited_and_scrolled() {
    use azimuth::model::acl::{Acls, Operation, Pattern, Permission, ResourceKind, Rule};
    let rule = |at: usize| Rule {
        resource: ResourceKind::Topic,
        pattern: Pattern::Literal,
        name: format!("topic-{at:04}"),
        principal: format!("User:app-{}", at % 70),
        host: "*".into(),
        permission: Permission::Allow,
        operations: vec![Operation::Read, Operation::Describe],
    };
    let mut snapshot = super::fixture::snapshot();
    let acls = Acls {
        authorizer: true,
        rules: (0..5000).map(rule).collect(),
    };
    snapshot.acls = azimuth::model::Observed::fresh(acls, super::fixture::now());
    let mut console = Console::open(with_verbs("dev")).await;
    console.publish(snapshot).await;
    console.press("8").await.shows("5 000 rules");
    console
        .press("E")
        .await
        .shows("allow User:app-0 from")
        .shows("has exactly these rules");
    console.press("pgdn pgdn end").await.types("x").await;
    console
        .shows("gains Read,Describe on topic")
        .shows("topic-0039x")
        .shows("loses");
}

#[tokio::test(start_paused = true)]
async fn deleting_on_prod_needs_the_typed_name() {
    let mut console = Console::open(with_verbs("prod")).await;
    console
        .press("3 G D")
        .await
        .shows("PLAN topic delete")
        .shows("undo: none")
        .shows("A apply (type prod-eu)");
    console.wait(Duration::from_millis(400)).await;
    console.press("enter").await.shows("PLAN");
    assert!(
        console.wishes.lock().unwrap().applied.is_empty(),
        "enter never changes the cluster"
    );
    console.press("A").await.shows("type prod-eu to apply");
    console
        .types("prod-us")
        .await
        .press("enter")
        .await
        .shows("type prod-eu to apply: prod-us");
    assert!(console.wishes.lock().unwrap().applied.is_empty());
    console
        .press("backspace backspace")
        .await
        .types("eu")
        .await
        .press("enter")
        .await
        .shows("started operation 7f3");
    let applied = &console.wishes.lock().unwrap().applied;
    assert_eq!(applied.as_slice(), [("plan-1".to_owned(), Some("prod-eu".to_owned()))]);
}

#[tokio::test(start_paused = true)]
async fn a_soft_gate_is_gone_against_with_a_reason_and_a_plan_is_edited() {
    let mut console = Console::open(with_verbs("dev")).await;
    console.press("3 C ctrl-u").await.types("topic create full").await;
    console
        .press("enter")
        .await
        .shows("cannot be applied: gate disk is closed")
        .shows("O go on against disk (asks why)")
        .hides("A apply");
    console.wait(Duration::from_millis(400)).await;
    console.press("A").await;
    assert!(console.wishes.lock().unwrap().applied.is_empty());
    console.press("O").await.shows("why go on against disk:");
    // Nothing is no reason.
    console.press("enter").await.shows("why go on against disk:");
    console
        .types("it is cleaned at 22:00")
        .await
        .press("enter")
        .await
        .shows("PLAN with reason")
        .shows("A apply");
    let reasons = console.wishes.lock().unwrap().reasons.clone();
    assert_eq!(reasons, [("plan-1".to_owned(), "it is cleaned at 22:00".to_owned())]);
    console.wait(Duration::from_millis(400)).await;
    console.press("E").await.shows(":topic create full");
    console.types(" --partitions 3").await.press("enter").await;
    console.shows("PLAN topic create full --partitions 3");
}

#[tokio::test(start_paused = true)]
async fn type_ahead_and_pastes_do_not_apply_a_plan() {
    let mut console = Console::open(with_verbs("dev")).await;
    console
        .press("3 G")
        .await
        .burst("D A A enter A")
        .await
        .shows("PLAN topic delete");
    console.paste("AAA").await.shows("PLAN topic delete");
    assert!(console.wishes.lock().unwrap().applied.is_empty());
    console
        .wait(Duration::from_millis(400))
        .await
        .press("A")
        .await
        .shows("started operation 7f3");
    assert_eq!(console.wishes.lock().unwrap().applied.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn creating_a_topic_is_a_command_to_complete() {
    let mut console = Console::open(with_verbs("dev")).await;
    console.press("3 C").await.shows(":topic create NAME --partitions 6");
    console
        .press("ctrl-u")
        .await
        .types("topic create refunds --partitions 3")
        .await;
    console.press("enter").await.shows("PLAN topic create refunds");
    assert_eq!(
        console.wishes.lock().unwrap().planned,
        ["topic create refunds --partitions 3"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_paste_outside_a_prompt_does_nothing() {
    let mut console = open().await;
    let before = console.text();
    console.paste("q:D3").await;
    assert_eq!(console.text(), before);
}

#[tokio::test(start_paused = true)]
async fn moving_a_partition_begins_with_where_it_is() {
    let mut console = Console::open(with_verbs("dev")).await;
    console.press("3 j j j enter").await.press("R").await;
    let line = console.text().lines().last().unwrap().trim().to_owned();
    assert!(
        line.starts_with(":reassign plan --move ") && line.contains('='),
        "{line}"
    );
    console.press("backspace").await.types("6").await;
    console.press("enter").await.shows("PLAN reassign plan --move");
    let planned = console.wishes.lock().unwrap().planned.join("");
    let typed = line.split("  ").next().unwrap().trim_start_matches(':').to_owned();
    assert_eq!(planned, format!("{}6", &typed[..typed.len() - 1]));
}

#[tokio::test(start_paused = true)]
async fn eight_shows_the_rules_and_enter_all_that_hold_for_a_principal() {
    let mut console = open().await;
    console.press("8").await.shows("7 rules").shows("1 faulty");
    console
        .press("/")
        .await
        .types("principal:billing dlq")
        .await
        .shows("1 shown");
    console
        .press("enter")
        .await
        .cursor_on("deny")
        .shows("deny User:billing from 10.9.0.7 to Write on topic orders-dlq");
    console
        .press("enter")
        .await
        .shows("▸ acl ▸ User:billing")
        .shows("5 rules")
        .hides("User:shop")
        .shows("acl list --principal User:billing");
    console.press("/").await.types("on:group").await.press("enter").await;
    console.press("enter").await.shows("▸ group ▸ billing");
    console.press("esc").await.shows("▸ acl ▸ User:billing");
}

#[tokio::test(start_paused = true)]
async fn a_user_opens_with_its_rules_and_then_its_quotas() {
    let mut console = open().await;
    console.press(":").await.types("user").await;
    console.press("enter").await.shows("SCRAM-SHA-256, SCRAM-SHA-512");
    console
        .press("/")
        .await
        .types("user:billing")
        .await
        .press("enter")
        .await;
    console.press("enter").await.shows("5 rules");
    console
        .press("tab")
        .await
        .shows("quota list --user billing")
        .shows("consumer_byte_rate, producer_byte_rate")
        .shows("nightly");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_seen_says_so_and_no_authorizer_is_no_secret() {
    let mut snapshot = fixture::snapshot();
    snapshot.acls = Observed::fresh(azimuth::model::acl::Acls::default(), fixture::now());
    snapshot.users = Observed::default();
    snapshot
        .users
        .fail(azimuth::model::Trouble::Denied, "no right", fixture::now());
    let mut console = Console::open(Opening {
        snapshot,
        ..Opening::default()
    })
    .await;
    console.press("8").await.shows("everybody may do everything");
    console.press(":").await.types("user").await;
    console.press("enter").await.cursor_on("?").shows("denied: no right");
}

/// Work that grows with the square of the rules takes many seconds here; a build that is not optimised, on a machine that
/// is busy, takes some tenths.
#[tokio::test(start_paused = true)]
async fn five_thousand_rules_filter_and_scroll() {
    let mut snapshot = fixture::snapshot();
    let mut acls = snapshot.acls.get().unwrap().clone();
    let template = acls.rules[0].clone();
    acls.rules.extend((0..5000).map(|number| azimuth::model::acl::Rule {
        principal: format!("User:app-{number:04}"),
        name: format!("team-{}.topic-{number}", number % 40),
        ..template.clone()
    }));
    snapshot.acls = Observed::fresh(acls, fixture::now());
    let mut console = Console::open(Opening {
        snapshot,
        ..Opening::default()
    })
    .await;
    console.press("8").await.shows("5 007 rules");
    let began = std::time::Instant::now();
    console.press("pgdn G").await.cursor_on("User:app-4999");
    console.press("/").await.types("app-49 team-7").await.shows("2 shown");
    let keys = 2 + 1 + 13;
    let each = began.elapsed() / keys;
    eprintln!("{each:?} for each key");
    assert!(each < Duration::from_millis(1500), "{each:?} for each key");
}

#[tokio::test(start_paused = true)]
async fn nought_shows_the_fleet_and_enter_leaves_for_another_cluster() {
    let mut console = open().await;
    console
        .press("0")
        .await
        .cursor_on("legacy")
        .cursor_on("✖ unusable")
        .shows("not asked")
        .shows("✖ 5/6")
        .shows("SASL_SSL SCRAM-SHA-512")
        .shows("azimuth context list --context prod-eu");
    console.press("j").await.cursor_on("prod-eu");
    console.press("enter").await.shows("6 brokers");
    console.press("0 G").await.cursor_on("staging-eu");
    console.press("enter").await;
    assert_eq!(console.left, Some(Leave::SwitchContext("staging-eu".into())));
}

#[tokio::test(start_paused = true)]
async fn the_window_is_named_once_for_each_place() {
    let mut console = open().await;
    console.press("3 j k").await.press("2").await;
    let titles = console.wishes.lock().unwrap().titles.clone();
    assert_eq!(
        titles,
        [
            "azimuth prod-eu ▸ broker",
            "azimuth prod-eu ▸ topic",
            "azimuth prod-eu ▸ broker"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_wheel_moves_a_click_selects_and_a_second_opens() {
    let mut console = open().await;
    console.press("3").await.cursor_on("legacy-import");
    console
        .mouse(MouseEventKind::ScrollDown, 9)
        .await
        .hides("▸  legacy-import");
    console.click("payments").await.cursor_on("payments").shows("11 topics");
    console.click("payments").await.shows("▸ topic ▸ payments");
    console
        .press("?")
        .await
        .click("g")
        .await
        .shows("Move to the first row.");
    console
        .press("esc")
        .await
        .mouse(MouseEventKind::Down(MouseButton::Left), 0)
        .await;
    console.shows("▸ topic ▸ payments");
}

#[tokio::test(start_paused = true)]
async fn capitals_lead_to_plans_of_leaders() {
    let mut console = Console::open(with_verbs("dev")).await;
    // The first of what it names next.
    console.press("! N").await.shows(":throttle set --catch-up --broker 4");
    console.press("esc 2 L").await.shows("PLAN leader move --from-broker");
    assert_eq!(console.wishes.lock().unwrap().planned.len(), 1);
    console.wait(Duration::from_millis(400)).await;
    console.press("esc space j space L").await;
    let planned = console.wishes.lock().unwrap().planned.last().unwrap().clone();
    assert!(
        planned.starts_with("leader move --from-broker ") && planned.contains(','),
        "{planned}"
    );
    console.wait(Duration::from_millis(400)).await.press("esc 4").await;
    console.press("R").await.shows(":group reset ").shows("--to earliest");
    console.press("esc D").await.shows("PLAN group delete ");
}

#[tokio::test(start_paused = true)]
async fn clicks_change_nothing_in_a_plan() {
    let mut console = Console::open(with_verbs("dev")).await;
    console.press("3 G D").await.shows("PLAN topic delete");
    console.wait(Duration::from_millis(400)).await;
    for row in 0..40 {
        console.mouse(MouseEventKind::Down(MouseButton::Left), row).await;
    }
    console.shows("PLAN topic delete");
    assert!(console.wishes.lock().unwrap().applied.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_utc_until_c() {
    let mut console = open().await;
    console.shows("21:04Z");
    console.press("c").await.shows("22:04+01");
    console.press("c").await.shows("21:04Z");
}

#[tokio::test(start_paused = true)]
async fn the_palette_knows_verbs_and_drafts_their_command() {
    let mut console = Console::open(with_verbs("dev")).await;
    console.press(":").await.types("topcrea").await.shows("topic create");
    console.press("enter").await.types("refunds").await.press("enter").await;
    console.shows("PLAN topic create refunds");
}

#[tokio::test(start_paused = true)]
async fn the_theme_key_goes_round_all_themes() {
    let mut console = open().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        console.press("T").await.shows("theme ");
        let footer = console.text().lines().last().unwrap().trim().to_owned();
        seen.insert(footer);
    }
    let names = ["dark", "light", "high-contrast", "colour-blind", "mono"].map(|name| format!("theme {name}"));
    assert_eq!(seen, names.into());
}

pub fn running(state: &str) -> Operation {
    let step = |state: &str, text: &str| Step {
        at: Some(fixture::now()),
        state: state.into(),
        text: text.into(),
    };
    Operation {
        reach: Default::default(),
        id: "7f3abc".into(),
        verb: "reassign".into(),
        title: "move 20 partitions of orders".into(),
        state: state.into(),
        by: "anna@bastion-b".into(),
        started_at: Some(fixture::now()),
        percent: Some(41.0),
        eta_seconds: Some(90.0),
        note: (state == "orphaned").then(|| "azimuth operation resume 7f3abc finishes it".into()),
        steps: vec![
            step("done", "move 10 partitions: 10 partitions moved"),
            step("doing", "move 10 partitions · waiting for orders-12"),
        ],
        held: Vec::new(),
        log: vec![
            (fixture::now(), "step 1 done: 10 partitions moved".into()),
            (fixture::now(), "begun by anna@bastion-b".into()),
        ],
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_operation_is_in_the_header_and_opens_with_its_steps_and_its_log() {
    let mut console = Console::open(Opening {
        operations: vec![running("running")],
        ..with_verbs("dev")
    })
    .await;
    console.shows("⚙ reassign 41% anna@bastion-b");
    console
        .press("6")
        .await
        .cursor_on("move 20 partitions of orders")
        .cursor_on("▸ running");
    console
        .press("enter")
        .await
        .shows("waiting for orders-12")
        .shows("✓ done");
    console.press("tab").await.shows("begun by anna@bastion-b");
    console.press("P").await.shows("PLAN operation pause 7f3abc");
    console.wait(Duration::from_millis(400)).await.press("A").await;
    assert_eq!(console.wishes.lock().unwrap().applied.len(), 1);
    console.press("X").await.shows("PLAN operation abort 7f3abc");
    console
        .wait(Duration::from_millis(400))
        .await
        .press("esc")
        .await
        .hides("abort 7f3abc");
    console.press("R").await.shows("PLAN operation resume 7f3abc");
}

#[tokio::test(start_paused = true)]
async fn who_else_is_at_work_is_in_the_header_and_among_the_operations() {
    let screens = Operator {
        who: "carl@bastion-c".into(),
        host: "bastion-c".into(),
        operation: None,
        does: "has the screens open: topic".into(),
        since: fixture::now(),
    };
    let engine = Operator {
        operation: Some("5d11aa".into()),
        does: "drain broker 4".into(),
        who: "dora@bastion-d".into(),
        host: "bastion-d".into(),
        ..screens.clone()
    };
    // Ours is in the journals here, and told from there.
    let ours = Operator {
        operation: Some("7f3abc".into()),
        ..engine.clone()
    };
    let console = Console::open(Opening {
        operators: vec![screens.clone()],
        ..with_verbs("dev")
    })
    .await;
    console.shows("with carl@bastion-c");
    let mut console = Console::open(Opening {
        operations: vec![running("running")],
        operators: vec![screens, ours, engine],
        size: (160, 40),
        ..with_verbs("dev")
    })
    .await;
    console.shows("⚙ drain broker 4 dora@bastion-d +1");
    console
        .press("6")
        .await
        .cursor_on("move 20 partitions of orders")
        .shows("has the screens open: topic");
    console
        .press("j")
        .await
        .cursor_on("5d11aa")
        .cursor_on("▸ elsewhere")
        .shows("it is carried out on bastion-d: only there");
}

#[tokio::test(start_paused = true)]
async fn when_a_plan_may_go_on_is_said_on_its_sheet() {
    let mut console = Console::open(with_verbs("dev")).await;
    console.press("3 C ctrl-u").await.types("topic create x").await;
    // What is done at once has no hours.
    console.press("enter").await.shows("E edit").hides("W when");
    console.press("esc").await;
    console.wait(Duration::from_millis(400)).await;
    console
        .press("esc : ctrl-u")
        .await
        .types("reassign plan --spread")
        .await;
    console.press("enter").await.shows("W when");
    console.wait(Duration::from_millis(400)).await;
    console.press("W").await.shows("when: ");
    console.types("--window 22").await;
    console
        .press("enter")
        .await
        .shows("write hours in UTC, for example 22:00-06:00Z");
    console.types(":00-06:00Z --soak 10m").await.press("enter").await;
    console.shows("PLAN with hours");
    let schedules = console.wishes.lock().unwrap().schedules.clone();
    assert_eq!(
        schedules,
        [("plan-1".to_owned(), "--window 22:00-06:00Z --soak 600s".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_carries_out_is_a_fault_and_says_how_to_take_it_up() {
    let mut console = Console::open(Opening {
        operations: vec![running("orphaned")],
        ..with_verbs("dev")
    })
    .await;
    console.shows("⚙ reassign 41% orphaned anna@bastion-b");
    console
        .press("6")
        .await
        .cursor_on("✖ orphaned")
        .shows("azimuth operation resume 7f3abc finishes it");
}

#[tokio::test(start_paused = true)]
async fn nine_shows_where_brokers_differ_and_enter_who_has_what() {
    let mut console = open().await;
    console
        .press("9")
        .await
        .cursor_on("num.io.threads")
        .cursor_on("drift: 5");
    console.shows("azimuth config list --context prod-eu");
    console
        .press("enter")
        .await
        .shows("▸ config ▸ num.io.threads")
        .shows("1, 2, 3, 4, 6 have 8");
    console.press("enter").await.shows("▸ broker ▸");
    console.press("9 /").await.types("drift").await.shows("1 shown");
}

#[tokio::test(start_paused = true)]
async fn a_topics_config_opens_the_brokers_default() {
    let mut console = open().await;
    console.press("3 /").await.types("orders !dlq").await;
    console.press("enter enter tab").await.shows("brokers have");
    console.shows("azimuth config list --topic orders");
    console.press("/").await.types("min.insync").await;
    console
        .press("enter enter")
        .await
        .shows("▸ config ▸ min.insync.replicas");
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_a_broker_never_reaches_the_screen() {
    let mut snapshot = fixture::snapshot();
    let mut configs = snapshot.broker_configs[&1].get().unwrap().clone();
    configs.retain(|config| config.sensitive);
    assert!(configs.iter().all(|config| config.value.is_none()) && !configs.is_empty());
    snapshot.broker_configs.retain(|id, _| *id < 3);
    let mut console = Console::open(Opening {
        snapshot,
        ..Opening::default()
    })
    .await;
    console.press("9 /").await.types("keystore.password").await;
    console.press("enter").await.shows("(sensitive)");
}

#[tokio::test(start_paused = true)]
async fn from_a_broker_to_its_log_dir_to_what_would_free_it() {
    let mut console = open().await;
    console.press("2 /").await.types("disk:>90%").await;
    console
        .press("enter enter tab")
        .await
        .shows("log dirs")
        .shows("azimuth logdir list --broker 3");
    console
        .press("enter")
        .await
        .shows("▸ logdir ▸ 3:/data")
        .shows("of the logs");
    console
        .press("r")
        .await
        .shows("azimuth logdir relieve 3:/data")
        .shows("DON'T")
        .shows("rm segment files")
        .shows("restart broker 3");
    console.press("esc esc").await.shows("▸ broker");
}

#[tokio::test(start_paused = true)]
async fn throttles_say_whose_they_are_and_capitals_plan_to_set_and_to_clear() {
    let mut operation = running("finished");
    operation.held = vec![Setting::rate(1, Side::Leader, 2_000_000)];
    let mut console = Console::open(Opening {
        snapshot: fixture::throttled(),
        operations: vec![operation],
        ..with_verbs("dev")
    })
    .await;
    console.press(":").await.types("throttle").await.press("enter").await;
    console
        .shows("▸ throttle")
        .shows("foreign: no operation of this host has set it");
    console.press("S").await.shows(":throttle set --rate 50MB");
    console
        .press("esc /")
        .await
        .types("payments")
        .await
        .press("enter D")
        .await;
    let planned = console.wishes.lock().unwrap().planned.last().unwrap().clone();
    assert_eq!(planned, "throttle clear --topic payments");
    console.wait(Duration::from_millis(400)).await.press("esc esc /").await;
    console.types("mine").await.press("enter").await;
    console.shows("set by operation 7f3abc of this host");
    console.press("D").await;
    let planned = console.wishes.lock().unwrap().planned.last().unwrap().clone();
    assert_eq!(planned, "throttle clear --broker 1");
}

#[tokio::test(start_paused = true)]
async fn a_silent_voter_is_first_and_the_margin_is_said() {
    let mut console = Console::open(Opening {
        snapshot: fixture::lost_voter(),
        ..Opening::default()
    })
    .await;
    console
        .press(": q u o r u m enter")
        .await
        .cursor_on("103")
        .cursor_on("✖ silent")
        .shows("leader 102")
        .shows("voters 2/3 follow")
        .shows("one more loss stops elections")
        .shows("azimuth quorum show");
}

#[tokio::test(start_paused = true)]
async fn a_quorum_that_answers_no_more_keeps_its_last_word_and_says_what_waits() {
    let mut snapshot = fixture::lost_voter();
    let reason = "broker 1 gave no answer to DescribeQuorum within 3000 ms";
    snapshot.quorum.fail(Trouble::TimedOut, reason, fixture::ago(30));
    let never = azimuth::model::Observed::default();
    let mut console = Console::open(Opening {
        snapshot: snapshot.clone(),
        ..Opening::default()
    })
    .await;
    console.press(": q u o r u m enter").await.shows("no answer for");
    snapshot.quorum = never;
    snapshot.quorum.fail(Trouble::TimedOut, reason, fixture::ago(30));
    console.publish(snapshot).await;
    console
        .shows("the quorum gives no answer")
        .shows("elections and metadata changes wait");
}

#[tokio::test(start_paused = true)]
async fn a_stale_throttle_names_whom_it_slows_and_leads_to_the_topics_configs() {
    let mut console = Console::open(Opening {
        snapshot: fixture::throttled(),
        ..Opening::default()
    })
    .await;
    console
        .press(": t h r o t t l e enter")
        .await
        .cursor_on("✖ stale")
        .shows("no reassignment is in flight")
        .shows("a list without a rate")
        .shows("azimuth throttle list");
    console.press("/").await.types("topic orders").await;
    console
        .press("enter enter")
        .await
        .shows("▸ topic ▸ orders")
        .shows("follower.replication.throttled.replicas");
}

#[tokio::test(start_paused = true)]
async fn a_reassignment_says_why_it_is_stuck() {
    let mut console = open().await;
    console
        .press(": r e a s s i g n m enter")
        .await
        .shows("inventory")
        .shows("✖ stuck")
        .shows("the replica on broker 4 stays and is")
        .shows("azimuth reassign list");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_transaction_is_first_and_opens_the_partitions_it_holds() {
    let mut console = open().await;
    console
        .press(": t r a n s a c t i o n enter")
        .await
        .cursor_on("ledger-writer")
        .cursor_on("past its timeout")
        .shows("azimuth transaction list");
    console
        .press("enter")
        .await
        .shows("▸ transaction ▸ ledger-writer")
        .shows("high watermark");
    console.press("enter").await.shows("▸ topic ▸ orders");
}

#[tokio::test(start_paused = true)]
async fn transactions_that_are_not_served_are_not_none() {
    let mut snapshot = fixture::snapshot();
    for section in snapshot.transactions.values_mut() {
        *section = azimuth::model::Observed::default();
        section.fail(
            Trouble::Unsupported,
            "broker 1 does not know ListTransactions",
            fixture::ago(3),
        );
    }
    let mut console = Console::open(Opening {
        snapshot,
        ..Opening::default()
    })
    .await;
    console
        .press(": t r a n s a c t i o n enter")
        .await
        .shows("not served")
        .hides("no coordinator knows");
}

#[tokio::test(start_paused = true)]
async fn triage_is_the_first_screen_when_something_fails_and_enter_goes_to_the_evidence() {
    let opening = Opening {
        triage_first: true,
        ..Opening::default()
    };
    let mut console = Console::open(opening).await;
    console
        .shows("WRITES AND READS FAIL")
        .shows("azimuth triage --context prod-eu");
    console.press("j j").await.cursor_on("WHO");
    console.press("enter").await.shows("▸ broker ▸ 4");
    console.press("esc").await.shows("WRITES AND READS FAIL");
    console.press("2").await.press("!").await.shows("DON'T");
}

#[tokio::test(start_paused = true)]
async fn triage_does_not_take_the_screen_from_whoever_is_at_work() {
    let opening = Opening {
        triage_first: true,
        snapshot: azimuth::model::Snapshot::default(),
        ..Opening::default()
    };
    let mut console = Console::open(opening).await;
    console.press("3").await;
    console
        .publish(fixture::snapshot())
        .await
        .hides("WRITES AND READS FAIL");
}

#[tokio::test(start_paused = true)]
async fn a_small_screen_never_cuts_what_one_acts_on() {
    let mut console = Console::open(Opening {
        size: (80, 24),
        ..Opening::default()
    })
    .await;
    console.press("1").await;
    let screen = console.text().split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = [
        "1 partition offline",
        "missing from 62 of 62 shrunk ISRs",
        "(what fills it, and each remedy with its price)",
        "(they load the brokers that are left)",
    ];
    for text in whole {
        assert!(screen.contains(text), "{text} is cut:\n{}", console.text());
    }
}

#[tokio::test(start_paused = true)]
async fn over_twenty_brokers_the_grid_has_a_column_for_each_zone_and_each_outlier() {
    let mut snapshot = fixture::wide();
    let usual = snapshot.broker_configs[&1].clone();
    let odd = snapshot.broker_configs[&5].clone();
    snapshot.broker_configs = (1..=30)
        .map(|id| (id, if id == 17 { odd.clone() } else { usual.clone() }))
        .collect();
    let mut console = Console::open(Opening {
        snapshot,
        ..Opening::default()
    })
    .await;
    console
        .press("9")
        .await
        .cursor_on("num.io.threads")
        .cursor_on("drift: 17")
        .shows("10 alike")
        .shows("9 alike");
}

/// The first screen with these keys pressed: what was chosen, and what it showed last.
async fn first_time(clusters: &[(&str, &str, Option<&str>)], keys: &str) -> (Option<Pick>, String) {
    let item = |(bootstrap, place, file): &(&str, &str, Option<&str>)| Item {
        label: (*bootstrap).into(),
        hint: (*place).into(),
        pick: Pick::Cluster {
            bootstrap: (*bootstrap).into(),
            command_config: file.map(str::to_owned),
        },
    };
    let mut first = First::new(clusters.iter().map(item).collect(), vec!["ops".into()]);
    let theme = Theme::new(&ThemeFile::load("dark", None).unwrap(), Colours::True, Glyphs::Unicode).unwrap();
    let mut router = Router::new(&Keymap::load("default", None).unwrap()).unwrap();
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let events: Vec<_> = keys
        .split_whitespace()
        .map(|key| Ok(super::harness::event(key)))
        .collect();
    let mut input = futures::stream::iter(events);
    let chosen = choose(&mut terminal, &mut input, &mut router, &mut first, &theme)
        .await
        .unwrap();
    let cells = terminal.backend().buffer().content().chunks(80);
    let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
    (chosen, cells.map(line).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn the_first_time_what_the_machine_knows_is_offered() {
    let clusters = [
        (
            "b1:9096,b2:9096",
            "/home/anna/client.properties",
            Some("/home/anna/client.properties"),
        ),
        ("c1:9092", "BOOTSTRAP_SERVERS", None),
    ];
    let (chosen, screen) = first_time(&clusters, "").await;
    assert_eq!(chosen, None);
    for text in [
        "no cluster is known here yet",
        "▸ b1:9096,b2:9096",
        "BOOTSTRAP_SERVERS",
        "the demo",
        "azimuth context add NAME --bootstrap b1:9096,b2:9096",
        "AWS profiles: ops",
    ] {
        assert!(screen.contains(text), "{text}\n{screen}");
    }
    let (chosen, screen) = first_time(&clusters, "j enter").await;
    assert!(screen.contains("▸ c1:9092"), "{screen}");
    let cluster = Pick::Cluster {
        bootstrap: "c1:9092".into(),
        command_config: None,
    };
    assert_eq!(chosen, Some(cluster));
    assert_eq!(first_time(&clusters, "G enter").await.0, Some(Pick::Demo));
    assert_eq!(first_time(&clusters, "j q").await.0, None);
}

#[tokio::test]
async fn the_first_time_on_a_bare_machine_the_demo_is_offered() {
    let (chosen, screen) = first_time(&[], "enter").await;
    assert_eq!(chosen, Some(Pick::Demo));
    assert!(screen.contains("no client property file names a broker"), "{screen}");
}

/// Names and values as an attacker writes them, wherever a stranger's text comes from.
fn hostile() -> azimuth::model::Snapshot {
    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\u{9b}31m\u{202e}שלום\u{2066}日本\u{200d}👩\u{200d}💻\u{feff}";
    let mut snapshot = fixture::snapshot();
    let mut topics = snapshot.topics().to_vec();
    topics[0].name = format!("{}{EVIL}", "t".repeat(249));
    topics[1].name = EVIL.into();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let configs = topics.iter().map(|topic| {
        let config = azimuth::model::config::Config {
            name: format!("x{EVIL}"),
            value: Some(format!("{EVIL}{}", "v".repeat(2000))),
            source: azimuth::model::config::ConfigSource::Topic,
            sensitive: false,
            read_only: false,
            documentation: Some(EVIL.into()),
            synonyms: Vec::new(),
        };
        (topic.name.clone(), vec![config])
    });
    snapshot.topic_configs = Observed::fresh(configs.collect(), fixture::now());
    snapshot.topics = Observed::fresh(topics, fixture::now());
    let mut groups = snapshot.groups.get().unwrap().clone();
    for group in groups.iter_mut().map(Arc::make_mut) {
        group.name = format!("{}{EVIL}", group.name);
        for member in &mut group.members {
            member.client = EVIL.into();
            member.host = EVIL.into();
        }
    }
    snapshot.groups = Observed::fresh(groups, fixture::now());
    let mut acls = snapshot.acls.get().unwrap().clone();
    for rule in &mut acls.rules {
        rule.principal = format!("User:{EVIL}");
        rule.name = format!("{EVIL}{}", rule.name);
    }
    snapshot.acls = Observed::fresh(acls, fixture::now());
    let mut quotas = snapshot.quotas.get().unwrap().clone();
    for quota in &mut quotas {
        quota.entity.client_id = Some(azimuth::model::quota::Whom::Named(EVIL.into()));
    }
    snapshot.quotas = Observed::fresh(quotas, fixture::now());
    snapshot
}

fn is_harmless(text: &str) -> bool {
    let harmful = |letter: char| letter.is_control() || "\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}".contains(letter);
    !text.chars().any(harmful)
}

#[tokio::test(start_paused = true)]
async fn hostile_names_and_values_reach_no_screen_title_or_pager_raw() {
    let visits = [
        "2",
        "2 enter",
        "3",
        "3 enter",
        "3 enter tab",
        "3 j enter tab i",
        "4",
        "4 enter",
        "4 enter tab",
        "5",
        "8",
        "8 enter",
        "8 j enter",
        "3 y",
        "4 y",
        "8 y",
        "3 s",
        ":",
    ];
    for size in [(120, 40), (80, 24)] {
        for keys in visits {
            let mut console = Console::open(Opening {
                size,
                snapshot: hostile(),
                ..Opening::default()
            })
            .await;
            console.press(keys).await;
            for cell in console.buffer().content() {
                assert!(is_harmless(cell.symbol()), "{keys}: {:?}", cell.symbol());
            }
            let titles = console.wishes.lock().unwrap().titles.clone();
            assert!(titles.iter().all(|title| is_harmless(title)), "{keys}: {titles:?}");
        }
    }
    let mut console = Console::open(Opening {
        snapshot: hostile(),
        ..Opening::default()
    })
    .await;
    console.press("8 o").await;
    let Some(Leave::Page(text)) = &console.left else {
        panic!("{:?}", console.left)
    };
    assert!(text.lines().all(is_harmless), "{text:?}");
    assert_eq!(text.lines().count(), 8, "one line for each rule: {text:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_value_is_whole_in_the_row_that_is_copied() {
    let mut console = Console::open(Opening {
        snapshot: hostile(),
        ..Opening::default()
    })
    .await;
    console.press("3 enter tab y j j enter").await;
    let copied = console.wishes.lock().unwrap().copied.clone();
    let row: serde_json::Value = serde_json::from_str(&copied[0]).unwrap();
    let value = row["value"].as_str().unwrap();
    assert!(value.ends_with(&"v".repeat(2000)), "{} characters", value.len());
    assert!(value.starts_with('\u{1b}'), "in JSON nothing is lost: {value:?}");
}
