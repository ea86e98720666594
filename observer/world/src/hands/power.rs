//! Takes a host's power away, gives it back, and sees whether it has any: by the power fence.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::validate::Power;
use observer_core::words::HostName;

use super::{Fault, host_of};
use crate::access::CommandLine;
use crate::pair_world::Inner;
use crate::power::{self, Action, PowerError};

/// Where the command runs.
const OBSERVER: &str = "observer";

pub(super) async fn switch(
    world: &Inner,
    host: &HostName,
    action: Action,
    deadline: Duration,
) -> Result<(), Fault> {
    let switched = power::switch(host_of(world, host)?, action, deadline).await;
    switched.map_err(|why| match why {
        // A management controller may well do it after nobody waits for it any more.
        PowerError::Late { .. } => Fault::NoReply,
        why => Fault::Refused(why.to_string()),
    })
}

/// Whether the power of `host` is as it is wanted.
pub(super) async fn prove(
    world: &Inner,
    host: &HostName,
    wanted: Power,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let has = power::has_power(host_of(world, host)?, deadline).await;
    let has = has.map_err(|why| Fault::Refused(why.to_string()))?;
    let seen = format!("the power fence says that {host} is {}", has.name());
    Ok(if has == wanted { Answer::Shown(seen) } else { Answer::NotYet(seen) })
}

pub(super) fn describe(world: &Inner, host: &HostName, action: Action) -> Vec<CommandLine> {
    let switch = world.host(host).and_then(|found| found.access.power.as_ref());
    let line =
        |switch| CommandLine { host: OBSERVER.to_owned(), command: power::line(switch, action) };
    switch.map(line).into_iter().collect()
}
