//! The text of a P1 telegram.
//!
//! Lines come in the order of each version's own description. Values are cut to the places the meter prints: registers
//! down (energy that is not full is not shown), everything else to the nearest.

use std::fmt::Write as _;

use jiff::tz::Dst;

use super::{Meter, Quirks, Version};
use crate::home::{GasMeter, Home, MILLIWATT_SECONDS_PER_WATT_HOUR, Moment, Registers, timestamp};

/// Digits before the point for energy, power and volume, and what else differs between the families.
struct Style {
    energy: usize,
    power: usize,
    /// Digits before and after the point of a current.
    current: (usize, usize),
    reactive: &'static str,
}

/// One telegram in the making.
struct Telegram<'a> {
    text: String,
    meter: &'a Meter,
    home: &'a mut Home,
    quirks: Quirks,
    style: Style,
    moment: Moment,
}

pub(super) fn telegram(meter: &Meter, home: &mut Home, quirks: Quirks) -> Vec<u8> {
    let moment = last_second(home);
    let (energy, power, current) = match meter.version {
        Version::Dsmr22 | Version::Dsmr3 => (5, 4, (3, 0)),
        Version::Dk | Version::Fi | Version::No | Version::Se => (8, 4, (3, 1)),
        Version::At => (9, 9, (3, 0)),
        Version::EmucsBe => (6, 2, (3, 2)),
        _ => (6, 2, (3, 0)),
    };
    let reactive = if matches!(meter.version, Version::Fi | Version::Se) { "kVAr" } else { "kvar" };
    let style = Style { energy, power, current, reactive };
    let mut telegram = Telegram { text: String::with_capacity(2_600), meter, home, quirks, style, moment };
    telegram.identification();
    match meter.version {
        Version::Dsmr22 | Version::Dsmr3 => telegram.dutch_before_4(),
        Version::Dsmr4 | Version::Dsmr5 | Version::Esmr5 => telegram.dutch(),
        Version::EmucsBe => telegram.belgian(),
        Version::EmucsLu | Version::LuEncrypted => telegram.luxembourgish(),
        Version::Dk | Version::Fi | Version::No | Version::Se => telegram.nordic(),
        Version::Ch => telegram.swiss(),
        Version::Lt => telegram.lithuanian(),
        Version::Hu => telegram.hungarian(),
        // Austria: only P1 comes here.
        _ => telegram.austrian(),
    }
    telegram.end()
}

/// What flowed in the second that just ended.
pub(super) fn last_second(home: &mut Home) -> Moment {
    let before = (home.second() - 1).max(home.installed_at());
    home.moment(before)
}

pub(super) fn net_milliwatts(meter: &Meter, home: &mut Home) -> i64 {
    let step = meter.version.power_step() as i64;
    let net = last_second(home).net();
    let steps = nearest(net.unsigned_abs(), step as u64) as i64;
    if net < 0 { -steps * step } else { steps * step }
}

pub(super) const fn nearest(value: u64, step: u64) -> u64 {
    (value + step / 2) / step
}

