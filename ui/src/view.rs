//! Screens. One file each; [`shell`] holds them together.

pub(crate) mod add_meter;
pub(crate) mod flow;
pub(crate) mod found;
pub(crate) mod history;
pub(crate) mod home;
pub(crate) mod key_replacement;
pub(crate) mod keys;
pub(crate) mod line;
pub(crate) mod meter;
pub(crate) mod now;
pub(crate) mod pairing;
pub(crate) mod registration;
pub(crate) mod sharing;
pub(crate) mod shell;
pub(crate) mod wall;
pub(crate) mod words;
