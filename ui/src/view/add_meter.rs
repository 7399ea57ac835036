//! Adding a meter: one question at a time, showing what is heard while it listens. Ends on Now with the first number.

use contract::calls::{AddMeter as Ask, Port, Ports, RemoveMeter};
use contract::live::{Capability, MeterId, Role};
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::diagnosis::Finding;

use super::found::Found;
use super::home::refusal;
use super::meter::{Diagnosis, Heard, name};
use super::pairing::Wanted;
use crate::backend::{self, browser};
use crate::device::Device;
use crate::live::Live;
use crate::route::Route;
use crate::text::text;

/// The screen.
#[component]
pub(crate) fn AddMeter(
    /// What the household has, once they have said so.
    device: Option<Device>,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let (adding, set_adding) = signal(None::<MeterId>);
    let (place, set_place) = signal(None::<String>);
    let (refused, set_refused) = signal(None::<String>);
    let add = move |address: String, role: Role| {
        spawn_local(async move {
            match backend::call(Ask { address, name: String::new(), role }).await {
                Ok(id) => set_adding.set(Some(id)),
                Err(error) => {
                    set_place.set(None);
                    set_refused.set(Some(refusal(&error)));
                }
            }
        });
    };
    let picked = move |address: String| {
        set_refused.set(None);
        // The first meter is the one at the grid, unless it may as well be another; then somebody has to say.
        let is_first = live.meters.with_untracked(Vec::is_empty);
        match Device::at(&address) {
            Some(device) if !is_first || device.measures_either() => set_place.set(Some(address)),
            _ => add(address, Role::Connection),
        }
    };
    view! {
        <section class="reading add-meter" data-testid="add-meter">
            {move || match (adding.get(), place.get()) {
                (Some(id), _) => view! { <Listening id other=move || {
                    set_adding.set(None);
                    set_place.set(None);
                }/> }.into_any(),
                (None, Some(address)) => view! {
                    <What back=move || set_place.set(None) said=move |role| add(address.clone(), role)/>
                }.into_any(),
                (None, None) => view! {
                    {match device {
                        Some(device) => view! { <Where device refused picked/> }.into_any(),
                        None => view! { <Which refused picked/> }.into_any(),
                    }}
                }.into_any(),
            }}
        </section>
    }
}

/// What does the household have?
#[component]
fn Which(refused: ReadSignal<Option<String>>, picked: impl Fn(String) + Copy + Send + Sync + 'static) -> impl IntoView {
    let live = expect_context::<Live>();
    let can = move |capability: Capability| {
        Memo::new(move |_| {
            live.home.with(|home| home.as_ref().is_some_and(|home| home.capabilities.contains(&capability)))
        })
    };
    let (has_ports, has_simulator) = (can(Capability::SerialPorts), can(Capability::SimulatedHome));
    let offered = move || {
        let offered = Device::OFFERED.into_iter().filter(|device| *device != Device::Cable || has_ports.get());
        offered
            .map(|device| {
                let name = device.name();
                view! {
                    <li><a href=Route::AddMeter(Some(device)).print() data-testid=format!("device-{name}")>
                        <b>{text(&format!("device-{name}"))}</b>
                        <span class="quiet">{text(&format!("device-{name}-more"))}</span>
                    </a></li>
                }
            })
            .collect_view()
    };
    view! {
        <h1>{move || match live.meters.with(Vec::is_empty) {
            true => text("add-title"),
            false => text("add-another"),
        }}</h1>
        <p class="broken" role="alert">{move || refused.get()}</p>
        <p class="large">{text("add-which")}</p>
        <ul class="list two-lines">{offered}</ul>
        <Found device=None picked/>
        <Show when=move || has_simulator.get()>
            <h2>{text("add-just-looking")}</h2>
            <button data-testid="try-simulated" on:click=move |_| picked("simulated".to_owned())>{text("add-simulated")}</button>
        </Show>
    }
}

