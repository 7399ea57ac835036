//! Devices made of registers, and what must hold for any registers and bytes.

use proptest::prelude::*;

use super::*;

/// A device's registers from a base on.
fn device(models: &[(u16, Vec<u16>)]) -> Vec<u16> {
    let mut map = MARKER.to_vec();
    for (id, registers) in models {
        map.extend([*id, registers.len() as u16]);
        map.extend(registers);
    }
    map.extend([0xFFFF, 0]);
    map
}

fn common(maker: &str) -> (u16, Vec<u16>) {
    let mut bytes = maker.as_bytes().to_vec();
    bytes.resize(32, 0);
    bytes.extend(b"Example Model");
    bytes.resize(132, 0);
    (1, bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}

fn walk(base: u16, map: &[u16]) -> Walk {
    let mut walk = Walk::default();
    let mut spans = 0;
    while let Some(span) = walk.poll_span() {
        spans += 1;
        assert!(spans <= 3 + 2 * MAX_MODELS && (1..=MAX_REGISTERS).contains(&span.count));
        let start = usize::from(span.address).checked_sub(usize::from(base));
        let registers = start.and_then(|start| map.get(start..start + usize::from(span.count)));
        walk.handle_registers(registers.unwrap_or_default());
    }
    walk
}

fn values(walk: &Walk) -> Vec<String> {
    let reading = walk.reading().expect("a reading");
    reading.values.iter().map(|value| format!("{} {} {}", value.obis, value.value, value.unit.symbol())).collect()
}

fn inverter(power: i16) -> (u16, Vec<u16>) {
    let mut points = vec![0xFFFF; 50];
    (points[8], points[9], points[11]) = (2_301, 0xFFFF, 0xFFFF);
    (points[12], points[13], points[14], points[15]) = (power as u16, 0, 5_001, 0xFFFE);
    (points[22], points[23], points[24]) = (0x00BC, 0x614E, 0);
    (103, points)
}

#[test]
fn an_inverter_makes_export_and_draws_import() {
    for base in BASES {
        let walk = walk(base, &device(&[common("Example Maker"), (120, vec![0; 26]), inverter(4_210)]));
        assert_eq!(
            values(&walk),
            ["1-0:32.7.0 230.1 V", "1-0:2.7.0 4210 W", "1-0:14.7.0 50.01 Hz", "1-0:2.8.0 12345678 Wh"]
        );
        assert_eq!(walk.reading().map(|reading| reading.identification).as_deref(), Ok("Example Maker Example Model"));
    }
    assert!(values(&walk(0, &device(&[inverter(-7)]))).contains(&"1-0:1.7.0 7 W".to_owned()));
}

#[test]
fn r5_what_is_not_implemented_is_no_value() {
    let mut points = vec![0xFFFF; 50];
    (points[12], points[13]) = (0x8000, 0);
    (points[14], points[15]) = (5_000, 0x8000);
    assert_eq!(values(&walk(40_000, &device(&[(101, points)]))), [""; 0]);
    assert_eq!(values(&walk(40_000, &device(&[(113, [0x7FC0, 0].repeat(30))]))), [""; 0]);
    assert_eq!(values(&walk(40_000, &device(&[(101, vec![0; 3])]))).len(), 0, "a model that is too short");
}

#[test]
fn s1_a_meters_power_is_import_but_for_solaredge() {
    let mut points = vec![0x8000; 105];
    (points[16], points[20]) = (150, 0);
    (points[36], points[37], points[44], points[45], points[52]) = (0, 1_000, 0, 2_000, 1);
    let of = |maker: &str| values(&walk(40_000, &device(&[common(maker), (203, points.clone())])));
    assert_eq!(of("Example Maker"), ["1-0:16.7.0 150 W", "1-0:2.8.0 10000 Wh", "1-0:1.8.0 20000 Wh"]);
    assert!(of("SolarEdge").contains(&"1-0:16.7.0 -150 W".to_owned()));
}

#[test]
fn s1_what_kostal_counts_below_zero_is_export_that_rises() {
    let mut points = vec![0x8000; 105];
    (points[36], points[37]) = (0xFFFF, 0xFC18);
    (points[44], points[45], points[52]) = (0, 2_000, 0);
    let of = |maker: &str| values(&walk(40_000, &device(&[common(maker), (203, points.clone())])));
    assert_eq!(of("KOSTAL Solar Electric"), ["1-0:2.8.0 1000 Wh", "1-0:1.8.0 2000 Wh"]);
}

#[test]
fn no_marker_is_no_reading() {
    assert_eq!(walk(40_000, &[1, 2, 3]).reading(), Err(DecodeError::NoReading));
}

#[test]
fn a_body_says_what_the_device_said_and_again_what_it_says_now() {
    let first = walk(50_000, &device(&[common("Example Maker"), (120, vec![0; 26]), inverter(4_210)]));
    assert_eq!(decode(&first.body()), first.reading());
    let mut again = first.again();
    let mut spans = 0;
    while let Some(span) = again.poll_span() {
        spans += 1;
        assert_eq!(span.count, 50);
        again.handle_registers(&inverter(-7).1);
    }
    assert_eq!((spans, again.has_points()), (1, true));
    let reading = decode(&again.body()).expect("a reading");
    assert_eq!(reading.identification, "Example Maker Example Model");
    assert!(values(&again).contains(&"1-0:1.7.0 7 W".to_owned()));
}

#[test]
fn an_answer_fits_its_question() {
    let span = Span { address: 40_000, count: 2 };
    assert_eq!(request(7, 1, span), [0, 7, 0, 0, 0, 6, 1, 3, 0x9C, 0x40, 0, 2]);
    let answer = [0, 7, 0, 0, 0, 7, 1, 3, 4, 0x53, 0x75, 0x6E, 0x53];
    assert_eq!(response(7, span, &answer), Some(Ok(MARKER.to_vec())));
    assert!((0..answer.len()).all(|length| response(7, span, &answer[..length]).is_none()));
    assert_eq!(response(8, span, &answer), Some(Err(DecodeError::Malformed { offset: 0 })));
    assert_eq!(response(7, span, &[0, 7, 0, 0, 0, 3, 1, 0x83, 2]), Some(Ok(Vec::new())));
    assert_eq!(response(7, Span { count: 3, ..span }, &answer), Some(Err(DecodeError::Malformed { offset: 7 })));
}

proptest! {
    #[test]
    fn any_registers_end_and_never_panic(map in prop::collection::vec(prop_oneof![any::<u16>(), prop::sample::select(&[1_u16, 103, 113, 203, 0xFFFF, 0x8000, 50, 60][..])], 0..600)) {
        let map = [MARKER.to_vec(), map].concat();
        let walk = walk(40_000, &map);
        prop_assert_eq!(decode(&walk.body()), walk.reading());
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = response(0, Span { address: 0, count: 2 }, &bytes);
        let _ = decode(&[b"SunS", &bytes[..]].concat());
    }
}
