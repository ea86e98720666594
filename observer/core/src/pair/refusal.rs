//! Why a person's order is not carried out: nothing was changed by it.

use crate::journal::{MaintenanceOrder, Schedule};
use crate::judge::Cause;
use crate::words::HostName;

/// Why an order is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A named cause stands in the way.
    #[error("{}: {}", .0.name(), .0.meaning())]
    Cause(Cause),
    /// No plan can be drafted.
    #[error("{0}")]
    NoPlan(String),
    /// Not everything was looked at yet since the start, or since a plan changed the world.
    #[error("not everything has been looked at since the observer's start or its last plan")]
    NotReady,
    /// Something else is on its way to the journal, and may change what is right.
    #[error("what was decided a moment ago is not in the journal yet")]
    Busy,
    /// The plan is past its pivot.
    #[error("the plan is past its pivot: from here it only goes forward")]
    PastPivot,
    /// The host serves users.
    #[error("{0} is the master: its users are moved away first")]
    IsMaster(HostName),
    /// Users have nobody but that host.
    #[error("{0} is the master, and users may go nowhere else: they are moved away first")]
    OnlyServer(HostName),
    /// There is nothing to drain a host by.
    #[error(
        "the pair has no [monitor_file], and no `every_host` of a proxy, to send users away by"
    )]
    NoWayToDrain,
    /// Users would be left without any host; named is one that is drained.
    #[error("users have no other host that is well to go to")]
    NowhereElse(Option<HostName>),
    /// Somebody else has taken the host out of candidacy.
    #[error("{0} is in maintenance for {by}: {reason}", by = .1.by, reason = .1.reason)]
    Kept(HostName, Box<MaintenanceOrder>),
    /// One waits for its time already.
    #[error("a switchover by {by} is scheduled already", by = .0.by)]
    Scheduled(Schedule),
    /// Another host is promoted.
    #[error("the open plan promotes {1}, and not {0}")]
    NotTheHeir(HostName, HostName),
    /// Nobody has that name.
    #[error("the pair has no host {0}; its hosts are {1}")]
    UnknownHost(HostName, String),
    /// There is nothing to do.
    #[error("{0}")]
    Nothing(&'static str),
}
