//! Recorded sessions asked again, octet for octet, and the vectors of the standard.
//!
//! Where the recorded client uses one counter twice (for its proof and for the message around it) ours uses two, so later
//! counters differ: then the content must be equal, and equal in octets once sealed with the recorded counter.

use std::path::PathBuf;

use meter_link::dlms_client::apdu::{Attribute, Selection};
use meter_link::dlms_client::association::Conformance;
use meter_link::dlms_client::ciphering::Keys;
use meter_link::dlms_client::curve::PrivateKey;
use meter_link::dlms_client::data::Data;
use meter_link::dlms_client::profile::{Columns, Profile, read_rows};
use meter_link::dlms_client::security_setup::{KeyId, wrap};
use meter_link::dlms_client::{Authentication, Client, Config, Event, Protection, Transport};
use meter_link::obis::Obis;
use meter_link::security::cipher::{Cipher, nonce};
use meter_link::security::key::{Key, Suite};
use serde_json::Value;

const CLIENT_TITLE: [u8; 8] = [0x4D, 0x4D, 0x4D, 0, 0, 0, 0, 1];

fn folder() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/dlms_client");
    std::env::var_os("WATTLE_CORPUS").map_or(beside, |folder| PathBuf::from(folder).join("dlms_client"))
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).expect("hex")).collect()
}

fn key(case: &Value, name: &str) -> Option<Key> {
    Key::parse(case["keys"][name].as_str()?)
}

/// The plain questions of a recording, in their order.
fn questions(case: &Value) -> Vec<Vec<u8>> {
    let apdus = case["expected"]["apdus"].as_array().expect("messages");
    apdus
        .iter()
        .filter(|apdu| apdu["dir"] == "c2s")
        .map(|apdu| bytes(apdu["plaintext_apdu"].as_str().or(apdu["apdu"].as_str()).expect("hex")))
        .collect()
}

fn attribute(question: &[u8]) -> Attribute {
    let [_, _, _, high, low, a, b, c, d, e, _, number, access @ ..] = question else { panic!("a get request") };
    let obis = Obis::new(*a, *b, *c, *d, *e);
    let selection = match access {
        [1, 2, rest @ ..] => {
            let number = |place: usize| u32::from_be_bytes(rest[place..place + 4].try_into().expect("four"));
            Some(Selection::Entries { from: number(3), to: number(8) })
        }
        [1, 1, rest @ ..] => {
            let instant = |place: usize| rest[place..place + 12].try_into().expect("twelve");
            let from = rest.windows(2).position(|pair| pair == [9, 12]).expect("an instant") + 2;
            Some(Selection::Range { from: instant(from), to: instant(from + 14) })
        }
        _ => None,
    };
    match selection {
        Some(selection) => Attribute::profile(obis, Some(selection)),
        None => Attribute::new(u16::from_be_bytes([*high, *low]), obis, *number).expect("a readable class"),
    }
}

/// What is sealed in a message: its start, counter and content, if it holds.
fn opened(frame: &[u8], keys: &[Keys]) -> Option<(u8, u32, Vec<u8>, Keys)> {
    let place = (0..frame.len().saturating_sub(17)).find(|place| {
        frame[*place] & 0xF0 == 0x30 && frame[*place] & 15 < 3 && {
            let length = frame.len() - place;
            frame[place - 1] == length as u8 || (length > 0x7F && frame[place - 2] == 0x81)
        }
    })?;
    let (control, rest) = (frame[place], &frame[place + 1..]);
    let counter = u32::from_be_bytes(rest[..4].try_into().ok()?);
    let (text, tag) = rest[4..].split_last_chunk::<12>()?;
    keys.iter().find_map(|keys| {
        let mut plain = text.to_vec();
        let associated = [&[control], keys.authentication.bytes()].concat();
        Cipher::new(&keys.encryption)
            .open(nonce(CLIENT_TITLE, counter), &associated, &mut plain, *tag)
            .then(|| (control, counter, plain, keys.clone()))
    })
}

