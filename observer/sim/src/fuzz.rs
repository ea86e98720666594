//! Random runs: a seed decides the faults, when they come, and when they heal.
//!
//! Safety first: the rules hold after every event of the chaos. Then liveness: everything that can
//! heal is healed, and within a bounded time users must be served and no plan may be open.

use observer_core::policy::{Durability, FenceGrade, Placement, PowerFence, UsersGo, WhenUndone};
use observer_core::words::{At, BouncerName, HostName, ProxyName};

use crate::check::Violation;
use crate::external;
use crate::fault::Fault;
use crate::machine::{Postmaster, Running, ServiceState};
use crate::monitor;
use crate::mount::{Mount, one_mount};
use crate::random::Random;
use crate::run::{Run, Setup};
use crate::scenario::trace;

/// How long chaos lasts, in milliseconds.
const CHAOS_MS: u64 = 30_000;
/// How long the pair may take to come to rest once everything is healed, in milliseconds.
const REST_MS: u64 = 150_000;
/// How often it is looked whether it has.
const LOOK_MS: u64 = 10_000;

/// Why a random run failed; the seed reproduces it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A safety rule was broken.
    #[error("seed {seed}: {violation}\n{faults}\n{trace}")]
    Unsafe {
        /// The seed.
        seed: u64,
        /// The rule.
        violation: Violation,
        /// What was done to the world.
        faults: String,
        /// What was told.
        trace: String,
    },
    /// The pair did not come to rest.
    #[error("seed {seed}: not live: {what}\n{faults}\n{trace}")]
    NotLive {
        /// The seed.
        seed: u64,
        /// What is missing.
        what: String,
        /// What was done to the world.
        faults: String,
        /// What was told.
        trace: String,
    },
}

/// Plays one random run.
pub fn play(seed: u64) -> Result<Run, Failure> {
    let mut random = Random::new(seed ^ 0x0B5E_12FE);
    let mut setup = random_setup(&mut random, seed);
    // Drawn apart, so that a seed's other faults are the same with and without.
    let mut drawn = Random::new(seed ^ 0x3017_0F11);
    choose_users(&mut setup, &mut drawn);
    let mut apart = Random::new(seed ^ 0xE87E_2A1D);
    let is_external = apart.chance(20);
    if is_external {
        external::furnish(&mut setup, &mut apart);
    }
    let has_monitor = setup.spec.can_drain();
    let of_a_boot = misfortune_of_a_boot(seed, &setup);
    let bouncers = setup.spec.bouncers.clone();
    let hosts = setup.spec.hosts.clone();
    let names = setup.spec.proxies.clone();
    let mut run = Run::new(setup);
    let mut faults = Vec::new();
    for _ in 0..random.between(1, 6) {
        let at = random.between(3_000, CHAOS_MS);
        for (after, fault) in misfortune(&mut random, &hosts, &names) {
            faults.push((at + after, fault.clone()));
            run.schedule(at + after, fault);
        }
    }
    for bouncer in &bouncers {
        let at = random.between(3_000, CHAOS_MS);
        for (after, fault) in misfortune_of(bouncer, &mut random) {
            faults.push((at + after, fault.clone()));
            run.schedule(at + after, fault);
        }
    }
    if has_monitor {
        let at = drawn.between(3_000, CHAOS_MS);
        for (after, fault) in monitor::misfortune(&mut drawn, &hosts) {
            faults.push((at + after, fault.clone()));
            run.schedule(at + after, fault);
        }
    }
    let of_database = external::misfortune(&mut apart, &hosts, is_external);
    let of_mounts = misfortune_of_a_mount(seed, &hosts).into_iter().flatten();
    for (at, fault) in of_database.into_iter().chain(of_mounts).chain(of_a_boot) {
        faults.push((at, fault.clone()));
        run.schedule(at, fault);
    }
    faults.sort_by_key(|(at, _)| *at);
    let told: Vec<String> = faults.iter().map(|(at, fault)| format!("  {at} {fault:?}")).collect();
    let told = told.join("\n");
    let unsafe_run = |run: &Run, violation| Failure::Unsafe {
        seed,
        violation,
        faults: told.clone(),
        trace: trace(run),
    };
    if let Err(violation) = run.advance(CHAOS_MS + 5_000) {
        return Err(unsafe_run(&run, violation));
    }
    heal(&mut run, &hosts, &names, &bouncers);
    let mut what = String::new();
    for _ in 0..REST_MS / LOOK_MS {
        if let Err(violation) = run.advance(LOOK_MS) {
            return Err(unsafe_run(&run, violation));
        }
        match unrest(&run) {
            None => return Ok(run),
            Some(missing) => what = missing,
        }
    }
    Err(Failure::NotLive { seed, what, faults: told, trace: trace(&run) })
}

