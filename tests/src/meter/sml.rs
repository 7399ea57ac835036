//! SML files in transport frames (SML 1.04, transport version 1), as household meters blink them.

use super::values::Values;
use super::{Meter, Version, checksum};

const ESCAPE: [u8; 4] = [0x1B; 4];
/// Absent.
const NONE: u8 = 0x01;
const WATT: u8 = 27;
const WATT_HOUR: u8 = 30;
const AMPERE: u8 = 33;
const VOLT: u8 = 35;

/// One file: open, list, close.
pub(super) fn frame(meter: &Meter, values: &Values) -> Vec<u8> {
    let server = server(values);
    let number = values.age.wrapping_mul(3);
    let mut body = message(number, 0x0101, &open(&server, number));
    body.extend(message(number.wrapping_add(1), 0x0701, &list(meter, values, &server)));
    body.extend(message(number.wrapping_add(2), 0x0201, &[0x71, NONE]));
    transport(&body)
}

/// Start, body with its escapes doubled, filling, end, checksum over all of it.
fn transport(body: &[u8]) -> Vec<u8> {
    let mut frame = ESCAPE.to_vec();
    frame.extend([1; 4]);
    let mut escapes = 0;
    for byte in body {
        frame.push(*byte);
        escapes = if *byte == ESCAPE[0] { escapes + 1 } else { 0 };
        if escapes == ESCAPE.len() {
            frame.extend(ESCAPE);
            escapes = 0;
        }
    }
    let filling = frame.len().wrapping_neg() % 4;
    frame.resize(frame.len() + filling, 0);
    frame.extend(ESCAPE);
    frame.extend([0x1A, filling as u8]);
    frame.extend(checksum::x25(&frame).to_le_bytes());
    frame
}

/// Transaction, group, what to do on errors, the body by its number, checksum, end.
fn message(transaction: u32, kind: u16, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0x76, 0x05];
    message.extend(transaction.to_be_bytes());
    message.extend([0x62, 0, 0x62, 0, 0x72, 0x63]);
    message.extend(kind.to_be_bytes());
    message.extend(body);
    let checksum = checksum::x25(&message);
    message.push(0x63);
    message.extend(checksum.to_le_bytes());
    message.push(0);
    message
}

fn open(server: &[u8], number: u32) -> Vec<u8> {
    let mut open = vec![0x76, NONE, NONE, 0x05];
    open.extend(number.to_be_bytes());
    octets(&mut open, server);
    open.extend([NONE, NONE]);
    open
}

