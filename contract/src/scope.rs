//! What a session may do. Every call names the one scope it needs.

use serde::{Deserialize, Serialize};

/// One right of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Add, change and remove meters.
    Install,
    /// See everything the home keeps.
    Look,
    /// Change the home itself.
    Own,
}

/// The rights of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(&'static [Scope]);

impl Scopes {
    /// A session without rights.
    pub const NONE: Self = Self(&[]);
    /// Someone who lives here and only looks.
    pub const VIEWER: Self = Self(&[Scope::Look]);
    /// The owner at the home's own window or with the link that Wattle printed.
    pub const OWNER: Self = Self(&[Scope::Install, Scope::Look, Scope::Own]);

    /// Whether the session holds this right.
    pub fn allow(self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }
}
