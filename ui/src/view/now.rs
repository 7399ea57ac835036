//! This second: one number, one sentence, the line, and what the meter tells besides.

use contract::live::{Latest, MeterState, PhaseState, PointKind};
use leptos::prelude::*;
use meter_link::reading::Phase;
use meter_link::units::{MilliwattHours, Milliwatts};

use super::flow::Flow;
use super::line::Line;
use super::words::{self, Way, way};
use crate::backend::browser;
use crate::format;
use crate::live::{Live, Standing};
use crate::route::Route;
use crate::text::{decimal_sign, text, with};

/// Fuse assumed until the household says another: the usual one in Europe.
const FUSE_MILLIAMPERES: i64 = 25_000;

/// The newest reading at the connection point.
pub(crate) fn latest(live: Live, kind: PointKind) -> Memo<Option<Latest>> {
    Memo::new(move |_| live.point(kind).and_then(|point| point.latest))
}

/// The screen.
#[component]
pub(crate) fn Now() -> impl IntoView {
    let live = expect_context::<Live>();
    let latest = latest(live, PointKind::Connection);
    view! {
        <section class="now" aria-labelledby="hero">
            <header class="top">
                <Simulated/>
                <Age/>
            </header>
            <Hero/>
            <Show when=move || latest.with(Option::is_some)><Line/></Show>
            <Aloud/>
            <Flow/>
            <div class="below">
                <TodayAmounts/>
                <Phases/>
            </div>
            <p class="quiet"><a href=Route::Wall.print()>{text("wall-open")}</a></p>
        </section>
    }
}

/// The number and its sentence.
#[component]
pub(crate) fn Hero() -> impl IntoView {
    let live = expect_context::<Live>();
    let (grid, plant) = (latest(live, PointKind::Connection), latest(live, PointKind::Generation));
    let power = Memo::new(move |_| grid.with(|latest| words::power(latest.as_ref())));
    let made = Memo::new(move |_| plant.with(|latest| words::power(latest.as_ref())));
    let quantity = Memo::new(move |_| power.get().map(|power| format::power(power, decimal_sign())));
    let flow = move || match power.get().map(way) {
        Some(Way::Import) => "hero import",
        Some(Way::Export) => "hero export",
        Some(Way::Even) => "hero even",
        None => "hero nothing",
    };
    let sentence = move || match power.get() {
        Some(power) => words::sentence(power, made.get()),
        None if live.standing.get() == Standing::Connecting => text("now-connecting"),
        None => text("now-nothing"),
    };
    view! {
        <div class=flow>
            <p class="number" id="hero">
                <svg class="way" viewBox="0 0 24 24" aria-hidden="true">
                    <path d=move || match power.get().map(way) {
                        Some(Way::Import) => "M12 3v16M5 12l7 7 7-7",
                        Some(Way::Export) => "M12 21V5M5 12l7-7 7 7",
                        _ => "M4 12h16",
                    }/>
                </svg>
                <span data-testid="hero-number"
                    data-milliwatts=move || power.get().map(|power| power.count().to_string())
                    data-at=move || grid.with(|latest| latest.as_ref().map(|latest| latest.at_utc_milliseconds.to_string()))
                >{move || quantity.get().map_or_else(|| "–".to_owned(), |quantity| quantity.number)}</span>
                <span class="unit" data-testid="hero-unit">{move || quantity.get().map_or("", |quantity| quantity.unit)}</span>
            </p>
            <p class="sentence" data-testid="hero-sentence">{sentence}</p>
        </div>
    }
}

/// Age of the data by the meter's own clock; words when it is stale. Not read aloud: it changes every second.
#[component]
pub(crate) fn Age() -> impl IntoView {
    let live = expect_context::<Live>();
    let point = Memo::new(move |_| live.point(PointKind::Connection));
    let age = Memo::new(move |_| point.get().and_then(|point| live.age_milliseconds(&point)));
    // Moves with the seconds that are shown.
    let words = Memo::new(move |_| age.get().map(words::age));
    let last = move || {
        let at = point.get()?.latest?.at_utc_milliseconds;
        Some(format::civil(at, live.offset()).clock())
    };
    let why = move || {
        let meter =
            point.get().and_then(|point| point.meter).or_else(|| live.meters.with(|all| Some(all.first()?.id)))?;
        Some(view! { <a href=Route::Meter(meter).print() data-testid="why">{text("why")}</a> })
    };
    view! {
        <Show when=move || live.standing.get() == Standing::Stale fallback=move || view! {
            <p class="age" data-testid="data-age">{move || words.get()}</p>
        }>
            <p class="stale" data-testid="stale-notice">
                {move || match (words.get(), last()) {
                    (Some(age), Some(at)) => with("stale", &[("age", age.into()), ("at", at.into())]),
                    _ => text("stale-never"),
                }}
                " "
                {why}
            </p>
        </Show>
    }
}

/// Says that the home is made up, where it is.
#[component]
fn Simulated() -> impl IntoView {
    let live = expect_context::<Live>();
    let simulated = Memo::new(move |_| {
        live.meters.with(|meters: &Vec<MeterState>| meters.iter().any(|meter| meter.address == "simulated"))
    });
    view! { <Show when=move || simulated.get()><p class="mark" data-testid="simulated">{text("simulated")}</p></Show> }
}