fn list(meter: &Meter, values: &Values, server: &[u8]) -> Vec<u8> {
    let old = meter.version == Version::SmlEhz;
    let mut entries = Vec::new();
    let mut text = |code: [u8; 6], value: &[u8]| {
        let mut entry = head(code, false);
        entry.extend([NONE, NONE]);
        octets(&mut entry, value);
        entry.push(NONE);
        entries.push(entry);
    };
    if old {
        text([129, 129, 199, 130, 3, 255], b"SIM");
        text([1, 0, 0, 0, 9, 255], server);
    } else {
        text([1, 0, 96, 50, 1, 1], b"SIM");
        text([1, 0, 96, 1, 0, 255], server);
    }
    let mut number = |code: [u8; 6], unit: u8, scaler: i8, integer: Vec<u8>, status: bool| {
        let mut entry = head(code, status);
        entry.extend([0x62, unit, 0x52, scaler as u8]);
        entry.extend(integer);
        entry.push(NONE);
        entries.push(entry);
    };
    // Whole kWh without the PIN, tenths of a Wh with it.
    let energy_scaler = if meter.reduced { 3 } else { -1 };
    let integer = |value: u64| if old { signed(value as i64, 8) } else { narrow(value) };
    let flip = values.quirks.flip.map_or(0, |random| 1 << (random % 8));
    number([1, 0, 1, 8, 0, 255], WATT_HOUR, energy_scaler, integer(values.import() ^ flip), true);
    if old {
        number([1, 0, 1, 8, 1, 255], WATT_HOUR, energy_scaler, integer(values.import()), false);
        number([1, 0, 1, 8, 2, 255], WATT_HOUR, energy_scaler, integer(0), false);
    }
    number([1, 0, 2, 8, 0, 255], WATT_HOUR, energy_scaler, integer(values.export()), !old);
    if !meter.reduced {
        // Tenths of a watt in four bytes, or whole ones in as few as they need.
        let (step, scaler, width) = if old { (100, -1, Some(4)) } else { (1_000, 0, None) };
        let power = |milliwatts: i64| {
            let steps = super::print::nearest(milliwatts.unsigned_abs(), step) as i64 * milliwatts.signum();
            signed(steps, width.unwrap_or_else(|| least(steps)))
        };
        number([1, 0, 16, 7, 0, 255], WATT, scaler, power(values.moment.net()), false);
        if old {
            for phase in 0..values.phases {
                let code = 20 * phase as u8;
                number([1, 0, 36 + code, 7, 0, 255], WATT, scaler, power(values.moment.phases[phase]), false);
                let voltage = narrow(values.voltage(phase, 100).into());
                number([1, 0, 32 + code, 7, 0, 255], VOLT, -1, voltage, false);
                let current = narrow(values.current(phase, 10).into());
                number([1, 0, 31 + code, 7, 0, 255], AMPERE, -2, current, false);
            }
        }
    }
    if old {
        let mut entry = head([129, 129, 199, 130, 5, 255], false);
        entry.extend([NONE, NONE]);
        // A public key of no use to anybody.
        octets(&mut entry, &[0xA5; 48]);
        entry.push(NONE);
        entries.push(entry);
    }

    let mut list = vec![0x77, NONE];
    octets(&mut list, server);
    octets(&mut list, &[1, 0, 98, 10, 255, 255]);
    // Seconds the meter has worked.
    list.extend([0x72, 0x62, 1, 0x65]);
    list.extend(values.age.to_be_bytes());
    head_of_list(&mut list, entries.len());
    list.extend(entries.concat());
    list.extend([NONE, NONE]);
    list
}

/// Name, status and an absent time.
fn head(code: [u8; 6], status: bool) -> Vec<u8> {
    let mut entry = vec![0x77];
    octets(&mut entry, &code);
    if status {
        entry.extend([0x65, 0x00, 0x01, 0x01, 0x04]);
    } else {
        entry.push(NONE);
    }
    entry.push(NONE);
    entry
}

/// Medium, maker, version and number as the German device identification has them; ten bytes.
fn server(values: &Values) -> Vec<u8> {
    let mut server = vec![0x0A, 0x01];
    server.extend(b"SIM");
    server.push(0);
    server.extend(values.serial(9).parse::<u32>().unwrap_or(0).to_be_bytes());
    server
}

fn octets(bytes: &mut Vec<u8>, value: &[u8]) {
    // The length counts its own bytes, which are two from fifteen on.
    match value.len() + 1 {
        length @ ..16 => bytes.push(length as u8),
        _ => {
            let length = value.len() + 2;
            bytes.extend([0x80 | (length >> 4) as u8, (length & 0x0F) as u8]);
        }
    }
    bytes.extend(value);
}

fn head_of_list(bytes: &mut Vec<u8>, count: usize) {
    match count {
        ..16 => bytes.push(0x70 | count as u8),
        _ => bytes.extend([0xF0 | (count >> 4) as u8, (count & 0x0F) as u8]),
    }
}

fn signed(value: i64, width: usize) -> Vec<u8> {
    let mut bytes = vec![0x50 | (width + 1) as u8];
    bytes.extend(&value.to_be_bytes()[8 - width..]);
    bytes
}

/// An unsigned integer in as few bytes as it needs.
fn narrow(value: u64) -> Vec<u8> {
    let width = (8 - value.leading_zeros() as usize / 8).max(1);
    let mut bytes = vec![0x60 | (width + 1) as u8];
    bytes.extend(&value.to_be_bytes()[8 - width..]);
    bytes
}

/// Bytes a signed integer needs.
const fn least(value: i64) -> usize {
    let bits = 65 - if value < 0 { value.leading_ones() } else { value.leading_zeros() } as usize;
    bits.div_ceil(8)
}
