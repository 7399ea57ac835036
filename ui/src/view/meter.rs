//! One meter: whether its link is healthy, what it hears, and why there is no data.

use contract::calls::{ReadAgain, RemoveMeter, Secret, SetMeterKey};
use contract::live::{MeterId, MeterState};
use contract::pairing::DeviceAccess;
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::bridge::Proof;
use meter_link::diagnosis::Finding;
use meter_link::health::ProfileProgress;

use super::home::refusal;
use super::keys::Keys;
use super::pairing::{Pairing, Wanted};
use super::words;
use crate::backend::{self, browser};
use crate::device::{self, Device};
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
    view! {
        <section class="reading">
            <p><a href=Route::Home.print()>{text("back-home")}</a></p>
            {move || meter.get().map(|meter| view! { <h1>{name(&meter)}</h1> })}
            <Diagnosis id/>
            {move || meter.get().map(|meter| view! { <Heard meter/> })}
            <Keys id/>
            <Removal id/>
        </section>
    }
}

/// Ends reading a meter; says what became of Wattle at its device.
#[component]
fn Removal(id: MeterId) -> impl IntoView {
    let live = expect_context::<Live>();
    let is_there = Memo::new(move |_| live.meter(id).is_some());
    let is_paired =
        Memo::new(move |_| live.meter(id).is_some_and(|meter| device::proof(&meter.address) == Proof::Button));
    let has_made_keys = Memo::new(move |_| {
        live.meter(id)
            .and_then(|meter| meter.administration)
            .is_some_and(|administration| administration.keys_made_here)
    });
    let (sure, set_sure) = signal(false);
    let (leaving, set_leaving) = signal(false);
    let (said, set_said) = signal(None::<String>);
    let remove = move |_| {
        if !sure.get_untracked() {
            return set_sure.set(true);
        }
        set_leaving.set(true);
        spawn_local(async move {
            let answer = backend::call(RemoveMeter { meter: id }).await;
            set_leaving.set(false);
            match answer {
                Ok(DeviceAccess::Nothing) => browser::go(&Route::Home, true),
                Ok(DeviceAccess::Ended) => set_said.set(Some(text("meter-left"))),
                Ok(DeviceAccess::Left) => set_said.set(Some(text("meter-not-left"))),
                Err(error) => set_said.set(Some(refusal(&error))),
            }
        });
    };
    let label = move || match (leaving.get(), sure.get()) {
        (true, _) => text("meter-leaving"),
        (false, true) => text("meter-remove-sure"),
        (false, false) => text("meter-remove"),
    };
    view! {
        <Show when=move || is_there.get() || leaving.get()>
            <h2>{text("meter-remove-title")}</h2>
            <p>{text("meter-remove-explained")}</p>
            <Show when=move || has_made_keys.get()><p>{text("meter-remove-keys-kept")}</p></Show>
            <Show when=move || is_paired.get()><p>{text("meter-remove-paired")}</p></Show>
            <button class="danger" data-testid="remove-meter" disabled=move || leaving.get() on:click=remove>{label}</button>
        </Show>
        <p class="large" role="status" data-testid="removed">{move || said.get()}</p>
    }
}

/// What the household calls a meter, or what it is.
pub(crate) fn name(meter: &MeterState) -> String {
    match (meter.name.is_empty(), meter.address.as_str()) {
        (false, _) => meter.name.clone(),
        (true, "simulated") => text("meter-simulated"),
        (true, address) => match (meter.health.identification.as_deref(), Device::at(address)) {
            (Some(said), _) if !said.is_empty() => said.to_owned(),
            (_, Some(device)) => text(&format!("device-{}", device.name())),
            (_, None) => text("meter-unnamed"),
        },
    }
}

/// One line about a meter: its health, or what its device waits for.
pub(crate) fn line(meter: &MeterState) -> String {
    match Wanted::of(meter) {
        Some(Wanted::Registration) => text("registration-waiting"),
        Some(Wanted::Asking | Wanted::Press) => text("pair-asking"),
        _ => health(meter.finding),
    }
}

