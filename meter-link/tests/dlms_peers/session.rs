//! The sans-IO client over a plain connection.

use std::time::Duration;

use meter_link::dlms_client::apdu::{Attribute, Selection};
use meter_link::dlms_client::ciphering::Keys;
use meter_link::dlms_client::error::ClientError;
use meter_link::dlms_client::profile::gaps;
use meter_link::dlms_client::security_setup::{KeyId, wrap};
use meter_link::dlms_client::session::Session;
use meter_link::dlms_client::{Authentication, Config, Protection, Transport};
use meter_link::obis::Obis;
use meter_link::reading::Trust;
use meter_link::security::key::{Key, Suite};
use tokio::net::TcpStream;

use crate::peer::{Peer, python};

const PROFILE: Obis = Obis::new(1, 0, 99, 1, 0);

fn keys(encryption: u8, authentication: u8) -> Keys {
    Keys { encryption: [encryption; 16].into(), authentication: [authentication; 16].into() }
}

fn config(mode: &str, keys: Keys, first: u32) -> Config {
    let mut config = Config::public(Transport::Wrapper { client: if mode == "none" { 16 } else { 1 }, server: 1 });
    match mode {
        "none" => (),
        "low" => config.authentication = Authentication::Low(b"made up".to_vec()),
        _ => {
            config.authentication = Authentication::Gmac;
            config.challenge = b"not so random 16".to_vec();
            config.protection = Some(Protection {
                suite: if mode == "gmac1" { Suite::One } else { Suite::Zero },
                keys,
                client_title: *b"WTL\0\0\0\0\x01",
                meter_title: Some(*b"XYZ\0\0\0\0\x02"),
                dedicated: None,
                counters: first..first + 500,
                meter_counter: None,
            });
        }
    }
    config
}

async fn associate(peer: &Peer, config: Config) -> Result<Session<TcpStream>, ClientError> {
    let stream = TcpStream::connect(("127.0.0.1", peer.port)).await.expect("the peer listens");
    Session::associate(stream, config, Duration::from_secs(5)).await.map(|(session, _)| session)
}

async fn everything(peer: &Peer, mode: &str) {
    let mut session = associate(peer, config(mode, keys(1, 2), 1)).await.expect("an association");
    let reading = session.registers(&[Obis::new(1, 0, 1, 8, 0), Obis::new(1, 0, 99, 99, 9)], None).await;
    let reading = reading.expect("a reading");
    assert_eq!(reading.values.len(), 1, "{mode}: the meter has one of two");
    assert_eq!(reading.values[0].value.to_string(), "1234560", "{mode}: scaler 1 means ten");
    assert!(reading.meter_time.is_some() && reading.equipment.is_some() && reading.identification == "XYZ");
    assert_eq!(reading.trust == Trust::Authenticated, mode.starts_with("gmac"));

    let profile = session.profile(PROFILE).await.expect("a profile");
    assert_eq!(profile.period_seconds, 900);
    let mut heard = 0;
    let rows = session.rows(PROFILE, &profile, None, None, &mut |bytes| heard = bytes).await.expect("rows");
    assert_eq!(rows.len(), 30 * 96, "{mode}: thirty days");
    assert!(heard > 30_000, "{mode}: progress");
    assert_eq!(gaps(&rows, 900).len(), 0);
    assert!(rows.iter().all(|row| row.time.is_some()));
    assert_eq!(rows[2_879].values[1].as_ref().and_then(|data| data.integer()), Some(100_000 + 7 * 2_879));
    let some = Some(Selection::Entries { from: 5, to: 8 });
    let part = session.rows(PROFILE, &profile, some, None, &mut |_| ()).await.expect("rows");
    assert_eq!(part[..], rows[4..8]);
    session.release().await.expect("a release");
}

#[tokio::test]
async fn a_meter_of_another_make_is_read_and_gets_new_keys() {
    let Some(python) = python() else { return };
    for mode in ["none", "low", "gmac", "gmac1"] {
        everything(&Peer::start(&python, &[mode]), mode).await;
    }
    let peer = Peer::start(&python, &["gmac"]);
    let wrong = associate(&peer, config("gmac", keys(3, 2), 1)).await;
    assert!(wrong.is_err(), "a wrong key is refused");

    let mut session = associate(&peer, config("gmac", keys(1, 2), 10)).await.expect("an association");
    let register = || Attribute::new(3, Obis::new(1, 0, 1, 8, 0), 2).expect("a readable class");
    let master = Key::from([0xAA; 16]);
    let new = keys(5, 6);
    let wrapped = [
        (KeyId::Unicast, wrap(&master, &new.encryption).expect("fits")),
        (KeyId::Authentication, wrap(&master, &new.authentication).expect("fits")),
    ];
    session.transfer_keys(&wrapped, &new).await.expect("the keys are taken");
    assert!(session.get(register()).await.is_ok(), "a read under the new keys");
    drop(session);
    assert!(associate(&peer, config("gmac", keys(1, 2), 200)).await.is_err(), "the old keys are gone");
    let mut session = associate(&peer, config("gmac", new, 400)).await.expect("an association");
    assert!(session.get(register()).await.is_ok());

    let peer = Peer::start(&python, &["gmac_replaying"]);
    let mut session = associate(&peer, config("gmac", keys(1, 2), 1)).await.expect("an association");
    assert!(session.get(register()).await.is_ok());
    let again = session.get(register()).await;
    assert!(matches!(again, Err(ClientError::Decode(error)) if error.code() == "replayed"), "{again:?}");
    println!("read in 4 ways, keys changed, replay refused");
}
