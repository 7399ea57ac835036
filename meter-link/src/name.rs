//! Stable words for what a value means, for machines: `import_energy_rate_1`, `voltage_l2`, `gas_volume`.
//!
//! The words of the glossary, joined by underscores. A word once given stays. Two values of one reading may have the same
//! word (old and new gas meter); code and channel tell them apart.

use crate::obis::Obis;
use crate::reading::{Flow, Measured, Medium, Phase, Quantity};

/// The word for a value. `medium` is the child's that sent it; `None` for the meter itself.
pub fn name(measured: &Measured, medium: Option<Medium>) -> String {
    let total_or = |rate: u8| if rate == 0 { "_total".to_owned() } else { format!("_rate_{rate}") };
    match measured.quantity {
        Quantity::ActiveEnergy(of, rate) => format!("{}_energy{}", flow(of), total_or(rate)),
        Quantity::ActivePower(of, on) => format!("{}_power{}", flow(of), phase(on)),
        Quantity::ApparentPower(of, on) => format!("{}_apparent_power{}", flow(of), phase(on)),
        // A past period's, never to be taken for the current one.
        Quantity::ByCode if measured.obis.f != 255 => "history".to_owned(),
        Quantity::ByCode | Quantity::Count => by_code(measured.obis, medium).to_owned(),
        Quantity::Current(on) => format!("current{}", phase(on)),
        Quantity::Demand(of) => format!("{}_demand", flow(of)),
        Quantity::DemandPeak(of) => format!("{}_demand_peak", flow(of)),
        Quantity::Frequency => "frequency".to_owned(),
        Quantity::Heat => "heat_energy".to_owned(),
        Quantity::PowerFactor(on) => format!("power_factor{}", phase(on)),
        Quantity::Rate => "rate".to_owned(),
        Quantity::ReactiveEnergy(of, rate) => format!("{}_reactive_energy{}", flow(of), total_or(rate)),
        Quantity::ReactivePower(of, on) => format!("{}_reactive_power{}", flow(of), phase(on)),
        Quantity::Voltage(on) => format!("voltage{}", phase(on)),
        Quantity::Volume => match medium {
            Some(Medium::Gas) => "gas_volume",
            Some(Medium::Heat) => "heat_volume",
            Some(Medium::Water) => "water_volume",
            Some(Medium::Electricity | Medium::Unclear) | None => "volume",
        }
        .to_owned(),
    }
}

const fn flow(flow: Flow) -> &'static str {
    match flow {
        Flow::Export => "export",
        Flow::Import => "import",
        Flow::Net => "net",
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Total => "",
        Phase::L1 => "_l1",
        Phase::L2 => "_l2",
        Phase::L3 => "_l3",
        Phase::Neutral => "_neutral",
    }
}

/// What only the code names.
const fn by_code(obis: Obis, medium: Option<Medium>) -> &'static str {
    match (obis.a, obis.c, obis.d, obis.e) {
        (0, 17, 0, 0) => "limiter_threshold",
        (0, 24, 2, _) => match medium {
            Some(Medium::Gas) => "gas_energy",
            Some(Medium::Heat) => "heat_energy",
            _ => "energy",
        },
        (0, 96, 7, 9) => "long_power_failures",
        (0, 96, 7, 19) => "long_power_failure_duration",
        (0, 96, 7, 21) => "power_failures",
        (0, 98, 1, 0) => "history",
        (1, 5, 7, 0) => "reactive_power_quadrant_1",
        (1, 6, 7, 0) => "reactive_power_quadrant_2",
        (1, 7, 7, 0) => "reactive_power_quadrant_3",
        (1, 8, 7, 0) => "reactive_power_quadrant_4",
        (1, 15, 7, 0) => "absolute_power",
        (1, 5, 8, _) => "reactive_energy_quadrant_1",
        (1, 6, 8, _) => "reactive_energy_quadrant_2",
        (1, 7, 8, _) => "reactive_energy_quadrant_3",
        (1, 8, 8, _) => "reactive_energy_quadrant_4",
        (1, 9, 8, _) => "import_apparent_energy",
        (1, 10, 8, _) => "export_apparent_energy",
        (1, 15, 8, _) => "absolute_energy",
        (1, 16, 8, _) => "net_energy",
        (1, 16, 24, 0) => "net_demand",
        (1, 90, 7, 0) => "current_sum",
        (1, 21, 8, 0) => "import_energy_l1",
        (1, 22, 8, 0) => "export_energy_l1",
        (1, 41, 8, 0) => "import_energy_l2",
        (1, 42, 8, 0) => "export_energy_l2",
        (1, 61, 8, 0) => "import_energy_l3",
        (1, 62, 8, 0) => "export_energy_l3",
        (1, 31, 4, 0) => "current_threshold_l1",
        (1, 51, 4, 0) => "current_threshold_l2",
        (1, 71, 4, 0) => "current_threshold_l3",
        (1, 32, 32, 0) => "voltage_sags_l1",
        (1, 52, 32, 0) => "voltage_sags_l2",
        (1, 72, 32, 0) => "voltage_sags_l3",
        (1, 32, 36, 0) => "voltage_swells_l1",
        (1, 52, 36, 0) => "voltage_swells_l2",
        (1, 72, 36, 0) => "voltage_swells_l3",
        _ => "by_code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;
    use crate::reading::Unit;

    #[track_caller]
    fn check(obis: Obis, quantity: Quantity, medium: Option<Medium>, expect: &str) {
        let value = Decimal::whole(0);
        let measured = Measured { obis, channel: 0, quantity, value, unit: Unit::One, meter_time: None };
        assert_eq!(name(&measured, medium), expect);
    }

    #[test]
    fn words_say_direction_then_quantity_then_rate_or_phase() {
        check(Obis::new(1, 0, 1, 8, 0), Quantity::ActiveEnergy(Flow::Import, 0), None, "import_energy_total");
        check(Obis::new(1, 0, 2, 8, 2), Quantity::ActiveEnergy(Flow::Export, 2), None, "export_energy_rate_2");
        check(Obis::new(1, 0, 61, 7, 0), Quantity::ActivePower(Flow::Import, Phase::L3), None, "import_power_l3");
        check(Obis::new(0, 2, 24, 2, 1), Quantity::Volume, Some(Medium::Water), "water_volume");
        check(Obis::new(0, 2, 24, 2, 1), Quantity::Heat, Some(Medium::Heat), "heat_energy");
        check(Obis::new(1, 0, 72, 36, 0), Quantity::Count, None, "voltage_swells_l3");
    }
}