/// The same octets, or the same content under another counter.
fn check_frame(name: &str, ours: &[u8], recorded: &[u8], keys: &[Keys]) {
    if ours == recorded {
        return;
    }
    let (Some(our), Some(theirs)) = (opened(ours, keys), opened(recorded, keys)) else {
        // One recorded client releases in clear what it protects before.
        assert!(recorded.ends_with(&[0x62, 3, 0x80, 1, 0]), "{name}: differs");
        return;
    };
    let is_offer = our.2.get(..11) == Some(&[0xC3, 1, 0xC1, 0, 0x40, 0, 0, 0x2B, 0, 0, 0xFF]) && our.2[11] == 3;
    if is_offer {
        // The signature of a key agreement is random.
        assert_eq!(our.2[..86], theirs.2[..86], "{name}: offer");
        return;
    }
    assert_eq!(our.2, theirs.2, "{name}: content");
    let mut text = our.2.clone();
    let associated = [&[our.0], our.3.authentication.bytes()].concat();
    let tag = Cipher::new(&our.3.encryption).seal(nonce(CLIENT_TITLE, theirs.1), &associated, &mut text);
    assert!(recorded.ends_with(&[&text[..], &tag].concat()), "{name}: octets under the recorded counter");
}

fn replay(name: &str) -> Vec<Event> {
    let case: Value =
        serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.json"))).expect("a case")).expect("json");
    let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).expect("a recording");
    let mut lines = text.lines().map(|line| (line.as_bytes()[0], bytes(line[2..].trim()))).peekable();
    let mut questions = questions(&case).into_iter();
    let request = questions.next().expect("an association request");
    let old =
        key(&case, "ek").zip(key(&case, "ak")).map(|(encryption, authentication)| Keys { encryption, authentication });
    let new = old.as_ref().map(|old| Keys {
        encryption: key(&case, "new_guek").unwrap_or(old.encryption.clone()),
        authentication: key(&case, "new_gak").unwrap_or(old.authentication.clone()),
    });
    let suite =
        Suite::of_control(name.split('_').nth(3).and_then(|part| part.parse().ok()).unwrap_or(0)).expect("suite");
    let first = request
        .windows(4)
        .position(|part| part == [0x04, 0x21, 0x21, 0x1F])
        .map_or(0, |place| u32::from_be_bytes(request[place + 5..place + 9].try_into().expect("four")));
    let challenge = request.windows(4).position(|part| part == [0xAC, 0x12, 0x80, 0x10]);
    let config = Config {
        transport: if name.contains("hdlc") {
            Transport::Hdlc { client: 16, logical: 1, physical: None, offered: None }
        } else {
            let first = &lines.peek().expect("a line").1;
            Transport::Wrapper {
                client: u16::from_be_bytes([first[2], first[3]]),
                server: u16::from_be_bytes([first[4], first[5]]),
            }
        },
        authentication: match &old {
            Some(_) => Authentication::Gmac,
            None if name.contains("low") => Authentication::Low(b"Gurux".to_vec()),
            None => Authentication::None,
        },
        challenge: challenge.map_or(Vec::new(), |place| request[place + 4..place + 20].to_vec()),
        conformance: Conformance(if name.contains("java") { 0x62_1E5D } else { 0x40_1E5D }),
        longest: 0xFFFF,
        protection: old.clone().map(|keys| Protection {
            suite,
            keys,
            client_title: CLIENT_TITLE,
            meter_title: None,
            dedicated: None,
            counters: first..1_000,
            meter_counter: None,
        }),
    };
    let all = [old.clone(), new.clone()].into_iter().flatten().collect::<Vec<_>>();
    let mut client = Client::new(config).expect("keys fit");
    let mut questions =
        questions.filter(|question| question[..2] == [0xC0, 1] || question.starts_with(&[0xC3, 1, 0xC1, 0, 0x40]));
    let mut events = Vec::new();
    client.associate();
    loop {
        while let Some(frame) = client.poll_transmit() {
            match lines.next() {
                Some((b'>', recorded)) => check_frame(name, &frame, &recorded, &all),
                // A recording may end before the connection is closed.
                None => return events,
                _ => panic!("{name}: sent while the meter was to speak"),
            }
        }
        while let Some(event) = client.poll_event() {
            assert!(!matches!(event, Event::Failed(_)), "{name}: {event:?}");
            let asks = matches!(event, Event::Associated(_) | Event::Got(_) | Event::KeyAgreed(..) | Event::KeysTaken);
            if matches!(event, Event::KeyAgreed(..) | Event::KeysTaken) {
                client.use_keys(new.as_ref().expect("new keys"));
            }
            events.push(event);
            if !asks {
                continue;
            }
            match questions.next() {
                Some(question) if question[0] == 0xC0 => client.get(&[attribute(&question)]),
                Some(question) if question[11] == 2 => {
                    let master = key(&case, "kek")
                        .unwrap_or_else(|| Key::parse("11121314151617181920212223242526").expect("a key"));
                    let mut keys = Vec::new();
                    // One recording hands over the unicast key alone.
                    let unicast = key(&case, "new_guek").or_else(|| Key::parse("404142434445464748494A4B4C4D4E4F"));
                    keys.push((KeyId::Unicast, wrap(&master, &unicast.expect("a key")).expect("fits")));
                    if question[14] == 2 {
                        let key = key(&case, "new_gak").expect("a key");
                        keys.push((KeyId::Authentication, wrap(&master, &key).expect("fits")));
                    }
                    client.transfer_keys(&keys);
                }
                Some(_) => {
                    let octets = |name: &str| bytes(case["keys"][name].as_str().expect("a key"));
                    let private = |name: &str| PrivateKey::new(suite, &octets(name)).expect("a key");
                    let signing = private("client_sign_private");
                    let ephemeral = private("client_ephemeral_private");
                    client.agree_key(KeyId::Unicast, ephemeral, &signing, &octets("server_sign_public"));
                }
                None => client.release(),
            }
        }
        match lines.peek() {
            Some((b'<', _)) => client.handle_bytes(&lines.next().expect("peeked").1),
            Some(_) => assert!(client.clone().poll_transmit().is_some(), "{name}: nothing to send"),
            None => return events,
        }
    }
}

