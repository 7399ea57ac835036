//! A household behind its meter, on a port of this machine.
//!
//! The first line on standard output is a JSON object with the port's `address` and the meter's `equipment`. Commands come
//! line by line on standard input (`simulator::Simulator::command` lists them); only `state` answers. Ends when standard
//! input ends, so that it never outlives whoever started it, unless `--keep` is given.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meter_link::security::KeyPair;
use tests::home::Profile;
use tests::line::Kind;
use tests::meter::Version;
use tests::simulator::{Options, Simulator};

const USAGE: &str = "\
simulated-home: a household behind its meter, on a port of this machine

  --seed N             which home (1)
  --version NAME       what the meter speaks (dsmr5):
                       P1    dsmr2.2 dsmr3 dsmr4 dsmr5 esmr5 emucs-be emucs-lu lu-encrypted se fi dk no lt hu ch at
                       DLMS  aidon-no aidon-se kaifa-no kaifa-se kamstrup-no kamstrup-se kamstrup-dk lg-e450-at
                             lg-e360-ch lg-e450-ch-gbt iskra-si iskra-at sagemcom-at kaifa-at kaifa-ch-256
                             glo-suite1 ded-ciphering
                       SML   sml-ehz sml-mme sml-mme-reduced
                       TIC   tic-historique tic-standard
                       D0    d0-mode-c d0-mode-d
  --profile NAME       typical quiet busy solar (typical)
  --pty                talk on a pseudo-terminal (this is what it does if nothing else is said)
  --strict-speed       a reader of the pseudo-terminal at another speed than the meter's hears noise
  --homewizard2 PORT   be a HomeWizard P1 meter that reads it, on a TLS port of the loopback address; 0 takes a free one
  --tcp PORT           talk on a TCP port of the loopback address; 0 takes a free one
  --once N             print N telegrams to standard output at once, and end
  --start INSTANT      begin then (RFC 3339) and not now
  --speed N            simulated seconds in a second (1)
  --faults \"A; B\"      commands to obey before the first telegram
  --key HEX            encryption key of an encrypting meter
  --auth-key HEX       its authentication key
  --keep               go on when standard input ends

Commands, on standard input and in --faults:
  stall [SECONDS], resume           no output for that long, or until told
  cut [RATE], garble RATE           telegrams lose bytes, or get flipped bits
  noise PERCENT                     that share gets flipped bits, and as many have bytes of nobody in front
  drop [SECONDS]                    the port closes on its readers and opens again
  reboot [SECONDS] [zero]           silence, then on as before, or with one telegram of zeros first
  swap [WATT_HOURS], swap gas       another meter at the same place
  zero, spike [WATT_HOURS]          one telegram with registers that are not true
  clock INSTANT|SECONDS|child|ok    what the meter believes to be the time
  power WATTS, power auto           forces the net power
  flip                              one wrong bit under right checksums: only a tag tells
  strip-tag [clear] [N]             the next N encrypted telegrams come without tag, or in clear
  replay N                          the last N telegrams again, one in a second
  counter-zero, -back, -ok          the invocation counter is always 0, once too low, right again
  rekey HEX [HEX]                   other keys from now on: encryption, authentication
  silence-child [on|off]            gas and water meters send nothing more, or again
  reduced on|off                    SML without its PIN, and with it
  tic-mode historique|standard      Linky's operator switches the mode
  parity on|off                     seven-bit characters with their parity in bit 7 (TIC and D0: on), or without;
                                    never with --once
  button                            presses a HomeWizard's button: for thirty seconds it takes a new user
  forget-users, replace             it is reset, or another one with a certificate of its own
  state                             one line of JSON: the books
";

/// How long a reader that came may wait to be seen, and a command to be obeyed.
const GLANCE: Duration = Duration::from_millis(50);

/// A host that slept longer than this does not get the telegrams it missed.
const MISSED_SECONDS: i64 = 30;

struct Arguments {
    options: Options,
    kind: Kind,
    once: Option<u64>,
    speed: u32,
    real_time: bool,
    faults: String,
    keep: bool,
}

