//! Charts: charming builds the option, ECharts draws it. The one place where numbers become floating point.
//!
//! Colours are names of the style sheet (`--import`), which the drawing side resolves, so charts follow light and dark.
#![expect(clippy::float_arithmetic, reason = "pixels are made here, and nothing of them comes back")]

use charming::Chart;
use charming::component::{Axis, Grid};
use charming::datatype::{CompositeValue, DataPointItem};
use charming::element::{
    AreaStyle, AxisLabel, AxisLine, AxisLineStyle, AxisTick, AxisType, ItemStyle, LineStyle, SplitLine,
};
use charming::series::{Bar, Line};
use contract::history::{Amounts, HistoryReply};
use leptos::html::Div;
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::units::MilliwattHours;
use serde_json::json;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

const FONT: f64 = 14.0;

/// Energy per interval: import above the line, export below, generation beside. What was not measured has no bar but a
/// thin dashed edge around it; what was measured in part is hatched.
pub(crate) fn bars(reply: &HistoryReply, labels: Vec<String>) -> String {
    let any_generation = reply.buckets.iter().any(|bucket| bucket.amounts.generation_milliwatt_hours.is_some());
    let series = |color: &str, stack: &str, sign: f64, of: fn(&Amounts) -> Option<MilliwattHours>| {
        let hatched = format!("hatch{color}");
        let data: Vec<DataPointItem> = reply
            .buckets
            .iter()
            .map(|bucket| {
                let value = of(&bucket.amounts).map(|energy| sign * kilowatt_hours(energy));
                let style = match bucket.amounts.complete {
                    true => ItemStyle::new().color(color).border_radius(2.0),
                    false => ItemStyle::new().color(hatched.as_str()).border_color(color).border_width(1.0),
                };
                DataPointItem::new(CompositeValue::from(value)).item_style(style)
            })
            .collect();
        Bar::new().stack(stack).bar_width(if any_generation { "32%" } else { "62%" }).data(data)
    };
    let mut chart = frame(labels, "kWh")
        .series(series("--import", "grid", 1.0, |amounts| amounts.import_milliwatt_hours))
        .series(series("--export", "grid", -1.0, |amounts| amounts.export_milliwatt_hours));
    if any_generation {
        chart = chart.series(series("--generation-fill", "made", 1.0, |amounts| amounts.generation_milliwatt_hours));
    }
    let measured: Vec<bool> =
        reply.buckets.iter().map(|bucket| bucket.amounts.import_milliwatt_hours.is_some()).collect();
    print(&chart, &gaps(&measured))
}

/// Net power over a day as a line, with the band between least and most. A gap breaks the line.
pub(crate) fn power(reply: &HistoryReply, labels: Vec<String>) -> String {
    let start = reply.start_utc_milliseconds;
    let span = reply.power_span_milliseconds.max(1);
    let count = usize::try_from((reply.end_utc_milliseconds - start) / span).unwrap_or(0);
    let mut means: Vec<Option<f64>> = vec![None; count];
    let (mut most, mut least) = (means.clone(), means.clone());
    for power in &reply.power {
        let place = usize::try_from((power.start_utc_milliseconds - start) / span).unwrap_or(usize::MAX);
        if place < count {
            means[place] = Some(kilowatts(power.mean_milliwatts.count()));
            most[place] = Some(kilowatts(power.max_milliwatts.count()));
            least[place] = Some(kilowatts(power.min_milliwatts.count()));
        }
    }
    let line = |values: Vec<Option<f64>>, width: f64, opacity: f64| {
        Line::new()
            .show_symbol(false)
            .connect_nulls(false)
            .line_style(LineStyle::new().color("--ink").width(width).opacity(opacity))
            .data(values.into_iter().map(CompositeValue::from).collect::<Vec<_>>())
    };
    let side = |color: &str, keep: fn(f64) -> f64| {
        let values: Vec<Option<f64>> = means.iter().map(|mean| mean.map(keep)).collect();
        line(values, 0.0, 0.0).area_style(AreaStyle::new().color(color).opacity(0.18))
    };
    let chart = frame(labels, "kW")
        .series(side("--import", |mean| mean.max(0.0)))
        .series(side("--export", |mean| mean.min(0.0)))
        .series(line(most, 1.0, 0.25))
        .series(line(least, 1.0, 0.25))
        .series(line(means.clone(), 1.6, 1.0));
    let measured: Vec<bool> = means.iter().map(Option::is_some).collect();
    print(&chart, &gaps(&measured))
}

