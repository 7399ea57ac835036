//! The only error that a screen sees.

use serde::{Deserialize, Serialize};

/// A refused or unsuccessful call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// What the screen decides by.
    pub code: ErrorCode,
    /// What happened, for a log or a developer; lower case, no secrets. Screens show their own words for the code.
    pub message: String,
    /// The part of the request it is about, where there is one.
    pub detail: Option<String>,
}

/// Codes exist only where a screen behaves differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The same thing is there already.
    AlreadyThere,
    /// It is being done already, and has to end first.
    Busy,
    /// The session may not do this.
    Forbidden,
    /// The request makes no sense; `detail` names the field.
    Invalid,
    /// The thing named does not exist (any more).
    NotFound,
    /// The place that keeps secrets is locked or gone.
    SecretsUnavailable,
    /// The database cannot be read or written; nothing is lost, but nothing is recorded either.
    StoreUnavailable,
    /// This host cannot do that; ask for another way.
    Unsupported,
    /// No connection to the backend; only carriers use it.
    Unreachable,
}

impl CallError {
    /// An error without detail.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None }
    }

    /// A request that makes no sense in `field`.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { code: ErrorCode::Invalid, message: message.into(), detail: Some(field.to_owned()) }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for CallError {}
