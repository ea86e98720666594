//! A complete haproxy.cfg for a new pair, with everything that was measured to matter.
//!
//! The file is written once; afterwards it is edited like any other. It names no user, group or
//! chroot beyond Debian's and Red Hat's own, which are the same.

use crate::document::Document;
use crate::refusal::{Reason, Refusal};
use crate::server_line::quoted;
use crate::waiting_room::{HOLD_ADDRESS, HOLD_MS, HOLD_SERVER, PERIOD_MS};

/// What a new file shall serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProxy {
    /// The hosts of the pair, in the order of their lines.
    pub hosts: Vec<NewHost>,
    /// The application.
    pub application: Application,
    /// PostgreSQL: where clients connect and the port on the hosts. None where the proxy cannot
    /// reach the databases, as in a DMZ.
    pub postgres: Option<(String, u16)>,
    /// Address of the statistics page and the metrics, such as `127.0.0.1:8404`.
    pub statistics: Option<String>,
}

/// One host of the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    /// Its fixed name, which becomes the server's name and cookie value.
    pub name: String,
    /// IP address or name that the proxy reaches it by.
    pub address: String,
    /// Whether it takes traffic now.
    pub receives: Receives,
}

/// Whether a host takes traffic from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receives {
    /// It is the master, or one of several active hosts.
    Now,
    /// It stands by.
    AfterPromotion,
}

/// How users reach the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Where users connect.
    pub front: Front,
    /// The application's port on the hosts.
    pub port: u16,
    /// Path that answers 200 when the application works; of no use to [`Front::PassThrough`].
    pub health_path: String,
    /// How many requests it can serve at once; more wait at the proxy. What a switchover has held
    /// comes in a crowd. Of no use to [`Front::PassThrough`].
    pub requests_at_once: u32,
}

/// What the proxy does with a user's connection. Addresses are as in `bind`, such as `:443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Front {
    /// Plain HTTP.
    Http {
        /// Where to listen.
        bind: String,
    },
    /// TLS ends at the proxy; plain HTTP is redirected.
    Https {
        /// Where to listen for TLS.
        bind: String,
        /// Certificate and key in one file.
        certificate: String,
        /// Where to listen for plain HTTP.
        redirect_from: Option<String>,
    },
    /// TLS goes through to the application.
    PassThrough {
        /// Where to listen.
        bind: String,
    },
}

/// Writes the file. Refused where a value cannot be written as one word.
pub fn generate(proxy: &NewProxy) -> Result<Document, Refusal> {
    let mut out = Writer { text: String::new() };
    out.global();
    let http = !matches!(proxy.application.front, Front::PassThrough { .. });
    if http || proxy.statistics.is_some() {
        out.defaults_http();
    }
    if let Some(bind) = &proxy.statistics {
        out.statistics(bind)?;
    }
    if http {
        out.application_http(proxy)?;
    }
    if !http || proxy.postgres.is_some() {
        out.defaults_tcp();
    }
    if let Front::PassThrough { bind } = &proxy.application.front {
        out.tcp("app", bind, proxy, proxy.application.port, &[])?;
    }
    if let Some((bind, port)) = &proxy.postgres {
        // This sees a server that speaks PostgreSQL, not which role it has: hence `disabled`.
        let check = ["option srvtcpka", "option pgsql-check user postgres"];
        out.tcp("pg", bind, proxy, *port, &check)?;
    }
    Ok(Document::parse(out.text.as_bytes()))
}

/// The proxy's own liveness; what the application says about itself is its health path.
const ALIVE: &str =
    "http-request return status 200 content-type text/plain string ok if { path /__lb }\n";

struct Writer {
    text: String,
}

impl Writer {
    fn section(&mut self, header: &str, lines: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(header);
        self.text.push('\n');
        for line in lines.lines().filter(|line| !line.is_empty()) {
            self.text.push_str("    ");
            self.text.push_str(line.trim_start());
            self.text.push('\n');
        }
    }

    fn global(&mut self) {
        self.section(
            "global",
            "log /dev/log local0
            user haproxy
            group haproxy
            chroot /var/lib/haproxy
            stats socket /run/haproxy/admin.sock mode 660 group haproxy level admin \
             expose-fd listeners
            stats timeout 2m
            maxconn 8000
            hard-stop-after 10m
            ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
            ssl-default-bind-ciphersuites \
             TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
        );
    }

    /// What both kinds of `defaults` have: the waiting room.
    fn waiting(&self) -> String {
        format!(
            "option abortonclose
            option redispatch 1
            retries {}
            retry-on conn-failure
            timeout connect {PERIOD_MS}ms
            timeout queue {}s",
            HOLD_MS / PERIOD_MS,
            HOLD_MS / 1_000,
        )
    }

