//! The client against a meter that others' codecs speak for: `peers/dlms_meter.py`, on the package `dlms-cosem`.
//!
//! Needs Python with that package: `WATTLE_DLMS_PYTHON`, or `wattle/peers` in the user's cache. Where it is not there each
//! test says on its closing line that it did not run.

#![expect(clippy::print_stdout, reason = "what did not run is to be said")]

mod asked;
mod peer;
mod replacement;
mod session;
mod task;
