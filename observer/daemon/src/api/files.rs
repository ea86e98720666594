//! `…/proxies/…`: the proxies' files: what is wrong in them, what to change, their versions.
//!
//! A change is drawn anew from what is in the files now; it is carried out only if it is the very
//! one that was shown. All proxies are prepared and checked before the first is touched, and the
//! first that does not come through ends the order. It goes on to its end even if whoever ordered
//! it goes away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Query, State};
use haproxy::unified_diff;
use observer_core::words::{At, ProxyName};
use observer_world::pair_world::{Applied, NewFile};
use observer_world::store::{NewVersion, Version, VersionState};
use observer_world::text::checksum;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::orders::{Answered, put, refusal};
use super::peer::Peer;
use super::types::ProblemKind;
use super::{Desk, PairLink, Refused};
use crate::report::partial::CarriedOut;
use crate::report::proxy::{Drawn, LintReport, Source};
use crate::report::versions::{
    Change, ChangeReport, ChangeState, ChangedFile, DiffReport, ProxyHistory, VersionView,
};
use crate::shell::asks::Ask;
use crate::shell::files::{FilesAllowed, ReadFile};

/// How long the pair's task may take for one file: it is written, loaded, proven, or taken back.
const CHANGE: Duration = Duration::from_secs(60);

/// Pause between two tries to bring a partly done change to the rest.
const FINISH_EVERY: Duration = Duration::from_secs(10);

/// Which proxy is meant; all of the pair if left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesQuery {
    /// Its name.
    pub(crate) proxy: Option<String>,
    /// A version's number.
    pub(crate) version: Option<u64>,
}

/// Body of `POST …/proxies/change`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    /// What to do.
    pub(crate) change: Change,
    /// At this proxy only.
    #[serde(default)]
    pub(crate) proxy: Option<String>,
    /// Do it; else it is only shown.
    #[serde(default)]
    pub(crate) apply: bool,
    /// The checksums that were shown (`becomes`), by proxy: another change is not made.
    #[serde(default)]
    pub(crate) shown: BTreeMap<String, String>,
    /// Why; kept with the version.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

pub(super) async fn lint(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    Query(query): Query<FilesQuery>,
) -> Answered<Json<Vec<LintReport>>> {
    let link = desk.link(&pair)?;
    let files = read(&link, query.proxy.as_deref()).await?;
    let mut reports = Vec::new();
    for file in &files {
        let (path, bytes) = content(file)?;
        reports.push(source(file, path, bytes).lint());
    }
    Ok(Json(reports))
}

pub(super) async fn history(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    Query(query): Query<FilesQuery>,
) -> Answered<Json<Vec<ProxyHistory>>> {
    let link = desk.link(&pair)?;
    let mut all = Vec::new();
    for file in read(&link, query.proxy.as_deref()).await? {
        let proxy = file.proxy.to_string();
        let versions = desk.versions(&pair, &proxy).await?;
        let now = match &file.content {
            Err(why) => format!("it cannot be read: {why}"),
            Ok((_, bytes)) => standing(&versions, bytes),
        };
        let versions = versions.iter().map(view).collect();
        all.push(ProxyHistory { proxy, now, versions });
    }
    Ok(Json(all))
}

pub(super) async fn diff(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    Query(query): Query<FilesQuery>,
) -> Answered<Json<DiffReport>> {
    let link = desk.link(&pair)?;
    let file = the_one(read(&link, query.proxy.as_deref()).await?)?;
    let proxy = file.proxy.to_string();
    let versions = desk.versions(&pair, &proxy).await?;
    let (path, now) = content(&file)?;
    let stood = |below: u64| {
        versions.iter().find(|version| version.number < below && version.state.stood())
    };
    let report = |title: String, before: &[u8], after: &[u8]| {
        let diff = unified_diff(path, before, after);
        Ok(Json(DiffReport { proxy: proxy.clone(), title, diff }))
    };
    let Some(number) = query.version else {
        let last = stood(u64::MAX).ok_or_else(|| no_version(&versions, None))?;
        return report(
            format!("from version {} to what is there now", last.number),
            &last.content,
            now,
        );
    };
    let version = versions.iter().find(|version| version.number == number);
    let version = version.ok_or_else(|| no_version(&versions, Some(number)))?;
    match stood(number) {
        Some(before) => report(
            format!("from version {} to version {number}", before.number),
            &before.content,
            &version.content,
        ),
        None => report(
            format!("version {number} is the first that is kept; from it to what is there now"),
            &version.content,
            now,
        ),
    }
}

