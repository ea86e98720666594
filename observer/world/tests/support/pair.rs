//! A pair of hosts and a proxy, all entered through one real sshd on loopback.

use std::path::Path;
use std::time::Duration;

use observer_core::drive::{Answer, Order, Reply};
use observer_core::journal::Way;
use observer_core::plan::{Effect, Proof};
use observer_core::policy::{FileSetSpec, Naming, PairSpec, Policy};
use observer_core::words::{Epoch, HostName, PlanId};
use observer_world::access::{
    DatabaseAccess, FileSetAccess, HostAccess, HttpProbe, PairAccess, ProxyAccess, SshAccess,
};
use observer_world::pair_world::PairWorld;

use super::cluster::Cluster;
use super::proxy::{Haproxy, NODE_A, NODE_B};
use super::sshd::Sshd;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn ssh(sshd: &Sshd) -> SshAccess {
    let target = sshd.target();
    SshAccess {
        address: target.address,
        port: target.port,
        user: target.user,
        key: target.key_path,
        host_keys: vec![sshd.host_key().to_string()],
    }
}

pub fn spec() -> PairSpec {
    PairSpec {
        name: "pair".into(),
        hosts: vec!["node-a".into(), "node-b".into()],
        proxies: vec!["proxy".into()],
        store: observer_core::policy::Store::OnHosts,
        sharing: Vec::new(),
        bouncers: Vec::new(),
        files: Vec::new(),
        monitor: None,
        mounts: Vec::new(),
        services: Vec::new(),
        policy: Policy::default(),
    }
}

/// A host without a database of its own.
pub fn host(sshd: &Sshd, name: &str, address: &str) -> HostAccess {
    let database = DatabaseAccess {
        unit: "postgresql@15-main.service".to_owned(),
        socket: "/nonexistent/.s.PGSQL.5432".into(),
        address: address.to_owned(),
        port: 1,
        user: "ha_observer".to_owned(),
        database: "ha_observer".to_owned(),
        data_directory: "/nonexistent/data".into(),
        bin_directory: None,
        config_file: None,
        replication_user: "replicator".to_owned(),
        replication_options: None,
    };
    HostAccess {
        name: name.into(),
        ssh: ssh(sshd),
        database,
        application: None,
        power: None,
        monitor: None,
    }
}

/// A host with a real database, whose port is on 127.0.0.1.
pub fn host_of(sshd: &Sshd, name: &str, cluster: &Cluster) -> HostAccess {
    let mut host = host(sshd, name, "127.0.0.1");
    host.database.socket = cluster.socket().into();
    host.database.port = cluster.port;
    host.database.data_directory = cluster.data();
    host
}

pub fn proxy(sshd: &Sshd, folder: &Path) -> ProxyAccess {
    ProxyAccess {
        every_host: Vec::new(),
        name: "proxy".into(),
        ssh: ssh(sshd),
        runtime_socket: folder.join("admin.sock"),
        master_socket: Some(folder.join("master.sock")),
        config: folder.join("haproxy.cfg"),
        real_config: None,
        files: Vec::new(),
        environment_file: None,
        directory: None,
        local_peer: None,
        probe: None,
        unit: "haproxy.service".to_owned(),
        servers: Vec::new(),
    }
}

/// The pair behind a real HAProxy, with hosts that have no database.
pub fn behind(sshd: &Sshd, haproxy: &Haproxy) -> PairWorld {
    behind_folder(sshd, haproxy.dir.path())
}

pub fn behind_folder(sshd: &Sshd, folder: &Path) -> PairWorld {
    let hosts = vec![host(sshd, "node-a", NODE_A), host(sshd, "node-b", NODE_B)];
    connected(spec(), hosts, vec![proxy(sshd, folder)])
}

/// The same, with the file somewhere else than where HAProxy has it.
pub fn with_config(sshd: &Sshd, haproxy: &Haproxy, config: &Path) -> PairWorld {
    let hosts = vec![host(sshd, "node-a", NODE_A), host(sshd, "node-b", NODE_B)];
    let config = config.to_owned();
    let proxies = vec![ProxyAccess { config, ..proxy(sshd, haproxy.dir.path()) }];
    connected(spec(), hosts, proxies)
}

