//! The way through a made-up meter, and what its readings mean.

use proptest::prelude::*;

use super::*;
use crate::reading::{Measured, Trust};

/// A meter as Itron's are, of invented numbers and with links that no program knows beforehand.
fn meter(place: &str) -> Option<&'static str> {
    Some(match place {
        "/sdev/sdi" => {
            "<DeviceInformation xmlns='urn:ieee:std:2030.5:ns'><lFDI>00aa</lFDI><mfModel>Made</mfModel></DeviceInformation>"
        }
        "/upt" => {
            "<UsagePointList all='3' results='3'>\
             <UsagePoint href='/u/g'><serviceCategoryKind>1</serviceCategoryKind><MeterReadingListLink href='/g' all='9'/></UsagePoint>\
             <UsagePoint href='/u/s'><roleFlags>0048</roleFlags><serviceCategoryKind>0</serviceCategoryKind><MeterReadingListLink href='/s' all='1'/></UsagePoint>\
             <UsagePoint href='/u/e'><roleFlags>0002</roleFlags><serviceCategoryKind>0</serviceCategoryKind><MeterReadingListLink href='/e' all='5'/></UsagePoint></UsagePointList>"
        }
        "/e" => {
            "<MeterReadingList all='5' results='2'>\
             <MeterReading><description>Instantaneous Demand</description><ReadingLink href='/v/7'/><ReadingTypeLink href='/k/1'/></MeterReading>\
             <MeterReading><description>Current Summation Received</description><ReadingLink href='/v/2'/><ReadingTypeLink href='/k/3'/></MeterReading></MeterReadingList>"
        }
        "/e?s=2&l=16" => {
            "<MeterReadingList all='5' results='2'>\
             <MeterReading><description>Current Summation Delivered</description><ReadingSetListLink href='/sets' all='9'/><ReadingTypeLink href='/k/2'/></MeterReading>\
             <MeterReading><description>TOU WH Delivered</description><ReadingLink href='/v/9'/><ReadingTypeLink href='/k/2'/></MeterReading></MeterReadingList>"
        }
        "/e?s=4&l=16" => {
            "<MeterReadingList all='5' results='1'>\
             <MeterReading><description>Max Demand</description><ReadingLink href='/v/4'/><ReadingTypeLink href='/k/4'/></MeterReading></MeterReadingList>"
        }
        "/k/1" => {
            "<ReadingType><accumulationBehaviour>12</accumulationBehaviour><dataQualifier>0</dataQualifier><flowDirection>1</flowDirection><kind>8</kind><powerOfTenMultiplier>0</powerOfTenMultiplier><uom>38</uom></ReadingType>"
        }
        "/k/2" => {
            "<ReadingType><accumulationBehaviour>9</accumulationBehaviour><flowDirection>1</flowDirection><kind>12</kind><phase>0</phase><powerOfTenMultiplier>3</powerOfTenMultiplier><uom>72</uom></ReadingType>"
        }
        "/k/3" => {
            "<ReadingType><accumulationBehaviour>9</accumulationBehaviour><flowDirection>19</flowDirection><kind>12</kind><powerOfTenMultiplier>-1</powerOfTenMultiplier><uom>72</uom></ReadingType>"
        }
        "/k/4" => {
            "<ReadingType><accumulationBehaviour>6</accumulationBehaviour><dataQualifier>8</dataQualifier><flowDirection>1</flowDirection><kind>8</kind><uom>38</uom></ReadingType>"
        }
        "/sets" => {
            "<ReadingSetList all='9' results='1'><ReadingSet><ReadingListLink href='/sets/1' all='1'/></ReadingSet></ReadingSetList>"
        }
        "/sets/1" => {
            "<ReadingList all='1' results='1'><Reading><timePeriod><duration>0</duration><start>1795406390</start></timePeriod><value>4711</value></Reading></ReadingList>"
        }
        "/v/2" => "<Reading><value>12345</value></Reading>",
        "/v/7" => {
            "<Reading><timePeriod><duration>1</duration><start>1795406399</start></timePeriod><value>-875</value></Reading>"
        }
        "/v/9" => "<Reading><value>17</value></Reading>",
        _ => return None,
    })
}

