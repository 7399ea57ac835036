//! A measurement as HomeWizard's P1 meter makes it of what the meter says: one flat object, version 2 of its local API.

use std::fmt::Write as _;

use super::values::Values;

/// The newest measurement. Energy in kWh to the watt-hour, power in W, stamps in the home's civil time.
pub(super) fn measurement(values: &Values) -> String {
    let kilo = |watt_hours: u64| format!("{}.{:03}", watt_hours / 1_000, watt_hours % 1_000);
    let [import, export] = values.power();
    let mut text = format!(
        r#"{{"protocol_version":50,"meter_model":"SIM-1050","timestamp":"{}","tariff":{}"#,
        values.local.strftime("%Y-%m-%dT%H:%M:%S"),
        values.rate,
    );
    let energy = [
        ("import_kwh", values.import()),
        ("import_t1_kwh", values.import_rate(1)),
        ("import_t2_kwh", values.import_rate(2)),
        ("export_kwh", values.export()),
        ("export_t1_kwh", values.export_rate(1)),
        ("export_t2_kwh", values.export_rate(2)),
    ];
    for (name, watt_hours) in energy {
        let _ = write!(text, r#","energy_{name}":{}"#, kilo(watt_hours));
    }
    let _ = write!(text, r#","power_w":{}"#, i64::from(import) - i64::from(export));
    for phase in 0..values.phases {
        let [import, export] = values.phase_power(phase);
        let (name, power) = (phase + 1, i64::from(import) - i64::from(export));
        let (tenths, milliamperes) = (values.voltage(phase, 100), values.current(phase, 1));
        let _ = write!(text, r#","power_l{name}_w":{power},"voltage_l{name}_v":{}.{}"#, tenths / 10, tenths % 10);
        let _ = write!(text, r#","current_l{name}_a":{}.{:03}"#, milliamperes / 1_000, milliamperes % 1_000);
    }
    text.push('}');
    text
}
