//! Comparing a slave's copy of a file set with the master's, when a person asks for it.
//!
//! It judges nothing. One comparison at a time runs beside the pair's task, for hours if need be;
//! what comes of it comes back as one more input of the task's loop. It ends early where a plan is
//! opened, which has the disks for itself, and where nobody follows it any more.

use std::collections::BTreeMap;
use std::time::Duration;

use observer_core::files::verify::{By, LastVerified, Progress, Purpose, Verification, Verified};
use observer_core::pair::{Input, Refusal};
use observer_core::words::FileSetName;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::pair_task::PairTask;
use super::world::World;
use super::writer::Write;
use crate::api::types::{Comparing, VerifyRequest};
use crate::report::verify::Comparison;

/// How often it is looked whether it should go on.
const MIND_EVERY: Duration = Duration::from_millis(500);
/// How long it goes on while nobody asks how far it is.
const UNFOLLOWED_MAX: Duration = Duration::from_secs(60);
/// Key of what is kept, in the store's memory.
pub(super) const KEY: &str = "files-verified";

/// What the last verifications of each set said.
pub(crate) type Memory = BTreeMap<FileSetName, LastVerified>;

/// An order to compare.
#[derive(Clone, Debug)]
pub(crate) struct CompareOrder {
    /// Who.
    pub(crate) by: String,
    /// What.
    pub(crate) request: VerifyRequest,
}

/// Why nothing is compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotCompared {
    /// The core says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// One at a time.
    #[error("files {0} are being compared already")]
    Running(FileSetName),
}

/// A comparison that is over.
#[derive(Debug)]
pub(super) struct Over {
    number: u64,
    by: String,
    purpose: Purpose,
    result: Result<Verification, String>,
}

/// Where the comparing stands.
pub(super) struct Verifying {
    number: u64,
    running: Option<Running>,
    /// The last one that is over.
    over: Option<(u64, Result<Verification, String>)>,
    tell: mpsc::UnboundedSender<Over>,
}

struct Running {
    set: FileSetName,
    progress: watch::Receiver<Progress>,
    followed: watch::Sender<Instant>,
}

impl Verifying {
    /// Nothing was compared yet in this life.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Over>) {
        let (tell, inbox) = mpsc::unbounded_channel();
        (Self { number: 0, running: None, over: None, tell }, inbox)
    }
}

impl<W: World> PairTask<W> {
    /// Begins a comparison.
    pub(super) fn asked_verify(
        &mut self,
        order: CompareOrder,
        reply: oneshot::Sender<Result<u64, NotCompared>>,
    ) {
        let begun = self.begin_verify(order);
        let _ = reply.send(begun);
    }

    fn begin_verify(&mut self, order: CompareOrder) -> Result<u64, NotCompared> {
        if let Some(running) = &self.verifying.running {
            return Err(NotCompared::Running(running.set.clone()));
        }
        let CompareOrder { by, request } = order;
        let purpose = self.purpose(&request);
        let order = self.pair.verification(&request.set, purpose.clone())?;
        self.verifying.number += 1;
        let (progress, shown) = watch::channel(Progress::default());
        let (followed, mut follows) = watch::channel(Instant::now());
        let set = order.set.clone();
        self.verifying.running = Some(Running { set, progress: shown, followed });
        let (number, tell) = (self.verifying.number, self.verifying.tell.clone());
        let (world, view) = (self.world.clone(), self.view.subscribe());
        tokio::task::spawn_local(async move {
            let stopped = async {
                loop {
                    tokio::time::sleep(MIND_EVERY).await;
                    if let Some(plan) = &view.borrow().status.plan {
                        return format!(
                            "plan {} was opened meanwhile\n  fix: compare again after it",
                            plan.plan
                        );
                    }
                    if follows.borrow_and_update().elapsed() > UNFOLLOWED_MAX {
                        return "nobody followed it any more".to_owned();
                    }
                }
            };
            let result = tokio::select! {
                result = world.verify_files(&order, &progress) => result,
                why = stopped => Err(why),
            };
            // Nobody listens any more only while the daemon stops.
            let _ = tell.send(Over { number, by, purpose, result });
        });
        Ok(number)
    }

    fn purpose(&self, request: &VerifyRequest) -> Purpose {
        if let Some(below) = &request.diff {
            let below = below.trim_start_matches("./").trim_matches('/');
            return Purpose::Diff { below: below.as_bytes().to_vec() };
        }
        let spec = self.pair.spec().files.iter().find(|spec| spec.name == request.set);
        let by = match request.by {
            Comparing::Metadata => By::Metadata,
            Comparing::Content => By::Content,
            Comparing::Sample => By::Sample {
                percent: request.percent.or(spec.map(|spec| spec.verify_percent)).unwrap_or(5),
                seed: request.seed.unwrap_or(self.clock.now().0),
            },
        };
        Purpose::Verify { by, database: request.database }
    }

    /// Says how a comparison stands, and takes note that somebody follows it.
    pub(super) fn asked_verification(&self, number: u64, reply: oneshot::Sender<Comparison>) {
        let stands = match (&self.verifying.running, &self.verifying.over) {
            (Some(running), _) if self.verifying.number == number => {
                running.followed.send_replace(Instant::now());
                Comparison::Running { progress: running.progress.borrow().clone() }
            }
            (_, Some((over, result))) if *over == number => match result.clone() {
                Ok(result) => Comparison::Done { result: Box::new(result) },
                Err(why) => Comparison::Failed { why },
            },
            _ => Comparison::Unknown,
        };
        let _ = reply.send(stands);
    }

    /// Takes in what came of a comparison; only a verification is told and kept.
    pub(super) fn verification_over(&mut self, over: Over) {
        let Over { number, by, purpose, result } = over;
        self.verifying.running = None;
        if let (Ok(result), Purpose::Verify { .. }) = (&result, &purpose) {
            let now = self.clock.now();
            let verified = Verified { at: now, by, result: result.clone() };
            self.pair.handle(Input::FilesVerified(Box::new(verified)), now);
            let body = serde_json::to_string(self.pair.verified()).unwrap_or_default();
            self.write(Write::Remember(KEY, body));
            self.work();
        }
        self.verifying.over = Some((number, result));
    }
}
