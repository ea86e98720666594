//! Which files a proxy's HAProxy loads, and what is in them.
//!
//! It asks the running process, then the unit, and opens folders as HAProxy does. Values of
//! environment files are used to read the unit's command line and users' addresses, and go no
//! further.

use std::collections::BTreeMap;

use haproxy::{Document, Environment, Invocation, Pointed, pointed_at, variables};
use observer_core::validate::{
    Datum, MissingVariable, ProxyFiles, ServerPlace, SetBy, Sources, Unread,
};
use tokio::time::Instant;

use super::{left, unread};
use crate::eyes::proxy_file::{self, FILE_MAX};
use crate::hands::{self, Fault};
use crate::pair_world::{Inner, Proxy};
use crate::ssh::Command;
use crate::text::shown;

/// Arguments: the unit.
const UNIT: &str = r#"
LC_ALL=C; export LC_ALL
echo '=== ha-observer unit'
systemctl show --property=ExecStart,Environment,EnvironmentFiles -- "$1" 2>/dev/null
echo '=== ha-observer runs'
pid=$(systemctl show --value --property=MainPID -- "$1" 2>/dev/null)
[ "${pid:-0}" -gt 0 ] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline"
echo '=== ha-observer end'
"#;

/// Arguments: files and folders. A file is printed behind its size, so that nothing in it can be
/// taken for a mark; of a folder HAProxy takes what ends in `.cfg`, and the shell sorts by bytes.
const OPEN: &str = r#"
LC_ALL=C; export LC_ALL
mark() { printf '=== ha-observer %s\n' "$*"; }
give() {
    if [ -r "$1" ] && size=$(stat -L -c %s -- "$1"); then
        mark "file $size $1"; head -c "$size" -- "$1"; echo
    else
        mark "sealed 0 $1"
    fi
}
for source; do
    mark "source 0 $source"
    if [ -d "$source" ] && [ -r "$source" ] && [ -x "$source" ]; then
        for file in "$source"/*.cfg; do [ -f "$file" ] && give "$file"; done
    elif [ -e "$source" ]; then
        give "$source"
    fi
done
mark "end 0 -"
"#;

/// The files of one service as they are joined: in load order, with their documents.
pub(crate) struct Loaded {
    files: Vec<(String, Document)>,
    joined: Document,
    environment: Environment,
}

/// What the unit and its process say.
#[derive(Default)]
struct Told {
    command: Option<String>,
    environment: String,
    environment_files: Vec<String>,
    runs: Vec<String>,
}

/// Reads all of it. `changed` is the content of the file that is changed, or why it was not read:
/// where HAProxy does not load it, what it does load is told all the same.
pub(crate) async fn read(
    world: &Inner,
    proxy: &Proxy,
    changed: Datum<&[u8]>,
    until: Instant,
) -> Datum<(Loaded, ProxyFiles)> {
    let (told, obstacle) = tokio::join!(told(proxy, until), obstacle(proxy, until));
    let (told, obstacle) = (told?, obstacle?);
    let known = proxy.access.environment_file.as_ref().map(|file| file.display().to_string());
    let mut texts = told.environment_files.clone();
    texts.extend(known.clone());
    let texts = open(proxy, &texts, until).await?;
    let (runs, starts) = (told.runs(), told.starts(&texts));
    let checked = Invocation {
        sources: proxy.commands.sources.clone(),
        directory: proxy.access.directory.as_ref().map(|path| path.display().to_string()),
        local_peer: proxy.access.local_peer.clone(),
        ..Invocation::default()
    };
    let all: Vec<String> = [runs.as_ref(), starts.as_ref(), Some(&checked)]
        .into_iter()
        .flatten()
        .flat_map(|line| &line.sources)
        .cloned()
        .collect();
    let mut opened = open(proxy, &all, until).await?;
    let config = &proxy.commands.config;
    if let Ok(changed) = &changed {
        opened.contents.insert(config.clone(), Some(changed.to_vec()));
    }
    let sources = |line: &Invocation| {
        let named = &line.sources;
        let files = named.iter().flat_map(|name| opened.sources.get(name).into_iter().flatten());
        Sources {
            named: named.clone(),
            opened: files.cloned().collect(),
            directory: line.directory.clone(),
            local_peer: line.local_peer.clone(),
        }
    };
    let (runs, starts) = (runs.as_ref().map(sources), starts.as_ref().map(sources));
    let checked = sources(&checked);
    let wanted = runs.as_ref().or(starts.as_ref()).unwrap_or(&checked);
    let changed = match changed {
        Err(why) if wanted.named.is_empty() || wanted.opened.contains(config) => return Err(why),
        changed => changed.unwrap_or_default(),
    };
    let mut loaded = Loaded::read(proxy, &wanted.opened, &opened, until).await?;
    loaded.environment = told.environment(&texts);
    let unit = proxy.access.unit.clone();
    let (servers, turned_elsewhere) = loaded.servers(world, proxy, changed);
    let variables = match told.command.is_some() {
        true => loaded.missing(&told, &texts, known.as_deref()),
        false => Vec::new(),
    };
    let changed = config.clone();
    let files = ProxyFiles {
        unit,
        runs,
        starts,
        checked,
        changed,
        servers,
        turned_elsewhere,
        variables,
        obstacle,
    };
    Ok((loaded, files))
}

/// Why the file cannot be changed where it lies.
async fn obstacle(proxy: &Proxy, until: Instant) -> Datum<Option<String>> {
    match hands::insist_on_real_path(proxy, left(until)).await {
        Ok(()) => Ok(None),
        Err(Fault::Refused(why)) => Ok(Some(why)),
        Err(lost) => Err(Unread(lost.words())),
    }
}

async fn told(proxy: &Proxy, until: Instant) -> Datum<Told> {
    let command = Command::new("/bin/sh").arg("-c").arg(UNIT).arg("sh").arg(&proxy.access.unit);
    let output = proxy.ssh.exec(&command, "", left(until), 256 * 1024).await;
    let output = output.map_err(|error| Unread(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Told::parse(&text).ok_or_else(|| Unread(shown(&output.stdout)))
}

impl Told {
    fn parse(text: &str) -> Option<Told> {
        let (_, text) = text.split_once("=== ha-observer unit\n")?;
        let (unit, text) = text.split_once("=== ha-observer runs\n")?;
        let (runs, _) = text.split_once("=== ha-observer end\n")?;
        let mut told = Told { runs: runs.lines().map(str::to_owned).collect(), ..Told::default() };
        for (key, value) in unit.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "ExecStart" => {
                    let argv = value.split_once("argv[]=").map_or("", |(_, argv)| argv);
                    let argv = argv.split_once(" ; ").map_or(argv, |(argv, _)| argv);
                    told.command = Some(argv.to_owned()).filter(|argv| !argv.is_empty());
                }
                "Environment" => value.clone_into(&mut told.environment),
                "EnvironmentFiles" => {
                    let file = value.split_once(" (").map_or(value, |(file, _)| file);
                    told.environment_files.extend(Some(file.to_owned()).filter(|f| !f.is_empty()));
                }
                _ => {}
            }
        }
        Some(told)
    }

    fn runs(&self) -> Option<Invocation> {
        line_of(&self.runs)
    }

    fn starts(&self, texts: &Opened) -> Option<Invocation> {
        let command = self.command.as_ref()?;
        let is_sealed = |file: &String| matches!(texts.contents.get(file), Some(None));
        // What it may set is not known, and so is the command line.
        if command.contains('$') && self.environment_files.iter().any(is_sealed) {
            return None;
        }
        line_of(&self.environment(texts).expand(command))
    }

    /// The variables that HAProxy is started with, as far as they can be read.
    fn environment(&self, texts: &Opened) -> Environment {
        let mut environment = Environment::default();
        environment.take_words(&self.environment);
        for file in &self.environment_files {
            if let Some(Some(text)) = texts.contents.get(file) {
                environment.take_file(&String::from_utf8_lossy(text));
            }
        }
        environment
    }
}

/// A command line that loads files, with their whole paths; none where it is not HAProxy's own.
fn line_of(words: &[String]) -> Option<Invocation> {
    let program = words.first()?.rsplit('/').next().unwrap_or_default();
    if !program.starts_with("haproxy") {
        return None;
    }
    let invocation = Invocation::parse(&words[1..]);
    let folder = invocation.directory.as_deref().unwrap_or("/").trim_end_matches('/');
    let absolute = |source: &String| match source.starts_with('/') {
        true => source.trim_end_matches('/').to_owned(),
        false => format!("{folder}/{}", source.trim_end_matches('/')),
    };
    let sources: Vec<String> = invocation.sources.iter().map(absolute).collect();
    Some(Invocation { sources, ..invocation }).filter(|line| !line.sources.is_empty())
}

/// What was opened: the files of each source, and each file's content where it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Opened {
    sources: BTreeMap<String, Vec<String>>,
    contents: BTreeMap<String, Option<Vec<u8>>>,
}

async fn open(proxy: &Proxy, sources: &[String], until: Instant) -> Datum<Opened> {
    if sources.is_empty() {
        return Ok(Opened::default());
    }
    let command = Command::new("/bin/sh").arg("-c").arg(OPEN).arg("sh").args(sources);
    let output = proxy.ssh.exec(&command, "", left(until), FILE_MAX).await;
    let output = output.map_err(|error| Unread(error.to_string()))?;
    Opened::parse(&output.stdout).ok_or_else(|| {
        Unread("the files that HAProxy loads are too long, or change as they are read".to_owned())
    })
}

impl Opened {
    /// Whether an environment file sets a variable; none where it cannot be read.
    fn sets(&self, file: &str, name: &str) -> Option<bool> {
        let Some(text) = self.contents.get(file) else { return Some(false) };
        let mut environment = Environment::default();
        environment.take_file(&String::from_utf8_lossy(text.as_ref()?));
        Some(environment.get(name).is_some())
    }

    /// Reads what the script printed, from its first mark to its last one.
    fn parse(stdout: &[u8]) -> Option<Opened> {
        const MARK: &[u8] = b"=== ha-observer ";
        let begin = stdout.windows(MARK.len()).position(|window| window == MARK)?;
        let mut rest = &stdout[begin..];
        let mut opened = Opened::default();
        let mut source = String::new();
        loop {
            rest = rest.strip_prefix(MARK)?;
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            let line = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 1..];
            let mut words = line.splitn(3, ' ');
            let (word, size, name) = (words.next()?, words.next()?, words.next()?.to_owned());
            match word {
                "end" => return Some(opened),
                "source" => {
                    opened.sources.insert(name.clone(), Vec::new());
                    source = name;
                    continue;
                }
                "sealed" => drop(opened.contents.insert(name.clone(), None)),
                "file" => {
                    let size: usize = size.parse().ok()?;
                    let content = rest.get(..size)?.to_vec();
                    rest = rest[size..].strip_prefix(b"\n")?;
                    opened.contents.insert(name.clone(), Some(content));
                }
                _ => return None,
            }
            opened.sources.get_mut(&source)?.push(name);
        }
    }
}

impl Loaded {
    async fn read(
        proxy: &Proxy,
        names: &[String],
        opened: &Opened,
        until: Instant,
    ) -> Datum<Loaded> {
        let mut files = Vec::new();
        for name in names {
            let content = match opened.contents.get(name) {
                Some(Some(content)) => content.clone(),
                _ => as_root(proxy, name, until).await?,
            };
            files.push((name.clone(), Document::parse(&content)));
        }
        let documents: Vec<Document> = files.iter().map(|(_, file)| file.clone()).collect();
        let joined = Document::join(&documents);
        Ok(Loaded { files, joined, environment: Environment::default() })
    }

    /// An address as HAProxy has it: with the values of its variables, where all are known.
    pub(crate) fn address(&self, text: &str) -> String {
        let line = Document::parse(format!("bind \"{text}\"\n").as_bytes());
        let is_known = |name: &str| self.environment.get(name).is_some();
        match variables(&line).iter().all(|asked| is_known(&asked.name)) {
            true => self.environment.put_in(text),
            false => text.to_owned(),
        }
    }

    /// The files with their names, in load order.
    pub(crate) fn files(&self) -> Vec<(&str, &Document)> {
        self.files.iter().map(|(name, file)| (name.as_str(), file)).collect()
    }

    /// All of them as one.
    pub(crate) fn joined(&self) -> &Document {
        &self.joined
    }

    /// The file and the line in it that a line of the whole is.
    fn place(&self, line: usize) -> (String, usize) {
        let place = self.joined.place(line);
        let file = place.and_then(|(file, _)| self.files.get(file));
        let name = file.map_or_else(String::new, |(name, _)| name.clone());
        (name, place.map_or(line, |(_, line)| line))
    }

    /// Where the pair's servers stand, and those that the changed file alone would turn otherwise.
    fn servers(
        &self,
        world: &Inner,
        proxy: &Proxy,
        changed: &[u8],
    ) -> (Vec<ServerPlace>, Vec<ServerPlace>) {
        let members = proxy_file::members(world, proxy);
        // What cannot be told is a finding of the linter.
        let whole = pointed_at(&self.joined, &members).unwrap_or_default();
        let alone = pointed_at(&Document::parse(changed), &members).unwrap_or_default();
        let place = |server: &Pointed| {
            let (file, line) = self.place(server.line);
            let server = shown(format!("{}/{}", server.backend, server.server).as_bytes());
            ServerPlace { server, file, line }
        };
        let turned = whole.iter().filter(|server| {
            alone.iter().any(|own| {
                own.backend == server.backend
                    && own.server == server.server
                    && own.state != server.state
            })
        });
        (whole.iter().map(place).collect(), turned.map(place).collect())
    }

    /// The variables that the check of a change would not have, each once.
    fn missing(&self, told: &Told, texts: &Opened, known: Option<&str>) -> Vec<MissingVariable> {
        let mut found: Vec<MissingVariable> = Vec::new();
        for asked in variables(&self.joined) {
            let set_by = match (told.set_by(&asked.name, texts), known) {
                (Some(SetBy::File(file)), Some(known)) if file == known => continue,
                (Some(set_by), _) => set_by,
                (None, Some(known)) if texts.sets(known, &asked.name) == Some(true) => {
                    SetBy::CheckOnly(known.to_owned())
                }
                // Nobody has it, so that both make the same of it.
                (None, _) => continue,
            };
            if found.iter().any(|one| one.name == asked.name) {
                continue;
            }
            let (file, line) = self.place(asked.line);
            found.push(MissingVariable { name: asked.name, file, line, set_by });
        }
        found
    }
}

impl Told {
    /// Who sets a variable for HAProxy: of the unit's files the last one that does, as for systemd,
    /// or that may, where it cannot be read.
    fn set_by(&self, name: &str, texts: &Opened) -> Option<SetBy> {
        let mut files = self.environment_files.iter().rev();
        if let Some(file) = files.find(|file| texts.sets(file, name).unwrap_or(true)) {
            return Some(SetBy::File(file.clone()));
        }
        let mut own = Environment::default();
        own.take_words(&self.environment);
        own.get(name).map(|_| SetBy::Unit)
    }
}

/// A file that our account may not read, if sudo lets it.
async fn as_root(proxy: &Proxy, name: &str, until: Instant) -> Datum<Vec<u8>> {
    let command = proxy.commands.read_files.get(name).ok_or_else(|| {
        Unread(format!(
            "HAProxy loads {name}, which {} may not read: name it in `files` of this proxy in the \
             pair's file and install its sudoers file anew, or let it be read",
            proxy.access.ssh.user
        ))
    })?;
    proxy_file::read_by(proxy, command, left(until)).await.map_err(|silent| unread(&silent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT_SAYS: &str = "** banner **\n=== ha-observer unit\n\
        ExecStart={ path=/usr/sbin/haproxy ; argv[]=/usr/sbin/haproxy -Ws -f $CONFIG $EXTRAOPTS ; \
        ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; \
        status=0/0 }\nEnvironment=CONFIG=/etc/haproxy/haproxy.cfg \"EXTRAOPTS=-S /run/m.sock\"\n\
        EnvironmentFiles=/etc/default/haproxy (ignore_errors=yes)\n\
        EnvironmentFiles=/etc/sysconfig/haproxy (ignore_errors=yes)\n=== ha-observer runs\n\
        /usr/sbin/haproxy\n-sf\n7\n-Ws\n-f\n/etc/haproxy/base.cfg\n-f\n/etc/haproxy/conf.d/\n\
        === ha-observer end\n";

    fn opened(files: &[(&str, Option<&str>)]) -> Opened {
        let contents = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.map(|text| text.as_bytes().to_vec())));
        Opened { sources: BTreeMap::new(), contents: contents.collect() }
    }

    #[test]
    fn what_runs_and_what_would_start_are_told_apart() {
        let told = Told::parse(UNIT_SAYS).unwrap();
        let runs = ["/etc/haproxy/base.cfg", "/etc/haproxy/conf.d"].map(str::to_owned);
        assert_eq!(told.runs().unwrap().sources, runs);
        assert_eq!(told.starts(&opened(&[])).unwrap().sources, ["/etc/haproxy/haproxy.cfg"]);
        let text = "EXTRAOPTS=\"-f /etc/haproxy/desk.cfg\"\nCONFIG=/etc/haproxy/base.cfg\n";
        let starts = told.starts(&opened(&[("/etc/default/haproxy", Some(text))]));
        assert_eq!(starts.unwrap().sources, ["/etc/haproxy/base.cfg", "/etc/haproxy/desk.cfg"]);
        assert_eq!(told.starts(&opened(&[("/etc/default/haproxy", None)])), None);
        let wrapped = UNIT_SAYS.replace("/usr/sbin/haproxy", "/usr/bin/podman");
        let wrapped = Told::parse(&wrapped).unwrap();
        assert_eq!((wrapped.runs(), wrapped.starts(&opened(&[]))), (None, None));
    }

    #[test]
    fn who_sets_a_variable_is_the_last_file_that_does() {
        let told = Told::parse(UNIT_SAYS).unwrap();
        let (first, second) = ("/etc/default/haproxy", "/etc/sysconfig/haproxy");
        let texts = opened(&[(first, Some("A=1\nB=1\n")), (second, Some("B=2\n"))]);
        let set_by = |name: &str| told.set_by(name, &texts);
        assert_eq!(set_by("A"), Some(SetBy::File(first.to_owned())));
        assert_eq!(set_by("B"), Some(SetBy::File(second.to_owned())));
        assert_eq!((set_by("CONFIG"), set_by("C")), (Some(SetBy::Unit), None));
        let sealed = opened(&[(first, None)]);
        assert_eq!(told.set_by("C", &sealed), Some(SetBy::File(first.to_owned())));
    }

    #[test]
    fn an_address_is_read_with_the_variables_that_are_known() {
        let told = Told::parse(UNIT_SAYS).unwrap();
        let texts = opened(&[("/etc/default/haproxy", Some("PORT=80\n"))]);
        let (files, joined, environment) =
            (Vec::new(), Document::default(), told.environment(&texts));
        let loaded = Loaded { files, joined, environment };
        assert_eq!(loaded.address("*:${PORT}"), "*:80");
        assert_eq!(loaded.address("${ADDRESS}:${PORT}"), "${ADDRESS}:${PORT}");
    }

    #[test]
    fn a_file_is_known_by_its_size_whatever_is_in_it() {
        let nasty = "global\n=== ha-observer end 0 -\n";
        let text = format!(
            "hello\n=== ha-observer source 0 /b.cfg\n=== ha-observer file {} /b.cfg\n{nasty}\n\
             === ha-observer source 0 /d\n=== ha-observer sealed 0 /d/x y.cfg\n\
             === ha-observer source 0 /gone\n=== ha-observer end 0 -\n",
            nasty.len()
        );
        let read = Opened::parse(text.as_bytes()).unwrap();
        assert_eq!(read.sources["/b.cfg"], ["/b.cfg"]);
        assert_eq!(read.sources["/d"], ["/d/x y.cfg"]);
        assert!(read.sources["/gone"].is_empty());
        assert_eq!(read.contents["/b.cfg"].as_deref(), Some(nasty.as_bytes()));
        assert_eq!(read.contents["/d/x y.cfg"], None);
        assert_eq!(Opened::parse(&text.as_bytes()[..text.len() - 4]), None);
    }
}
