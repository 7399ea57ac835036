//! The whole house from outside, and the simulated home that stands in for a household behind its meter.
//!
//! The simulated home is a pure function of a seed and an instant: it can start at any second, twice, on two machines, and
//! be the same home. It keeps its own registers exactly, so any total in the app can be checked to 1 Wh. It refuses to
//! know anything of the app: it speaks bytes on a port, as a meter does.
//!
//! [`home`] what the household uses and makes · [`meter`] what its meter says of it · [`faults`] what goes wrong on the
//! way · [`line`](mod@line) the port · [`simulator`] the four of them against a clock. The binary `simulated-home` is a thin shell
//! over [`simulator`].
#![expect(
    clippy::float_arithmetic,
    reason = "sun and weather are made up here, and nothing of them is ever a register"
)]

pub mod faults;
pub mod home;
pub mod line;
pub mod meter;
#[cfg(test)]
mod recognition;
pub mod simulator;
