//! The judge's whole input: a few small enums, digested from a snapshot.
//!
//! No numbers, no ages, no names: thresholds end in `digest`. `Facts::all` is derived from the
//! enums, so a new variant cannot escape the walk over every world.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator};

use crate::policy::Store;

macro_rules! fact {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[derive(EnumIter, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
    };
}

fact! {
    /// How far our own eyes can be trusted.
    Sight {
        /// Something answers us.
        Clear,
        /// Nothing answers: the fault may be ours.
        Blind,
        /// A member offers another host key than the pinned one.
        Distrusted,
    }
}

fact! {
    /// Who is a primary, held against what the journal says.
    Roles {
        /// The journal's master, and no other host is a primary.
        One,
        /// No host is known to be the master.
        None,
        /// Two primaries, and the journal cannot tell which is the stale one.
        Two,
        /// A host that the journal has replaced is a primary again.
        Stale,
        /// Another host than the journal's master is the only primary: changed by other hands.
        Moved,
    }
}

fact! {
    /// The master's condition, from all vantages together.
    Master {
        /// Its database commits and its application answers.
        Healthy,
        /// Something looks wrong and the evidence is not enough.
        Suspect,
        /// On its way down and up again, or starting: an order, not a death; within its grace.
        Restarting,
        /// Its database was shut down cleanly by a person.
        StoppedOnPurpose,
        /// So it was, and it was not started again within the grace that the policy gives.
        LeftStopped,
        /// Its database is definitely not running, the host lives, and starting it is untried.
        DatabaseCrashed,
        /// Its database is definitely not running, and starting it is not wanted or has failed.
        DatabaseDead,
        /// Its database takes connections and answers nothing, wherever we ask from.
        DatabaseHung,
        /// Its application does not serve, database and host are well, a restart is untried.
        ApplicationCrashed,
        /// Its application does not serve although it was restarted.
        ApplicationDead,
        /// Its application does not serve, and neither a restart nor a switchover has helped.
        ApplicationStuck,
        /// Its database answers queries and has not committed for longer than its grace.
        CannotWrite,
        /// So it is, and it cannot be shut down in order: a switchover did not come through, or its
        /// disk has no room for a last checkpoint.
        WriteStuck,
        /// It answers, and has been on its way down or up for longer than its grace: that of a pair
        /// whose database is external, where nothing else would show it.
        HostDown,
        /// It does not reach the external database, and another host does.
        CutFromDatabase,
        /// Nobody reaches the external database.
        DatabaseAway,
        /// No vantage finds anything alive on it, and at least two looked.
        HostGone,
        /// We cannot see it serve, and the proxies' own checks do.
        UsersServed,
        /// We cannot manage it, and some vantage sees it alive.
        OutOfReach,
    }
}

fact! {
    /// The best candidate's condition.
    Slave {
        /// A standby of the same database that could be promoted.
        Ready,
        /// Streaming, and further behind than the limit.
        Lagging,
        /// A standby that does not receive the master's log.
        NotStreaming,
        /// A standby that cannot reach the master, which we can.
        CutOff,
        /// Its database is definitely not serving.
        Down,
        /// Its database is down, nobody stopped it on purpose, and starting it is untried.
        Startable,
        /// A standby that has not received the master's log for a while; resuming is untried.
        Resumable,
        /// A replaced master that does not follow the new one yet; rejoining is untried.
        Rejoinable,
        /// It does not answer us.
        Silent,
        /// Another history or another database than the master's.
        Diverged,
        /// A standby in a state that must not be promoted: replay paused, or a tombstone.
        NotPromotable,
        /// A person took it out of candidacy; whatever it looks like is expected.
        InMaintenance,
    }
}

fact! {
    /// What a failover now would lose of what users were told is safe.
    Loss {
        /// Within the loss budget.
        WithinBudget,
        /// More than the operator accepts.
        OverBudget,
        /// It cannot be told.
        Unknown,
    }
}

fact! {
    /// The proxies, worst first found.
    Proxies {
        /// All answer, and runtime and file say what the journal says.
        True,
        /// Runtime table or file of one says something else about who may be reached.
        Drifted,
        /// The same, and the policy leaves it to a person.
        LeftDrifted,
        /// A PgBouncer that leads to them is paused, and no plan of ours wants it.
        Parked,
        /// HAProxy is not running on one whose host answers.
        Stopped,
        /// The checks of one cannot reach a master that we can.
        CutFromMaster,
        /// One does not answer.
        Unreachable,
    }
}

fact! {
    /// Whether the old master could be fenced to the grade the policy asks for.
    Fence {
        /// Every step the grade needs can be taken and proven.
        Possible,
        /// A proxy (or the host, for the grade *stopped*) is out of reach, or there is no power
        /// fence for the grade *powered-off*.
        Impossible,
    }
}

fact! {
    /// What an acknowledged commit is worth, held against what the policy asks for.
    Commits {
        /// As much as the policy asks for, or as much as can be had now.
        AsAsked,
        /// Another setting is owed: the slave could hold every commit and is not asked to, or is
        /// asked to and should not be.
        Owed,
        /// They have waited for a slave that is away for longer than the policy lets them.
        Blocked,
        /// They wait for a slave that is away, and the policy wants them to.
        Waiting,
    }
}

fact! {
    /// The self-expiring lease on the master, held against what the policy asks for.
    Lease {
        /// It runs as asked, or none is asked for and none runs.
        AsAsked,
        /// It is to be set or taken away, and that is untried.
        Owed,
        /// It is not as asked, and setting it did not help.
        Amiss,
    }
}

fact! {
    /// The services that must run on the master and nowhere else.
    Singletons {
        /// Each runs exactly once, as far as the hosts that answer say.
        Once,
        /// One runs beside the master's, or not at all; putting it right is untried.
        Owed,
        /// So it is, and putting it right did not help, or somebody stopped it on the master.
        Amiss,
    }
}

fact! {
    /// What else a failover would need.
    Upkeep {
        /// Files, mounts and parity are as they should be, or not configured.
        Good,
        /// The slave cannot use a mount that the service needs.
        StorageUnwell,
        /// Files on the slave are older than the limit.
        FilesBehind,
        /// Versions, secrets or settings differ.
        ParityBroken,
        /// A host's disk is nearly full, or soon will be.
        DiskLow,
        /// A unit that the observer starts would start at boot by itself; disabling it is untried.
        Enabled,
        /// So it would, and disabling it is not wanted, or did not help.
        LeftEnabled,
    }
}

/// One world, as far as the judge distinguishes worlds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// How far our own eyes can be trusted.
    pub sight: Sight,
    /// Who is a primary.
    pub roles: Roles,
    /// The master's condition.
    pub master: Master,
    /// The best candidate's condition.
    pub slave: Slave,
    /// What a failover now would lose.
    pub loss: Loss,
    /// The proxies.
    pub proxies: Proxies,
    /// Whether the master could be fenced.
    pub fence: Fence,
    /// What an acknowledged commit is worth.
    pub commits: Commits,
    /// The self-expiring lease on the master.
    pub lease: Lease,
    /// The services that must run on the master and nowhere else.
    pub singletons: Singletons,
    /// Files, shared mounts, parity, disks.
    pub upkeep: Upkeep,
}

