//! Which files a HAProxy command line loads, in which order, and how to have the same checked.
//!
//! It lists no directory: the caller does, and asks here what HAProxy would take from the list.

/// What a HAProxy command line says about its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invocation {
    /// Files and directories in the order they are loaded.
    pub sources: Vec<String>,
    /// The directory to change to first (`-C`); sources may be relative to it.
    pub directory: Option<String>,
    /// The master socket (`-S`), without the options behind a comma.
    pub master_socket: Option<String>,
    /// Whether a master process runs workers (`-W`, `-Ws`, `-S`).
    pub master_worker: bool,
    /// The local peer's name (`-L`), which the files may depend on.
    pub local_peer: Option<String>,
}

impl Invocation {
    /// Reads the arguments behind the program's name, as `/proc/<pid>/cmdline` has them. The
    /// process ids behind `-sf` and `-st` and all that has no bearing on files is skipped.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Invocation {
        let mut found = Invocation::default();
        let mut rest = arguments.iter().map(AsRef::as_ref).peekable();
        while let Some(argument) = rest.next() {
            match argument {
                "--" => found.sources.extend(rest.by_ref().map(str::to_owned)),
                "-f" => {
                    // One `-f` takes all words up to the next option.
                    while let Some(file) = rest.next_if(|next| !next.starts_with('-')) {
                        found.sources.push(file.to_owned());
                    }
                }
                "-sf" | "-st" => while rest.next_if(|next| !next.starts_with('-')).is_some() {},
                "-C" => found.directory = rest.next().map(str::to_owned),
                "-L" => found.local_peer = rest.next().map(str::to_owned),
                "-S" => {
                    found.master_worker = true;
                    let socket = rest.next().unwrap_or_default();
                    let path = socket.split(',').next().unwrap_or_default();
                    let path = path.strip_prefix("unix@").unwrap_or(path);
                    found.master_socket = Some(path.to_owned());
                }
                "-W" | "-Ws" => found.master_worker = true,
                "-n" | "-N" | "-p" | "-m" | "-x" => drop(rest.next()),
                _ => {}
            }
        }
        found
    }

    /// Arguments that have the same files checked and nothing else done. Master-worker mode is
    /// left out on purpose: with it HAProxy accepts an empty file.
    pub fn check_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-c".to_owned()];
        for (flag, value) in [("-C", &self.directory), ("-L", &self.local_peer)] {
            if let Some(value) = value {
                arguments.extend([flag.to_owned(), value.clone()]);
            }
        }
        for source in &self.sources {
            arguments.extend(["-f".to_owned(), source.clone()]);
        }
        arguments
    }
}

/// The files HAProxy takes from a directory, in its order: names that end in `.cfg` and do not
/// begin with a dot, by their bytes. The caller gives the names of regular files only.
pub fn load_order<'n>(names: impl IntoIterator<Item = &'n [u8]>) -> Vec<&'n [u8]> {
    let mut taken: Vec<&[u8]> = names
        .into_iter()
        .filter(|name| name.ends_with(b".cfg") && !name.starts_with(b"."))
        .collect();
    taken.sort_unstable();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_of_services_are_read() {
        let debian = "-Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/master.sock";
        let words: Vec<&str> = debian.split(' ').collect();
        let found = Invocation::parse(&words);
        assert_eq!(found.sources, ["/etc/haproxy/haproxy.cfg"]);
        assert_eq!(found.master_socket.as_deref(), Some("/run/master.sock"));
        assert!(found.master_worker);
        assert_eq!(found.check_arguments().join(" "), "-c -f /etc/haproxy/haproxy.cfg");

        let other =
            "-C /etc/h -f a.cfg conf.d -L me -S unix@/m.sock,mode,600 -sf 1 2 -x /s -- z.cfg";
        let words: Vec<&str> = other.split(' ').collect();
        let found = Invocation::parse(&words);
        assert_eq!(found.sources, ["a.cfg", "conf.d", "z.cfg"]);
        assert_eq!(found.master_socket.as_deref(), Some("/m.sock"));
        assert_eq!(
            found.check_arguments().join(" "),
            "-c -C /etc/h -L me -f a.cfg -f conf.d -f z.cfg"
        );
    }

    #[test]
    fn directories_are_read_in_byte_order() {
        let names: [&[u8]; 6] = [b"b.cfg", b".a.cfg", b"B.cfg", b"10.cfg", b"9.cfg", b"a.cfg.bak"];
        assert_eq!(load_order(names), [b"10.cfg".as_slice(), b"9.cfg", b"B.cfg", b"b.cfg"]);
    }
}
