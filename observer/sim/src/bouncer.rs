//! A simulated PgBouncer with one lasting session of a client through it, and what is done to it.
//!
//! The session breaks when its connection to a server does; while the PgBouncer is paused it has
//! none and only waits.

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof};
use observer_core::sighting::{BouncerReport, PooledDatabase, Seen, Silent};
use observer_core::words::{BouncerName, HostName};

use crate::fault::Fault;
use crate::machine::Postmaster;
use crate::network::OBSERVER;
use crate::world::World;

/// A PgBouncer.
#[derive(Clone, Debug)]
pub struct Bouncer {
    /// Whether its machine has power.
    pub powered: bool,
    /// Whether it runs.
    pub running: bool,
    /// Who paused it, if it is paused.
    pub paused: Option<PausedBy>,
    /// Whether its client's transaction never ends.
    pub busy: bool,
    /// The host its session's connection leads to.
    pub server: Option<HostName>,
    /// How often its session broke.
    pub broken: u64,
}

/// Who paused a PgBouncer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PausedBy {
    /// A plan.
    Plan,
    /// An effect that an observer, dead by then, had ordered.
    Late,
    /// A person.
    Hand,
}

impl Bouncer {
    pub(crate) fn new() -> Self {
        Self { powered: true, running: true, paused: None, busy: false, server: None, broken: 0 }
    }

    fn start(&mut self) {
        self.running = true;
        self.paused = None;
        self.server = None;
    }

    fn pause(&mut self, by: PausedBy) {
        self.paused = Some(by);
        self.let_go();
    }

    /// A connection that no transaction needs is closed while it is paused.
    fn let_go(&mut self) {
        if self.paused.is_some() && !self.busy {
            self.server = None;
        }
    }
}

impl World {
    /// A PgBouncer, to change.
    pub fn bouncer_mut(&mut self, name: &BouncerName) -> &mut Bouncer {
        self.bouncers.get_mut(name).expect("scenarios name configured PgBouncers")
    }

    fn bouncer_answers(&self, name: &BouncerName) -> bool {
        self.network.passes(OBSERVER, name.as_str()) && self.bouncers[name].powered
    }

    /// The PgBouncers that a plan has paused, and that the observer can reach.
    pub fn paused_by_plan(&self) -> impl Iterator<Item = &BouncerName> {
        let by_plan = |(name, bouncer): &(&BouncerName, &Bouncer)| {
            bouncer.paused == Some(PausedBy::Plan) && self.bouncer_answers(name)
        };
        self.bouncers.iter().filter(by_plan).map(|(name, _)| name)
    }

    pub(crate) fn at_bouncer(&mut self, effect: &Effect) -> Option<Reply> {
        let (Effect::PauseBouncer { bouncer: name } | Effect::ResumeBouncer { bouncer: name }) =
            effect
        else {
            return Some(Reply::Refused("not done at a PgBouncer".to_owned()));
        };
        if !self.bouncer_answers(name) {
            return None;
        }
        let bouncer = self.bouncer_mut(name);
        if !bouncer.running {
            return Some(Reply::Refused("PgBouncer is not running".to_owned()));
        }
        match effect {
            Effect::PauseBouncer { .. } => bouncer.pause(PausedBy::Plan),
            _ => bouncer.paused = None,
        }
        Some(Reply::Did)
    }

    /// Takes note that an effect was ordered by an observer that is dead by now.
    pub(crate) fn note_late(&mut self, effect: &Effect) {
        if let Effect::PauseBouncer { bouncer } = effect {
            let bouncer = self.bouncer_mut(bouncer);
            bouncer.paused = bouncer.paused.map(|_| PausedBy::Late);
        }
    }

    pub(crate) fn see_bouncer(&self, name: &BouncerName) -> Option<Result<Seen, Silent>> {
        if !self.bouncer_answers(name) {
            return None;
        }
        let bouncer = &self.bouncers[name];
        if !bouncer.running {
            return Some(Ok(Seen::Refused));
        }
        let database = PooledDatabase {
            name: "desk".to_owned(),
            paused: bouncer.paused.is_some(),
            connections: u64::from(bouncer.server.is_some()),
        };
        Some(Ok(Seen::Bouncer(BouncerReport { databases: vec![database] })))
    }

