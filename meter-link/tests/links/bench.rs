//! A workbench for serial meters: a pseudo-terminal whose meter listens to the port's own settings, and a clock that stands
//! still while anybody works.
//!
//! The meter's end reads the settings off the terminal. What it sends goes through a model of the line ([`uart`]), so that
//! a port at other settings hears what it would hear of a real meter, at the meter's pace. Time passes in steps of
//! [`STEP`], each only when the port has taken all that was sent: the task's timers and the meter's bytes keep their order
//! on any machine, however slow.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use meter_link::link::Address;
use meter_link::meter::MeterEvent;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, tcgetattr};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use crate::uart::{Wire, heard};

/// A character at 1200 baud.
const STEP: Duration = Duration::from_millis(10);

/// A meter at the end of a serial line.
pub(crate) trait Meter {
    /// What it sends now, and how; it is asked again when that is over. `said` is what its own receiver heard.
    fn speak(&mut self, now: Duration, said: &[u8]) -> Option<(Wire, Vec<u8>)>;

    /// The settings of its receiver.
    fn ear(&self) -> Wire;
}

/// The bench, with a meter on it.
pub(crate) struct Bench<M> {
    pub(crate) meter: M,
    /// The meter's end.
    line: OwnedFd,
    /// The port's end, held open to look at its settings.
    port: OwnedFd,
    began: Instant,
    sending: Option<Sending>,
    /// What the port said that the meter has not heard yet, and when it will have.
    said: VecDeque<(Duration, u8)>,
}

/// A burst on its way.
struct Sending {
    wire: Wire,
    bytes: Vec<u8>,
    began: Duration,
    /// Bytes of the burst that have left. `left <= bytes.len()`
    left: usize,
    /// From that byte on the port has listened with these settings, and hears this.
    tuned: (usize, Wire, Vec<u8>),
    /// How much of that it has heard.
    heard: usize,
}

impl<M: Meter> Bench<M> {
    pub(crate) fn new(meter: M) -> (Self, Address) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let line = openpt(flags).expect("a pseudo-terminal");
        grantpt(&line).expect("granted");
        unlockpt(&line).expect("unlocked");
        let path = ptsname(&line, Vec::new()).expect("a name").into_string().expect("an ASCII name");
        let port = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let status = rustix::fs::fcntl_getfl(&line).expect("flags");
        rustix::fs::fcntl_setfl(&line, status | OFlags::NONBLOCK).expect("never blocks");
        let bench = Self {
            meter,
            line,
            port: port.expect("the port's end"),
            began: Instant::now(),
            sending: None,
            said: VecDeque::new(),
        };
        (bench, Address::Serial(PathBuf::from(path)))
    }

    /// Time since the bench was built.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The port's settings, off the terminal. Linux keeps no framing for a pseudo-terminal, but whether input is checked for
    /// parity, which a port asks for exactly if it has one; its data bits are taken to be the meter's then.
    pub(crate) fn port_settings(&self, sender: Wire) -> Wire {
        let settings = tcgetattr(&self.port).expect("a terminal");
        let even = settings.input_modes.contains(InputModes::INPCK);
        Wire { baud: settings.input_speed(), seven: even && sender.seven, even }
    }

    /// Lets meter and port live until an event is what is waited for.
    pub(crate) async fn until<T>(
        &mut self,
        events: &mut Receiver<MeterEvent>,
        limit: Duration,
        mut wanted: impl FnMut(MeterEvent) -> Option<T>,
    ) -> T {
        let end = self.now() + limit;
        loop {
            self.settle().await;
            while let Ok(event) = events.try_recv() {
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
            let port = self.port_settings(self.meter.ear());
            assert!(self.now() < end, "nothing after {limit:?}; the port listens with {port:?}");
            self.exchange().await;
            tokio::time::advance(STEP).await;
        }
    }

    /// Lets meter and port live for so long, and gives what was told.
    pub(crate) async fn pass(&mut self, events: &mut Receiver<MeterEvent>, time: Duration) -> Vec<MeterEvent> {
        let end = self.now() + time;
        let mut told = Vec::new();
        while self.now() < end {
            self.exchange().await;
            tokio::time::advance(STEP).await;
            self.settle().await;
            told.extend(std::iter::from_fn(|| events.try_recv().ok()));
        }
        told
    }

    /// Carries what is on the line in this step, both ways.
    async fn exchange(&mut self) {
        let (now, ear) = (self.now(), self.meter.ear());
        let mut words = [0_u8; 256];
        while let Ok(count) = rustix::io::read(&self.line, &mut words) {
            let port = self.port_settings(ear);
            let took = count as u64 * u64::from(port.bits()) * 1_000_000 / u64::from(port.baud);
            let arrives = now + Duration::from_micros(took);
            self.said.extend(heard(&words[..count], port, ear).into_iter().map(|byte| (arrives, byte)));
        }
        if self.sending.is_none() {
            let arrived = self.said.iter().take_while(|(at, _)| *at <= now).count();
            let said: Vec<u8> = self.said.drain(..arrived).map(|(_, byte)| byte).collect();
            self.sending = self.meter.speak(now, &said).map(|(wire, bytes)| Sending {
                wire,
                tuned: (0, wire, bytes.clone()),
                bytes,
                began: now,
                left: 0,
                heard: 0,
            });
        }
        let Some(mut sending) = self.sending.take() else { return };
        let arrived = sending.advance(now, self.port_settings(sending.wire));
        self.sending = Some(sending).filter(|sending| sending.left < sending.bytes.len());
        // No more than a terminal keeps.
        for portion in arrived.chunks(1_024) {
            let written = rustix::io::write(&self.line, portion).expect("room on the line");
            assert_eq!(written, portion.len(), "room on the line");
            self.settle().await;
        }
    }

    /// Waits until the port has read all that was sent, or will not before time passes.
    async fn settle(&self) {
        let mut waiting = None;
        let mut same = 0;
        while same < 4 {
            // A look at a terminal first brings in what is on its way there.
            let mut ends = [PollFd::new(&self.port, PollFlags::IN), PollFd::new(&self.line, PollFlags::IN)];
            poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("a look");
            let now = Some(rustix::io::ioctl_fionread(&self.port).expect("a count"));
            same = if waiting == now { same + 1 } else { 0 };
            waiting = now;
            // Lets the task run, and its runtime look at the port; the clock stands still.
            tokio::task::yield_now().await;
        }
    }
}

impl Sending {
    /// What arrives at the port until now.
    fn advance(&mut self, now: Duration, port: Wire) -> Vec<u8> {
        if self.tuned.1 != port {
            self.tuned = (self.left, port, heard(&self.bytes[self.left..], self.wire, port));
            self.heard = 0;
        }
        let bits = (now + STEP - self.began).as_micros() as u64 * u64::from(self.wire.baud) / 1_000_000;
        self.left = self.bytes.len().min((bits / u64::from(self.wire.bits())) as usize);
        let (from, _, hears) = &self.tuned;
        // Spread evenly, and all of it by the end.
        let until = match self.bytes.len() - from {
            0 => hears.len(),
            all => hears.len() * (self.left - from) / all,
        };
        let arrived = hears[self.heard..until].to_vec();
        self.heard = until;
        arrived
    }
}
