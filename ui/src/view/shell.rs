//! What holds the screens: the four places, the state of the page, and what is said aloud.

use leptos::prelude::*;

use super::found::Search;
use super::{add_meter, history, home, meter, now, sharing, wall};
use crate::backend::browser;
use crate::live::{Live, Standing};
use crate::route::Route;
use crate::text::{text, with};

/// The whole page.
#[component]
pub(crate) fn Shell() -> impl IntoView {
    let live = Live::begin();
    provide_context(live);
    provide_context(Search::new());
    let route = browser::route();
    let route = Memo::new(move |_| route.get());
    browser::appear(browser::remembered("theme").as_deref());
    browser::set_language(&text("language-tag"));
    // The first start leads to the first question.
    Effect::new(move |_| {
        if live.standing.get() == Standing::Empty && matches!(route.get_untracked(), Route::Now | Route::Wall) {
            browser::go(&Route::AddMeter(None), true);
        }
    });
    let screen = move || match route.get() {
        Route::AddMeter(device) => view! { <add_meter::AddMeter device/> }.into_any(),
        Route::History(period, date) => view! { <history::History period date/> }.into_any(),
        Route::Home => view! { <home::Home/> }.into_any(),
        Route::Meter(id) => view! { <meter::Meter id/> }.into_any(),
        Route::Now => view! { <now::Now/> }.into_any(),
        Route::Sharing => view! { <sharing::Sharing/> }.into_any(),
        Route::Wall => view! { <wall::Wall/> }.into_any(),
    };
    // Another place or question begins at its top and has its own name; within History one stays where one looks.
    Effect::new(move |before: Option<(std::mem::Discriminant<Route>, bool)>| {
        let here = route.with(|route| (std::mem::discriminant(route), matches!(route, Route::AddMeter(Some(_)))));
        if before != Some(here) {
            browser::arrive(
                &with("page-title", &[("place", text(place(&route.get_untracked())).into())]),
                before.is_some(),
            );
        }
        here
    });
    let framed = move || route.get() != Route::Wall;
    view! {
        <div id="app" data-state=move || live.standing.get().name()>
            <Show when=move || live.standing.get() == Standing::Locked fallback=move || view! {
                <Show when=framed><Places route/></Show>
                <main id="main" tabindex="-1">
                    <Show when=move || live.standing.get() == Standing::Disconnected>
                        <p class="banner" role="status" data-testid="not-connected">{text("not-connected")}</p>
                    </Show>
                    <Recording/>
                    {screen}
                </main>
            }>
                <main class="reading"><h1>{text("locked-title")}</h1><p>{text("locked-what-to-do")}</p></main>
            </Show>
        </div>
    }
}

/// The name of a route's place.
const fn place(route: &Route) -> &'static str {
    match route {
        Route::AddMeter(_) => "add-title",
        Route::History(..) => "place-history",
        Route::Home | Route::Meter(_) => "place-home",
        Route::Now | Route::Wall => "place-now",
        Route::Sharing => "place-sharing",
    }
}

/// The four places.
#[component]
fn Places(route: Memo<Route>) -> impl IntoView {
    let place = move |target: Route, mark: &'static str, name: &'static str, icon: &'static str| {
        let here = match target {
            Route::Now => Memo::new(move |_| route.get() == Route::Now),
            Route::History(..) => Memo::new(move |_| matches!(route.get(), Route::History(..))),
            Route::Sharing => Memo::new(move |_| route.get() == Route::Sharing),
            _ => Memo::new(move |_| matches!(route.get(), Route::Home | Route::Meter(_) | Route::AddMeter(_))),
        };
        view! {
            <a href=target.print() data-testid=mark aria-current=move || here.get().then_some("page")>
                <svg viewBox="0 0 24 24" aria-hidden="true"><path d=icon/></svg>
                <span>{text(name)}</span>
            </a>
        }
    };
    view! {
        <nav class="places" aria-label=text("places")>
            {place(Route::Now, "nav-now", "place-now", "M2 13h5l3-6 4 12 3-6h5")}
            {place(Route::History(contract::history::Period::Day, None), "nav-history", "place-history",
                "M2 14h20M5 14V8M9 14V4M13 14v-4M17 14v5M21 14v3")}
            {place(Route::Sharing, "nav-sharing", "place-sharing", "M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6z")}
            {place(Route::Home, "nav-home", "place-home", "M3 12l9-8 9 8M6 10v10h12V10")}
        </nav>
    }
}

/// Says when what arrives is not being kept.
#[component]
fn Recording() -> impl IntoView {
    use contract::live::Recording;
    let live = expect_context::<Live>();
    let recording = Memo::new(move |_| live.home.with(|home| home.as_ref().map(|home| home.recording)));
    move || {
        let words = match recording.get()? {
            Recording::Fine => return None,
            Recording::Damaged => text("recording-damaged"),
            Recording::Waiting => text("recording-waiting"),
        };
        Some(view! { <p class="banner broken" role="alert">{words}</p> })
    }
}
