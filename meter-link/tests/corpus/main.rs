//! Every public frame of the corpus beside the project, where it is there: one file per family, as in the corpus.
//!
//! The project's own captures cover each variant without it.

#![expect(clippy::print_stdout, reason = "how many cases were right is what a person asks of these tests")]

mod bridge;
mod d0;
mod dlms;
mod dlms_client;
mod p1;
mod raven;
mod sep2;
mod sml;
mod support;
mod tic;
