//! One meter: whether its link is healthy, what it hears, and why there is no data.

use contract::calls::{RemoveMeter, Secret, SetMeterKey};
use contract::live::{MeterId, MeterState};
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::diagnosis::Finding;

use super::keys::Keys;
use super::words;
use crate::backend::{self, browser};
use crate::format;
use crate::live::Live;
use crate::route::Route;
use crate::text::{decimal_sign, text, with};

/// The screen.
#[component]
pub(crate) fn Meter(
    /// Which.
    id: MeterId,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let meter = Memo::new(move |_| live.meter(id));
    let (sure, set_sure) = signal(false);
    let remove = move |_| {
        if !sure.get_untracked() {
            return set_sure.set(true);
        }
        spawn_local(async move {
            if backend::call(RemoveMeter { meter: id }).await.is_ok() {
                browser::go(&Route::Home, true);
            }
        });
    };
    view! {
        <section class="reading">
            <p><a href=Route::Home.print()>{text("back-home")}</a></p>
            {move || meter.get().map(|meter| view! { <h1>{name(&meter)}</h1> })}
            <Diagnosis id/>
            {move || meter.get().map(|meter| view! { <Heard meter/> })}
            <Keys id/>
            <h2>{text("meter-remove-title")}</h2>
            <p>{text("meter-remove-explained")}</p>
            <button class="danger" data-testid="remove-meter" on:click=remove>
                {move || if sure.get() { text("meter-remove-sure") } else { text("meter-remove") }}
            </button>
        </section>
    }
}

/// What the household calls a meter, or what it is.
pub(crate) fn name(meter: &MeterState) -> String {
    match (meter.name.is_empty(), meter.address.as_str()) {
        (false, _) => meter.name.clone(),
        (true, "simulated") => text("meter-simulated"),
        (true, _) => meter.health.identification.clone().unwrap_or_else(|| text("meter-unnamed")),
    }
}

/// One line about a meter's health.
pub(crate) fn health(finding: Finding) -> String {
    text(&format!("finding-{}", words::finding(finding)))
}

/// What is wrong and what to check, with a place for the key where that is it.
#[component]
pub(crate) fn Diagnosis(
    /// Which meter.
    id: MeterId,
) -> impl IntoView {
    let live = expect_context::<Live>();
    // Each redrawn only when it changes: counts move every second while somebody types a key.
    let finding = Memo::new(move |_| live.meter(id).map(|meter| meter.finding));
    let needs_key = Memo::new(move |_| finding.get().is_some_and(needs_key));
    view! {
        {move || finding.get().map(|finding| view! {
            <p class="large" data-testid="finding" class:fine=finding == Finding::Fine>{health(finding)}</p>
            {(finding != Finding::Fine).then(|| view! { <p class="check">{text(&format!("check-{}", words::finding(finding)))}</p> })}
        })}
        {move || needs_key.get().then(|| view! { <KeyEntry id/> })}
    }
}

/// Whether a key is what the meter waits for.
pub(crate) const fn needs_key(finding: Finding) -> bool {
    matches!(finding, Finding::AuthenticationKeyWrong | Finding::KeyChanged | Finding::KeyNeeded | Finding::KeyWrong)
}

/// Takes the keys of an encrypting meter.
#[component]
pub(crate) fn KeyEntry(
    /// Which meter.
    id: MeterId,
) -> impl IntoView {
    let (key, set_key) = signal(String::new());
    let (authentication, set_authentication) = signal(String::new());
    let (refused, set_refused) = signal(None::<String>);
    let keep = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let plain = |text: String| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let authentication = plain(authentication.get_untracked());
        let request = SetMeterKey {
            meter: id,
            decryption_key: Secret(plain(key.get_untracked())),
            authentication_key: (!authentication.is_empty()).then_some(Secret(authentication)),
        };
        spawn_local(async move {
            let answer = backend::call(request).await;
            set_refused.set(answer.err().map(|error| super::home::refusal(&error)));
        });
    };
    view! {
        <form on:submit=keep>
            <label>{text("key-decryption")}
                <input type="text" autocomplete="off" spellcheck="false" inputmode="text" maxlength="64" data-testid="meter-key"
                    on:input=move |event| set_key.set(event_target_value(&event))/>
            </label>
            <label>{text("key-authentication")}
                <input type="text" autocomplete="off" spellcheck="false" maxlength="64"
                    on:input=move |event| set_authentication.set(event_target_value(&event))/>
            </label>
            <p class="broken" role="alert">{move || refused.get()}</p>
            <button type="submit">{text("key-keep")}</button>
        </form>
    }
}

/// What the link hears, live.
#[component]
pub(crate) fn Heard(
    /// The meter.
    meter: MeterState,
) -> impl IntoView {
    let health = meter.health;
    let row = |name: &'static str, value: Option<String>| {
        value.map(|value| view! { <div><dt>{text(name)}</dt><dd>{value}</dd></div> })
    };
    let count = |count: u64| count.to_string();
    let offset = health.clock_offset_milliseconds.map(|offset| {
        let seconds = (offset.abs() + 500) / 1_000;
        match offset {
            _ if seconds == 0 => text("clock-right"),
            ..0 => with("clock-behind", &[("age", words::age(seconds * 1_000).into())]),
            _ => with("clock-ahead", &[("age", words::age(seconds * 1_000).into())]),
        }
    });
    let country = health.country.map(|country| text(&format!("country-{}", format!("{country:?}").to_lowercase())));
    view! {
        <dl class="heard">
            {row("heard-bytes", Some(format::bytes(health.bytes, decimal_sign()).joined()))}
            {row("heard-settings", health.line_settings)}
            {row("heard-frames", Some(count(health.frames)))}
            {row("heard-country", country)}
            {row("heard-meter", health.identification.filter(|text| !text.is_empty()))}
            {row("heard-interval", health.interval_milliseconds.map(|interval| words::age((i64::from(interval) + 500) / 1_000 * 1_000)))}
            {row("heard-clock", offset)}
            {row("heard-checksum", (health.checksum_failures > 0).then(|| count(health.checksum_failures)))}
            {row("heard-errors", (health.decode_errors > 0).then(|| count(health.decode_errors)))}
            {row("heard-rejected", (health.rejected > 0).then(|| count(health.rejected)))}
            {row("heard-reconnects", (health.reconnects > 0).then(|| count(health.reconnects)))}
        </dl>
    }
}
