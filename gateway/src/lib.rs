//! The household's host: runs its meters, and hands it over HTTP to browsers.
//!
//! Knows links, processes, sockets and clocks; holds no rule about energy.

pub mod access;
pub mod http;
pub mod meters;
pub mod options;
pub mod page;
mod pairing;
mod replacement;
mod search;
