//! What each maker's list holds, and in which order. Written from the makers' and operators' descriptions of their ports.
//!
//! Three-phase meters at a home with one phase leave the others out where values have codes, and show 0 where they go by
//! place; Kamstrup's single-phase meter pads with nothing.

use super::axdr::{AMPERE, Data, NO_UNIT, VAR, VAR_HOUR, VOLT, WATT, WATT_HOUR};
use crate::meter::Version;
use crate::meter::values::Values;

/// Which wall clock a maker sends.
#[derive(Clone, Copy)]
enum Clock {
    /// Local time with its distance to UTC.
    Deviation,
    /// Local time, distance unspecified; the summer bit is set in summer.
    Local,
    /// Standard time all year, distance unspecified.
    Standard,
}

/// Time in front of the list.
enum Stamp {
    None,
    /// Length and twelve bytes.
    Bare(Clock),
    /// The same as an octet string.
    Tagged(Clock),
}

/// Import and export of W, taken and given var.
const POWERS: [[u8; 5]; 4] = [[1, 0, 1, 7, 0], [1, 0, 2, 7, 0], [1, 0, 3, 7, 0], [1, 0, 4, 7, 0]];
/// The same of energy.
const ENERGIES: [[u8; 5]; 4] = [[1, 0, 1, 8, 0], [1, 0, 2, 8, 0], [1, 0, 3, 8, 0], [1, 0, 4, 8, 0]];
const CLOCK: [u8; 5] = [0, 0, 1, 0, 0];
const SERIAL: [u8; 5] = [0, 0, 96, 1, 0];

const fn amperes(phase: usize) -> [u8; 5] {
    [1, 0, 31 + 20 * phase as u8, 7, 0]
}

const fn volts(phase: usize) -> [u8; 5] {
    [1, 0, 32 + 20 * phase as u8, 7, 0]
}

/// `0F`, invoke id, time, body.
pub(super) fn notification(version: Version, values: &Values, counter: u32) -> Vec<u8> {
    let full = values.second.rem_euclid(version.register_interval()) == 0;
    let mut data = Data::default();
    let (stamp, invoke) = match version {
        Version::AidonNo => {
            if full || values.second.rem_euclid(10) == 0 {
                aidon_no(&mut data, values, full);
            } else {
                data.array(1);
                item(&mut data, POWERS[0], Number::Long(values.power()[0].into()), 0, WATT);
            }
            (Stamp::None, 0x4000_0000)
        }
        Version::AidonSe | Version::DedCiphering | Version::GloSuite1 => {
            aidon_se(&mut data, values);
            (Stamp::None, 0x4000_0000)
        }
        Version::IskraSi => {
            if full {
                iskra_registers(&mut data, values)
            } else {
                iskra_powers(&mut data, values)
            }
            (Stamp::Bare(Clock::Deviation), counter & 0xFFFF)
        }
        Version::KaifaNo => {
            kaifa_no(&mut data, values, full);
            (Stamp::Tagged(Clock::Local), 0x4000_0000)
        }
        Version::KaifaSe => {
            kaifa_se(&mut data, values);
            (Stamp::None, 0x4000_0000)
        }
        Version::KamstrupNo | Version::KamstrupSe => {
            kamstrup(&mut data, values, full);
            (Stamp::Bare(Clock::Standard), 0)
        }
        Version::KamstrupDk => {
            kamstrup_dk(&mut data, values);
            (Stamp::Bare(Clock::Standard), 0)
        }
        Version::LgE450At => {
            lg_e450_at(&mut data, values);
            (Stamp::Bare(Clock::Local), counter & 0x00FF_FFFF)
        }
        Version::LgE360Ch | Version::LgE450ChGbt => {
            object_list(&mut data, values, version);
            (Stamp::Bare(Clock::Local), counter & 0x00FF_FFFF)
        }
        Version::KaifaAt => {
            kaifa_at(&mut data, values);
            (Stamp::Bare(Clock::Deviation), 0x8000_0000 | counter & 0x00FF_FFFF)
        }
        // Iskraemeco's and Sagemcom's own orders are not published: theirs is the one of Kaifa in the Tyrol.
        _ => {
            mixed(&mut data, values);
            (Stamp::Bare(Clock::Deviation), counter & 0x00FF_FFFF)
        }
    };
    let mut message = vec![0x0F];
    message.extend(u32::to_be_bytes(invoke));
    match stamp {
        Stamp::None => message.push(0),
        Stamp::Bare(clock) => {
            message.push(12);
            message.extend(time(values, clock));
        }
        Stamp::Tagged(clock) => {
            message.extend([9, 12]);
            message.extend(time(values, clock));
        }
    }
    message.extend(data.0);
    message
}