/// Where is it?
#[component]
fn Where(
    device: Device,
    refused: ReadSignal<Option<String>>,
    picked: impl Fn(String) + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let name = device.name();
    let (host, set_host) = signal(String::new());
    let connect = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        picked(device.address(&host.get_untracked()));
    };
    view! {
        <p class="back"><a href=Route::AddMeter(None).print()>{text("back")}</a></p>
        <h1>{text(&format!("device-{name}"))}</h1>
        <p class="broken" role="alert" data-testid="refused">{move || refused.get()}</p>
        <p class="large">{text(&format!("where-{name}"))}</p>
        {match device {
            Device::Cable => view! { <Cables picked/> }.into_any(),
            _ => view! {
                <form class="inline" on:submit=connect>
                    <label>{text(if device == Device::Stream { "add-address-port" } else { "add-address" })}
                        <input type="text" placeholder=device.example() autocomplete="off" autocapitalize="none" spellcheck="false"
                            data-testid="meter-address" on:input=move |event| set_host.set(event_target_value(&event))/>
                    </label>
                    <button type="submit" data-testid="add-network">{text("add-connect")}</button>
                </form>
                {device.announces_itself().then(|| view! { <Found device=Some(device) picked/> })}
            }.into_any(),
        }}
        {(device == Device::HomeWizard).then(|| view! {
            <p class="apart"><a href=Route::AddMeter(Some(Device::HomeWizardOlder)).print()>{text("homewizard-is-older")}</a></p>
        })}
    }
}

/// Serial ports that could lead to the meter.
#[component]
fn Cables(picked: impl Fn(String) + Copy + Send + Sync + 'static) -> impl IntoView {
    let ports = RwSignal::new(None::<Vec<Port>>);
    let look = move || spawn_local(async move { ports.set(Some(backend::call(Ports {}).await.unwrap_or_default())) });
    look();
    let line = move |port: Port| {
        let address = port.address.clone();
        view! {
            <li><button on:click=move |_| picked(address.clone())>
                <b>{crate::device::place(&port.address).to_owned()}</b>
                <span class="quiet">{port.description}</span>
            </button></li>
        }
    };
    view! {
        {move || match ports.get() {
            None => view! { <p class="quiet">{text("loading")}</p> }.into_any(),
            Some(found) if found.is_empty() => view! { <p class="quiet">{text("add-no-port")}</p> }.into_any(),
            Some(found) => view! { <ul class="list">{found.into_iter().map(line).collect_view()}</ul> }.into_any(),
        }}
        <button class="plain" on:click=move |_| look()>{text("add-look-again")}</button>
    }
}

/// What does it measure?
#[component]
fn What(
    back: impl Fn() + Copy + Send + Sync + 'static,
    said: impl Fn(Role) + Clone + Send + Sync + 'static,
) -> impl IntoView {
    let choice = |role: Role, mark: &'static str| {
        let said = said.clone();
        view! {
            <li><button data-testid=mark on:click=move |_| said(role)>
                <b>{text(mark)}</b>
                <span class="quiet">{text(&format!("{mark}-more"))}</span>
            </button></li>
        }
    };
    view! {
        <p class="back"><button class="plain" on:click=move |_| back()>{text("back")}</button></p>
        <h1>{text("measures-title")}</h1>
        <ul class="list two-lines">
            {choice(Role::Connection, "measures-connection")}
            {choice(Role::Generation, "measures-generation")}
        </ul>
    }
}

/// What is heard, or what the device waits for; ends by itself with the first reading.
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
    let (leaving, set_leaving) = signal(false);
    let give_up = move |_| {
        set_leaving.set(true);
        spawn_local(async move {
            // Gone already is gone.
            let _ = backend::call(RemoveMeter { meter: id }).await;
            other();
        });
    };
    // Before the device answers there is nothing to hear.
    let hears = Memo::new(move |_| {
        meter.with(|meter| {
            let meter = meter.as_ref()?;
            (meter.pairing.is_none() && meter.health.bytes > 0).then(|| meter.clone())
        })
    });
    let waits = Memo::new(move |_| {
        meter.with(|meter| {
            meter.as_ref().is_some_and(|meter| meter.pairing.is_none() && meter.finding == Finding::Listening)
        })
    });
    let wanted = Memo::new(move |_| meter.with(|meter| meter.as_ref().and_then(Wanted::of)));
    let title = move || match wanted.get() {
        // Nothing is listened to yet.
        Some(_) => meter.with(|meter| meter.as_ref().map(name).unwrap_or_default()),
        None => text("listening-title"),
    };
    view! {
        <h1>{title}</h1>
        <Diagnosis id/>
        <Show when=move || waits.get()><p class="quiet">{text("listening-wait")}</p></Show>
        {move || hears.get().map(|meter| view! { <Heard meter/> })}
        <Show when=move || !wanted.get().is_some_and(Wanted::is_urgent)>
            <p class="apart"><button class="plain" data-testid="give-up" disabled=move || leaving.get() on:click=give_up>
                {move || if leaving.get() { text("meter-leaving") } else { text("listening-other") }}
            </button></p>
        </Show>
    }
}