#[test]
fn recorded_sessions_are_asked_again_octet_for_octet() {
    let names = [
        "java_0_transfer",
        "java_1_agree",
        "java_2_none",
        "py_hdlc_none",
        "py_wrapper_gmac",
        "py_wrapper_low",
        "py_wrapper_none",
    ];
    if !folder().is_dir() {
        return println!("dlms_client: 0 of 0 cases right, no corpus here");
    }
    let mut right = 0;
    for name in names {
        let events = replay(&format!("gurux_session_{name}"));
        let got =
            events.iter().filter_map(|event| if let Event::Got(got) = event { got[0].as_ref().ok() } else { None });
        let got: Vec<&Data> = got.collect();
        assert!(got.iter().any(|data| data.integer() == Some(123_456)), "{name}: the register");
        assert!(got.iter().any(|data| data.bytes().is_some_and(|bytes| bytes.len() == 13)), "{name}: the name");
        if name.starts_with("py") {
            let columns = got.iter().find(|data| {
                data.elements().is_some_and(|list| list.len() == 2 && matches!(list[0], Data::Structure(_)))
            });
            let columns = Columns::read(columns.expect("columns")).expect("columns");
            let profile = Profile { columns, period_seconds: 900 };
            let lengths: Vec<usize> = got
                .iter()
                .filter(|data| matches!(data, Data::Array(rows) if rows.len() > 2))
                .map(|data| read_rows(&profile, data, None).expect("rows").len())
                .collect();
            assert_eq!(lengths[..3], [288, 5, 5], "{name}: rows");
        }
        if name == "java_1_agree" {
            let case: Value = serde_json::from_slice(
                &std::fs::read(folder().join("gurux_session_java_1_agree.json")).expect("a case"),
            )
            .expect("json");
            let agreed = events
                .iter()
                .find_map(|event| if let Event::KeyAgreed(_, key) = event { Some(key.clone()) } else { None });
            assert_eq!(agreed, key(&case, "new_guek"), "the agreed key");
        }
        right += 1;
    }
    println!("dlms_client sessions: {right} of {} cases right", names.len());
}

fn data_of(name: &str) -> Option<Vec<u8>> {
    std::fs::read(folder().join(format!("{name}.bin"))).ok()
}

