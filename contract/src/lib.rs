//! The border between what people see and what keeps the home: calls, replies, notices, errors.
//!
//! One list ([`calls`]) gives every call its name, the scope it needs, its request and its reply. Both carriers (the
//! window's IPC and HTTP) carry the same JSON text. A leaf that builds for wasm32; it holds no rule about energy.

pub mod calls;
pub mod error;
pub mod history;
pub mod live;
pub mod notice;
pub mod pairing;
pub mod scope;
pub mod security;
