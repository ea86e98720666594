//! The power fence of the simulated world: each host has a power switch with an address of its own,
//! which the observer reaches whether the host lives or not.

use observer_core::drive::{Answer, Reply};
use observer_core::words::{At, HostName};

use crate::machine::{Power, Switch};
use crate::network::OBSERVER;
use crate::world::World;

/// The switches' name among the nodes of the network.
const SWITCHES: &str = "switches";
/// How long a slow switch takes after it has said that it was done, in milliseconds.
const SLOW_MS: u64 = 4_000;

impl World {
    /// Takes the power of `host` away.
    pub(crate) fn power_off(&mut self, host: &HostName, now: At) -> Option<Reply> {
        self.at_switch(host, |world| {
            let machine = world.machine_mut(host);
            match machine.switch {
                Switch::Slow => machine.loses_power_at = Some(now.plus(SLOW_MS)),
                Switch::Works => machine.lose_power(Power::Off),
                Switch::Deaf | Switch::Broken => {}
            }
        })
    }

    /// Gives `host` its power again.
    pub(crate) fn power_on(&mut self, host: &HostName, now: At) -> Option<Reply> {
        self.at_switch(host, |world| {
            let machine = world.machine_mut(host);
            machine.loses_power_at = None;
            if machine.switch != Switch::Deaf && machine.power == Power::Off {
                world.boot(host, now);
            }
        })
    }

    /// Whether the switch says that the power is as `wanted` says.
    pub(crate) fn prove_power(&self, host: &HostName, wanted: fn(Power) -> bool) -> Answer {
        let machine = self.machine(host);
        if !self.network.passes(OBSERVER, SWITCHES) || machine.switch == Switch::Broken {
            return Answer::Unknown("the power switch does not answer".to_owned());
        }
        if wanted(machine.power) {
            Answer::Shown(format!("the switch says {:?}", machine.power))
        } else {
            Answer::NotYet(format!("the switch says {:?}", machine.power))
        }
    }

    fn at_switch(&mut self, host: &HostName, act: impl FnOnce(&mut World)) -> Option<Reply> {
        if !self.network.passes(OBSERVER, SWITCHES) {
            return None;
        }
        if self.machine(host).switch == Switch::Broken {
            return Some(Reply::Refused("the power switch does not answer".to_owned()));
        }
        act(self);
        Some(Reply::Did)
    }
}
