//! `proxy`: the verbs about haproxy.cfg, for a file of this machine and for the pair's proxies.

mod file;
mod new;
mod remote;
mod show;

use super::args::Common;
use super::proxy_args::{ProxyAction, ProxyArgs};
use super::{Desk, Exit, Failure};

/// The verbs that need no daemon.
pub(super) fn without_daemon(args: ProxyArgs, common: &Common) -> Result<Exit, Failure> {
    match args.action {
        ProxyAction::Lint { target, fix, order } => file::lint(&target, fix, &order, common),
        ProxyAction::Import { target, apply, steps, master, order } => {
            file::import(&target, file::Wanted { apply, steps, master }, &order, common)
        }
        ProxyAction::New(args) => new::print_new(&args, common),
        _ => Err(Failure::Unexpected("this verb asks the daemon".to_owned())),
    }
}

/// The verbs about the pair's proxies.
pub(super) async fn with_daemon(desk: &Desk, args: ProxyArgs) -> Result<Exit, Failure> {
    match args.action {
        ProxyAction::Lint { target, fix: false, .. } => remote::lint(desk, target.proxy).await,
        ProxyAction::Lint { target, fix: true, order } => {
            remote::fix(desk, target.proxy, order).await
        }
        ProxyAction::Import { target, apply, steps, order, .. } => {
            remote::import(desk, target.proxy, steps, apply, order).await
        }
        ProxyAction::History { proxy } => remote::history(desk, proxy).await,
        ProxyAction::Diff { n, proxy } => remote::diff(desk, proxy, n).await,
        ProxyAction::Rollback { n, proxy, order } => remote::roll_back(desk, proxy, n, order).await,
        ProxyAction::New(_) => Err(Failure::Unexpected("this verb asks no daemon".to_owned())),
    }
}
