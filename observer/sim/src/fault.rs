//! What can go wrong, as the scenario language and the fuzzer say it.

use observer_core::sighting::Says;
use observer_core::words::{BouncerName, HostName, ProxyName, ServiceName};

use crate::machine::{ServiceState, Warmup};
use crate::mount::Mount;

/// One thing that happens to the world.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each variant is its own sentence")]
pub enum Fault {
    PowerOff(HostName),
    CrashHost(HostName),
    PowerOn(HostName),
    /// The power switch of this host cannot be reached.
    BreakSwitch(HostName),
    /// It says that it was done, and does nothing.
    DeafenSwitch(HostName),
    /// It says that it was done, and does it a while later.
    SlowSwitch(HostName),
    MendSwitch(HostName),
    KillDatabase(HostName),
    BreakDatabase(HostName),
    HangDatabase(HostName),
    WakeDatabase(HostName),
    StopDatabase(HostName),
    StartDatabase(HostName),
    /// A person starts a standby without the file that makes one of it: as a primary, on the
    /// timeline of its master.
    StartWithoutSignal(HostName),
    RestartDatabase(HostName),
    PromoteByHand(HostName),
    /// A person makes the first a standby of the second, as it is.
    FollowByHand(HostName, HostName),
    FillDisk(HostName),
    /// There is room, and every write fails.
    FailDisk(HostName),
    /// The log cannot grow: the database falls whenever it needs more of it.
    FillLogDisk(HostName),
    NearlyFillDisk(HostName),
    /// Its application has more to do than it can: it serves, and says that it is not well.
    Overload(HostName),
    /// No longer.
    Relieve(HostName),
    /// Something begins to fill the disk, steadily.
    LetDiskFill(HostName),
    FreeDisk(HostName),
    PauseReplay(HostName),
    StallReplication(HostName),
    ResumeReplication(HostName),
    KillApplication(HostName),
    BreakApplication(HostName),
    StopApplication(HostName),
    /// What it takes for this service to be ready there once it is started.
    WarmUp(HostName, ServiceName, Warmup),
    /// It runs on and is no longer ready.
    LoseReadiness(HostName, ServiceName),
    /// It is ready, from now on as soon as it is started.
    GainReadiness(HostName, ServiceName),
    /// All singletons of a host, into one state.
    Singletons(HostName, ServiceState),
    /// A job of the host's boot never ends: systemd says that it is starting, and all works.
    HangBoot(HostName),
    EndBoot(HostName),
    /// Its sshd lets nobody be reached through it.
    ForbidForwarding(HostName),
    /// All its processes are stopped, and its kernel takes connections for them.
    Freeze(HostName),
    Thaw(HostName),
    /// Its systemd answers nothing, and all else goes on.
    DeafenSystemd(HostName),
    MendSystemd(HostName),
    /// A person, or an upgrade of a package, has a boot start this service, or the database.
    Enable(HostName, Option<ServiceName>),
    KillSshd(HostName),
    StartSshd(HostName),
    ChangeHostKey(HostName),
    Garble(HostName),
    Ungarble(HostName),
    Cut(String, String),
    Heal(String, String),
    Isolate(String),
    Join(String),
    HealNetwork,
    /// Half of the files on the host are deleted.
    DeleteFiles(HostName),
    /// The host's licence is deleted, or becomes this version.
    TurnLicence(HostName, Option<u64>),
    /// Passes on the host come to no end.
    HangPasses(HostName),
    LetPassesEnd(HostName),
    /// There is no room for more files on the host.
    FillFiles(HostName),
    FreeFiles(HostName),
    KillPass(HostName),
    /// What the host sees of the shared mount from now on.
    TurnMount(HostName, Mount),
    StopHaproxy(ProxyName),
    StartHaproxy(ProxyName),
    PowerOffProxy(ProxyName),
    PowerOnProxy(ProxyName),
    StopBouncer(BouncerName),
    StartBouncer(BouncerName),
    PowerOffBouncer(BouncerName),
    PowerOnBouncer(BouncerName),
    /// By a person's hand.
    PauseBouncer(BouncerName),
    ResumeBouncer(BouncerName),
    /// A transaction at this PgBouncer never ends.
    NeverCommit(BouncerName),
    LetCommit(BouncerName),
    EditRuntime(ProxyName, HostName),
    TakeOutByHand(ProxyName, HostName),
    /// A person takes a host out at the running proxy where users may go to every host.
    TakeOutShared(ProxyName, HostName),
    /// The same in its file.
    WriteOutShared(ProxyName, HostName),
    /// A person has HAProxy drain a host: whoever sticks to it by a cookie still comes.
    DrainAtProxy(ProxyName, HostName),
    MendDatabase(HostName),
    EditFile(ProxyName, HostName),
    KillObserver,
    StartObserver,
    /// Each record takes this long to reach the observer's disk, in milliseconds.
    SlowObserverDisk(u64),
    /// The observer dies as soon as this many more records are durable.
    KillObserverAfterRecords(u64),
    /// The observer dies as soon as this many more effects were performed, before the reply.
    KillObserverAfterEffects(u64),
    FillObserverDisk,
    FreeObserverDisk,
    /// Replies to effects are lost with this chance in a hundred.
    LoseReplies(u64),
    /// Effects are done late, their replies lost, with this chance in a hundred.
    DelayEffects(u64),
    /// Effects are done twice with this chance in a hundred.
    RepeatEffects(u64),
    /// Effects are refused with this chance in a hundred.
    RefuseEffects(u64),
    OrderFailover,
    OrderFailoverAcceptingLoss,
    OrderSwitchover,
    OrderRejoin,
    OrderRepair,
    Abort,
    SkipStep,
    /// A person says that the host to be promoted is gone for good.
    GiveUpHeir(HostName),
    /// The slot that keeps log for the second is dropped on the first.
    DropSlot(HostName, HostName),
    /// Log that a rewind of this host needs is gone.
    LoseLog(HostName),
    /// The host's password for the other's database is wrong.
    LockOut(HostName),
    LetLogIn(HostName),
    /// The host stays a standby whatever is ordered.
    RefusePromotion(HostName),
    AllowPromotion(HostName),
    /// The host takes the order and stays a standby.
    IgnorePromotion(HostName),
    /// Services on this host refuse to stop.
    RefuseToStop(HostName),
    LetStop(HostName),
    LetFinish(ProxyName),
    /// A request at this proxy never finishes.
    NeverFinish(ProxyName),
    Pause,
    /// A person works on the host, for so many milliseconds.
    Maintain(HostName, Option<u64>),
    EndMaintenance(HostName),
    /// Users are kept away from the host; its sessions may take so many milliseconds.
    Drain(HostName, u64),
    Undrain(HostName),
    /// A person leaves a dead host out.
    Forget(HostName),
    /// By a person's hand.
    WriteMonitor(HostName, Says),
    /// The monitor file of the host cannot be written.
    LockMonitor(HostName),
    UnlockMonitor(HostName),
    /// So many sessions are open there, by a balancer of somebody else's.
    OpenSessions(HostName, u64),
    /// A rolling upgrade of both hosts.
    Upgrade(Carry),
    Resume,
    Acknowledge,
    /// Stop in order, as by SIGTERM.
    StopObserver,
    /// What a person does who finds the master stopped: starts it.
    StartStoppedMaster,
    /// What a person does who finds nobody served: accepts the loss and orders a failover.
    OrderFailoverIfUnserved,
}

/// What becomes of a rolling upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carry {
    /// It is ordered, and its verb carries it out.
    Begin,
    /// The verb is run again.
    GoOn,
    /// The verb looks what is next.
    Look,
    /// The verb is killed.
    Kill,
    /// From now on the operator's command fails, or no longer.
    FailCommand(bool),
}

/// Chances in a hundred that something goes wrong with an effect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    pub(crate) lose: u64,
    pub(crate) delay: u64,
    pub(crate) repeat: u64,
    pub(crate) refuse: u64,
    /// What each record takes besides, in milliseconds.
    pub(crate) record_ms: u64,
}