/// Where users may go, and by whom they are sent there.
fn choose_users(setup: &mut Setup, random: &mut Random) {
    if random.chance(30) {
        let users = if random.chance(50) { UsersGo::EveryHost } else { UsersGo::Master };
        setup.spec.monitor = Some(monitor::spec(users));
    }
    if random.chance(30) {
        setup.spec.sharing = setup.spec.proxies.clone();
    }
}

/// A pair with some of what can be configured.
fn random_setup(random: &mut Random, seed: u64) -> Setup {
    let proxies = if random.chance(25) { 2 } else { 1 };
    let mut setup = Setup::usual(seed, proxies);
    if random.chance(25) {
        setup.spec.policy.durability = Durability::Sync;
    }
    if random.chance(30) {
        setup.spec.policy.lease_ms = Some(6_000);
    }
    if random.chance(50) {
        setup.guarded = Running::Yes;
    }
    if random.chance(40) {
        setup = setup.with_bouncers(1);
    }
    if random.chance(40) {
        setup = setup.with_files();
    }
    if random.chance(20) {
        setup.spec.services[0].placement = Placement::Master;
    }
    if random.chance(25) {
        let when_undone =
            if random.chance(50) { WhenUndone::SwitchOn } else { WhenUndone::StaysOff };
        setup.spec.policy.power_fence = Some(PowerFence { deadline_ms: 10_000, when_undone });
        let grades = [FenceGrade::ProxiedOff, FenceGrade::Stopped, FenceGrade::PoweredOff];
        setup.spec.policy.fence = *random.pick(&grades);
    }
    if has_mount(seed) {
        setup.spec.mounts = vec![one_mount()];
    }
    setup
}

/// Every third pair has a shared mount. It takes no chance away from what else happens.
fn has_mount(seed: u64) -> bool {
    seed.is_multiple_of(3)
}

/// The shared mount of one host, or of all, hangs or is gone, and comes back before chaos ends.
fn misfortune_of_a_mount(seed: u64, hosts: &[HostName]) -> Option<Vec<(u64, Fault)>> {
    let mut random = Random::new(seed ^ 0x5707_A6E5);
    let (from, until) = (random.between(2_000, 20_000), random.between(21_000, CHAOS_MS));
    let mount = if random.chance(70) { Mount::Hangs(At(0)) } else { Mount::Absent };
    let first = if random.chance(50) { 0 } else { 1 };
    let struck = hosts.iter().skip(first).flat_map(|host| {
        let turn = |mount| Fault::TurnMount(host.clone(), mount);
        [(from, turn(mount)), (until, turn(Mount::Works))]
    });
    has_mount(seed).then(|| struck.collect())
}

/// In every fourth pair something has a boot start what must not, and then there is a boot.
fn misfortune_of_a_boot(seed: u64, setup: &Setup) -> Vec<(u64, Fault)> {
    let mut random = Random::new(seed ^ 0xB007_B007);
    if seed % 4 != 1 {
        return Vec::new();
    }
    let (host, at) = (random.pick(&setup.spec.hosts).clone(), random.between(1_000, 20_000));
    let service = random.pick(&setup.spec.services).name.clone();
    let unit = Some(service).filter(|_| random.chance(50) || setup.spec.has_external_database());
    let mut faults = vec![(at, Fault::Enable(host.clone(), unit))];
    if random.chance(50) {
        let off = at + random.below(3_000);
        faults.push((off, Fault::PowerOff(host.clone())));
        faults.push((off + random.between(1_000, 15_000), Fault::PowerOn(host)));
    }
    faults
}

