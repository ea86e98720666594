//! The acts of the demonstration, in order.

use std::time::{Duration, Instant};

use tests::lab::{LabSpec, Result, Turn, Whom};
use tests::stage::{Booked, Load, OBSERVER_UNIT, Stage, StageSpec};

use crate::blow::{self, Feed};
use crate::crowd::Crowd;
use crate::screen::{Screen, Tone};

/// Longer than any act: a load is ended by hand.
const LOAD: Duration = Duration::from_secs(120);
const BLOW_LIMIT: Duration = Duration::from_secs(30);
/// The steps of the dry run that are shown.
const STEPS_SHOWN: usize = 3;

const PICTURE: &str = "              30 users by HTTP, 1 client by SQL
                              │
                              ▼
                        proxy (HAProxy)
               ┌──────────────┴┄┄┄┄┄┄┄┄┄┄┄┄┄┄┐ only after a failover
               ▼                             ▼
      node-a  MASTER                node-b  SLAVE
      desk, the application         desk, the application
      PostgreSQL  ────────────────▶ PostgreSQL, a copy some ms behind
      scheduler, only here

      observer (ha-observer) reaches all three by SSH; users never pass through it.";

/// Plays the whole story.
pub(crate) fn play(screen: &mut Screen) -> Result<()> {
    let began = Instant::now();
    screen.say("HA Observer: what happens to users when the master loses its power.");
    screen
        .say("Everything below happens now, on machines with their own systemd, sshd, PostgreSQL");
    screen.say("and HAProxy.");
    let stage = boot(screen)?;
    let loads = users(screen, &stage)?;
    dry_run(screen, &stage)?;
    let since = power_loss(screen, &stage)?;
    books(screen, &stage, loads, since)?;
    aftermath(screen, &stage)?;
    why(screen, &stage)?;
    observer_dies(screen, &stage)?;
    by_hand(screen, &stage)?;
    drop(stage);
    finish(screen, began);
    Ok(())
}

fn boot(screen: &mut Screen) -> Result<Stage> {
    screen.act("Four machines boot");
    screen.say(PICTURE);
    screen.say("");
    screen.live("booting, and installing the observer in its machine …");
    let began = Instant::now();
    let lab = LabSpec { turn: Turn::Alone, ..LabSpec::standard() };
    let spec = StageSpec { lab, ..StageSpec::standard() };
    let stage = Stage::set(&spec)?.without_logs();
    let took = began.elapsed().as_secs_f64();
    screen.settle(&format!("All are up after {took:.0} s, and the observer has looked at them:"));
    ask(screen, &stage, "ha-observer status")?;
    screen.breathe();
    Ok(stage)
}

fn users(screen: &mut Screen, stage: &Stage) -> Result<Vec<Load>> {
    screen.act("Users work");
    screen
        .say("30 users read and write tickets through the proxy, as fast as a person never could.");
    screen.say(
        "One more client writes a row into the database every 10 ms. Each of them keeps books",
    );
    screen.say("of what was acknowledged.");
    screen.say("");
    let loads = vec![stage.start_http(LOAD)?, stage.start_sql(LOAD)?];
    // Their first requests say nothing about the pace.
    std::thread::sleep(Duration::from_secs(1));
    watch(screen, stage, Duration::from_secs(5));
    Ok(loads)
}

/// Shows for `time` how many requests are answered.
fn watch(screen: &Screen, stage: &Stage, time: Duration) {
    let began = Instant::now();
    let crowd = Crowd::at(stage.lab.machine("proxy"));
    let count = || crowd.as_ref().and_then(Crowd::count);
    let (first, mut last) = (count(), count());
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_millis(500));
        let now = count();
        if let (Some(now), Some(last)) = (&now, &last) {
            let rate = now.rate_since(last);
            screen.live(&format!("users: {rate:5.0} requests answered per second"));
        }
        last = now;
    }
    if let (Some(first), Some(last)) = (first, last) {
        let rate = last.rate_since(&first);
        screen.settle(&format!("users: {rate:.0} requests answered per second"));
    }
}

fn dry_run(screen: &mut Screen, stage: &Stage) -> Result<()> {
    screen.act("What would the observer do?");
    screen
        .say("The dry run prints the very plan that would be carried out: each command, the host");
    screen.say("it runs on, its proof, its deadline, and how it is undone. Its beginning:");
    let command = "ha-observer failover --dry-run";
    screen.typed(command);
    let text = typed_in(stage, command)?;
    let is_step =
        |line: &&str| line.split('.').next().is_some_and(|n| n.trim().parse::<u32>().is_ok());
    let steps = text.lines().filter(is_step).count();
    let mut shown = 0;
    let start: Vec<&str> = text
        .lines()
        .take_while(|line| {
            shown += usize::from(is_step(line));
            shown <= STEPS_SHOWN
        })
        .collect();
    screen.output(&start.join("\n"));
    screen.say(&format!("… and {} more steps.", steps.saturating_sub(STEPS_SHOWN)));
    screen.breathe();
    Ok(())
}

