//! The window's carrier: Tauri's IPC, reached through what it puts into the page, without its script package.

use std::cell::RefCell;
use std::collections::BTreeMap;

use contract::error::{CallError, ErrorCode};
use contract::notice::Numbered;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::Watched;

/// What Tauri puts into the page of its window.
fn internals() -> Option<JsValue> {
    let window = web_sys::window()?;
    js_sys::Reflect::get(&window, &"__TAURI_INTERNALS__".into()).ok().filter(JsValue::is_object)
}

/// Whether the page lies in the window.
pub(super) fn is_here() -> bool {
    internals().is_some()
}

pub(super) async fn call(name: &str, request: &str) -> Result<String, CallError> {
    let reply = invoke("call", &[("name", name.into()), ("request", request.into())]).await?;
    reply.as_string().ok_or_else(lost)
}

/// Tells notices until the page is gone.
pub(super) async fn watch(told: impl Fn(Watched) + 'static) {
    // Messages carry an index and may overtake each other when some are large.
    let waiting: RefCell<(u32, BTreeMap<u32, String>)> = RefCell::default();
    let heard = Closure::<dyn Fn(JsValue)>::new(move |message: JsValue| {
        let field = |name: &str| js_sys::Reflect::get(&message, &name.into()).unwrap_or_default();
        let index = field("index").as_f64().map(|index| index as u32);
        let (Some(index), Some(text)) = (index, field("message").as_string()) else { return };
        let mut waiting = waiting.borrow_mut();
        waiting.1.insert(index, text);
        while let Some(text) = {
            let next = waiting.0;
            waiting.1.remove(&next)
        } {
            waiting.0 += 1;
            if let Ok(numbered) = serde_json::from_str::<Numbered>(&text) {
                told(Watched::Notice(Box::new(numbered)));
            }
        }
    });
    let Some(internals) = internals() else { return };
    let transform = js_sys::Reflect::get(&internals, &"transformCallback".into()).ok();
    let id = transform
        .and_then(|transform| transform.dyn_into::<js_sys::Function>().ok())
        .and_then(|transform| transform.call2(&internals, heard.as_ref(), &JsValue::FALSE).ok())
        .and_then(|id| id.as_f64());
    // For as long as the page is open.
    heard.forget();
    if let Some(id) = id {
        let channel = format!("__CHANNEL__:{}", id as u32);
        let _ = invoke("watch", &[("channel", channel.into())]).await;
    }
}

async fn invoke(command: &str, arguments: &[(&str, JsValue)]) -> Result<JsValue, CallError> {
    let internals = internals().ok_or_else(lost)?;
    let invoke = js_sys::Reflect::get(&internals, &"invoke".into()).map_err(|_| lost())?;
    let given = js_sys::Object::new();
    for (name, value) in arguments {
        js_sys::Reflect::set(&given, &(*name).into(), value).map_err(|_| lost())?;
    }
    let promise = invoke
        .dyn_into::<js_sys::Function>()
        .ok()
        .and_then(|invoke| invoke.call2(&internals, &command.into(), &given).ok())
        .and_then(|promise| promise.dyn_into::<js_sys::Promise>().ok())
        .ok_or_else(lost)?;
    JsFuture::from(promise)
        .await
        .map_err(|refused| refused.as_string().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(lost))
}

fn lost() -> CallError {
    CallError::new(ErrorCode::Unreachable, "the window's backend does not answer")
}
