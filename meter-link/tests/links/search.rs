//! A serial port at which nothing is known beforehand: each kind of meter is found, within the time that is stated.

use std::time::Duration;

use meter_link::decoder::Protocol;
use meter_link::diagnosis::{Finding, diagnose};
use meter_link::health::{Health, LinkProblem, LinkState, TriedSettings};
use meter_link::link::search::{ROUND, SETTINGS};
use meter_link::link::source::Source;
use meter_link::meter::{Arrived, Config, MeterEvent, run};
use meter_link::reading::Trust;
use tokio::sync::mpsc;

use crate::bench::{Bench, Meter};
use crate::meters::{Linky, Pusher, Waiting, capture, eight, eight_even, seven};
use crate::uart::Wire;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A meter on the bench and the task that reads it.
struct Reading<M> {
    bench: Bench<M>,
    events: mpsc::Receiver<MeterEvent>,
}

impl<M: Meter> Reading<M> {
    fn start(meter: M) -> Self {
        Self::start_with(meter, |_| ())
    }

    fn start_with(meter: M, known: impl FnOnce(&mut Config)) -> Self {
        let (bench, address) = Bench::new(meter);
        let source = Source::from(address);
        let mut config = Config::new(source);
        known(&mut config);
        let (sender, events) = mpsc::channel(1_024);
        tokio::spawn(run(config, sender));
        Self { bench, events }
    }

    async fn reading(&mut self, limit: Duration) -> Arrived {
        let reading = |event| if let MeterEvent::Reading(arrived) = event { Some(*arrived) } else { None };
        self.bench.until(&mut self.events, limit, reading).await
    }

    async fn health(&mut self, limit: Duration, wanted: impl Fn(&Health) -> bool) -> Health {
        let health = |event| match event {
            MeterEvent::Health(health) if wanted(&health) => Some(*health),
            _ => None,
        };
        self.bench.until(&mut self.events, limit, health).await
    }

    /// Lets time pass in which nothing is read; gives the last word on the link's health.
    async fn pass(&mut self, time: Duration) -> Option<Health> {
        let told = self.bench.pass(&mut self.events, time).await;
        assert!(!told.iter().any(|event| matches!(event, MeterEvent::Reading(_))), "nothing is to be read");
        told.into_iter()
            .rev()
            .find_map(|event| if let MeterEvent::Health(health) = event { Some(*health) } else { None })
    }
}

/// One meter is found within `limit` and read with the settings that are its own.
async fn check(wire: Wire, telegram: &str, interval: u64, protocol: &str, settings: &str, limit: u64) {
    let meter = Pusher::new(wire, capture(telegram), seconds(interval));
    let mut reading = Reading::start(meter);
    let arrived = reading.reading(seconds(limit)).await;
    assert_eq!(arrived.reading.protocol, protocol);
    let live = reading.health(seconds(20), |health| health.state == LinkState::Live).await;
    assert_eq!((live.line_settings.as_deref(), live.problem), (Some(settings), None));
    assert_eq!((&live.tried[..], live.asked), (&[][..], 0));
    assert_eq!(reading.bench.port_settings(wire), wire);
}

#[tokio::test(start_paused = true)]
async fn p1_is_found_at_115200_8n1() {
    check(eight(115_200), "p1/nl_dsmr50_three_phase.txt", 1, "p1", "115200 8N1", 3).await;
}

#[tokio::test(start_paused = true)]
async fn slovenian_p1_is_found_at_115200_7e1() {
    check(seven(115_200), "p1/si_am550.txt", 10, "p1", "115200 7E1", 33).await;
}

#[tokio::test(start_paused = true)]
async fn slovenian_dlms_is_found_at_38400_8n1() {
    check(eight(38_400), "dlms/iskra_si_18.txt", 10, "dlms", "38400 8N1", 23).await;
}

#[tokio::test(start_paused = true)]
async fn sml_is_found_at_9600_8n1() {
    check(eight(9_600), "sml/modern_full.txt", 1, "sml", "9600 8N1", 4).await;
}

#[tokio::test(start_paused = true)]
async fn old_p1_is_found_at_9600_7e1() {
    check(seven(9_600), "p1/nl_dsmr30.txt", 10, "p1", "9600 7E1", 33).await;
}

#[tokio::test(start_paused = true)]
async fn pushed_iec_62056_21_is_found_at_9600_7e1() {
    check(seven(9_600), "d0/mode_d_history.txt", 2, "d0", "9600 7E1", 8).await;
}

#[tokio::test(start_paused = true)]
async fn dlms_over_m_bus_is_found_at_2400_8e1() {
    check(eight_even(2_400), "dlms/aidon_no_list2.txt", 10, "dlms", "2400 8E1", 23).await;
}

#[tokio::test(start_paused = true)]
async fn dlms_is_found_at_2400_8n1() {
    check(eight(2_400), "dlms/kamstrup_no_hourly.txt", 10, "dlms", "2400 8N1", 33).await;
}

#[tokio::test(start_paused = true)]
async fn linky_is_found_at_1200_7e1() {
    check(seven(1_200), "tic/historique_single_phase.txt", 2, "tic", "1200 7E1", 8).await;
}

#[tokio::test(start_paused = true)]
async fn iec_62056_21_is_found_at_300_7e1() {
    check(seven(300), "d0/mode_c_short_codes.txt", 20, "d0", "300 7E1", 80).await;
}

