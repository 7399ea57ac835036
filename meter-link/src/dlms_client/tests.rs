//! A model meter, and what the client does with one that behaves, and with one that does not.

use proptest::prelude::*;

use super::data::Data;
use super::key_change::{KeyChange, Master, Stage, SuiteKeys};
use super::*;
use crate::obis::Obis;

const CLIENT: [u8; 8] = *b"WTL\0\0\0\0\x01";
const METER: [u8; 8] = *b"XYZ\0\0\0\0\x02";
const CHALLENGE: [u8; 16] = [7; 16];

fn keys(byte: u8) -> Keys {
    Keys { encryption: [byte; 16].into(), authentication: [byte ^ 0xFF; 16].into() }
}

fn config(keys: Keys) -> Config {
    Config {
        authentication: Authentication::Gmac,
        protection: Some(Protection {
            suite: Suite::Zero,
            keys,
            client_title: CLIENT,
            meter_title: Some(METER),
            dedicated: None,
            counters: 10..100,
            meter_counter: Some(5),
        }),
        challenge: CHALLENGE.to_vec(),
        ..Config::public(Transport::Wrapper { client: 1, server: 1 })
    }
}

fn register() -> Attribute {
    Attribute::new(3, Obis::new(1, 0, 1, 8, 0), 2).expect("a readable class")
}

/// Its own ciphering is the client's with the titles exchanged.
#[derive(Clone)]
struct Meter {
    master: Key,
    keys: Keys,
    counter: u32,
    /// Blocks of a general block transfer, if its answers go out so.
    blocks: Option<usize>,
    waiting: VecDeque<Vec<u8>>,
}

impl Meter {
    fn new(keys: Keys) -> Self {
        Self { master: [0xAA; 16].into(), keys, counter: 100, blocks: None, waiting: VecDeque::new() }
    }

    fn ciphering(&self) -> Ciphering {
        let titles = (METER, Some(CLIENT));
        Ciphering::new(Suite::Zero, &self.keys, None, titles, self.counter..u32::MAX, None).expect("keys fit")
    }

    fn seal(&mut self, tag: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = self.ciphering().seal(plain, Under::Global).expect("counters");
        self.counter += 1;
        let mut apdu = tag.to_vec();
        data::write_octets(&sealed, &mut apdu);
        apdu
    }

    /// An answer to a frame; `None` if it cannot be opened.
    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let apdu = &frame[8..];
        match apdu[0] {
            0x60 => {
                let place = apdu.windows(2).position(|pair| pair == [0x21, 0x1F])?;
                let mut reader = data::Reader::new(&apdu[place + 1..]);
                self.ciphering().open(reader.octets().ok()?, Under::Global).ok()?;
                let information = self.seal(&[0x28], &[8, 0, 6, 0x5F, 0x1F, 4, 0, 0x60, 0x16, 0x15, 1, 0, 0, 7]);
                let mut body = vec![0xA1, 9, 6, 7, 0x60, 0x85, 0x74, 5, 8, 1, 3, 0xA2, 3, 2, 1, 0];
                body.extend([0xA3, 5, 0xA1, 3, 2, 1, 0x0E, 0xA4, 10, 4, 8]);
                body.extend(METER);
                body.extend([0xAA, 18, 0x80, 16]);
                body.extend([9; 16]);
                body.extend([0xBE, information.len() as u8 + 2, 4, information.len() as u8]);
                body.extend(information);
                let mut apdu = vec![0x61];
                data::write_octets(&body, &mut apdu);
                Some(apdu)
            }
            0xE0 => self.waiting.pop_front(),
            0x62 => Some(vec![0x63, 3, 0x80, 1, 0]),
            _ => {
                let (sealed, general) = match apdu {
                    [0xDB, rest @ ..] => (data::Reader::new(&rest[9..]).octets().ok()?, true),
                    [_, rest @ ..] => (data::Reader::new(rest).octets().ok()?, false),
                    [] => return None,
                };
                let plain = self.ciphering().open(sealed, Under::Global).ok()?;
                let answer = self.plain(&plain)?;
                let tag = if general { [&[0xDB, 8][..], &METER].concat() } else { vec![answer[0] + 8] };
                let apdu = self.seal(&tag, &answer);
                if plain[0] == 0xC3 && plain[11] == 2 {
                    self.take(&plain);
                }
                let Some(length) = self.blocks.filter(|_| general) else { return Some(apdu) };
                let parts: Vec<&[u8]> = apdu.chunks(length).collect();
                for (number, part) in (1_u16..).zip(&parts) {
                    let mut block = vec![0xE0, if usize::from(number) == parts.len() { 0x81 } else { 1 }];
                    block.extend(number.to_be_bytes());
                    block.extend([0, 0]);
                    data::write_octets(part, &mut block);
                    self.waiting.push_back(block);
                }
                self.waiting.pop_front()
            }
        }
    }

    fn plain(&self, plain: &[u8]) -> Option<Vec<u8>> {
        match plain {
            [0xC0, ..] => Some(vec![0xC4, 1, 0xC1, 0, 6, 0, 1, 0xE2, 0x40]),
            [0xC3, _, _, 0, 15, ..] => {
                let proof = self.ciphering().proof(METER, 77, &CHALLENGE);
                Some([&[0xC7, 1, 0xC1, 0, 1, 0, 9, 17][..], &proof].concat())
            }
            [0xC3, ..] => Some(vec![0xC7, 1, 0xC1, 0, 0]),
            _ => None,
        }
    }

    /// New keys count from the next message.
    fn take(&mut self, action: &[u8]) {
        let list = Data::read(&action[13..]).expect("keys");
        for part in list.elements().expect("a list") {
            let [id, wrapped] = part.elements().expect("a pair") else { panic!("a pair") };
            let key = security_setup::unwrap(&self.master, wrapped.bytes().expect("octets")).expect("wrapped");
            match id.integer() {
                Some(0) => self.keys.encryption = key,
                _ => self.keys.authentication = key,
            }
        }
    }
}

