//! Asking by an address: associations over real lines, with counters kept before they are used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use meter_link::bridge::Secret;
use meter_link::dlms_client::apdu::Attribute;
use meter_link::dlms_client::ciphering::Keys;
use meter_link::dlms_client::error::ClientError;
use meter_link::dlms_client::security_setup::{KeyId, wrap};
use meter_link::link::{Address, DlmsAddress};
use meter_link::meter::asked::{Access, AskError, Asked};
use meter_link::meter::reserve::{Reserve, Reserved};
use meter_link::obis::Obis;
use meter_link::security::key::Key;
use meter_link::security::{Counter, Fingerprint, KeyPair};

use crate::peer::{Peer, Wire, python};

/// Keeps counters in memory, as a home does on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<[u8; 12], u32>>>);

impl Ledger {
    pub(crate) fn next(&self, key: Fingerprint) -> u32 {
        self.0.lock().expect("no test panics in it").get(&key.0).copied().unwrap_or(1)
    }

    pub(crate) fn take(&self, key: Fingerprint, from: u32, count: u32) -> Reserved {
        let start = self.next(key).max(from);
        self.0.lock().expect("no test panics in it").insert(key.0, start + count);
        Reserved { title: *b"WTL\0\0\0\0\x01", counters: start..start + count }
    }
}

impl Reserve for Ledger {
    async fn reserve(&mut self, key: Fingerprint, from: u32, count: u32) -> Option<Reserved> {
        Some(self.take(key, from, count))
    }
}

/// One that has no room left.
struct Full;

impl Reserve for Full {
    async fn reserve(&mut self, _: Fingerprint, _: u32, _: u32) -> Option<Reserved> {
        None
    }
}

pub(crate) fn pair(encryption: u8, authentication: u8) -> KeyPair {
    KeyPair { encryption: [encryption; 16].into(), authentication: Some([authentication; 16].into()) }
}

fn access(keys: KeyPair) -> Access {
    Access { keys: Some(keys), ..Access::default() }
}

pub(crate) fn address(text: &str) -> DlmsAddress {
    match text.parse() {
        Ok(Address::Dlms(address)) => address,
        other => panic!("{text}: {other:?}"),
    }
}

fn register() -> [Attribute; 2] {
    let register = |number| Attribute::new(3, Obis::new(1, 0, 1, 8, 0), number).expect("a readable class");
    [register(2), register(3)]
}

#[tokio::test]
async fn every_way_to_a_meter_reads_the_same() {
    let Some(python) = python() else { return };
    for (mode, framing, query) in [
        ("none", "", ""),
        ("low", "", "?security=low"),
        ("gmac", "", "?security=gmac"),
        ("gmac1", "", "?security=gmac&suite=1"),
        ("none", "--hdlc", ""),
        ("low", "--hdlc", "?security=low"),
        ("gmac", "--hdlc", "?security=gmac"),
        ("gmac1", "--hdlc", "?security=gmac&suite=1"),
    ] {
        let (options, scheme) = match framing {
            "" => (vec![mode], "dlms"),
            framing => (vec![mode, framing], "dlms+hdlc"),
        };
        let peer = Peer::start(&python, &options);
        let address = address(&format!("{scheme}://127.0.0.1:{}{query}", peer.port));
        let access = Access { secret: Some(Secret("made up".to_owned())), ..access(pair(1, 2)) };
        let mut asked = Asked::open(&address, &access, Ledger::default()).await.expect(mode);
        let got = asked.read(&register()).await.expect(mode);
        assert_eq!(got[0].as_ref().ok().and_then(|data| data.integer()), Some(123_456), "{address}");
        assert_eq!(
            (asked.is_protected(), asked.counter().is_some()),
            (mode.starts_with("gmac"), mode.starts_with("gmac"))
        );
        asked.release().await;
    }
    println!("read in 8 ways");
}

#[tokio::test]
async fn a_meter_on_a_serial_line_is_asked() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["gmac", "--hdlc"]);
    let line = Wire::new(peer.port);
    let address = address(&format!("dlms:{}?security=gmac&speed=19200", line.path));
    let mut asked = Asked::open(&address, &access(pair(1, 2)), Ledger::default()).await.expect("an association");
    let got = asked.read(&register()).await.expect("an answer");
    assert_eq!(got[0].as_ref().ok().and_then(|data| data.integer()), Some(123_456));
    asked.release().await;
}