#[test]
fn the_standards_vectors_and_recorded_answers_hold() {
    let Some(request) = data_of("greenbook_aarq_lls_ciphered") else {
        return println!("dlms_client vectors: 0 of 0 cases right, no corpus here");
    };
    let standard = |name: &str| Key::parse(name).expect("a key");
    let keys = Keys {
        encryption: standard("000102030405060708090A0B0C0D0E0F"),
        authentication: standard("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
    };
    let title = [0x4D, 0x4D, 0x4D, 0, 0, 0xBC, 0x61, 0x4E];
    let config = Config {
        transport: Transport::Wrapper { client: 1, server: 1 },
        authentication: Authentication::Low(b"12345678".to_vec()),
        protection: Some(Protection {
            suite: Suite::Zero,
            keys: keys.clone(),
            client_title: title,
            meter_title: None,
            dedicated: Some(standard("00112233445566778899AABBCCDDEEFF")),
            counters: 0x0123_4567..0x0123_4568,
            meter_counter: None,
        }),
        challenge: Vec::new(),
        conformance: Conformance(0x00_7E1F),
        longest: 0x04B0,
    };
    let mut client = Client::new(config).expect("keys fit");
    client.associate();
    assert_eq!(client.poll_transmit().expect("a request")[8..], request, "association request");

    let sealed = data_of("greenbook_glo_get_request_auth_enc").expect("a case");
    let associated = [&[0x30], keys.authentication.bytes()].concat();
    let cipher = Cipher::new(&keys.encryption);
    let mut text = sealed[7..sealed.len() - 12].to_vec();
    let tag = sealed.last_chunk().expect("a tag");
    assert!(cipher.open(nonce(title, 0x0123_4567), &associated, &mut text, *tag), "sealed get request");
    assert_eq!(text, [0xC0, 1, 0, 0, 8, 0, 0, 1, 0, 0, 255, 2, 0]);

    let open = data_of("greenbook_glo_get_request_auth_only").expect("a case");
    let associated = [&[0x10], keys.authentication.bytes(), &open[7..open.len() - 12]].concat();
    let tag = open.last_chunk().expect("a tag");
    assert!(cipher.open(nonce(title, 0x0123_4567), &associated, &mut [], *tag), "authenticated get request");

    let proof = data_of("greenbook_hls5_gmac_f_stoc").expect("a case");
    let associated = [&[0x10], keys.authentication.bytes(), b"P6wRJ21F"].concat();
    let tag = cipher.seal(nonce(CLIENT_TITLE, 1), &associated, &mut []);
    assert!(proof.ends_with(&tag), "proof");

    let buffer = Data::read(&data_of("u9n_profile_buffer_null_compressed").expect("a case")).expect("a table");
    let column = |class, obis| meter_link::dlms_client::profile::Column { class, obis, attribute: 2, index: 0 };
    let columns = Columns(vec![
        column(8, Obis::new(0, 0, 1, 0, 0)),
        column(1, Obis::new(0, 0, 96, 10, 1)),
        column(3, Obis::new(1, 0, 1, 8, 0)),
        column(3, Obis::new(1, 0, 2, 8, 0)),
    ]);
    let rows = read_rows(&Profile { columns, period_seconds: 3_600 }, &buffer, None).expect("rows");
    let times: Vec<_> = rows.iter().filter_map(|row| row.time).collect();
    // 2019-12-31T23:00+01:00 and the three hours after.
    let hours: Vec<i64> = times.iter().map(|time| time.unix_milliseconds / 3_600_000).collect();
    assert_eq!(hours, [438_286, 438_287, 438_288, 438_289]);
    assert!(times.iter().all(|time| time.offset_seconds == 3_600));
    let value = |row: usize, column: usize| rows[row].values[column].as_ref().and_then(Data::integer);
    assert!((0..4).all(|row| (value(row, 2), value(row, 3)) == (Some(1_517), Some(1_620))));

    let block = data_of("u9n_get_response_block_1").expect("a case");
    let mut client = Client::new(Config::public(Transport::Wrapper { client: 16, server: 1 })).expect("nothing to fit");
    client.associate();
    client.handle_bytes(&wrapped(&bytes(
        "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f0400401e5d02000007",
    )));
    client.get(&[Attribute::profile(Obis::new(1, 0, 99, 1, 0), None)]);
    // The recorded client numbered its question 0.
    let mut block_one = block;
    block_one[2] = 0xC1;
    client.handle_bytes(&wrapped(&block_one));
    while client.poll_transmit().is_some_and(|sent| sent[8..10] != [0xC0, 2]) {}
    let events: Vec<Event> = std::iter::from_fn(|| client.poll_event()).collect();
    assert!(matches!(events[..], [Event::Associated(_), Event::Progress { bytes: 1_182 }]), "{events:?}");
    println!("dlms_client vectors: 6 of 6 cases right");
}

fn wrapped(apdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(apdu.len()).expect("short").to_be_bytes();
    [&[0, 1, 0, 1, 0, 16][..], &length, apdu].concat()
}