#[tokio::test(start_paused = true)]
async fn w13_a_linky_that_changes_its_mode_and_back_is_followed() {
    let mut reading = Reading::start(Linky { standard: false });
    for standard in [false, true, false] {
        reading.bench.meter.standard = standard;
        let settings = if standard { "9600 7E1" } else { "1200 7E1" };
        let changed = reading.bench.now();
        let is_followed =
            |health: &Health| health.state == LinkState::Live && health.line_settings.as_deref() == Some(settings);
        reading.health(seconds(20), is_followed).await;
        // Ten seconds in which it may only have been disturbed, two hops, and a frame that was half over.
        let took = reading.bench.now() - changed;
        assert!(took < seconds(16), "{settings} after {took:?}");
        let arrived = reading.reading(seconds(5)).await;
        assert_eq!(arrived.reading.protocol, "tic");
    }
}

/// A meter that waits to be asked is found, left alone for `pause` seconds, and asked again.
async fn check_waiting(identification: &'static [u8], settings: &str, limit: u64, pause: u64) {
    let mut reading = Reading::start(Waiting::new(identification));
    let silent = reading.health(seconds(31), |health| health.problem.is_some()).await;
    assert_eq!((silent.problem, silent.asked), (Some(LinkProblem::Silent), 0), "listened to first");
    let first = reading.reading(seconds(limit)).await;
    let found = reading.bench.now();
    assert_eq!((first.reading.protocol, first.reading.trust), ("d0", Trust::Checked));
    assert_eq!(reading.bench.meter.asked.len(), 1, "once was enough");
    let live = reading.health(seconds(1), |health| health.state == LinkState::Live).await;
    assert_eq!((live.line_settings.as_deref(), live.problem, live.asked), (Some(settings), None, 0));
    // It stays live while it is left alone.
    reading.pass(seconds(pause)).await;
    assert_eq!(reading.bench.meter.asked.len(), 1);
    reading.reading(seconds(limit)).await;
    let asked = &reading.bench.meter.asked;
    assert_eq!(asked.len(), 2);
    assert!(asked[1] - found >= seconds(pause), "asked again after {:?}", asked[1] - found);
    reading.pass(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn iec_62056_21_mode_c_is_asked_and_answers_at_the_speed_it_proposes() {
    check_waiting(b"/MAd5MADE-0001\r\n", "9600 7E1", 60, 60).await;
}

#[tokio::test(start_paused = true)]
async fn iec_62056_21_mode_b_is_asked_and_changes_its_speed_by_itself() {
    check_waiting(b"/MADCMADE\r\n", "2400 7E1", 60, 60).await;
}

#[tokio::test(start_paused = true)]
async fn iec_62056_21_mode_a_is_asked_and_left_alone_longer() {
    check_waiting(b"/MAD MADE\r\n", "300 7E1", 60, 65).await;
}

#[tokio::test(start_paused = true)]
async fn w15_a_silent_port_is_asked_rarely_and_what_was_tried_is_told() {
    let mut meter = Waiting::new(b"/MAd5MADE\r\n");
    meter.is_deaf = true;
    let mut reading = Reading::start(meter);
    reading.pass(seconds(30)).await;
    assert!(reading.bench.meter.asked.is_empty(), "listened to first");
    let health = reading.pass(ROUND + seconds(30)).await.expect("health");
    assert_eq!(diagnose(&health), Finding::Silent);
    for settings in SETTINGS.map(|settings| settings.to_string()) {
        assert!(health.tried.contains(&TriedSettings { settings, bytes: 0 }), "{:?}", health.tried);
    }
    assert_eq!(health.tried.len(), SETTINGS.len(), "each is told once");
    assert_eq!((health.asked, reading.bench.meter.asked.len()), (1, 3), "one sign-on wakes up to three times");
    reading.pass(seconds(3_600)).await;
    assert!(reading.bench.meter.asked.len() <= 15, "asked {} times in an hour", reading.bench.meter.asked.len());
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_for_another_protocol_is_never_asked() {
    let meter = Waiting::new(b"/MAd5MADE\r\n");
    let mut reading = Reading::start_with(meter, |config| config.source.protocol = Some(Protocol::Sml));
    reading.pass(seconds(600)).await;
    assert!(reading.bench.meter.asked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn settings_that_are_known_beforehand_are_the_only_ones() {
    let meter = Pusher::new(seven(1_200), capture("tic/historique_single_phase.txt"), seconds(2));
    let only = "9600-8N1".parse().expect("settings");
    let mut reading = Reading::start_with(meter, |config| config.source.line = Some(only));
    let health = reading.pass(seconds(60)).await.expect("health");
    assert_eq!(diagnose(&health), Finding::Unrecognised);
    let tried: Vec<&str> = health.tried.iter().map(|tried| tried.settings.as_str()).collect();
    assert_eq!((tried, health.line_settings.as_deref()), (vec!["9600 8N1"], Some("9600 8N1")));
    assert!(health.tried[0].bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn settings_that_worked_before_come_first() {
    let meter = Pusher::new(eight_even(2_400), capture("dlms/aidon_no_list2.txt"), seconds(10));
    let worked = "2400-8E1".parse().expect("settings");
    let mut reading = Reading::start_with(meter, |config| config.worked = Some(worked));
    // The rest of the telegram that was under way, and the next.
    reading.reading(seconds(13)).await;
}