fn frame(apdu: &[u8]) -> Vec<u8> {
    [&[0, 1, 0, 1, 0, 1][..], &(apdu.len() as u16).to_be_bytes(), apdu].concat()
}

/// Carries frames until nobody has anything to say; `change` may spoil an answer.
fn carry(client: &mut Client, meter: &mut Meter, mut change: impl FnMut(Vec<u8>) -> Option<Vec<u8>>) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        events.extend(std::iter::from_fn(|| client.poll_event()));
        let Some(sent) = client.poll_transmit() else { return events };
        if let Some(answer) = meter.answer(&sent).and_then(&mut change) {
            client.handle_bytes(&frame(&answer));
        }
    }
}

fn associated(meter: &mut Meter) -> Client {
    let mut client = Client::new(config(meter.keys.clone())).expect("keys fit");
    client.associate();
    let events = carry(&mut client, meter, Some);
    assert!(matches!(events[..], [Event::Associated(_)]), "{events:?}");
    client
}

/// What becomes of a read whose answer is changed on the way.
#[track_caller]
fn check(change: impl FnMut(Vec<u8>) -> Option<Vec<u8>>, expect: &[Event]) {
    let mut meter = Meter::new(keys(1));
    let mut client = associated(&mut meter);
    client.get(&[register()]);
    assert_eq!(carry(&mut client, &mut meter, change), expect);
}

fn number() -> Event {
    Event::Got(vec![Ok(Data::Integer(123_456))])
}

#[test]
fn a_register_is_read_under_keys() {
    check(Some, &[number()]);
}

#[test]
fn an_answer_in_general_blocks_is_one_answer() {
    let mut meter = Meter::new(keys(1));
    let mut client = associated(&mut meter);
    meter.blocks = Some(20);
    client.get(&[register()]);
    let events = carry(&mut client, &mut meter, Some);
    assert_eq!(events.last(), Some(&number()), "{events:?}");
    assert!(events.len() > 1, "it came in blocks");
}

#[test]
fn k2_a_repeated_answer_is_refused() {
    let mut meter = Meter::new(keys(1));
    let mut client = associated(&mut meter);
    let mut first = None;
    client.get(&[register()]);
    carry(&mut client, &mut meter, |answer| {
        first = Some(answer.clone());
        Some(answer)
    });
    client.get(&[register()]);
    let events = carry(&mut client, &mut meter, |_| first.clone());
    assert!(matches!(events[..], [Event::Failed(ClientError::Decode(DecodeError::Replayed { .. }))]), "{events:?}");
}

#[test]
fn an_answer_in_clear_is_refused() {
    let plain = vec![0xC4, 1, 0xC1, 0, 6, 0, 1, 0xE2, 0x40];
    check(|_| Some(plain.clone()), &[Event::Failed(ClientError::ProtectionMissing)]);
    let block = [&[0xE0, 0x81, 0, 1, 0, 0, plain.len() as u8], &plain[..]].concat();
    check(|_| Some(block.clone()), &[Event::Failed(ClientError::ProtectionMissing)]);
}

