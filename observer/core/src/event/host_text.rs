//! What is told of hosts in maintenance, and of drained ones.

use super::EventKind;

impl EventKind {
    pub(super) fn host_text(&self) -> String {
        match self {
            EventKind::MaintenanceBegan { host, by, reason, .. } => {
                format!("{host} is in maintenance, for {by}: {reason}")
            }
            EventKind::MaintenanceEnding { host, by, .. } => {
                format!("the maintenance of {host} for {by} will end by itself")
            }
            EventKind::MaintenanceEnded { host, by } => {
                format!("the maintenance of {host} ended by {by}")
            }
            EventKind::DrainBegan { host, by, reason, .. } => {
                format!("{host} is being drained, for {by}: {reason}")
            }
            EventKind::DrainSettled { host, left: Some(0) } => {
                format!("{host} is drained: nobody is left there")
            }
            EventKind::DrainSettled { host, left: Some(1) } => {
                format!("{host} is drained and its limit is over: 1 session is left")
            }
            EventKind::DrainSettled { host, left: Some(left) } => {
                format!("{host} is drained and its limit is over: {left} sessions are left")
            }
            EventKind::DrainSettled { host, left: None } => {
                format!(
                    "the limit of the drain is over, and {host} is not known to be drained: its \
                     monitor file or a proxy still says in, or said so a moment ago, or its \
                     sessions cannot be counted"
                )
            }
            EventKind::DrainEnded { host, by } => {
                format!("users may come to {host} again, by {by}")
            }
            EventKind::HostForgotten { host, by, reason } => {
                format!("{host} is left out of the pair until it answers, by {by}: {reason}")
            }
            EventKind::HostChanged { host, answers: false } => {
                format!("{host} does not answer any more")
            }
            EventKind::HostChanged { host, answers: true } => format!("{host} answers again"),
            EventKind::HostReturned { host } => {
                format!("{host} answers again, and belongs to the pair again")
            }
            EventKind::UsersReturned { host } => {
                format!("users may be sent to {host}: all is well there, and says so")
            }
            _ => String::new(),
        }
    }
}
