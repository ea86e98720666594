//! Where the members of a pair are and how they are reached, in the world's own types.
//!
//! The only file of the configuration that names `observer_world`'s access types.

pub(crate) use observer_world::access::{
    BouncerAccess, DatabaseAccess, HostAccess, HttpProbe, HttpReadiness, ListensAt, MonitorAccess,
    PairAccess, ProxyAccess, ProxyServer, ReadinessProbe, ReadinessQuestion, SshAccess,
};
