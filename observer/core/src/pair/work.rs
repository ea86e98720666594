//! What goes in and out of a pair's machine.

use crate::drive::{Answer, Order, Reply};
use crate::event::{Event, FileChange};
use crate::files::PassOrder;
use crate::files::verify::Verified;
use crate::journal::Record;
use crate::parity::Told;
use crate::plan::{Plan, Proof};
use crate::policy::PairSpec;
use crate::sighting::{Look, Sighting};
use crate::validate::Readiness;
use crate::words::{Epoch, PlanId};

/// Number of one request to the world, so that a late answer to an older one is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What the world tells.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A look was answered, or not.
    Sighted(Box<Sighting>),
    /// An established connection broke: look at once.
    Alarm,
    /// A record is durable.
    Recorded(Ticket),
    /// A record could not be written.
    NotRecorded(Ticket, String),
    /// What came of an effect.
    Replied(Ticket, Reply),
    /// What a look for a proof showed.
    Looked(Ticket, Answer),
    /// The store's own write test.
    JournalTested(Result<(), String>),
    /// The newest epoch any host carries.
    EpochSeen(Epoch),
    /// What a validation found after a switchover.
    Validated {
        /// The switchover.
        plan: PlanId,
        /// What the pair is ready for.
        ready: Vec<Readiness>,
        /// What stands against the rest, a sentence each.
        against: Vec<String>,
    },
    /// What became known of an item of parity, or was done about it.
    Parity(Told),
    /// A slave's copy of a file set was compared with the master's.
    FilesVerified(Box<Verified>),
    /// What became of one proxy's file in an order to change it.
    ProxyFile(FileChange),
    /// Finish the step, leave the plan resumable, ask for nothing more.
    Stop,
    /// The configuration was read anew.
    Reconfigured(Box<PairSpec>),
}

/// What the world is asked for.
#[derive(Debug)]
pub enum Work {
    /// Look, and answer with `Sighted`, in this many milliseconds at most.
    Look {
        /// At what.
        look: Look,
        /// How long it may take, in milliseconds.
        deadline_ms: u64,
    },
    /// Make this durable, then answer `Recorded` or `NotRecorded`.
    Record {
        /// To be named in the answer.
        ticket: Ticket,
        /// What to write.
        record: Record,
    },
    /// Perform this, then answer `Replied`.
    Perform {
        /// To be named in the answer.
        ticket: Ticket,
        /// What to do.
        order: Order,
    },
    /// Look for this proof, then answer `Looked`.
    Prove {
        /// To be named in the answer.
        ticket: Ticket,
        /// What to look for.
        proof: Proof,
        /// The epoch a written row must carry.
        epoch: Epoch,
        /// How long it may take, in milliseconds.
        deadline_ms: u64,
    },
    /// Let a slave fetch what has changed in a file set. Nothing is answered: the next look at the
    /// host's file sets shows what came of it.
    Pass(PassOrder),
    /// Tell people.
    Tell(Box<Event>),
}

/// What a record on its way to the disk was for.
#[derive(Debug)]
pub(super) enum Writing {
    /// A step of the drive.
    Drive(Record),
    /// The opening of this plan.
    Opening(Box<Plan>, Record),
    /// Something that only changes what is remembered.
    Memory(Record),
}

impl Writing {
    pub(super) fn record(&self) -> &Record {
        match self {
            Writing::Drive(record) | Writing::Opening(_, record) | Writing::Memory(record) => {
                record
            }
        }
    }
}
