//! Each capture as it reads, and what must hold for any body.

use proptest::prelude::*;

use super::*;
use crate::decoder::Decoder;
use crate::health::LinkProblem;
use crate::name::name;
use crate::obis::Obis;
use crate::reading::{Measured, Medium, Quantity, Trust};

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/bridge")
}

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A capture, decoded as what it was recognised as.
fn reading(name: &str) -> Reading {
    let body = capture(name);
    let kind = recognise(&body).unwrap_or_else(|| panic!("{name}: not recognised"));
    let plain = |text: &str| text.trim_end_matches('2').to_owned();
    assert_eq!(Some(plain(kind.scheme())), name.split('_').next().map(plain), "{name}");
    decode(kind, &body).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn find(reading: &Reading, code: &str) -> Option<Measured> {
    reading.values.iter().copied().find(|value| value.obis.to_string() == code)
}

/// A reading as lines a person can compare.
fn describe(reading: &Reading) -> String {
    let Reading { protocol, identification, country, trust, meter_time, .. } = reading;
    let mut text = format!("{protocol} {identification:?} {country:?} {trust:?} {meter_time:?}\n");
    for measured in &reading.values {
        let Measured { obis, channel, value, unit, meter_time, .. } = measured;
        let medium = reading.children.iter().find(|child| child.channel == *channel).map(|child| child.medium);
        let at = meter_time.map(|time| format!(" at {}", time.unix_milliseconds)).unwrap_or_default();
        text += &format!("{obis} [{channel}] {} = {value} {}{at}\n", name(measured, medium), unit.symbol());
    }
    for child in &reading.children {
        text += &format!("child {} {:?} {}\n", child.channel, child.medium, child.equipment.is_some());
    }
    for kept in &reading.not_understood {
        text += &format!("kept {:.60}\n", kept.text);
    }
    text
}

#[test]
fn each_capture_reads_as_it_did() {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .expect("the captures are part of the crate")
        .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".json") || name.ends_with(".xml"))
        .collect();
    names.sort();
    assert!(names.len() >= 22);
    for name in names {
        insta::with_settings!({ snapshot_path => "../../captures/bridge", prepend_module_to_snapshot => false, omit_expression => true }, {
            let stem = name.trim_end_matches(".json").trim_end_matches(".xml");
            insta::assert_snapshot!(stem, describe(&reading(&name)));
        });
    }
}

#[test]
fn a_recording_of_a_body_is_read_as_what_it_is() {
    for name in ["eagle_all_variables.xml", "sep2_itron_two_tariffs.xml", "homewizard_v1_water.json"] {
        let mut decoder = Decoder::new(&[], &[]);
        let body = capture(name);
        let mut rest = body.as_slice();
        let mut readings = Vec::new();
        while !rest.is_empty() {
            rest = &rest[decoder.handle_bytes(rest)..];
            readings.extend(std::iter::from_fn(|| decoder.poll_reading()));
        }
        decoder.handle_end();
        readings.extend(std::iter::from_fn(|| decoder.poll_reading()));
        assert_eq!(readings, [Ok(reading(name))], "{name}");
    }
}

