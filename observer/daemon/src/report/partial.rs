//! A change of the proxies' files that some of them have and others do not: who has what, what is
//! done about it by itself, and what a person can do.

use observer_core::words::At;
use serde::{Deserialize, Serialize};

use super::versions::{Change, ChangedFile};

/// An order that was carried out, as far as it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CarriedOut {
    /// When it ended.
    pub(crate) at: At,
    /// Who ordered it.
    pub(crate) by: String,
    /// What.
    pub(crate) change: Change,
    /// Why, as a person gave it.
    pub(crate) reason: Option<String>,
    /// The same in one text, as the versions have it.
    pub(crate) title: String,
    /// Each proxy's file.
    pub(crate) files: Vec<ChangedFile>,
}

/// A change that stands at some of the proxies only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PartialChange {
    /// Since when.
    pub(crate) at: At,
    /// Who ordered it.
    pub(crate) by: String,
    /// What was ordered.
    pub(crate) change: Change,
    /// Why.
    pub(crate) reason: Option<String>,
    /// The proxies that it is about.
    pub(crate) proxies: Vec<Part>,
    /// Whether the policy has it brought to the proxies that wait for it.
    #[serde(default)]
    pub(crate) by_itself: bool,
}

/// One proxy's part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The proxy.
    pub(crate) proxy: String,
    /// Checksum of the content that it is to have.
    pub(crate) becomes: String,
    /// Its version, where one was begun.
    pub(crate) version: Option<u64>,
    /// How it stands.
    pub(crate) stands: Stands,
    /// What was seen.
    pub(crate) note: String,
}

/// How a proxy stands to the change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stands {
    /// It runs with it.
    Has,
    /// It was not touched: the change can be made there once the proxy lets it.
    Waits,
    /// It was taken back there, or its file is another one since the change was shown.
    NeedsPerson,
    /// What the file and the process there are is not known, or not put right.
    Unsettled,
}

impl PartialChange {
    /// What is left partly changed after an order; none where all proxies agree.
    pub(crate) fn after(before: Option<Self>, order: &CarriedOut) -> Option<Self> {
        let is_back = matches!(order.change, Change::RollBack { .. });
        let known = before.clone().filter(|known| known.change == order.change || is_back);
        let mut now = known.clone().unwrap_or_else(|| Self::none_of(order));
        for file in &order.files {
            let proxy = file.proposed.proxy.clone().unwrap_or_default();
            let is_known = now.proxies.iter().any(|part| part.proxy == proxy);
            let stands = match file.state.as_deref() {
                // An older content is there: what was changed is not any more.
                Some("loaded") if is_back => {
                    now.proxies.retain(|part| part.proxy != proxy);
                    continue;
                }
                Some("refused" | "rolled-back") if is_back => continue,
                Some("loaded") => Stands::Has,
                Some("rolled-back") => Stands::NeedsPerson,
                Some("unsettled") => Stands::Unsettled,
                Some(_) => Stands::Waits,
                None if !file.proposed.steps.is_empty() => Stands::Waits,
                // It had the content before: of interest only where it was missing.
                None if is_known && !is_back => Stands::Has,
                None => continue,
            };
            let part = Part {
                becomes: file.proposed.becomes.clone(),
                version: file.version,
                stands,
                note: file.note.clone(),
                proxy: proxy.clone(),
            };
            match now.proxies.iter_mut().find(|part| part.proxy == proxy) {
                Some(own) => *own = part,
                None => now.proxies.push(part),
            }
        }
        let touched = order
            .files
            .iter()
            .any(|file| matches!(file.state.as_deref(), Some("loaded" | "unsettled")));
        if known.is_none() && !touched {
            // Another order that changed nothing leaves what there was.
            return before;
        }
        now.is_partly().then_some(now)
    }

    /// Says that a proxy's file is not what the change was drawn for any more.
    pub(crate) fn outdated(mut self, proxy: &str) -> Self {
        for part in self.proxies.iter_mut().filter(|part| part.proxy == proxy) {
            part.stands = Stands::NeedsPerson;
            part.note = "its file is another one since the change was shown".to_owned();
        }
        self
    }

    /// The proxies that it can still be brought to.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Part> {
        self.proxies.iter().filter(|part| part.stands == Stands::Waits)
    }

    /// The line in `status`: who has what, and how to go on.
    pub(crate) fn sentence(&self) -> String {
        let name = match self.change {
            Change::Import { .. } => "import",
            Change::Fix => "lint --fix",
            Change::RollBack { .. } => "rollback",
        };
        let part = |part: &Part| {
            let version = part.version.filter(|_| part.stands == Stands::Has);
            match (part.stands, version) {
                (Stands::Has, Some(number)) => format!("{} has it (version {number})", part.proxy),
                (Stands::Has, None) => format!("{} has it", part.proxy),
                (Stands::Unsettled, _) => format!("{} is unsettled: {}", part.proxy, part.note),
                (_, _) if part.note.is_empty() => format!("{} does not", part.proxy),
                (_, _) => format!("{} does not: {}", part.proxy, part.note),
            }
        };
        let parts: Vec<String> = self.proxies.iter().map(part).collect();
        let alone = |part: &Part| matches!(part.stands, Stands::Has | Stands::Waits);
        let alone = self.proxies.iter().all(alone);
        let next = if alone && self.by_itself {
            "it is brought there once the proxy lets it"
        } else {
            "mend what is named and give the order again, or take the changed ones back with \
             `ha-observer proxy rollback N --proxy NAME`"
        };
        format!("proxy files partly changed ({name} by {}): {}; {next}", self.by, parts.join("; "))
    }

    fn none_of(order: &CarriedOut) -> Self {
        Self {
            at: order.at,
            by: order.by.clone(),
            change: order.change.clone(),
            reason: order.reason.clone(),
            proxies: Vec::new(),
            by_itself: false,
        }
    }

    fn is_partly(&self) -> bool {
        let has = self.proxies.iter().filter(|part| part.stands == Stands::Has).count();
        let unsettled = self.proxies.iter().any(|part| part.stands == Stands::Unsettled);
        unsettled || (has > 0 && has < self.proxies.len())
    }
}

#[cfg(test)]
#[path = "partial_tests.rs"]
mod tests;
