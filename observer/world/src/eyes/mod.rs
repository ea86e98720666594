//! Answers looks: one function per kind, each ending in what was seen or the reason for silence.
//!
//! It judges nothing: what an answer means for the pair is the core's work.

pub(crate) mod bouncer;
mod database;
pub(crate) mod disk;
pub(crate) mod files;
mod lineage;
pub(crate) mod machine;
pub(crate) mod monitor;
pub(crate) mod mounts;
pub(crate) mod port;
pub(crate) mod proxy;
pub(crate) mod proxy_file;
pub(crate) mod readiness;
mod sessions;
pub(crate) mod silence;

use std::time::Duration;

use observer_core::sighting::{Look, Seen, Silent};
use observer_core::words::{BouncerName, HostName, ProxyName};

pub(crate) use disk::LittleRoom;
pub(crate) use lineage::Lineage;
pub(crate) use machine::RanInThisBoot;
pub(crate) use proxy_file::FileCache;

use crate::pair_world::{Bouncer, Host, Inner, Proxy};

/// Answers one look within `deadline`, which the caller enforces.
pub(crate) async fn look(
    world: &Inner,
    look_at: &Look,
    deadline: Duration,
) -> Result<Seen, Silent> {
    match look_at {
        Look::Machine(name) => machine::look(world, host(world, name)?, deadline).await,
        Look::Database(name) => database::look(host(world, name)?, deadline).await,
        Look::Write(name) => database::write(world, host(world, name)?, deadline).await,
        Look::Disk(name) => disk::look(host(world, name)?, deadline).await,
        Look::Files(name) => files::look(world, host(world, name)?, deadline).await,
        Look::External(name) => port::external(world, host(world, name)?, deadline).await,
        Look::Sessions(name) => sessions::look(world, host(world, name)?, deadline).await,
        Look::Mount { host: name, mount } => {
            mounts::look(host(world, name)?, mount, deadline).await
        }
        Look::Port { host: name, from } => {
            port::database(world, host(world, name)?, from, deadline).await
        }
        Look::Application { host: name, from } => {
            port::application(world, host(world, name)?, from, deadline).await
        }
        Look::Readiness { host: name, service } => {
            readiness::look(world, host(world, name)?, service).await
        }
        Look::Proxy(name) => proxy::look(world, proxy_of(world, name)?, deadline).await,
        Look::ProxyFile(name) => proxy_file::look(world, proxy_of(world, name)?, deadline).await,
        Look::Bouncer(name) => bouncer::look(bouncer_of(world, name)?, deadline).await,
    }
}

fn host<'a>(world: &'a Inner, name: &HostName) -> Result<&'a Host, Silent> {
    world.host(name).ok_or_else(|| Silent::Denied(format!("{name} is no host of the pair")))
}

fn proxy_of<'a>(world: &'a Inner, name: &ProxyName) -> Result<&'a Proxy, Silent> {
    world.proxy(name).ok_or_else(|| Silent::Denied(format!("{name} is no proxy of the pair")))
}

fn bouncer_of<'a>(world: &'a Inner, name: &BouncerName) -> Result<&'a Bouncer, Silent> {
    world.bouncer(name).ok_or_else(|| Silent::Denied(format!("{name} is no PgBouncer of the pair")))
}
