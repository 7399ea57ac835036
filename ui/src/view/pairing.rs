//! What a device wants before it answers: a press of its button, the numbers of its label, a user, a registration.
//!
//! One act at a time, and always a way to give it up. Waiting for a person or a utility is a state, not a fault.

use contract::calls::{PairMeter, Secret, SetMeterLogin, StopPairing};
use contract::live::{MeterId, MeterState};
use contract::pairing::PairingState;
use leptos::prelude::*;
use leptos::task::spawn_local;
use meter_link::bridge::Proof;
use meter_link::diagnosis::{Finding, diagnose};
use meter_link::health::{Health, LinkProblem};

use super::home::refusal;
use super::words;
use crate::backend;
use crate::device::proof;
use crate::live::Live;
use crate::text::text;

/// So long a device is asked after its pairing has begun.
const WINDOW_SECONDS: u64 = 30;

/// What a meter's device wants, as far as a person has to do something about it or to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A moment.
    Asking,
    /// Somebody who goes to it and says so.
    Button,
    /// To be tried again.
    Failed(LinkProblem),
    /// A user and a password.
    Login,
    /// A place for what it gave.
    NotKept,
    /// A password alone.
    Password,
    /// A press of its button.
    Press,
    /// To be told that it may be another one than the one that was paired.
    TrustAnew,
}

impl Wanted {
    /// What a meter's device wants. `None`: nothing of the kind.
    pub(crate) fn of(meter: &MeterState) -> Option<Self> {
        match (meter.pairing, meter.finding, proof(&meter.address)) {
            (Some(PairingState::Asking), ..) => Some(Self::Asking),
            (Some(PairingState::Button { .. }), ..) => Some(Self::Press),
            (Some(PairingState::Failed { problem }), ..) => Some(Self::Failed(problem)),
            (Some(PairingState::NotKept), ..) => Some(Self::NotKept),
            (None, Finding::PairingNeeded, Proof::Button) => Some(Self::Button),
            (None, Finding::PairingNeeded, Proof::Login) => Some(Self::Login),
            (None, Finding::PairingNeeded, Proof::Password) => Some(Self::Password),
            (None, Finding::Untrusted, Proof::Button) => Some(Self::TrustAnew),
            _ => None,
        }
    }

    /// Whether it takes the place of the finding and what to check.
    pub(crate) const fn speaks_for_itself(self) -> bool {
        !matches!(self, Self::TrustAnew)
    }
}

/// The block that asks for it.
#[component]
pub(crate) fn Pairing(
    /// Which meter.
    id: MeterId,
    /// What it wants.
    wanted: Wanted,
) -> impl IntoView {
    let (refused, set_refused) = signal(None::<String>);
    let pair = move |trust_anew: bool| {
        spawn_local(async move {
            let answer = backend::call(PairMeter { meter: id, trust_anew }).await;
            set_refused.set(answer.err().map(|error| refusal(&error)));
        });
    };
    let stop = move || {
        spawn_local(async move {
            let answer = backend::call(StopPairing { meter: id }).await;
            set_refused.set(answer.err().map(|error| refusal(&error)));
        });
    };
    let begin = move |label: &'static str, trust_anew: bool| {
        view! { <button data-testid="pair-begin" on:click=move |_| pair(trust_anew)>{text(label)}</button> }
    };
    let give_up = move |label: &'static str| {
        view! { <button class="plain" data-testid="pair-stop" on:click=move |_| stop()>{text(label)}</button> }
    };
    let said = move |mark: &'static str, words: String, more: String| {
        view! {
            <p class="large" data-testid=mark>{words}</p>
            <p class="check">{more}</p>
        }
    };
    let block = match wanted {
        Wanted::Button => view! {
            {said("pair-button", text("pair-button"), text("pair-button-more"))}
            <p>{begin("pair-begin", false)}</p>
        }
        .into_any(),
        Wanted::Asking => view! {
            <p class="large" data-testid="pair-asking">{text("pair-asking")}</p>
            <p>{give_up("pair-give-up")}</p>
        }
        .into_any(),
        Wanted::Press => view! {
            <Countdown id/>
            <p>{give_up("pair-give-up")}</p>
        }
        .into_any(),
        Wanted::Failed(LinkProblem::Untrusted) => view! {
            {said("pair-untrusted", text("pair-untrusted"), text("pair-untrusted-more"))}
            <p class="acts">{begin("pair-trust-anew", true)} {give_up("pair-not-mine")}</p>
        }
        .into_any(),
        Wanted::Failed(problem) => {
            let mark = if problem == LinkProblem::PairingNeeded { "pair-not-pressed" } else { "pair-failed" };
            let (words, more) = failure(problem);
            view! {
                {said(mark, words, more)}
                <p class="acts">{begin("pair-again", false)} {give_up("pair-later")}</p>
            }
            .into_any()
        }
        Wanted::NotKept => view! {
            {said("pair-not-kept", text("pair-not-kept"), text("pair-not-kept-more"))}
            <p class="acts">{begin("pair-again", false)} {give_up("pair-later")}</p>
        }
        .into_any(),
        Wanted::Login => view! {
            {said("login-needed", text("login-needed"), text("login-needed-more"))}
            <Login id has_user=true/>
        }
        .into_any(),
        Wanted::Password => view! {
            {said("login-needed", text("password-needed"), text("password-needed-more"))}
            <Login id has_user=false/>
        }
        .into_any(),
        Wanted::TrustAnew => view! { <p>{begin("pair-trust-anew", true)}</p> }.into_any(),
    };
    view! {
        <div class="pairing">{block}</div>
        <p class="broken" role="alert">{move || refused.get()}</p>
    }
}

