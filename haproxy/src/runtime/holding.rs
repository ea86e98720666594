//! A waiting room for a file that may not be changed: a server that is made at run time.
//!
//! It stands for a port of the caller, who accepts and does not answer. It takes one request, so
//! all others wait in the backend's queue, which costs nothing and lets go within milliseconds. The
//! one request that it took is the caller's to pass on to the new master.
//!
//! It needs HAProxy 2.6, a dynamic `balance` and a `timeout queue` (without one, `timeout connect`
//! is the limit, far too short). It must be gone before the next reload, which forgets it together
//! with whoever waits.

use std::net::SocketAddr;

use super::command::{AdminState, Command};
use super::name::{BadName, ServerName, Token};

/// A limit of requests that no queue reaches.
const EVERYBODY: u32 = 1_000_000;

/// A server that holds requests, made at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingServer {
    server: ServerName,
    forwarder: Token,
}

impl HoldingServer {
    /// A server of this name at the port where the caller accepts. The name must be free.
    pub fn new(server: ServerName, forwarder: SocketAddr) -> Result<HoldingServer, BadName> {
        Ok(HoldingServer { server, forwarder: Token::new(forwarder.to_string())? })
    }

    /// Batches that begin to hold, in order: the server first, and `from` out of use only when it
    /// is there. The batches after one that failed must not be sent.
    pub fn begin(&self, from: &[ServerName]) -> Vec<Vec<Command>> {
        let one = |text: &str| Token::new(text).expect("the word is plain");
        let keywords = vec![one("maxconn"), one("1")];
        let add = Command::AddServer(self.server.clone(), self.forwarder.clone(), keywords);
        let mut turn = vec![Command::EnableServer(self.server.clone())];
        turn.extend(from.iter().cloned().map(|from| self.set(from, AdminState::Maint)));
        vec![vec![add], turn]
    }

    /// Batches that let go to `to`, in order: it first, so that the queue has somewhere to go.
    /// `limit` is the `maxconn` that `to` has in the file, 0 for none.
    ///
    /// From 3.0 on a server without a limit does not look into the queue of its backend when it
    /// becomes ready (measured on 3.0 and 3.2): it is given one that lets all in, for a moment.
    pub fn release(&self, to: &ServerName, limit: u32) -> Vec<Vec<Command>> {
        let mut commands = vec![
            self.set(to.clone(), AdminState::Ready),
            self.set(self.server.clone(), AdminState::Maint),
        ];
        let limits: &[u32] = if limit == 0 { &[EVERYBODY, 0] } else { &[limit] };
        let set = |limit: &u32| Command::SetServerMaxconn(to.clone(), *limit);
        commands.extend(limits.iter().map(set));
        vec![commands]
    }

    /// Removes the server. HAProxy refuses ([`super::CliError::InUse`]) until the request that it
    /// took is answered: ask again.
    pub fn remove(&self) -> Command {
        Command::DelServer(self.server.clone())
    }

    fn set(&self, server: ServerName, state: AdminState) -> Command {
        Command::SetServerState(server, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_goes_out_only_when_there_is_somewhere_to_wait() {
        let server = |name| ServerName::new("app", name).unwrap();
        let holding = HoldingServer::new(server("hold"), "127.0.0.1:9".parse().unwrap()).unwrap();
        let said = |batches: Vec<Vec<Command>>| -> Vec<Vec<String>> {
            batches.iter().map(|all| all.iter().map(ToString::to_string).collect()).collect()
        };
        assert_eq!(
            said(holding.begin(&[server("a")])),
            [
                vec!["add server app/hold 127.0.0.1:9 maxconn 1"],
                vec!["enable server app/hold", "set server app/a state maint"]
            ]
        );
        assert_eq!(
            said(holding.release(&server("b"), 50)),
            [[
                "set server app/b state ready",
                "set server app/hold state maint",
                "set maxconn server app/b 50"
            ]]
        );
        let unlimited = said(holding.release(&server("b"), 0));
        assert_eq!(
            unlimited[0][2..],
            ["set maxconn server app/b 1000000", "set maxconn server app/b 0"]
        );
        assert_eq!(holding.remove().to_string(), "del server app/hold");
    }
}