/// Year, month, day, weekday from Monday, hour, minute, second, hundredths, distance to UTC in minutes, status.
fn time(values: &Values, clock: Clock) -> [u8; 12] {
    let (local, hundredths, deviation, summer) = match clock {
        Clock::Deviation => (values.local, 0, (-values.offset_minutes) as i16, values.summer),
        Clock::Local => (values.local, 0xFF, i16::MIN, values.summer),
        Clock::Standard => (values.standard, 0xFF, i16::MIN, false),
    };
    let ([high, low], [far, near]) = (local.year().to_be_bytes(), deviation.to_be_bytes());
    let day = local.date();
    let clock = [local.hour(), local.minute(), local.second()].map(|part| part as u8);
    let status = if summer { 0x80 } else { 0 };
    let weekday = day.weekday().to_monday_one_offset() as u8;
    let [hour, minute, second] = clock;
    [high, low, day.month() as u8, day.day() as u8, weekday, hour, minute, second, hundredths, far, near, status]
}

enum Number {
    Long(u64),
    Signed(i16),
    Short(u16),
}

/// A structure of code, value, scaler and unit.
fn item(data: &mut Data, code: [u8; 5], number: Number, scaler: i8, unit: u8) {
    data.structure(3).obis(code);
    put(data, number);
    data.scaler_unit(scaler, unit);
}

fn put(data: &mut Data, number: Number) {
    match number {
        Number::Long(value) => data.u32(value),
        Number::Signed(value) => data.i16(value),
        Number::Short(value) => data.u16(value),
    };
}

fn powers(values: &Values) -> [u64; 4] {
    let ([import, export], [taken, given]) = (values.power(), values.reactive_power());
    [import, export, taken, given].map(u64::from)
}

fn energies(values: &Values) -> [u64; 4] {
    let [taken, given] = values.reactive();
    [values.import(), values.export(), taken, given]
}

fn unit_of(place: usize, active: u8, reactive: u8) -> u8 {
    if place < 2 { active } else { reactive }
}

fn aidon_electric(data: &mut Data, values: &Values) {
    for (place, (code, value)) in POWERS.into_iter().zip(powers(values)).enumerate() {
        item(data, code, Number::Long(value), 0, unit_of(place, WATT, VAR));
    }
    for phase in 0..values.phases {
        let current = Number::Signed(values.current(phase, 100) as i16);
        item(data, amperes(phase), current, -1, AMPERE);
    }
    for phase in 0..values.phases {
        item(data, volts(phase), Number::Short(values.voltage(phase, 100)), -1, VOLT);
    }
}

fn aidon_no(data: &mut Data, values: &Values, full: bool) {
    data.array(3 + 4 + 2 * values.phases + if full { 5 } else { 0 });
    data.structure(2).obis([1, 1, 0, 2, 129]).visible("AIDON_V0001");
    data.structure(2).obis(SERIAL).visible(&values.serial(16));
    data.structure(2).obis([0, 0, 96, 1, 7]).visible("SIM1");
    aidon_electric(data, values);
    if full {
        data.structure(2).obis(CLOCK).octets(&time(values, Clock::Local));
        for (place, (code, value)) in ENERGIES.into_iter().zip(energies(values)).enumerate() {
            item(data, code, Number::Long(value), 1, unit_of(place, WATT_HOUR, VAR_HOUR));
        }
    }
}

fn aidon_se(data: &mut Data, values: &Values) {
    data.array(1 + 4 + 6 * values.phases + 4);
    data.structure(2).obis(CLOCK).octets(&time(values, Clock::Deviation));
    aidon_electric(data, values);
    for phase in 0..values.phases {
        let ([import, export], [taken, given]) = (values.phase_power(phase), values.phase_reactive(phase));
        for (place, value) in [import, export, taken, given].into_iter().enumerate() {
            let code = [1, 0, 21 + 20 * phase as u8 + place as u8, 7, 0];
            item(data, code, Number::Long(value.into()), 0, unit_of(place, WATT, VAR));
        }
    }
    for (place, (code, value)) in ENERGIES.into_iter().zip(energies(values)).enumerate() {
        item(data, code, Number::Long(value), 0, unit_of(place, WATT_HOUR, VAR_HOUR));
    }
}

fn kaifa_no(data: &mut Data, values: &Values, full: bool) {
    if !full && values.second.rem_euclid(10) != 0 {
        data.structure(1).u32(values.power()[0].into());
        return;
    }
    data.structure(3 + 4 + 2 * values.phases + if full { 5 } else { 0 });
    data.octets(b"KFM_001").octets(values.serial(16).as_bytes()).octets(b"SIM304H3");
    for value in powers(values) {
        data.u32(value);
    }
    for phase in 0..values.phases {
        data.u32(values.moment.currents[phase].unsigned_abs());
    }
    for phase in 0..values.phases {
        data.u32(values.voltage(phase, 100).into());
    }
    if full {
        data.octets(&time(values, Clock::Local));
        for value in energies(values) {
            data.u32(value);
        }
    }
}

