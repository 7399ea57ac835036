//! The keys of one meter, what is kept until a key is known, and what was refused.

use contract::live::{MeterId, MeterState};
use contract::security::{KeyEpochState, KeySlot, SecurityEvent, SecurityEventKind};
use leptos::prelude::*;
use meter_link::health::KeyState;

use super::key_replacement::KeyReplacement;
use super::meter::{KeyEntry, needs_key};
use crate::format;
use crate::live::Live;
use crate::text::{text, with};

/// The block on a meter's page; empty for a meter that sends in clear and was never refused anything.
#[component]
pub(crate) fn Keys(
    /// Which meter.
    id: MeterId,
) -> impl IntoView {
    let live = expect_context::<Live>();
    // What the block shows, so that counts that move elsewhere do not redraw it under somebody who types.
    let is_shown = Memo::new(move |_| live.meter(id).is_some_and(|meter| seals(&meter)));
    let enters_above = Memo::new(move |_| live.meter(id).is_some_and(|meter| needs_key(meter.finding)));
    let keys = Memo::new(move |_| {
        live.meter(id).map(|meter| (meter.keys, meter.administration.is_some())).unwrap_or_default()
    });
    let notes = Memo::new(move |_| live.meter(id).map(|meter| notes(&meter, live.offset())).unwrap_or_default());
    view! {
        {move || is_shown.get().then(|| view! {
            <h2>{text("keys-title")}</h2>
            <div data-testid="meter-keys">
                {move || keys.with(|(keys, is_ours)| lines(keys, *is_ours, live.offset(), live.now.get_untracked())).into_iter().map(|line| view! { <p>{line}</p> }).collect_view()}
                {move || notes.get().into_iter().map(|(name, note)| view! { <p data-testid=name>{note}</p> }).collect_view()}
            </div>
            {move || (!enters_above.get()).then(|| view! {
                <details>
                    <summary data-testid="enter-new-key">{text("keys-enter")}</summary>
                    <p>{text("keys-enter-explained")}</p>
                    <KeyEntry id/>
                </details>
            })}
            <KeyReplacement id/>
        })}
    }
}

/// Whether the meter seals what it sends, or something that was sealed came.
fn seals(meter: &MeterState) -> bool {
    !meter.keys.is_empty()
        || meter.sealed_frames > 0
        || meter.health.key != KeyState::NotNeeded
        || meter.last_security_event.is_some()
}

/// A sentence for each key that is still there. `is_ours`: the household can replace them itself.
fn lines(keys: &[KeyEpochState], is_ours: bool, offset: i32, now: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for key in keys {
        let since = instant(key.since_utc_milliseconds, offset);
        match (key.state, key.last_used_utc_milliseconds) {
            (KeySlot::Current, Some(last)) => {
                let last = instant(last, offset);
                lines.push(with("keys-current", &[("date", since.into()), ("last", last.into())]));
            }
            (KeySlot::Current, None) => lines.push(with("keys-current-unproved", &[("date", since.into())])),
            (KeySlot::Next, _) => lines.push(with("keys-next", &[("date", since.into())])),
            (KeySlot::Previous, _) => lines.push(text("keys-previous")),
            (KeySlot::Retired, _) => (),
        }
        if let (KeySlot::Current, Some(end)) = (key.state, key.refused_from_utc_milliseconds) {
            let id = match (end <= now, is_ours) {
                (true, false) => "keys-ended",
                (true, true) => "keys-ended-ours",
                (false, false) => "keys-ending",
                (false, true) => "keys-ending-ours",
            };
            lines.push(with(id, &[("date", instant(end, offset).into())]));
        }
    }
    lines
}

/// What is kept, what is lost, what was refused; each with a name for tests.
fn notes(meter: &MeterState, offset: i32) -> Vec<(&'static str, String)> {
    let counted = |id: &'static str, count: u64| {
        let shown = format::grouped(count).into();
        let arguments = [("count", i64::try_from(count).unwrap_or(i64::MAX).into()), ("shown", shown)];
        (count > 0).then(|| (id, with(id, &arguments)))
    };
    let undetectable = meter.health.replay_undetectable;
    let last = meter.last_security_event;
    [
        counted("sealed-kept", meter.sealed_frames),
        counted("sealed-dropped", meter.sealed_frames_dropped),
        undetectable.then(|| ("replay-undetectable", text("replay-undetectable"))),
        counted("refused-today", meter.security_events_today),
        last.map(|event| ("refused-last", refused_last(event, offset))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn refused_last(event: SecurityEvent, offset: i32) -> String {
    let reason = match event.kind {
        SecurityEventKind::AuthenticationKeyWrong => "refusal-authentication-key-wrong",
        SecurityEventKind::KeyRetired => "refusal-key-retired",
        SecurityEventKind::KeyWrong => "refusal-key-wrong",
        SecurityEventKind::Replayed => "refusal-replayed",
        SecurityEventKind::SuiteEnded => "refusal-suite-ended",
        SecurityEventKind::TagMissing => "refusal-tag-missing",
        SecurityEventKind::TitleForeign => "refusal-title-foreign",
    };
    let date = instant(event.at_utc_milliseconds, offset);
    with("refused-last", &[("date", date.into()), ("reason", text(reason).into())])
}

/// A day and a time on the home's clock: `2 Mar, 14:05`.
pub(crate) fn instant(at: i64, offset: i32) -> String {
    let civil = format::civil(at, offset);
    let month = text(&format!("month-short-{}", civil.month));
    with(
        "date-time",
        &[("day", civil.day.to_string().into()), ("month", month.into()), ("clock", civil.short_clock().into())],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_refusal_are_plain_sentences() {
        crate::text::choose(&["en".to_owned()]);
        let at = 1_772_406_000_000;
        let key = |state, last| KeyEpochState {
            number: 1,
            suite: 0,
            since_utc_milliseconds: at,
            last_used_utc_milliseconds: last,
            state,
            refused_from_utc_milliseconds: Some(at),
        };
        let keys =
            [key(KeySlot::Current, Some(at + 60_000)), key(KeySlot::Previous, None), key(KeySlot::Retired, None)];
        assert_eq!(
            lines(&keys, false, 3_600, at),
            [
                "In use since 2 Mar, 00:00. Last used: 2 Mar, 00:01.",
                "Keys of this kind ended on 2 Mar, 00:00. Nothing sealed with them is counted. Ask your grid company for a \
                 longer one.",
                "The key before it is kept as well, and no longer counts.",
            ]
        );
        let event = SecurityEvent { at_utc_milliseconds: at, kind: SecurityEventKind::Replayed };
        assert_eq!(refused_last(event, 3_600), "The last one, on 2 Mar, 00:00: it had been counted before.");
    }
}
