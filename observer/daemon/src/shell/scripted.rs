//! A small world in memory for tests of the shell: two hosts, one proxy, one service.
//!
//! It is no simulator (`observer-sim` is): it obeys effects at once, answers looks truthfully, and
//! can be told to die, to hang, or to take its time. Everything that is written or performed goes
//! into one log, so that the order between the two can be asserted.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use observer_core::drive::{Answer, Order, Reply};
use observer_core::event::Event;
use observer_core::files::PassOrder;
use observer_core::files::verify::{Progress, Purpose, Verification, VerifyOrder};
use observer_core::journal::Record;
use observer_core::mounts::{MountReport, MountUse};
use observer_core::pair::Refusal;
use observer_core::parity::{Copying, Found, Item, ItemReading, Print};
use observer_core::plan::{Effect, Proof};
use observer_core::policy::{PairSpec, Placement, Policy, Probed, ServiceSpec, UserWait, UsersGo};
use observer_core::sighting::{
    Admission, BouncerReport, CheckResult, DatabaseReport, FileServer, LeaseSeen, Look,
    MachineReport, ProxyFileReport, ProxyReport, Seen, ServerReport, Silent, SystemState,
    UnitReport, UnitState, Vantage, Walreceiver,
};
use observer_core::validate::{Roles, Survey, Unread};
use observer_core::words::{Epoch, HostName, Lsn, PairName, Timeline};
use observer_world::access::{Alarm, CommandLine};
use observer_world::pair_world::{Applied, ApplyStep, NewFile};
use observer_world::parity::{Change, Copied, Preview};
use observer_world::power::PowerAnswer;
use tokio::sync::{mpsc, watch};

use super::archive::{Archive, Sample, Unwritten, Watermark};
use super::readiness::Unready;
use super::validation::Asked;
use super::world::World;

/// What happened, in order: `record …` and `perform …`.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// A pair of hosts that looks often, so that tests are short.
pub(crate) fn spec() -> PairSpec {
    PairSpec {
        name: "desk".into(),
        hosts: vec!["node-a".into(), "node-b".into()],
        proxies: vec!["proxy".into()],
        store: observer_core::policy::Store::OnHosts,
        sharing: Vec::new(),
        bouncers: Vec::new(),
        files: Vec::new(),
        monitor: None,
        mounts: Vec::new(),
        services: vec![ServiceSpec {
            name: "desk".into(),
            unit: "desk.service".to_owned(),
            placement: Placement::All,
            probed: Probed::Health,
            readiness: None,
            users: UserWait::Wait,
            start_deadline_ms: 2_000,
            stop_deadline_ms: None,
        }],
        policy: Policy {
            interval_ms: 60,
            suspect_interval_ms: 50,
            timeout_ms: 60,
            failures: 2,
            ..Policy::default()
        },
    }
}

#[derive(Debug)]
struct State {
    /// Hosts that answer nobody.
    gone: BTreeSet<HostName>,
    /// The looks that never end.
    hanging: Option<fn(&Look) -> bool>,
    /// How long an effect takes.
    effect_takes: Duration,
    primary: HostName,
    timeline: Timeline,
    let_in: HostName,
    taken_out: BTreeSet<HostName>,
    file: HostName,
    parity: Vec<(Item, BTreeMap<HostName, Option<String>>)>,
    process: u32,
    /// What comes of a verification.
    verification: Option<Result<Verification, String>>,
}

/// The world. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    state: Rc<Mutex<State>>,
    log: Log,
}

impl Scripted {
    /// node-a is the master, node-b streams from it, all is well.
    pub(crate) fn new(log: Log) -> Self {
        let state = State {
            gone: BTreeSet::new(),
            hanging: None,
            effect_takes: Duration::ZERO,
            primary: "node-a".into(),
            timeline: Timeline(1),
            let_in: "node-a".into(),
            taken_out: BTreeSet::from(["node-b".into()]),
            file: "node-a".into(),
            parity: Vec::new(),
            verification: None,
            process: 100,
        };
        Self { state: Rc::new(Mutex::new(state)), log }
    }

    /// From now on `host` answers nobody.
    pub(crate) fn lose(&self, host: &str) {
        self.state.lock().unwrap().gone.insert(host.into());
    }

    /// From now on these looks never end.
    pub(crate) fn hang(&self, looks: fn(&Look) -> bool) {
        self.state.lock().unwrap().hanging = Some(looks);
    }

