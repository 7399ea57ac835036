//! The home behind the page, over whichever carrier there is: the window's IPC or HTTP.
//!
//! The only place that knows carriers and the browser. Both carry the same JSON text.

pub(crate) mod browser;
mod http;
mod window;

use contract::calls::Request;
use contract::error::{CallError, ErrorCode};
use contract::notice::Numbered;

/// Asks the home.
pub(crate) async fn call<R: Request>(request: R) -> Result<R::Reply, CallError> {
    let garbled = |_| CallError::new(ErrorCode::Unreachable, "an answer that makes no sense");
    let text = serde_json::to_string(&request).map_err(garbled)?;
    let reply = match window::is_here() {
        true => window::call(R::NAME, &text).await?,
        false => http::call(R::NAME, &text).await?,
    };
    serde_json::from_str(&reply).map_err(garbled)
}

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Watched {
    /// The home said something.
    Notice(Box<Numbered>),
    /// No connection; it is tried again.
    Lost,
    /// The home does not know this page; only its link helps.
    Locked,
}

/// Watches the home for as long as the page is open; comes back after a break, slower each time up to ten seconds.
pub(crate) async fn watch(told: impl Fn(Watched) + Clone + 'static) {
    if window::is_here() {
        window::watch(told).await;
        return;
    }
    let mut pause = 500;
    loop {
        let heard = std::cell::Cell::new(false);
        let ended = http::watch(|numbered| {
            heard.set(true);
            told(Watched::Notice(Box::new(numbered)));
        })
        .await;
        match ended {
            Err(error) if error.code == ErrorCode::Forbidden => return told(Watched::Locked),
            _ => told(Watched::Lost),
        }
        pause = if heard.get() { 500 } else { (pause * 2).min(10_000) };
        browser::sleep(pause).await;
    }
}