pub(super) async fn change(
    State(desk): State<Arc<Desk>>,
    Path(pair): Path<String>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<ChangeRequest>,
) -> Answered<Json<ChangeReport>> {
    let link = desk.link(&pair)?;
    let (reply, answer) = oneshot::channel();
    let allowed =
        put(&link, Ask::MayChangeFiles(reply), answer).await?.map_err(|why| refusal(&link, why))?;
    let drawn = desk.draw(&pair, &link, &request, &allowed).await?;
    if !request.apply {
        let files = drawn.into_iter().map(|(_, drawn)| unbegun(drawn)).collect();
        return Ok(Json(ChangeReport { state: ChangeState::Shown, files, repair: None }));
    }
    for (_, Drawn { proposed, .. }) in &drawn {
        let proxy = proposed.proxy.clone().unwrap_or_default();
        if request.shown.get(&proxy) != Some(&proposed.becomes) {
            return Err(Refused::new(
                ProblemKind::Refused,
                format!("{proxy}: its file was changed since the change was shown"),
                "look at the change again, and order it then".to_owned(),
            ));
        }
    }
    let by = peer.name();
    desk.note(&pair, &by, "proxy change", &request).await;
    // Whoever ordered it may go away: what was begun is finished and written down all the same.
    let order = Order { desk: desk.clone(), link, pair, by, request, allowed };
    let done = tokio::spawn(async move { order.carry_out(drawn).await }).await;
    done.unwrap_or_else(|_| Err(Refused::unavailable("the daemon is stopping".to_owned())))
        .map(Json)
}

/// Brings partly done changes to the proxies that wait for them, as long as the daemon runs.
pub(crate) async fn finish_partial_changes(desk: Arc<Desk>) {
    loop {
        tokio::time::sleep(FINISH_EVERY).await;
        for (pair, link) in desk.pairs() {
            desk.finish_partial(&pair, &link).await;
        }
    }
}

/// A file with what is to be made of it.
type Planned = (Vec<u8>, Drawn);

impl Desk {
    async fn versions(&self, pair: &str, proxy: &str) -> Answered<Vec<Version>> {
        self.store.versions(pair, proxy).await.map_err(Refused::unavailable)
    }

    /// One try, where the policy says so and nothing else is under way. What cannot be read or is
    /// refused now is tried again later, and what became another file since is left to a person.
    async fn finish_partial(self: &Arc<Self>, pair: &str, link: &PairLink) {
        let partial = link.view.borrow().status.partial.clone();
        let Some(partial) = partial.filter(|partial| partial.by_itself) else { return };
        for part in partial.waiting() {
            let request = ChangeRequest {
                change: partial.change.clone(),
                proxy: Some(part.proxy.clone()),
                apply: true,
                shown: BTreeMap::new(),
                reason: partial.reason.clone(),
            };
            let (reply, answer) = oneshot::channel();
            let Ok(Ok(allowed)) = put(link, Ask::MayChangeFiles(reply), answer).await else {
                return;
            };
            let Ok(drawn) = self.draw(pair, link, &request, &allowed).await else { continue };
            let same = |planned: &Planned| planned.1.proposed.becomes == part.becomes;
            if !drawn.iter().all(same) {
                let proxy = ProxyName::new(&part.proxy);
                let _ = link.asks.send(Ask::Outdated(proxy)).await;
                continue;
            }
            let order = Order {
                desk: self.clone(),
                link: link.clone(),
                pair: pair.to_owned(),
                by: "ha-observer".to_owned(),
                request,
                allowed,
            };
            if let Err(Refused(problem)) = order.carry_out(drawn).await {
                tracing::debug!(pair, proxy = part.proxy, "not brought there: {}", problem.message);
            }
        }
    }