    /// From now on the hosts have these values of an item; none means that a host is away.
    pub(crate) fn has(&self, item: &Item, values: [Option<&str>; 2]) {
        let [a, b] = values.map(|value| value.map(str::to_owned));
        let values = BTreeMap::from([("node-a".into(), a), ("node-b".into(), b)]);
        let mut state = self.state.lock().unwrap();
        state.parity.retain(|(known, _)| known.name != item.name);
        state.parity.push((item.clone(), values));
    }

    /// From now on a verification ends so.
    pub(crate) fn verifies(&self, result: Result<Verification, String>) {
        self.state.lock().unwrap().verification = Some(result);
    }

    /// Somebody reloads HAProxy.
    pub(crate) fn reload(&self) {
        self.state.lock().unwrap().process += 1;
    }

    /// From now on an effect takes so long.
    pub(crate) fn slow(&self, effect_takes: Duration) {
        self.state.lock().unwrap().effect_takes = effect_takes;
    }

    fn obey(&self, effect: &Effect) {
        let mut state = self.state.lock().unwrap();
        match effect {
            Effect::TakeOut { host, .. } => {
                state.taken_out.insert(host.clone());
            }
            Effect::LetIn { host, .. } => {
                state.taken_out.remove(host);
                state.let_in = host.clone();
            }
            Effect::Rewrite { master, .. } => state.file = master.clone(),
            Effect::Promote { host } if state.primary != *host => {
                state.primary = host.clone();
                state.timeline = Timeline(state.timeline.0 + 1);
            }
            _ => {}
        }
    }
}

impl State {
    fn answer(&self, look: &Look) -> Result<Seen, Silent> {
        let from_gone = |from: &Vantage| match from {
            Vantage::Observer => false,
            Vantage::Host(host) => self.gone.contains(host),
        };
        match look {
            Look::Port { from, .. } | Look::Application { from, .. } if from_gone(from) => {
                return Err(Silent::NoWay);
            }
            _ => {}
        }
        if look.host().is_some_and(|host| self.gone.contains(host)) {
            return Err(Silent::Timeout);
        }
        Ok(match look {
            Look::Machine(_) => Seen::Machine(MachineReport {
                system: SystemState::Running,
                units: ["database", "desk.service"].map(active).to_vec(),
                tombstone: false,
                lease: LeaseSeen::None,
                monitor: None,
            }),
            Look::Database(host) => Seen::Database(self.report(host)),
            Look::Write(_) => Seen::Written { latency_ms: 1 },
            Look::Disk(_) => Seen::Disk(Vec::new()),
            Look::Sessions(_) => Seen::Sessions(0),
            Look::External(_) => Seen::PortOpen,
            Look::Files(_) => Seen::Files(Vec::new()),
            Look::Port { .. } => Seen::PortOpen,
            Look::Application { .. } => Seen::ApplicationWell,
            Look::Mount { .. } => {
                Seen::Mount(MountReport { source: None, used: MountUse::NotMounted, room: None })
            }
            Look::Readiness { .. } => Seen::Ready("status 200".to_owned()),
            Look::Proxy(_) => Seen::Proxy(ProxyReport {
                servers: spec().hosts.iter().map(|host| self.server(host)).collect(),
                process: Some(self.process),
            }),
            Look::ProxyFile(_) => Seen::ProxyFile(ProxyFileReport {
                servers: spec().hosts.iter().map(|host| self.file_server(host)).collect(),
            }),
            Look::Bouncer(_) => Seen::Bouncer(BouncerReport { databases: Vec::new() }),
        })
    }

    fn report(&self, host: &HostName) -> DatabaseReport {
        let primary = self.primary == *host;
        let streaming = !self.gone.contains(&self.primary);
        let receiver = Walreceiver { streaming, last_message_ms: 1 };
        DatabaseReport {
            in_recovery: !primary,
            timeline: self.timeline,
            system_id: 7,
            lsn: Lsn(0x0500_0000),
            replayed: Lsn(0x0500_0000),
            replay_paused: false,
            synchrony: Default::default(),
            history: None,
            walreceiver: (!primary && streaming).then_some(receiver),
        }
    }

    fn admission(&self, host: &HostName) -> Admission {
        let out = self.taken_out.contains(host);
        if out { Admission::TakenOut } else { Admission::LetIn }
    }

    fn server(&self, host: &HostName) -> ServerReport {
        let gone = self.gone.contains(host);
        ServerReport {
            backend: "desk".to_owned(),
            server: host.to_string(),
            host: host.clone(),
            users: UsersGo::Master,
            admission: self.admission(host),
            check: if gone { CheckResult::Failing } else { CheckResult::Well },
            sessions: 0,
        }
    }

