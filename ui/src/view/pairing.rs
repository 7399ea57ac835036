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
use super::registration::Registration;
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
    /// The numbers of its label, and what became of those that it was shown.
    Label(Option<LinkProblem>),
    /// The same, because it may be another one than the one that was paired.
    LabelAnew,
    /// A user and a password.
    Login,
    /// A place for what it gave.
    NotKept,
    /// A password alone.
    Password,
    /// Another password than the one it was given.
    PasswordAgain,
    /// A press of its button.
    Press,
    /// To be told of this home by the utility.
    Registration,
    /// To be told that it may be another one than the one that was paired.
    TrustAnew,
}

impl Wanted {
    /// What a meter's device wants. `None`: nothing of the kind.
    pub(crate) fn of(meter: &MeterState) -> Option<Self> {
        let proof = proof(&meter.address);
        Some(match (meter.pairing, meter.finding) {
            (Some(PairingState::Asking), _) => Self::Asking,
            (Some(PairingState::Button { .. }), _) => Self::Press,
            (Some(PairingState::Failed { problem }), _) if proof == Proof::Label => Self::Label(Some(problem)),
            (Some(PairingState::Failed { problem }), _) => Self::Failed(problem),
            (Some(PairingState::NotKept), _) => Self::NotKept,
            (Some(PairingState::Registration { .. }), _) => Self::Registration,
            (None, Finding::PairingNeeded) => match proof {
                Proof::Button => Self::Button,
                Proof::Certificate => Self::Registration,
                Proof::Label => Self::Label(None),
                Proof::Login => Self::Login,
                Proof::Nothing => return None,
                Proof::Password => Self::Password,
            },
            (None, Finding::PasswordWrong) if proof == Proof::Password => Self::PasswordAgain,
            (None, Finding::Untrusted) => match proof {
                Proof::Button | Proof::Certificate => Self::TrustAnew,
                Proof::Label => Self::LabelAnew,
                Proof::Login | Proof::Nothing | Proof::Password => return None,
            },
            _ => return None,
        })
    }

    /// Whether it takes the place of the finding and what to check.
    pub(crate) const fn speaks_for_itself(self) -> bool {
        !matches!(self, Self::LabelAnew | Self::PasswordAgain | Self::TrustAnew)
    }

