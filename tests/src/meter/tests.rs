mod wire;

use meter_link::country::Country;
use meter_link::p1::{Decoder, framer};
use meter_link::reading::{Flow, Medium, OffsetSource, Phase, Quantity, Reading, Trust, Unit};

use super::*;
use crate::faults::Faults;
use crate::home::Registers;

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600;

fn p1_versions() -> impl Iterator<Item = (&'static str, Version)> {
    Version::ALL.into_iter().filter(|(_, version)| version.family() == Family::P1)
}

fn instant(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("an instant").as_second()
}

fn home(version: Version, profile: Profile, seed: u64, at: i64) -> Home {
    // Three days of history are enough here, and quicker than a year of it.
    let mut home = Home::new(profile, version.place(), seed, at - 3 * 86_400);
    home.advance_to(at);
    home
}

/// Everything that `bytes` decode to.
fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Reading> {
    let mut readings = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(bytes);
        bytes = &bytes[taken..];
        while let Some(reading) = decoder.poll_reading() {
            readings.extend(reading.ok());
        }
    }
    readings
}

fn finish(decoder: &mut Decoder) -> Vec<Reading> {
    decoder.handle_end();
    std::iter::from_fn(|| decoder.poll_reading()).filter_map(Result::ok).collect()
}

/// The one value of a quantity on the meter itself, in thousandths of its unit.
fn value(reading: &Reading, quantity: Quantity) -> Option<i64> {
    let mut found = reading.values.iter().filter(|value| value.channel == 0 && value.quantity == quantity);
    let value = found.next()?.value.thousandths();
    assert!(found.next().is_none(), "{quantity:?} twice");
    value
}

/// What the home says, in the meter's places, against what was decoded.
#[track_caller]
fn agree(meter: &Meter, home: &mut Home, reading: &Reading) {
    let version = meter.version;
    let what = format!("{version:?} at {}", home.second());
    let Registers { import, export, .. } = home.registers();
    let milliwatt_hours = |exact: u64| Some((exact / 3_600_000 * 1_000) as i64);
    for (flow, rates) in [(Flow::Import, &import), (Flow::Export, &export)] {
        for (exact, rate) in rates.iter().zip(1..).take(version.rates()) {
            let found = value(reading, Quantity::ActiveEnergy(flow, rate));
            assert_eq!(found, milliwatt_hours(*exact), "{what}, rate {rate}");
        }
        let total = value(reading, Quantity::ActiveEnergy(flow, 0));
        assert_eq!(total, if version.totals() { milliwatt_hours(rates.iter().sum()) } else { None }, "{what}");
    }

    let moment = home.moment(home.second() - 1);
    let step = if version.baud() == 9_600 { 10_000 } else { 1_000 };
    let near = |milliwatts: i64| Some((milliwatts.max(0) + step / 2) / step * step);
    let power = |flow, phase| value(reading, Quantity::ActivePower(flow, phase));
    assert_eq!(power(Flow::Import, Phase::Total), near(moment.net()), "{what}");
    assert_eq!(power(Flow::Export, Phase::Total), near(-moment.net()), "{what}");
    let net = near(moment.net()).zip(near(-moment.net())).map(|(import, export)| import - export);
    assert_eq!(Some(meter.shown_power(home)), net, "{what}");
    for (index, phase) in [Phase::L1, Phase::L2, Phase::L3].into_iter().enumerate() {
        let printed = meter.prints_phase(home.profile(), index) && version != Version::Hu;
        let expect = |milliwatts| if printed { near(milliwatts) } else { None };
        assert_eq!(power(Flow::Import, phase), expect(moment.phases[index]), "{what}, {phase:?}");
        assert_eq!(power(Flow::Export, phase), expect(-moment.phases[index]), "{what}, {phase:?}");
        if let Some(millivolts) = value(reading, Quantity::Voltage(phase)) {
            assert_eq!(millivolts, (moment.voltages[index] + 50) / 100 * 100, "{what}, {phase:?}");
        }
        if let Some(milliamperes) = value(reading, Quantity::Current(phase)) {
            assert!((milliamperes - moment.currents[index]).abs() <= 500, "{what}, {phase:?}");
        }
    }

    if version.baud() == 9_600 {
        assert_eq!(reading.meter_time, None, "{what}");
    } else {
        let time = reading.meter_time.expect("a time");
        assert_eq!(time.unix_milliseconds, home.second() * 1_000, "{what}");
        assert_eq!(time.offset_source, OffsetSource::Meter);
    }
    children(version, home, reading, &what);
    assert_eq!(
        reading.trust,
        match version {
            Version::Dsmr22 | Version::Dsmr3 => Trust::Unverified,
            Version::LuEncrypted => Trust::Authenticated,
            _ => Trust::Checked,
        }
    );
}