    async fn draw(
        &self,
        pair: &str,
        link: &PairLink,
        request: &ChangeRequest,
        allowed: &FilesAllowed,
    ) -> Answered<Vec<Planned>> {
        let mut files = read(link, request.proxy.as_deref()).await?;
        if matches!(request.change, Change::RollBack { .. }) {
            files = vec![the_one(files)?];
        }
        let mut all = Vec::new();
        for file in &files {
            let (path, bytes) = content(file)?;
            let (proxy, master) = (file.proxy.to_string(), allowed.master.as_str());
            let versions = self.versions(pair, &proxy).await?;
            let source = source(file, path, bytes);
            let drawn = match request.change {
                Change::Import { steps } => source.import(master, steps),
                Change::Fix => Ok(source.fix()),
                Change::RollBack { version: number } => {
                    let version = versions.iter().find(|version| version.number == number);
                    let version = version.ok_or_else(|| no_version(&versions, Some(number)))?;
                    source
                        .roll_back(&version.content, master, number)
                        .map_err(|why| why.to_string())
                }
            };
            let mut drawn = drawn.map_err(|why| {
                let message = format!("{proxy}: {path}: {why}");
                let fix = "write the pair's servers as plain lines, or name them with \
                           [[proxy.server]] in the pair's file";
                Refused::new(ProblemKind::Refused, message, fix.to_owned())
            })?;
            let last = versions.iter().find(|version| version.state.stood());
            drawn.proposed.edited = last
                .filter(|last| last.state != VersionState::Ordered)
                .filter(|last| last.checksum != checksum(bytes))
                .map(|last| unified_diff(path, &last.content, bytes));
            all.push((bytes.to_vec(), drawn));
        }
        Ok(all)
    }
}

/// An order that is being carried out.
struct Order {
    desk: Arc<Desk>,
    link: PairLink,
    pair: String,
    by: String,
    request: ChangeRequest,
    allowed: FilesAllowed,
}

impl Order {
    async fn carry_out(&self, drawn: Vec<Planned>) -> Answered<ChangeReport> {
        // An older version is loaded even where the file has it already: the process may not.
        let always = matches!(self.request.change, Change::RollBack { .. });
        let wanted = |planned: &Planned| always || !planned.1.proposed.steps.is_empty();
        let new =
            drawn.iter().filter(|planned| wanted(planned)).map(|planned| self.new_file(planned));
        let (reply, answer) = oneshot::channel();
        let against = ask(&self.link, Ask::Prepare(new.collect(), reply), answer).await?;
        if !against.is_empty() {
            let all: Vec<String> =
                against.iter().map(|(proxy, why)| format!("{proxy}: {why}")).collect();
            return Err(Refused::new(
                ProblemKind::Refused,
                format!("no file was touched: {}", all.join("; ")),
                "mend what is named, and order it again".to_owned(),
            ));
        }
        let mut files: Vec<ChangedFile> = Vec::new();
        let mut goes_on = true;
        let mut left = drawn.into_iter();
        while let Some(planned) = left.next() {
            let begun = goes_on && wanted(&planned);
            if begun {
                // What a next life says, should this one end before it knows.
                let this = in_doubt(planned.1.clone());
                self.under_way(files.iter().cloned().chain([this]), left.as_slice()).await?;
            }
            let file = if begun { self.one(planned).await } else { unbegun(planned.1) };
            goes_on &= !begun || file.state.as_deref() == Some(VersionState::Loaded.name());
            files.push(file);
            if begun && goes_on && left.as_slice().iter().any(wanted) {
                self.under_way(files.iter().cloned(), left.as_slice()).await?;
            }
        }
        let order = self.done(files.clone());
        let (reply, answer) = oneshot::channel();
        ask(&self.link, Ask::CarriedOut(Box::new(order), reply), answer).await?;
        Ok(ChangeReport::of(files))
    }

