//! `proxy new`: a complete file for a pair, printed and put nowhere.

use haproxy::{Application, Front, NewHost, NewProxy, Receives, generate};

use super::super::args::Common;
use super::super::output::print;
use super::super::proxy_args::NewArgs;
use super::super::{Exit, Failure, config, print_json};
use super::file::named;
use crate::config::Reach;

/// What is known of the pair.
struct Known {
    hosts: Vec<(String, String)>,
    port: Option<u16>,
    health: Option<String>,
}

pub(super) fn print_new(args: &NewArgs, common: &Common) -> Result<Exit, Failure> {
    let known = if args.hosts.is_empty() { configured(args, common)? } else { typed(args)? };
    if known.hosts.len() < 2 {
        return Err(Failure::Usage(
            "a pair has at least two hosts\n  fix: add --host NAME=ADDRESS for each".to_owned(),
        ));
    }
    let first = known.hosts[0].0.clone();
    let master = args.master.clone().unwrap_or(first);
    if !known.hosts.iter().any(|(name, _)| *name == master) {
        let names: Vec<&str> = known.hosts.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        return Err(Failure::Usage(format!(
            "no host of the pair is called \"{master}\"\n  fix: use one of: {names}"
        )));
    }
    let host = |(name, address): (String, String)| {
        let receives = if name == master { Receives::Now } else { Receives::AfterPromotion };
        NewHost { name, address, receives }
    };
    let bind = |default: &str| args.bind.clone().unwrap_or_else(|| default.to_owned());
    let front = match (&args.certificate, args.pass_through) {
        (Some(certificate), _) => Front::Https {
            bind: bind(":443"),
            certificate: certificate.clone(),
            redirect_from: Some(":80".to_owned()),
        },
        (None, true) => Front::PassThrough { bind: bind(":443") },
        (None, false) => Front::Http { bind: bind(":80") },
    };
    let proxy = NewProxy {
        hosts: known.hosts.into_iter().map(host).collect(),
        application: Application {
            front,
            port: args.port.or(known.port).unwrap_or(8080),
            health_path: args.health.clone().or(known.health).unwrap_or_else(|| "/".to_owned()),
            requests_at_once: args.at_once,
        },
        postgres: args.postgres.map(|port| (format!(":{port}"), args.postgres_port)),
        statistics: (args.statistics != "none").then(|| args.statistics.clone()),
    };
    let document = generate(&proxy).map_err(|why| {
        Failure::Usage(format!("{why}\n  fix: leave spaces and quotes out of the value"))
    })?;
    let text = String::from_utf8_lossy(&document.to_bytes()).into_owned();
    if common.output == super::super::args::Format::Json {
        print_json(&serde_json::json!({ "file": text }));
    } else {
        print(&text);
    }
    Ok(Exit::Ok)
}

fn typed(args: &NewArgs) -> Result<Known, Failure> {
    // In the order of typing: the first is the master.
    let mut hosts: Vec<(String, String)> = Vec::new();
    for one in &args.hosts {
        let (name, mut addresses) =
            named(std::slice::from_ref(one))?.pop_first().expect("one host was typed");
        if hosts.iter().any(|(other, _)| *other == name) {
            return Err(Failure::Usage(format!(
                "host {name} is given twice\n  fix: one --host for each host"
            )));
        }
        hosts.push((name, addresses.remove(0)));
    }
    Ok(Known { hosts, port: None, health: None })
}

fn configured(args: &NewArgs, common: &Common) -> Result<Known, Failure> {
    let pairs = config::pairs(&args.config.directory, Reach::Text, common.pair.as_deref())?;
    let Ok([access]) = <[_; 1]>::try_from(pairs) else {
        return Err(Failure::Usage(
            "several pairs are configured\n  fix: say which one with --pair NAME".to_owned(),
        ));
    };
    let probe = access.hosts.iter().find_map(|host| host.application.clone());
    let address = |host: &crate::config::access::HostAccess| {
        let own = host.application.as_ref().map(|probe| probe.address.clone());
        (host.name.to_string(), own.unwrap_or_else(|| host.ssh.address.clone()))
    };
    Ok(Known {
        hosts: access.hosts.iter().map(address).collect(),
        port: probe.as_ref().map(|probe| probe.port),
        health: probe.map(|probe| probe.path),
    })
}
