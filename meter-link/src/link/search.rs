//! Finds the settings of a serial line by listening alone.
//!
//! Sans-IO and sans-clock: `now` is the time since any fixed start. Hand in what was heard and what was understood; when
//! [`Search::poll`] says so, listen anew with [`Search::settings`]. Nothing is ever written: see `meter::readouts` for meters
//! that wait to be asked. A link without settings (a network connection) is searched all the same, with nothing to choose.
//!
//! Order: fastest first, and then as the bytes say (see [`super::heard`]), so that two or three hops lead to a meter that
//! speaks. What says nothing is listened to for one interval of the slowest meter and a telegram ([`Search::poll`]), longer
//! where it looks like text. Settings that worked stay until what comes looks like another speed, or is not understood for
//! long: a Linky that changes its mode is followed within ten seconds and a frame. They also come first when the port is
//! opened again.
//!
//! Time to find a meter that speaks at least every ten seconds, from the opening of the port: two intervals and two
//! telegrams where the bytes tell the speed, which is three seconds for P1, SML or Linky and half a minute for DLMS over
//! M-Bus. Where they tell nothing, at worst all settings are listened to in full, [`ROUND`]: two minutes and a half. Every
//! second round is without hints, so that a hint that is wrong costs one round and hides no meter; that makes five minutes.

use std::time::Duration;

use super::heard::{Evidence, Heard};
use super::line::{Framing, LineSettings};

/// What is listened with, likeliest first after the fastest, from which others can be told: P1 since DSMR 4 (and Slovenian
/// and Swiss DLMS); SML; M-Bus; Linky historique; P1 before DSMR 4, Linky standard, pushed IEC 62056-21; Slovenian P1 sockets
/// with DLMS and with text; reading heads with a fixed speed; IEC 62056-21 at its first speed.
pub const SETTINGS: [LineSettings; 9] = [
    LineSettings::new(115_200, Framing::EightNone),
    LineSettings::new(9_600, Framing::EightNone),
    LineSettings::new(2_400, Framing::EightEven),
    LineSettings::new(1_200, Framing::SevenEven),
    LineSettings::new(9_600, Framing::SevenEven),
    LineSettings::new(38_400, Framing::EightNone),
    LineSettings::new(115_200, Framing::SevenEven),
    LineSettings::new(2_400, Framing::EightNone),
    LineSettings::new(300, Framing::SevenEven),
];

/// The slowest meter that speaks by itself does so every ten seconds; two more for its telegram to begin.
const INTERVAL: Duration = Duration::from_secs(12);
/// Characters of the longest usual telegram at a slow speed; at 300 baud they take 27 s.
const TELEGRAM: u32 = 800;
/// All settings listened to in full: nine intervals, and the telegrams.
pub const ROUND: Duration = Duration::from_secs(151);
/// Settings that look right are listened to for so many times as long.
const PATIENCE: u32 = 3;
/// So many bytes without a frame, and nothing that looks right: four telegrams.
const NOISE: u64 = 4_000;
/// A meter that was understood before is sought anew after so many bytes without a frame, whatever they look like. Sixteen
/// telegrams, so that noise alone hardly does it.
const LOST: u64 = 16_000;
/// A meter that was understood before may be disturbed for so long before its bytes are taken for those of another speed.
const DISTURBED: Duration = Duration::from_secs(10);

/// Settings that were listened to without understanding anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// With what; `None` where there is nothing to choose.
    pub settings: Option<LineSettings>,
    /// Bytes that came.
    pub bytes: u64,
}

/// One search, for as long as the link is read.
#[derive(Debug)]
pub struct Search {
    /// What may be listened with, in order.
    candidates: Vec<LineSettings>,
    /// What is listened with now.
    settings: Option<LineSettings>,
    /// Settings of this round that were listened to, the present ones included.
    visited: Vec<LineSettings>,
    /// Whether bytes may lead the way in this round.
    takes_hints: bool,
    heard: Heard,
    /// When the present settings began, or the last frame was understood.
    since: Duration,
    /// Settings with which a frame was understood.
    worked: Option<LineSettings>,
    /// Frames are understood with the present settings.
    known: bool,
    tried: Vec<Tried>,
}

impl Search {
    /// Of a link that has no settings.
    pub fn without_settings(now: Duration) -> Self {
        Self::of(Vec::new(), None, now)
    }

    /// Of a serial line: among these settings, or all of [`SETTINGS`]; `worked` are those of an earlier time.
    pub fn new(only: Option<LineSettings>, worked: Option<LineSettings>, now: Duration) -> Self {
        Self::of(only.map_or(SETTINGS.to_vec(), |only| vec![only]), worked.filter(|_| only.is_none()), now)
    }