#[track_caller]
fn children(version: Version, home: &Home, reading: &Reading, what: &str) {
    let prints_gas = version.country() == Country::Nl
        || matches!(version, Version::EmucsBe | Version::EmucsLu | Version::LuEncrypted);
    let mut expect = Vec::new();
    if prints_gas {
        for gas in home.gas_meters() {
            let (millilitres, at) = home.gas(gas, version.hourly_children());
            expect.push((gas.channel, Medium::Gas, millilitres / 1_000, at));
        }
    }
    if version == Version::EmucsBe {
        let (millilitres, at) = home.water(false);
        expect.push((2, Medium::Water, millilitres / 1_000, at));
    }
    let found: Vec<_> = reading
        .values
        .iter()
        .filter(|value| value.channel > 0)
        .map(|value| {
            assert_eq!((value.quantity, value.unit), (Quantity::Volume, Unit::CubicMetre), "{what}");
            let medium = reading.children.iter().find(|child| child.channel == value.channel).map(|child| child.medium);
            // Thousandths of a cubic metre are litres.
            let litres = value.value.thousandths().expect("in range").unsigned_abs();
            let at = value.meter_time.expect("a stamp").unix_milliseconds / 1_000;
            (value.channel, medium.expect("announced"), litres, at)
        })
        .collect();
    assert_eq!(found, expect, "{what}");
}

#[test]
fn every_version_decodes_to_exactly_what_the_home_says() {
    for (name, version) in p1_versions() {
        for (seed, profile, start) in [
            (1, Profile::Typical, "2026-06-21T09:00:00Z"),
            (2, Profile::Quiet, "2026-01-07T05:30:00Z"),
            (3, Profile::Busy, "2026-11-30T22:50:00Z"),
            (4, Profile::Solar, "2026-04-30T21:55:00Z"),
        ] {
            let meter = Meter::new(version);
            let mut home = home(version, profile, seed, instant(start));
            let mut decoder = Decoder::new(vec![meter.keys.clone()]);
            for _ in 0..400 {
                // Thirteen seconds on a ten-second meter still ends on a ten.
                let interval = version.interval();
                home.advance_to((home.second() + 13).div_euclid(interval) * interval);
                let telegram = meter.telegram(&mut home, Quirks::default());
                let mut readings = decode(&mut decoder, &telegram);
                if readings.is_empty() {
                    // Without a checksum only what follows, or the end, proves that a telegram is whole.
                    readings = finish(&mut decoder);
                }
                assert_eq!(readings.len(), 1, "{name}");
                agree(&meter, &mut home, &readings[0]);
            }
        }
    }
}

#[test]
fn two_writers_agree_on_the_checksum() {
    for (name, version) in p1_versions() {
        let mut home = home(version, Profile::Typical, 1, NEW_YEAR + 5_000);
        let text = print::telegram(&Meter::new(version), &mut home, Quirks::default());
        let split = framer::split(&text).expect("a telegram");
        let expect = (version.baud() == 115_200).then_some(split.computed);
        assert_eq!(split.sent, expect, "{name}");
        assert_eq!(split.rest, b"\r\n", "{name}");
        assert!(text.len() < 4_096, "{name}: {} bytes do not fit a terminal's buffer", text.len());
    }
}

#[track_caller]
fn check_stamp(version: Version, at: &str, expect: &str) {
    let mut home = home(version, Profile::Typical, 1, instant(at));
    let telegram = print::telegram(&Meter::new(version), &mut home, Quirks::default());
    let text = String::from_utf8(telegram).expect("text");
    assert!(text.contains(&format!("0-0:1.0.0({expect})")), "{expect} is not in {text}");
}

#[test]
fn t11_the_letter_changes_with_the_clock() {
    check_stamp(Version::Dsmr5, "2026-10-25T00:59:59Z", "261025025959S");
    check_stamp(Version::Dsmr5, "2026-10-25T01:00:00Z", "261025020000W");
    check_stamp(Version::Dsmr5, "2026-03-29T00:59:59Z", "260329015959W");
    check_stamp(Version::Dsmr5, "2026-03-29T01:00:00Z", "260329030000S");
    check_stamp(Version::Fi, "2026-10-25T01:00:00Z", "261025030000W");
    check_stamp(Version::Lt, "2026-07-01T12:00:00Z", "260701150000S");
}

#[test]
fn both_clock_changes_decode_to_a_time_that_never_stands_still() {
    for start in ["2026-03-29T00:58:20Z", "2026-10-24T23:58:20Z", "2026-10-25T00:58:20Z"] {
        let meter = Meter::new(Version::EmucsBe);
        let mut home = home(Version::EmucsBe, Profile::Typical, 1, instant(start));
        let mut decoder = Decoder::new(Vec::new());
        for _ in 0..200 {
            home.advance_to(home.second() + 1);
            let readings = decode(&mut decoder, &meter.telegram(&mut home, Quirks::default()));
            agree(&meter, &mut home, &readings[0]);
        }
    }
}

