//! The household over HTTP: the page, the calls and the notices.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::calls::dispatch;
use contract::error::{CallError, ErrorCode};
use contract::scope::Scopes;
use futures_util::{Stream, stream};
use household::home::Household;

use crate::access::Access;
use crate::page::Page;

/// No request of ours is larger; a bigger body is refused before it is read.
const MAX_BODY: usize = 65_536;

/// The page may load and reach its own origin and nothing else, and runs no inline script or style.
pub const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; font-src 'self'; \
     img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// What every route can reach.
#[derive(Clone)]
struct Shared {
    household: Household,
    access: Access,
    page: Arc<Page>,
}

/// All routes of one home.
pub fn router(household: Household, access: Access, page: Page) -> Router {
    let shared = Shared { household, access, page: Arc::new(page) };
    let calls = Router::new()
        .route("/api/v1/call/{name}", post(call))
        .route("/api/v1/notices", get(notices))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), owner_only));
    calls
        .fallback(get(file))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), our_origin_only))
        .with_state(shared)
}

async fn our_origin_only(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match shared.access.permit_origin(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Files say for themselves how long they keep; answers are never kept.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn owner_only(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if shared.access.permit_key(request.headers()) {
        return next.run(request).await;
    }
    refusal(StatusCode::UNAUTHORIZED, &CallError::new(ErrorCode::Forbidden, "open the link that Wattle printed"))
}

async fn call(State(shared): State<Shared>, Path(name): Path<String>, request: String) -> Response {
    match dispatch(&shared.household, Scopes::OWNER, &name, &request).await {
        Ok(reply) => ([(CONTENT_TYPE, "application/json")], reply).into_response(),
        Err(error) => {
            let status = match error.code {
                ErrorCode::AlreadyThere | ErrorCode::Busy => StatusCode::CONFLICT,
                ErrorCode::Forbidden => StatusCode::FORBIDDEN,
                ErrorCode::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                ErrorCode::NotFound => StatusCode::NOT_FOUND,
                ErrorCode::SecretsUnavailable | ErrorCode::StoreUnavailable | ErrorCode::Unreachable => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
            };
            refusal(status, &error)
        }
    }
}

async fn notices(State(shared): State<Shared>) -> Sse<impl Stream<Item = Result<Event, axum::Error>>> {
    let notices = stream::unfold(shared.household.watch(), |mut watch| async move {
        let numbered = watch.next().await?;
        let event = Event::default().id(numbered.number.to_string()).json_data(&numbered);
        Some((event, watch))
    });
    Sse::new(notices).keep_alive(KeepAlive::default())
}

async fn file(State(shared): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(file) = shared.page.file(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    // Asked for every time, sent again only when it changed: a new version is seen at the next look.
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == file.tag.as_bytes());
    let kept = [(ETAG, file.tag.clone()), (CACHE_CONTROL, "no-cache".to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(CONTENT_TYPE, file.media_type)], file.content.clone()).into_response()
}

fn refusal(status: StatusCode, error: &CallError) -> Response {
    let text = serde_json::to_string(error).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}
