//! Home: meters with their health in a line, data, zone, language, appearance, about.

use contract::calls::{About, AboutReply, KeyPlace, SetZone};
use contract::error::{CallError, ErrorCode};
use contract::live::MeterState;
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::diagnosis::Finding;

use super::meter;
use super::pairing::Wanted;
use crate::backend::{self, browser};
use crate::format;
use crate::live::Live;
use crate::route::Route;
use crate::text::{decimal_sign, text, with};

/// What a refusal means to a person.
pub(crate) fn refusal(error: &CallError) -> String {
    let id = match error.code {
        ErrorCode::AlreadyThere => "refused-already-there",
        ErrorCode::Busy => "refused-busy",
        ErrorCode::Forbidden => "refused-forbidden",
        ErrorCode::Invalid => match error.detail.as_deref() {
            Some("address") => "refused-address",
            Some("decryption_key") => "refused-key",
            Some("master_key") => "refused-master-key",
            Some("meter_public_key") => "refused-public-key",
            Some("signing_key") => "refused-signing-key",
            Some("password" | "user") => "refused-login",
            Some("zone") => "refused-zone",
            _ => "refused-invalid",
        },
        ErrorCode::NotFound => "refused-not-found",
        ErrorCode::SecretsUnavailable => "refused-secrets",
        ErrorCode::StoreUnavailable => "refused-store",
        ErrorCode::Unsupported => "refused-unsupported",
        ErrorCode::Unreachable => "not-connected",
    };
    text(id)
}

/// The screen.
#[component]
pub(crate) fn Home() -> impl IntoView {
    view! {
        <section class="reading home">
            <h1>{text("place-home")}</h1>
            <Meters/>
            <Data/>
            <Zone/>
            <Appearance/>
        </section>
    }
}

#[component]
fn Meters() -> impl IntoView {
    let live = expect_context::<Live>();
    let line = |meter: &MeterState| {
        let is_fine = meter.finding == Finding::Fine || Wanted::of(meter) == Some(Wanted::Registration);
        (meter.id, meter::name(meter), meter::line(meter), is_fine)
    };
    // What a line shows, so that counts that move do not redraw it.
    let lines = Memo::new(move |_| live.meters.with(|meters| meters.iter().map(line).collect::<Vec<_>>()));
    view! {
        <h2>{text("meters")}</h2>
        <ul class="list">{move || lines.get().into_iter().map(|(id, name, line, is_fine)| view! {
            <li>
                <a href=Route::Meter(id).print() data-testid=format!("meter-{}", id.0)>
                    <b>{name}</b>
                    <span class:fine=is_fine class:needs=!is_fine>{line}</span>
                </a>
            </li>
        }).collect_view()}</ul>
        <p><a class="button" href=Route::AddMeter(None).print() data-testid="add-another">{text("add-another")}</a></p>
    }
}

#[component]
fn Data() -> impl IntoView {
    let about = RwSignal::new(None::<AboutReply>);
    spawn_local(async move { about.set(backend::call(About {}).await.ok()) });
    view! {
        <h2>{text("data")}</h2>
        {move || about.get().map(|about| {
            let key = match about.key_place {
                KeyPlace::File => text("key-in-file"),
                KeyPlace::OperatingSystem => text("key-in-system"),
            };
            view! {
                <dl class="heard">
                    <div><dt>{text("data-readings")}</dt><dd data-testid="data-readings">{format::grouped(about.readings)}</dd></div>
                    <div><dt>{text("data-size")}</dt><dd>{format::bytes(about.database_bytes, decimal_sign()).joined()}</dd></div>
                    <div><dt>{text("data-folder")}</dt><dd class="path">{about.data_folder}</dd></div>
                    <div><dt>{text("data-key")}</dt><dd>{key}</dd></div>
                    <div><dt>{text("version")}</dt><dd>{about.version}</dd></div>
                </dl>
            }
        })}
    }
}

#[component]
fn Zone() -> impl IntoView {
    let live = expect_context::<Live>();
    let zone =
        Memo::new(move |_| live.home.with(|home| home.as_ref().map(|home| home.zone.clone()).unwrap_or_default()));
    let (wanted, set_wanted) = signal(String::new());
    let (said, set_said) = signal(None::<String>);
    let change = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let zone = wanted.get_untracked().trim().to_owned();
        spawn_local(async move {
            set_said.set(match backend::call(SetZone { zone: zone.clone() }).await {
                Ok(()) => Some(with("zone-changed", &[("zone", zone.into())])),
                Err(error) => Some(refusal(&error)),
            });
        });
    };
    view! {
        <h2>{text("zone")}</h2>
        <p>{move || with("zone-is", &[("zone", zone.get().into())])}</p>
        <form class="inline" on:submit=change>
            <label>{text("zone-other")}
                <input type="text" placeholder="Europe/Amsterdam" autocomplete="off" spellcheck="false"
                    on:input=move |event| set_wanted.set(event_target_value(&event))/>
            </label>
            <button type="submit">{text("zone-change")}</button>
        </form>
        <p role="status">{move || said.get()}</p>
    }
}

#[component]
fn Appearance() -> impl IntoView {
    let choice = |kind: &'static str, value: Option<&'static str>, label: String, run: fn(Option<&str>)| {
        let chosen = browser::remembered(kind).as_deref() == value;
        view! {
            <label class="check">
                <input type="radio" name=kind checked=chosen on:change=move |_| run(value)/>
                {label}
            </label>
        }
    };
    fn speak(language: Option<&str>) {
        browser::remember("language", language);
        browser::reload();
    }
    view! {
        <fieldset>
            <legend>{text("appearance")}</legend>
            {choice("theme", None, text("theme-system"), browser::appear)}
            {choice("theme", Some("light"), text("theme-light"), browser::appear)}
            {choice("theme", Some("dark"), text("theme-dark"), browser::appear)}
        </fieldset>
        <fieldset>
            <legend>{text("language")}</legend>
            {choice("language", None, text("language-system"), speak)}
            {choice("language", Some("en"), "English".to_owned(), speak)}
            {choice("language", Some("de"), "Deutsch".to_owned(), speak)}
            {choice("language", Some("nl"), "Nederlands".to_owned(), speak)}
        </fieldset>
    }
}
