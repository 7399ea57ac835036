//! On the wall: one number, one sentence, the line. Dims at night, moves a little every minute so that nothing burns in.

use leptos::prelude::*;

use super::line::Line;
use super::now::{Age, Hero, go_now};
use crate::backend::browser;
use crate::format;
use crate::live::Live;
use crate::text::text;

/// The screen.
#[component]
pub(crate) fn Wall() -> impl IntoView {
    let live = expect_context::<Live>();
    let minute = Memo::new(move |_| live.now.get() / 60_000);
    let (awake_until, set_awake_until) = signal(0_i64);
    let night = Memo::new(move |_| {
        let hour = format::civil(live.now.get(), live.offset()).hour;
        !(6..22).contains(&hour) && live.now.get() > awake_until.get()
    });
    // One pixel a minute around a square of four by four.
    let shift = move || {
        let step = minute.get().rem_euclid(16);
        format!("translate({}px, {}px)", step % 4 - 2, step / 4 - 2)
    };
    on_cleanup(|| browser::fill_screen(false));
    view! {
        <section class="wall" class:night=move || night.get() style:transform=shift
            on:click=move |_| {
                set_awake_until.set(live.now.get_untracked() + 60_000);
                browser::fill_screen(true);
            }>
            <header class="top"><Age/></header>
            <Hero/>
            <Line/>
            <p class="quiet">
                {move || format::civil(live.now.get(), live.offset()).short_clock()}
                " · "
                <button class="plain" on:click=move |_| go_now()>{text("wall-close")}</button>
            </p>
        </section>
    }
}
