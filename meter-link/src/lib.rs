//! Bytes from a household's meter to exact readings.
//!
//! The core is sans-IO and sans-clock: it takes bytes, values and `now`, and gives frames, telegrams and readings. With
//! no feature it builds for wasm32 and is what the user interface shares with the backend. Only [`link`] opens ports, and
//! only `meter` reads a clock.
//!
//! Features: `client` adds `dlms_client`, which asks meters over DLMS/COSEM, and brings elliptic curves for it; with
//! `serial` or `tcp` it adds `meter::asked`; `serial`, `tcp`, `file` and `http` (network meters and bridges) each add one
//! link; `task` (switched on by them) adds `meter`, which joins a link and a protocol.

pub mod bridge;
pub mod checksum;
pub mod civil;
pub mod country;
pub mod d0;
pub mod decimal;
pub mod decoder;
pub mod diagnosis;
pub mod dlms;
#[cfg(feature = "client")]
pub mod dlms_client;
pub mod error;
pub mod health;
pub mod link;
pub mod meaning;
#[cfg(feature = "task")]
pub mod meter;
pub mod name;
pub mod obis;
pub mod p1;
pub mod parity;
pub mod raven;
pub mod reading;
pub mod sealed;
pub mod security;
pub mod sep2;
pub mod sml;
pub mod standing;
pub mod sunspec;
pub mod tic;
pub mod units;
mod xml;