impl Telegram<'_> {
    fn identification(&mut self) {
        let identification = match self.meter.version {
            Version::Dsmr22 => "/ISk5\\2SIM-1022",
            Version::Dsmr3 => "/ISk5\\2SIM-1030",
            Version::Dsmr4 => "/KFM5SIM-METER",
            Version::Dsmr5 => "/ISK5\\2SIM-1050",
            Version::Esmr5 => "/Ene5\\SIM-D ESMR5.0",
            Version::EmucsBe => "/FLU5\\253000000_A",
            Version::EmucsLu | Version::LuEncrypted => "/Lux5\\253000000_M",
            Version::Se => "/ADN9 6534",
            Version::Fi => "/ADN9 7534",
            Version::Dk => "/LGF5E360",
            Version::No => "/KAM5",
            Version::Ch => "/LGZ5\\2SIM-CH",
            Version::Lt => "/ESO5\\253000000_A",
            Version::Hu => "/AUX5SIM-METER",
            // Austria, the last of P1.
            _ => "/EST5\\253000000_A",
        };
        self.text.push_str(identification);
        self.text.push_str("\r\n\r\n");
    }

    fn end(mut self) -> Vec<u8> {
        // An encrypting meter's bits are flipped outside, under its tag.
        if self.meter.version.ciphering().is_none() && self.quirks.flip.is_some() {
            let mut bytes = std::mem::take(&mut self.text).into_bytes();
            let values = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            super::d0::flip(&mut bytes[values..], self.quirks.flip);
            // A digit became another digit.
            self.text = String::from_utf8(bytes).unwrap_or_default();
        }
        self.text.push('!');
        if !matches!(self.meter.version, Version::Dsmr22 | Version::Dsmr3) {
            let checksum = crc16(self.text.as_bytes());
            let _ = write!(self.text, "{checksum:04X}");
        }
        self.text.push_str("\r\n");
        self.text.into_bytes()
    }

    fn dutch_before_4(&mut self) {
        self.serial_number("0-0:96.1.1");
        self.rates(2);
        self.rate_now();
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.line("0-0:17.0.0(0999.00*kW)");
        self.line("0-0:96.3.10(1)");
        self.line("0-0:96.13.1()");
        self.line("0-0:96.13.0()");
        for gas in self.home.gas_meters().to_vec() {
            let channel = gas.channel;
            let (millilitres, at) = self.home.gas(&gas, true);
            let stamp = self.stamp(at, true);
            self.line(&format!("0-{channel}:24.1.0(3)"));
            self.line(&format!("0-{channel}:96.1.0({})", hexadecimal(&gas.equipment)));
            self.line(&format!("0-{channel}:24.3.0({})(00)(60)(1)(0-{channel}:24.2.1)(m3)", &stamp[..12]));
            self.line(&format!("({})", fixed(self.child(millilitres), 5, 3)));
            self.line(&format!("0-{channel}:24.4.0(1)"));
        }
    }

    fn dutch(&mut self) {
        let four = self.meter.version == Version::Dsmr4;
        self.line(if four { "1-3:0.2.8(42)" } else { "1-3:0.2.8(50)" });
        self.clock("0-0:1.0.0");
        self.serial_number("0-0:96.1.1");
        self.rates(2);
        self.rate_now();
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.failures();
        self.line("1-0:99.97.0(1)(0-0:96.7.19)(180529135630S)(0000002451*s)");
        self.sags_and_swells();
        if four {
            self.line("0-0:96.13.1()");
        }
        self.line("0-0:96.13.0()");
        if !four {
            self.voltages();
        }
        self.currents();
        self.phases(&["1-0:21.7.0", "1-0:41.7.0", "1-0:61.7.0"], |moment, phase| moment.phases[phase]);
        self.phases(&["1-0:22.7.0", "1-0:42.7.0", "1-0:62.7.0"], |moment, phase| -moment.phases[phase]);
        self.gas_children("96.1.0", "24.2.1");
    }

    fn belgian(&mut self) {
        self.line("0-0:96.1.4(50217)");
        self.serial_number("0-0:96.1.1");
        self.clock("0-0:1.0.0");
        self.rates(2);
        self.demand();
        self.rate_now();
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.phases(&["1-0:21.7.0", "1-0:41.7.0", "1-0:61.7.0"], |moment, phase| moment.phases[phase]);
        self.phases(&["1-0:22.7.0", "1-0:42.7.0", "1-0:62.7.0"], |moment, phase| -moment.phases[phase]);
        self.voltages();
        self.currents();
        self.line("0-0:96.3.10(1)");
        self.line("0-0:17.0.0(999.9*kW)");
        self.line("1-0:31.4.0(999*A)");
        self.line("0-0:96.13.0()");
        self.gas_children("96.1.1", "24.2.3");
        let (millilitres, at) = self.home.water(false);
        let stamp = self.child_stamp(at);
        let serial = hexadecimal(&self.home.device().equipment.replacen("SIM", "SIW", 1));
        self.line("0-2:24.1.0(007)");
        self.line(&format!("0-2:96.1.1({serial})"));
        self.line(&format!("0-2:24.2.1({stamp})({}*m3)", fixed(self.child(millilitres), 5, 3)));
    }

    fn luxembourgish(&mut self) {
        self.line("1-3:0.2.8(42)");
        self.clock("0-0:1.0.0");
        self.serial_number("0-0:42.0.0");
        self.totals();
        self.reactive_registers();
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.reactive_total();
        self.line("0-0:17.0.0(027.6*kVA)");
        self.line("0-0:96.3.10(1)");
        self.line("0-0:96.7.21(00003)");
        self.sags_and_swells();
        self.line("0-0:96.13.0()");
        self.voltages();
        self.currents();
        self.phases(&["1-0:21.7.0", "1-0:41.7.0", "1-0:61.7.0"], |moment, phase| moment.phases[phase]);
        self.phases(&["1-0:22.7.0", "1-0:42.7.0", "1-0:62.7.0"], |moment, phase| -moment.phases[phase]);
        self.gas_children("96.1.0", "24.2.1");
    }

    fn nordic(&mut self) {
        self.clock("0-0:1.0.0");
        self.totals();
        self.reactive_registers();
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.reactive_total();
        for phase in 0..self.home.profile().phase_count() {
            let (import, export) = (21 + 20 * phase, 22 + 20 * phase);
            self.power(&format!("1-0:{import}.7.0"), self.moment.phases[phase]);
            self.power(&format!("1-0:{export}.7.0"), -self.moment.phases[phase]);
        }
        self.reactive_phases();
        self.voltages();
        self.currents();
    }

    fn swiss(&mut self) {
        self.line("1-3:0.2.8(50)");
        self.clock("0-0:1.0.0");
        self.serial_number("0-0:96.1.1");
        self.totals();
        self.rates(2);
        self.rate_now();
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.voltages();
        self.currents();
        self.phases(&["1-0:21.7.0", "1-0:41.7.0", "1-0:61.7.0"], |moment, phase| moment.phases[phase]);
        self.phases(&["1-0:22.7.0", "1-0:42.7.0", "1-0:62.7.0"], |moment, phase| -moment.phases[phase]);
    }

    fn lithuanian(&mut self) {
        self.clock("0-0:1.0.0");
        self.totals_and_rates(4);
        self.reactive_registers();
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.reactive_total();
        self.phases(&["1-0:21.7.0", "1-0:41.7.0", "1-0:61.7.0"], |moment, phase| moment.phases[phase]);
        self.phases(&["1-0:22.7.0", "1-0:42.7.0", "1-0:62.7.0"], |moment, phase| -moment.phases[phase]);
        self.reactive_phases();
        self.voltages();
        self.currents();
        self.line("1-0:14.7.0(50.0*Hz)");
        self.power_factors(true);
        self.failures();
        self.line(&format!("0-0:96.13.0({})", hexadecimal("setP1_Extended_3ph")));
        self.sags_and_swells();
        self.serial_number("0-0:96.1.1");
    }

    fn hungarian(&mut self) {
        self.clock("0-0:1.0.0");
        self.serial_number("0-0:42.0.0");
        self.serial_number("0-0:96.1.0");
        self.rate_now();
        self.line("0-0:96.3.10(1)");
        self.line("0-0:17.0.0(90.000*kW)");
        self.totals_and_rates(4);
        self.reactive_registers();
        self.voltages();
        self.currents();
        self.power_factors(false);
        self.line("1-0:14.7.0(50.00*Hz)");
        self.power("1-0:1.7.0", self.moment.net());
        self.power("1-0:2.7.0", -self.moment.net());
        self.line("1-0:31.4.0(200.00*A)");
        self.month_record();
        // Not text, not even ASCII on the wire: the field as it leaves the factory.
        let blank = "FF".repeat(512);
        self.line(&format!("0-0:96.13.0({blank})"));
    }

    fn austrian(&mut self) {
        self.line("1-3:0.2.8(50)");
        self.clock("0-0:1.0.0");
        self.totals_and_rates(2);
        let (import, export) = reactive(self.home, &self.home.registers());
        self.whole("1-0:1.7.0", nearest(self.moment.net().max(0).unsigned_abs(), 1_000), "W");
        self.whole("1-0:2.7.0", nearest(self.moment.net().min(0).unsigned_abs(), 1_000), "W");
        self.whole("1-0:3.8.0", import, "varh");
        self.whole("1-0:4.8.0", export, "varh");
        let net = self.moment.reactive.iter().sum::<i64>();
        self.whole("1-0:3.7.0", nearest(net.max(0).unsigned_abs(), 1_000), "var");
        self.whole("1-0:4.7.0", nearest(net.min(0).unsigned_abs(), 1_000), "var");
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push_str("\r\n");
    }

    fn serial_number(&mut self, code: &str) {
        let serial = hexadecimal(&self.home.device().equipment);
        self.line(&format!("{code}({serial})"));
    }

    fn clock(&mut self, code: &str) {
        let stamp = self.stamp(self.home.second(), true);
        self.line(&format!("{code}({stamp})"));
    }

    /// The meter's wall clock at `second`: `YYMMDDhhmmss` and `S` in summer, `W` in winter.
    fn stamp(&self, second: i64, wrong: bool) -> String {
        let instant = timestamp(second + if wrong { self.meter.clock_error } else { 0 });
        let zone = &self.home.place().zone;
        let suffix = if zone.to_offset_info(instant).dst() == Dst::Yes { 'S' } else { 'W' };
        let local = zone.to_datetime(instant);
        format!(
            "{:02}{:02}{:02}{:02}{:02}{:02}{suffix}",
            local.year().rem_euclid(100),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second()
        )
    }

    fn child_stamp(&self, second: i64) -> String {
        if self.quirks.child_clock { "632525252525W".into() } else { self.stamp(second, true) }
    }

    fn child(&self, millilitres: u64) -> u64 {
        if self.quirks.zero { 0 } else { millilitres / 1_000 }
    }

    fn energy(&mut self, code: &str, milliwatt_seconds: u64, spike: u64) {
        let watt_hours = if self.quirks.zero { 0 } else { milliwatt_seconds / MILLIWATT_SECONDS_PER_WATT_HOUR + spike };
        if self.meter.version == Version::At {
            self.whole(code, watt_hours, "Wh");
        } else {
            let value = fixed(watt_hours, self.style.energy, 3);
            self.line(&format!("{code}({value}*kWh)"));
        }
    }

    fn whole(&mut self, code: &str, value: u64, unit: &str) {
        self.line(&format!("{code}({value:09}*{unit})"));
    }

    fn rates(&mut self, count: usize) {
        let registers = self.home.registers();
        for rate in 0..count {
            let spike = if rate == 0 { self.quirks.spike_watt_hours } else { 0 };
            self.energy(&format!("1-0:1.8.{}", rate + 1), registers.import[rate], spike);
        }
        for rate in 0..count {
            self.energy(&format!("1-0:2.8.{}", rate + 1), registers.export[rate], 0);
        }
    }

    fn totals(&mut self) {
        let registers = self.home.registers();
        self.energy("1-0:1.8.0", registers.import_total(), self.quirks.spike_watt_hours);
        self.energy("1-0:2.8.0", registers.export_total(), 0);
    }

    fn totals_and_rates(&mut self, count: usize) {
        let registers = self.home.registers();
        let spike = self.quirks.spike_watt_hours;
        self.energy("1-0:1.8.0", registers.import_total(), spike);
        for rate in 0..count {
            self.energy(&format!("1-0:1.8.{}", rate + 1), registers.import[rate], if rate == 0 { spike } else { 0 });
        }
        self.energy("1-0:2.8.0", registers.export_total(), 0);
        for rate in 0..count {
            self.energy(&format!("1-0:2.8.{}", rate + 1), registers.export[rate], 0);
        }
    }

    fn reactive_registers(&mut self) {
        let (import, export) = reactive(self.home, &self.home.registers());
        let unit = if self.style.reactive == "kVAr" { "kVArh" } else { "kvarh" };
        for (code, value) in [("1-0:3.8.0", import), ("1-0:4.8.0", export)] {
            let value = fixed(value, self.style.energy, 3);
            self.line(&format!("{code}({value}*{unit})"));
        }
    }

    fn rate_now(&mut self) {
        let rate = self.home.rate();
        self.line(&format!("0-0:96.14.0({rate:04})"));
    }

    /// Import in kW, 0 while `milliwatts` is negative.
    fn power(&mut self, code: &str, milliwatts: i64) {
        let import = milliwatts.max(0).unsigned_abs();
        let value = if matches!(self.meter.version, Version::Dsmr22 | Version::Dsmr3) {
            fixed(nearest(import, 10_000), self.style.power, 2)
        } else {
            fixed(nearest(import, 1_000), self.style.power, 3)
        };
        self.line(&format!("{code}({value}*kW)"));
    }

    fn phases(&mut self, codes: &[&str], power: impl Fn(&Moment, usize) -> i64) {
        for (phase, code) in codes.iter().enumerate().take(self.home.profile().phase_count()) {
            self.power(code, power(&self.moment, phase));
        }
    }

    fn reactive_power(&mut self, code: &str, millivars: i64) {
        let value = fixed(nearest(millivars.max(0).unsigned_abs(), 1_000), self.style.power, 3);
        let unit = self.style.reactive;
        self.line(&format!("{code}({value}*{unit})"));
    }

    fn reactive_total(&mut self) {
        let net: i64 = self.moment.reactive.iter().sum();
        self.reactive_power("1-0:3.7.0", net);
        self.reactive_power("1-0:4.7.0", -net);
    }

    fn reactive_phases(&mut self) {
        for phase in 0..self.home.profile().phase_count() {
            let reactive = self.moment.reactive[phase];
            self.reactive_power(&format!("1-0:{}.7.0", 23 + 20 * phase), reactive);
            self.reactive_power(&format!("1-0:{}.7.0", 24 + 20 * phase), -reactive);
        }
    }

    fn voltages(&mut self) {
        for phase in 0..self.home.profile().phase_count() {
            let value = fixed(nearest(self.moment.voltages[phase].unsigned_abs(), 100), 3, 1);
            self.line(&format!("1-0:{}.7.0({value}*V)", 32 + 20 * phase));
        }
    }

    fn currents(&mut self) {
        let (digits, places) = self.style.current;
        for phase in 0..self.home.profile().phase_count() {
            let step = 10_u64.pow(3 - places as u32);
            let value = fixed(nearest(self.moment.currents[phase].unsigned_abs(), step), digits, places);
            self.line(&format!("1-0:{}.7.0({value}*A)", 31 + 20 * phase));
        }
    }

    fn power_factors(&mut self, signed: bool) {
        let factor = |active: i64, reactive: i64| {
            let apparent = ((active.pow(2) + reactive.pow(2)) as u64).isqrt().max(1);
            let sign = if signed && active < 0 { "-" } else { "" };
            format!("{sign}{}", fixed(active.unsigned_abs() * 1_000 / apparent, 1, 3))
        };
        let total = factor(self.moment.net(), self.moment.reactive.iter().sum());
        self.line(&format!("1-0:13.7.0({total})"));
        for phase in 0..self.home.profile().phase_count() {
            let value = factor(self.moment.phases[phase], self.moment.reactive[phase]);
            self.line(&format!("1-0:{}.7.0({value})", 33 + 20 * phase));
        }
    }

    fn failures(&mut self) {
        self.line("0-0:96.7.21(00006)");
        self.line("0-0:96.7.9(00003)");
    }

    fn sags_and_swells(&mut self) {
        for kind in [32, 36] {
            for phase in 0..self.home.profile().phase_count() {
                self.line(&format!("1-0:{}.{kind}.0(0000{})", 32 + 20 * phase, phase));
            }
        }
    }

    fn demand(&mut self) {
        let (running, peaks) = self.home.demand();
        let peaks: Vec<_> = peaks.iter().map(|peak| (peak.month, peak.import / 900, peak.at)).collect();
        let kilowatts = |milliwatts: u64| fixed(milliwatts / 1_000, 2, 3);
        let running = kilowatts(running.unsigned_abs());
        self.line(&format!("1-0:1.4.0({running}*kW)"));
        let Some(((_, highest, at), before)) = peaks.split_last() else { return };
        let stamp = self.stamp(*at, true);
        self.line(&format!("1-0:1.6.0({stamp})({}*kW)", kilowatts(*highest)));
        let mut record = format!("0-0:98.1.0({})(1-0:1.6.0)(1-0:1.6.0)", before.len());
        for ((year, month), highest, at) in before {
            // The month's record is stamped with the beginning of the next month.
            let zone = &self.home.place().zone;
            let next = jiff::civil::date(*year, *month, 1).saturating_add(jiff::Span::new().months(1));
            let closed = next.to_zoned(zone.clone()).map_or(0, |midnight| midnight.timestamp().as_second());
            let _ =
                write!(record, "({})({})({}*kW)", self.stamp(closed, true), self.stamp(*at, true), kilowatts(*highest));
        }
        if before.is_empty() {
            record = "0-0:98.1.0(0)(1-0:1.6.0)(1-0:1.6.0)".into();
        }
        self.line(&record);
    }

    /// Registers at the last turn of the month, in one long line.
    fn month_record(&mut self) {
        let registers = self.home.registers();
        let local = self.home.place().zone.to_datetime(timestamp(self.home.second()));
        let first = local.date().first_of_month().to_zoned(self.home.place().zone.clone());
        let stamp = self.stamp(first.map_or(0, |midnight| midnight.timestamp().as_second()), true);
        let mut record = format!("0-0:98.1.0({stamp})");
        for value in registers.import.iter().chain(&registers.export) {
            let value = fixed(value / MILLIWATT_SECONDS_PER_WATT_HOUR * 9 / 10, 6, 3);
            let _ = write!(record, "({value}*kWh)");
        }
        self.line(&record);
    }

    fn gas_children(&mut self, serial_code: &str, value_code: &str) {
        for gas in self.home.gas_meters().to_vec() {
            self.gas_child(&gas, serial_code, value_code);
        }
    }

    fn gas_child(&mut self, gas: &GasMeter, serial_code: &str, value_code: &str) {
        let channel = gas.channel;
        let (millilitres, at) = self.home.gas(gas, self.meter.version.hourly_children());
        let stamp = self.child_stamp(at);
        let value = fixed(self.child(millilitres), 5, 3);
        self.line(&format!("0-{channel}:24.1.0(003)"));
        self.line(&format!("0-{channel}:{serial_code}({})", hexadecimal(&gas.equipment)));
        self.line(&format!("0-{channel}:{value_code}({stamp})({value}*m3)"));
    }
}

