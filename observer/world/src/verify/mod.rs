//! Compares a slave's copy of a file set with the master's: manifests and hashes come as streams
//! from both hosts at once, and nothing of a tree is held.
//!
//! It starts nothing that stays and changes nothing. What something is that differs is the core's
//! word. Lists that a later stage needs lie in files without a name.
//!
//! ```text
//!   names? ──► manifests ──► hashes ──► a pass is waited for ──► manifests of the suspects
//!                                                                 └──► hashes ──► manifests
//! ```

mod hash;
mod look;
mod names;
mod spool;
mod stream;

use std::io;
use std::time::Duration;

use observer_core::files::entry::{Entry, Likeness, Owners, name_text};
use observer_core::files::exclude::Excludes;
use observer_core::files::verify::{
    By, Class, Compared, Database, EXAMPLES_MAX, Finding, NamedPaths, Progress, Purpose, Sides,
    Stage, Tally, Verification, VerifyOrder, aspects_text,
};
use observer_core::policy::FileSetSpec;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::FileSetAccess;
use crate::commands::VerifyCommands;
use crate::eyes::files::states;
use crate::pair_world::{Host, Inner, PairWorld};
use hash::{Hashed, Hashing};
use names::Names;
use spool::{Reading, Spool};
use stream::{Manifest, Merge, Side};

/// Lines that a diff shows of each class.
const DIFF_MAX: usize = 200;
/// Folders that cannot be read of which it is known what is in them.
const SHUT_MAX: usize = 1_000;
/// How often it is looked whether a pass has come.
const PASS_LOOK: Duration = Duration::from_secs(1);
const PASS_ANSWER: Duration = Duration::from_secs(5);
/// What is waited for a pass to begin, beyond two turns.
const PASS_GRACE: Duration = Duration::from_secs(5);

impl PairWorld {
    /// Compares a set as `order` says, within the set's limit, and tells how far it is. Dropped,
    /// it ends what it has begun on the hosts. The error names what to do.
    pub async fn verify_files(
        &self,
        order: &VerifyOrder,
        progress: &watch::Sender<Progress>,
    ) -> Result<Verification, String> {
        let verifier = Verifier::new(self.inner(), order, progress)?;
        let limit = Duration::from_millis(verifier.access.verify_limit_ms);
        let late = |_| {
            let set = &order.set;
            Err(format!(
                "it took longer than {}\n  fix: raise `verify_limit` of files {set}, or compare a \
                 sample",
                observer_core::words::human_ms(verifier.access.verify_limit_ms)
            ))
        };
        tokio::time::timeout(limit, verifier.run()).await.unwrap_or_else(late)
    }
}

/// Everything that one comparison needs.
struct Verifier<'w> {
    order: &'w VerifyOrder,
    spec: &'w FileSetSpec,
    access: &'w FileSetAccess,
    master: (Side<'w>, &'w VerifyCommands),
    slave: (Side<'w>, &'w VerifyCommands),
    like: Likeness,
    excludes: Excludes,
    progress: &'w watch::Sender<Progress>,
    began: Instant,
}

/// What is being gathered.
struct Findings {
    result: Verification,
    /// What is not the same, to be looked at again.
    suspects: Vec<Spool>,
    /// Files whose content is compared.
    hashes: Spool,
    /// Named paths that were not there at the first look.
    gone: Spool,
    /// Folders that cannot be read: what is in them cannot be told.
    shut: Vec<Vec<u8>>,
    keep: usize,
}

/// Something that waits for a further look: what both hosts said of it at the first one.
struct Suspect {
    path: Vec<u8>,
    sides: Sides,
    /// Empty: the manifests differ. Else what came of comparing the content.
    content: String,
}

fn failed(why: io::Error) -> String {
    format!("the observer's own list: {why}\n  fix: make room in its /var/tmp")
}

impl Suspect {
    fn read(list: &mut Reading) -> io::Result<Option<Self>> {
        let Some(path) = list.part()? else { return Ok(None) };
        let mut part = || list.part()?.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
        let (master, slave, content) = (part()?, part()?, part()?);
        let sides = Sides { master: Entry::parse(&master), slave: Entry::parse(&slave) };
        Ok(Some(Self { path, sides, content: String::from_utf8_lossy(&content).into_owned() }))
    }

