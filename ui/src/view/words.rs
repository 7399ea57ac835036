//! Sentences made of what is measured, the same on every screen that says them.

use contract::live::Latest;
use meter_link::diagnosis::Finding;
use meter_link::units::Milliwatts;

use crate::format::{self, Civil};
use crate::text::{decimal_sign, text, with};

/// Where power goes at the connection point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the grid.
    Export,
    /// From the grid.
    Import,
    /// Neither.
    Even,
}

/// Which way a net power goes.
pub(crate) fn way(power: Milliwatts) -> Way {
    match power.count() {
        // Half a watt either way reads as zero.
        500.. => Way::Import,
        ..=-500 => Way::Export,
        _ => Way::Even,
    }
}

/// The one sentence that says it all.
pub(crate) fn sentence(power: Milliwatts, generation: Option<Milliwatts>) -> String {
    let say = |power: Milliwatts| format::power(power, decimal_sign()).joined();
    let made = generation.map(|made| made.magnitude());
    match (way(power), made.filter(|made| made.count() >= 500)) {
        (Way::Import, None) => with("now-taking", &[("power", say(power).into())]),
        (Way::Export, None) => with("now-giving", &[("power", say(power).into())]),
        (Way::Even, None) => text("now-even"),
        (Way::Import, Some(made)) => {
            with("now-making-taking", &[("made", say(made).into()), ("power", say(power).into())])
        }
        (Way::Export, Some(made)) => {
            let used = Milliwatts::saturating(made.count() + power.count());
            let arguments = [("made", say(made).into()), ("used", say(used).into()), ("power", say(power).into())];
            with("now-making-giving", &arguments)
        }
        (Way::Even, Some(_)) => text("now-own"),
    }
}

/// Net power of a reading, if it has one.
pub(crate) fn power(latest: Option<&Latest>) -> Option<Milliwatts> {
    latest.and_then(|latest| latest.power_milliwatts)
}

/// An age in the largest unit that fits: `2 s`, `3 min`, `5 h`, `2 days`.
pub(crate) fn age(milliseconds: i64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        ..100 => with("age-seconds", &[("count", seconds.into())]),
        100..5_400 => with("age-minutes", &[("count", ((seconds + 30) / 60).into())]),
        5_400..172_800 => with("age-hours", &[("count", ((seconds + 1_800) / 3_600).into())]),
        _ => with("age-days", &[("count", ((seconds + 43_200) / 86_400).into())]),
    }
}

/// A civil day: `Monday 23 November 2026`.
pub(crate) fn day(civil: Civil) -> String {
    with(
        "date-day",
        &[
            ("weekday", text(&format!("weekday-{}", civil.weekday)).into()),
            ("day", civil.day.to_string().into()),
            ("month", text(&format!("month-{}", civil.month)).into()),
            ("year", civil.year.to_string().into()),
        ],
    )
}

/// The name of a finding, for `finding-…` and `check-…` texts.
pub(crate) const fn finding(finding: Finding) -> &'static str {
    match finding {
        Finding::AuthenticationKeyWrong => "authentication-key-wrong",
        Finding::BridgeStale => "bridge-stale",
        Finding::ChecksumFails => "checksum-fails",
        Finding::ChildFrozen => "child-frozen",
        Finding::ClockWrong => "clock-wrong",
        Finding::Fine => "fine",
        Finding::FileEnded => "file-ended",
        Finding::KeyChanged => "key-changed",
        Finding::KeyNeeded => "key-needed",
        Finding::KeyWrong => "key-wrong",
        Finding::LayoutUnclear => "layout-unclear",
        Finding::Listening => "listening",
        Finding::NoAnswer => "no-answer",
        Finding::NotEnabled => "not-enabled",
        Finding::NotFound => "not-found",
        Finding::NotReachable => "not-reachable",
        Finding::NotAllowed => "not-allowed",
        Finding::NotPermitted => "not-permitted",
        Finding::PairingNeeded => "pairing-needed",
        Finding::PasswordWrong => "password-wrong",
        Finding::PinNeeded => "pin-needed",
        Finding::PortBusy => "port-busy",
        Finding::Rejected => "rejected",
        Finding::Replayed => "replayed",
        Finding::Silent => "silent",
        Finding::Unrecognised => "unrecognised",
        Finding::Untrusted => "untrusted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_says_it_all() {
        crate::text::choose(&["en".to_owned()]);
        let say = |power: i64, made: Option<i64>| {
            sentence(Milliwatts::saturating(power), made.map(Milliwatts::saturating)).replace('\u{a0}', " ")
        };
        assert_eq!(say(1_240_000, None), "Taking 1.24 kW from the grid");
        assert_eq!(say(-2_300_000, None), "Giving 2.30 kW to the grid");
        assert_eq!(say(-2_300_000, Some(-3_100_000)), "Making 3.10 kW, using 800 W, giving 2.30 kW");
        assert_eq!(say(0, Some(900_000)), "Using only what you make");
        assert_eq!(say(0, None), "Taking nothing from the grid");
    }
}
