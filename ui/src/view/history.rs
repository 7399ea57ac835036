//! The past: a day, week, month or year as bars around the line, as a power line, and as a table.

use contract::calls::History as Ask;
use contract::error::CallError;
use contract::history::{Amounts, Bucket, Fact, FactKind, HistoryReply, Period, Resolution};
use contract::live::PointKind;
use leptos::html::Div;
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::units::MilliwattHours;

use super::words;
use crate::backend::{self, browser};
use crate::live::Live;
use crate::route::Route;
use crate::text::{decimal_sign, text, with};
use crate::{chart, format};

/// A finger that moves further than this to the side means the period before or after.
const SWIPE: i32 = 60;

/// The screen.
#[component]
pub(crate) fn History(
    /// How long a stretch.
    period: Period,
    /// A day within it; `None` for the running one.
    date: Option<String>,
) -> impl IntoView {
    let reply: RwSignal<Option<Result<HistoryReply, CallError>>> = RwSignal::new(None);
    let (as_table, set_as_table) = signal(browser::remembered("table").is_some());
    let asked = date.clone();
    let ask = move || {
        let request = Ask { period, date: asked.clone(), resolution: None };
        spawn_local(async move {
            let answer = backend::call(request).await;
            // What is known stays on the screen while the home does not answer; what is the same is not drawn again.
            let keep = reply.with_untracked(|known| match (known, &answer) {
                (Some(Ok(_)), Err(_)) => true,
                (known, answer) => known.as_ref() == Some(answer),
            });
            if !keep {
                reply.set(Some(answer));
            }
        });
    };
    // The running stretch grows; asked again once a minute, and when the connection comes back.
    let live = expect_context::<Live>();
    let minute = Memo::new(move |_| live.now.get() / 60_000);
    let standing = live.standing;
    Effect::new(move |before: Option<()>| {
        minute.get();
        standing.track();
        let past = reply.with_untracked(|reply| matches!(reply, Some(Ok(reply)) if reply.next_date.is_some()));
        if before.is_none() || !past {
            ask();
        }
    });
    let turn = move |forward: bool| {
        reply.with_untracked(|reply| {
            let Some(Ok(reply)) = reply else { return };
            let date = if forward { &reply.next_date } else { &reply.previous_date };
            if let Some(date) = date {
                browser::go(&Route::History(period, Some(date.clone())), false);
            }
        });
    };
    browser::on_arrow(turn);
    on_cleanup(browser::forget_arrows);
    let there = move || reply.with(|reply| matches!(reply, Some(Ok(_))));
    let from = StoredValue::new(None);
    view! {
        <section class="history"
            on:touchstart=move |event| from.set_value(browser::finger(&event))
            on:touchend=move |event| {
                if let (Some(from), Some(to)) = (from.get_value(), browser::finger(&event)) && (to - from).abs() > SWIPE {
                    turn(to < from);
                }
            }>
            <Periods period date/>
            <Stretch reply period/>
            {move || match reply.get() {
                None => view! { <p class="quiet">{text("loading")}</p> }.into_any(),
                Some(Err(_)) => view! { <p class="banner" role="status">{text("history-unreachable")}</p> }.into_any(),
                Some(Ok(reply)) => view! {
                    <Summary reply=reply.clone()/>
                    <Show when=move || as_table.get() fallback={
                        let reply = reply.clone();
                        move || view! { <Drawing reply=reply.clone()/> }
                    }>
                        <Table reply=reply.clone()/>
                    </Show>
                }.into_any(),
            }}
            // Outside, so that it keeps the focus when the running stretch grows.
            <Show when=there>
                <button class="plain" data-testid="toggle-table" aria-pressed=move || as_table.get().to_string()
                        on:click=move |_| {
                            set_as_table.update(|table| *table = !*table);
                            browser::remember("table", as_table.get_untracked().then_some("yes"));
                        }>
                        {move || if as_table.get() { text("as-chart") } else { text("as-table") }}
                </button>
            </Show>
            {move || reply.get().and_then(Result::ok).map(|reply| {
                let offset = reply.buckets.first().map_or(0, |bucket| bucket.utc_offset_seconds);
                view! { <Facts facts=reply.facts offset/> }
            })}
        </section>
    }
}