#[test]
fn one_bad_child_loses_only_itself() {
    let reading = reading("homewizard_v2_p1_with_bad_child.json");
    assert_eq!(reading.children.iter().map(|child| child.channel).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(reading.not_understood.len(), 2);
    assert_eq!(find(&reading, "1-0:16.7.0").map(|power| power.value.to_string()).as_deref(), Some("321"));
}

#[test]
fn t13_a_nonsense_child_stamp_is_none_and_blocks_nothing() {
    let reading = reading("homewizard_v1_p1_three_phases.json");
    let gas = find(&reading, "0-1:24.2.1").expect("gas");
    let water = find(&reading, "0-2:24.2.1").expect("water");
    assert!(gas.meter_time.is_some() && water.meter_time.is_none());
    assert!(find(&reading, "1-0:1.8.1").is_some());
}

#[test]
fn t7_a_child_never_has_the_meters_stamp() {
    let reading = reading("homewizard_v2_p1_with_bad_child.json");
    let gas = find(&reading, "0-1:24.2.1").and_then(|gas| gas.meter_time);
    assert!(gas.is_some() && gas != reading.meter_time);
}

#[test]
fn u1_a_gas_meters_old_stamp_is_its_own_and_not_the_time_of_the_message() {
    let reading = reading("glow_gas_with_volume.json");
    assert_eq!(reading.meter_time, None);
    assert!(reading.values.iter().all(|value| value.meter_time.is_some()));
}

#[test]
fn r3_a_count_that_runs_backwards_is_no_register_of_import() {
    let body = |energy: &str| format!(r#"{{"Time":"2026-11-23T04:00:05","ENERGY":{{"Power":[-100,5,5],{energy}}}}}"#);
    let codes = |energy: &str| -> Vec<String> {
        let reading = tasmota::decode(body(energy).as_bytes()).expect("a reading");
        let registers = reading.values.iter().filter(|value| matches!(value.quantity, Quantity::ActiveEnergy(..)));
        registers.map(|value| format!("{} {}", value.obis, value.value)).collect()
    };
    assert_eq!(codes(r#""Total":16.5,"ExportActive":[1,2,3]"#), ["1-0:2.8.0 6000"]);
    assert_eq!(codes(r#""Total":[16,1,1],"ExportActive":[1,2,3]"#), ["1-0:2.8.0 6000"]);
    assert_eq!(
        codes(r#""Total":16.5,"ExportActive":[1,2,3],"ImportActive":[4,4,4]"#),
        ["1-0:2.8.0 6000", "1-0:1.8.0 12000"]
    );
    assert_eq!(codes(r#""Total":[1,2,3.5]"#), ["1-0:1.8.0 6500"]);
    assert_eq!(codes(r#""Total":[1,2]"#), [""; 0], "tariffs, not phases");
}

#[test]
fn u1_the_clock_of_a_reading_head_is_not_its_meters() {
    assert_eq!(reading("tasmota_reading_head.json").meter_time, None);
    assert!(reading("tasmota_sensor_plug.json").meter_time.is_some());
}

#[test]
fn r5_all_bits_set_is_no_gas() {
    let reading = reading("glow_gas_without_a_value.json");
    assert!(reading.values.is_empty());
    assert_eq!((reading.not_understood.len(), reading.children[0].medium), (2, Medium::Gas));
    let reading = self::reading("homewizard_v1_gas_without_list.json");
    assert!(find(&reading, "0-1:24.2.1").is_none() && find(&reading, "1-0:1.8.1").is_some());
}

#[test]
fn r1_a_zero_of_a_device_that_has_not_heard_its_meter_is_no_register() {
    let reading = reading("eagle_not_heard_its_meter_yet.xml");
    assert!(find(&reading, "1-0:1.8.0").is_none() && find(&reading, "1-0:2.8.0").is_none());
    assert_eq!(find(&reading, "1-0:16.7.0").map(|power| power.value.thousandths()), Some(Some(1_602_000)));
    // A home that never exports has a real zero there.
    let home = String::from_utf8(capture("eagle_all_variables.xml")).expect("text").replace("321.000000", "0.000000");
    let home = eagle::decode(home.as_bytes()).expect("a reading");
    assert_eq!(find(&home, "1-0:2.8.0").map(|register| register.value.mantissa), Some(0));
}

#[test]
fn r1_what_an_unconnected_meter_said_last_is_no_reading() {
    let body = String::from_utf8(capture("eagle_all_variables.xml")).expect("text");
    for (was, is) in
        [(">Connected<", ">Not Joined<"), (">Connected<", ">Disconnected<"), ("<DeviceDetails>", "<Other>")]
    {
        let body = body
            .replace(was, is)
            .replace("</DeviceDetails>", if is == "<Other>" { "</Other>" } else { "</DeviceDetails>" });
        assert_eq!(eagle::decode(body.as_bytes()), Err(DecodeError::NoReading), "{is}");
    }
}

#[test]
fn s5_a_demand_that_was_not_signed_is_signed() {
    let body = String::from_utf8(capture("eagle_unsigned_demand.xml")).expect("text");
    for (sent, expect) in [
        ("4294966.945000", Some(-351_000)),
        ("16776.865", Some(-351_000)),
        ("8388.607", Some(8_388_607_000)),
        ("8388.608", Some(-8_388_608_000)),
        ("-0.351", Some(-351_000)),
        ("16777.215", None),
        ("4294967.295", None),
        ("null", None),
    ] {
        let reading = eagle::decode(body.replace("4294966.945000", sent).as_bytes()).expect("a reading");
        let power = find(&reading, "1-0:16.7.0").and_then(|power| power.value.thousandths());
        assert_eq!(power, expect, "{sent}");
        assert!(find(&reading, "1-0:1.8.0").is_some() && find(&reading, "1-0:2.8.0").is_none());
    }
}

#[test]
fn w16_of_several_meters_the_connected_one_heard_last_is_chosen() {
    let device = |address: &str, model: &str, contact: &str, status: &str| {
        format!(
            "<Device><HardwareAddress>{address}</HardwareAddress><ModelId>{model}</ModelId>\
             <LastContact>{contact}</LastContact><ConnectionStatus>{status}</ConnectionStatus></Device>"
        )
    };
    let dead = device("0xaa", "electric_meter", "0x6a25b1ff", "Not Joined");
    let old = device("0xbb", "electric_meter", "0x6a25b100", "Connected");
    let new = device("0xcc", "electric_meter", "0x6a25b1f0", "Connected");
    let plug = device("0xdd", "smart_plug", "0x6a25b1ff", "Connected");
    let forged = device("0xee&lt;/HardwareAddress&gt;", "electric_meter", "0x6a25b1ff", "Connected");
    for (devices, expect) in [
        (vec![&dead, &old, &new, &plug, &forged], Ok("0xcc")),
        (vec![&new, &old], Ok("0xcc")),
        (vec![&dead, &plug], Err(LinkProblem::Silent)),
        (vec![&plug, &forged], Err(LinkProblem::Unrecognised)),
        (vec![], Err(LinkProblem::Unrecognised)),
    ] {
        let list: String = devices.into_iter().cloned().collect();
        let found = eagle::choose(format!("<DeviceList>{list}</DeviceList>").as_bytes());
        assert_eq!(found.as_deref().map_err(|problem| *problem), expect);
    }
    assert_eq!(eagle::choose(b"<DeviceList>"), Err(LinkProblem::Unrecognised));
}

#[test]
fn a_sum_of_amounts_is_no_current_of_a_conductor() {
    let one = reading("homewizard_v1_kwh_one_phase.json");
    assert!(find(&one, "1-0:11.7.0").is_some() && find(&one, "1-0:90.7.0").is_none());
    let three = reading("homewizard_v1_p1_three_phases.json");
    assert!(find(&three, "1-0:11.7.0").is_none() && find(&three, "1-0:90.7.0").is_some());
}

#[test]
fn a_phase_with_an_error_has_no_values() {
    let reading = reading("shelly_gen2_three_phases.json");
    assert!(reading.values.iter().all(|value| value.obis != Obis::new(1, 0, 72, 7, 0)));
    assert_eq!(find(&reading, "1-0:16.7.0").map(|power| power.value.to_string()).as_deref(), Some("-101.5"));
}

#[test]
fn what_describes_a_device_is_no_measurement() {
    for body in [
        r#"{}"#,
        r#"{"product_type":"HWE-P1","product_name":"P1 Meter","serial":"made up","firmware_version":"3.0","api_version":"v1"}"#,
        r#"{"mode":"zero","power_w":-404,"target_power_w":-400}"#,
        r#"{"cloud_enabled":true}"#,
        r#"{"software":"v1","timestamp":"2026-11-23T04:00:00Z","han":{"rssi":-75,"status":"joined"}}"#,
        r#"{"id":0,"output":true}"#,
        r#"{"StatusSNS":{"Time":"2026-11-23T04:00:00","DS18B20":{"Temperature":20.5}}}"#,
        r#"{"StatusSNS":7}"#,
    ] {
        assert_eq!(recognise(body.as_bytes()), None, "{body}");
        for kind in [Kind::Glow, Kind::HomeWizard, Kind::Shelly, Kind::Tasmota] {
            assert_eq!(decode(kind, body.as_bytes()), Err(DecodeError::NoReading), "{kind:?} {body}");
        }
    }
}

#[test]
fn a_topic_and_its_message_tell_of_the_same_meter() {
    let body = capture("glow_electricity.json");
    assert!(glow::decode_topic("glow/MADEUP/SENSOR/electricitymeter", &body).is_ok());
    assert_eq!(glow::decode_topic("glow/MADEUP/SENSOR/gasmeter", &body), Err(DecodeError::NoReading));
    assert_eq!(glow::decode_topic("glow/MADEUP/STATE", &body), Err(DecodeError::NoReading));
}

#[test]
fn secrets_and_serial_numbers_are_not_printed() {
    assert_eq!(format!("{:?}", Secret("hunter2".to_owned())), "Secret(…)");
    let printed = format!("{:?}", reading("homewizard_v1_p1_three_phases.json"));
    assert!(!printed.contains("00112233445566778899") && !printed.contains("AABBCCDDEEFF"));
}

/// Holds for any reading of any bridge.
fn check_bounds(reading: &Reading) {
    assert_eq!(reading.trust, Trust::Unverified, "no body carries a checksum");
    assert!(reading.not_understood.len() <= 64);
    for value in &reading.values {
        assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
        assert!(value.channel == 0 || reading.children.iter().any(|child| child.channel == value.channel));
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_bounded_reading_or_an_error(body in prop::collection::vec(any::<u8>(), 0..256)) {
        for kind in Kind::ALL {
            if let Ok(reading) = decode(kind, &body) {
                check_bounds(&reading);
            }
        }
    }

    #[test]
    fn a_capture_with_a_changed_byte_gives_a_bounded_reading_or_an_error(
        which in 0..9_usize, place in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let names = ["homewizard_v1_p1_three_phases.json", "homewizard_v2_p1_with_bad_child.json", "glow_electricity.json",
            "shelly_gen2_three_phases.json", "shelly_gen1_three_phases.json", "tasmota_status_three_phases.json",
            "eagle_all_variables.xml", "eagle_uploaded_fragments.xml", "sep2_itron_two_tariffs.xml"];
        let mut body = capture(names[which]);
        let place = place.index(body.len());
        body[place] = byte;
        for kind in Kind::ALL {
            if let Ok(reading) = decode(kind, &body) {
                check_bounds(&reading);
            }
        }
    }
}