    /// Has the pair's task keep how far this is.
    async fn under_way(
        &self,
        so_far: impl Iterator<Item = ChangedFile>,
        left: &[Planned],
    ) -> Answered<()> {
        let rest = left.iter().map(|(_, drawn)| unbegun(drawn.clone()));
        let order = self.done(so_far.chain(rest).collect());
        let (reply, answer) = oneshot::channel();
        ask(&self.link, Ask::UnderWay(Box::new(order), reply), answer).await
    }

    fn done(&self, files: Vec<ChangedFile>) -> CarriedOut {
        CarriedOut {
            at: self.desk.clock.now(),
            by: self.by.clone(),
            change: self.request.change.clone(),
            reason: self.request.reason.clone(),
            title: reason(&self.request),
            files,
        }
    }

    fn new_file(&self, (before, drawn): &Planned) -> NewFile {
        NewFile {
            proxy: ProxyName::new(drawn.proposed.proxy.as_deref().unwrap_or_default()),
            before: before.clone(),
            after: drawn.after.clone(),
            master: self.allowed.master.clone(),
        }
    }

    /// One file: recorded first, then changed, then what became of it is recorded.
    async fn one(&self, planned: Planned) -> ChangedFile {
        let new = self.new_file(&planned);
        let proxy = new.proxy.to_string();
        let mut file = unbegun(planned.1);
        let version = NewVersion {
            pair: self.pair.clone(),
            proxy: proxy.clone(),
            file: file.proposed.file.clone(),
            at_ms: self.desk.clock.now().0,
            epoch: self.allowed.epoch.0,
            before: new.before.clone(),
            after: new.after.clone(),
            reason: reason(&self.request),
            by: self.by.clone(),
            state: VersionState::Ordered,
        };
        let (state, note) = match self.desk.store.keep_version(version).await {
            Err(why) => (VersionState::Refused, format!("what cannot be recorded: {why}")),
            Ok(number) => {
                file.version = Some(number);
                let (reply, answer) = oneshot::channel();
                let asked = Ask::Apply(new, self.allowed.clone(), reply);
                let applied = ask(&self.link, asked, answer).await;
                let (state, note) = outcome(applied);
                let place = (self.pair.as_str(), proxy.as_str(), number);
                let settled = self.desk.store.settle_version(place, state, &note).await;
                if let Err(why) = settled {
                    tracing::error!(proxy, %why, "what became of its file is not recorded");
                }
                (state, note)
            }
        };
        let (by, what) = (&self.by, state.name());
        tracing::info!(pair = self.pair, proxy, by, "haproxy.cfg: {what}: {note}");
        ChangedFile { state: Some(state.name().to_owned()), note, ..file }
    }
}

fn outcome(applied: Answered<Applied>) -> (VersionState, String) {
    match applied {
        Ok(Applied::Loaded(note)) => (VersionState::Loaded, note),
        Ok(Applied::Refused(note)) => (VersionState::Refused, note),
        Ok(Applied::RolledBack(note)) => (VersionState::RolledBack, note),
        Ok(Applied::Unsettled(note)) => (VersionState::Unsettled, note),
        Err(Refused(problem)) => (VersionState::Unsettled, problem.message),
    }
}

fn reason(request: &ChangeRequest) -> String {
    let what = match request.change {
        Change::Import { .. } => "import".to_owned(),
        Change::Fix => "lint --fix".to_owned(),
        Change::RollBack { version } => format!("rollback to version {version}"),
    };
    match request.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{what}: {reason}"),
        None => what,
    }
}

/// Asks the pair's task something that takes its time.
async fn ask<T>(link: &PairLink, what: Ask, answer: oneshot::Receiver<T>) -> Answered<T> {
    let gone = || Refused::unavailable("the pair's task does not answer".to_owned());
    link.asks.send(what).await.map_err(|_| gone())?;
    let answered = tokio::time::timeout(CHANGE, answer).await;
    answered.ok().and_then(Result::ok).ok_or_else(gone)
}

