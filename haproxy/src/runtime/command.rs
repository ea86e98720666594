//! Commands and the lines they are sent as.

use std::fmt;
use std::net::SocketAddr;

use super::name::{Name, ServerName, Token};

/// One command of the runtime API or of the master socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Counters and states of all proxies; answer for [`super::ServerRow::parse`].
    ShowStat,
    /// The process: version, pid, uptime; answer for [`super::Info::parse`].
    ShowInfo,
    /// Administrative states, of one backend or of all; answer for [`super::ServerState::parse`].
    ShowServersState(Option<Name>),
    /// The sessions now open; answer for [`super::Session::parse`].
    ShowSessions,
    /// Sets the administrative state of a server.
    SetServerState(ServerName, AdminState),
    /// Sets the weight of a server, 0 to 256.
    SetServerWeight(ServerName, u16),
    /// Gives a server the weight back that the file says.
    RestoreServerWeight(ServerName),
    /// Sets how many requests a server takes at once, 0 for any number, and lets in those that wait
    /// for it. It goes back to what the file says at the next reload.
    SetServerMaxconn(ServerName, u32),
    /// Sets the address and port that a server's new connections go to. Idle connections to the
    /// address before are closed.
    SetServerAddress(ServerName, SocketAddr),
    /// Ends all sessions that a server has now.
    ShutdownSessions(ServerName),
    /// Makes a server, in maintenance, with keywords such as `maxconn` and `1`.
    AddServer(ServerName, Token, Vec<Token>),
    /// Removes a server that is in maintenance and has no session left.
    DelServer(ServerName),
    /// Ends the forced maintenance of a server.
    EnableServer(ServerName),
    /// Starts the health checks of a server made at run time.
    EnableHealth(ServerName),
    /// Master socket only: the processes; answer for [`super::ProcessTable::parse`].
    ShowProc,
    /// Master socket only: loads the files again; answer for [`super::Reload::parse`].
    Reload,
}

/// The administrative states of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminState {
    /// It takes traffic as its health checks allow; it starts as up.
    Ready,
    /// It takes no request at all; those in flight finish.
    Maint,
    /// It takes only requests bound to it by a cookie or table.
    Drain,
}

/// Which process answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A worker's own socket: no prefix.
    Worker,
    /// The master, on its socket.
    Master,
    /// The current worker, through the master socket (`@1`).
    CurrentWorker,
    /// A worker by its process id, through the master socket (`@!pid`).
    Pid(u32),
}

impl Target {
    /// What stands before each command on a line, so that this process takes it.
    pub fn prefix(self) -> String {
        match self {
            Target::Worker | Target::Master => String::new(),
            Target::CurrentWorker => "@1 ".to_owned(),
            Target::Pid(pid) => format!("@!{pid} "),
        }
    }
}

/// A batch that could not be sent, or whose answers could not be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// There is no command in it.
    #[error("a batch needs a command")]
    Empty,
    /// The answer of this command has no known end, so nothing can follow it.
    #[error("\"{0}\" must be the last command of its batch")]
    MustBeLast(String),
    /// The command belongs to the master and the target is a worker, or the other way round.
    #[error("\"{0}\" is not for this process")]
    WrongTarget(String),
}

/// Commands that are sent as one line over one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    target: Target,
    commands: Vec<Command>,
}

impl Batch {
    /// Checks that the commands can be sent together to that process.
    pub fn new(target: Target, commands: Vec<Command>) -> Result<Batch, BadBatch> {
        let Some((_, earlier)) = commands.split_last() else { return Err(BadBatch::Empty) };
        if let Some(open) = earlier.iter().find(|command| command.is_open_ended()) {
            return Err(BadBatch::MustBeLast(open.to_string()));
        }
        let for_master = target == Target::Master;
        if let Some(wrong) = commands.iter().find(|command| command.is_masters() != for_master) {
            return Err(BadBatch::WrongTarget(wrong.to_string()));
        }
        Ok(Batch { target, commands })
    }

    /// A batch of one command.
    pub fn one(target: Target, command: Command) -> Result<Batch, BadBatch> {
        Batch::new(target, vec![command])
    }

    /// The commands, in the order of their answers.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The line to write, its end included. After it HAProxy answers and closes the connection.
    pub fn render(&self) -> String {
        let prefix = self.target.prefix();
        let mut parts: Vec<String> =
            self.commands.iter().map(|command| format!("{prefix}{command}")).collect();
        // `reload` replaces the process that holds the connection, which ends it.
        let ends_itself = self.commands.last() == Some(&Command::Reload);
        if self.target != Target::Worker && !ends_itself {
            parts.push("quit".to_owned());
        }
        parts.join(";") + "\n"
    }
}