/// Returns when the power went, in milliseconds of the Unix epoch.
fn power_loss(screen: &mut Screen, stage: &Stage) -> Result<u64> {
    screen.act("The master loses its power");
    screen.say(
        "node-a falls silent in the middle of a word and dies. Nobody is told. Times count from",
    );
    screen.say("that moment; lines are the observer's own events as they come.");
    screen.say("");
    let feed = Feed::open(stage)?;
    let crowd = Crowd::at(stage.lab.machine("proxy")).expect("the proxy is on");
    // The feed is open once its first, older event has come.
    std::thread::sleep(Duration::from_millis(700));
    let node = stage.lab.machine("node-a");
    node.pull_cable()?;
    let since = blow::unix_ms();
    screen.moment(0, Tone::Bad, "node-a has no power");
    let told = std::thread::scope(|scope| {
        let power = scope.spawn(|| node.crash());
        let told = blow::tell(screen, &feed, &crowd, since, BLOW_LIMIT);
        power.join().expect("taking the power away does not panic").map(|()| told)
    })?;
    if !told {
        screen.say(&format!("It did not come to an end within {} s.", BLOW_LIMIT.as_secs()));
    }
    Ok(since)
}

fn books(screen: &mut Screen, stage: &Stage, loads: Vec<Load>, since: u64) -> Result<()> {
    screen.act("Users write again");
    watch(screen, stage, Duration::from_secs(3));
    screen.say("");
    screen.say("Their own books, compared with the database of the new master, node-b:");
    screen.say("");
    for (who, load) in ["30 users by HTTP", "1 client by SQL"].iter().zip(loads) {
        let booked = stage.finish(load, "node-b")?;
        account(screen, who, &booked, Some(since));
    }
    screen.say("");
    screen.say(
        "Replication in this pair is asynchronous, as it is where nobody changed PostgreSQL's",
    );
    screen.say(
        "defaults: what the master acknowledged in its very last milliseconds can be lost. The",
    );
    screen.say(
        "observer knows how much at most, and refuses a failover beyond the configured budget.",
    );
    screen.say("");
    screen
        .say("The incident report, made from the same events (`ha-observer incident`, beginning):");
    screen.typed("ha-observer incident");
    let report = typed_in(stage, "ha-observer incident")?;
    let until = "## What happened";
    screen.output(report.split(until).next().unwrap_or_default().trim_end());
    screen.breathe();
    Ok(())
}

/// The books of a load; with the moment of a blow, also how many requests it met under way.
fn account(screen: &Screen, who: &str, booked: &Booked, blow: Option<u64>) {
    let Booked { summary, compared } = booked;
    let outage = summary.longest_gap_ms / 1000.0;
    let (lost, doubled) = (compared.lost.len(), compared.doubled.len());
    let failed = summary.failed.len();
    screen.say(&screen.paint(Tone::Strong, who));
    screen.say(&format!("  nobody could write for        {outage:>6.2} s"));
    screen.say(&format!("  requests answered             {:>6}", summary.ok));
    let under_way = blow.map_or_else(String::new, |blow| {
        format!("    under way when the power went: {}", summary.failed_under_way(blow, blow))
    });
    screen.say(&format!("  requests failed               {failed:>6}{under_way}"));
    if blow.is_none() {
        for failed in &summary.failed {
            let (from, until) = (failed.start_us / 1_000, failed.end_us / 1_000);
            let kind = failed.kind;
            screen.say(&format!("    {kind:?}, {from} ms to {until} ms: {}", failed.why));
        }
    }
    screen.say(&format!("  acknowledged writes lost      {lost:>6}    of {}", summary.writes_ok));
    screen.say(&format!("  writes done twice             {doubled:>6}"));
}

fn aftermath(screen: &mut Screen, stage: &Stage) -> Result<()> {
    screen.act("Served, and not protected; then protected again");
    screen.say("Users are served, but there is no slave any more. The observer says so by itself:");
    ask(screen, stage, "ha-observer status")?;
    screen.say("");
    screen
        .say("Now somebody switches the old master on again. It must not serve anybody: its data");
    screen
        .say("may end in something that nobody else has. The observer keeps that for a person to");
    screen.say("look at, rewinds the host to where the two parted, and makes a slave of it.");
    screen.say("");
    screen.live("node-a boots …");
    let node = stage.lab.machine("node-a");
    node.power_on()?;
    let began = Instant::now();
    screen.settle("node-a has booted. Nobody does anything.");
    screen.live("the observer makes a slave of it …");
    stage.wait_protected()?;
    let took = began.elapsed().as_secs_f64();
    screen.settle(&format!("Protected again after {took:.1} s. The end of what it did:"));
    ask(screen, stage, "ha-observer events --limit 9")?;
    ask(screen, stage, "ha-observer status")?;
    screen.breathe();
    Ok(())
}

