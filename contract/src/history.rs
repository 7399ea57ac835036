//! Stretches of the past, in the home's civil time.

use meter_link::units::{Millilitres, MilliwattHours};
use serde::{Deserialize, Serialize};

use crate::live::PowerSpan;

/// A stretch of civil time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Midnight to midnight: 23, 24 or 25 hours, or half an hour more or less.
    Day,
    /// Monday to Monday.
    Week,
    /// First to first.
    Month,
    /// January to January.
    Year,
}

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// A quarter of an hour.
    Quarter,
    /// An hour.
    Hour,
    /// A civil day.
    Day,
    /// A civil month.
    Month,
}

/// One stretch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryReply {
    /// What was asked for.
    pub period: Period,
    /// First day, `YYYY-MM-DD` in the home's zone.
    pub start_date: String,
    /// First day of the period before; `None` if nothing that old exists.
    pub previous_date: Option<String>,
    /// First day of the period after; `None` if it lies in the future.
    pub next_date: Option<String>,
    /// Start of the first bucket.
    pub start_utc_milliseconds: i64,
    /// End of the last bucket.
    pub end_utc_milliseconds: i64,
    /// The width of the buckets.
    pub resolution: Resolution,
    /// Buckets in order, without holes, also where nothing was measured.
    pub buckets: Vec<Bucket>,
    /// Net power at the connection point; only for a day.
    pub power: Vec<PowerSpan>,
    /// Width of the power spans.
    pub power_span_milliseconds: i64,
    /// Sums over the whole stretch.
    pub total: Amounts,
    /// Things to know about the stretch: gaps, resets, swaps.
    pub facts: Vec<Fact>,
}

/// What was measured in one interval [start, end).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Start.
    pub start_utc_milliseconds: i64,
    /// End; the next bucket's start.
    pub end_utc_milliseconds: i64,
    /// Local minus UTC time at the start, to label it with.
    pub utc_offset_seconds: i32,
    /// What was measured.
    pub amounts: Amounts,
}

/// Energy and volumes of an interval. `None` means not measured, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// From the grid.
    pub import_milliwatt_hours: Option<MilliwattHours>,
    /// To the grid.
    pub export_milliwatt_hours: Option<MilliwattHours>,
    /// Made by the home's own plant.
    pub generation_milliwatt_hours: Option<MilliwattHours>,
    /// Gas.
    pub gas_millilitres: Option<Millilitres>,
    /// Water.
    pub water_millilitres: Option<Millilitres>,
    /// Whether electricity was measured from start to end (so far): no gap touches the interval's edges.
    pub complete: bool,
}

/// Something that happened to the data, kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What.
    pub kind: FactKind,
    /// When it began.
    pub start_utc_milliseconds: i64,
    /// When it ended; equal to the start for an instant.
    pub end_utc_milliseconds: i64,
    /// What the registers say was imported meanwhile: a total without a shape.
    pub import_milliwatt_hours: Option<MilliwattHours>,
    /// What they say was exported meanwhile.
    pub export_milliwatt_hours: Option<MilliwattHours>,
}

/// Kinds of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// Readings were missing; the meter's own records say when in that time it counted what.
    Filled,
    /// Readings were missing.
    Gap,
    /// A register went back and stayed there; nothing is booked across it.
    Reset,
    /// A register jumped further than the home can use; nothing is booked across it.
    Jump,
    /// One reading that made no sense between two that did; it is ignored.
    Spike,
    /// Another device hangs at the point; nothing is booked across it.
    Swap,
    /// The meter's clock could not be believed from here on.
    ClockWrong,
}
