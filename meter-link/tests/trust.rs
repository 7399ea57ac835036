//! Whom a decoder believes, over thousands of seeds: every carrier of sealed messages, every way to forge one.
//!
//! A forged frame is a true one that was changed by somebody who can reach the line, its framing made right again: nothing of
//! it is a reading, it is one security event, and what comes after it is read as before. What noise alone does to a frame is
//! no reading either. All of it in a decoder that knows its protocol and in one that finds it out, and again after a restart
//! with the counters that were kept.

use meter_link::decoder::{Decoder, Protocol};
use meter_link::dlms::axdr::Token;
use meter_link::dlms::print::{Entry, blocks, hdlc, hdlc_frame, mbus, notification, wrapper};
use meter_link::error::DecodeError;
use meter_link::health::Refusal;
use meter_link::obis::Obis;
use meter_link::p1::print::{Ending, print};
use meter_link::reading::{Flow, Quantity, Reading, Trust};
use meter_link::security::seal::seal;
use meter_link::security::{Counter, KeyPair};

/// Made up; a maker's three letters begin it, as the standard asks.
const TITLE: [u8; 8] = *b"TST\x10\x32\x54\x76\x98";

/// Chance that can be thrown again: the seed is said where a test fails.
struct Chance(u64);

impl Chance {
    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ bits >> 31) % end as u64) as usize
    }
}

/// How sealed messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Bare,
    Hdlc,
    HdlcBlocks,
    HdlcSegments,
    Mbus,
    MbusSegments,
    P1,
    Wrapper,
    WrapperBlocks,
}

impl Carrier {
    const ALL: [Self; 9] = [
        Self::Bare,
        Self::Hdlc,
        Self::HdlcBlocks,
        Self::HdlcSegments,
        Self::Mbus,
        Self::MbusSegments,
        Self::P1,
        Self::Wrapper,
        Self::WrapperBlocks,
    ];

    const fn protocol(self) -> Protocol {
        match self {
            Self::Bare | Self::P1 => Protocol::P1,
            Self::Hdlc | Self::HdlcBlocks | Self::HdlcSegments => Protocol::DlmsHdlc,
            Self::Mbus | Self::MbusSegments => Protocol::DlmsMbus,
            Self::Wrapper | Self::WrapperBlocks => Protocol::DlmsWrapper,
        }
    }

    /// What a meter says in clear: this register.
    fn plain(self, watt_hours: u32) -> Vec<u8> {
        if self == Self::P1 {
            let register = format!("1-0:1.8.0({:06}.{:03}*kWh)", watt_hours / 1_000, watt_hours % 1_000);
            let lines = [&b"0-0:1.0.0(260302101530W)"[..], register.as_bytes(), b"1-0:1.7.0(00.360*kW)"];
            return print(b"TST5\\MADE", lines, Ending::Checksum);
        }
        let entry = |d, value, unit| Entry {
            obis: Obis::new(1, 0, 1, d, 0),
            value: Token::Integer(value),
            scale: Some((0, unit)),
        };
        notification(b"AIDON_V0001", &[entry(7, 360, 27), entry(8, i64::from(watt_hours), 30)])
    }

    /// A message on its way.
    fn frame(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Bare | Self::P1 => message.to_vec(),
            Self::Hdlc => hdlc(message, 2_000),
            Self::HdlcBlocks => blocks(message, 40)
                .iter()
                .zip(1..)
                .flat_map(|(block, number)| if number == 1 { hdlc(block, 2_000) } else { hdlc_frame(block, false) })
                .collect(),
            Self::HdlcSegments => hdlc(message, 50),
            Self::Mbus => mbus(message, 250),
            Self::MbusSegments => mbus(message, 33),
            Self::Wrapper => wrapper(message),
            Self::WrapperBlocks => blocks(message, 60).iter().flat_map(|block| wrapper(block)).collect(),
        }
    }
}

/// A meter with its keys.
struct Meter {
    carrier: Carrier,
    keys: KeyPair,
    counter: u32,
}

impl Meter {
    fn new(carrier: Carrier, chance: &mut Chance) -> Self {
        let mut key = || std::array::from_fn(|_| chance.below(256) as u8);
        let (encryption, authentication): ([u8; 16], [u8; 16]) = (key(), key());
        let authentication = (chance.below(3) > 0).then(|| authentication.into());
        let counter = 1 + chance.below(1 << 20) as u32;
        Self { carrier, keys: KeyPair { encryption: encryption.into(), authentication }, counter }
    }