#[component]
fn Periods(period: Period, date: Option<String>) -> impl IntoView {
    let one = move |target: Period, mark: &'static str| {
        let route = Route::History(target, date.clone());
        view! {
            <a href=route.print() data-testid=mark aria-current=(target == period).then_some("true")>{text(mark)}</a>
        }
    };
    view! {
        <nav class="periods" aria-label=text("periods")>
            {one(Period::Day, "period-day")}
            {one(Period::Week, "period-week")}
            {one(Period::Month, "period-month")}
            {one(Period::Year, "period-year")}
        </nav>
    }
}

/// The stretch's name between the ways to the one before and after.
#[component]
fn Stretch(reply: RwSignal<Option<Result<HistoryReply, CallError>>>, period: Period) -> impl IntoView {
    let step = move |forward: bool, mark: &'static str, name: &'static str, icon: &'static str| {
        let date = move || {
            reply.with(|reply| match reply {
                Some(Ok(reply)) => {
                    if forward {
                        reply.next_date.clone()
                    } else {
                        reply.previous_date.clone()
                    }
                }
                _ => None,
            })
        };
        view! {
            <button class="step" data-testid=mark aria-label=text(name) disabled=move || date().is_none()
                on:click=move |_| if let Some(date) = date() { browser::go(&Route::History(period, Some(date)), false) }>
                <svg viewBox="0 0 24 24" aria-hidden="true"><path d=icon/></svg>
            </button>
        }
    };
    let title = move || {
        reply.with(|reply| match reply {
            Some(Ok(reply)) => title(reply),
            _ => String::new(),
        })
    };
    view! {
        <header class="stretch">
            {step(false, "history-prev", "period-before", "M15 5l-7 7 7 7")}
            <h1>{title}</h1>
            {step(true, "history-next", "period-after", "M9 5l7 7-7 7")}
        </header>
    }
}

fn title(reply: &HistoryReply) -> String {
    let civil = |bucket: &Bucket| format::civil(bucket.start_utc_milliseconds, bucket.utc_offset_seconds);
    let (Some(first), Some(last)) = (reply.buckets.first().map(civil), reply.buckets.last().map(civil)) else {
        return String::new();
    };
    let month = |number: i64| text(&format!("month-{number}"));
    match reply.period {
        Period::Day => words::day(first),
        Period::Week => with(
            "date-week",
            &[
                (
                    "from",
                    with("date-short", &[("day", first.day.to_string().into()), ("month", month(first.month).into())])
                        .into(),
                ),
                (
                    "to",
                    with("date-short", &[("day", last.day.to_string().into()), ("month", month(last.month).into())])
                        .into(),
                ),
                ("year", last.year.to_string().into()),
            ],
        ),
        Period::Month => {
            with("date-month", &[("month", month(first.month).into()), ("year", first.year.to_string().into())])
        }
        Period::Year => first.year.to_string(),
    }
}

/// The label of a bucket on the axis.
fn label(reply: &HistoryReply, bucket: &Bucket) -> String {
    let civil = format::civil(bucket.start_utc_milliseconds, bucket.utc_offset_seconds);
    match (reply.resolution, reply.period) {
        (Resolution::Quarter | Resolution::Hour, _) => civil.short_clock(),
        (Resolution::Day, Period::Week) => text(&format!("weekday-short-{}", civil.weekday)),
        (Resolution::Day, _) => civil.day.to_string(),
        (Resolution::Month, _) => text(&format!("month-short-{}", civil.month)),
    }
}

fn say(amount: Option<MilliwattHours>) -> String {
    amount.map_or_else(|| text("not-measured"), |amount| format::energy(amount, decimal_sign()).joined())
}

