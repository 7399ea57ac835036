//! Replacing the keys of a meter that the household administers: how it stands, and the form that begins it.

use contract::calls::{ReplaceMeterKeys, Secret, StopKeyReplacement};
use contract::live::MeterId;
use contract::security::{
    KeyReplacementStage, KeyReplacementState, KeyReplacementTrouble, KeySlot, MasterKey, ReplacedKeys,
};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::keys::instant;
use crate::backend;
use crate::live::Live;
use crate::text::{text, with};

/// The part of a meter's page; empty for a meter whose keys cannot be replaced from here.
#[component]
pub(crate) fn KeyReplacement(
    /// Which meter.
    id: MeterId,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let administration = Memo::new(move |_| live.meter(id).and_then(|meter| meter.administration));
    let standing = Memo::new(move |_| administration.get().and_then(|of| of.replacement));
    let is_open = Memo::new(move |_| standing.get().is_some_and(|state| state.is_open()));
    let (refused, set_refused) = signal(None::<String>);
    let stop = move |_| {
        spawn_local(async move {
            let answer = backend::call(StopKeyReplacement { meter: id }).await;
            set_refused.set(answer.err().map(|error| super::home::refusal(&error)));
        });
    };
    view! {
        {move || administration.get().is_some().then(|| view! {
            <h2>{text("replace-title")}</h2>
            <div role="status" data-testid="replacement" data-stage=move || standing.get().map(|state| stage(state.stage))>
                {move || standing.get().map(|state| sentences(&state, live.offset(), live.now.get_untracked())
                    .into_iter().map(|sentence| view! { <p>{sentence}</p> }).collect_view())}
            </div>
            <p class="broken" role="alert">{move || refused.get()}</p>
            {move || standing.get().filter(|state| state.stage == KeyReplacementStage::Pending).map(|_| view! {
                <button data-testid="stop-replacement" on:click=stop>{text("replace-stop")}</button>
            })}
            {move || (!is_open.get()).then(|| view! { <Form id/> })}
        })}
    }
}

/// Which keys, and what wraps them.
#[component]
fn Form(id: MeterId) -> impl IntoView {
    let live = expect_context::<Live>();
    // Read once: a form does not change under somebody who types.
    let meter = live.meter(id);
    let is_kept = meter
        .as_ref()
        .and_then(|meter| meter.administration)
        .is_some_and(|administration| administration.master_key_kept);
    let current = meter.and_then(|meter| meter.keys.into_iter().find(|key| key.state == KeySlot::Current));
    let kind = current.map(|key| {
        with("replace-kind", &[("number", i64::from(key.number).into()), ("suite", i64::from(key.suite).into())])
    });
    let (master, set_master) = signal(String::new());
    let (signing, set_signing) = signal(String::new());
    let (public, set_public) = signal(String::new());
    let (keys, set_keys) = signal(ReplacedKeys::Both);
    let (refused, set_refused) = signal(None::<String>);
    let begin = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let plain = |text: String| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let (master, signing, public) =
            (plain(master.get_untracked()), plain(signing.get_untracked()), plain(public.get_untracked()));
        let master_key = match (signing.is_empty() && public.is_empty(), master.is_empty() && is_kept) {
            (false, _) => MasterKey::Agreed { signing_key: Secret(signing), meter_public_key: public },
            (true, true) => MasterKey::Kept,
            (true, false) => MasterKey::Given(Secret(master)),
        };
        let request = ReplaceMeterKeys { meter: id, keys: keys.get_untracked(), master_key };
        spawn_local(async move {
            let answer = backend::call(request).await;
            set_refused.set(answer.err().map(|error| super::home::refusal(&error)));
        });
    };
    let choice = move |value: ReplacedKeys, label: &'static str| {
        view! {
            <label class="check">
                <input type="radio" name="replaced-keys" checked=value == ReplacedKeys::Both on:change=move |_| set_keys.set(value)/>
                {text(label)}
            </label>
        }
    };
    view! {
        <details>
            <summary data-testid="replace-keys">{text("replace-begin")}</summary>
            <p>{text("replace-explained")}</p>
            <form on:submit=begin>
                <label>{text(if is_kept { "replace-master-kept" } else { "replace-master" })}
                    <input type="text" autocomplete="off" spellcheck="false" maxlength="96" data-testid="master-key"
                        on:input=move |event| set_master.set(event_target_value(&event))/>
                </label>
                <details>
                    <summary data-testid="replace-more">{text("replace-more")}</summary>
                    <p class="quiet">{kind}</p>
                    <fieldset>
                        <legend>{text("replace-which")}</legend>
                        {choice(ReplacedKeys::Both, "replace-both")}
                        {choice(ReplacedKeys::Unicast, "replace-unicast")}
                        {choice(ReplacedKeys::Authentication, "replace-authentication")}
                        {choice(ReplacedKeys::Master, "replace-all")}
                    </fieldset>
                    <p>{text("replace-agree")}</p>
                    <label>{text("replace-signing")}
                        <input type="text" autocomplete="off" spellcheck="false" data-testid="signing-key"
                            on:input=move |event| set_signing.set(event_target_value(&event))/>
                    </label>
                    <label>{text("replace-public")}
                        <input type="text" autocomplete="off" spellcheck="false" data-testid="public-key"
                            on:input=move |event| set_public.set(event_target_value(&event))/>
                    </label>
                </details>
                <p class="broken" role="alert">{move || refused.get()}</p>
                <button type="submit" data-testid="replace-now">{text("replace-now")}</button>
            </form>
        </details>
    }
}