    /// The next sealed message, its counter for a register.
    fn next(&mut self) -> Vec<u8> {
        self.counter += 1;
        self.seal(self.counter, 0x30)
    }

    fn seal(&self, counter: u32, control: u8) -> Vec<u8> {
        seal(&self.keys, TITLE, counter, control, &self.carrier.plain(counter))
    }

    fn decoder(&self, finds_out: bool, counters: &[Counter]) -> Decoder {
        match finds_out {
            true => Decoder::new(std::slice::from_ref(&self.keys), counters),
            false => Decoder::of(&[self.carrier.protocol()], std::slice::from_ref(&self.keys), counters),
        }
    }
}

/// What became of bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    /// The registers that were believed, in Wh.
    registers: Vec<i64>,
    events: Vec<Refusal>,
    /// What was wrong otherwise: checksums, parts that are missing.
    noise: usize,
}

fn hear(decoder: &mut Decoder, mut bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(&bytes[..bytes.len().min(61)]);
        bytes = &bytes[taken..];
        while let Some(result) = decoder.poll_reading() {
            match result {
                Ok(reading) => {
                    assert_eq!(reading.trust, Trust::Authenticated, "and nothing less");
                    heard.registers.push(register(&reading));
                }
                Err(error) => match Refusal::of(error) {
                    Some(refusal) => heard.events.push(refusal),
                    None => heard.noise += 1,
                },
            }
        }
    }
    heard
}

fn register(reading: &Reading) -> i64 {
    let is_register = |quantity| quantity == Quantity::ActiveEnergy(Flow::Import, 0);
    let register = reading.values.iter().find(|value| is_register(value.quantity)).expect("a register");
    register.value.thousandths().expect("a small number") / 1_000
}

/// One way to forge a frame, and the message that is one.
fn forge(meter: &mut Meter, before: &[u8], kind: usize, chance: &mut Chance) -> Vec<u8> {
    let mut message = meter.next();
    let control = message.iter().position(|byte| *byte == 0x30 && message[2..10] == TITLE).map(|_| {
        // After the title comes the length, in one to three bytes.
        10 + match message[10] {
            0x81 => 2,
            0x82 => 3,
            _ => 1,
        }
    });
    let control = control.expect("a sealed message");
    match kind {
        0..=3 => {
            let bit = chance.below(message.len() * 8);
            message[bit / 8] ^= 1 << (bit % 8);
        }
        // Of its head alone, which decides how it is read.
        4 => {
            let bit = chance.below((control + 5) * 8);
            message[bit / 8] ^= 1 << (bit % 8);
        }
        5 => message = meter.seal(meter.counter, 0x20),
        // As it is, but said to have no tag.
        6 => message[control] = 0x20,
        7 => message[control] = (0x30 + 1 + chance.below(255)) as u8,
        8 => message = before.to_vec(),
        _ => {
            let stranger = Meter::new(meter.carrier, chance);
            message = stranger.seal(meter.counter, 0x30);
        }
    }
    message
}

