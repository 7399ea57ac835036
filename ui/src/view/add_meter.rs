//! Pairing a meter: one question at a time, showing what is heard while it listens. Ends on Now with the first number.

use contract::calls::{AddMeter as Ask, Port, Ports, RemoveMeter};
use contract::live::{Capability, MeterId, Role};
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::diagnosis::Finding;

use super::home::refusal;
use super::meter::{Diagnosis, Heard};
use crate::backend::{self, browser};
use crate::live::Live;
use crate::route::Route;
use crate::text::text;

/// The screen.
#[component]
pub(crate) fn AddMeter() -> impl IntoView {
    let (pairing, set_pairing) = signal(None::<MeterId>);
    view! {
        <section class="reading add-meter" data-testid="add-meter">
            {move || match pairing.get() {
                None => view! { <Where paired=move |id| set_pairing.set(Some(id))/> }.into_any(),
                Some(id) => view! { <Listening id other=move || set_pairing.set(None)/> }.into_any(),
            }}
        </section>
    }
}

/// The one question: where is it?
#[component]
fn Where(paired: impl Fn(MeterId) + Copy + Send + Sync + 'static) -> impl IntoView {
    let live = expect_context::<Live>();
    let can = move |capability: Capability| {
        live.home.with(|home| home.as_ref().is_some_and(|home| home.capabilities.contains(&capability)))
    };
    let ports = RwSignal::new(None::<Vec<Port>>);
    let look = move || spawn_local(async move { ports.set(Some(backend::call(Ports {}).await.unwrap_or_default())) });
    let serial = Memo::new(move |_| can(Capability::SerialPorts));
    Effect::new(move |_| {
        if serial.get() {
            look()
        }
    });
    let (refused, set_refused) = signal(None::<String>);
    let (host, set_host) = signal(String::new());
    let (role, set_role) = signal(Role::Connection);
    let pair = move |address: String| {
        let request = Ask { address, name: String::new(), role: role.get_untracked() };
        spawn_local(async move {
            match backend::call(request).await {
                Ok(id) => paired(id),
                Err(error) => set_refused.set(Some(refusal(&error))),
            }
        });
    };
    let by_network = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let host = host.get_untracked().trim().to_owned();
        let address = if host.contains("://") { host } else { format!("tcp://{host}") };
        pair(address);
    };
    view! {
        <h1>{move || match live.meters.with(Vec::is_empty) {
            true => text("add-title"),
            false => text("add-another"),
        }}</h1>
        <p class="large">{text("add-intro")}</p>
        <p class="broken" role="alert">{move || refused.get()}</p>
        <Show when=move || serial.get()>
            <h2>{text("add-cable")}</h2>
            {move || match ports.get() {
                None => view! { <p class="quiet">{text("loading")}</p> }.into_any(),
                Some(found) if found.is_empty() => view! { <p class="quiet">{text("add-no-port")}</p> }.into_any(),
                Some(found) => view! {
                    <ul class="choices">{found.into_iter().map(|port| {
                        let address = port.address.clone();
                        view! { <li><button on:click=move |_| pair(address.clone())>
                            <b>{port.address.trim_start_matches("serial:").to_owned()}</b>
                            <span class="quiet">{port.description}</span>
                        </button></li> }
                    }).collect_view()}</ul>
                }.into_any(),
            }}
            <button class="plain" on:click=move |_| look()>{text("add-look-again")}</button>
        </Show>
        <h2>{text("add-network")}</h2>
        <form class="inline" on:submit=by_network>
            <label>{text("add-address")}
                <input type="text" placeholder="p1-meter.local:23" autocomplete="off" spellcheck="false" data-testid="meter-address"
                    on:input=move |event| set_host.set(event_target_value(&event))/>
            </label>
            <button type="submit" data-testid="add-network">{text("add-connect")}</button>
        </form>
        // The first meter is the one at the grid; nobody is asked about another one yet.
        <Show when=move || live.meters.with(|meters| !meters.is_empty())><label class="check">
            <input type="checkbox" on:change=move |event| set_role.set(match event_target_checked(&event) {
                true => Role::Generation,
                false => Role::Connection,
            })/>
            {text("add-generation")}
        </label></Show>
        <Show when=move || can(Capability::SimulatedHome)>
            <h2>{text("add-just-looking")}</h2>
            <button data-testid="try-simulated" on:click=move |_| pair("simulated".to_owned())>{text("add-simulated")}</button>
        </Show>
    }
}

/// What is heard; ends by itself with the first reading.
#[component]
fn Listening(id: MeterId, other: impl Fn() + Copy + Send + Sync + 'static) -> impl IntoView {
    let live = expect_context::<Live>();
    let meter = Memo::new(move |_| live.meter(id));
    let heard = Memo::new(move |_| meter.with(|meter| meter.as_ref().is_some_and(|meter| meter.health.frames > 0)));
    Effect::new(move |_| {
        if heard.get() {
            browser::go(&Route::Now, true);
        }
    });
    let give_up = move |_| {
        spawn_local(async move {
            // Gone already is gone.
            let _ = backend::call(RemoveMeter { meter: id }).await;
            other();
        });
    };
    view! {
        <h1>{text("listening-title")}</h1>
        <Diagnosis id/>
        {move || meter.get().map(|meter| view! {
            {matches!(meter.finding, Finding::Listening).then(|| view! { <p class="quiet">{text("listening-wait")}</p> })}
            <Heard meter/>
        })}
        <button data-testid="give-up" on:click=give_up>{text("listening-other")}</button>
    }
}
