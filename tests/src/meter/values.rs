//! What a meter knows in the second it speaks, cut to the places it transmits: registers down (energy that is not full is
//! not shown), everything else to the nearest.

use jiff::tz::Dst;

use super::print::{last_second, nearest, reactive};
use super::{Meter, Quirks};
use crate::home::{Home, MILLIWATT_SECONDS_PER_WATT_HOUR, Moment, Registers, timestamp};

pub(super) struct Values {
    pub(super) quirks: Quirks,
    /// The true second, which counters and schedules follow.
    pub(super) second: i64,
    /// The wall clock as the meter believes it.
    pub(super) local: jiff::civil::DateTime,
    pub(super) summer: bool,
    /// Standard time of the same instant.
    pub(super) standard: jiff::civil::DateTime,
    /// Local minus UTC, minutes.
    pub(super) offset_minutes: i32,
    /// Seconds since the meter was put in.
    pub(super) age: u32,
    pub(super) moment: Moment,
    pub(super) phases: usize,
    pub(super) equipment: String,
    registers: Registers,
    reactive: (u64, u64),
    energy_step: u64,
    pub(super) rate: u8,
}

impl Values {
    pub(super) fn new(meter: &Meter, home: &mut Home, quirks: Quirks) -> Self {
        let instant = timestamp(home.second() + meter.clock_error);
        let zone = &home.place().zone;
        let information = zone.to_offset_info(instant);
        let local = zone.to_datetime(instant);
        let standard_seconds = meter.version.country().standard_offset_seconds();
        let standard =
            jiff::tz::Offset::from_seconds(standard_seconds).map_or(local, |offset| offset.to_datetime(instant));
        let registers = home.registers();
        Self {
            quirks,
            second: home.second(),
            local,
            summer: information.dst() == Dst::Yes,
            standard,
            offset_minutes: information.offset().seconds() / 60,
            age: (home.second() - home.installed_at()).clamp(0, i64::from(u32::MAX)) as u32,
            moment: last_second(home),
            phases: home.profile().phase_count(),
            equipment: home.device().equipment.clone(),
            registers,
            reactive: reactive(home, &registers),
            energy_step: meter.energy_step(),
            rate: home.rate(),
        }
    }

    /// Import in steps of the version's last digit.
    pub(super) fn import(&self) -> u64 {
        self.steps(self.registers.import_total(), self.quirks.spike_watt_hours)
    }

    pub(super) fn export(&self) -> u64 {
        self.steps(self.registers.export_total(), 0)
    }

    /// Import of one rate, from 1.
    pub(super) fn import_rate(&self, rate: usize) -> u64 {
        self.steps(self.registers.import[rate - 1], if rate == 1 { self.quirks.spike_watt_hours } else { 0 })
    }

    pub(super) fn export_rate(&self, rate: usize) -> u64 {
        self.steps(self.registers.export[rate - 1], 0)
    }

    /// Reactive registers, taken and given, in the same steps.
    pub(super) fn reactive(&self) -> [u64; 2] {
        [self.reactive.0, self.reactive.1].map(|hours| self.steps(hours * MILLIWATT_SECONDS_PER_WATT_HOUR, 0))
    }

    fn steps(&self, milliwatt_seconds: u64, spike_watt_hours: u64) -> u64 {
        if self.quirks.zero {
            return 0;
        }
        (milliwatt_seconds + spike_watt_hours * MILLIWATT_SECONDS_PER_WATT_HOUR) / self.energy_step
    }

    /// Net power in W: import and export, one of them 0.
    pub(super) fn power(&self) -> [u32; 2] {
        both(self.moment.net())
    }

    pub(super) fn reactive_power(&self) -> [u32; 2] {
        both(self.moment.reactive.iter().sum())
    }

    pub(super) fn phase_power(&self, phase: usize) -> [u32; 2] {
        both(self.moment.phases[phase])
    }

    pub(super) fn phase_reactive(&self, phase: usize) -> [u32; 2] {
        both(self.moment.reactive[phase])
    }

    /// In steps of so many mV.
    pub(super) fn voltage(&self, phase: usize, step: u64) -> u16 {
        nearest(self.moment.voltages[phase].unsigned_abs(), step) as u16
    }

    /// In steps of so many mA.
    pub(super) fn current(&self, phase: usize, step: u64) -> u16 {
        nearest(self.moment.currents[phase].unsigned_abs(), step) as u16
    }

    /// VA of one phase, by its volts and amperes; of those drawn, or of those given.
    pub(super) fn apparent(&self, phase: usize, given: bool) -> u32 {
        let matching = (self.moment.phases[phase] < 0) == given;
        let millivolt_amperes = self.moment.voltages[phase] * self.moment.currents[phase] / 1_000;
        if matching { nearest(millivolt_amperes.unsigned_abs(), 1_000) as u32 } else { 0 }
    }

    /// The last digits of the serial number.
    pub(super) fn serial(&self, digits: usize) -> String {
        self.equipment[self.equipment.len() - digits..].to_owned()
    }
}

fn both(milli: i64) -> [u32; 2] {
    [milli, -milli].map(|milli| nearest(milli.max(0).unsigned_abs(), 1_000) as u32)
}