#[test]
fn n1_k1_a_forged_frame_is_no_reading_and_one_event_and_the_next_is_read() {
    for seed in 0..4_500 {
        let mut chance = Chance(seed);
        let carrier = Carrier::ALL[seed as usize % Carrier::ALL.len()];
        let finds_out = chance.below(2) == 0;
        let mut meter = Meter::new(carrier, &mut chance);
        let good: Vec<Vec<u8>> = (0..2).map(|_| meter.next()).collect();
        let kind = chance.below(10);
        let forged = carrier.frame(&forge(&mut meter, &good[0], kind, &mut chance));
        let last = meter.next();
        let said = format!("seed {seed}, {carrier:?}, kind {kind}, finds out: {finds_out}");

        let mut decoder = meter.decoder(finds_out, &[]);
        let stream: Vec<u8> = good.iter().flat_map(|message| carrier.frame(message)).collect();
        assert_eq!(hear(&mut decoder, &stream).registers.len(), 2, "{said}");
        let heard = hear(&mut decoder, &[&forged[..], &carrier.frame(&last)].concat());
        assert_eq!(heard.registers, [i64::from(meter.counter)], "{said}: {heard:?}");
        assert_eq!(heard.events.len(), 1, "{said}: {heard:?}");

        // The same after a restart: what was counted before it is known, and so is that this meter authenticates.
        let kept = decoder.counters().to_vec();
        let mut decoder = meter.decoder(finds_out, &kept);
        let next = carrier.frame(&meter.next());
        let heard = hear(&mut decoder, &[&forged[..], &next, &carrier.frame(&meter.next())].concat());
        let counter = i64::from(meter.counter);
        assert_eq!(heard.registers, [counter - 1, counter], "{said}, after a restart: {heard:?}");
        // Without a frame around it, what names no maker and comes before the protocol is known may be any bytes.
        let names_maker = forged[2..5].iter().all(u8::is_ascii_uppercase);
        let is_told = !finds_out || carrier.protocol() != Protocol::P1 || names_maker;
        assert_eq!(heard.events.len(), usize::from(is_told), "{said}, after a restart: {heard:?}");
    }
}

