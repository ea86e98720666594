//! The power fence in the hands: a script that keeps the power in a file, beside a real sshd.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof};
use observer_core::validate::Power;
use observer_world::access::PowerSwitch;
use observer_world::pair_world::PairWorld;
use support::pair::{PATIENCE, databases, host, name, perform, prove, shown};
use support::sshd::Sshd;

/// Keeps the power in a file beside it; the word `refuse` in it makes it fail.
const SCRIPT: &str = r#"#!/bin/sh
file=${0%/*}/power-of-$2
was=$(cat "$file")
[ "$was" != refuse ] || { echo "login denied" >&2; exit 3; }
case $1 in
    status) [ "$was" = on ] && { echo "Status: ON"; exit 0; }; echo "Status: OFF"; exit 2 ;;
    *) echo "$1" >"$file" ;;
esac
"#;

/// A world whose node-a answers over SSH until sshd is gone, with both hosts' power on.
fn world(sshd: &Sshd) -> PairWorld {
    let script = sshd.path("power");
    fs::write(&script, SCRIPT).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let member = |of: &str| {
        turn(sshd, of, "on");
        let command = [&script.to_string_lossy(), "{action}", of].map(str::to_owned).to_vec();
        let mut host = host(sshd, of, "127.0.0.1");
        host.power = Some(PowerSwitch { command });
        host
    };
    databases(member("node-a"), member("node-b"))
}

fn turn(sshd: &Sshd, host: &str, power: &str) {
    fs::write(sshd.path(&format!("power-of-{host}")), power).unwrap();
}

fn off() -> (Effect, Proof) {
    (Effect::PowerOff { host: name("node-a") }, Proof::PoweredOff { host: name("node-a") })
}

#[tokio::test]
async fn a_host_is_off_once_the_fence_says_so_and_it_answers_no_more() {
    let mut sshd = Sshd::start();
    let world = world(&sshd);
    let (effect, proof) = off();
    assert!(matches!(prove(&world, &proof).await, Answer::NotYet(_)));
    assert_eq!(perform(&world, effect.clone()).await, Reply::Did);
    // It answers all the same: the fence has switched another machine.
    let Answer::Unknown(why) = prove(&world, &proof).await else { panic!("it was believed") };
    assert!(why.contains("it asks another machine"), "{why}");
    sshd.stop();
    shown(&prove(&world, &proof).await);
    let on = Effect::PowerOn { host: name("node-a") };
    assert_eq!(perform(&world, on).await, Reply::Did);
    shown(&prove(&world, &Proof::PoweredOn { host: name("node-a") }).await);
    let line = world.describe(&effect).remove(0);
    assert_eq!(line.host, "observer");
    assert_eq!(line.command, format!("{} off node-a", sshd.path("power").display()));
}

#[tokio::test]
async fn a_fence_that_fails_is_told_in_its_own_words_and_proves_nothing() {
    let sshd = Sshd::start();
    let world = world(&sshd);
    turn(&sshd, "node-a", "refuse");
    let (effect, proof) = off();
    let Reply::Refused(why) = perform(&world, effect).await else { panic!("it was done") };
    assert_eq!(why, "the power fence's `off` ended with 3: login denied");
    assert!(matches!(prove(&world, &proof).await, Answer::Unknown(_)));
    let answers = world.ask_power(PATIENCE).await;
    let power = |of: &str| answers.iter().find(|(host, _)| host.as_str() == of).unwrap();
    assert!(power("node-a").1.power.as_ref().unwrap_err().ends_with("3: login denied"));
    assert_eq!(power("node-b").1.power, Ok(Power::On));
}