/// How it stands: what happened, what is kept, and what to do.
fn sentences(state: &KeyReplacementState, offset: i32, now: i64) -> Vec<String> {
    let date = |at: i64| [("date", instant(at, offset).into())];
    let mut sentences =
        vec![with(&format!("replace-stage-{}", stage(state.stage)), &date(state.reached_utc_milliseconds))];
    sentences.extend(state.trouble.map(|trouble| text(&format!("replace-trouble-{}", self::trouble(trouble)))));
    sentences.extend(state.refused_from_utc_milliseconds.map(|end| {
        let id = if end <= now { "replace-suite-ended" } else { "replace-suite-ending" };
        with(id, &date(end))
    }));
    sentences
}

/// A stage's name in texts and tests.
const fn stage(stage: KeyReplacementStage) -> &'static str {
    match stage {
        KeyReplacementStage::Pending => "pending",
        KeyReplacementStage::Sent => "sent",
        KeyReplacementStage::Verified => "verified",
        KeyReplacementStage::Active => "active",
        KeyReplacementStage::RolledBack => "rolled-back",
    }
}

const fn trouble(trouble: KeyReplacementTrouble) -> &'static str {
    match trouble {
        KeyReplacementTrouble::AgreementRefused => "agreement-refused",
        KeyReplacementTrouble::KeysRefused => "keys-refused",
        KeyReplacementTrouble::MasterKeyWrong => "master-key-wrong",
        KeyReplacementTrouble::MeterRefuses => "meter-refuses",
        KeyReplacementTrouble::MeterSilent => "meter-silent",
        KeyReplacementTrouble::SecretsUnavailable => "secrets-unavailable",
        KeyReplacementTrouble::Stopped => "stopped",
        KeyReplacementTrouble::SuiteEnded => "suite-ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_and_each_trouble_has_a_sentence_in_each_language() {
        let stages = [
            KeyReplacementStage::Pending,
            KeyReplacementStage::Sent,
            KeyReplacementStage::Verified,
            KeyReplacementStage::Active,
            KeyReplacementStage::RolledBack,
        ];
        let troubles = [
            KeyReplacementTrouble::AgreementRefused,
            KeyReplacementTrouble::KeysRefused,
            KeyReplacementTrouble::MasterKeyWrong,
            KeyReplacementTrouble::MeterRefuses,
            KeyReplacementTrouble::MeterSilent,
            KeyReplacementTrouble::SecretsUnavailable,
            KeyReplacementTrouble::Stopped,
            KeyReplacementTrouble::SuiteEnded,
        ];
        for language in ["en", "de", "nl"] {
            crate::text::choose(&[language.to_owned()]);
            for (stage, trouble) in stages.iter().flat_map(|stage| troubles.iter().map(move |trouble| (stage, trouble)))
            {
                let state = KeyReplacementState {
                    keys: ReplacedKeys::Both,
                    stage: *stage,
                    since_utc_milliseconds: 0,
                    reached_utc_milliseconds: 1_772_406_000_000,
                    suite: Some(0),
                    refused_from_utc_milliseconds: Some(1),
                    trouble: Some(*trouble),
                };
                let sentences = sentences(&state, 3_600, 2);
                assert_eq!(sentences.len(), 3);
                assert!(sentences.iter().all(|sentence| sentence.ends_with('.')), "{language}: {sentences:?}");
            }
        }
    }

    #[test]
    fn what_broke_is_said_with_what_is_kept_and_what_to_do() {
        crate::text::choose(&["en".to_owned()]);
        let state = KeyReplacementState {
            keys: ReplacedKeys::Both,
            stage: KeyReplacementStage::Sent,
            since_utc_milliseconds: 0,
            reached_utc_milliseconds: 1_772_406_000_000,
            suite: Some(1),
            refused_from_utc_milliseconds: None,
            trouble: Some(KeyReplacementTrouble::MeterSilent),
        };
        assert_eq!(
            sentences(&state, 3_600, 0),
            [
                "The new keys are on their way since 2 Mar, 00:00. The meter may use the old ones or the new ones; both are \
                 kept.",
                "The meter does not answer. It is tried again by itself. Check its power and its connection.",
            ]
        );
    }
}
