//! Workers from before a reload where no master socket is configured to ask.
//!
//! Such a worker is neither told to hold anybody nor says whom it serves: what the runtime socket
//! shows is the new worker's alone. That it runs shows in its unit's processes.

use std::time::{Duration, Instant};

use super::reload;
use crate::pair_world::Proxy;
use crate::ssh::Command;
use crate::text::shown;

/// Prints the unit's main process, then each process of the unit with its name. Both layouts of
/// control groups are tried.
const SCRIPT: &str = r#"
echo '=== ha-observer workers'
systemctl show --property=MainPID --value -- "$1"
group=$(systemctl show --property=ControlGroup --value -- "$1")
test -n "$group" || exit 1
for file in "/sys/fs/cgroup$group/cgroup.procs" "/sys/fs/cgroup/systemd$group/cgroup.procs"; do
  test -r "$file" || continue
  while read -r pid; do echo "$pid $(cat "/proc/$pid/comm" 2>/dev/null)"; done <"$file"
  exit 0
done
exit 1
"#;

/// How many of them run.
///
/// # Errors
/// Why it cannot be told, in words for people.
pub(super) async fn unseen_workers(proxy: &Proxy, deadline: Duration) -> Result<usize, String> {
    let until = Instant::now() + deadline;
    let current = reload::worker(proxy, deadline).await?;
    let script = Command::new("/bin/sh").arg("-c").arg(SCRIPT).arg("sh").arg(&proxy.access.unit);
    let left = until.saturating_duration_since(Instant::now());
    let output = proxy.ssh.exec(&script, "", left, 64 * 1024).await;
    let output = output.map_err(|error| format!("the processes of HAProxy: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let unread = || format!("the processes of HAProxy: {}", shown(&output.stdout));
    count(&text, current).ok_or_else(unread)
}

/// Processes called haproxy, but the main one and the worker that answers.
fn count(text: &str, current: u32) -> Option<usize> {
    let (_, rest) = text.rsplit_once("=== ha-observer workers\n")?;
    let (main, processes) = rest.split_once('\n')?;
    let main: u32 = main.trim().parse().ok()?;
    let workers: Vec<u32> = processes
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, name)| *name == "haproxy")
        .filter_map(|(pid, _)| pid.parse().ok())
        .collect();
    // The one that answers is among them, or these are not its processes.
    let known = workers.contains(&current);
    known.then(|| workers.iter().filter(|pid| **pid != main && **pid != current).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_neither_answers_nor_leads_is_an_old_one() {
        let told = |processes: &str| format!("banner\n=== ha-observer workers\n10\n{processes}");
        assert_eq!(count(&told("10 haproxy\n12 haproxy\n"), 12), Some(0));
        assert_eq!(count(&told("10 haproxy\n11 haproxy\n12 haproxy\n13 sleep\n"), 12), Some(1));
        // Without a master, the main process is the worker.
        assert_eq!(count(&told("10 haproxy\n"), 10), Some(0));
        assert_eq!(count(&told("10 haproxy\n"), 12), None, "another unit's processes");
        assert_eq!(count("sh: systemctl: not found", 12), None);
    }
}
