use super::*;
use crate::meter::Version;

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

fn home(profile: Profile, seed: u64) -> Home {
    Home::new(profile, Version::Dsmr5.place(), seed, NEW_YEAR)
}

fn instant(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("an instant").as_second()
}

const fn kilowatt_hours(milliwatt_seconds: u64) -> u64 {
    milliwatt_seconds / MILLIWATT_SECONDS_PER_WATT_HOUR / 1_000
}

#[test]
fn the_same_seed_is_the_same_home_and_another_seed_another() {
    let at = NEW_YEAR + 40 * DAY + 12_345;
    let live = |seed| {
        let mut home = home(Profile::Typical, seed);
        home.advance_to(at);
        (home.registers(), home.moment(at), home.device().clone())
    };
    assert_eq!(live(7), live(7));
    assert_ne!(live(7), live(8));
}

#[test]
fn a_home_that_leaps_over_days_counts_what_one_counts_that_takes_every_step() {
    for (profile, from) in [(Profile::Busy, "2026-03-28T11:00:00Z"), (Profile::Quiet, "2026-10-24T20:00:00Z")] {
        let from = instant(from);
        let (mut leaping, mut stepping) = (home(profile, 5), home(profile, 5));
        leaping.advance_to(from);
        stepping.advance_to(from);
        for step in (from..from + 2 * DAY + 7_777).step_by(7) {
            stepping.advance_to(step);
        }
        let end = stepping.second();
        leaping.advance_to(end);
        assert_eq!(leaping.registers(), stepping.registers());
        assert_eq!(leaping.demand(), stepping.demand());
        let meter = leaping.gas_meters().first().cloned();
        if let Some(meter) = meter {
            assert_eq!(leaping.gas(&meter, false), stepping.gas(&meter, false));
            assert_eq!(leaping.gas(&meter, true), stepping.gas(&meter, true));
        }
    }
}

#[test]
fn registers_are_the_sum_of_the_seconds_also_where_power_is_forced() {
    let mut home = home(Profile::Typical, 11);
    let from = instant("2026-06-12T10:00:00Z");
    home.advance_to(from);
    let before = home.registers();
    home.force(from + 100, Some(-1_234_000));
    home.advance_to(from + 4_000);
    home.force(from + 4_000, None);
    home.force(from + 90_000, Some(777));
    let to = from + 3 * DAY + 1_001;
    home.advance_to(to);
    let after = home.registers();

    let truth = home.energy_between(from, to);
    assert_eq!(after.import_total() - before.import_total(), truth.import);
    assert_eq!(after.export_total() - before.export_total(), truth.export);
    let seconds = (from..to).map(|second| home.net(second)).fold((0, 0), |(import, export), net| {
        assert!(net.abs() < 40_000_000, "no home takes {net} mW");
        (import + net.max(0).unsigned_abs(), export + net.min(0).unsigned_abs())
    });
    assert_eq!((truth.import, truth.export), seconds);
    assert_eq!(home.energy_between(from + 100, from + 4_000), Energy { import: 0, export: 3_900 * 1_234_000 });
}

#[test]
fn power_is_the_same_whoever_asks_and_whenever() {
    let mut early = home(Profile::Solar, 3);
    let mut late = home(Profile::Solar, 3);
    late.advance_to(NEW_YEAR + 300 * DAY);
    for second in (NEW_YEAR..NEW_YEAR + 20 * DAY).step_by(40_001) {
        assert_eq!(early.moment(second), late.moment(second));
        assert_eq!(early.moment(second).net(), early.net(second));
    }
}

#[track_caller]
fn check_year(profile: Profile, seed: u64, expect: [std::ops::RangeInclusive<u64>; 5]) {
    let mut home = home(profile, seed);
    let before = home.registers();
    home.advance_to(NEW_YEAR + 365 * DAY);
    let year = home.registers().since(&before);
    let (import, export, made) =
        (kilowatt_hours(year.import_total()), kilowatt_hours(year.export_total()), kilowatt_hours(year.generation));
    let use_ = import + made - export;
    let year = [use_, made, export, year.gas / 1_000_000, home.counted.water / 1_000_000];
    for ((found, expect), what) in
        year.iter().zip(&expect).zip(["kWh used", "kWh made", "kWh exported", "m3 gas", "m3 water"])
    {
        assert!(expect.contains(found), "{what} in a year: {found}, expected {expect:?}; all: {year:?}");
    }
}

#[test]
fn a_year_has_the_size_of_a_year() {
    for seed in 1..4 {
        check_year(Profile::Typical, seed, [2_900..=4_000, 2_900..=3_800, 1_500..=2_900, 950..=1_500, 70..=160]);
    }
    check_year(Profile::Quiet, 1, [1_000..=2_000, 0..=0, 0..=0, 350..=900, 20..=70]);
    check_year(Profile::Solar, 1, [2_000..=3_400, 5_200..=6_800, 3_500..=5_800, 700..=1_300, 40..=130]);
    check_year(Profile::Busy, 1, [8_000..=17_000, 5_800..=7_600, 2_500..=6_000, 0..=0, 100..=220]);
}

