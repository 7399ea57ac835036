//! What people see: one wasm file for the window and the browser.
//!
//! Shares only `contract` with the backend. Numbers stay exact integers until [`format`]; floats exist only in [`chart`].
//! Everything of the browser is behind [`backend`] and [`chart`].
#![expect(unreachable_pub, reason = "the component macro writes plain pub")]

mod backend;
mod chart;
mod device;
mod format;
mod live;
mod route;
mod text;
mod view;

fn main() {
    backend::browser::show_panics();
    text::choose(&backend::browser::languages());
    leptos::mount::mount_to_body(view::shell::Shell);
}
