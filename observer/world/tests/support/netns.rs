//! A network namespace for one test: its own loopback, its own routes, no way out.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::{needed, run};

/// Runs `test` on a thread of its own inside a fresh network namespace. Sockets that it opens and
/// programs that it starts live in there; the namespace goes with the last of them.
pub fn inside(test: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        needed(std::path::Path::new("/sbin/ip"), "iproute2");
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` in the namespace of the calling thread.
pub fn ip(arguments: &str) {
    run(Command::new("/sbin/ip").args(arguments.split(' ')));
}
