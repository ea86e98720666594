//! Where a host's SSH server is, who we are there, and which host keys we trust.
//!
//! It does not touch the network and keeps no private key in memory: the key file is read again
//! at each login, so that a rotated key is used without a restart.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PublicKey};

/// Everything needed to log in to one host.
#[derive(Debug, Clone)]
pub struct SshTarget {
    /// The host's configured name, for messages only.
    pub host_label: String,
    /// IP address or name.
    pub address: String,
    /// TCP port of sshd.
    pub port: u16,
    /// The unprivileged user we log in as.
    pub user: String,
    /// Our private key: an OpenSSH or PEM file without a passphrase.
    pub key_path: PathBuf,
    /// The host keys that we accept, and no other.
    pub pinned: Vec<HostKey>,
    /// How long we wait for what.
    pub timing: SshTiming,
}

/// How long one SSH connection waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SshTiming {
    /// Limit for TCP connect, key exchange and login together.
    pub connect: Duration,
    /// After this much silence a keepalive is sent.
    pub keepalive_interval: Duration,
    /// After this many unanswered keepalives the connection counts as dead.
    pub keepalive_failures: usize,
}

impl Default for SshTiming {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            keepalive_interval: Duration::from_secs(1),
            keepalive_failures: 2,
        }
    }
}

/// A host's public key as pinned at set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    pub(crate) fn new(key: PublicKey) -> Self {
        // The comment is decoration; two keys that differ only there are the same key.
        Self(PublicKey::new(key.key_data().clone(), ""))
    }

    /// The fingerprint as `ssh-keygen -l` prints it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The algorithms with which a server can prove that it owns this key, best first.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        match self.0.algorithm() {
            Algorithm::Rsa { .. } => vec![
                Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            ],
            other => vec![other],
        }
    }
}

impl FromStr for HostKey {
    type Err = BadHostKey;

    /// Reads one line in the form of a `.pub` file: `ssh-ed25519 AAAA… comment`.
    fn from_str(line: &str) -> Result<Self, BadHostKey> {
        PublicKey::from_openssh(line.trim())
            .map(Self::new)
            .map_err(|error| BadHostKey { why: error.to_string() })
    }
}

impl std::fmt::Display for HostKey {
    /// Prints the line that [`FromStr`] reads.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0.to_openssh().map_err(|_| std::fmt::Error)?)
    }
}

/// A line that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an OpenSSH public key: {why}")]
pub struct BadHostKey {
    why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_key_line_round_trips_and_its_comment_does_not_matter() {
        let bare: HostKey = LINE.parse().unwrap();
        let commented: HostKey = format!("{LINE} root@node-a\n").parse().unwrap();
        assert_eq!(bare, commented);
        assert_eq!(commented.to_string(), LINE);
        assert!(bare.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn garbage_is_refused() {
        assert!("ssh-ed25519 nonsense".parse::<HostKey>().is_err());
        assert!("".parse::<HostKey>().is_err());
    }
}
