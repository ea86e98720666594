//! People's longer doings: a host in maintenance, and a rolling upgrade as its verb carries it out.

use observer_core::draft::Services;
use observer_core::drain::DrainOrder;
use observer_core::forget::Forgotten;
use observer_core::journal::{Keeper, MaintenanceOrder};
use observer_core::judge::Verdict;
use observer_core::pair::OperatorOrder;
use observer_core::plan::Ordered;
use observer_core::upgrade::{Next, Stage, Upgrade};
use observer_core::words::HostName;

use super::{Happening, Run, Violation};
use crate::fault::{Carry, Fault};

/// How often the verb looks what has become of what it ordered, in milliseconds.
const LOOK_EVERY_MS: u64 = 250;

/// The verb that carries an upgrade out.
#[derive(Default)]
pub(super) struct Upgrader {
    /// Whether it runs.
    runs: bool,
    /// The stage whose order was given.
    asked: Option<Next>,
    /// Whether the operator's command fails.
    command_fails: bool,
}

impl Run {
    /// A person has users kept away from a host, or lets them come again.
    pub(super) fn order_drain(&mut self, fault: Fault) -> Result<(), Violation> {
        let by = "ops".to_owned();
        match fault {
            Fault::Drain(host, limit_ms) => {
                let (reason, since) = ("a new kernel".to_owned(), self.now);
                let order = DrainOrder { by, reason, since, until: None, limit_ms };
                self.order_now(OperatorOrder::Drain { host, order })
            }
            Fault::Forget(host) => {
                let forgotten = Forgotten { by, reason: "it burnt".to_owned(), since: self.now };
                self.order_now(OperatorOrder::Forget { host, forgotten })
            }
            Fault::Undrain(host) => self.order_now(OperatorOrder::Undrain { host, by }),
            _ => Ok(()),
        }
    }

    pub(super) fn maintain(
        &mut self,
        host: HostName,
        for_ms: Option<u64>,
        keeper: Keeper,
    ) -> Result<(), Violation> {
        let (by, reason, since) = ("ops".to_owned(), "new memory".to_owned(), self.now);
        let until = for_ms.map(|ms| since.plus(ms));
        let order = MaintenanceOrder { by, reason, since, until, keeper };
        self.order_now(OperatorOrder::Maintain { host, order })
    }

    pub(super) fn end_maintenance(&mut self, host: HostName) -> Result<(), Violation> {
        let (by, keeper) = ("ops".to_owned(), Keeper::Person);
        self.order_now(OperatorOrder::EndMaintenance { host, by, keeper })
    }

    pub(super) fn upgrade(&mut self, carry: Carry) -> Result<(), Violation> {
        match carry {
            Carry::Begin => {
                let hosts = vec!["node-b".into(), "node-a".into()];
                let upgrade = Box::new(Upgrade {
                    by: "ops".to_owned(),
                    name: "4.2".to_owned(),
                    hosts,
                    command: vec!["upgrade".to_owned()],
                    back: Vec::new(),
                    ready: Vec::new(),
                    environment: std::collections::BTreeMap::new(),
                    host_environment: std::collections::BTreeMap::new(),
                    command_limit_ms: 1_000,
                    ready_limit_ms: 60_000,
                    began: self.now,
                });
                self.order_now(OperatorOrder::BeginUpgrade(upgrade))?;
                self.upgrade(Carry::GoOn)
            }
            Carry::GoOn => {
                self.upgrader = Upgrader { runs: true, asked: None, ..self.upgrader };
                self.push(self.now, Happening::Fault(Fault::Upgrade(Carry::Look)));
                Ok(())
            }
            Carry::Look => self.carry_on(),
            Carry::Kill => {
                self.upgrader.runs = false;
                Ok(())
            }
            Carry::FailCommand(fails) => {
                self.upgrader.command_fails = fails;
                Ok(())
            }
        }
    }

    /// Gives the order of what is next, or marks it once its end is seen.
    fn carry_on(&mut self) -> Result<(), Violation> {
        if !self.upgrader.runs {
            return Ok(());
        }
        self.push(self.now.plus(LOOK_EVERY_MS), Happening::Fault(Fault::Upgrade(Carry::Look)));
        let Some(pair) = &self.pair else { return Ok(()) };
        if pair.memory().upgrade.is_none() || pair.memory().open.is_some() {
            return Ok(());
        }
        let steady = pair.latest().is_some_and(|(_, now)| now.rule.verdict == Verdict::Steady);
        let by = "ops".to_owned();
        let Some(next) = pair.upgrade_next() else {
            self.upgrader.runs = false;
            return self.order_now(OperatorOrder::EndUpgrade { by });
        };
        let kept = pair.memory().maintenance.contains_key(&next.host);
        let asked = self.upgrader.asked.replace(next.clone()) == Some(next.clone());
        let host = next.host.clone();
        match next.stage {
            Stage::Switchover if !steady => Ok(()),
            Stage::Switchover => self.order_now(OperatorOrder::SwitchOver(ordered(by))),
            Stage::Maintain => self.maintain(host, None, Keeper::Upgrade),
            Stage::Stop | Stage::Start if !asked => {
                let start = next.stage == Stage::Start;
                let wanted = if start { Services::Start } else { Services::Stop };
                self.order_now(OperatorOrder::Services { host, wanted, ordered: ordered(by) })
            }
            Stage::Command if self.upgrader.command_fails => {
                self.upgrader.runs = false;
                let failed = Some("it ended with 1".to_owned());
                self.order_now(OperatorOrder::MarkUpgrade { next, failed, by })
            }
            Stage::Finish if kept => {
                let keeper = Keeper::Upgrade;
                self.order_now(OperatorOrder::EndMaintenance { host, by, keeper })
            }
            Stage::Finish if !steady => Ok(()),
            _ => self.order_now(OperatorOrder::MarkUpgrade { next, failed: None, by }),
        }
    }
}

/// An order without a reason.
pub(super) fn ordered(by: String) -> Ordered {
    Ordered { by, reason: None }
}