    pub(crate) fn prove_at_bouncer(&self, proof: &Proof) -> Answer {
        let (Proof::BouncerPaused { bouncer: name } | Proof::BouncerRuns { bouncer: name }) = proof
        else {
            return Answer::Unknown("not a proof at a PgBouncer".to_owned());
        };
        if !self.bouncer_answers(name) {
            return Answer::Unknown(format!("{name} does not answer"));
        }
        let bouncer = &self.bouncers[name];
        if !bouncer.running {
            return Answer::Shown("PgBouncer is not running".to_owned());
        }
        match (proof, bouncer.paused, &bouncer.server) {
            (Proof::BouncerPaused { .. }, None, _) => Answer::NotYet("not paused".to_owned()),
            (Proof::BouncerPaused { .. }, Some(_), Some(_)) => {
                Answer::NotYet("1 transaction has not ended".to_owned())
            }
            (Proof::BouncerRuns { .. }, Some(_), _) => Answer::NotYet("paused".to_owned()),
            _ => Answer::Shown("read back".to_owned()),
        }
    }

    /// Lets the sessions work for a moment: a connection whose server is gone breaks, and one is
    /// made through a proxy where there is none.
    pub(crate) fn work_in_sessions(&mut self) {
        for name in self.spec.bouncers.clone() {
            let bouncer = &self.bouncers[&name];
            let broke = bouncer.server.as_ref().is_some_and(|host| !self.takes_sql(host));
            let connects = bouncer.powered
                && bouncer.running
                && bouncer.paused.is_none()
                && (broke || bouncer.server.is_none());
            let host = if connects { self.reached_from(&name) } else { None };
            let bouncer = self.bouncer_mut(&name);
            if broke {
                bouncer.broken += 1;
                bouncer.server = None;
            }
            if connects {
                bouncer.server = host;
            }
        }
    }

    /// Breaks every session to `host`, as a proxy does that ends what is open.
    pub(crate) fn end_sessions(&mut self, host: &HostName) {
        for bouncer in self.bouncers.values_mut().filter(|one| one.server.as_ref() == Some(host)) {
            bouncer.broken += 1;
            bouncer.server = None;
        }
    }

    fn takes_sql(&self, host: &HostName) -> bool {
        let machine = self.machine(host);
        let runs = matches!(machine.database.postmaster, Postmaster::Running | Postmaster::Hung);
        machine.is_up() && runs && !machine.database.in_recovery
    }

    fn reached_from(&self, name: &BouncerName) -> Option<HostName> {
        let through = |host: &&HostName| {
            self.spec.proxies.iter().any(|proxy| {
                self.network.passes(name.as_str(), proxy.as_str())
                    && self.network.passes(proxy.as_str(), host.as_str())
                    && self.proxies[proxy].lets_in(host)
            })
        };
        let writes =
            |host: &&HostName| self.takes_sql(host) && self.machine(host).database.accepts_writes();
        self.spec.hosts.iter().filter(through).find(writes).cloned()
    }

    /// Does a fault to a PgBouncer.
    pub(crate) fn harm_bouncer(&mut self, fault: Fault) {
        match fault {
            Fault::StopBouncer(name) => {
                let bouncer = self.bouncer_mut(&name);
                // A pause ends with the process.
                bouncer.start();
                bouncer.running = false;
            }
            Fault::StartBouncer(name) if !self.bouncers[&name].running => {
                self.bouncer_mut(&name).start();
            }
            Fault::PowerOffBouncer(name) => self.bouncer_mut(&name).powered = false,
            Fault::PowerOnBouncer(name) if !self.bouncers[&name].powered => {
                let bouncer = self.bouncer_mut(&name);
                bouncer.powered = true;
                bouncer.start();
            }
            Fault::PauseBouncer(name) => self.bouncer_mut(&name).pause(PausedBy::Hand),
            Fault::ResumeBouncer(name) => self.bouncer_mut(&name).paused = None,
            Fault::NeverCommit(name) => self.bouncer_mut(&name).busy = true,
            Fault::LetCommit(name) => {
                let bouncer = self.bouncer_mut(&name);
                bouncer.busy = false;
                bouncer.let_go();
            }
            _ => {}
        }
    }
}
