//! The power fence: whether it could be used now, for every host.

use super::FAILOVER;
use crate::policy::FenceGrade;
use crate::validate::{Check, Examine, Examined, Inputs, Outcome, Severity};

const FIX: &str =
    "see `ha-observer fence test`; correct [fence] in the pair's file, or its credentials";

pub(super) const POWER_FENCE: Check = Check {
    id: "power-fence",
    title: "the power fence that a failover needs answers for every host",
    severity: Severity::Severe,
    readies: FAILOVER,
    why: "the grade asks for a master that is proven off, or stopped though it is silent",
    after: "",
    fix: FIX,
    examine: Examine::Pair(needed),
};

pub(super) const POWER_FENCE_BESIDE: Check = Check {
    id: "power-fence-beside",
    title: "the power fence that stands beside the proxies answers for every host",
    severity: Severity::Warning,
    readies: FAILOVER,
    why: "a failover goes on without it, and a silent old master is left with its power",
    after: "the old master may go on working for those who reach it past the proxies",
    fix: FIX,
    examine: Examine::Pair(beside),
};

fn needed(inputs: &Inputs<'_>) -> Examined {
    let policy = &inputs.spec.policy;
    match (policy.fence, policy.power_fence) {
        (FenceGrade::ProxiedOff, _) => Outcome::skipped("the grade of the fence asks for none"),
        (FenceGrade::Stopped, None) => Outcome::skipped("none is configured"),
        (FenceGrade::PoweredOff, None) => Outcome::failed_with_fix(
            "the grade of the fence asks for one, and none is configured",
            "write [fence] in the pair's file, as `ha-observer config --default pair` shows it",
        ),
        (FenceGrade::Stopped | FenceGrade::PoweredOff, Some(_)) => answers(inputs),
    }
}

fn beside(inputs: &Inputs<'_>) -> Examined {
    let policy = &inputs.spec.policy;
    match (policy.fence, policy.power_fence) {
        (FenceGrade::ProxiedOff, Some(_)) => answers(inputs),
        _ => Outcome::skipped("none stands beside the proxies"),
    }
}

/// A command that does not say what the power is cannot be relied on to switch it either.
fn answers(inputs: &Inputs<'_>) -> Examined {
    let mut said = Vec::new();
    let mut amiss = Vec::new();
    for host in &inputs.spec.hosts {
        match &inputs.host(host)?.power {
            Some(Ok(power)) => said.push(format!("{host}: {}", power.name())),
            Some(Err(why)) => amiss.push(format!("{host}: {}", why.0)),
            None => amiss.push(format!("{host}: it was not asked")),
        }
    }
    if amiss.is_empty() {
        Outcome::passed(said.join(", "))
    } else {
        Outcome::failed(amiss.join("; "))
    }
}
