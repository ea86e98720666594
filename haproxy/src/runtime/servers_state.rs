//! `show servers state`: the administrative and operational state of servers.

use super::answer::{CliError, error_of};

/// One server as `show servers state` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerState {
    /// The backend.
    pub backend: String,
    /// The server in it.
    pub server: String,
    /// IP address as it is in use; empty for sockets.
    pub address: String,
    /// Port as it is in use.
    pub port: Option<u16>,
    /// What HAProxy makes of it.
    pub operational: OperationalState,
    /// What it has been told about it.
    pub admin: AdminFlags,
    /// Weight now.
    pub weight: Option<u32>,
    /// Seconds since the last change.
    pub changed_s: Option<u64>,
}

/// What HAProxy makes of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationalState {
    /// No traffic.
    Stopped,
    /// Slow start.
    Starting,
    /// Full traffic.
    Running,
    /// Only what is bound to it.
    Stopping,
    /// A number this program does not know.
    Other(u32),
}

/// Why a server is out of use on order: a set of HAProxy's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminFlags(pub u32);

impl AdminFlags {
    const FORCED_MAINT: u32 = 0x01;
    const INHERITED_MAINT: u32 = 0x02;
    const CONFIGURED_MAINT: u32 = 0x04;
    const FORCED_DRAIN: u32 = 0x08;
    const INHERITED_DRAIN: u32 = 0x10;
    const RESOLUTION_MAINT: u32 = 0x20;
    const RENAMED_MAINT: u32 = 0x40;

    /// Whether it takes no traffic on order. That it was configured `disabled` stays marked
    /// after it was made ready, and says nothing about now.
    pub fn is_maint(self) -> bool {
        let maint = Self::FORCED_MAINT
            | Self::INHERITED_MAINT
            | Self::RESOLUTION_MAINT
            | Self::RENAMED_MAINT;
        self.0 & maint != 0
    }

    /// Whether it takes only what is bound to it.
    pub fn is_drain(self) -> bool {
        self.0 & (Self::FORCED_DRAIN | Self::INHERITED_DRAIN) != 0
    }

    /// Whether the file that this process started with has it `disabled`.
    pub fn was_configured_disabled(self) -> bool {
        self.0 & Self::CONFIGURED_MAINT != 0
    }
}

impl ServerState {
    /// Reads the answer to `show servers state`.
    pub fn parse(answer: &str) -> Result<Vec<ServerState>, CliError> {
        let mut lines = answer.trim_start().lines();
        let version = lines.next().unwrap_or_default();
        let header = lines.next().and_then(|line| line.strip_prefix("# "));
        let (true, Some(header)) = (version.parse::<u32>().is_ok(), header) else {
            return Err(error_of(answer));
        };
        let header: Vec<&str> = header.split(' ').collect();
        let rows = lines.take_while(|line| !line.is_empty());
        rows.map(|line| Self::row(&header, line).ok_or(CliError::Truncated)).collect()
    }

    fn row(header: &[&str], line: &str) -> Option<ServerState> {
        let fields: Vec<&str> = line.split(' ').collect();
        let field = |name: &str| {
            let at = header.iter().position(|column| *column == name)?;
            fields.get(at).copied()
        };
        let number = |name: &str| field(name)?.parse::<u32>().ok();
        Some(ServerState {
            backend: field("be_name")?.to_owned(),
            server: field("srv_name")?.to_owned(),
            address: field("srv_addr").filter(|text| *text != "-").unwrap_or_default().to_owned(),
            port: field("srv_port").and_then(|port| port.parse().ok()),
            operational: match number("srv_op_state")? {
                0 => OperationalState::Stopped,
                1 => OperationalState::Starting,
                2 => OperationalState::Running,
                3 => OperationalState::Stopping,
                other => OperationalState::Other(other),
            },
            admin: AdminFlags(number("srv_admin_state")?),
            weight: number("srv_uweight"),
            changed_s: field("srv_time_since_last_change").and_then(|text| text.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state \
        srv_admin_state srv_uweight srv_time_since_last_change srv_port\n";

    #[test]
    fn bits_are_taken_apart() {
        let answer = format!("{HEADER}3 app 1 a 127.0.0.1 2 0 1 9 80\n3 app 2 b - 0 5 1 9 81\n");
        let rows = ServerState::parse(&answer).unwrap();
        assert_eq!(rows[0].operational, OperationalState::Running);
        assert_eq!((rows[0].port, rows[0].admin.is_maint()), (Some(80), false));
        let disabled = rows[1].admin;
        assert!(disabled.is_maint() && disabled.was_configured_disabled() && !disabled.is_drain());
        assert!(!AdminFlags(4).is_maint() && AdminFlags(8).is_drain());
    }

    #[test]
    fn a_cut_row_is_an_error() {
        assert_eq!(ServerState::parse(&format!("{HEADER}3 app 1")), Err(CliError::Truncated));
        assert_eq!(ServerState::parse("Can't find backend.\n"), Err(CliError::NoSuchBackend));
    }
}