    fn defaults_http(&mut self) {
        let waiting = self.waiting();
        let lines = format!(
            "mode http
            log global
            option httplog
            option dontlognull
            option idle-close-on-response
            {waiting}
            timeout client 60s
            timeout server 60s
            timeout check 300ms
            timeout http-request 15s
            timeout http-keep-alive 60s
            timeout tunnel 1h"
        );
        self.section("defaults http", &lines);
    }

    fn defaults_tcp(&mut self) {
        let waiting = self.waiting().replace("retry-on conn-failure\n", "");
        let lines = format!(
            "mode tcp
            log global
            option tcplog
            {waiting}
            timeout client 8h
            timeout server 8h
            timeout server-fin 1s
            timeout check 1s"
        );
        self.section("defaults tcp", &lines);
    }

    fn statistics(&mut self, bind: &str) -> Result<(), Refusal> {
        let lines = format!(
            "bind {}
            http-request use-service prometheus-exporter if {{ path /metrics }}
            stats enable
            stats uri /
            stats refresh 5s",
            word(bind)?
        );
        self.section("frontend statistics", &lines);
        Ok(())
    }

    fn application_http(&mut self, proxy: &NewProxy) -> Result<(), Refusal> {
        let application = &proxy.application;
        let mut lines = String::new();
        match &application.front {
            Front::Https { bind, certificate, redirect_from } => {
                let (bind, certificate) = (word(bind)?, word(certificate)?);
                if let Some(plain) = redirect_from {
                    lines += &format!("bind {}\n", word(plain)?);
                }
                lines += &format!("bind {bind} ssl crt {certificate} alpn h2,http/1.1\n");
                lines += ALIVE;
                if redirect_from.is_some() {
                    lines += "http-request redirect scheme https code 301 unless { ssl_fc }\n";
                }
                lines += "http-request set-header X-Forwarded-Proto https\n";
            }
            Front::Http { bind } | Front::PassThrough { bind } => {
                lines += &format!("bind {}\n", word(bind)?);
                lines += ALIVE;
                lines += "http-request set-header X-Forwarded-Proto http\n";
            }
        }
        lines += "http-request set-header X-Forwarded-Port %[dst_port]\n";
        // The client's own header is not to be trusted, and `forwardfor` only adds to it.
        lines += "http-request del-header X-Forwarded-For\n";
        lines += "option forwardfor\n";
        lines += "default_backend app\n";
        self.section("frontend web", &lines);

        let health = word(&application.health_path)?;
        let mut lines = format!(
            "balance roundrobin
            cookie SRV insert indirect nocache httponly
            option httpchk
            http-check send meth GET uri {health} hdr Host localhost
            http-check expect status 200
            default-server inter 200ms fastinter 100ms downinter 200ms fall 2 rise 1 check\n"
        );
        let kind = Kind::Http { requests_at_once: application.requests_at_once };
        lines += &servers(&proxy.hosts, application.port, &kind)?;
        self.section("backend app", &lines);
        Ok(())
    }

    fn tcp(
        &mut self,
        name: &str,
        bind: &str,
        proxy: &NewProxy,
        port: u16,
        options: &[&str],
    ) -> Result<(), Refusal> {
        let front = format!("bind {}\noption clitcpka\ndefault_backend {name}_be", word(bind)?);
        self.section(&format!("frontend {name}_in"), &front);
        let mut lines = options.join("\n");
        lines += "\ndefault-server inter 500ms fastinter 200ms fall 2 rise 1 check\n";
        lines += &servers(&proxy.hosts, port, &Kind::Tcp)?;
        self.section(&format!("backend {name}_be"), &lines);
        Ok(())
    }
}

/// What the servers of a backend speak. The limit stands on each of them and not on all, since the
/// waiting server has none: whoever queued there would not be let go.
enum Kind {
    Http { requests_at_once: u32 },
    Tcp,
}

fn servers(hosts: &[NewHost], port: u16, kind: &Kind) -> Result<String, Refusal> {
    let mut lines = String::new();
    for host in hosts {
        let (name, address) = (word(&host.name)?, word(&host.address)?);
        // An IPv6 address needs brackets, or its last group would be the port.
        let is_v6 = address.contains(':') && !address.starts_with('[');
        let address = if is_v6 { format!("[{address}]") } else { address };
        lines += &format!("server {name} {address}:{port}");
        if let Kind::Http { requests_at_once } = kind {
            lines += &format!(" cookie {name} maxconn {requests_at_once}");
        }
        if host.receives == Receives::AfterPromotion {
            lines += " disabled";
        }
        lines.push('\n');
    }
    lines += &format!("server {HOLD_SERVER} {HOLD_ADDRESS} backup no-check\n");
    Ok(lines)
}

/// A value as one word that is written as it is: quoting is for files that people wrote.
fn word(text: &str) -> Result<String, Refusal> {
    match quoted(text) {
        Ok(word) if word == text => Ok(word),
        _ => Err(Refusal::anywhere(Reason::BadWord(text.to_owned()))),
    }
}