/// Runs of places without a value between places with one: first and last of each. Singles of a fine line are no gaps.
fn gaps(measured: &[bool]) -> Vec<(usize, usize)> {
    let least = if measured.len() > 1_000 { 3 } else { 1 };
    let mut gaps = Vec::new();
    let mut last = None;
    for (place, _) in measured.iter().enumerate().filter(|(_, is)| **is) {
        if let Some(last) = last.filter(|last| place - last > least) {
            gaps.push((last + 1, place - 1));
        }
        last = Some(place);
    }
    gaps
}

fn frame(labels: Vec<String>, unit: &str) -> Chart {
    let label = || AxisLabel::new().color("--quiet").font_size(FONT);
    Chart::new()
        .animation(false)
        .grid(Grid::new().left(56).right(8).top(36).bottom(32))
        .x_axis(
            Axis::new()
                .type_(AxisType::Category)
                .data(labels)
                .axis_label(label())
                .axis_tick(AxisTick::new().show(false))
                .axis_line(AxisLine::new().on_zero(true).line_style(AxisLineStyle::new().width(1.5))),
        )
        .y_axis(
            Axis::new()
                .type_(AxisType::Value)
                .name(unit)
                .axis_label(label())
                .split_line(SplitLine::new().line_style(LineStyle::new().color("--rule"))),
        )
}

fn print(chart: &Chart, gaps: &[(usize, usize)]) -> String {
    let mut option = serde_json::to_value(chart).unwrap_or_default();
    // What charming has no words for. It writes a single axis without a list around it.
    option["textStyle"]["fontFamily"] = "Atkinson, system-ui, sans-serif".into();
    let axis = match &mut option["xAxis"] {
        serde_json::Value::Array(axes) => axes.first_mut(),
        axis => Some(axis),
    };
    if let Some(axis) = axis.filter(|axis| axis.is_object()) {
        axis["axisLabel"]["hideOverlap"] = true.into();
        // A label every two hours where there is a place for every minute.
        if axis["data"].as_array().is_some_and(|labels| labels.len() > 1_000) {
            axis["axisLabel"]["interval"] = 119.into();
        }
        axis["axisLine"]["lineStyle"]["color"] = "--ink".into();
    }
    option["yAxis"]["nameTextStyle"] = json!({ "color": "--quiet", "fontSize": FONT, "align": "right" });
    let areas: Vec<_> = gaps.iter().map(|(first, last)| json!([{ "xAxis": first }, { "xAxis": last }])).collect();
    option["series"][0]["markArea"] = json!({
        "silent": true,
        "itemStyle": { "color": "transparent", "borderColor": "--quiet", "borderWidth": 1, "borderType": [3, 4] },
        "data": areas,
    });
    option.to_string()
}

fn kilowatt_hours(energy: MilliwattHours) -> f64 {
    energy.count() as f64 / 1e6
}

fn kilowatts(milliwatts: i64) -> f64 {
    milliwatts as f64 / 1e6
}

/// Draws an option into an element, fetching ECharts at the first time; tells which interval is pointed at.
pub(crate) fn draw(node: NodeRef<Div>, option: String, chosen: impl Fn(usize) + 'static) {
    spawn_local(async move {
        let Some(module) = module().await else { return };
        let Some(element) = node.get_untracked() else { return };
        let Some(draw) = js_sys::Reflect::get(&module, &"draw".into()).ok().and_then(|draw| draw.dyn_into().ok())
        else {
            return;
        };
        let draw: js_sys::Function = draw;
        let chosen = Closure::<dyn Fn(f64)>::new(move |place: f64| {
            if place >= 0.0 {
                chosen(place as usize);
            }
        });
        let _ = draw.call3(&JsValue::NULL, &element, &option.into(), chosen.as_ref());
        // The chart keeps the first one it is given, for as long as its element is there.
        chosen.forget();
    });
}

/// The drawing side, fetched once.
async fn module() -> Option<JsValue> {
    let window = web_sys::window()?;
    let fetch = js_sys::Reflect::get(&window, &"wattleChart".into()).ok()?.dyn_into::<js_sys::Function>().ok()?;
    let promise = fetch.call0(&window).ok()?.dyn_into::<js_sys::Promise>().ok()?;
    JsFuture::from(promise).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lies_between_measured_places_and_the_future_is_none() {
        assert_eq!(gaps(&[false, true, false, false, true, false]), [(2, 3)]);
        assert_eq!(gaps(&[]), []);
    }
}