/// All values of all facts, combined: every world there is.
macro_rules! every_world {
    ($($field:ident: $fact:ident),+) => {
        every_world!(@nest [] $($field: $fact),+)
    };
    (@nest [$($done:ident)*] $field:ident: $fact:ident $(, $rest:ident: $more:ident)*) => {
        $fact::iter().flat_map(move |$field| every_world!(@nest [$($done)* $field]
            $($rest: $more),*))
    };
    (@nest [$($done:ident)*]) => { std::iter::once(Facts { $($done),* }) };
}

impl Facts {
    /// False for a world that a pair cannot come into, given where its database is: what is said of
    /// the nearest worlds is no use to anybody there.
    pub fn can_be(&self, store: Store) -> bool {
        match store {
            Store::OnHosts => !matches!(
                self.master,
                Master::HostDown | Master::CutFromDatabase | Master::DatabaseAway
            ),
            Store::External => {
                let master = !matches!(
                    self.master,
                    Master::DatabaseCrashed
                        | Master::DatabaseDead
                        | Master::DatabaseHung
                        | Master::CannotWrite
                        | Master::WriteStuck
                        | Master::LeftStopped
                );
                let slave = matches!(
                    self.slave,
                    Slave::Ready | Slave::Silent | Slave::NotPromotable | Slave::InMaintenance
                );
                let roles = matches!(self.roles, Roles::One | Roles::None | Roles::Moved);
                master && slave && roles && self.proxies != Proxies::Parked
            }
        }
    }

