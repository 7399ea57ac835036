//! Searches the network for devices that may know a meter (DNS service discovery, RFC 6762 and 6763).
//!
//! Only when somebody asks, and for some seconds; nothing listens otherwise, and nothing of ours is announced. Whoever is on
//! the network can answer anything, so what is found is a hint for a person, who picks, and whose device still has to prove
//! itself when it is paired.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use contract::pairing::FoundDevice;
use mdns_sd::{MDNS_PORT, ResolvedService, ServiceDaemon, ServiceEvent};
use meter_link::bridge::Kind;
use meter_link::link::Address;

/// Devices answer within a second; those on a battery or a busy radio within two.
const SEARCH: Duration = Duration::from_millis(2_500);
/// A resolver that knows the network's own names answers at once; one that does not asks the world.
const RESOLVE: Duration = Duration::from_millis(800);
/// More than a home has; an answer beyond is nobody's device.
const MAX_FOUND: usize = 64;
/// Longest name that is shown.
const MAX_NAME: usize = 60;

/// What devices announce themselves as; of two that one device announces, the first counts.
const SERVICES: [(&str, Kind); 4] = [
    ("_homewizard._tcp.local.", Kind::HomeWizard2),
    ("_hwenergy._tcp.local.", Kind::HomeWizard),
    ("_shelly._tcp.local.", Kind::Shelly),
    ("_smartenergy._tcp.local.", Kind::Sep2),
];

/// Searches; blocks for some seconds.
pub(crate) fn devices() -> Vec<FoundDevice> {
    search(MDNS_PORT, SEARCH).unwrap_or_else(|error| {
        tracing::warn!("the network cannot be searched: {error}");
        Vec::new()
    })
}

fn search(port: u16, patience: Duration) -> Result<Vec<FoundDevice>, mdns_sd::Error> {
    let daemon = ServiceDaemon::new_with_port(port)?;
    let mut heard = Vec::new();
    for (service, kind) in SERVICES {
        heard.push((daemon.browse(service)?, kind));
    }
    let until = Instant::now() + patience;
    // By host and place in the list, so that each device is there once.
    let mut found: BTreeMap<String, Announced> = BTreeMap::new();
    for (events, kind) in &heard {
        // All are collected meanwhile, whichever is waited for.
        while let Ok(event) = events.recv_deadline(until) {
            if let ServiceEvent::ServiceResolved(service) = event
                && found.len() < MAX_FOUND
                && let Some(announced) = Announced::read(*kind, &service)
            {
                found.entry(announced.host.clone()).or_insert(announced);
            }
        }
    }
    // It ends itself then; nobody has to wait for it.
    let _ = daemon.shutdown();
    let names = resolvable(found.values());
    Ok(found.into_values().filter_map(|announced| announced.device(&names)).collect())
}

/// What one device announced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Announced {
    kind: Kind,
    /// Name on the network: `p1meter.local`.
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
    name: String,
}

impl Announced {
    /// `None`: a device that knows no meter.
    fn read(kind: Kind, service: &ResolvedService) -> Option<Self> {
        let text = |key: &str| service.get_property_val_str(key).unwrap_or_default();
        if !may_know_a_meter(kind, text("product_type"), text("app")) {
            return None;
        }
        let instance = service.fullname.split('.').next().unwrap_or_default();
        let own = [text("product_name"), instance].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let mut addresses: Vec<_> = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
        // An address of the older kind first: a link-local one of the newer needs a zone beside it.
        addresses.sort();
        Some(Self {
            kind,
            host: service.host.trim_end_matches('.').to_owned(),
            port: service.port,
            addresses,
            name: own.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect(),
        })
    }

    /// With its name where this machine can resolve it, so that a new address does not lose it.
    fn device(self, resolvable: &[String]) -> Option<FoundDevice> {
        let host = match resolvable.contains(&self.host) {
            true => self.host,
            false => self.addresses.first()?.to_string(),
        };
        let address = Address::Bridge { kind: self.kind, host, port: self.port }.to_string();
        // Whatever somebody announced as a host.
        address.parse::<Address>().is_ok().then_some(FoundDevice { address, name: self.name })
    }
}

/// Whether a device of this type measures what comes into the home, as far as it says. A plug or a battery does not.
fn may_know_a_meter(kind: Kind, product_type: &str, app: &str) -> bool {
    match kind {
        Kind::HomeWizard | Kind::HomeWizard2 => !["HWE-SKT", "HWE-BAT"].contains(&product_type),
        Kind::Shelly => app.is_empty() || app.contains("EM") || app.contains("PM"),
        _ => true,
    }
}

/// Names that this machine resolves to an address the device announced itself.
fn resolvable<'a>(announced: impl Iterator<Item = &'a Announced>) -> Vec<String> {
    let (tell, told) = mpsc::channel();
    for Announced { host, port, addresses, .. } in announced.cloned() {
        let tell = tell.clone();
        // A thread each, because nothing ends a resolver that waits for the world; it ends by itself within seconds.
        std::thread::spawn(move || {
            let mut resolved = (host.as_str(), port).to_socket_addrs().into_iter().flatten();
            if resolved.any(|at| addresses.contains(&at.ip())) {
                let _ = tell.send(host);
            }
        });
    }
    drop(tell);
    let until = Instant::now() + RESOLVE;
    std::iter::from_fn(|| told.recv_timeout(until.saturating_duration_since(Instant::now())).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(kind: Kind, port: u16) -> Announced {
        let addresses = vec!["192.0.2.7".parse().expect("an address")];
        Announced { kind, host: "p1meter.local".to_owned(), port, addresses, name: "P1 meter".to_owned() }
    }

    #[test]
    fn an_address_is_by_name_where_this_machine_knows_the_name() {
        let by_name = announced(Kind::HomeWizard2, 443).device(&["p1meter.local".to_owned()]).expect("a device");
        assert_eq!(by_name.address, "homewizard2://p1meter.local");
        let by_address = announced(Kind::Sep2, 9_000).device(&[]).expect("a device");
        assert_eq!(by_address.address, "sep2://192.0.2.7:9000");
    }

    #[test]
    fn a_host_that_is_none_is_left_out() {
        let host = "p1meter.local/path?".to_owned();
        let odd = Announced { host: host.clone(), ..announced(Kind::Shelly, 80) };
        assert_eq!(odd.device(&[host]), None);
    }

    #[test]
    fn plugs_and_batteries_know_no_meter() {
        for (kind, product_type, app, expect) in [
            (Kind::HomeWizard2, "HWE-P1", "", true),
            (Kind::HomeWizard, "HWE-SKT", "", false),
            (Kind::HomeWizard2, "HWE-BAT", "", false),
            (Kind::Shelly, "", "Pro3EM", true),
            (Kind::Shelly, "", "Plus1PM", true),
            (Kind::Shelly, "", "PlusHT", false),
            (Kind::Sep2, "", "", true),
        ] {
            assert_eq!(may_know_a_meter(kind, product_type, app), expect, "{product_type}{app}");
        }
    }
}
