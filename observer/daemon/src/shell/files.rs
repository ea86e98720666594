//! The proxies' files, at the pair's task: read, and changed when a person orders it.
//!
//! Whether a change may be made is the core's word, asked again for each file. A change runs beside
//! the task; the pair goes on looking, and its plans go first.

use std::time::Duration;

use haproxy::Members;
use observer_core::event::{FileBecame, FileChange};
use observer_core::pair::{Input, Refusal};
use observer_core::policy::{Mode, OnDrift};
use observer_core::words::{Epoch, HostName, PairName, ProxyName};
use observer_world::pair_world::{Applied, NewFile, PairWorld};
use observer_world::store::{NewVersion, VersionState};

use super::asks::Ask;
use super::clock::Clock;
use super::pair_task::PairTask;
use super::store::StoreArchive;
use super::world::World;
use super::writer::Write;
use crate::report::partial::{CarriedOut, PartialChange};

/// Where a partly done change is kept in the store.
pub(super) const KEY: &str = "partial-change";

/// How long reading one file may take.
const READ: Duration = Duration::from_secs(5);

/// A proxy's file as it was read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    /// The proxy.
    pub(crate) proxy: ProxyName,
    /// Which of its servers are the pair's.
    pub(crate) members: Members,
    /// Where it lies and what is in it, or why that is not known.
    pub(crate) content: Result<(String, Vec<u8>), String>,
    /// Every file that HAProxy loads, in order, or why the others are not known.
    pub(crate) loaded: Result<Vec<(String, Vec<u8>)>, String>,
}

/// What a change is allowed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FilesAllowed {
    /// The host that users are let in to, and no other.
    pub(crate) master: HostName,
    /// The pair's epoch.
    pub(crate) epoch: Epoch,
    /// How often plans had acted at the proxies.
    acted: u64,
}

impl<W: World> PairTask<W> {
    /// Answers what is about the proxies' files. An asker that no longer listens changes nothing.
    pub(super) fn about_files(&self, ask: Ask) {
        let world = self.world.clone();
        match ask {
            Ask::ReadFiles(proxies, reply) => {
                tokio::task::spawn_local(async move {
                    let mut files = Vec::new();
                    for proxy in proxies {
                        let content = world.proxy_file(&proxy, READ).await;
                        let loaded = match &content {
                            Ok((_, bytes)) => world.loaded_files(&proxy, bytes, READ).await,
                            Err(why) => Err(why.clone()),
                        };
                        let members = world.members(&proxy);
                        files.push(ReadFile { members, proxy, content, loaded });
                    }
                    let _ = reply.send(files);
                });
            }
            Ask::MayChangeFiles(reply) => {
                let _ = reply.send(self.may_change_files());
            }
            Ask::Prepare(files, reply) => {
                tokio::task::spawn_local(async move {
                    let mut against = Vec::new();
                    for file in files {
                        if let Err(why) = world.prepare(&file).await {
                            against.push((file.proxy, why));
                        }
                    }
                    let _ = reply.send(against);
                });
            }
            Ask::Apply(file, allowed, reply) => self.apply(file, allowed, reply),
            // The others are answered before this is asked.
            _ => {}
        }
    }

    fn may_change_files(&self) -> Result<FilesAllowed, Refusal> {
        let master = self.pair.file_change(self.clock.now())?;
        let (epoch, acted) = (self.pair.memory().epoch, self.world.plans_acted());
        Ok(FilesAllowed { master, epoch, acted })
    }

    /// Tells what became of an order, proxy by proxy, and keeps what is partly done.
    pub(super) fn carried_out(&mut self, order: &CarriedOut) {
        let epoch = self.pair.memory().epoch;
        for file in &order.files {
            let became = match file.state.as_deref() {
                Some("loaded") => FileBecame::Loaded,
                Some("refused") => FileBecame::Refused,
                Some("rolled-back") => FileBecame::RolledBack,
                Some(_) => FileBecame::Unsettled,
                None => continue,
            };
            let change = FileChange {
                proxy: ProxyName::new(file.proposed.proxy.as_deref().unwrap_or_default()),
                version: file.version,
                became,
                epoch,
                reason: order.title.clone(),
                by: order.by.clone(),
                note: file.note.clone(),
            };
            self.pair.handle(Input::ProxyFile(change), self.clock.now());
        }
        self.keep_partial(PartialChange::after(self.partial.clone(), order));
    }

    /// Keeps what is partly done while the order goes on, in case this life ends before it does.
    /// `status` shows nothing of it yet, so that nobody else goes on with it meanwhile.
    pub(super) fn under_way(&mut self, order: &CarriedOut) {
        self.partial_ahead = true;
        self.remember_partial(PartialChange::after(self.partial.clone(), order).as_ref());
    }

    fn remember_partial(&self, partial: Option<&PartialChange>) {
        let body = serde_json::to_string(&partial).unwrap_or_default();
        self.write(Write::Remember(KEY, body));
    }

    /// What is partly done cannot be gone on with at this proxy.
    pub(super) fn outdated(&mut self, proxy: &ProxyName) {
        let partial = self.partial.clone().map(|partial| partial.outdated(proxy.as_str()));
        self.keep_partial(partial);
    }

    fn keep_partial(&mut self, partial: Option<PartialChange>) {
        if std::mem::take(&mut self.partial_ahead) || partial != self.partial {
            self.remember_partial(partial.as_ref());
            self.partial = partial;
        }
    }

    /// What `status` shows of it.
    pub(super) fn partial_status(&self) -> Option<PartialChange> {
        let policy = &self.pair.spec().policy;
        let by_itself = policy.on_drift == OnDrift::Repair && policy.mode == Mode::Auto;
        self.partial.clone().map(|partial| PartialChange { by_itself, ..partial })
    }

    fn apply(
        &self,
        file: NewFile,
        allowed: FilesAllowed,
        reply: tokio::sync::oneshot::Sender<Applied>,
    ) {
        match self.may_change_files() {
            Ok(now) if now == allowed => {}
            Ok(_) => {
                let why = "the pair has changed its master, or acted at a proxy, meanwhile";
                return drop(reply.send(Applied::Refused(why.to_owned())));
            }
            Err(why) => return drop(reply.send(Applied::Refused(why.to_string()))),
        }
        let (world, crash, changing) =
            (self.world.clone(), self.crash.clone(), self.changing.clone());
        changing.set(changing.get() + 1);
        tokio::task::spawn_local(async move {
            crash.file(None);
            let applied = world.apply(&file, allowed.acted, &|step| crash.file(Some(step))).await;
            changing.set(changing.get().saturating_sub(1));
            let _ = reply.send(applied);
        });
    }
}

/// Keeps every content that plans write into the proxies' files, as long as `world` lives.
pub(super) fn keep_written(
    pair: &PairName,
    world: &PairWorld,
    archive: &StoreArchive,
    clock: Clock,
) {
    let Some(mut written) = world.written() else { return };
    let (pair, archive) = (pair.clone(), archive.clone());
    tokio::spawn(async move {
        while let Some(file) = written.recv().await {
            let proxy = file.proxy.to_string();
            let version = NewVersion {
                pair: pair.to_string(),
                proxy: proxy.clone(),
                file: file.file,
                at_ms: clock.now().0,
                epoch: file.epoch.0,
                before: file.before,
                after: file.after,
                reason: file.reason,
                by: "ha-observer".to_owned(),
                state: VersionState::Written,
            };
            if let Err(why) = archive.keep_version(version).await {
                tracing::warn!(%pair, proxy, %why, "a version of haproxy.cfg could not be kept");
            }
        }
    });
}
