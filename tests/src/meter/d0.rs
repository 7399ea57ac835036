//! IEC 62056-21 text: what a meter of mode C reads out, and what one of mode D pushes. Bytes of seven bits, without parity.

use std::fmt::Write as _;

use super::print::{fixed, nearest};
use super::values::Values;
use super::{Meter, Version, checksum};

/// One read-out.
pub(super) fn telegram(meter: &Meter, values: &Values) -> Vec<u8> {
    if meter.version == Version::D0ModeC { mode_c(values) } else { mode_d(values) }
}

/// Identification, then a block between start and end of text with its check character.
fn mode_c(values: &Values) -> Vec<u8> {
    let mut text = String::new();
    let mut line = |line: String| text.push_str(&(line + "\r\n"));
    let local = values.local;
    let season = u8::from(values.summer);
    line("F.F(00)".into());
    line(format!("0.0.0({})", values.serial(8)));
    line(format!("0.9.1({:02}{:02}{:02})", local.hour(), local.minute(), local.second()));
    let year = local.year().rem_euclid(100);
    line(format!("0.9.2({season}{year:02}{:02}{:02})", local.month(), local.day()));
    let energy = |watt_hours: u64| fixed(watt_hours, 6, 3);
    line(format!("1.8.0({}*kWh)", energy(values.import())));
    line(format!("1.8.1({}*kWh)", energy(values.import_rate(1))));
    line(format!("1.8.2({}*kWh)", energy(values.import_rate(2))));
    line(format!("2.8.0({}*kWh)", energy(values.export())));
    line(format!("2.8.1({}*kWh)", energy(values.export_rate(1))));
    line(format!("2.8.2({}*kWh)", energy(values.export_rate(2))));
    // What it was at the last turn of the month is not what it is.
    line(format!("1.8.0*01({}*kWh)", energy(values.import() * 9 / 10)));
    for (code, watts) in [("1.7.0", values.power()[0]), ("2.7.0", values.power()[1])] {
        line(format!("{code}({}*kW)", fixed(watts.into(), 2, 3)));
    }
    for phase in 0..values.phases {
        line(format!("{}.7.0({}*V)", 32 + 20 * phase, values.voltage(phase, 1_000)));
        line(format!("{}.7.0({}*A)", 31 + 20 * phase, fixed(values.current(phase, 10).into(), 3, 2)));
    }
    let mut block = text.into_bytes();
    flip(&mut block, values.quirks.flip);
    block.extend(b"!\r\n\x03");
    let check = checksum::block_check(&block);
    // The character behind the maker is the speed: 0 for the one it began with.
    let mut telegram = b"/SIM0MODE-C\r\n\x02".to_vec();
    telegram.extend(block);
    telegram.push(check);
    telegram
}

/// Identification, an empty line, lines, an exclamation mark. No checksum.
fn mode_d(values: &Values) -> Vec<u8> {
    let mut text = String::from("/SIM5MODE-D\r\n\r\n");
    let mut line = |code: &str, value: &str| {
        let _ = write!(text, "1-0:{code}({value})\r\n");
    };
    line("96.1.0*255", &format!("001SIM{}", values.serial(10)));
    // Tenths of a Wh.
    let energy = |steps: u64| format!("{}*kWh", fixed(steps, 6, 4));
    line("1.8.0*255", &energy(values.import()));
    line("2.8.0*255", &energy(values.export()));
    let net = values.moment.net();
    let watts = nearest(net.unsigned_abs(), 1_000);
    line("16.7.0*255", &format!("{}{watts:06}*W", if net < 0 { "-" } else { "" }));
    for phase in 0..values.phases {
        let voltage = fixed(values.voltage(phase, 100).into(), 3, 1);
        line(&format!("{}.7.0*255", 32 + 20 * phase), &format!("{voltage}*V"));
    }
    for phase in 0..values.phases {
        let current = fixed(values.current(phase, 10).into(), 3, 2);
        line(&format!("{}.7.0*255", 31 + 20 * phase), &format!("{current}*A"));
    }
    line("14.7.0*255", "50.0*Hz");
    // The last day, week, month, year, and since the last reset.
    for history in 96..=100 {
        line(&format!("1.8.0*{history}"), "00007.1*kWh");
    }
    line("0.2.0*255", "ver.01,SIM0,20260101");
    line("97.97.0*255", "00000000");
    let mut telegram = text.into_bytes();
    flip(&mut telegram, values.quirks.flip);
    telegram.extend(b"!\r\n");
    telegram
}

/// Makes one digit another one.
pub(super) fn flip(text: &mut [u8], random: Option<u64>) {
    let Some(random) = random else { return };
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    if let Some(place) = (random as usize).checked_rem(digits)
        && let Some(digit) = text.iter_mut().filter(|byte| byte.is_ascii_digit()).nth(place)
    {
        *digit ^= 1;
    }
}