/// The stretch in one sentence.
#[component]
fn Summary(reply: HistoryReply) -> impl IntoView {
    let Amounts {
        import_milliwatt_hours: import,
        export_milliwatt_hours: export,
        generation_milliwatt_hours: made,
        ..
    } = reply.total;
    let most = reply
        .buckets
        .iter()
        .filter_map(|bucket| Some((bucket.amounts.import_milliwatt_hours?, bucket)))
        .max_by_key(|(amount, _)| *amount);
    let words = match (import, export.filter(|export| export.count() > 0)) {
        (None, _) => text("history-nothing"),
        (Some(_), None) => with("history-took", &[("import", say(import).into())]),
        (Some(_), Some(_)) => {
            with("history-took-gave", &[("import", say(import).into()), ("export", say(export).into())])
        }
    };
    let several = reply.buckets.iter().filter(|bucket| bucket.amounts.import_milliwatt_hours.is_some()).count() > 1;
    let peak = most.filter(|(amount, _)| several && amount.count() > 0).map(|(amount, bucket)| {
        let at = |instant| format::civil(instant, bucket.utc_offset_seconds);
        let (from, to) = (at(bucket.start_utc_milliseconds), at(bucket.end_utc_milliseconds));
        let month = || text(&format!("month-{}", from.month));
        let amount = || say(Some(amount)).into();
        match reply.resolution {
            Resolution::Quarter | Resolution::Hour => with(
                "history-most-hours",
                &[("from", from.short_clock().into()), ("to", to.short_clock().into()), ("amount", amount())],
            ),
            Resolution::Day => {
                let day = with("date-short", &[("day", from.day.to_string().into()), ("month", month().into())]);
                with("history-most-day", &[("day", day.into()), ("amount", amount())])
            }
            Resolution::Month => with("history-most-month", &[("month", month().into()), ("amount", amount())]),
        }
    });
    let made = made.map(|made| with("history-made", &[("made", say(Some(made)).into())]));
    view! {
        <p class="summary" data-testid="history-summary" data-milliwatt-hours=import.map(|import| import.count().to_string())>
            {words} " " {peak} " " {made}
        </p>
    }
}

/// Bars, and for a day the power line below.
#[component]
fn Drawing(reply: HistoryReply) -> impl IntoView {
    let (bars, line) = (NodeRef::<Div>::new(), NodeRef::<Div>::new());
    let (chosen, set_chosen) = signal(None::<usize>);
    let day = reply.period == Period::Day;
    let labels: Vec<String> = reply.buckets.iter().map(|bucket| label(&reply, bucket)).collect();
    let drawn = reply.clone();
    Effect::new(move |_| {
        if bars.get().is_some() {
            chart::draw(bars, chart::bars(&drawn, labels.clone()), move |place| set_chosen.set(Some(place)));
        }
        if day && line.get().is_some() {
            chart::draw(line, chart::power(&drawn, minutes(&drawn)), |_| ());
        }
    });
    let summary = with(
        "chart-summary",
        &[
            ("import", say(reply.total.import_milliwatt_hours).into()),
            ("export", say(reply.total.export_milliwatt_hours).into()),
        ],
    );
    let in_part = reply.buckets.iter().any(is_in_part);
    let detail = {
        let reply = reply.clone();
        move || {
            chosen.get().and_then(|place| {
                reply.buckets.get(place).map(|bucket| {
                    with(
                        "chart-chosen",
                        &[
                            ("when", label(&reply, bucket).into()),
                            ("import", say(bucket.amounts.import_milliwatt_hours).into()),
                            ("export", say(bucket.amounts.export_milliwatt_hours).into()),
                        ],
                    )
                })
            })
        }
    };
    view! {
        <p class="key">
            <span class="import">{text("line-above")}</span>
            <span class="export">{text("line-below")}</span>
            {reply.total.generation_milliwatt_hours.map(|_| view! { <span class="generation">{text("made")}</span> })}
            {in_part.then(|| view! { <span class="in-part">{text("in-part")}</span> })}
        </p>
        <div class="chart" node_ref=bars data-testid="history-chart" role="img" aria-label=summary></div>
        <p class="chosen" aria-live="polite">{detail}</p>
        {day.then(|| view! {
            <h2>{text("power-title")}</h2>
            <div class="chart low" node_ref=line data-testid="power-chart" role="img" aria-label=text("power-title")></div>
        })}
    }
}

/// Labels of the power line: the wall clock of each span, by the offset of the hour it lies in.
fn minutes(reply: &HistoryReply) -> Vec<String> {
    let span = reply.power_span_milliseconds.max(1);
    let mut labels = Vec::new();
    for bucket in &reply.buckets {
        let mut at = bucket.start_utc_milliseconds;
        while at < bucket.end_utc_milliseconds {
            labels.push(format::civil(at, bucket.utc_offset_seconds).short_clock());
            at += span;
        }
    }
    labels
}