fn walked(mut walk: Walk, meter: impl Fn(&str) -> Option<&'static str>) -> (Walk, Vec<String>) {
    let mut places = Vec::new();
    while let Some(place) = walk.poll_place() {
        walk.handle_answer(meter(&place).map(str::as_bytes));
        places.push(place);
    }
    (walk, places)
}

fn values(walk: &Walk) -> Vec<String> {
    let reading = decode(&walk.body()).expect("a reading");
    let print = |measured: &Measured| format!("{} {}", measured.obis, measured.value);
    reading.values.iter().map(print).collect()
}

#[test]
fn a_meter_is_walked_by_its_links_and_then_straight_to_its_values() {
    let (walk, places) = walked(Walk::default(), meter);
    assert_eq!(
        places,
        [
            "/sdev/sdi",
            "/upt",
            "/e",
            "/e?s=2&l=16",
            "/e?s=4&l=16",
            "/k/1",
            "/v/7",
            "/k/3",
            "/v/2",
            "/k/2",
            "/sets",
            "/sets/1",
            "/k/2",
            "/v/9",
            "/k/4"
        ]
    );
    assert_eq!(values(&walk), ["1-0:16.7.0 -875", "1-0:2.8.0 1234.5", "1-0:1.8.0 4711000"]);
    let reading = decode(&walk.body()).expect("a reading");
    assert_eq!((reading.protocol, reading.trust, reading.identification.as_str()), ("sep2", Trust::Unverified, "Made"));
    assert_eq!(reading.meter_time.map(|time| time.unix_milliseconds), Some(1_795_406_400_000));
    let (again, places) = walked(walk.again(), meter);
    assert_eq!(places, ["/v/7", "/v/2", "/sets/1", "/v/9"]);
    assert_eq!(again.body(), walk.body());
}

#[test]
fn a_register_of_one_tariff_is_not_the_total() {
    let (walk, _) = walked(Walk::default(), meter);
    let reading = decode(&walk.body()).expect("a reading");
    assert_eq!(
        reading.not_understood.iter().map(|kept| kept.text.as_str()).collect::<Vec<_>>(),
        ["TOU WH Delivered: 17"]
    );
    let with_tier = |place: &str| match place {
        "/v/9" => Some("<Reading><touTier>2</touTier><value>17</value></Reading>"),
        place => meter(place),
    };
    assert_eq!(values(&walked(Walk::default(), with_tier).0).last().map(String::as_str), Some("1-0:1.8.2 17000"));
    let without_total = |place: &str| if place == "/sets" { None } else { with_tier(place) };
    assert_eq!(values(&walked(Walk::default(), without_total).0), ["1-0:16.7.0 -875", "1-0:2.8.0 1234.5"]);
}

#[test]
fn what_does_not_answer_loses_only_itself() {
    let lost = |place: &str| match place {
        "/sdev/sdi" | "/k/3" => None,
        "/v/7" => Some("<Reading><value/></Reading>"),
        "/sets" => Some("not XML"),
        place => meter(place),
    };
    let (walk, _) = walked(Walk::default(), lost);
    assert!(walk.has_values(), "the tariff's register is there, without a total");
    let reading = decode(&walk.body()).expect("a reading");
    assert!(reading.values.is_empty() && reading.equipment.is_none());
    let (walk, places) = walked(Walk::default(), |_| None);
    assert_eq!((walk.has_values(), places.len()), (false, 2));
    assert_eq!(walk.again().poll_place().as_deref(), Some("/sdev/sdi"));
}

#[test]
fn links_off_the_meter_are_not_followed() {
    for link in ["http://elsewhere/e", "//elsewhere/e", "e", "", "/e e", "/e#e", "/e\\e", "/\u{e9}"] {
        let points = format!(
            "<UsagePointList><UsagePoint><MeterReadingListLink href=\"{link}\"/></UsagePoint></UsagePointList>"
        );
        let mut walk = Walk::default();
        walk.handle_answer(None);
        walk.handle_answer(Some(points.as_bytes()));
        assert_eq!(walk.poll_place(), None, "{link}");
    }
}