/// One misfortune: what happens, and what follows from it after so many milliseconds.
fn misfortune(random: &mut Random, hosts: &[HostName], proxies: &[ProxyName]) -> Vec<(u64, Fault)> {
    let host = random.pick(hosts).clone();
    let proxy = random.pick(proxies).clone();
    let later = random.between(200, 12_000);
    let once = |fault: Fault| vec![(0, fault)];
    let until = |fault: Fault, end: Fault| vec![(0, fault), (later, end)];
    match random.below(30) {
        0 | 1 => until(Fault::PowerOff(host.clone()), Fault::PowerOn(host)),
        2 | 3 => until(Fault::CrashHost(host.clone()), Fault::PowerOn(host)),
        4 | 5 => once(Fault::KillDatabase(host)),
        6 => until(Fault::BreakDatabase(host.clone()), Fault::StartDatabase(host)),
        7 => until(Fault::HangDatabase(host.clone()), Fault::WakeDatabase(host)),
        8 => until(Fault::StopDatabase(host.clone()), Fault::StartDatabase(host)),
        9 => once(Fault::RestartDatabase(host)),
        10 => once(Fault::KillApplication(host)),
        11 => until(Fault::KillSshd(host.clone()), Fault::StartSshd(host)),
        12 => {
            let node = |name: &HostName| name.to_string();
            let (a, b) = (node(&hosts[0]), node(&hosts[1]));
            until(Fault::Cut(a.clone(), b.clone()), Fault::Heal(a, b))
        }
        13 => {
            let (a, b) = ("observer".to_owned(), host.to_string());
            until(Fault::Cut(a.clone(), b.clone()), Fault::Heal(a, b))
        }
        14 => {
            let (a, b) = (proxy.to_string(), host.to_string());
            until(Fault::Cut(a.clone(), b.clone()), Fault::Heal(a, b))
        }
        15 => until(Fault::Isolate("observer".to_owned()), Fault::Join("observer".to_owned())),
        16 => until(Fault::Isolate(host.to_string()), Fault::Join(host.to_string())),
        17 => until(Fault::StopHaproxy(proxy.clone()), Fault::StartHaproxy(proxy)),
        18 => until(Fault::PowerOffProxy(proxy.clone()), Fault::PowerOnProxy(proxy)),
        19 => until(Fault::KillObserver, Fault::StartObserver),
        20 => {
            let boundary = random.between(1, 30);
            let fault = if random.chance(50) {
                Fault::KillObserverAfterRecords(boundary)
            } else {
                Fault::KillObserverAfterEffects(boundary.div_ceil(3))
            };
            vec![(0, fault), (later + 2_000, Fault::StartObserver)]
        }
        21 => until(Fault::FillObserverDisk, Fault::FreeObserverDisk),
        22 => {
            let percent = random.between(5, 40);
            match random.below(4) {
                0 => until(Fault::LoseReplies(percent), Fault::LoseReplies(0)),
                1 => until(Fault::DelayEffects(percent), Fault::DelayEffects(0)),
                2 => until(Fault::RepeatEffects(percent), Fault::RepeatEffects(0)),
                _ => until(Fault::RefuseEffects(percent), Fault::RefuseEffects(0)),
            }
        }
        23..28 => obstacle(random, hosts, host, proxy, later),
        _ => match random.below(7) {
            4..7 => by_hand(random, host, later),
            0 => once(Fault::OrderFailover),
            1 => until(Fault::Pause, Fault::Resume),
            2 => once(Fault::EditFile(proxy, host)),
            _ => until(Fault::StallReplication(host.clone()), Fault::ResumeReplication(host)),
        },
    }
}