/// Reactive registers in varh, taken and given. Made from the active ones, so that they too never go back.
pub(super) fn reactive(home: &Home, registers: &Registers) -> (u64, u64) {
    let age = (home.second() - home.installed_at()).max(0).unsigned_abs();
    let import = registers.import_total() / MILLIWATT_SECONDS_PER_WATT_HOUR / 9;
    let export = registers.export_total() / MILLIWATT_SECONDS_PER_WATT_HOUR / 20 + age / 300;
    (import, export)
}

/// `value` × 10^-`places` with `digits` digits before the point, more if it needs them.
pub(super) fn fixed(value: u64, digits: usize, places: usize) -> String {
    if places == 0 {
        return format!("{value:0digits$}");
    }
    let one = 10_u64.pow(places as u32);
    format!("{:0digits$}.{:0places$}", value / one, value % one)
}

/// Text as two hexadecimal digits per byte, as serial numbers are printed.
fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02X}");
        digits
    })
}

/// CRC-16/ARC, bit by bit: the polynomial 0x8005 reflected, from 0, not inverted.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xA001 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_16_arc() {
        assert_eq!(crc16(b"123456789"), 0xBB3D);
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(fixed(1_234, 2, 3), "01.234");
        assert_eq!(fixed(7, 3, 0), "007");
        assert_eq!(fixed(123_456_789, 5, 3), "123456.789");
    }
}
