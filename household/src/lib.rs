//! One home.