/// What people do to singletons, to a plan that is stuck, and to the observer.
fn by_hand(random: &mut Random, host: HostName, later: u64) -> Vec<(u64, Fault)> {
    match random.below(4) {
        0 => {
            let states = [ServiceState::Up, ServiceState::Stopped, ServiceState::Failed];
            vec![(0, Fault::Singletons(host, *random.pick(&states)))]
        }
        // Whoever finds a plan stuck says so more than once.
        1 => (0..8).map(|time| (time * 700, Fault::SkipStep)).collect(),
        // The slave is lost around its promotion, is given up by people, and comes back.
        2 => {
            let lost = 150 + random.below(300);
            let mut faults =
                vec![(0, Fault::OrderSwitchover), (lost, Fault::PowerOff(host.clone()))];
            let given_up = |time: u64| (8_000 + time * 3_000, Fault::GiveUpHeir(host.clone()));
            faults.extend((0..6).map(given_up));
            faults.push((later + 20_000, Fault::PowerOn(host)));
            faults
        }
        _ => vec![
            (0, Fault::StopObserver),
            (later, Fault::KillObserver),
            (later + 500, Fault::StartObserver),
        ],
    }
}

/// What may stand in the way of a switchover or of a rejoin, and their orders.
fn obstacle(
    random: &mut Random,
    hosts: &[HostName],
    host: HostName,
    proxy: ProxyName,
    later: u64,
) -> Vec<(u64, Fault)> {
    let once = |fault: Fault| vec![(0, fault)];
    let until = |fault: Fault, end: Fault| vec![(0, fault), (later, end)];
    match random.below(5) {
        0 | 1 => once(Fault::OrderSwitchover),
        2 => until(Fault::OrderSwitchover, Fault::Abort),
        3 => match random.below(8) {
            5 => until(Fault::HangPasses(host.clone()), Fault::LetPassesEnd(host)),
            6 => until(Fault::FillFiles(host.clone()), Fault::FreeFiles(host)),
            7 => once(Fault::KillPass(host)),
            4 => until(Fault::IgnorePromotion(host.clone()), Fault::AllowPromotion(host)),
            0 => until(Fault::RefusePromotion(host.clone()), Fault::AllowPromotion(host)),
            1 => until(Fault::RefuseToStop(host.clone()), Fault::LetStop(host)),
            2 => until(Fault::NeverFinish(proxy.clone()), Fault::LetFinish(proxy)),
            _ => match random.below(4) {
                3 => until(Fault::FailDisk(host.clone()), Fault::FreeDisk(host)),
                0 => until(Fault::FillLogDisk(host.clone()), Fault::FreeDisk(host)),
                1 => until(Fault::NearlyFillDisk(host.clone()), Fault::FreeDisk(host)),
                _ => until(Fault::FillDisk(host.clone()), Fault::FreeDisk(host)),
            },
        },
        _ => match random.below(5) {
            4 => {
                let faults: [fn(HostName) -> Fault; 3] =
                    [Fault::BreakSwitch, Fault::DeafenSwitch, Fault::SlowSwitch];
                until(random.pick(&faults)(host.clone()), Fault::MendSwitch(host))
            }
            0 => once(Fault::LoseLog(host)),
            1 => until(Fault::LockOut(host.clone()), Fault::LetLogIn(host)),
            2 => once(Fault::OrderRejoin),
            _ => {
                let other = random.pick(hosts).clone();
                once(Fault::DropSlot(host, other))
            }
        },
    }
}

/// One misfortune of a PgBouncer, or a switchover that needs it.
fn misfortune_of(bouncer: &BouncerName, random: &mut Random) -> Vec<(u64, Fault)> {
    let name = || bouncer.clone();
    let later = random.between(200, 12_000);
    match random.below(6) {
        0 => vec![(0, Fault::NeverCommit(name())), (later, Fault::LetCommit(name()))],
        1 => vec![(0, Fault::StopBouncer(name())), (later, Fault::StartBouncer(name()))],
        2 => vec![(0, Fault::PowerOffBouncer(name())), (later, Fault::PowerOnBouncer(name()))],
        3 => vec![(0, Fault::PauseBouncer(name()))],
        4 => {
            let (a, b) = ("observer".to_owned(), bouncer.to_string());
            vec![(0, Fault::Cut(a.clone(), b.clone())), (later, Fault::Heal(a, b))]
        }
        _ => vec![(0, Fault::OrderSwitchover)],
    }
}

