//! A meter that has to be told of this home by the utility: the number to copy, and that waiting for hours is no fault.

use contract::live::MeterId;
use contract::pairing::PairingState;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::pairing::finding;
use crate::backend::browser;
use crate::live::Live;
use crate::text::{text, with};

/// The block.
#[component]
pub(crate) fn Registration(
    /// Which meter.
    id: MeterId,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let lfdi = Memo::new(move |_| live.meter(id).and_then(|meter| meter.lfdi));
    // The last time it could not even be asked: that somebody can mend meanwhile.
    let trouble = Memo::new(move |_| match live.meter(id)?.pairing {
        Some(PairingState::Registration { problem }) => problem,
        _ => None,
    });
    view! {
        <p class="large" role="status" data-testid="registration-waiting">{text("registration-waiting")}</p>
        <p>{text("registration-explained")}</p>
        {move || lfdi.get().map(|lfdi| view! { <Number lfdi/> })}
        <p>{text("registration-patience")}</p>
        {move || trouble.get().map(|problem| {
            let what = text(&format!("finding-{}", finding(problem)));
            view! { <p class="needs" data-testid="registration-trouble">{with("registration-trouble", &[("what", what.into())])}</p> }
        })}
    }
}

/// The number, in groups for the eye, and whole for the clipboard.
#[component]
fn Number(lfdi: String) -> impl IntoView {
    let (copied, set_copied) = signal(false);
    let groups: Vec<_> = lfdi.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    let whole = lfdi.clone();
    let copy = move |_| {
        let lfdi = lfdi.clone();
        spawn_local(async move { set_copied.set(browser::copy(&lfdi).await) });
    };
    view! {
        <p class="to-copy" data-testid="lfdi" data-lfdi=whole>
            {groups.into_iter().map(|group| view! { <span>{group}</span> }).collect_view()}
        </p>
        <p><button data-testid="copy-lfdi" on:click=copy>
            {move || text(if copied.get() { "copied" } else { "copy-number" })}
        </button></p>
    }
}