    fn size(&self) -> u64 {
        self.sides.master.as_ref().map_or(0, |entry| entry.size)
    }
}

fn add(list: &mut Spool, path: &[u8], sides: &Sides, content: &str) -> io::Result<()> {
    let record = |side: &Option<Entry>| side.as_ref().map_or_else(Vec::new, Entry::record);
    list.add(&[path, &record(&sides.master), &record(&sides.slave), content.as_bytes()])
}

fn path_of(sides: &Sides) -> &[u8] {
    let entry = sides.master.as_ref().or(sides.slave.as_ref());
    entry.map_or(&[], |entry| entry.path.as_slice())
}

impl<'w> Verifier<'w> {
    fn new(
        world: &'w Inner,
        order: &'w VerifyOrder,
        progress: &'w watch::Sender<Progress>,
    ) -> Result<Self, String> {
        let no_set = || format!("{} is no file set of the pair", order.set);
        let spec = world.spec.files.iter().find(|spec| spec.name == order.set);
        let access = world.files.iter().find(|access| access.name == order.set);
        let (spec, access) = spec.zip(access).ok_or_else(no_set)?;
        let side = |name| {
            let host: &'w Host =
                world.host(name).ok_or_else(|| format!("{name} is no host of the pair"))?;
            let commands = host.commands.verify.iter().find(|one| one.set == order.set);
            Ok::<_, String>((Side::new(host)?, commands.ok_or_else(no_set)?))
        };
        Ok(Self {
            order,
            spec,
            access,
            master: side(&order.master)?,
            slave: side(&order.slave)?,
            like: likeness(access),
            excludes: belongs(access),
            progress,
            began: Instant::now(),
        })
    }

    fn by(&self) -> By {
        match self.order.purpose {
            Purpose::Verify { by, .. } => by,
            Purpose::Diff { .. } => By::Metadata,
        }
    }

    fn asks_database(&self) -> bool {
        matches!(self.order.purpose, Purpose::Verify { database: Database::Asked, .. })
    }

    fn stage(&self, stage: Stage) {
        self.progress.send_modify(|now| now.stage = stage);
    }

    async fn run(&self) -> Result<Verification, String> {
        let diff = matches!(self.order.purpose, Purpose::Diff { .. });
        let VerifyOrder { set, master, slave, .. } = self.order.clone();
        let result = Verification {
            set,
            master,
            slave,
            by: self.by(),
            took_ms: 0,
            entries: 0,
            bytes: 0,
            hashed_files: 0,
            hashed_bytes: 0,
            looked_twice: 0,
            tally: Tally::default(),
            database: self.asks_database().then(NamedPaths::default),
        };
        let list = || Spool::new().map_err(failed);
        let mut findings = Findings {
            result,
            suspects: vec![list()?],
            hashes: list()?,
            gone: list()?,
            shut: Vec::new(),
            keep: if diff { DIFF_MAX } else { EXAMPLES_MAX },
        };
        let mut names = self.names().await?;
        self.compare(&mut findings, names.as_mut()).await?;
        let looked = Instant::now();
        if findings.hashes.count() > 0 {
            self.hash(&mut findings).await?;
        }
        let suspects: u64 = findings.suspects.iter().map(Spool::count).sum();
        findings.result.looked_twice = suspects + findings.gone.count();
        if !diff && findings.result.looked_twice > 0 {
            self.stage(Stage::Waiting);
            self.wait_for_pass(looked).await;
            self.look_again(&mut findings).await?;
        }
        let took = self.began.elapsed().as_millis();
        findings.result.took_ms = u64::try_from(took).unwrap_or(u64::MAX);
        Ok(findings.result)
    }

    async fn names(&self) -> Result<Option<Spool>, String> {
        if !self.asks_database() {
            return Ok(None);
        }
        self.stage(Stage::Asking);
        let host = self.master.0.host;
        let query = self.access.paths.as_ref().ok_or_else(|| {
            let set = &self.order.set;
            format!("files {set} has no query\n  fix: set its `paths_query` and `paths_database`")
        })?;
        names::ask(host, query).await.map(Some)
    }

