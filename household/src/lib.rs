//! One home: what is recorded, what is asked of it, and where its secrets are.
//!
//! The only crate that knows SQLite, and the only one that knows rules about energy. Knows neither HTTP nor Tauri. One
//! thread writes ([`recorder`]); it commits before it announces.

pub mod archive;
pub mod books;
pub mod calendar;
pub mod history;
pub mod home;
pub mod key_policy;
pub mod live;
pub mod recorder;
pub mod secrets;
pub mod store;
