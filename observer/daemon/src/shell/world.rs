//! What a pair's task needs of the world: looks, effects, proofs.
//!
//! The real one is `observer_world`; tests bring a scripted one. It judges nothing.

use std::time::Duration;

use haproxy::Members;
use observer_core::drive::{Answer, Order, Reply};
use observer_core::files::PassOrder;
use observer_core::files::verify::{Progress, Verification, VerifyOrder};
use observer_core::pair::Refusal;
use observer_core::parity::{Copying, Item, ItemReading};
use observer_core::plan::{Effect, Proof};
use observer_core::sighting::{Look, Seen, Silent};
use observer_core::validate::{Roles, Survey};
use observer_core::words::{Epoch, HostName, ProxyName};
use observer_world::access::{Alarm, CommandLine};
use observer_world::pair_world::{Applied, ApplyStep, NewFile, PairWorld};
use observer_world::parity::{Copied, Preview};
use observer_world::power::PowerAnswer;
use tokio::sync::{mpsc, watch};

use super::readiness::{self, Unready};
use super::validation::Asked;

/// The hands and eyes of one pair. Clones share their connections.
///
/// Its futures need not be `Send`: all tasks of pairs run on one thread.
pub(crate) trait World: Clone + 'static {
    /// Looks once.
    async fn look(&self, look: &Look, deadline: Duration) -> Result<Seen, Silent>;

    /// Performs an effect whose record is durable.
    async fn perform(&self, order: &Order) -> Reply;

    /// Looks for a proof once.
    async fn prove(&self, proof: &Proof, epoch: Epoch, deadline: Duration) -> Answer;

    /// Begins a pass of a file set, or says why it is not begun.
    async fn pass(&self, order: &PassOrder, deadline: Duration) -> Result<(), String>;

    /// Reads everything that a validation wants to know, and changes nothing.
    async fn survey(&self, roles: &Roles, deadline: Duration) -> Survey;

    /// The items of parity.
    fn parity_items(&self) -> Vec<Item>;

    /// Reads every item of parity on every host, and changes nothing.
    async fn read_parity(&self, deadline: Duration) -> Vec<ItemReading>;

    /// What copying an item would change.
    async fn preview_copy(&self, copying: &Copying, deadline: Duration) -> Result<Preview, String>;

    /// Copies an item, if that is still the change that `seal` stands for.
    async fn copy_item(
        &self,
        copying: &Copying,
        seal: &str,
        may_go_on: &dyn Fn() -> Result<(), String>,
        deadline: Duration,
    ) -> Result<Vec<Copied>, String>;

    /// Compares a slave's copy of a file set with the master's, and tells how far it is.
    async fn verify_files(
        &self,
        order: &VerifyOrder,
        progress: &watch::Sender<Progress>,
    ) -> Result<Verification, String>;

    /// Asks the power fence for the power of every host that it is configured for.
    async fn ask_power(&self, deadline: Duration) -> Vec<(HostName, PowerAnswer)>;

    /// Checks what a switchover needs before one is opened. A scripted world, which has no machines
    /// to ask, says what its script says.
    async fn before_switchover(&self, asked: Result<Asked, Refusal>) -> Result<(), Unready> {
        readiness::before_switchover(self, asked).await
    }

    /// Which servers of a proxy's file belong to which host.
    fn members(&self, proxy: &ProxyName) -> Members;

    /// Where a proxy's file lies, and what is in it now.
    async fn proxy_file(
        &self,
        proxy: &ProxyName,
        deadline: Duration,
    ) -> Result<(String, Vec<u8>), String>;

    /// Every file that the proxy loads, in order, with `changed` in the place of the one above.
    async fn loaded_files(
        &self,
        proxy: &ProxyName,
        changed: &[u8],
        deadline: Duration,
    ) -> Result<Vec<(String, Vec<u8>)>, String>;

    /// Checks all of a new content that can be checked before the file is touched.
    async fn prepare(&self, file: &NewFile) -> Result<(), String>;

    /// Puts a new content in its place, loads and proves it, or takes it back.
    async fn apply(&self, file: &NewFile, acted: u64, at: &dyn Fn(ApplyStep)) -> Applied;

    /// A number that is another one once a plan has acted at any proxy.
    fn plans_acted(&self) -> u64;

    /// The commands an effect would run.
    fn describe(&self, effect: &Effect) -> Vec<CommandLine>;

    /// The newest epoch that any answer carried.
    fn epoch(&self) -> Epoch;

    /// Speaks up at once when an established connection breaks.
    fn alarms(&self) -> mpsc::Receiver<Alarm>;
}

