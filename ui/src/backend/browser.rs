//! What the page needs of the browser: its address, its memory, its language, its clock.

use std::cell::RefCell;

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Window;

use crate::route::Route;

fn window() -> Option<Window> {
    web_sys::window()
}

/// Panics go to the console with their place.
pub(crate) fn show_panics() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}

/// The reader's languages, most wanted first; one they fixed before all.
pub(crate) fn languages() -> Vec<String> {
    let wanted = window().map(|window| window.navigator().languages()).unwrap_or_default();
    remembered("language").into_iter().chain(wanted.iter().filter_map(|tag| tag.as_string())).collect()
}

/// The browser's clock, UTC milliseconds.
pub(crate) fn now() -> i64 {
    // Whole milliseconds far below 2^53.
    let now = js_sys::Date::now();
    now as i64
}

/// Waits.
pub(crate) async fn sleep(milliseconds: i32) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        if let Some(window) = window() {
            let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
        }
    });
    let _ = JsFuture::from(promise).await;
}

/// Runs something once a second from now on.
pub(crate) fn every_second(run: impl Fn() + 'static) {
    let run = Closure::<dyn Fn()>::new(run);
    if let Some(window) = window() {
        let function = run.as_ref().unchecked_ref();
        let _ = window.set_interval_with_callback_and_timeout_and_arguments_0(function, 1_000);
    }
    // For as long as the page is open.
    run.forget();
}

/// What this browser remembers under a name.
pub(crate) fn remembered(name: &str) -> Option<String> {
    window()?.local_storage().ok()??.get_item(&format!("wattle-{name}")).ok()?
}

/// Remembers something in this browser, or forgets it.
pub(crate) fn remember(name: &str, value: Option<&str>) {
    let Some(storage) = window().and_then(|window| window.local_storage().ok().flatten()) else { return };
    let name = format!("wattle-{name}");
    // A full or forbidden storage costs only comfort.
    let _ = match value {
        Some(value) => storage.set_item(&name, value),
        None => storage.remove_item(&name),
    };
}

/// The key of the owner's link: from the address, which then forgets it, or remembered from before.
pub(crate) fn link_key() -> Option<String> {
    let location = window()?.location();
    let hash = location.hash().unwrap_or_default();
    if let Some(key) = hash.strip_prefix("#key=") {
        remember("key", Some(key));
        go(&Route::Now, true);
    }
    remembered("key")
}

/// Where the page is; changes with the address.
pub(crate) fn route() -> ReadSignal<Route> {
    let read = || window().and_then(|window| window.location().hash().ok()).unwrap_or_default();
    let (route, set_route) = signal(Route::parse(&read()));
    let changed = Closure::<dyn Fn()>::new(move || set_route.set(Route::parse(&read())));
    if let Some(window) = window() {
        let _ = window.add_event_listener_with_callback("hashchange", changed.as_ref().unchecked_ref());
    }
    changed.forget();
    route
}

/// Goes somewhere; `instead` leaves no step to go back to.
pub(crate) fn go(route: &Route, instead: bool) {
    let Some(window) = window() else { return };
    let _ = match instead {
        true => window.location().replace(&route.print()),
        false => window.location().set_hash(&route.print()),
    };
}

/// Fixes light or dark, or follows the system.
pub(crate) fn appear(theme: Option<&str>) {
    remember("theme", theme);
    let root = window().and_then(|window| window.document()).and_then(|document| document.document_element());
    if let Some(root) = root {
        let _ = match theme {
            Some(theme) => root.set_attribute("data-theme", theme),
            None => root.remove_attribute("data-theme"),
        };
    }
}

/// Names the page's language for screen readers.
pub(crate) fn set_language(tag: &str) {
    let root = window().and_then(|window| window.document()).and_then(|document| document.document_element());
    if let Some(root) = root {
        let _ = root.set_attribute("lang", tag);
    }
}

/// Names the page by its place; having come from another place, begins at the top.
pub(crate) fn arrive(title: &str, from_elsewhere: bool) {
    let Some(window) = window() else { return };
    if let Some(document) = window.document() {
        document.set_title(title);
    }
    if from_elsewhere {
        window.scroll_to_with_x_and_y(0.0, 0.0);
    }
}

/// Hands a text to the clipboard. Whether the browser let us.
pub(crate) async fn copy(text: &str) -> bool {
    let Some(window) = window() else { return false };
    JsFuture::from(window.navigator().clipboard().write_text(text)).await.is_ok()
}

/// Loads the page anew.
pub(crate) fn reload() {
    if let Some(window) = window() {
        let _ = window.location().reload();
    }
}

/// Fills the screen with the page, or stops.
pub(crate) fn fill_screen(fill: bool) {
    let Some(document) = window().and_then(|window| window.document()) else { return };
    // Browsers allow it only in answer to a touch.
    match document.document_element() {
        Some(root) if fill && document.fullscreen_element().is_none() => drop(root.request_fullscreen()),
        _ if !fill && document.fullscreen_element().is_some() => document.exit_fullscreen(),
        _ => (),
    }
}

/// What hears the keys.
type OnKey = Closure<dyn Fn(web_sys::KeyboardEvent)>;

thread_local! {
    static KEYS: RefCell<Option<OnKey>> = const { RefCell::new(None) };
}

/// Hands the arrow keys to whoever asked last: true is right.
pub(crate) fn on_arrow(run: impl Fn(bool) + 'static) {
    let Some(window) = window() else { return };
    let closure = Closure::<dyn Fn(web_sys::KeyboardEvent)>::new(move |event: web_sys::KeyboardEvent| {
        let in_field = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlInputElement>().ok()).is_some();
        match event.key().as_str() {
            "ArrowLeft" if !in_field => run(false),
            "ArrowRight" if !in_field => run(true),
            _ => (),
        }
    });
    KEYS.with_borrow_mut(|keys| {
        if let Some(old) = keys.take() {
            let _ = window.remove_event_listener_with_callback("keydown", old.as_ref().unchecked_ref());
        }
        let _ = window.add_event_listener_with_callback("keydown", closure.as_ref().unchecked_ref());
        *keys = Some(closure);
    });
}

/// Stops handing out arrow keys.
pub(crate) fn forget_arrows() {
    KEYS.with_borrow_mut(|keys| {
        if let (Some(old), Some(window)) = (keys.take(), window()) {
            let _ = window.remove_event_listener_with_callback("keydown", old.as_ref().unchecked_ref());
        }
    });
}

/// Where a finger is, in whole pixels from the left.
pub(crate) fn finger(event: &web_sys::TouchEvent) -> Option<i32> {
    event.changed_touches().get(0).map(|touch| touch.client_x())
}