/// The seconds that are left to press a button. A screen reader hears what to do once, not every second.
#[component]
fn Countdown(id: MeterId) -> impl IntoView {
    let live = expect_context::<Live>();
    let left = Memo::new(move |_| match live.meter(id)?.pairing {
        Some(PairingState::Button { seconds_left }) => Some(seconds_left),
        _ => None,
    });
    let share = move || left.get().unwrap_or(0).min(WINDOW_SECONDS) * 100 / WINDOW_SECONDS;
    view! {
        <p class="large" role="status">{text("pair-press")}</p>
        <p class="countdown" aria-hidden="true">
            <span data-testid="pair-seconds">{move || left.get().map(|left| left.to_string())}</span>
            " " <span class="unit">{text("pair-seconds-left")}</span>
        </p>
        <p class="remaining" aria-hidden="true"><span style:width=move || format!("{}%", share())></span></p>
    }
}

/// What a pairing without success means, and what to do next.
fn failure(problem: LinkProblem) -> (String, String) {
    if problem == LinkProblem::PairingNeeded {
        return (text("pair-not-pressed"), text("pair-not-pressed-more"));
    }
    // The same words that are said of a link with this problem.
    let finding = words::finding(diagnose(&Health { problem: Some(problem), ..Health::default() }));
    let more = match problem {
        LinkProblem::Closed | LinkProblem::Refused | LinkProblem::Unrecognised => text("pair-older"),
        _ => text(&format!("check-{finding}")),
    };
    (text(&format!("finding-{finding}")), more)
}

/// Takes a user and a password, or a password alone.
#[component]
fn Login(id: MeterId, has_user: bool) -> impl IntoView {
    let (user, set_user) = signal(String::new());
    let (password, set_password) = signal(String::new());
    let (refused, set_refused) = signal(None::<String>);
    let keep = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let user = Secret(user.get_untracked().trim().to_owned());
        let request = SetMeterLogin { meter: id, user, password: Secret(password.get_untracked()) };
        spawn_local(async move {
            let answer = backend::call(request).await;
            set_refused.set(answer.err().map(|error| refusal(&error)));
        });
    };
    view! {
        <form on:submit=keep>
            {has_user.then(|| view! { <label>{text("login-user")}
                <input type="text" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="128" data-testid="login-user"
                    on:input=move |event| set_user.set(event_target_value(&event))/>
            </label> })}
            <label>{text("login-password")}
                <input type="password" autocomplete="off" maxlength="128" data-testid="login-password"
                    on:input=move |event| set_password.set(event_target_value(&event))/>
            </label>
            <p class="broken" role="alert">{move || refused.get()}</p>
            <button type="submit" data-testid="login-keep">{text("login-keep")}</button>
        </form>
    }
}