#[test]
fn k1_a_changed_or_foreign_answer_is_refused() {
    for place in [16, 20] {
        let changed = |mut answer: Vec<u8>| {
            answer[place] ^= 1;
            Some(answer)
        };
        check(changed, &[Event::Failed(DecodeError::KeyWrong.into())]);
    }
    let foreign = |mut answer: Vec<u8>| {
        answer[9] ^= 1;
        Some(answer)
    };
    check(foreign, &[Event::Failed(DecodeError::TitleForeign.into())]);
    let encrypted_only = |mut answer: Vec<u8>| {
        answer[11] = 0x20;
        Some(answer)
    };
    check(encrypted_only, &[Event::Failed(DecodeError::TagMissing.into())]);
}

#[test]
fn a_counter_is_corrected_once_and_never_downwards() {
    let mut meter = Meter::new(keys(1));
    let mut client = associated(&mut meter);
    let exception = |expected: u32| [&[0xD8, 1, 6], &expected.to_be_bytes()[..]].concat();
    let mut answers = VecDeque::from([exception(50)]);
    client.get(&[register()]);
    assert_eq!(carry(&mut client, &mut meter, |answer| answers.pop_front().or(Some(answer))), [number()]);
    assert_eq!(client.counter(), Some(51));
    for (expected, error) in
        [(3, ClientError::Exception { state: 1, service: 6 }), (5_000, ClientError::CounterBehind { expected: 5_000 })]
    {
        let mut client = client.clone();
        client.get(&[register()]);
        let events = carry(&mut client, &mut meter, |_| Some(exception(expected)));
        assert_eq!(events, [Event::Failed(error)]);
        assert!(client.counter() > Some(51), "never downwards");
    }
    client.get(&[register()]);
    let mut expected = 60;
    let events = carry(&mut client, &mut meter, |_| {
        expected += 10;
        Some(exception(expected))
    });
    assert_eq!(events, [Event::Failed(ClientError::Exception { state: 1, service: 6 })], "once");
}

#[test]
fn counters_that_were_not_kept_are_not_used() {
    let mut meter = Meter::new(keys(1));
    let mut client = associated(&mut meter);
    let mut used = 0;
    let last = loop {
        client.get(&[register()]);
        match carry(&mut client, &mut meter, Some).pop() {
            Some(Event::Got(_)) => used += 1,
            last => break last,
        }
        assert!(used < 100);
    };
    assert_eq!(last, Some(Event::Failed(ClientError::CountersSpent)));
    assert_eq!(client.counter(), Some(100));
}

#[test]
fn a_reflected_challenge_and_a_wrong_proof_are_refused() {
    let spoil = |spoil: fn(&mut [u8]), expect: ClientError| {
        let mut meter = Meter::new(keys(1));
        let mut client = Client::new(config(keys(1))).expect("keys fit");
        client.associate();
        let events = carry(&mut client, &mut meter, |mut answer| {
            spoil(&mut answer);
            Some(answer)
        });
        assert_eq!(events, [Event::Failed(expect)]);
    };
    fn reflect(answer: &mut [u8]) {
        if let Some(place) = answer.windows(2).position(|pair| pair == [9; 2]) {
            answer[place..place + 16].fill(7);
        }
    }
    spoil(reflect, ClientError::ChallengeReflected);
    let mut meter = Meter::new(keys(1));
    let mut client = Client::new(config(keys(2))).expect("keys fit");
    client.associate();
    assert_eq!(carry(&mut client, &mut meter, Some), [], "a meter does not answer a wrong key");
}

#[test]
fn a_disconnector_cannot_be_named() {
    for class in 0..=u16::MAX {
        let readable = Attribute::new(class, Obis::new(0, 0, 96, 3, 10), 2).is_some();
        assert!(!readable || matches!(class, 1 | 3..=8 | 15 | 17 | 64 | 72), "{class}");
    }
    // All methods there are: whatever is sent is a read or one of these.
    for method in [Method::AgreeKey, Method::ProveOurselves, Method::TransferKeys] {
        let apdu = apdu::action(method, &[0]);
        assert!(matches!(apdu[3..11], [0, 64, 0, 0, 43, 0, 0, 255] | [0, 15, 0, 0, 40, 0, 0, 255]));
    }
}