#[tokio::test]
async fn what_opens_nothing_says_why() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["low"]);
    let low = address(&format!("dlms://127.0.0.1:{}?security=low", peer.port));
    let secret = |text: &str| Access { secret: Some(Secret(text.to_owned())), ..Access::default() };
    let open =
        async |address: &DlmsAddress, access: &Access| Asked::open(address, access, Ledger::default()).await.err();
    assert_eq!(open(&low, &Access::default()).await, Some(AskError::SecretNeeded));
    let refused = ClientError::AssociationRefused { result: 1, diagnostic: 13 };
    assert_eq!(open(&low, &secret("made down")).await, Some(AskError::Client(refused)));
    let foreign = address(&format!("dlms://127.0.0.1:{}?security=low&client=9", peer.port));
    let refused = ClientError::AssociationRefused { result: 1, diagnostic: 1 };
    assert_eq!(open(&foreign, &secret("made up")).await, Some(AskError::Client(refused)));

    let peer = Peer::start(&python, &["gmac"]);
    let gmac = address(&format!("dlms://127.0.0.1:{}?security=gmac", peer.port));
    assert_eq!(open(&gmac, &Access::default()).await, Some(AskError::KeyNeeded));
    assert!(matches!(open(&gmac, &access(pair(3, 2))).await, Some(AskError::Client(ClientError::Exception { .. }))));
    assert!(open(&gmac, &access(pair(1, 3))).await.is_some());
    assert_eq!(Asked::open(&gmac, &access(pair(1, 2)), Full).await.err(), Some(AskError::NotKept));
    drop(peer);
    assert!(matches!(open(&gmac, &access(pair(1, 2))).await, Some(AskError::Link(_))));
}

#[tokio::test]
async fn a_counter_that_was_used_before_is_learned_from_the_meter_and_never_comes_twice() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["gmac"]);
    let gmac = address(&format!("dlms://127.0.0.1:{}?security=gmac", peer.port));
    let (first, keys) = (Ledger::default(), pair(1, 2));
    first.take(keys.fingerprint(), 70_000, 1);
    let mut asked = Asked::open(&gmac, &access(keys.clone()), first.clone()).await.expect("an association");
    let heard = asked.counter().expect("something was opened");
    asked.read(&register()).await.expect("an answer");
    assert!(asked.counter().expect("something was opened").highest > heard.highest);
    let highest = asked.counter().expect("something was opened");
    asked.release().await;

    // A home that lost its disk: the public client says how far the counter is.
    let lost = Ledger::default();
    let mut asked = Asked::open(&gmac, &access(keys.clone()), lost.clone()).await.expect("an association");
    asked.read(&register()).await.expect("an answer");
    assert!(lost.next(keys.fingerprint()) > 70_000);
    asked.release().await;

    // What the meter sent before is not taken again, whoever sends it.
    let later = Counter { highest: highest.highest + 1_000, ..highest };
    let stale = Access { counters: vec![later], ..access(keys.clone()) };
    let refused = Asked::open(&gmac, &stale, lost.clone()).await.err();
    assert!(matches!(refused, Some(AskError::Client(ClientError::Decode(error))) if error.code() == "replayed"));
    let foreign = Access { counters: vec![Counter { title: *b"ANOTHER1", ..highest }], ..access(keys) };
    let refused = Asked::open(&gmac, &foreign, lost).await.err();
    assert!(matches!(refused, Some(AskError::Client(ClientError::Decode(error))) if error.code() == "title_foreign"));
}

#[tokio::test]
async fn counters_are_kept_before_they_run_out_and_under_new_keys_too() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["gmac"]);
    let gmac = address(&format!("dlms://127.0.0.1:{}?security=gmac", peer.port));
    let (ledger, old, new) = (Ledger::default(), pair(1, 2), pair(5, 6));
    let mut asked = Asked::open(&gmac, &access(old.clone()), ledger.clone()).await.expect("an association");
    let before = ledger.next(old.fingerprint());
    for _ in 0..1_200 {
        asked.read(&register()[..1]).await.expect("an answer");
    }
    assert!(ledger.next(old.fingerprint()) > before, "more were kept");

    let master = Key::from([0xAA; 16]);
    let wrapped = |keys: &Keys| {
        vec![
            (KeyId::Unicast, wrap(&master, &keys.encryption).expect("fits")),
            (KeyId::Authentication, wrap(&master, &keys.authentication).expect("fits")),
        ]
    };
    let keys = Keys { encryption: [5; 16].into(), authentication: [6; 16].into() };
    asked.transfer_keys(&wrapped(&keys), &new).await.expect("the keys are taken");
    let got = asked.read(&register()).await.expect("an answer under the new keys");
    assert!(got[0].is_ok());
    assert_eq!(asked.counter().map(|counter| counter.key), Some(new.fingerprint()));
    assert!(ledger.next(new.fingerprint()) > before, "kept under the new keys, above what the old ones used");
    asked.release().await;
    assert!(Asked::open(&gmac, &access(old), ledger.clone()).await.is_err(), "the old keys are gone");
    Asked::open(&gmac, &access(new), ledger).await.expect("an association under the new keys");
}
