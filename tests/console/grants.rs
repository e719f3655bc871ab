//! Rules, users and quotas changed on a real cluster with an authorizer, from the command line, read back and undone.

use serde_json::json;

use super::operations::{Desk, Screen};

/// What `kafka-acls --list` prints of one rule.
const LISTED: &str = "Current ACLs for resource `ResourcePattern(resourceType=TOPIC, name=imported, patternType=LITERAL)`: \n \
                      \t(principal=User:etl, host=*, operation=READ, permissionType=ALLOW)\n";

pub async fn changed(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    rules(&desk).await;
    whole(&desk).await;
    users(&desk).await;
    quotas(&desk).await;
}

async fn rules(desk: &Desk) {
    let write = |name: &str, text: &str| std::fs::write(desk.path(name), text).unwrap();
    write(
        "kafka.acl",
        "scope principal User:kafka\nallow User:kafka to ClusterAction on cluster\n",
    );
    write("none.acl", "scope principal User:kafka\n");
    write("bad.acl", "scope all\nalow User:a to Read on topic x\n");
    write("listed.txt", LISTED);

    desk.run("acl diff bad.acl")
        .await
        .ends(2)
        .says("line 2: a line begins with allow, deny or scope, not alow");
    let differs = desk.run("acl diff kafka.acl").await.ends(1);
    differs.answers("allow User:kafka from * to ClusterAction on cluster");
    let shown = desk.run("acl apply kafka.acl --dry-run").await.ends(0);
    shown
        .answers("▲ User:kafka gains ClusterAction on cluster")
        .answers("undo: full (remove 1 rule again)");
    let plan = desk.run("acl apply kafka.acl --dry-run -o json").await.ends(0);
    write("plan.json", &plan.stdout);
    desk.run("acl apply plan.json --yes")
        .await
        .ends(0)
        .says("plan.json is a plan")
        .says("read back from 3 brokers");
    desk.run("acl diff kafka.acl").await.ends(0);
    desk.run("acl apply plan.json --yes")
        .await
        .ends(4)
        .says("somebody has added");

    // What lets brokers act as such goes only when that is typed, and comes back.
    let pruned = desk.run("acl apply none.acl --prune --yes").await.ends(4);
    pruned
        .says("gate inter-broker is closed")
        .says("--override inter-broker --reason TEXT");
    let removed = desk
        .run("acl apply none.acl --prune --yes --override inter-broker --reason test -o name")
        .await;
    let id = removed.ends(0).stdout.trim().to_owned();
    desk.run("acl diff kafka.acl").await.ends(1);
    desk.run(&format!("operation undo {id} --yes"))
        .await
        .ends(0)
        .answers("finished");
    desk.run("acl diff kafka.acl").await.ends(0);

    desk.run("acl apply listed.txt --yes")
        .await
        .ends(0)
        .says("what kafka-acls --list prints, 1 of them; no scope");
    let edit = [("EDITOR", "sed -i s/Read/consume/")];
    let edited = desk.run_with(&edit, "acl edit --principal etl --yes").await.ends(0);
    edited.says("consume is Read,Describe");
    let own = desk.run("acl list --principal etl -o name").await.ends(0);
    assert_eq!(own.stdout, "allow User:etl from * to Read,Describe on topic imported\n");
    let edit = [("EDITOR", "true")];
    desk.run_with(&edit, "acl edit --principal etl --yes")
        .await
        .ends(0)
        .says("nothing was changed");
    let edit = [("EDITOR", "sed -i s/Read/Reed/")];
    let refused = desk.run_with(&edit, "acl edit --principal etl --yes").await.ends(2);
    refused
        .says("there is no operation Reed; did you mean Read?")
        .says("your text is kept");
}