    fn file_server(&self, host: &HostName) -> FileServer {
        let of_file = self.file == *host;
        FileServer {
            backend: "desk".to_owned(),
            server: host.to_string(),
            host: host.clone(),
            users: UsersGo::Master,
            admission: if of_file { Admission::LetIn } else { Admission::TakenOut },
        }
    }

    fn shows(&self, proof: &Proof) -> bool {
        match proof {
            Proof::IsOut { host, .. } => self.taken_out.contains(host),
            Proof::IsIn { host, .. } => !self.taken_out.contains(host) && self.let_in == *host,
            Proof::FileSays { master, .. } => self.file == *master,
            Proof::IsPrimary { host, after } => self.primary == *host && self.timeline > *after,
            Proof::CanWrite { host } => self.primary == *host,
            _ => true,
        }
    }
}

fn active(unit: &str) -> UnitReport {
    UnitReport { unit: unit.to_owned(), state: UnitState::Active, loops: false, at_boot: false }
}

impl World for Scripted {
    async fn look(&self, look: &Look, _: Duration) -> Result<Seen, Silent> {
        let (answer, hangs) = {
            let state = self.state.lock().unwrap();
            (state.answer(look), state.hanging.is_some_and(|hanging| hanging(look)))
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        answer
    }

    async fn perform(&self, order: &Order) -> Reply {
        let takes = self.state.lock().unwrap().effect_takes;
        self.log.lock().unwrap().push(format!("perform {} {}", order.plan, order.effect));
        tokio::time::sleep(takes).await;
        self.obey(&order.effect);
        Reply::Did
    }

    async fn prove(&self, proof: &Proof, _: Epoch, _: Duration) -> Answer {
        let shown = self.state.lock().unwrap().shows(proof);
        if shown { Answer::Shown(proof.to_string()) } else { Answer::NotYet(proof.to_string()) }
    }

    async fn pass(&self, order: &PassOrder, _: Duration) -> Result<(), String> {
        Err(format!("{} is no machine", order.host))
    }

    /// Nobody answers a survey: every datum is missing.
    async fn survey(&self, _: &Roles, _: Duration) -> Survey {
        tokio::task::yield_now().await;
        let (hosts, proxies, bouncers) = Default::default();
        Survey { hosts, proxies, bouncers, parity: Vec::new(), took_ms: 0 }
    }

    fn parity_items(&self) -> Vec<Item> {
        self.state.lock().unwrap().parity.iter().map(|(item, _)| item.clone()).collect()
    }

    /// Each host has the value that the script says; none means that it is away.
    async fn read_parity(&self, _: Duration) -> Vec<ItemReading> {
        tokio::task::yield_now().await;
        let state = self.state.lock().unwrap();
        let found = |value: &Option<String>| match value {
            Some(value) => Ok(Found::Value { print: Print(value.clone()), shown: None }),
            None => Err(Unread("no answer in time".to_owned())),
        };
        let reading = |(item, values): &(Item, BTreeMap<HostName, Option<String>>)| ItemReading {
            item: item.clone(),
            hosts: values.iter().map(|(host, value)| (host.clone(), found(value))).collect(),
        };
        state.parity.iter().map(reading).collect()
    }

    async fn preview_copy(&self, copying: &Copying, _: Duration) -> Result<Preview, String> {
        tokio::task::yield_now().await;
        let host = copying.to[0].clone();
        let (path, diff) = ("/etc/desk".to_owned(), vec!["value differs".to_owned()]);
        Ok(Preview { changes: vec![Change { host, path, diff }], seal: "seal".to_owned() })
    }

    async fn copy_item(
        &self,
        copying: &Copying,
        seal: &str,
        may_go_on: &dyn Fn() -> Result<(), String>,
        _: Duration,
    ) -> Result<Vec<Copied>, String> {
        tokio::task::yield_now().await;
        assert_eq!(seal, "seal");
        may_go_on()?;
        let mut state = self.state.lock().unwrap();
        let own = state.parity.iter_mut().find(|(item, _)| item.name == copying.item);
        let (_, values) = own.expect("the core asked for a known item");
        let value = values[&copying.from].clone();
        values.insert(copying.to[0].clone(), value);
        let (host, path) = (copying.to[0].clone(), "/etc/desk".to_owned());
        Ok(vec![Copied { host, path, kept: "/etc/desk.kept".to_owned() }])
    }

    /// What a test has set, once it has; a diff is never over.
    async fn verify_files(
        &self,
        order: &VerifyOrder,
        progress: &watch::Sender<Progress>,
    ) -> Result<Verification, String> {
        progress.send_modify(|now| now.entries = 7);
        loop {
            let set = self.state.lock().unwrap().verification.clone();
            match (set, &order.purpose) {
                (Some(result), Purpose::Verify { .. }) => return result,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// There is no power fence.
    async fn ask_power(&self, _: Duration) -> Vec<(HostName, PowerAnswer)> {
        tokio::task::yield_now().await;
        Vec::new()
    }

    async fn before_switchover(&self, _: Result<Asked, Refusal>) -> Result<(), Unready> {
        tokio::task::yield_now().await;
        Ok(())
    }

    fn members(&self, _: &observer_core::words::ProxyName) -> haproxy::Members {
        haproxy::Members::default()
    }

    /// There is no file at its proxies.
    async fn proxy_file(
        &self,
        _: &observer_core::words::ProxyName,
        _: Duration,
    ) -> Result<(String, Vec<u8>), String> {
        tokio::task::yield_now().await;
        Err("no such file".to_owned())
    }

    async fn loaded_files(
        &self,
        _: &observer_core::words::ProxyName,
        _: &[u8],
        _: Duration,
    ) -> Result<Vec<(String, Vec<u8>)>, String> {
        tokio::task::yield_now().await;
        Err("no such file".to_owned())
    }

    async fn prepare(&self, _: &NewFile) -> Result<(), String> {
        tokio::task::yield_now().await;
        Err("no such file".to_owned())
    }

    async fn apply(&self, _: &NewFile, _: u64, _: &dyn Fn(ApplyStep)) -> Applied {
        tokio::task::yield_now().await;
        Applied::Refused("no such file".to_owned())
    }

    fn plans_acted(&self) -> u64 {
        0
    }

    fn describe(&self, effect: &Effect) -> Vec<CommandLine> {
        vec![CommandLine { host: "somewhere".to_owned(), command: format!("do '{effect}'") }]
    }

    fn epoch(&self) -> Epoch {
        Epoch(0)
    }

    fn alarms(&self) -> mpsc::Receiver<Alarm> {
        mpsc::channel(1).1
    }
}

/// A store in memory that can be told to fail. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    log: Log,
    records: Arc<Mutex<Vec<Record>>>,
    events: Arc<Mutex<Vec<Event>>>,
    fails: Arc<AtomicBool>,
    seq: Arc<AtomicU64>,
    remembered: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Memory {
    /// An empty store.
    pub(crate) fn new(log: Log) -> Self {
        Self {
            log,
            records: Arc::default(),
            events: Arc::default(),
            fails: Arc::default(),
            seq: Arc::default(),
            remembered: Arc::default(),
        }
    }

    /// What was written.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }

    /// What was told.
    pub(crate) fn told(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// What is kept under `key`.
    pub(crate) fn remembered(&self, key: &str) -> Option<String> {
        self.remembered.lock().unwrap().get(key).cloned()
    }

    /// From now on nothing can be written.
    pub(crate) fn fill_up(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    /// It can be written again.
    pub(crate) fn free(&self) {
        self.fails.store(false, Ordering::SeqCst);
    }

    fn can(&self) -> Result<(), Unwritten> {
        let fails = self.fails.load(Ordering::SeqCst);
        if fails { Err("the disk is full".to_owned()) } else { Ok(()) }
    }
}

impl Archive for Memory {
    async fn record(&self, _: &PairName, _: Epoch, record: &Record) -> Result<(), Unwritten> {
        self.can()?;
        self.log.lock().unwrap().push(format!("record {record:?}"));
        self.records.lock().unwrap().push(record.clone());
        Ok(())
    }

    async fn event(&self, event: &Event) -> Result<u64, Unwritten> {
        self.can()?;
        self.events.lock().unwrap().push(event.clone());
        Ok(self.seq.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn watermark(&self, _: &PairName, _: &Watermark) -> Result<(), Unwritten> {
        self.can()
    }

    async fn remember(&self, _: &PairName, key: &'static str, body: &str) -> Result<(), Unwritten> {
        self.can()?;
        self.remembered.lock().unwrap().insert(key, body.to_owned());
        Ok(())
    }

    async fn samples(&self, _: &PairName, _: &[Sample]) -> Result<(), Unwritten> {
        self.can()
    }

    async fn test(&self) -> Result<(), Unwritten> {
        self.can()
    }
}