#[test]
fn a_bit_that_flips_on_the_line_is_no_reading_and_costs_no_other_frame() {
    // The wrapper has no checksum of its own: what changes its head changes where the next one is looked for.
    let carriers = Carrier::ALL.into_iter().filter(|carrier| carrier.protocol() != Protocol::DlmsWrapper);
    for (carrier, seed) in carriers.flat_map(|carrier| (0..500).map(move |seed| (carrier, seed))) {
        let mut chance = Chance(seed);
        let mut meter = Meter::new(carrier, &mut chance);
        let mut decoder = meter.decoder(chance.below(2) == 0, &[]);
        let first: Vec<u8> = (0..2).flat_map(|_| carrier.frame(&meter.next())).collect();
        assert_eq!(hear(&mut decoder, &first).registers.len(), 2, "{carrier:?}, seed {seed}");
        let mut frame = carrier.frame(&meter.next());
        let bit = chance.below(frame.len() * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        let next = meter.next();
        let heard = hear(&mut decoder, &[&frame[..], &carrier.frame(&next)].concat());
        let counter = i64::from(meter.counter);
        // A flag between two frames may serve both, so one of them may have done without.
        let registers = heard.registers.strip_prefix(&[counter - 1]).unwrap_or(&heard.registers);
        assert_eq!(registers, [counter], "{carrier:?}, seed {seed}, bit {bit}: {heard:?}");
        assert!(heard.events.len() <= 1, "{carrier:?}, seed {seed}, bit {bit}: {heard:?}");
    }
}

#[test]
fn n2_k2_a_recorded_stream_is_refused_frame_by_frame_before_and_after_a_restart() {
    for (carrier, seed) in Carrier::ALL.into_iter().flat_map(|carrier| (0..20).map(move |seed| (carrier, seed))) {
        let mut chance = Chance(seed);
        let mut meter = Meter::new(carrier, &mut chance);
        let recorded: Vec<u8> = (0..20).flat_map(|_| carrier.frame(&meter.next())).collect();
        let finds_out = seed % 2 == 0;
        let mut decoder = meter.decoder(finds_out, &[]);
        assert_eq!(hear(&mut decoder, &recorded).registers.len(), 20, "{carrier:?}");
        for round in 0..3 {
            let heard = hear(&mut decoder, &recorded);
            assert_eq!(heard.registers, [0; 0], "{carrier:?}, round {round}");
            assert_eq!(heard.events, [Refusal::Replayed; 20], "{carrier:?}, round {round}");
            decoder = meter.decoder(finds_out, decoder.counters());
        }
        assert_eq!(
            hear(&mut decoder, &[carrier.frame(&meter.next()), carrier.frame(&meter.next())].concat()).registers.len(),
            2
        );
    }
}

#[test]
fn n2_a_recording_is_refused_in_another_protocols_frames_too() {
    let mut chance = Chance(1);
    let mut meter = Meter::new(Carrier::Hdlc, &mut chance);
    let messages: Vec<Vec<u8>> = (0..20).map(|_| meter.next()).collect();
    let stream = |carrier: Carrier| messages.iter().flat_map(|message| carrier.frame(message)).collect::<Vec<_>>();
    let mut decoder = meter.decoder(true, &[]);
    assert_eq!(hear(&mut decoder, &stream(Carrier::Hdlc)).registers.len(), 20);
    for carrier in [Carrier::Mbus, Carrier::Bare, Carrier::Wrapper, Carrier::Hdlc] {
        decoder.forget_protocol();
        let heard = hear(&mut decoder, &stream(carrier));
        assert_eq!((heard.registers.len(), heard.events.len()), (0, 20), "{carrier:?}");
    }
}

#[test]
fn n3_fifteen_key_changes_in_a_row_lose_no_frame() {
    for carrier in Carrier::ALL {
        let mut chance = Chance(3);
        let mut meter = Meter::new(carrier, &mut chance);
        let mut old = meter.keys.clone();
        let mut decoder = meter.decoder(false, &[]);
        for change in 1..=15 {
            // The meter's counter goes on or begins anew with its key, as operators have it.
            let next = Meter::new(carrier, &mut chance);
            meter.keys = next.keys;
            meter.counter = if change % 2 == 0 { 1 } else { meter.counter };
            decoder = Decoder::of(&[carrier.protocol()], &[meter.keys.clone(), old.clone()], decoder.counters());
            // The old key is used until the meter takes the new one.
            let mut late = Meter { carrier, keys: old.clone(), counter: 2_000_000 };
            let stream: Vec<u8> = (0..6)
                .flat_map(|frame| carrier.frame(&if frame < 3 && change > 1 { late.next() } else { meter.next() }))
                .collect();
            let heard = hear(&mut decoder, &stream);
            assert_eq!((heard.registers.len(), heard.events.len()), (6, 0), "{carrier:?}, change {change}: {heard:?}");
            assert_eq!(hear(&mut decoder, &carrier.frame(&late.next())).events, [Refusal::KeyRetired]);
            old = meter.keys.clone();
        }
    }
}

#[test]
fn a_meter_that_always_counts_0_is_read_and_said_to_be_one_of_which_no_replay_can_be_told() {
    for carrier in Carrier::ALL {
        let meter = Meter::new(carrier, &mut Chance(4));
        let frames: Vec<Vec<u8>> = (1..=5)
            .map(|register| carrier.frame(&seal(&meter.keys, TITLE, 0, 0x30, &carrier.plain(register))))
            .collect();
        let mut decoder = meter.decoder(true, &[]);
        assert_eq!(hear(&mut decoder, &frames.concat()).registers, [1, 2, 3, 4, 5], "{carrier:?}");
        assert!(decoder.is_replay_undetectable(), "{carrier:?}");
        let again = hear(&mut decoder, &frames.concat());
        assert_eq!(again.events, [Refusal::Replayed; 5], "{carrier:?}: what it sent lately is known all the same");
        let mut counting = meter.decoder(true, &[]);
        hear(&mut counting, &(1..=5).flat_map(|count| carrier.frame(&meter.seal(count, 0x30))).collect::<Vec<_>>());
        assert!(!counting.is_replay_undetectable(), "{carrier:?}");
    }
}

#[test]
fn what_comes_in_clear_from_a_meter_that_authenticates_is_an_event() {
    for carrier in Carrier::ALL {
        let mut meter = Meter::new(carrier, &mut Chance(5));
        let mut decoder = meter.decoder(false, &[]);
        let first = [carrier.frame(&meter.next()), carrier.frame(&meter.next())].concat();
        assert_eq!(hear(&mut decoder, &first).registers.len(), 2, "{carrier:?}");
        let clear = carrier.frame(&carrier.plain(9));
        let heard = hear(&mut decoder, &[&clear[..], &carrier.frame(&meter.next())].concat());
        assert_eq!(heard.registers.len(), 1, "{carrier:?}");
        // Nothing tells where a notification begins that has neither a frame nor a title.
        let events = if carrier == Carrier::Bare { vec![] } else { vec![Refusal::TagMissing] };
        assert_eq!(heard.events, events, "{carrier:?}");
    }
}

#[test]
fn an_error_that_is_no_refusal_names_no_event() {
    for error in [DecodeError::KeyNeeded, DecodeError::TitleMissing, DecodeError::Malformed { offset: 0 }] {
        assert_eq!(Refusal::of(error), None);
    }
}
