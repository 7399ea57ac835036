//! Who may read: so far nobody, and it says so.

use leptos::prelude::*;

use crate::text::text;

/// The screen.
#[component]
pub(crate) fn Sharing() -> impl IntoView {
    view! {
        <section class="reading">
            <h1>{text("place-sharing")}</h1>
            <p class="large" data-testid="sharing-nobody">{text("sharing-nobody")}</p>
            <p>{text("sharing-explained")}</p>
        </section>
    }
}