/// Heals everything, and does what the on-call person would do: acknowledges.
fn heal(run: &mut Run, hosts: &[HostName], proxies: &[ProxyName], bouncers: &[BouncerName]) {
    let mut cures = vec![
        Fault::HealNetwork,
        Fault::LoseReplies(0),
        Fault::DelayEffects(0),
        Fault::RepeatEffects(0),
        Fault::RefuseEffects(0),
        Fault::FreeObserverDisk,
        // Takes a death that is still to come back.
        Fault::KillObserverAfterRecords(u64::MAX),
        Fault::StartObserver,
    ];
    for host in hosts {
        cures.push(Fault::PowerOn(host.clone()));
        cures.push(Fault::MendSwitch(host.clone()));
        cures.push(Fault::StartSshd(host.clone()));
        cures.push(Fault::WakeDatabase(host.clone()));
        cures.push(Fault::FreeDisk(host.clone()));
        cures.push(Fault::LetPassesEnd(host.clone()));
        cures.push(Fault::FreeFiles(host.clone()));
        cures.push(Fault::AllowPromotion(host.clone()));
        cures.push(Fault::LetStop(host.clone()));
        cures.push(Fault::LetLogIn(host.clone()));
        cures.push(Fault::ResumeReplication(host.clone()));
    }
    if run.world.spec.can_drain() {
        cures.extend(monitor::cures(hosts));
    }
    for proxy in proxies {
        cures.push(Fault::PowerOnProxy(proxy.clone()));
        cures.push(Fault::LetFinish(proxy.clone()));
    }
    for bouncer in bouncers {
        cures.push(Fault::PowerOnBouncer(bouncer.clone()));
        cures.push(Fault::StartBouncer(bouncer.clone()));
        cures.push(Fault::LetCommit(bouncer.clone()));
    }
    for cure in cures {
        run.schedule(0, cure);
    }
    // What a person does at the desk: ends a pause, starts a master that was stopped on purpose,
    // accepts the loss if only that is in the way, says go on.
    for after in [20_000, 60_000, 90_000] {
        // And switches on what the power fence has switched off.
        for host in hosts {
            run.schedule(after, Fault::PowerOn(host.clone()));
        }
        run.schedule(after, Fault::Resume);
        run.schedule(after, Fault::Acknowledge);
        run.schedule(after + 1_000, Fault::StartStoppedMaster);
        run.schedule(after + 10_000, Fault::OrderFailoverIfUnserved);
    }
}

/// What is missing for the pair to be at rest.
fn unrest(run: &Run) -> Option<String> {
    let Some(pair) = run.pair() else { return Some("the observer is dead".to_owned()) };
    if pair.memory().open.is_some() {
        return Some("a plan is open".to_owned());
    }
    if run.world.spec.has_external_database() {
        return external::unrest(&run.world);
    }
    let writable = run.world.writable_hosts();
    if let [master] = &writable[..]
        && let Some(wrong) = monitor::unrest(&run.world, master)
    {
        return Some(wrong);
    }
    if writable.len() != 1 {
        let states: Vec<String> = run
            .world
            .machines
            .iter()
            .map(|(host, machine)| format!("{host}: {:?}", machine.database.postmaster))
            .collect();
        return Some(format!("users are not served ({})", states.join(", ")));
    }
    if let Some((name, _)) = run.world.bouncers.iter().find(|(_, one)| one.paused.is_some()) {
        return Some(format!("{name} is paused"));
    }
    let stale = run.world.spec.hosts.iter().filter(|host| {
        let database = &run.world.machine(host).database;
        database.postmaster == Postmaster::Running && !database.in_recovery
    });
    (stale.count() > 1).then(|| "two primaries run".to_owned())
}