fn why(screen: &mut Screen, stage: &Stage) -> Result<()> {
    screen.act("Ask it why");
    screen.say("At any time: what it thinks, what it saw, and which fact would change its mind.");
    ask(screen, stage, "ha-observer why")?;
    screen.breathe();
    Ok(())
}

fn observer_dies(screen: &mut Screen, stage: &Stage) -> Result<()> {
    screen.act("The observer itself is killed");
    screen.say("kill -9, while users work. Nothing they use depends on it.");
    screen.say("");
    let load = stage.start_http(LOAD)?;
    std::thread::sleep(Duration::from_secs(2));
    let pid = || -> Result<String> {
        let show = ["systemctl", "show", "-p", "MainPID", "--value", OBSERVER_UNIT];
        stage.observer().run(&show)
    };
    let before = pid()?;
    stage.observer().signal_unit(OBSERVER_UNIT, "KILL", Whom::Main)?;
    watch(screen, stage, Duration::from_secs(3));
    stage
        .wait_status("the observer to answer", BLOW_LIMIT, |status| status["master"] == "node-b")?;
    let after = pid()?;
    let booked = stage.finish(load, "node-b")?;
    let (ok, failed) = (booked.summary.ok, booked.summary.failed.len());
    screen.say(&format!(
        "process {before} was killed, systemd started {after}; it looked at the world, read"
    ));
    screen.say("its journal, and knows node-b as the master.");
    screen.say(&format!("users meanwhile: {ok} requests answered, {failed} failed"));
    screen.breathe();
    Ok(())
}

fn by_hand(screen: &mut Screen, stage: &Stage) -> Result<()> {
    screen.act("Back again, on purpose");
    screen.say(
        "node-b is the master now. An operator wants users back on node-a. First, is the pair",
    );
    screen.say("ready for that? It asks every machine, and changes nothing:");
    ask(screen, stage, "ha-observer validate")?;
    screen.say("");
    screen
        .say("30 users work, and 8 lasting SQL sessions write. A switchover loses nothing, or it");
    screen.say("does not happen. (Without `--yes` it asks for the pair's name.)");
    let loads = vec![stage.start_http(LOAD)?, stage.start_sessions(LOAD)?];
    std::thread::sleep(Duration::from_secs(3));
    ask(screen, stage, "ha-observer switchover --yes --reason rewiring")?;
    std::thread::sleep(Duration::from_secs(2));
    screen.say("");
    for (who, load) in ["30 users by HTTP", "8 SQL sessions"].iter().zip(loads) {
        let booked = stage.finish(load, "node-a")?;
        account(screen, who, &booked, None);
    }
    screen.say("");
    screen.say("Requests waited at the proxy instead of failing. A lasting SQL session cannot be");
    screen
        .say("moved by any proxy: each saw one error and reconnected (a PgBouncer, where there is");
    screen.say("one, is paused meanwhile, and then they see none).");
    ask(screen, stage, "ha-observer status")?;
    Ok(())
}

fn finish(screen: &mut Screen, began: Instant) {
    screen.act("The end");
    let took = began.elapsed().as_secs();
    screen.say(&format!("That took {took} s. The machines and everything they left are removed."));
    screen.say("");
    screen.say("To read next:");
    screen.say("  README.md         what it is, how it is installed");
    screen.say("  ARCHITECTURE.md   how it decides, and the rules it never breaks");
    screen
        .say("  RUNBOOK.md        every verdict, what it means, what to do (`ha-observer rules`)");
    screen.say("  BENCHMARKS.md     how long it takes, measured, beside other systems");
    screen.say(
        "  tests/README.md   the machines you just saw: `sudo target/debug/lab up` to walk in",
    );
}

/// Shows a command of the observer with its output.
fn ask(screen: &Screen, stage: &Stage, command: &str) -> Result<()> {
    screen.typed(command);
    screen.output(&typed_in(stage, command)?);
    Ok(())
}

/// Runs a command in the observer machine as at a terminal, which gives aligned tables; with
/// colours only if our own terminal shows them.
fn typed_in(stage: &Stage, command: &str) -> Result<String> {
    let colours = if std::io::IsTerminal::is_terminal(&std::io::stdout()) { "" } else { "1" };
    let colours = format!("NO_COLOR={colours}");
    let words = ["env", "TERM=xterm", &colours, "script", "-qec", command, "/dev/null"];
    let output = stage.observer().exec(&words)?;
    let text = output.stdout.replace("^D", "");
    // Of a line that was written anew, what stood there last is what a person was left with.
    let last = |line: &str| line.rsplit(RUBBED_OUT).next().unwrap_or(line).to_owned();
    let text = text.split('\n').map(last).collect::<Vec<_>>().join("\n");
    Ok(text.replace(['\r', '\u{4}', '\u{8}'], "").trim_end().to_owned())
}

/// How a terminal is told to forget the line that it shows.
const RUBBED_OUT: &str = "\r\u{1b}[K";
