//! The kinds of section, and how a section HAProxy may learn later is told from a line of this one.

/// What a section is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SectionKind {
    /// Process-wide settings.
    Global,
    /// Settings inherited by the proxies that follow or that name it.
    Defaults,
    /// A proxy with listeners only.
    Frontend,
    /// A proxy with servers only.
    Backend,
    /// A proxy with both.
    Listen,
    /// Any other section that HAProxy 2.4 to 3.x knows; its lines are never taken for a proxy's.
    Other,
    /// A line that stands where sections stand and that no known version explains.
    Unknown,
}

impl SectionKind {
    /// Whether it is one of `frontend`, `backend` and `listen`.
    pub fn is_proxy(self) -> bool {
        matches!(self, SectionKind::Frontend | SectionKind::Backend | SectionKind::Listen)
    }

    /// Whether `server` lines in it are servers that get traffic.
    pub fn has_servers(self) -> bool {
        matches!(self, SectionKind::Backend | SectionKind::Listen)
    }

    /// The kind that this first word of a line opens, when it is a known section name.
    pub(crate) fn opened_by(word: &[u8]) -> Option<SectionKind> {
        Some(match word {
            b"global" => SectionKind::Global,
            b"defaults" => SectionKind::Defaults,
            b"frontend" => SectionKind::Frontend,
            b"backend" => SectionKind::Backend,
            b"listen" => SectionKind::Listen,
            b"peers" | b"resolvers" | b"userlist" | b"mailers" | b"cache" | b"http-errors"
            | b"ring" | b"log-forward" | b"log-profile" | b"program" | b"fcgi-app"
            | b"crt-store" | b"traces" | b"acme" => SectionKind::Other,
            _ => return None,
        })
    }
}

/// Whether a line beginning with this word belongs to the section it stands in: the first words
/// that HAProxy 2.4 to 3.x knows inside proxies and `global`, where not indenting is common.
pub(crate) fn is_statement(word: &[u8]) -> bool {
    STATEMENTS.binary_search(&word).is_ok()
        || word.starts_with(b".")
        || word.starts_with(b"[")
        || word.contains(&b'.')
}

#[rustfmt::skip]
const STATEMENTS: &[&[u8]] = &[
    b"acl", b"backlog", b"balance", b"bind", b"bind-process", b"block", b"busy-polling",
    b"ca-base", b"capture", b"chroot", b"cli", b"clitcpka-cnt", b"clitcpka-idle",
    b"clitcpka-intvl", b"clitimeout", b"close-spread-time", b"cluster-secret", b"compression",
    b"contimeout", b"cookie", b"cpu-map", b"cpu-policy", b"cpu-set", b"crt-base", b"daemon",
    b"declare", b"default", b"default-path", b"default-server", b"default_backend",
    b"description", b"deviceatlas-json-file", b"disabled", b"dispatch", b"dns-accept-family",
    b"email-alert", b"enabled", b"errorfile", b"errorfiles", b"errorloc", b"errorloc302",
    b"errorloc303", b"expose-deprecated-directives", b"expose-experimental-directives",
    b"external-check", b"filter", b"fingerprint_ssl_bufsize", b"force-be-switch",
    b"force-persist", b"fullconn", b"gid", b"grace", b"group", b"guid",
    b"h1-accept-payload-with-any-method", b"h1-case-adjust", b"h1-case-adjust-file",
    b"h2-workaround-bogus-websocket-clients", b"hard-stop-after", b"harden", b"hash-balance-factor",
    b"hash-preserve-affinity", b"hash-type", b"http-after-response", b"http-check",
    b"http-error", b"http-request", b"http-response", b"http-reuse", b"http-send-name-header",
    b"id", b"ignore-persist", b"insecure-fork-wanted", b"insecure-setuid-wanted",
    b"issuers-chain-path", b"limited-quic", b"load-server-state-from-file", b"localpeer", b"log",
    b"log-format", b"log-format-sd", b"log-send-hostname", b"log-steps", b"log-tag", b"lua-load",
    b"lua-load-per-thread", b"lua-prepend-path", b"master-worker", b"max-keep-alive-queue",
    b"max-session-srv-conns", b"max-spread-checks", b"maxcompcpuusage", b"maxcomprate",
    b"maxconn", b"maxconnrate", b"maxpipes", b"maxsessrate", b"maxsslconn", b"maxsslrate",
    b"maxzlibmem", b"mode", b"monitor", b"monitor-uri", b"mworker-max-reloads", b"nbproc",
    b"nbthread", b"no", b"node", b"noepoll", b"noevports", b"nogetaddrinfo", b"nokqueue",
    b"nopoll", b"noreuseport", b"nosplice", b"numa-cpu-mapping", b"option", b"persist",
    b"pidfile", b"pp2-never-send-local", b"prealloc-fd", b"presetenv", b"quic-initial",
    b"quick-exit", b"quiet", b"rate-limit", b"redirect", b"redisp", b"redispatch", b"reqadd",
    b"resetenv", b"retries", b"retry-on", b"rspadd", b"server", b"server-state-base",
    b"server-state-file", b"server-state-file-name", b"server-template", b"set-dumpable",
    b"set-var", b"set-var-fmt", b"setcap", b"setenv", b"shm-stats-file", b"source",
    b"spread-checks", b"srvtcpka-cnt", b"srvtcpka-idle", b"srvtcpka-intvl", b"srvtimeout",
    b"ssl-default-bind-ciphers", b"ssl-default-bind-ciphersuites",
    b"ssl-default-bind-client-sigalgs", b"ssl-default-bind-curves", b"ssl-default-bind-options",
    b"ssl-default-bind-sigalgs", b"ssl-default-server-ciphers",
    b"ssl-default-server-ciphersuites", b"ssl-default-server-client-sigalgs",
    b"ssl-default-server-curves", b"ssl-default-server-options", b"ssl-default-server-sigalgs",
    b"ssl-dh-param-file", b"ssl-engine", b"ssl-load-extra-del-ext", b"ssl-load-extra-files",
    b"ssl-mode-async", b"ssl-propquery", b"ssl-provider", b"ssl-provider-path",
    b"ssl-security-level", b"ssl-server-verify", b"ssl-skip-self-issued-ca", b"stats",
    b"stats-file", b"stick", b"stick-table", b"strict-limits", b"tcp-check", b"tcp-request",
    b"tcp-response", b"thread-group", b"thread-groups", b"thread-hard-limit", b"timeout",
    b"trace", b"transparent", b"uid", b"ulimit-n", b"unique-id-format", b"unique-id-header",
    b"unix-bind", b"unsetenv", b"use-fcgi-app", b"use-server", b"use_backend", b"user",
    b"wait", b"warn-blocked-traffic-after", b"wurfl-data-file", b"zero-warning",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_list_can_be_searched() {
        for pair in STATEMENTS.windows(2) {
            assert!(pair[0] < pair[1], "{} {}", pair[0].escape_ascii(), pair[1].escape_ascii());
        }
        assert!(is_statement(b"server") && is_statement(b"tune.bufsize") && is_statement(b".if"));
        assert!(!is_statement(b"hologram"));
    }
}