    fn of(candidates: Vec<LineSettings>, worked: Option<LineSettings>, now: Duration) -> Self {
        let settings = worked.or(candidates.first().copied());
        Self {
            candidates,
            settings,
            visited: settings.into_iter().collect(),
            takes_hints: true,
            heard: Heard::default(),
            since: now,
            worked,
            known: false,
            tried: Vec::new(),
        }
    }

    /// What to listen with.
    pub const fn settings(&self) -> Option<LineSettings> {
        self.settings
    }

    /// Whether the present settings are known to be right.
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// The settings with which a frame was understood last.
    pub const fn worked(&self) -> Option<LineSettings> {
        self.worked
    }

    /// What was listened to since the last frame without understanding anything, each settings once, the last time counts.
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// Bytes came. Hand them to the decoder first, and say [`Self::handle_frame`] if it understood something.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.heard.count(bytes);
    }

    /// A frame was understood: these settings are right.
    pub fn handle_frame(&mut self, now: Duration) {
        (self.known, self.worked) = (true, self.settings);
        (self.heard, self.since) = (Heard::default(), now);
        self.tried.clear();
    }

    /// Other settings are in use and are right: those a meter has named.
    pub fn handle_settings(&mut self, settings: LineSettings, now: Duration) {
        self.settings = Some(settings);
        self.handle_frame(now);
    }

    /// When to call [`Self::poll`] if nothing comes. `None`: only when something has come.
    pub fn deadline(&self) -> Option<Duration> {
        (!self.known).then(|| self.since + self.wait())
    }

    /// True: nothing is understood, so listen with [`Self::settings`] from now on, and forget what was half heard. To be
    /// called after bytes and at the deadline.
    pub fn poll(&mut self, now: Duration) -> bool {
        let evidence = self.heard.evidence(self.framing());
        let says_otherwise = !matches!(evidence, None | Some(Evidence::Promising));
        if self.known {
            let is_other = says_otherwise && now >= self.since + DISTURBED;
            if !is_other && self.heard.bytes() <= LOST {
                return false;
            }
            self.known = false;
            (self.visited, self.takes_hints) = (Vec::new(), true);
            let first = self.candidates.first().copied();
            self.turn_to(first, now);
            return true;
        }
        let is_over = now >= self.since + self.wait();
        let is_noise = self.heard.bytes() > NOISE && evidence != Some(Evidence::Promising);
        if !(is_over || is_noise || says_otherwise && self.takes_hints && self.candidates.len() > 1) {
            return false;
        }
        let next = evidence.filter(|_| self.takes_hints).and_then(|evidence| self.hinted(evidence));
        let next = next.or_else(|| self.unvisited().next());
        if next.is_none() {
            // All were listened to; the next round goes the other way about it.
            (self.visited, self.takes_hints) = (Vec::new(), !self.takes_hints);
        }
        let first = self.candidates.first().copied();
        self.turn_to(next.or(first), now);
        true
    }

    /// How long the present settings deserve.
    fn wait(&self) -> Duration {
        let Some(LineSettings { baud, framing }) = self.settings else { return INTERVAL };
        let telegram = Duration::from_micros(u64::from(TELEGRAM * framing.bits()) * 1_000_000 / u64::from(baud));
        let once = INTERVAL + telegram;
        let is_promising = self.heard.evidence(framing) == Some(Evidence::Promising);
        if is_promising { once * PATIENCE } else { once }
    }

    fn framing(&self) -> Framing {
        self.settings.map_or(Framing::EightNone, |settings| settings.framing)
    }

    fn unvisited(&self) -> impl Iterator<Item = LineSettings> {
        self.candidates.iter().copied().filter(|settings| !self.visited.contains(settings))
    }

    /// Where the bytes lead.
    fn hinted(&self, evidence: Evidence) -> Option<LineSettings> {
        let LineSettings { baud, .. } = self.settings?;
        match evidence {
            Evidence::OtherFraming => self.unvisited().find(|settings| settings.baud == baud),
            Evidence::Promising => None,
            Evidence::SevenBits => {
                self.unvisited().find(|settings| (settings.baud, settings.framing) == (baud, Framing::SevenEven))
            }
            // Of two framings at one speed the likelier: `max_by_key` takes the last of equals.
            Evidence::Slower(ratio) => {
                let slower: Vec<_> = self.unvisited().filter(|settings| settings.baud * ratio <= baud).collect();
                slower.into_iter().rev().max_by_key(|settings| settings.baud)
            }
        }
    }

    fn turn_to(&mut self, next: Option<LineSettings>, now: Duration) {
        let tried = Tried { settings: self.settings, bytes: self.heard.bytes() };
        self.tried.retain(|before| before.settings != tried.settings);
        self.tried.push(tried);
        self.settings = next;
        self.visited.extend(next);
        (self.heard, self.since) = (Heard::default(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Lets a silent line pass; gives what is listened with until then.
    fn silence(search: &mut Search, turns: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..turns {
            all.push(search.settings().map_or("none".to_owned(), |settings| settings.to_string()));
            let deadline = search.deadline().expect("it is not known");
            assert!(!search.poll(deadline - Duration::from_nanos(1)), "before its time");
            assert!(search.poll(deadline));
        }
        all
    }

    #[test]
    fn a_silent_line_is_listened_to_with_everything_in_the_time_that_is_stated() {
        let mut search = Search::new(None, None, at(0));
        let round = silence(&mut search, SETTINGS.len());
        assert_eq!(round, SETTINGS.map(|settings| settings.to_string()));
        let took = search.since;
        assert!(took <= ROUND && took + at(1) > ROUND, "{took:?}");
        assert_eq!(search.settings(), Some(SETTINGS[0]), "and begins again");
        assert_eq!(silence(&mut search, SETTINGS.len()), round);
        assert_eq!(search.tried().len(), SETTINGS.len(), "each is told once");
    }

    #[test]
    fn one_that_is_known_beforehand_is_the_only_one() {
        let only = LineSettings::new(19_200, Framing::EightNone);
        let mut search = Search::new(Some(only), Some(SETTINGS[3]), at(0));
        assert_eq!(silence(&mut search, 3), ["19200 8N1"; 3]);
        search.handle_bytes(&[0; 100]);
        assert!(!search.poll(at(40)), "hints lead nowhere");
        assert_eq!(silence(&mut Search::without_settings(at(0)), 2), ["none"; 2]);
    }

    #[test]
    fn what_worked_before_comes_first() {
        let mut search = Search::new(None, Some(SETTINGS[3]), at(0));
        assert_eq!(silence(&mut search, 3), ["1200 7E1", "115200 8N1", "9600 8N1"]);
    }

    #[test]
    fn bytes_lead_the_way_and_a_round_without_them_follows() {
        let mut search = Search::new(None, None, at(0));
        search.handle_bytes(&[0; 40]);
        assert!(search.poll(at(1)));
        assert_eq!(search.settings(), Some(SETTINGS[1]), "nine times slower, or more");
        search.handle_bytes(&[0x78, 0xF8].repeat(20));
        assert!(search.poll(at(2)));
        assert_eq!(search.settings(), Some(LineSettings::new(2_400, Framing::EightEven)));
        search.handle_bytes(&[0; 40]);
        assert!(search.poll(at(3)));
        assert_eq!(search.settings(), Some(LineSettings::new(2_400, Framing::EightNone)));
        let heard: Vec<u64> = search.tried().iter().map(|tried| tried.bytes).collect();
        assert_eq!(heard, [40; 3]);
        // All others have their turn, none twice.
        let rest = silence(&mut search, SETTINGS.len() - 3);
        assert_eq!(rest, ["2400 8N1", "1200 7E1", "9600 7E1", "38400 8N1", "115200 7E1", "300 7E1"]);
        assert_eq!(search.settings(), Some(SETTINGS[0]));
        let now = search.since;
        search.handle_bytes(&[0; 40]);
        assert!(!search.poll(now + at(1)), "hints have had their round");
    }

    #[test]
    fn text_is_given_time_and_noise_is_not() {
        let mut search = Search::new(None, None, at(0));
        search.handle_bytes(&b"1-0:1.8.0(000123.456*kWh)\r\n".repeat(200));
        assert!(!search.poll(at(30)));
        assert!(search.poll(at(37)));
        search.handle_bytes(&[0x7E; 4_001]);
        assert!(search.poll(at(38)));
    }

    #[test]
    fn settings_that_worked_stay_until_another_speed_is_heard() {
        let mut search = Search::new(None, None, at(0));
        search.handle_frame(at(1));
        assert_eq!(search.deadline(), None);
        search.handle_bytes(&[0xA5; 15_000]);
        assert!(!search.poll(at(2)), "noise");
        search.handle_bytes(&[0xA5; 1_001]);
        assert!(search.poll(at(3)), "noise without end");
        search.handle_frame(at(4));
        search.handle_bytes(&[0; 40]);
        assert!(!search.poll(at(13)));
        assert!(search.poll(at(14)), "another speed");
        assert_eq!((search.is_known(), search.settings()), (false, Some(SETTINGS[0])));
    }
}