#[test]
fn panels_export_at_noon_in_june_and_never_at_night() {
    let mut home = home(Profile::Solar, 2);
    let day = instant("2026-06-15T00:00:00Z");
    assert!(home.energy_between(day, day + 7 * DAY).export > 50 * 1_000 * MILLIWATT_SECONDS_PER_WATT_HOUR);
    for night in 0..7 {
        let midnight = day + night * DAY;
        assert_eq!(home.energy_between(midnight - 3_600, midnight + 3_600).export, 0);
        assert_eq!(home.moment(midnight).generation, 0);
    }
}

#[test]
fn days_are_as_long_as_the_zone_has_them_and_rates_follow_its_clock() {
    let mut home = home(Profile::Typical, 1);
    for (date, hours) in [("2026-03-29T06:00:00Z", 23), ("2026-10-25T06:00:00Z", 25), ("2026-05-05T06:00:00Z", 24)] {
        let day = home.day(instant(date));
        assert_eq!((day.end() - day.start) / 3_600, hours);
        assert_eq!(day.rates.len() as i64, hours);
    }
    // A Monday: low until 07:00 by the clock on the wall, in winter and in summer.
    for (second, rate) in [
        ("2026-01-05T05:59:59Z", 1),
        ("2026-01-05T06:00:00Z", 2),
        ("2026-07-06T04:59:59Z", 1),
        ("2026-07-06T05:00:00Z", 2),
        ("2026-07-06T20:59:59Z", 2),
        ("2026-07-06T21:00:00Z", 1),
        ("2026-07-05T12:00:00Z", 1),
    ] {
        let second = instant(second);
        assert_eq!(home.day(second).rate(second), rate);
    }
}

#[test]
fn a_swapped_meter_starts_again_and_loses_nothing_of_the_truth() {
    let mut home = home(Profile::Typical, 4);
    let swap = NEW_YEAR + 10 * DAY + 40_000;
    home.advance_to(swap);
    let old = home.device().equipment.clone();
    let gas = home.gas(&home.gas_meters()[0].clone(), false);
    home.swap_meter(12_345);
    assert_ne!(home.device().equipment, old);
    assert_eq!(home.registers().import[0], 12_345 * MILLIWATT_SECONDS_PER_WATT_HOUR);
    assert_eq!(home.registers().export_total(), 0);
    home.advance_to(swap + 2 * DAY);
    let truth = home.energy_between(swap, swap + 2 * DAY);
    let registers = home.registers();
    assert_eq!(registers.import_total(), truth.import + 12_345 * MILLIWATT_SECONDS_PER_WATT_HOUR);
    assert_eq!(registers.export_total(), truth.export);
    // The old channel stays as it was, the new one goes on.
    let meters = home.gas_meters().to_vec();
    assert_eq!(meters.iter().map(|meter| meter.channel).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(home.gas(&meters[0], false), gas);
    assert!(home.gas(&meters[1], false).0 > gas.0);
    assert_eq!(meters[0].equipment, meters[1].equipment);
    home.swap_gas_meter();
    let meters = home.gas_meters().to_vec();
    assert_eq!(home.gas(&meters[1], false).0, 0);
    assert_ne!(meters[0].equipment, meters[1].equipment);
}

#[test]
fn phases_voltages_and_currents_are_those_of_a_house() {
    for profile in [Profile::Busy, Profile::Quiet, Profile::Solar, Profile::Typical] {
        let mut home = home(profile, 9);
        for second in (NEW_YEAR + 100 * DAY..NEW_YEAR + 103 * DAY).step_by(61) {
            let moment = home.moment(second);
            for phase in 0..3 {
                if phase >= profile.phase_count() {
                    assert_eq!((moment.phases[phase], moment.voltages[phase], moment.currents[phase]), (0, 0, 0));
                    continue;
                }
                assert!((200_000..=253_000).contains(&moment.voltages[phase]));
                assert!((0..60_000).contains(&moment.currents[phase]), "{} mA", moment.currents[phase]);
            }
        }
    }
}

#[test]
fn demand_is_the_mean_of_a_fixed_quarter_hour_and_its_peak_the_highest_of_the_month() {
    let mut home = Home::new(Profile::Typical, Version::EmucsBe.place(), 6, NEW_YEAR);
    let quarter = instant("2026-02-10T12:15:00Z");
    home.advance_to(quarter);
    home.force(quarter, Some(30_000_000));
    home.advance_to(quarter + 450);
    assert_eq!(home.demand().0, 15_000_000);
    home.advance_to(quarter + 900);
    home.force(quarter + 900, None);
    home.advance_to(quarter + 40 * DAY);
    let (_, peaks) = home.demand();
    let february = peaks.iter().find(|peak| peak.month == (2026, 2)).expect("a peak in February");
    assert_eq!((february.import, february.at), (900 * 30_000_000, quarter + 900));
    assert_eq!(peaks.len(), 3);
}