fn kaifa_se(data: &mut Data, values: &Values) {
    data.structure(2 * (3 + 4 + 2 * values.phases + 1 + 4));
    data.obis([1, 0, 0, 2, 129]).octets(b"KFM_001");
    data.obis(SERIAL).octets(values.serial(16).as_bytes());
    data.obis([0, 0, 96, 1, 7]).octets(b"SIM30H4");
    for (code, value) in POWERS.into_iter().zip(powers(values)) {
        data.obis(code).u32(value);
    }
    for phase in 0..values.phases {
        data.obis(amperes(phase)).u32(values.moment.currents[phase].unsigned_abs());
    }
    for phase in 0..values.phases {
        data.obis(volts(phase)).u32(values.voltage(phase, 100).into());
    }
    data.obis(CLOCK).octets(&time(values, Clock::Deviation));
    for (code, value) in ENERGIES.into_iter().zip(energies(values)) {
        data.obis(code).u32(value);
    }
}

/// Kamstrup counts channels of electricity from 1.
const fn of_kamstrup(code: [u8; 5]) -> [u8; 5] {
    let [a, _, c, d, e] = code;
    [a, 1, c, d, e]
}

fn kamstrup(data: &mut Data, values: &Values, full: bool) {
    data.structure(25 + if full { 10 } else { 0 });
    data.visible("Kamstrup_V0001");
    data.obis([1, 1, 0, 0, 5]).visible(&values.serial(16));
    data.obis([1, 1, 96, 1, 1]).visible("6841121SIM10010040");
    for (code, value) in POWERS.into_iter().zip(powers(values)) {
        data.obis(of_kamstrup(code)).u32(value);
    }
    for phase in 0..3 {
        if phase < values.phases {
            data.obis(of_kamstrup(amperes(phase))).u32(values.current(phase, 10).into());
        } else {
            data.null().null();
        }
    }
    for phase in 0..3 {
        if phase < values.phases {
            data.obis(of_kamstrup(volts(phase))).u16(values.voltage(phase, 1_000));
        } else {
            data.null().null();
        }
    }
    if full {
        data.obis([0, 1, 1, 0, 0]).octets(&time(values, Clock::Standard));
        for (code, value) in ENERGIES.into_iter().zip(energies(values)) {
            data.obis(of_kamstrup(code)).u32(value);
        }
    }
}

fn kamstrup_dk(data: &mut Data, values: &Values) {
    data.structure(1 + 2 * (4 + 1 + 4 + 1 + 4 * values.phases));
    data.visible("Kamstrup_V0001");
    for (code, value) in ENERGIES.into_iter().zip(energies(values)) {
        data.obis(of_kamstrup(code)).u32(value);
    }
    data.obis([1, 1, 0, 0, 1]).u32(values.serial(8).parse().unwrap_or(0));
    for (code, value) in POWERS.into_iter().zip(powers(values)) {
        data.obis(of_kamstrup(code)).u32(value);
    }
    data.obis([0, 1, 1, 0, 0]).octets(&time(values, Clock::Standard));
    for phase in 0..values.phases {
        let [import, export] = values.phase_power(phase);
        data.obis(of_kamstrup(volts(phase))).u16(values.voltage(phase, 1_000));
        data.obis(of_kamstrup(amperes(phase))).u32(values.current(phase, 10).into());
        data.obis([1, 1, 21 + 20 * phase as u8, 7, 0]).u32(import.into());
        data.obis([1, 1, 22 + 20 * phase as u8, 7, 0]).u32(export.into());
    }
}

fn iskra_head(data: &mut Data, values: &Values) {
    data.octets(format!("SIM1{}", values.serial(12)).as_bytes()).octets(values.serial(8).as_bytes());
}

fn iskra_powers(data: &mut Data, values: &Values) {
    data.structure(18);
    iskra_head(data, values);
    for value in powers(values) {
        data.u32(value);
    }
    for phase in 0..3 {
        data.u16(values.voltage(phase, 100));
    }
    for phase in 0..3 {
        data.u16(values.current(phase, 10));
    }
    for direction in 0..2 {
        for phase in 0..3 {
            data.u32(values.phase_power(phase)[direction].into());
        }
    }
}

fn iskra_registers(data: &mut Data, values: &Values) {
    data.structure(12);
    iskra_head(data, values);
    // Breaker closed; the rate that counts.
    data.bytes(&[0x16, 1]).octets(&[0, values.rate]);
    data.u32(values.import()).u32(values.import_rate(1)).u32(values.import_rate(2));
    data.u32(values.export()).u32(values.export_rate(1)).u32(values.export_rate(2));
    for value in values.reactive() {
        data.u32(value);
    }
}