/// Changes a meter's keys; the power fails before step `crash`, if that is reached. Gives the journal as kept.
fn change(meter: &mut Meter, journal: &mut KeyChange, crash: usize, both: bool) {
    let mut step = 0;
    let mut goes_on = || {
        step += 1;
        step <= crash
    };
    // After every start: which keys does the meter have?
    let mut open = None;
    for candidate in journal.candidates() {
        let mut client = Client::new(config(candidate.keys.clone())).expect("keys fit");
        client.associate();
        if matches!(carry(&mut client, meter, Some)[..], [Event::Associated(_)]) {
            open = Some((client, candidate));
            break;
        }
    }
    let (mut client, found) = open.expect("no meter is lost");
    if !goes_on() {
        return;
    }
    if journal.stage() != Stage::Active {
        *journal = journal.clone().answered_under(&found);
    }
    let target = journal.target().expect("they are made").keys.clone();
    if journal.stage() == Stage::Pending {
        if !goes_on() {
            return;
        }
        *journal = journal.clone().sent();
        if !goes_on() {
            return;
        }
        let wrap = |key: &Key| security_setup::wrap(&meter.master, key).expect("lengths fit");
        let parts = [(KeyId::Unicast, wrap(&target.encryption)), (KeyId::Authentication, wrap(&target.authentication))];
        client.transfer_keys(if both { &parts } else { &parts[..1] });
        let lost = !goes_on();
        let events = carry(&mut client, meter, |answer| (!lost).then_some(answer));
        if lost {
            return;
        }
        assert_eq!(events, [Event::KeysTaken]);
        let now = Keys {
            authentication: if both { target.authentication.clone() } else { found.keys.authentication.clone() },
            encryption: target.encryption.clone(),
        };
        client.use_keys(&now);
        client.get(&[register()]);
        if !goes_on() {
            return;
        }
        assert_eq!(carry(&mut client, meter, Some), [number()], "the proof is a read");
        if !goes_on() {
            return;
        }
        *journal = journal.clone().answered_under(&SuiteKeys { suite: Suite::Zero, keys: now });
    }
    if goes_on() {
        *journal = journal.clone().finished();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_meter_is_lost_wherever_the_power_fails(crashes in proptest::collection::vec(0_usize..9, 0..6), half in any::<bool>()) {
        let mut meter = Meter::new(keys(1));
        let suite_keys = |byte| SuiteKeys::new(Suite::Zero, keys(byte)).expect("keys fit");
        let master = Master::Known(vec![meter.master.clone()]);
        let mut journal = KeyChange::new(suite_keys(1), master, false).proposed(suite_keys(2), None);
        for crash in crashes {
            // A meter that takes one of two keys, too.
            change(&mut meter, &mut journal, crash, !half);
            let kept = serde_json::to_string(&journal).expect("a journal");
            journal = serde_json::from_str(&kept).expect("a journal");
            prop_assert!(journal.candidates().iter().any(|candidate| candidate.keys == meter.keys));
        }
        change(&mut meter, &mut journal, usize::MAX, true);
        prop_assert_eq!(journal.stage(), Stage::Active);
        prop_assert!(meter.keys == keys(2));
    }

    #[test]
    fn any_chunking_hears_the_same(cuts in proptest::collection::vec(1_usize..40, 1..30)) {
        let mut meter = Meter::new(keys(1));
        let mut client = Client::new(config(keys(1))).expect("keys fit");
        client.associate();
        let mut cuts = cuts.into_iter().cycle();
        let mut events = Vec::new();
        for _ in 0..4 {
            while let Some(sent) = client.poll_transmit() {
                let answer = frame(&meter.answer(&sent).expect("an answer"));
                let mut rest = &answer[..];
                while !rest.is_empty() {
                    let (part, more) = rest.split_at(cuts.next().expect("endless").min(rest.len()));
                    client.handle_bytes(part);
                    rest = more;
                }
            }
            events.extend(std::iter::from_fn(|| client.poll_event()));
            if events.len() == 1 {
                client.get(&[register()]);
            }
        }
        prop_assert_eq!(&events[1..], &[number()]);
    }

    #[test]
    fn any_bytes_give_no_data_without_a_tag(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut client = associated(&mut Meter::new(keys(1)));
        client.get(&[register()]);
        client.handle_bytes(&bytes);
        client.handle_bytes(&frame(&bytes));
        prop_assert!(std::iter::from_fn(|| client.poll_event()).all(|event| !matches!(event, Event::Got(_))));
    }
}
