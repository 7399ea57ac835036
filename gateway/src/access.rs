//! Who may talk to the host over HTTP: this machine's browser, with the owner's key, from our own page.
//!
//! Three checks before anything else runs: the `Host` a request names is ours (a foreign name that resolves here is a
//! rebinding attack), its `Origin`, where there is one, is our page, and it carries the key of the owner's link. No
//! cookies, so nothing is sent by itself; no CORS header, so no other page reads an answer.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};

/// What is allowed.
#[derive(Clone, Debug)]
pub struct Access {
    port: u16,
    key: std::sync::Arc<str>,
}

impl Access {
    /// Allows loopback names at `port` with `key`.
    pub fn new(port: u16, key: &str) -> Self {
        Self { port, key: key.into() }
    }

    /// Whether a request is meant for us and comes from our page or from no page.
    pub fn permit_origin(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let ours = |host: &str| {
            let port = self.port;
            [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")]
                .iter()
                .any(|o| o == host)
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !ours(host) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        let from_elsewhere = match headers.get(ORIGIN) {
            Some(origin) => origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")) != Some(host),
            None => headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none"),
        };
        if from_elsewhere { Err(StatusCode::FORBIDDEN) } else { Ok(()) }
    }

    /// Whether a request carries the owner's key.
    pub fn permit_key(&self, headers: &HeaderMap) -> bool {
        headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .is_some_and(|key| same(key, self.key.as_bytes()))
    }
}

/// Compares without telling by its time where the difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &str)], expect: Result<(), StatusCode>) {
        assert_eq!(Access::new(8420, "k").permit_origin(&headers(pairs)), expect);
    }

    #[test]
    fn only_our_own_names_and_our_own_page() {
        check(&[("host", "127.0.0.1:8420")], Ok(()));
        check(&[("host", "localhost:8420"), ("origin", "http://localhost:8420")], Ok(()));
        check(&[("host", "rebound.example:8420")], Err(StatusCode::MISDIRECTED_REQUEST));
        check(&[("host", "127.0.0.1")], Err(StatusCode::MISDIRECTED_REQUEST));
        check(&[], Err(StatusCode::MISDIRECTED_REQUEST));
        check(&[("host", "127.0.0.1:8420"), ("origin", "http://evil.example")], Err(StatusCode::FORBIDDEN));
        check(&[("host", "127.0.0.1:8420"), ("origin", "null")], Err(StatusCode::FORBIDDEN));
        check(&[("host", "127.0.0.1:8420"), ("origin", "http://127.0.0.1:1")], Err(StatusCode::FORBIDDEN));
        check(&[("host", "127.0.0.1:8420"), ("sec-fetch-site", "cross-site")], Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn only_with_the_key() {
        let access = Access::new(1, "0123");
        assert!(access.permit_key(&headers(&[("authorization", "Bearer 0123")])));
        for wrong in ["Bearer 0124", "Bearer 012", "Bearer 01234", "Bearer ", "0123", "Basic 0123"] {
            assert!(!access.permit_key(&headers(&[("authorization", wrong)])), "{wrong}");
        }
        assert!(!access.permit_key(&headers(&[])));
    }
}
