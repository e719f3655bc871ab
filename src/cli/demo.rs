//! `azimuth demo` where no screens open: headless for scripts, or one pass of the views as text.

use std::io::Write;
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Exit, Failure};
use crate::command::{Command, Line, broker, demo, group, topic, volume};
use crate::demo::{Begin, CONTEXT, Demo, Drill, Error, control};

/// How long the text waits for the groups' first commits, so that their lag is a number.
const SETTLE: Duration = Duration::from_secs(5);

/// Serves until it is told to end, or prints everything once.
pub async fn run(line: &Line, asked: &demo::Demo) -> Result<Exit, Failure> {
    if let (Some(socket), Some(action), Some(broker)) = (&asked.control, asked.action, asked.broker) {
        let told = control::ask(socket, action, broker).await;
        return told.map(|()| Exit::Done).map_err(Failure::partial);
    }
    let demo = start(line, asked, Begin::AtOnce).await?;
    let exit = if asked.headless {
        serve(&demo).await
    } else {
        once(line, &demo).await
    };
    demo.shutdown().await;
    exit
}

/// Starts the demo that a line asks for.
pub async fn start(line: &Line, asked: &demo::Demo, begin: Begin) -> Result<Demo, Failure> {
    let drill = asked
        .drill
        .as_deref()
        .map(Drill::parse)
        .transpose()
        .map_err(Failure::usage)?;
    let drill = drill.map(|drill| (drill, begin));
    let file = line.global.context_file.as_deref();
    let started = Demo::start_at_tempo(drill, file, asked.clock_factor.unwrap_or(1)).await;
    started.map_err(|error| match error {
        Error::Taken(_) => Failure::usage(error),
        error => Failure::partial(error),
    })
}

/// The line that leads any command to a running demo.
pub fn at(line: &Line, demo: &Demo, command: Option<Command>) -> Line {
    let mut line = Line {
        command,
        ..line.clone()
    };
    line.global.context = Some(CONTEXT.to_owned());
    line.global.context_file = Some(demo.context_file().to_owned());
    line.global.bootstrap = None;
    line
}

async fn serve(demo: &Demo) -> Result<Exit, Failure> {
    let catch = |kind| signal(kind).map_err(|error| Failure::partial(format!("cannot wait for a signal: {error}")));
    let (mut end, mut lost) = (catch(SignalKind::terminate())?, catch(SignalKind::hangup())?);
    let path = std::path::absolute(demo.context_file()).unwrap_or_else(|_| demo.context_file().to_owned());
    let lines = format!(
        "ready {}\naws {}\ncontext {}\n",
        demo.bootstrap(),
        demo.aws_url(),
        path.display()
    );
    let mut out = std::io::stdout();
    if out.write_all(lines.as_bytes()).and_then(|()| out.flush()).is_err() {
        // Nobody reads where it serves; it serves all the same.
        super::exit::say(lines.trim_end());
    }
    tokio::select! {
        _ = end.recv() => {}
        _ = lost.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(Exit::Done)
}

async fn once(line: &Line, demo: &Demo) -> Result<Exit, Failure> {
    println!(
        "azimuth demo: six brokers in three zones on this host; the EC2, EBS and CloudWatch facts are SIMULATED.\n"
    );
    demo.settle(SETTLE).await;
    let views = [
        ("BROKERS BY ZONE", Command::Broker(broker::Verb::List { window: None })),
        (
            "PLACEMENT",
            Command::Topic(topic::Verb::List {
                name: None,
                internal: true,
                window: None,
            }),
        ),
        (
            "LAG",
            Command::Group(group::Verb::List {
                state: None,
                window: None,
            }),
        ),
        ("VOLUMES", Command::Volume(volume::Verb::List { window: None })),
    ];
    for (title, command) in views {
        println!("{title}   {}", at(line, demo, Some(command.clone())));
        let line = at(line, demo, Some(command));
        super::answer(&line).boxed_local().await?;
        println!();
    }
    Ok(Exit::Done)
}
