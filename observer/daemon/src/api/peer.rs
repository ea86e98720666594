//! Who is at the other end of the Unix socket, by the kernel's own word.
//!
//! It grants nothing: who may connect is decided by the socket's mode and group.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use nix::unistd::{Uid, User};
use tokio::net::UnixListener;

/// The process that connected.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    uid: Option<u32>,
}

impl Peer {
    /// As it is written into events and the audit: the account's name with its number.
    pub(super) fn name(&self) -> String {
        let Some(uid) = self.uid else { return "unknown".to_owned() };
        match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => format!("{} (uid {uid})", user.name),
            _ => format!("uid {uid}"),
        }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}