/// Reads the files of the proxies that are meant.
async fn read(link: &PairLink, proxy: Option<&str>) -> Answered<Vec<ReadFile>> {
    let known: Vec<ProxyName> = {
        let view = link.view.borrow();
        view.status.proxies.iter().map(|one| one.name.clone()).collect()
    };
    let meant: Vec<ProxyName> = match proxy {
        None => known,
        Some(name) if known.iter().any(|one| one.as_str() == name) => vec![ProxyName::new(name)],
        Some(name) => {
            let known: Vec<&str> = known.iter().map(ProxyName::as_str).collect();
            let message = format!("no proxy of the pair is called \"{name}\"");
            let fix = format!("use one of: {}", known.join(", "));
            return Err(Refused::new(ProblemKind::BadRequest, message, fix));
        }
    };
    let (reply, answer) = oneshot::channel();
    ask(link, Ask::ReadFiles(meant, reply), answer).await
}

fn the_one(files: Vec<ReadFile>) -> Answered<ReadFile> {
    let names: Vec<String> = files.iter().map(|file| file.proxy.to_string()).collect();
    let one = <[ReadFile; 1]>::try_from(files);
    one.map(|[file]| file).map_err(|_| {
        let message = format!("the pair has several proxies: {}", names.join(", "));
        let fix = "say which one with --proxy NAME".to_owned();
        Refused::new(ProblemKind::BadRequest, message, fix)
    })
}

fn content(file: &ReadFile) -> Answered<(&str, &[u8])> {
    match &file.content {
        Ok((path, bytes)) => Ok((path, bytes)),
        Err(why) => Err(Refused::new(
            ProblemKind::Unavailable,
            format!("{}: {why}", file.proxy),
            "`ha-observer status` shows whether the proxy is seen".to_owned(),
        )),
    }
}

fn source<'a>(file: &'a ReadFile, path: &'a str, bytes: &'a [u8]) -> Source<'a> {
    let (proxy, members) = (Some(file.proxy.as_str()), Some(&file.members));
    let loaded = file.loaded.as_ref().map(Vec::as_slice).map_err(String::as_str);
    Source { proxy, file: path, bytes, members, loaded }
}

fn unbegun(drawn: Drawn) -> ChangedFile {
    ChangedFile { proposed: drawn.proposed, version: None, state: None, note: String::new() }
}

/// A file that is being changed, as the next life finds it if this one ends meanwhile.
fn in_doubt(drawn: Drawn) -> ChangedFile {
    let state = Some(VersionState::Unsettled.name().to_owned());
    let note = "the observer ended while it was being changed, and `ha-observer proxy history` \
                says what it has";
    ChangedFile { state, note: note.to_owned(), ..unbegun(drawn) }
}

/// What stands in a file now, by its versions.
fn standing(versions: &[Version], bytes: &[u8]) -> String {
    let now = checksum(bytes);
    let last = versions.iter().find(|version| version.state.stood());
    let Some(last) = last else { return "nothing was written here by the observer yet".to_owned() };
    let left = "; it was not proven to be loaded: `proxy rollback` to it loads it";
    match (last.checksum == now, last.state) {
        (true, VersionState::Ordered) => format!("version {}{left}", last.number),
        (true, _) => format!("version {}", last.number),
        (false, VersionState::Ordered) => {
            format!("not version {}, whose change was not finished", last.number)
        }
        (false, _) => {
            format!("changed by other hands since version {}: `proxy diff` shows how", last.number)
        }
    }
}

fn view(version: &Version) -> VersionView {
    VersionView {
        number: version.number,
        at: At(version.at_ms),
        epoch: version.epoch,
        reason: version.reason.clone(),
        by: version.by.clone(),
        state: version.state.name().to_owned(),
        note: version.note.clone(),
        checksum: version.checksum.clone(),
    }
}

fn no_version(versions: &[Version], number: Option<u64>) -> Refused {
    let kept: Vec<String> = versions.iter().map(|version| version.number.to_string()).collect();
    let message = match number {
        Some(number) => format!("version {number} is not kept"),
        None => "no version is kept: nothing was written here by the observer yet".to_owned(),
    };
    let fix = match kept.is_empty() {
        true => "versions come with the first change, by a plan or by `proxy import`".to_owned(),
        false => format!("use one of: {}", kept.join(", ")),
    };
    Refused::new(ProblemKind::BadRequest, message, fix)
}