enum Event {
    Command(String),
    End,
    Terminate,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| match arguments {
        Some(arguments) => run(&arguments),
        None => print(USAGE.trim_end()),
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "simulated-home: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn arguments() -> Result<Option<Arguments>, Failure> {
    use lexopt::prelude::*;

    let mut options = Options {
        seed: 1,
        profile: Profile::Typical,
        version: Version::Dsmr5,
        keys: None,
        start: unix_now().as_secs() as i64,
    };
    let (mut kind, mut once, mut speed, mut real_time) = (Kind::Pty { baud: None }, None, 1, true);
    let (mut faults, mut keep, mut key, mut authentication_key) = (String::new(), false, None, None);
    let mut strict = false;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("version") => options.version = parser.value()?.parse()?,
            Long("profile") => options.profile = parser.value()?.parse()?,
            Long("pty") => kind = Kind::Pty { baud: None },
            Long("strict-speed") => strict = true,
            Long("homewizard2") => kind = Kind::HomeWizard2(parser.value()?.parse()?),
            Long("tcp") => kind = Kind::Tcp(parser.value()?.parse()?),
            Long("once") => once = Some(parser.value()?.parse()?),
            Long("start") => {
                options.start = parser.value()?.parse::<jiff::Timestamp>()?.as_second();
                real_time = false;
            }
            Long("speed") => {
                speed = parser.value()?.parse()?;
                real_time &= speed == 1;
            }
            Long("faults") => faults = parser.value()?.string()?,
            Long("key") => key = Some(parser.value()?.string()?),
            Long("auth-key") => authentication_key = Some(parser.value()?.string()?),
            Long("keep") => keep = true,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if strict && kind == (Kind::Pty { baud: None }) {
        kind = Kind::Pty { baud: Some(options.version.baud()) };
    }
    if speed == 0 {
        return Err("--speed must be at least 1".into());
    }
    if let Some(key) = key {
        let keys = KeyPair::parse(&key, authentication_key.as_deref());
        options.keys = Some(keys.ok_or("--key and --auth-key must have 32 or 64 hexadecimal digits each")?);
    }
    Ok(Some(Arguments { options, kind, once, speed, real_time, faults, keep }))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut simulator = Simulator::new(&arguments.options);
    for command in arguments.faults.split(';') {
        simulator.command(command)?;
    }
    if let Some(count) = arguments.once {
        let mut output = io::stdout().lock();
        for _ in 0..count {
            output.write_all(&simulator.next_telegram())?;
        }
        return Ok(output.flush()?);
    }
    simulator.open(arguments.kind)?;
    print(&simulator.announcement())?;
    follow(arguments, &mut simulator, &events()?)
}

/// Lives with the clock and obeys until told to end.
fn follow(arguments: &Arguments, simulator: &mut Simulator, events: &mpsc::Receiver<Event>) -> Result<(), Failure> {
    let began = Instant::now();
    let start = Duration::from_secs(arguments.options.start.max(0).unsigned_abs());
    // In real time the wall clock is asked every time, so that the home never drifts away from it.
    let now = || if arguments.real_time { unix_now() } else { start + began.elapsed() * arguments.speed };
    loop {
        let second = now().as_secs() as i64;
        if arguments.real_time && second - simulator.home().second() > MISSED_SECONDS {
            simulator.skip_to(second - 1);
        }
        if let Some(words) = simulator.tick(second) {
            print(&words)?;
        }
        simulator.poll();
        let rest = Duration::from_secs(second.unsigned_abs() + 1).saturating_sub(now()) / arguments.speed;
        match events.recv_timeout(rest.min(GLANCE)) {
            Ok(Event::Command(words)) => match simulator.command(&words) {
                Ok(Some(answer)) => print(&answer)?,
                Ok(None) => {}
                Err(error) => writeln!(io::stderr(), "simulated-home: {error}")?,
            },
            Ok(Event::End) if arguments.keep => {}
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Event::End | Event::Terminate) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn events() -> io::Result<mpsc::Receiver<Event>> {
    let (sender, receiver) = mpsc::channel();
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    let terminate = sender.clone();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = terminate.send(Event::Terminate);
        }
    });
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(Event::Command(line)).is_err() {
                return;
            }
        }
        let _ = sender.send(Event::End);
    });
    Ok(receiver)
}

/// One line, at once: whoever reads it waits for it. A reader that has gone is an error and ends the program.
fn print(line: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
