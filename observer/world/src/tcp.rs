//! A TCP connection made from the observer itself, and what its failure proves.
//!
//! It speaks no protocol; `http` and `postgres::startup_probe` do, on any stream.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ssh::Nature;

/// Why there is no TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TcpError {
    /// The host answers, and nobody listens on the port.
    #[error("connection refused")]
    Refused,
    /// The network says that the host cannot be reached.
    #[error("no route to the host ({0})")]
    NoRoute(String),
    /// Nothing was heard within the deadline.
    #[error("no answer within {} ms", .after.as_millis())]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
    },
    /// The name does not resolve.
    #[error("the address cannot be resolved: {0}")]
    BadAddress(String),
}

impl TcpError {
    /// How much this proves about the other side.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Refused => Nature::Definite,
            Self::NoRoute(_) | Self::TimedOut { .. } => Nature::Silent,
            Self::BadAddress(_) => Nature::SetUp,
        }
    }
}

/// Connects to `port` of `address` (an IP address or a name) within `deadline`.
pub async fn connect(address: &str, port: u16, deadline: Duration) -> Result<TcpStream, TcpError> {
    let late = TcpError::TimedOut { after: deadline };
    let stream = match timeout(deadline, TcpStream::connect((address, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(classify(&error, late)),
        Err(_) => return Err(late),
    };
    // A probe is small; it works without this, only later.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn classify(error: &io::Error, late: TcpError) -> TcpError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => TcpError::Refused,
        io::ErrorKind::TimedOut => late,
        // Only the resolver's errors carry no number of the system.
        _ if error.raw_os_error().is_none() => TcpError::BadAddress(error.to_string()),
        _ => TcpError::NoRoute(error.to_string()),
    }
}
