//! Speed and framing of a meter's serial line, kept as a setting of the home.
//!
//! A hint for the next start and nothing more: what is missing or makes no sense only makes the search longer.

use contract::live::MeterId;
use meter_link::health::{Health, LinkState};
use meter_link::link::line::LineSettings;

use super::{Recorder, keep_setting, setting};

impl Recorder {
    /// The settings of a meter's serial line that worked last.
    pub(super) fn line_settings(&self, meter: MeterId) -> Option<LineSettings> {
        setting(&self.writer, &name(meter)).ok().flatten()?.parse().ok()
    }

    /// Keeps those of a line that is live, so that a restart finds the meter at once.
    pub(super) fn keep_line_settings(&self, meter: MeterId, health: &Health) {
        let settings = health.line_settings.as_ref().filter(|_| health.state == LinkState::Live);
        let Some(settings) = settings.and_then(|settings| settings.parse().ok()) else { return };
        if self.line_settings(meter) == Some(settings) {
            return;
        }
        if let Err(error) = keep_setting(&self.writer, &name(meter), &settings.to_string()) {
            tracing::warn!(meter = meter.0, "its line settings are not kept: {error}");
        }
    }
}

/// The name of the setting that holds a meter's line settings.
fn name(meter: MeterId) -> String {
    format!("line_settings.{}", meter.0)
}
