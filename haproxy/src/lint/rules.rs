//! The rules as a table: ids, severities and reasons in one place.
//!
//! F: the file itself · R: the process and its sockets · M: modes and proxies · T: TLS ·
//! D: settings that harm in a failover · P: the pair's servers · W: the waiting room.

use super::{Rule, Severity};

const fn error(id: &'static str, title: &'static str, why: &'static str) -> Rule {
    Rule { id, severity: Severity::Error, title, why }
}

const fn warning(id: &'static str, title: &'static str, why: &'static str) -> Rule {
    Rule { id, severity: Severity::Warning, title, why }
}

const fn info(id: &'static str, title: &'static str, why: &'static str) -> Rule {
    Rule { id, severity: Severity::Info, title, why }
}

/// All rules, in the order of their ids.
pub const RULES: &[Rule] = &[
    error(
        "D01",
        "sessions are cut whenever the server goes down",
        "a planned maintenance kills requests in flight, and waiting ones die at release",
    ),
    warning(
        "D02",
        "a single failed request takes the server out of use",
        "a moment's hiccup becomes an outage, and with the roles turned a stale slave can win",
    ),
    warning(
        "D03",
        "sessions on backups are cut when a server comes up",
        "requests in the waiting room, and those on the other host, die when it comes back",
    ),
    warning(
        "D04",
        "cookie-bound clients are sent to a server that is down",
        "they see errors until their cookie ends, while the other host works",
    ),
    info(
        "D05",
        "a backend is chosen at run time",
        "whether it exists, and whether it serves the pair, cannot be told from the file",
    ),
    error("F01", "the last line has no end", "HAProxy takes the file for truncated and refuses it"),
    error("F02", "the file has no proxy", "a reload drops every listener, and some checks pass it"),
    error("F03", "the file begins with a byte order mark", "HAProxy refuses the first line"),
    error("F04", "a line holds a NUL byte", "HAProxy refuses the file"),
    error("F05", "a line has more than 64 words", "HAProxy refuses it"),
    error("F06", "a line cannot be split into words", "HAProxy refuses it, and no edit is safe"),
    error("F07", "a backslash stands at the end of a line", "HAProxy has no continuation lines"),
    info(
        "F08",
        "a section is unknown to this program",
        "its lines are kept and nothing in it is checked",
    ),
    error("F09", "a condition is not closed", "HAProxy refuses the file"),
    error("F10", "a name is given twice", "HAProxy refuses it, or edits cannot tell them apart"),
    error("F11", "a backend is named that the file does not have", "HAProxy refuses the file"),
    warning(
        "M01",
        "HTTP logging in TCP mode",
        "HAProxy falls back to TCP logging, so the log lacks what the settings promise",
    ),
    warning("M02", "a statistics page in TCP mode", "HAProxy ignores it"),
    warning(
        "M03",
        "a frontend and a backend share a name",
        "HAProxy 3.3 refuses it, so an upgrade breaks the proxy",
    ),
    error(
        "M04",
        "a frontend and its backend differ in mode",
        "HAProxy refuses an HTTP frontend with a TCP backend",
    ),
    warning(
        "M05",
        "a time limit is missing",
        "connections of a vanished host stay until somebody ends them",
    ),
    warning(
        "M06",
        "the statistics page is open to everyone",
        "names, addresses and states of the servers are public, or worse, can be changed",
    ),
    error(
        "P01",
        "more than one host of the pair takes traffic",
        "users write to the master and to the slave",
    ),
    warning("P02", "no host of the pair takes traffic", "users of this backend see errors"),
    error(
        "P03",
        "a server of the pair stands in a condition",
        "it cannot be turned in the file, so a later reload may turn it back",
    ),
    error(
        "P04",
        "a server of the pair comes from a template",
        "it cannot be turned in the file, so a later reload may turn it back",
    ),
    error(
        "P05",
        "which servers belong to the pair cannot be told",
        "an unset variable is even accepted, as address 0.0.0.0",
    ),
    warning(
        "P06",
        "a server of the pair is not checked",
        "HAProxy sends requests to a dead host until somebody tells it",
    ),
    warning(
        "P07",
        "an HTTP backend is checked by connecting only",
        "an application that hangs, or answers errors, passes",
    ),
    error(
        "P08",
        "two servers of a backend share a cookie value",
        "after a switch clients stay bound to the wrong host",
    ),
    warning(
        "P09",
        "the certificate of a server is not verified",
        "any machine on the path can take the place of the host",
    ),
    warning(
        "P10",
        "the health check asks another port than the service",
        "a dead service passes while the other port answers",
    ),
    warning(
        "P11",
        "checks are slow",
        "it takes this long until an unannounced death is seen by HAProxy itself",
    ),
    info(
        "P12",
        "a TCP backend is checked by connecting only",
        "a service that hangs, or is not ready, passes",
    ),
    warning(
        "P13",
        "sessions whose clients have left stay",
        "no order ends them while their host is silent, and for hours a dead host counts as in use",
    ),
    info(
        "P14",
        "users of a shared backend stick to no host",
        "what the application keeps of a user on one host is not on the other",
    ),
    error(
        "P15",
        "a server has weight 0",
        "it takes nobody new while it is in use: its users wait, and then fail",
    ),
    error(
        "R01",
        "no runtime socket with level admin",
        "servers cannot be turned without a reload, and held requests not be released",
    ),
    info(
        "R02",
        "the runtime socket does not hand over listeners",
        "without master-worker mode a reload has a moment without listeners",
    ),
    error(
        "R03",
        "server states are loaded from a file",
        "the state file beats the rewritten configuration: a reload turns servers back",
    ),
    warning(
        "R04",
        "old workers have no end",
        "a worker that a reload replaced serves its clients with the old roles for hours",
    ),
    error("R05", "several processes", "the runtime socket reaches only one of them"),
    warning(
        "R06",
        "the runtime socket has no mode",
        "who may turn servers depends on the mask of whatever started HAProxy",
    ),
    warning("T01", "no minimum TLS version", "clients can be brought down to broken versions"),
    info(
        "T02",
        "the application is not told that the client came by TLS",
        "it builds links to http, and redirects forever",
    ),
    info(
        "T03",
        "the application does not see the client's address",
        "its log and its limits see the proxy only",
    ),
    error("W01", "no waiting room", "requests fail in the gap of every switch"),
    error("W02", "the waiting server is not a backup", "it takes live requests and delays them"),
    error("W03", "the waiting server is checked", "its closed port is down, so nothing can wait"),
    error("W04", "the waiting server is out of use", "requests fail in the gap of every switch"),
    error("W05", "backups share the load", "requests wait although another backup works"),
    error("W06", "no redispatch", "a waiting request never moves to the new master"),
    warning("W07", "redispatch comes late", "a waiting request moves only after several tries"),
    warning("W08", "the wait is too short", "a switch that takes longer fails requests"),
    warning("W09", "tries are far apart", "requests go on waiting when the new master is there"),
    warning("W10", "no time limit in queues", "it is `timeout connect` then, far too short"),
    error(
        "W11",
        "requests of vanished clients still run",
        "a POST whose client gave up is executed on the new master: a phantom",
    ),
    warning("W12", "reloads close idle connections", "a client sending at that moment fails"),
    error("W13", "requests can run twice", "a POST that the dead host had begun is sent again"),
    warning(
        "W14",
        "a server takes any number of requests at once",
        "what waited is let go in one crowd, which can be more than the application can take",
    ),
    warning(
        "W15",
        "somebody may listen where requests wait",
        "whoever opens that port gets the requests of a switch",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_in_order() {
        assert!(RULES.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}