#[test]
fn an_encrypting_meter_is_read_with_its_keys_only() {
    let mut meter = Meter::new(Version::LuEncrypted);
    meter.keys = KeyPair { encryption: [7; 16].into(), authentication: Some([9; 16].into()) };
    let mut home = home(Version::LuEncrypted, Profile::Typical, 1, NEW_YEAR + 1_000);
    let telegram = meter.telegram(&mut home, Quirks::default());
    let count = |keys| decode(&mut Decoder::new(vec![keys]), &telegram).len();
    assert_eq!(count(meter.keys.clone()), 1);
    assert_eq!(count(KeyPair { encryption: [7; 16].into(), authentication: None }), 0);
    assert_eq!(count(KeyPair { encryption: [8; 16].into(), authentication: Some([9; 16].into()) }), 0);
    // The same frame again is a replay; the next one is not.
    let mut decoder = Decoder::new(vec![meter.keys.clone()]);
    assert_eq!(decode(&mut decoder, &telegram).len(), 1);
    assert_eq!(decode(&mut decoder, &telegram).len(), 0);
    home.advance_to(home.second() + 10);
    assert_eq!(decode(&mut decoder, &meter.telegram(&mut home, Quirks::default())).len(), 1);
}

#[test]
fn a_swapped_meter_has_another_name_and_the_frozen_gas_channel_beside_the_new() {
    let meter = Meter::new(Version::Dsmr5);
    let mut home = home(Version::Dsmr5, Profile::Typical, 1, instant("2026-02-01T08:00:00Z"));
    let mut decoder = Decoder::new(Vec::new());
    let before = decode(&mut decoder, &meter.telegram(&mut home, Quirks::default()));
    home.swap_meter(0);
    home.advance_to(home.second() + 7_200);
    let after = decode(&mut decoder, &meter.telegram(&mut home, Quirks::default()));
    assert_ne!(before[0].equipment, after[0].equipment);
    agree(&meter, &mut home, &after[0]);
    let gas: Vec<_> = after[0].values.iter().filter(|value| value.channel > 0).collect();
    assert_eq!(gas.len(), 2);
    assert!(gas[0].meter_time < gas[1].meter_time && gas[0].value.thousandths() < gas[1].value.thousandths());
}

#[test]
fn t13_a_child_without_a_clock_hides_nothing_else() {
    let meter = Meter::new(Version::Dsmr5);
    let mut home = home(Version::Dsmr5, Profile::Typical, 1, NEW_YEAR + 5_000);
    let quirks = Quirks { child_clock: true, ..Quirks::default() };
    let telegram = meter.telegram(&mut home, quirks);
    assert!(telegram.windows(13).any(|stamp| stamp == b"632525252525W"));
    let readings = decode(&mut Decoder::new(Vec::new()), &telegram);
    let gas = readings[0].values.iter().find(|value| value.channel == 1).expect("gas is there");
    assert_eq!(gas.meter_time, None);
    assert!(value(&readings[0], Quantity::ActiveEnergy(Flow::Import, 1)).is_some());
}

#[test]
fn noise_and_lost_bytes_never_become_a_reading_that_is_wrong() {
    for (name, version) in p1_versions().filter(|(_, version)| version.baud() == 115_200) {
        let meter = Meter::new(version);
        let mut home = home(version, Profile::Typical, 21, instant("2026-05-03T07:00:00Z"));
        let mut faults = Faults::new(21);
        faults.garble_millionths = 400_000;
        faults.cut_millionths = 200_000;
        let mut decoder = Decoder::new(vec![meter.keys.clone()]);
        let mut truth = Vec::new();
        let mut found = Vec::new();
        for _ in 0..600 {
            home.advance_to(home.second() + version.interval());
            let mut telegram = meter.telegram(&mut home, Quirks::default());
            let clean = decode(&mut Decoder::new(vec![meter.keys.clone()]), &telegram);
            truth.extend(clean);
            faults.disturb(&mut telegram);
            found.extend(decode(&mut decoder, &telegram));
        }
        found.extend(finish(&mut decoder));
        assert!(found.len() > 150 && found.len() < 450, "{name}: {} of 600", found.len());
        for reading in &found {
            // Without a checksum nothing is promised, and a reader can tell.
            let promised = reading.trust > Trust::Unverified;
            assert!(!promised || truth.contains(reading), "{name}: a reading that no telegram held");
        }
    }
}
