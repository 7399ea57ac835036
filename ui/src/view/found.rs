//! Devices that answered a search of the network. A hint: the household picks, and the device still has to prove itself.

use contract::calls::FindDevices;
use contract::live::{Capability, MeterId};
use contract::pairing::FoundDevice;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::backend;
use crate::device::{self, Device};
use crate::live::Live;
use crate::route::Route;
use crate::text::{text, with};
use crate::view::words;

/// What was found, kept while one goes from question to question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// `None`: nobody has looked yet.
    found: RwSignal<Option<Vec<FoundDevice>>>,
    looking: RwSignal<bool>,
}

impl Search {
    pub(crate) fn new() -> Self {
        Self { found: RwSignal::new(None), looking: RwSignal::new(false) }
    }

    /// Looks for some seconds; what was found before stays until then.
    fn look(self) {
        if self.looking.get_untracked() {
            return;
        }
        self.looking.set(true);
        spawn_local(async move {
            let found = backend::call(FindDevices {}).await.unwrap_or_default();
            self.found.set(Some(found));
            self.looking.set(false);
        });
    }
}

/// What was found, of one kind or of all; nothing where the host cannot search.
#[component]
pub(crate) fn Found(
    /// Only these.
    device: Option<Device>,
    /// Takes the address that somebody picked.
    picked: impl Fn(String) + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let search = expect_context::<Search>();
    let can_search = Memo::new(move |_| {
        live.home.with(|home| home.as_ref().is_some_and(|home| home.capabilities.contains(&Capability::DeviceSearch)))
    });
    Effect::new(move |_| {
        if can_search.get() && search.found.with_untracked(Option::is_none) {
            search.look();
        }
    });
    let found = Memo::new(move |_| {
        let mut found = search.found.get().unwrap_or_default();
        found.retain(|found| {
            let kind = Device::at(&found.address);
            // Older and newer of one maker are one thing to look for.
            kind.is_some() && device.is_none_or(|device| kind == Some(device) || is_older(kind, device))
        });
        found
    });
    let line = move |found: FoundDevice| {
        let address = found.address.clone();
        let name = match found.name.is_empty() {
            true => Device::at(&address).map(|device| text(&format!("device-{}", device.name()))).unwrap_or_default(),
            false => found.name,
        };
        let place = device::place(&address).to_owned();
        // Where all kinds are listed, which of them it is.
        let place = match Device::at(&address).filter(|_| device.is_none()) {
            Some(kind) => {
                let what = text(&format!("device-{}", kind.name()));
                with("found-at", &[("what", what.into()), ("place", place.into())])
            }
            None => place,
        };
        match paired(live, &address) {
            Some((id, last)) => view! {
                <li><a href=Route::Meter(id).print()><b>{name}</b><span class="quiet">{last}</span></a></li>
            }
            .into_any(),
            None => view! {
                <li><button data-testid="found-device" on:click=move |_| picked(address.clone())>
                    <b>{name}</b><span class="quiet">{place}</span>
                </button></li>
            }
            .into_any(),
        }
    };
    view! {
        <Show when=move || can_search.get()>
            <h2>{text("found-title")}</h2>
            <ul class="list">{move || found.get().into_iter().map(line).collect_view()}</ul>
            {move || match (search.looking.get(), found.with(Vec::is_empty)) {
                (true, _) => view! { <p class="quiet" role="status">{text("found-looking")}</p> }.into_any(),
                (false, true) => view! {
                    <p class="quiet">{text("found-nothing")}" "
                        <button class="plain" on:click=move |_| search.look()>{text("add-look-again")}</button></p>
                }.into_any(),
                (false, false) => view! {
                    <p><button class="plain" on:click=move |_| search.look()>{text("add-look-again")}</button></p>
                }.into_any(),
            }}
        </Show>
    }
}

fn is_older(kind: Option<Device>, device: Device) -> bool {
    (kind, device) == (Some(Device::HomeWizardOlder), Device::HomeWizard)
}

/// The meter that reads this address already, and when it spoke last.
fn paired(live: Live, address: &str) -> Option<(MeterId, String)> {
    let meter = live.meters.with(|meters| meters.iter().find(|meter| meter.address == address).cloned())?;
    let last = match meter.health.last_frame_utc_milliseconds {
        Some(last) => with("found-read", &[("age", words::age((live.now.get() - last).max(0)).into())]),
        None => text("found-read-never"),
    };
    Some((meter.id, last))
}