    /// Whether somebody stands at the device now; nothing else should be on the screen.
    pub(crate) const fn is_urgent(self) -> bool {
        matches!(self, Self::Asking | Self::Press)
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
    let block = match wanted {
        Wanted::Asking => view! {
            <p class="large" data-testid="pair-asking">{text("pair-asking")}</p>
            <p>{give_up("pair-give-up")}</p>
        }
        .into_any(),
        Wanted::Button => view! {
            <Said name="pair-button"/>
            <p>{begin("pair-begin", false)}</p>
        }
        .into_any(),
        Wanted::Failed(problem) => view! {
            {failure(problem, true)}
            <p class="acts">{match problem {
                LinkProblem::Untrusted => (begin("pair-trust-anew", true), give_up("pair-not-mine")),
                _ => (begin("pair-again", false), give_up("pair-later")),
            }}</p>
        }
        .into_any(),
        Wanted::Label(problem) => view! {
            {match problem {
                None => view! { <Said name="label-needed"/> }.into_any(),
                Some(LinkProblem::PairingNeeded) => view! { <Said name="label-wrong"/> }.into_any(),
                Some(problem) => failure(problem, false),
            }}
            <Entry id names=Some(("label-cloud-id", "label-install-code"))/>
        }
        .into_any(),
        Wanted::LabelAnew => view! {
            <p>{text("label-anew")}</p>
            <Entry id names=Some(("label-cloud-id", "label-install-code"))/>
        }
        .into_any(),
        Wanted::Login => view! {
            <Said name="login-needed"/>
            <Entry id names=Some(("login-user", "login-password"))/>
        }
        .into_any(),
        Wanted::NotKept => view! {
            <Said name="pair-not-kept"/>
            <p class="acts">{begin("pair-again", false)} {give_up("pair-later")}</p>
        }
        .into_any(),
        Wanted::Password => view! {
            <Said name="password-needed"/>
            <Entry id names=None/>
        }
        .into_any(),
        Wanted::PasswordAgain => view! { <Entry id names=None/> }.into_any(),
        Wanted::Press => view! {
            <Countdown id/>
            <p>{give_up("pair-give-up")}</p>
        }
        .into_any(),
        Wanted::Registration => view! { <Registration id/> }.into_any(),
        Wanted::TrustAnew => view! { <p>{begin("pair-trust-anew", true)}</p> }.into_any(),
    };
    view! {
        <div class="pairing">{block}</div>
        <p class="broken" role="alert">{move || refused.get()}</p>
    }
}

/// A sentence, and what to do next.
#[component]
fn Said(
    /// Of the text and of its second part, `…-more`; and the mark that tests find it by.
    name: &'static str,
) -> impl IntoView {
    view! {
        <p class="large" data-testid=name>{text(name)}</p>
        <p class="check">{text(&format!("{name}-more"))}</p>
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

/// What a pairing without success means, and what to do next; older ones may have no button to pair with.
fn failure(problem: LinkProblem, has_older: bool) -> AnyView {
    match problem {
        LinkProblem::PairingNeeded => view! { <Said name="pair-not-pressed"/> }.into_any(),
        LinkProblem::Untrusted => view! { <Said name="pair-untrusted"/> }.into_any(),
        _ => {
            use LinkProblem::{Closed, NotFound, Refused, Silent, Unrecognised};
            let more = match problem {
                Closed | Refused | Unrecognised if has_older => text("pair-older"),
                // Unlike a link, a pairing is not tried again by itself.
                Closed | NotFound | Refused | Silent | Unrecognised => text("pair-unreachable"),
                _ => text(&format!("check-{}", finding(problem))),
            };
            view! {
                <p class="large" data-testid="pair-failed">{text(&format!("finding-{}", finding(problem)))}</p>
                <p class="check">{more}</p>
            }
            .into_any()
        }
    }
}

/// The name of what is said of a link with this problem.
pub(super) fn finding(problem: LinkProblem) -> &'static str {
    words::finding(diagnose(&Health { problem: Some(problem), ..Health::default() }))
}

/// Takes a user and a password, the numbers of a label, or a password alone.
#[component]
fn Entry(
    id: MeterId,
    /// What the two are called here; `None`: a password alone.
    names: Option<(&'static str, &'static str)>,
) -> impl IntoView {
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
    let (user_name, password_name) = names.unwrap_or(("login-user", "login-password"));
    // The numbers of a label are read off while they are typed; a password is nobody's to read.
    let (kind, keep_name) = match password_name {
        "login-password" => ("password", "login-keep"),
        _ => ("text", "label-keep"),
    };
    view! {
        <form on:submit=keep>
            {names.map(|_| view! { <label>{text(user_name)}
                <input type="text" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="128" data-testid="login-user"
                    on:input=move |event| set_user.set(event_target_value(&event))/>
            </label> })}
            <label>{text(password_name)}
                <input type=kind autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="320" data-testid="login-password"
                    on:input=move |event| set_password.set(event_target_value(&event))/>
            </label>
            <p class="broken" role="alert">{move || refused.get()}</p>
            <button type="submit" data-testid="login-keep">{text(keep_name)}</button>
        </form>
    }
}

#[cfg(test)]
mod tests {
    use contract::live::Role;

    use super::*;

    fn meter(address: &str, finding: Finding, pairing: Option<PairingState>) -> MeterState {
        MeterState {
            id: MeterId(1),
            name: String::new(),
            address: address.to_owned(),
            role: Role::Connection,
            health: Health::default(),
            finding,
            keys: Vec::new(),
            security_events_today: 0,
            last_security_event: None,
            sealed_frames: 0,
            sealed_frames_dropped: 0,
            administration: None,
            pairing,
            lfdi: None,
        }
    }

    #[test]
    fn each_device_asks_for_what_it_wants_and_no_other() {
        for (address, needed, untrusted) in [
            ("homewizard2://p1.lan", Some(Wanted::Button), Some(Wanted::TrustAnew)),
            ("eagle://eagle.lan", Some(Wanted::Label(None)), Some(Wanted::LabelAnew)),
            ("sep2://meter.lan", Some(Wanted::Registration), Some(Wanted::TrustAnew)),
            ("glow://glow.lan", Some(Wanted::Login), None),
            ("dlms://meter.lan?security=low", Some(Wanted::Password), None),
            ("shelly://shelly.lan", None, None),
        ] {
            let of = |finding| Wanted::of(&meter(address, finding, None));
            assert_eq!(of(Finding::PairingNeeded), needed, "{address}");
            assert_eq!(of(Finding::Untrusted), untrusted, "{address}");
            assert_eq!(of(Finding::Fine), None, "{address}");
        }
        let wrong = Wanted::of(&meter("dlms://meter.lan?security=low", Finding::PasswordWrong, None));
        assert_eq!(wrong, Some(Wanted::PasswordAgain), "what was wrong is said, and asked for again");
    }

    #[test]
    fn a_pairing_that_goes_on_speaks_before_any_finding() {
        let problem = LinkProblem::PairingNeeded;
        let of = |address: &str, pairing| Wanted::of(&meter(address, Finding::Fine, Some(pairing)));
        let failed = PairingState::Failed { problem };
        assert_eq!(of("homewizard2://p1.lan", failed), Some(Wanted::Failed(problem)));
        assert_eq!(of("eagle://eagle.lan", failed), Some(Wanted::Label(Some(problem))));
        let press = of("homewizard2://p1.lan", PairingState::Button { seconds_left: 9 });
        assert!(press.is_some_and(Wanted::is_urgent));
    }
}
