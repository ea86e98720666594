//! What a scenario sets before it begins: the policy, and more members.

use observer_core::policy::{
    Durability, FenceGrade, Mode, OnCleanShutdown, OnDatabaseCrash, OnDrift, OnEnabled, OnReturn,
    OnSlaveLost, Placement, PowerFence, Probed, ReadinessSpec, ServiceSpec, Store, UserWait,
    UsersGo, WhenUndone,
};
use observer_core::words::HostName;

use crate::machine::Running;
use crate::monitor;
use crate::run::Setup;

fn power_fence(when_undone: WhenUndone) -> PowerFence {
    PowerFence { deadline_ms: 10_000, when_undone }
}

/// A service of the master that users wait for, with a readiness probe of its own.
fn portal() -> ServiceSpec {
    ServiceSpec {
        name: "portal".into(),
        unit: "portal.service".to_owned(),
        placement: Placement::Master,
        probed: Probed::Unit,
        readiness: Some(ReadinessSpec { deadline_ms: 2_000 }),
        users: UserWait::Wait,
        start_deadline_ms: 10_000,
        stop_deadline_ms: Some(4_000),
    }
}

/// Applies one line that begins with `set`; none for one that is not known.
pub(super) fn apply_setting(setup: &mut Setup, setting: &str) -> Option<()> {
    let policy = &mut setup.spec.policy;
    match setting {
        "mode observe-only" => policy.mode = Mode::ObserveOnly,
        "mode off" => policy.mode = Mode::Off,
        "fence stopped" => policy.fence = FenceGrade::Stopped,
        "fence powered-off" => policy.fence = FenceGrade::PoweredOff,
        "power-fence" => policy.power_fence = Some(power_fence(WhenUndone::StaysOff)),
        "power-fence switch-on" => policy.power_fence = Some(power_fence(WhenUndone::SwitchOn)),
        "on-database-crash fail-over" => policy.on_database_crash = OnDatabaseCrash::FailOver,
        "on-clean-shutdown fail-over" => policy.on_clean_shutdown = OnCleanShutdown::FailOver,
        "durability sync" => policy.durability = Durability::Sync,
        "on-slave-lost wait" => policy.on_slave_lost = OnSlaveLost::Wait,
        "on-drift show" => policy.on_drift = OnDrift::Show,
        "on-enabled show" => policy.on_enabled = OnEnabled::Show,
        "on-enabled leave" => policy.on_enabled = OnEnabled::Leave,
        "on-return ask" => policy.on_return = OnReturn::Ask,
        "three-hosts" => setup.spec.hosts.push(HostName::new("node-c")),
        "detection 10s" => policy.detection_ms = 10_000,
        "lease 12s" => policy.lease_ms = Some(12_000),
        "guard in-place" => setup.guarded = Running::Yes,
        "monitor-file" => setup.spec.monitor = Some(monitor::spec(UsersGo::Master)),
        "monitor-file every-host" => {
            setup.spec.monitor = Some(monitor::spec(UsersGo::EveryHost));
        }
        "external-database" => setup.spec.store = Store::External,
        "every-host" => setup.spec.sharing = setup.spec.proxies.clone(),
        "mount" => setup.spec.mounts = vec![crate::mount::one_mount()],
        "files" => setup.spec.files = vec![crate::files::one_set()],
        "files named" => setup.spec.files = vec![crate::files::named_set()],
        "no-application" => setup.spec.services.clear(),
        "portal" => setup.spec.services.push(portal()),
        "application-on-master" => setup.spec.services[0].placement = Placement::Master,
        _ => return None,
    }
    Some(())
}
