//! The household over HTTP.
