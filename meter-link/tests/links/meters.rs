//! Meters for the bench, each with a telegram of a capture.

use std::time::Duration;

use crate::bench::Meter;
use crate::uart::Wire;

pub(crate) const fn eight(baud: u32) -> Wire {
    Wire { baud, seven: false, even: false }
}

pub(crate) const fn eight_even(baud: u32) -> Wire {
    Wire { baud, seven: false, even: true }
}

pub(crate) const fn seven(baud: u32) -> Wire {
    Wire { baud, seven: true, even: true }
}

/// A telegram of a capture: hexadecimal of the binary protocols, the text itself of the others.
pub(crate) fn capture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').skip_while(|line| line.starts_with(b"#"));
    let text: Vec<u8> = lines.flatten().copied().collect();
    if !name.starts_with("dlms") && !name.starts_with("sml") {
        return text;
    }
    let digits: Vec<u8> =
        text.iter().filter_map(|digit| char::from(*digit).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Speaks by itself, the same telegram over and over, whoever listens.
pub(crate) struct Pusher {
    pub(crate) wire: Wire,
    pub(crate) telegram: Vec<u8>,
    /// From the beginning of one telegram to that of the next, or longer if one takes longer.
    pub(crate) interval: Duration,
    /// When the next begins.
    pub(crate) next: Duration,
}

impl Pusher {
    /// Its first telegram began long ago: the reader comes in the middle of one.
    pub(crate) fn new(wire: Wire, telegram: Vec<u8>, interval: Duration) -> Self {
        Self { wire, telegram, interval, next: Duration::ZERO }
    }
}

impl Meter for Pusher {
    fn speak(&mut self, now: Duration, _: &[u8]) -> Option<(Wire, Vec<u8>)> {
        if now < self.next {
            return None;
        }
        let from = if self.next == Duration::ZERO { self.telegram.len() / 3 } else { 0 };
        self.next = now + self.interval;
        Some((self.wire, self.telegram[from..].to_vec()))
    }

    fn ear(&self) -> Wire {
        self.wire
    }
}

/// A Linky, whose operator can change its mode while it speaks. It pauses for no longer than two characters.
pub(crate) struct Linky {
    pub(crate) standard: bool,
}

impl Meter for Linky {
    fn speak(&mut self, _: Duration, _: &[u8]) -> Option<(Wire, Vec<u8>)> {
        Some(match self.standard {
            true => (seven(9_600), capture("tic/standard_injection.txt")),
            false => (seven(1_200), capture("tic/historique_single_phase.txt")),
        })
    }

    fn ear(&self) -> Wire {
        seven(1_200)
    }
}

/// Silent until it is asked, as IEC 62056-21 has it.
pub(crate) struct Waiting {
    identification: &'static [u8],
    readout: Vec<u8>,
    /// What it heard of the reader's line.
    line: Vec<u8>,
    /// Requests that it understood, and when.
    pub(crate) asked: Vec<Duration>,
    /// Says nothing, whatever it hears.
    pub(crate) is_deaf: bool,
    /// What to send, and not before when.
    pending: Option<(Duration, Wire, Vec<u8>)>,
    /// Speed of the readout, for modes A and B once the identification has been sent.
    then: Option<Wire>,
}

impl Waiting {
    /// A meter with this identification line; the speed in it decides the mode.
    pub(crate) fn new(identification: &'static [u8]) -> Self {
        let capture = capture("d0/mode_c_short_codes.txt");
        let start = capture.iter().position(|byte| *byte == 0x02).expect("a readout");
        let (readout, line, asked) = (capture[start..].to_vec(), Vec::new(), Vec::new());
        Self { identification, readout, line, asked, is_deaf: false, pending: None, then: None }
    }

    fn understand(&mut self, now: Duration) {
        let speed = self.identification[4];
        let reaction = Duration::from_millis(if self.identification[3].is_ascii_lowercase() { 20 } else { 200 });
        match &self.line[..] {
            b"/?!\r\n" if self.is_deaf => self.asked.push(now),
            b"/?!\r\n" => {
                self.asked.push(now);
                self.pending = Some((now + reaction, seven(300), self.identification.to_vec()));
                self.then = match speed {
                    b'0'..=b'6' => None,
                    b'A'..=b'F' => Some(seven(600 << (speed - b'A'))),
                    _ => Some(seven(300)),
                };
            }
            [0x06, b'0', answered, b'0', b'\r', b'\n'] if *answered == speed => {
                let wire = seven(300 << (speed - b'0'));
                self.pending = Some((now + reaction, wire, self.readout.clone()));
            }
            _ => (),
        }
        self.line.clear();
    }
}

impl Meter for Waiting {
    fn speak(&mut self, now: Duration, said: &[u8]) -> Option<(Wire, Vec<u8>)> {
        for byte in said {
            self.line.push(*byte);
            if *byte == b'\n' {
                self.understand(now);
            }
        }
        let (_, wire, bytes) = self.pending.take_if(|(at, ..)| *at <= now)?;
        let is_identification = bytes == self.identification;
        if let Some(then) = self.then.take_if(|_| is_identification) {
            // Until the identification has been sent, and as long again as before it.
            let sent = Duration::from_micros(bytes.len() as u64 * 10 * 1_000_000 / 300);
            self.pending = Some((now + sent + Duration::from_millis(300), then, self.readout.clone()));
        }
        Some((wire, bytes))
    }

    fn ear(&self) -> Wire {
        seven(300)
    }
}