/// The same, with the file behind a symbolic link.
pub fn with_real_config(sshd: &Sshd, haproxy: &Haproxy, real: &Path) -> PairWorld {
    let hosts = vec![host(sshd, "node-a", NODE_A), host(sshd, "node-b", NODE_B)];
    let real_config = Some(real.to_owned());
    let proxies = vec![ProxyAccess { real_config, ..proxy(sshd, haproxy.dir.path()) }];
    connected(spec(), hosts, proxies)
}

/// The same, with the proxy's access as a test has changed it.
pub fn with_access(sshd: &Sshd, access: ProxyAccess) -> PairWorld {
    let hosts = vec![host(sshd, "node-a", NODE_A), host(sshd, "node-b", NODE_B)];
    connected(spec(), hosts, vec![access])
}

/// The same, with a request that proves what was loaded.
pub fn with_probe(sshd: &Sshd, haproxy: &Haproxy, probe: HttpProbe) -> PairWorld {
    let hosts = vec![host(sshd, "node-a", NODE_A), host(sshd, "node-b", NODE_B)];
    let proxies = vec![ProxyAccess { probe: Some(probe), ..proxy(sshd, haproxy.dir.path()) }];
    connected(spec(), hosts, proxies)
}

/// Two hosts with databases, and no proxy.
pub fn databases(a: HostAccess, b: HostAccess) -> PairWorld {
    let spec = PairSpec { proxies: Vec::new(), ..spec() };
    connected(spec, vec![a, b], Vec::new())
}

/// Two hosts that have a file set in the same place.
pub fn with_files(hosts: [HostAccess; 2], set: FileSetAccess) -> PairWorld {
    let set_spec = FileSetSpec {
        name: set.name.clone(),
        every_ms: 1_000,
        stale_after_ms: 5_000,
        near_deadline_ms: 1_000,
        last_deadline_ms: 1_000,
        verify_percent: 5,
        named: Naming::ByQuery,
        must_exist: Vec::new(),
    };
    let spec = PairSpec { proxies: Vec::new(), files: vec![set_spec], ..spec() };
    let files = vec![set];
    PairWorld::connect(PairAccess { files, ..hosts_alone(spec, hosts.to_vec()) }).unwrap()
}

/// Hosts with nothing else configured: a test adds what it is about.
pub fn hosts_alone(spec: PairSpec, hosts: Vec<HostAccess>) -> PairAccess {
    let (proxies, bouncers, files, mounts) = Default::default();
    let (parity, readiness) = Default::default();
    let external = None;
    PairAccess { spec, external, hosts, proxies, bouncers, files, mounts, parity, readiness }
}

fn connected(spec: PairSpec, hosts: Vec<HostAccess>, proxies: Vec<ProxyAccess>) -> PairWorld {
    PairWorld::connect(PairAccess { proxies, ..hosts_alone(spec, hosts) }).unwrap()
}

pub fn order(epoch: u64, effect: Effect) -> Order {
    let deadline_ms = 20_000;
    let (plan, step, way, epoch) = (PlanId(1), 0, Way::Forward, Epoch(epoch));
    Order { plan, step, way, epoch, effect, deadline_ms }
}

pub async fn perform(world: &PairWorld, effect: Effect) -> Reply {
    world.perform(&order(1, effect)).await
}

pub async fn prove(world: &PairWorld, proof: &Proof) -> Answer {
    world.prove(proof, Epoch(1), PATIENCE).await
}

/// Looks until the proof shows, as the drive does.
#[track_caller]
pub fn shown(answer: &Answer) {
    assert!(matches!(answer, Answer::Shown(_)), "{answer:?}");
}

/// Looks again and again until the proof shows, at most for the tests' patience.
pub async fn proven(world: &PairWorld, proof: Proof) -> String {
    let began = std::time::Instant::now();
    loop {
        match prove(world, &proof).await {
            Answer::Shown(text) => return text,
            answer => assert!(began.elapsed() < PATIENCE, "{proof}: {answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn name(host: &str) -> HostName {
    HostName::new(host)
}