/// A calm summary for a screen reader, at most twice a minute.
#[component]
fn Aloud() -> impl IntoView {
    let live = expect_context::<Live>();
    let (grid, plant) = (latest(live, PointKind::Connection), latest(live, PointKind::Generation));
    let half_minute = Memo::new(move |_| live.now.get() / 30_000);
    let words = Memo::new(move |_| {
        half_minute.get();
        match live.standing.get_untracked() {
            Standing::Live => {
                let power = |of: Memo<Option<Latest>>| of.with_untracked(|latest| words::power(latest.as_ref()));
                power(grid).map(|net| words::sentence(net, power(plant)))
            }
            Standing::Stale => Some(text("stale-aloud")),
            _ => None,
        }
    });
    view! { <p class="aloud" role="status" aria-live="polite">{move || words.get()}</p> }
}

/// Today, as far as it was measured.
#[component]
fn TodayAmounts() -> impl IntoView {
    let live = expect_context::<Live>();
    let today = live.today;
    let energy = move |name: &'static str,
                       class: &'static str,
                       mark: &'static str,
                       of: fn(&contract::live::Today) -> Option<MilliwattHours>| {
        let amount = Memo::new(move |_| today.with(of));
        view! {
            <div class=class>
                <dt>{text(name)}</dt>
                <dd data-testid=mark data-milliwatt-hours=move || amount.get().map(|amount| amount.count().to_string())>
                    {move || amount.get().map_or_else(|| text("not-measured"), |amount| format::energy(amount, decimal_sign()).joined())}
                </dd>
            </div>
        }
    };
    let made = Memo::new(move |_| today.with(|today| today.generation_milliwatt_hours.is_some()));
    let volume = move |name: &'static str, class: &'static str, kind: PointKind| {
        let there = Memo::new(move |_| live.points.with(|points| points.iter().any(|point| point.kind == kind)));
        let amount = Memo::new(move |_| {
            today.with(|today| match kind {
                PointKind::Gas => today.gas_millilitres,
                _ => today.water_millilitres,
            })
        });
        view! {
            <Show when=move || there.get()>
                <div class=class>
                    <dt>{text(name)}</dt>
                    <dd>{move || amount.get().map_or_else(|| text("not-measured"), |amount| format::volume(amount, decimal_sign()).joined())}</dd>
                </div>
            </Show>
        }
    };
    view! {
        <section class="today">
            <h2>{text("today")}</h2>
            <dl>
                {energy("today-in", "import", "today-import", |today| today.import_milliwatt_hours)}
                {energy("today-out", "export", "today-export", |today| today.export_milliwatt_hours)}
                <Show when=move || made.get()>
                    {energy("today-made", "generation", "today-made", |today| today.generation_milliwatt_hours)}
                    {energy("today-kept", "generation", "today-kept", |today| {
                        let (made, given) = (today.generation_milliwatt_hours?, today.export_milliwatt_hours?);
                        Some(MilliwattHours::saturating((made.count() - given.count()).max(0)))
                    })}
                </Show>
                {volume("today-gas", "gas", PointKind::Gas)}
                {volume("today-water", "water", PointKind::Water)}
            </dl>
            <Show when=move || today.with(|today| !today.complete && today.import_milliwatt_hours.is_some())>
                <p class="quiet">{text("today-incomplete")}</p>
            </Show>
        </section>
    }
}

/// Phases as thin bars, with their share of the fuse.
#[component]
fn Phases() -> impl IntoView {
    let live = expect_context::<Live>();
    let grid = latest(live, PointKind::Connection);
    let phases =
        Memo::new(move |_| grid.with(|latest| latest.as_ref().map_or(Vec::new(), |latest| latest.phases.clone())));
    view! {
        <Show when=move || phases.with(|phases| !phases.is_empty())>
            <section class="phases">
                <h2>{text("phases")}</h2>
                <ul>{move || phases.get().into_iter().map(phase).collect_view()}</ul>
                <p class="quiet">{with("phases-fuse", &[("current", (FUSE_MILLIAMPERES / 1_000).into())])}</p>
            </section>
        </Show>
    }
}

fn phase(state: PhaseState) -> impl IntoView {
    let name = match state.phase {
        Phase::L1 => "L1",
        Phase::L2 => "L2",
        _ => "L3",
    };
    let power = state.power_milliwatts.unwrap_or(Milliwatts::ZERO);
    // By power where there is one (meters round current to whole amperes), at 230 V.
    let share = match (state.power_milliwatts, state.current_milliamperes) {
        (Some(power), _) => power.count().abs() * 100 / (FUSE_MILLIAMPERES * 230),
        (None, Some(current)) => current.count().abs() * 100 / FUSE_MILLIAMPERES,
        (None, None) => 0,
    }
    .clamp(0, 100);
    let class = if power.count() < 0 { "bar export" } else { "bar import" };
    let details = [
        state.voltage_millivolts.map(|voltage| format::voltage(voltage).joined()),
        state.current_milliamperes.map(|current| format::current(current, decimal_sign()).joined()),
    ];
    let details: Vec<_> = details.into_iter().flatten().collect();
    let direction = if power.count() < 0 { text("way-out") } else { text("way-in") };
    view! {
        <li>
            <span class="name">{name}</span>
            <span class=class role="img" aria-label=with("phase-share", &[("share", share.into())])>
                <span style:width=format!("{}%", share.max(1))></span>
            </span>
            <span class="power">
                {state.power_milliwatts.map(|power| format::power(power, decimal_sign()).joined())}
                " " <span class="direction">{direction}</span>
            </span>
            <span class="quiet">{details.join(" · ")}</span>
        </li>
    }
}

/// Goes to the first screen.
pub(crate) fn go_now() {
    browser::go(&Route::Now, false);
}