fn lg_e450_at(data: &mut Data, values: &Values) {
    data.structure(14);
    for phase in 0..3 {
        data.u16(values.voltage(phase, 1_000));
    }
    for phase in 0..3 {
        data.u16(values.current(phase, 10));
    }
    for value in values.power() {
        data.u32(value.into());
    }
    data.u32(values.import()).u32(values.export());
    for phase in 0..3 {
        data.u16(power_factor(values, phase));
    }
    data.octets(values.serial(8).as_bytes());
}

/// In thousandths.
fn power_factor(values: &Values, phase: usize) -> u16 {
    let (active, reactive) = (values.moment.phases[phase], values.moment.reactive[phase]);
    let apparent = ((active.pow(2) + reactive.pow(2)) as u64).isqrt();
    (active.unsigned_abs() * 1_000).checked_div(apparent).unwrap_or(1_000) as u16
}

/// First the objects with class and attribute, then their values, without scalers.
fn object_list(data: &mut Data, values: &Values, version: Version) {
    const PUSH_SETUP: [u8; 5] = [0, 8, 25, 9, 0];
    let mut objects = vec![(40, PUSH_SETUP, 2), (40, PUSH_SETUP, 1), (1, SERIAL, 2)];
    let mut own = Data::default();
    own.obis(PUSH_SETUP).octets(values.serial(8).as_bytes());
    let mut add = |code: [u8; 5], number: Number| {
        objects.push((3, code, 2));
        put(&mut own, number);
    };
    for (code, value) in POWERS.into_iter().zip(powers(values)) {
        add(code, Number::Long(value));
    }
    for (code, value) in ENERGIES.into_iter().zip(energies(values)).take(2) {
        add(of_kamstrup(code), Number::Long(value));
    }
    let step = if version == Version::LgE450ChGbt { 1_000 } else { 100 };
    for phase in 0..values.phases {
        add(amperes(phase), Number::Short(values.current(phase, 10)));
    }
    for phase in 0..values.phases {
        add(volts(phase), Number::Short(values.voltage(phase, step)));
    }
    data.structure(objects.len()).array(objects.len());
    for (class, code, attribute) in objects {
        data.structure(4).u16(class).obis(code).i8(attribute).u16(0);
    }
    data.bytes(&own.0);
}

/// Code, value, scaler and unit in one flat list.
fn kaifa_at(data: &mut Data, values: &Values) {
    data.structure(1 + 3 * (4 + 2 * values.phases + 1) + 1);
    data.octets(&time(values, Clock::Deviation));
    let mut add = |code: [u8; 5], number: Number, scaler: i8, unit: u8| {
        data.obis(code);
        put(data, number);
        data.scaler_unit(scaler, unit);
    };
    for (code, value) in ENERGIES.into_iter().zip(energies(values)).take(2) {
        add(code, Number::Long(value), 0, WATT_HOUR);
    }
    for (code, value) in POWERS.into_iter().zip(powers(values)).take(2) {
        add(code, Number::Long(value), 0, WATT);
    }
    for phase in 0..values.phases {
        add(volts(phase), Number::Short(values.voltage(phase, 100)), -1, VOLT);
    }
    for phase in 0..values.phases {
        add(amperes(phase), Number::Short(values.current(phase, 10)), -2, AMPERE);
    }
    add([1, 0, 13, 7, 0], Number::Short(power_factor(values, 0)), -3, NO_UNIT);
    data.octets(values.serial(12).as_bytes());
}

/// The clock as code and value, then structures.
fn mixed(data: &mut Data, values: &Values) {
    data.structure(2 + 2 + 2 * values.phases + 8);
    data.obis(CLOCK).octets(&time(values, Clock::Deviation));
    data.structure(2).obis(SERIAL).octets(values.serial(13).as_bytes());
    data.structure(2).obis([0, 0, 42, 0, 0]).octets(format!("SIM{}", values.serial(13)).as_bytes());
    for phase in 0..values.phases {
        item(data, volts(phase), Number::Short(values.voltage(phase, 100)), -1, VOLT);
    }
    for phase in 0..values.phases {
        item(data, amperes(phase), Number::Short(values.current(phase, 10)), -2, AMPERE);
    }
    for (place, (code, value)) in POWERS.into_iter().zip(powers(values)).enumerate() {
        item(data, code, Number::Long(value), 0, unit_of(place, WATT, VAR));
    }
    for (place, (code, value)) in ENERGIES.into_iter().zip(energies(values)).enumerate() {
        item(data, code, Number::Long(value), 0, unit_of(place, WATT_HOUR, VAR_HOUR));
    }
}