/// All rules as one file: nothing differs, and leaving one out wants the name typed.
async fn whole(desk: &Desk) {
    let all = desk.run("acl list -o name").await.ends(0).stdout;
    let kept: String = all
        .lines()
        .filter(|line| !line.contains("imported"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(desk.path("all.acl"), format!("scope all\n{all}")).unwrap();
    std::fs::write(desk.path("kept.acl"), format!("scope all\n{kept}")).unwrap();
    // What an attacker called himself does not come back whole from a table, so it is not compared here.
    if !all.contains("owned") {
        desk.run("acl diff all.acl").await.ends(0);
        desk.run("acl apply kept.acl --prune --yes")
            .await
            .ends(4)
            .says("--confirm dev");
        desk.run("acl apply kept.acl --prune --confirm dev")
            .await
            .ends(0)
            .says("remove 1 rule");
        desk.run("acl diff all.acl").await.ends(1);
    }
}

async fn users(desk: &Desk) {
    const PASSWORD: &str = "open sesame 7";
    std::fs::write(desk.path("password"), format!("{PASSWORD}\n")).unwrap();
    desk.run("user set carol --yes")
        .await
        .ends(2)
        .says("there is no terminal to ask for the password");
    let set = desk
        .run("user set carol --password-file password --yes -o name")
        .await
        .ends(0);
    let id = set.stdout.trim().to_owned();
    let credentials = async || {
        let told = desk.json("user list").await;
        let items = told["items"].as_array().unwrap().clone();
        let carol = items.into_iter().find(|item| item["user"] == "carol");
        carol.map(|item| item["credentials"].clone())
    };
    assert_eq!(
        credentials().await,
        Some(json!([{"mechanism": "SCRAM-SHA-512", "iterations": 4096}]))
    );
    let replaced = desk
        .run("user set carol --password-file password --iterations 8192 --dry-run")
        .await
        .ends(0);
    replaced.answers("undo: none (Kafka keeps no password");
    desk.run(&format!("operation undo {id} --yes"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(credentials().await, None);
    desk.run("user delete carol --yes")
        .await
        .ends(4)
        .says("user carol has no SCRAM credential");
    let with = [("CAROL", PASSWORD)];
    desk.run_with(
        &with,
        "user set carol --mechanism SCRAM-SHA-256 --password-env CAROL --yes",
    )
    .await
    .ends(0);
    desk.run("user delete carol --yes").await.ends(0);
    assert_eq!(credentials().await, None);
    desk.holds_nowhere(PASSWORD);
}

async fn quotas(desk: &Desk) {
    let limits = async || {
        let told = desk.json("quota list --user carol").await;
        let items = told["items"].as_array().unwrap().clone();
        let carol = items.into_iter().find(|item| item["user"] == "carol");
        carol.map(|item| {
            (
                item["producer_bytes_per_second"].clone(),
                item["consumer_bytes_per_second"].clone(),
            )
        })
    };
    desk.run("quota set producer_byte_rat=1 --user carol --yes")
        .await
        .ends(4)
        .says("did you mean producer_byte_rate?");
    desk.run("quota set producer_byte_rate=2000000 --user carol --yes")
        .await
        .ends(0)
        .says("read back");
    let both = "quota set producer_byte_rate=1000000 consumer_byte_rate=3000000 --user carol --yes -o name";
    let id = desk.run(both).await.ends(0).stdout.trim().to_owned();
    assert_eq!(limits().await, Some((json!(1e6), json!(3e6))));
    desk.run(&format!("operation undo {id} --yes")).await.ends(0);
    assert_eq!(limits().await, Some((json!(2e6), json!(null))));
    desk.run("quota unset producer_byte_rate --user carol --yes")
        .await
        .ends(0);
    assert_eq!(limits().await, None);
}

/// The editor of rules in a terminal: a rule is added, planned, applied, and every broker has it.
pub async fn edited(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    let mut screen = Screen::open(&desk, "dev");
    screen.press("8").shows("User:billing").await;
    screen.press("E").shows("has exactly these rules").await;
    screen.press("\x1b[F\r").press("allow User:tui to Read on topic orders");
    screen.shows("User:tui gains Read on topic orders").await;
    screen
        .press("\x0f")
        .shows("PLAN add 1 rule")
        .await
        .shows("acl apply /")
        .await;
    // Presses that come after the plan is gone are text, which is kept and goes nowhere.
    // The list again; what is said of the text gives way to what is said of the operation.
    screen.apply().await.press("\x1b").shows("rule   principal").await;
    screen.quit().await;
    let id = desk.json("operation list").await["items"][0]["operation"].clone();
    let attach = format!("operation attach {}", id.as_str().unwrap());
    desk.run(&attach).await.ends(0).answers("finished");
    let own = desk.run("acl list --principal tui -o name").await.ends(0);
    assert_eq!(own.stdout, "allow User:tui from * to Read on topic orders\n");
    let last = desk.json("operation list").await["items"][0].clone();
    assert_eq!(
        (&last["state"], &last["title"]),
        (&json!("finished"), &json!("add 1 rule"))
    );
}
