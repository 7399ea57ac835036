//! The HTTP carrier: calls as posts, notices as server-sent events read by hand, because the browser's own reader cannot
//! send the key in a header.

use contract::error::{CallError, ErrorCode};
use contract::notice::Numbered;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, ReadableStreamDefaultReader, RequestInit, Response};

use super::browser;

/// A stream without a byte for so long has died: the host sends a mark every fifteen seconds.
const SILENCE: i32 = 40_000;

pub(super) async fn call(name: &str, request: &str) -> Result<String, CallError> {
    let response = send(&format!("/api/v1/call/{name}"), Some(request)).await?;
    let text = JsFuture::from(response.text().map_err(unreachable)?).await.map_err(unreachable)?;
    let text = text.as_string().unwrap_or_default();
    match response.ok() {
        true => Ok(text),
        false => Err(serde_json::from_str(&text).unwrap_or_else(|_| lost("an answer that makes no sense"))),
    }
}

/// Tells notices until the stream ends.
pub(super) async fn watch(told: impl Fn(Numbered)) -> Result<(), CallError> {
    let response = send("/api/v1/notices", None).await?;
    if response.status() == 401 {
        return Err(CallError::new(ErrorCode::Forbidden, "the home does not know this page"));
    }
    let body = response.body().ok_or_else(|| lost("no stream"))?;
    let reader: ReadableStreamDefaultReader = body.get_reader().dyn_into().map_err(unreachable)?;
    let decoder = web_sys::TextDecoder::new().map_err(unreachable)?;
    let mut waiting = String::new();
    let mut expected = None;
    loop {
        let chunk = next_chunk(&reader).await?;
        let Some(bytes) = chunk else { return Ok(()) };
        let options = web_sys::TextDecodeOptions::new();
        options.set_stream(true);
        waiting += &decoder.decode_with_buffer_source_and_options(&bytes, &options).map_err(unreachable)?;
        while let Some((event, rest)) = waiting.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data:"));
            if let Some(numbered) = data.and_then(|data| serde_json::from_str::<Numbered>(data).ok()) {
                // A hole in the numbers: watch anew.
                if expected.is_some_and(|expected| expected != numbered.number) {
                    return Ok(());
                }
                expected = Some(numbered.number + 1);
                told(numbered);
            }
            waiting = rest.to_owned();
        }
    }
}

/// The next bytes. `None` at the end.
async fn next_chunk(reader: &ReadableStreamDefaultReader) -> Result<Option<js_sys::Object>, CallError> {
    let silence = js_sys::Promise::new(&mut |_, reject| {
        if let Some(window) = web_sys::window() {
            let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&reject, SILENCE);
        }
    });
    let first = js_sys::Promise::race(&js_sys::Array::of2(&reader.read(), &silence));
    let result = JsFuture::from(first).await.map_err(unreachable)?;
    let field = |name: &str| js_sys::Reflect::get(&result, &name.into()).unwrap_or_default();
    if field("done").is_truthy() {
        return Ok(None);
    }
    field("value").dyn_into().map(Some).map_err(unreachable)
}

async fn send(path: &str, body: Option<&str>) -> Result<Response, CallError> {
    let window = web_sys::window().ok_or_else(|| lost("no window"))?;
    let headers = Headers::new().map_err(unreachable)?;
    let key = browser::link_key().unwrap_or_default();
    headers.set("Authorization", &format!("Bearer {key}")).map_err(unreachable)?;
    let options = RequestInit::new();
    options.set_headers(&headers);
    if let Some(body) = body {
        options.set_method("POST");
        options.set_body(&body.into());
    }
    let response = JsFuture::from(window.fetch_with_str_and_init(path, &options)).await.map_err(unreachable)?;
    response.dyn_into().map_err(unreachable)
}

fn unreachable(_: impl Into<JsValue>) -> CallError {
    lost("no connection")
}

fn lost(message: &str) -> CallError {
    CallError::new(ErrorCode::Unreachable, message)
}