/// Whether some but not all of an interval was measured.
fn is_in_part(bucket: &Bucket) -> bool {
    !bucket.amounts.complete && bucket.amounts.import_milliwatt_hours.is_some()
}

/// The same as numbers.
#[component]
fn Table(reply: HistoryReply) -> impl IntoView {
    let live = expect_context::<Live>();
    let made = reply.total.generation_milliwatt_hours.is_some();
    let gas = live.points.with_untracked(|points| points.iter().any(|point| point.kind == PointKind::Gas));
    let volume = |amount: Option<meter_link::units::Millilitres>| {
        amount.map_or_else(|| text("not-measured"), |amount| format::volume(amount, decimal_sign()).number)
    };
    let say = |amount: Option<MilliwattHours>| {
        amount.map_or_else(|| text("not-measured"), |amount| format::energy(amount, decimal_sign()).number)
    };
    // Numbers stand bare below their unit, so that a phone shows all of them; what has not begun has no row.
    let now = live.now.get_untracked();
    let parts = reply.buckets.iter().any(is_in_part);
    let rows = reply.buckets.iter().filter(|bucket| bucket.start_utc_milliseconds <= now).map(|bucket| {
        let amounts = bucket.amounts;
        let part = is_in_part(bucket);
        view! {
            <tr class:part=part>
                <th scope="row">{label(&reply, bucket)}</th>
                <td>{say(amounts.import_milliwatt_hours)}</td>
                <td>{say(amounts.export_milliwatt_hours)}</td>
                {made.then(|| view! { <td>{say(amounts.generation_milliwatt_hours)}</td> })}
                {gas.then(|| view! { <td>{volume(amounts.gas_millilitres)}</td> })}
                {parts.then(|| view! { <td class="quiet">{part.then(|| text("in-part"))}</td> })}
            </tr>
        }
    });
    let column = |name: &'static str, unit: &'static str| {
        view! { <th scope="col">{text(name)} " " <span class="unit">{unit}</span></th> }
    };
    view! {
        // A finger that moves the table does not turn the page.
        <div class="scroll" tabindex="0" role="region" aria-label=text("as-table")
            on:touchstart=|event| event.stop_propagation() on:touchend=|event| event.stop_propagation()>
            <table data-testid="history-table">
                <thead><tr>
                    <th scope="col">{text("table-when")}</th>
                    {column("line-above", "kWh")}
                    {column("line-below", "kWh")}
                    {made.then(|| column("made", "kWh"))}
                    {gas.then(|| column("today-gas", "m³"))}
                    {parts.then(|| view! { <th scope="col"><span class="aloud">{text("table-note")}</span></th> })}
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}

/// What happened to the data.
#[component]
fn Facts(facts: Vec<Fact>, offset: i32) -> impl IntoView {
    let sentence = move |fact: &Fact| {
        let clock = |at: i64| {
            let civil = format::civil(at, offset);
            with(
                "date-time",
                &[
                    ("day", civil.day.to_string().into()),
                    ("month", text(&format!("month-short-{}", civil.month)).into()),
                    ("clock", civil.short_clock().into()),
                ],
            )
        };
        let id = match fact.kind {
            FactKind::Filled => "fact-filled",
            FactKind::Gap => "fact-gap",
            FactKind::Reset => "fact-reset",
            FactKind::Jump => "fact-jump",
            FactKind::Spike => "fact-spike",
            FactKind::Swap => "fact-swap",
            FactKind::ClockWrong => "fact-clock",
        };
        with(
            id,
            &[
                ("from", clock(fact.start_utc_milliseconds).into()),
                ("to", clock(fact.end_utc_milliseconds).into()),
                ("import", say(fact.import_milliwatt_hours).into()),
            ],
        )
    };
    (!facts.is_empty()).then(|| {
        view! {
            <section class="facts">
                <h2>{text("facts")}</h2>
                <ul>{facts.iter().take(20).map(|fact| view! { <li>{sentence(fact)}</li> }).collect_view()}</ul>
            </section>
        }
    })
}
