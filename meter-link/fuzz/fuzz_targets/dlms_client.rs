//! Any bytes to a client amid a protected association never panic and never give data: nobody who lacks the keys makes a
//! tag. In clear they never panic. The first byte says which, over which transport.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::dlms_client::apdu::Attribute;
use meter_link::dlms_client::ciphering::Keys;
use meter_link::dlms_client::{Authentication, Client, Config, Event, Protection, Transport};
use meter_link::obis::Obis;
use meter_link::security::key::Suite;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let is_protected = kind & 1 == 1;
    let transport = if kind & 2 == 0 {
        Transport::Wrapper { client: 1, server: 1 }
    } else {
        Transport::Hdlc { client: 1, logical: 1, physical: None, offered: None }
    };
    let mut config = Config::public(transport);
    if is_protected {
        config.authentication = if kind & 4 == 0 { Authentication::Gmac } else { Authentication::None };
        config.challenge = vec![1; 16];
        config.protection = Some(Protection {
            suite: Suite::Zero,
            keys: Keys { encryption: [1; 16].into(), authentication: [2; 16].into() },
            client_title: [1; 8],
            meter_title: None,
            dedicated: None,
            counters: 0..1_000,
            meter_counter: None,
        });
    }
    let mut client = Client::new(config).expect("keys fit");
    client.associate();
    let register = Attribute::new(3, Obis::new(1, 0, 1, 8, 0), 2).expect("a readable class");
    // Each portion a frame of its own, its header made right so that more than the framing is reached.
    for part in bytes.split(|byte| *byte == 0xA5) {
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
        if kind & 8 == 0 {
            client.handle_bytes(&[&[0, 1, 0, 1, 0, 1][..], &length, part].concat());
        } else {
            client.handle_bytes(part);
        }
        while client.poll_transmit().is_some() {}
        while let Some(event) = client.poll_event() {
            let is_data = matches!(event, Event::Got(_) | Event::Associated(_) | Event::KeysTaken);
            assert!(!(is_protected && is_data), "data without a tag");
        }
        // Once for each portion: one that comes too soon is an event, too.
        client.get(std::slice::from_ref(&register));
    }
});