fn health(finding: Finding) -> String {
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
    let wanted = Memo::new(move |_| live.meter(id).and_then(|meter| Wanted::of(&meter)));
    let needs_key = Memo::new(move |_| finding.get().is_some_and(needs_key));
    let shown = Memo::new(move |_| finding.get().filter(|_| !wanted.get().is_some_and(Wanted::speaks_for_itself)));
    let waits = Memo::new(move |_| shown.get().is_some_and(waits));
    view! {
        {move || shown.get().map(|finding| view! {
            <p class="large" data-testid="finding" class:fine=finding == Finding::Fine>{health(finding)}</p>
            {(finding != Finding::Fine).then(|| view! { <p class="check">{text(&format!("check-{}", words::finding(finding)))}</p> })}
        })}
        {move || wanted.get().map(|wanted| view! { <Pairing id wanted/> })}
        {move || waits.get().then(|| view! { <p><button data-testid="read-again" on:click=move |_| {
            // A refusal changes nothing that is shown.
            spawn_local(async move { drop(backend::call(ReadAgain { meter: id }).await) });
        }>{text("read-again")}</button></p> })}
        {move || needs_key.get().then(|| view! { <KeyEntry id/> })}
    }
}

/// Whether it is tried again after a pause that a person can cut short.
const fn waits(finding: Finding) -> bool {
    matches!(
        finding,
        Finding::BridgeStale
            | Finding::NoAnswer
            | Finding::NotAllowed
            | Finding::NotEnabled
            | Finding::NotFound
            | Finding::NotPermitted
            | Finding::NotReachable
            | Finding::PortBusy
    )
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
            set_refused.set(answer.err().map(|error| refusal(&error)));
        });
    };
    view! {
        <form on:submit=keep>
            <label>{text("key-decryption")}
                <input type="text" autocomplete="off" spellcheck="false" inputmode="text" maxlength="64" data-testid="meter-key"
                    on:input=move |event| set_key.set(event_target_value(&event))/>
            </label>
            <label>{text("key-authentication")}
                <input type="text" autocomplete="off" spellcheck="false" maxlength="64" data-testid="meter-authentication-key"
                    on:input=move |event| set_authentication.set(event_target_value(&event))/>
            </label>
            <p class="broken" role="alert">{move || refused.get()}</p>
            <button type="submit" data-testid="keep-key">{text("key-keep")}</button>
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
    // Settings that were found need no word on those that were not.
    let tried = (!health.tried.is_empty()).then(|| {
        let tried = health.tried.into_iter().map(|tried| {
            let heard = match tried.bytes {
                0 => text("tried-silent"),
                bytes => format::bytes(bytes, decimal_sign()).joined(),
            };
            view! { <dd data-testid="tried">{with("tried-heard", &[("settings", tried.settings.into()), ("heard", heard.into())])}</dd> }
        });
        view! { <div class="many"><dt>{text("heard-tried")}</dt>{tried.collect_view()}</div> }
    });
    let asked = (health.asked > 0).then(|| with("asked-times", &[("count", i64::from(health.asked).into())]));
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
            {tried}
            {row("heard-asked", asked)}
            {row("heard-frames", Some(count(health.frames)))}
            {row("heard-country", country)}
            {row("heard-meter", health.identification.filter(|text| !text.is_empty()))}
            {row("heard-interval", health.interval_milliseconds.map(|interval| words::age((i64::from(interval) + 500) / 1_000 * 1_000)))}
            {row("heard-clock", offset)}
            {row("heard-checksum", (health.checksum_failures > 0).then(|| count(health.checksum_failures)))}
            {row("heard-errors", (health.decode_errors > 0).then(|| count(health.decode_errors)))}
            {row("heard-rejected", (health.rejected > 0).then(|| count(health.rejected)))}
            {row("heard-reconnects", (health.reconnects > 0).then(|| count(health.reconnects)))}
            {row("heard-fetching", health.profile_progress.map(|ProfileProgress { done, of }| {
                with("fetching-parts", &[("done", i64::from(done).into()), ("of", i64::from(of).into())])
            }))}
        </dl>
    }
}
