//! Where power comes from and goes to, for a home that makes some itself: plant, home, grid, with arrows between them.

use contract::live::PointKind;
use leptos::prelude::*;
use meter_link::units::Milliwatts;

use super::now::latest;
use super::words::{self, Way, way};
use crate::format;
use crate::live::Live;
use crate::text::{decimal_sign, text};

const SUN: &str =
    "M12 8a4 4 0 1 0 .01 0zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19";
const HOUSE: &str = "M3 12l9-8 9 8M6 10v10h12V10";
const PYLON: &str = "M8 21l3-18h2l3 18M5 8h14M4 13h16M9 15l6 5M15 15l-6 5";

/// What the plant makes, what the home uses of it, and what passes the meter. Nothing where there is no plant.
#[component]
pub(crate) fn Flow() -> impl IntoView {
    let live = expect_context::<Live>();
    let (grid, plant) = (latest(live, PointKind::Connection), latest(live, PointKind::Generation));
    let net = Memo::new(move |_| grid.with(|latest| words::power(latest.as_ref())));
    let made = Memo::new(move |_| plant.with(|latest| words::power(latest.as_ref())).map(Milliwatts::magnitude));
    let used = Memo::new(move |_| Some(Milliwatts::saturating((made.get()?.count() + net.get()?.count()).max(0))));
    let way = Memo::new(move |_| net.get().map(way));
    let place = move |class: Signal<&'static str>,
                      name: &'static str,
                      icon: &'static str,
                      of: Memo<Option<Milliwatts>>| {
        view! {
            <div class=class>
                <dt><svg viewBox="0 0 24 24" aria-hidden="true"><path d=icon/></svg>{text(name)}</dt>
                <dd>{move || of.get().map_or_else(|| text("not-measured"), |power| format::power(power, decimal_sign()).joined())}</dd>
            </div>
        }
    };
    // The way of the arrow says what the colour says.
    let arrow = move |way: Signal<Way>| {
        view! {
            <svg class="arrow" viewBox="0 0 48 24" aria-hidden="true" class:idle=move || way.get() == Way::Even>
                <path d=move || match way.get() {
                    Way::Export => "M2 12h44M38 5l8 7-8 7",
                    Way::Import => "M46 12H2M10 5l-8 7 8 7",
                    Way::Even => "M2 12h44",
                }/>
            </svg>
        }
    };
    let from_plant = move || match made.get() {
        Some(made) if words::way(made) == Way::Import => Way::Export,
        _ => Way::Even,
    };
    let grid_class = move || match way.get() {
        Some(Way::Export) => "export",
        Some(Way::Import) => "import",
        _ => "quiet",
    };
    view! {
        <Show when=move || made.get().is_some()>
            <dl class="flow" data-testid="flow">
                {place(Signal::from("generation"), "flow-plant", SUN, made)}
                {arrow(Signal::derive(from_plant))}
                {place(Signal::from("use"), "flow-home", HOUSE, used)}
                {arrow(Signal::derive(move || way.get().unwrap_or(Way::Even)))}
                {place(Signal::derive(grid_class), "flow-grid", PYLON, net)}
            </dl>
        </Show>
    }
}