#[test]
fn a_list_without_end_ends() {
    let mut walk = Walk::default();
    walk.handle_answer(None);
    walk.handle_answer(Some(b"<U><UsagePoint><MeterReadingListLink href='/e'/></UsagePoint></U>"));
    let mut asked = 2;
    while walk.poll_place().is_some() {
        walk.handle_answer(Some(
            b"<MeterReadingList all='99999'><MeterReading><ReadingTypeLink href='/k'/><ReadingLink href='/v'/></MeterReading></MeterReadingList>",
        ));
        asked += 1;
    }
    assert!(asked <= MAX_ASKED && walk.listed.len() == MAX_LISTED);
}

#[test]
fn s1_power_both_ways_is_two_powers_and_one_way_is_signed() {
    let document = |directions: &[u8]| {
        let readings: String = directions
            .iter()
            .map(|direction| {
                format!(
                    "<MeterReading><ReadingType><flowDirection>{direction}</flowDirection><uom>38</uom></ReadingType>\
                     <Reading><value>5</value></Reading></MeterReading>"
                )
            })
            .collect();
        format!("<UsagePoint>{readings}</UsagePoint>")
    };
    for (directions, expect) in [
        (&[1][..], &["1-0:16.7.0"][..]),
        (&[1, 19], &["1-0:1.7.0", "1-0:2.7.0"]),
        (&[4], &["1-0:16.7.0"]),
        (&[0], &["1-0:16.7.0"]),
    ] {
        let reading = decode(document(directions).as_bytes()).expect("a reading");
        let found: Vec<_> = reading.values.iter().map(|value| value.obis.to_string()).collect();
        assert_eq!(found, expect, "{directions:?}");
    }
}

#[test]
fn r5_what_stands_for_no_value_is_none() {
    let document = |value: &str, kind: &str| {
        format!(
            "<UsagePoint><MeterReading><ReadingType>{kind}<flowDirection>1</flowDirection></ReadingType><Reading><value>{value}</value></Reading></MeterReading></UsagePoint>"
        )
    };
    for (value, kind) in [
        ("281474976710655", "<uom>72</uom>"),
        ("4294967295", "<uom>38</uom>"),
        ("-1", "<uom>72</uom>"),
        ("1e9", "<uom>38</uom>"),
        ("nan", "<uom>38</uom>"),
        ("5", "<uom>72</uom><powerOfTenMultiplier>9</powerOfTenMultiplier><touTier>x</touTier>"),
    ] {
        let reading = decode(document(value, kind).as_bytes());
        let count = reading.map(|reading| (reading.values.len(), reading.not_understood.len()));
        let expect = if value == "5" { (1, 0) } else { (0, 1) };
        assert_eq!(count, Ok(expect), "{value}");
    }
    for kind in [
        "<uom>71</uom>",
        "<uom>38</uom><dataQualifier>8</dataQualifier>",
        "<uom>72</uom><accumulationBehaviour>4</accumulationBehaviour>",
        "<uom>72</uom><intervalLength>900</intervalLength>",
        "<uom>38</uom><powerOfTenMultiplier>10</powerOfTenMultiplier>",
        "<uom>x</uom>",
        "<uom>38</uom><commodity>7</commodity>",
    ] {
        assert_eq!(decode(document("5", kind).as_bytes()), Err(DecodeError::NoReading), "{kind}");
    }
}

proptest! {
    #[test]
    fn any_answers_end_and_give_a_bounded_document(answers in prop::collection::vec(prop::sample::select(vec![
        "/sdev/sdi", "/upt", "/e", "/e?s=2&l=16", "/k/1", "/k/2", "/v/7", "/sets", "/sets/1", "/nothing",
    ]), 0..400)) {
        let mut walk = Walk::default();
        let mut answers = answers.into_iter();
        let mut asked = 0;
        while walk.poll_place().is_some() {
            let answer = answers.next().and_then(meter);
            walk.handle_answer(answer.map(str::as_bytes));
            asked += 1;
            prop_assert!(asked <= MAX_ASKED);
        }
        prop_assert!(walk.body().len() <= crate::xml::MAX_DOCUMENT);
        let _ = decode(&walk.body());
    }
}