impl World for PairWorld {
    async fn look(&self, look: &Look, deadline: Duration) -> Result<Seen, Silent> {
        PairWorld::look(self, look, deadline).await
    }

    async fn perform(&self, order: &Order) -> Reply {
        PairWorld::perform(self, order).await
    }

    async fn prove(&self, proof: &Proof, epoch: Epoch, deadline: Duration) -> Answer {
        PairWorld::prove(self, proof, epoch, deadline).await
    }

    async fn pass(&self, order: &PassOrder, deadline: Duration) -> Result<(), String> {
        PairWorld::pass(self, order, deadline).await
    }

    async fn survey(&self, roles: &Roles, deadline: Duration) -> Survey {
        PairWorld::survey(self, roles, deadline).await
    }

    fn parity_items(&self) -> Vec<Item> {
        PairWorld::parity_items(self)
    }

    async fn read_parity(&self, deadline: Duration) -> Vec<ItemReading> {
        PairWorld::read_parity(self, deadline).await
    }

    async fn preview_copy(&self, copying: &Copying, deadline: Duration) -> Result<Preview, String> {
        PairWorld::preview_copy(self, copying, deadline).await
    }

    async fn copy_item(
        &self,
        copying: &Copying,
        seal: &str,
        may_go_on: &dyn Fn() -> Result<(), String>,
        deadline: Duration,
    ) -> Result<Vec<Copied>, String> {
        PairWorld::copy_item(self, copying, seal, may_go_on, deadline).await
    }

    async fn verify_files(
        &self,
        order: &VerifyOrder,
        progress: &watch::Sender<Progress>,
    ) -> Result<Verification, String> {
        PairWorld::verify_files(self, order, progress).await
    }

    async fn ask_power(&self, deadline: Duration) -> Vec<(HostName, PowerAnswer)> {
        PairWorld::ask_power(self, deadline).await
    }

    fn members(&self, proxy: &ProxyName) -> Members {
        PairWorld::members(self, Some(proxy))
    }

    async fn proxy_file(
        &self,
        proxy: &ProxyName,
        deadline: Duration,
    ) -> Result<(String, Vec<u8>), String> {
        PairWorld::proxy_file(self, proxy, deadline).await
    }

    async fn loaded_files(
        &self,
        proxy: &ProxyName,
        changed: &[u8],
        deadline: Duration,
    ) -> Result<Vec<(String, Vec<u8>)>, String> {
        PairWorld::loaded_files(self, proxy, changed, deadline).await
    }

    async fn prepare(&self, file: &NewFile) -> Result<(), String> {
        PairWorld::prepare(self, file).await
    }

    async fn apply(&self, file: &NewFile, acted: u64, at: &dyn Fn(ApplyStep)) -> Applied {
        PairWorld::apply(self, file, acted, at).await
    }

    fn plans_acted(&self) -> u64 {
        PairWorld::plans_acted(self)
    }

    fn describe(&self, effect: &Effect) -> Vec<CommandLine> {
        PairWorld::describe(self, effect)
    }

    fn epoch(&self) -> Epoch {
        PairWorld::epoch(self)
    }

    fn alarms(&self) -> mpsc::Receiver<Alarm> {
        PairWorld::alarms(self)
    }
}
