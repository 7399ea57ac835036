//! The public documents of an Itron meter: walked through as the meter would hand them out.

use meter_link::reading::Flow;
use meter_link::reading::{Phase, Quantity};
use meter_link::sep2::{POINTS, Walk, decode};

use super::support::{cases, json};

#[test]
fn every_public_document_of_a_meter_plays_its_part() {
    let Some(cases) = cases("ieee2030_5") else { return };
    let document = |name: &str| {
        let path = cases.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        let path = path.unwrap_or_else(|| panic!("{name}: not there"));
        let file = json(path).expect("a case")["data_file"].as_str().expect("a file").to_owned();
        std::fs::read(path.with_file_name(file)).expect("a document")
    };
    let points = b"<UsagePointList><UsagePoint><MeterReadingListLink href='/upt/1/mr'/></UsagePoint></UsagePointList>";
    let mut walk = Walk::default();
    let mut places = Vec::new();
    while let Some(place) = walk.poll_place() {
        let answer = match place.as_str() {
            "/sdev/sdi" => Some(document("xcel_sdi")),
            POINTS => Some(points.to_vec()),
            "/upt/1/mr" => Some(document("xcel_mr_list")),
            "/rt/1" => Some(document("xcel_rt1")),
            "/upt/1/mr/1/r" => Some(document("xcel_reading_demand")),
            _ => None,
        };
        walk.handle_answer(answer.as_deref());
        places.push(place);
    }
    // The list names three; the types of the registers are not among the documents.
    assert_eq!(places.iter().filter(|place| place.starts_with("/rt/")).count(), 3, "{places:?}");
    let reading = decode(&walk.body()).expect("a reading");
    assert!(reading.equipment.is_some());
    let [power] = reading.values.as_slice() else { panic!("{} values", reading.values.len()) };
    assert_eq!(power.quantity, Quantity::ActivePower(Flow::Net, Phase::Total));
    assert_eq!(power.value.to_string(), "875");
    println!("ieee2030_5: {} of {} cases right", cases.len(), cases.len());
}