    async fn merge(&self) -> Result<Merge<'w>, String> {
        let ((master, on_master), (slave, on_slave)) = (&self.master, &self.slave);
        let (own, copy) =
            tokio::join!(master.start(&on_master.manifest), slave.start(&on_slave.manifest));
        Ok(Merge { master: Manifest::new(own?), slave: Manifest::new(copy?) })
    }

    /// The first look: everything is compared by its manifest.
    async fn compare(
        &self,
        findings: &mut Findings,
        names: Option<&mut Spool>,
    ) -> Result<(), String> {
        self.stage(Stage::Comparing);
        let mut names = names.map(Names::of).transpose().map_err(failed)?;
        let mut merge = self.merge().await?;
        let mut seen = 0_u64;
        while let Some(sides) = merge.next().await? {
            seen += 1;
            if seen.is_multiple_of(256) {
                self.progress.send_modify(|now| now.entries = seen);
            }
            if let Some(names) = &mut names {
                names.meet(path_of(&sides), &sides, findings).map_err(failed)?;
            }
            self.first_look(&sides, findings).map_err(failed)?;
        }
        self.progress.send_modify(|now| now.entries = seen);
        if let Some(names) = &mut names {
            names.rest(findings).map_err(failed)?;
        }
        self.complaints(&merge, findings);
        if let Purpose::Diff { below } = &self.order.purpose
            && seen_nothing(findings)
            && !below.is_empty()
        {
            let path = name_text(below);
            return Err(format!("neither host has {path}\n  fix: name a path below the folder"));
        }
        Ok(())
    }

    fn first_look(&self, sides: &Sides, findings: &mut Findings) -> io::Result<()> {
        let path = path_of(sides);
        let entry = sides.master.as_ref().or(sides.slave.as_ref());
        let is_folder = entry.is_some_and(Entry::is_folder);
        if self.excludes.leave_out(path, is_folder) || !self.is_asked_for(path) {
            return Ok(());
        }
        if let Some(own) = &sides.master {
            findings.result.entries += 1;
            findings.result.bytes += if own.is_file() { own.size } else { 0 };
        }
        let compared = sides.compare(self.like);
        if let Purpose::Diff { below } = &self.order.purpose {
            self.tell(path, sides, &compared, path == below.as_slice(), findings);
            return Ok(());
        }
        match compared {
            Compared::Same if self.is_hashed(sides) => {
                let size = sides.master.as_ref().map_or(0, |own| own.size);
                self.progress.send_modify(|now| now.of_bytes += size);
                add(&mut findings.hashes, path, sides, "")
            }
            Compared::Same => {
                findings.result.tally.same += 1;
                Ok(())
            }
            Compared::Differs(_) => add(&mut findings.suspects[0], path, sides, ""),
            Compared::Unreadable(_) => {
                if is_folder && findings.shut.len() < SHUT_MAX {
                    findings.shut.push(path.to_vec());
                }
                add(&mut findings.suspects[0], path, sides, "")
            }
        }
    }

    fn is_asked_for(&self, path: &[u8]) -> bool {
        let Purpose::Diff { below } = &self.order.purpose else { return true };
        let rest = path.strip_prefix(below.as_slice());
        below.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    fn is_hashed(&self, sides: &Sides) -> bool {
        let own = sides.master.as_ref().filter(|own| own.is_file());
        own.is_some_and(|own| self.by().takes(&own.path))
    }

    /// A line of a diff.
    fn tell(
        &self,
        path: &[u8],
        sides: &Sides,
        compared: &Compared,
        alone: bool,
        findings: &mut Findings,
    ) {
        let states = || {
            let state = |side: &Option<Entry>| {
                side.as_ref().map_or_else(|| "none".to_owned(), Entry::state)
            };
            let VerifyOrder { master, slave, .. } = self.order;
            let (own, copy) = (state(&sides.master), state(&sides.slave));
            if alone { format!("; {master}: {own}; {slave}: {copy}") } else { String::new() }
        };
        let (class, what) = match compared {
            Compared::Same => {
                findings.result.tally.same += 1;
                return;
            }
            Compared::Differs(aspects) => {
                let class = match (&sides.master, &sides.slave) {
                    (None, _) => Class::Extra,
                    (_, None) => Class::Missing,
                    _ => Class::Differs,
                };
                (class, aspects_text(aspects))
            }
            Compared::Unreadable(host) => (Class::Unreadable, format!("on {host}")),
        };
        let finding = || Finding { path: name_text(path), what: format!("{what}{}", states()) };
        findings.result.tally.add(class, findings.keep, finding);
    }

    /// What the hosts could not look at, and have no record of.
    fn complaints(&self, merge: &Merge<'_>, findings: &mut Findings) {
        for (host, manifest) in [("the master", &merge.master), ("the slave", &merge.slave)] {
            let stream = &manifest.stream;
            let more = stream.complained - stream.complaints.len() as u64;
            for what in &stream.complaints {
                let finding = || Finding { path: format!("on {host}"), what: what.clone() };
                findings.result.tally.add(Class::Unreadable, findings.keep, finding);
            }
            *findings.result.tally.counts.entry(Class::Unreadable).or_default() += more;
        }
        findings.result.tally.counts.retain(|_, count| *count > 0);
    }

    async fn hash(&self, findings: &mut Findings) -> Result<(), String> {
        self.stage(Stage::Hashing);
        let mut odd = Spool::new().map_err(failed)?;
        let mut list = std::mem::replace(&mut findings.hashes, Spool::new().map_err(failed)?);
        let result = &mut findings.result;
        let take = |suspect: Suspect, hashed: Hashed| {
            result.hashed_files += 1;
            result.hashed_bytes += suspect.size();
            match hashed {
                Hashed::Same => {
                    result.tally.same += 1;
                    Ok(())
                }
                _ => add(&mut odd, &suspect.path, &suspect.sides, "content"),
            }
        };
        self.hashing().run(&mut list, take).await?;
        findings.suspects.push(odd);
        Ok(())
    }

    fn hashing(&self) -> Hashing<'_, 'w> {
        Hashing {
            master: (&self.master.0, self.master.1),
            slave: (&self.slave.0, self.slave.1),
            rate: self.access.rate_limit_bytes,
            progress: self.progress,
        }
    }

    /// Waits until a pass that began after `looked` has ended well; not for ever, where none comes.
    async fn wait_for_pass(&self, looked: Instant) {
        let turn = Duration::from_millis(self.spec.every_ms);
        let begins_by = Instant::now() + turn * 2 + PASS_GRACE;
        let ends_by = begins_by + Duration::from_millis(self.spec.near_deadline_ms);
        loop {
            let Ok(states) = states(self.slave.0.host, PASS_ANSWER).await else { return };
            let own = states.into_iter().find(|state| state.report.set == self.order.set);
            let Some(report) = own.map(|state| state.report) else { return };
            let ago = report.clean.map(|clean| Duration::from_millis(clean.began_ms_ago));
            let now = Instant::now();
            let came = ago.is_some_and(|ago| now.checked_sub(ago).is_some_and(|at| at > looked));
            let waits = if report.running.is_some() { now < ends_by } else { now < begins_by };
            if came || !waits {
                return;
            }
            tokio::time::sleep(PASS_LOOK).await;
        }
    }
}

/// What of a host's folder is part of the set.
fn belongs(access: &FileSetAccess) -> Excludes {
    let excludes = Excludes::new(&access.exclude);
    match &access.single {
        Some(single) => excludes.only(&single.files),
        None => excludes,
    }
}

/// What the slave's copies must be.
fn likeness(access: &FileSetAccess) -> Likeness {
    let single = access.single.as_ref();
    let owners = match single.and_then(|single| single.owner.as_ref()) {
        Some(_) => Owners::AsConfigured,
        None if access.user == "root" => Owners::Compared,
        None => Owners::Free,
    };
    Likeness { owners, mode: single.and_then(|single| single.mode) }
}

fn seen_nothing(findings: &Findings) -> bool {
    let tally = &findings.result.tally;
    tally.same == 0 && tally.counts.is_empty()
}