impl Command {
    /// Whether success is an answer without text, as most commands that change something give.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(
            self,
            Command::SetServerState(..)
                | Command::SetServerWeight(..)
                | Command::RestoreServerWeight(..)
                | Command::SetServerMaxconn(..)
                | Command::ShutdownSessions(..)
                | Command::EnableServer(..)
                | Command::EnableHealth(..)
        )
    }

    fn is_open_ended(&self) -> bool {
        matches!(self, Command::AddServer(..) | Command::DelServer(..) | Command::Reload)
    }

    fn is_masters(&self) -> bool {
        matches!(self, Command::ShowProc | Command::Reload)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::ShowStat => f.write_str("show stat"),
            Command::ShowInfo => f.write_str("show info"),
            Command::ShowServersState(None) => f.write_str("show servers state"),
            Command::ShowServersState(Some(backend)) => write!(f, "show servers state {backend}"),
            Command::ShowSessions => f.write_str("show sess"),
            Command::SetServerState(server, state) => {
                let state = match state {
                    AdminState::Ready => "ready",
                    AdminState::Maint => "maint",
                    AdminState::Drain => "drain",
                };
                write!(f, "set server {server} state {state}")
            }
            Command::SetServerWeight(server, weight) => {
                write!(f, "set server {server} weight {weight}")
            }
            Command::RestoreServerWeight(server) => write!(f, "set server {server} weight 100%"),
            Command::SetServerMaxconn(server, count) => {
                write!(f, "set maxconn server {server} {count}")
            }
            Command::SetServerAddress(server, at) => {
                write!(f, "set server {server} addr {} port {}", at.ip(), at.port())
            }
            Command::ShutdownSessions(server) => write!(f, "shutdown sessions server {server}"),
            Command::AddServer(server, address, keywords) => {
                write!(f, "add server {server} {address}")?;
                keywords.iter().try_for_each(|keyword| write!(f, " {keyword}"))
            }
            Command::DelServer(server) => write!(f, "del server {server}"),
            Command::EnableServer(server) => write!(f, "enable server {server}"),
            Command::EnableHealth(server) => write!(f, "enable health {server}"),
            Command::ShowProc => f.write_str("show proc"),
            Command::Reload => f.write_str("reload"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ServerName {
        ServerName::new("app", "a").unwrap()
    }

    #[test]
    fn each_target_has_its_form() {
        let line = |target, commands| Batch::new(target, commands).unwrap().render();
        let turn = || {
            vec![
                Command::SetServerState(server(), AdminState::Maint),
                Command::ShutdownSessions(server()),
            ]
        };
        assert_eq!(
            line(Target::Worker, turn()),
            "set server app/a state maint;shutdown sessions server app/a\n"
        );
        assert_eq!(
            line(Target::Pid(7), turn()),
            "@!7 set server app/a state maint;@!7 shutdown sessions server app/a;quit\n"
        );
        assert_eq!(line(Target::CurrentWorker, vec![Command::ShowInfo]), "@1 show info;quit\n");
        assert_eq!(line(Target::Master, vec![Command::ShowProc]), "show proc;quit\n");
        assert_eq!(line(Target::Master, vec![Command::Reload]), "reload\n");
    }

    #[test]
    fn answers_that_could_not_be_told_apart_are_refused() {
        let delete = Command::DelServer(server());
        let batch = |target, commands| Batch::new(target, commands).map(drop);
        assert_eq!(batch(Target::Worker, vec![]), Err(BadBatch::Empty));
        assert_eq!(
            batch(Target::Worker, vec![delete.clone(), Command::ShowStat]),
            Err(BadBatch::MustBeLast("del server app/a".to_owned()))
        );
        assert_eq!(batch(Target::Worker, vec![Command::ShowStat, delete]), Ok(()));
        assert_eq!(
            batch(Target::Worker, vec![Command::Reload]),
            Err(BadBatch::WrongTarget("reload".to_owned()))
        );
        assert_eq!(
            batch(Target::Master, vec![Command::ShowStat]),
            Err(BadBatch::WrongTarget("show stat".to_owned()))
        );
    }

    #[test]
    fn an_address_is_given_without_brackets() {
        let set = Command::SetServerAddress(server(), "[fd00::1]:80".parse().unwrap());
        assert_eq!(set.to_string(), "set server app/a addr fd00::1 port 80");
    }

    #[test]
    fn add_server_takes_words_apart() {
        let word = |text: &str| Token::new(text).unwrap();
        let add =
            Command::AddServer(server(), word("127.0.0.1:9"), vec![word("maxconn"), word("1")]);
        assert_eq!(add.to_string(), "add server app/a 127.0.0.1:9 maxconn 1");
    }
}