    /// Every world the facts can describe.
    pub fn all() -> impl Iterator<Item = Facts> {
        every_world!(
            sight: Sight, roles: Roles, master: Master, slave: Slave,
            loss: Loss, proxies: Proxies, fence: Fence, commits: Commits, lease: Lease,
            singletons: Singletons, upkeep: Upkeep
        )
    }
}

fact! {
    /// What kind of act a ruling asks for; gates are laid per kind.
    Act {
        /// None: watch and say so.
        Nothing,
        /// A repair that moves no role.
        Repair,
        /// A change of master.
        ChangeMaster,
    }
}

fact! {
    /// Who asks.
    Asker {
        /// The judge, by itself.
        Observer,
        /// A person, by a command.
        Operator,
    }
}

fact! {
    /// The mode the policy sets.
    Standing {
        /// Judge and act.
        Auto,
        /// Judge, record, act on nothing.
        ObserveOnly,
        /// Show only.
        Off,
    }
}

fact! {
    /// Whether a person has paused the pair.
    Pause {
        /// No.
        Running,
        /// Yes: nothing is done, whoever asks.
        Paused,
    }
}

fact! {
    /// Whether a plan is open.
    Work {
        /// None.
        Idle,
        /// One: a second is never started over it.
        PlanOpen,
    }
}

fact! {
    /// What happened lately.
    Past {
        /// Nothing that holds us back.
        Calm,
        /// An automatic change of master, since which the pair was not protected again and
        /// nobody acknowledged.
        Unacknowledged,
        /// A plan of this kind failed a moment ago.
        JustFailed,
    }
}

fact! {
    /// Whether the journal can be written.
    Journal {
        /// A record was written and synced lately.
        Writable,
        /// It cannot be written: nothing may be ordered.
        Failing,
    }
}

/// What decides whether a ruling may be carried out now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct GateFacts {
    /// What kind of act is asked for.
    pub act: Act,
    /// Who asks.
    pub asker: Asker,
    /// The policy's mode.
    pub standing: Standing,
    /// Whether the pair is paused.
    pub pause: Pause,
    /// Whether a plan is open.
    pub work: Work,
    /// What happened lately.
    pub past: Past,
    /// Whether the journal can be written.
    pub journal: Journal,
}

impl GateFacts {
    /// Every combination.
    pub fn all() -> impl Iterator<Item = GateFacts> {
        Act::iter().flat_map(|act| {
            Asker::iter().flat_map(move |asker| {
                Standing::iter().flat_map(move |standing| {
                    Pause::iter().flat_map(move |pause| {
                        Work::iter().flat_map(move |work| {
                            Past::iter().flat_map(move |past| {
                                Journal::iter().map(move |journal| GateFacts {
                                    act,
                                    asker,
                                    standing,
                                    pause,
                                    work,
                                    past,
                                    journal,
                                })
                            })
                        })
                    })
                })
            })
        })
    }
}
