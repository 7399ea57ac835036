//! The host's side of paired meters: one task each, started and stopped as the home orders.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use contract::calls::{AddMeter, Calls as _};
use contract::error::ErrorCode;
use contract::live::{MeterId, Role};
use household::home::{Household, MeterOrder, SIMULATED};
use meter_link::bridge::Secret;
use meter_link::health::{Health, LinkProblem, LinkState};
use meter_link::link::Address;
use meter_link::link::line::LineSettings;
use meter_link::meter::{Config, MeterEvent};
use meter_link::security::{Counter, KeyPair};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};

use crate::pairing;
use crate::replacement::replace;

/// Events that may wait between a meter's task and the recorder.
const EVENTS: usize = 64;
/// The simulated home is always the same one, so that its registers go on where they were.
const SEED: &str = "7";

/// Serves the home's orders and its clock until the home is closed.
pub async fn serve(household: Household, mut orders: mpsc::UnboundedReceiver<MeterOrder>) {
    let mut tasks: HashMap<MeterId, Task> = HashMap::new();
    let mut pairings = HashMap::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => obey(&household, order, &mut tasks, &mut pairings).await,
                None => return,
            },
            _ = second.tick() => household.tick().await,
        }
    }
}

async fn obey(
    household: &Household,
    order: MeterOrder,
    tasks: &mut HashMap<MeterId, Task>,
    pairings: &mut HashMap<MeterId, JoinHandle<()>>,
) {
    match order {
        // A device may take its time to answer; meters do not wait for it.
        MeterOrder::Leave { address, name, secret, told } => {
            // Nobody may be interested.
            tokio::spawn(async move { told.send(pairing::leave(&address, &name, &secret).await) });
        }
        MeterOrder::Pair { meter, address, by } => {
            give_up(pairings.remove(&meter)).await;
            pairings.insert(meter, tokio::spawn(pairing::pair(household.clone(), meter, address, by)));
        }
        MeterOrder::Start {
            meter,
            address,
            keys,
            counters,
            secret,
            worked,
            changes_keys,
            known_until_utc_milliseconds,
        } => {
            if let Some(old) = tasks.remove(&meter) {
                old.stop().await;
            }
            let (events, told) = mpsc::channel(EVENTS);
            let reading =
                Reading { meter, address, keys, counters, secret, worked, known_until_utc_milliseconds, events };
            tasks.insert(meter, Task::start(household, reading, changes_keys, told));
        }
        MeterOrder::Stop(meter) => {
            if let Some(task) = tasks.remove(&meter) {
                task.stop().await;
            }
        }
        MeterOrder::StopPairing(meter) => give_up(pairings.remove(&meter)).await,
    }
}

/// Ends a pairing; nothing of it is told afterwards.
async fn give_up(pairing: Option<JoinHandle<()>>) {
    if let Some(pairing) = pairing {
        pairing.abort();
        let _ = pairing.await;
    }
}

/// Pairs the meter of the command line unless it is paired already.
pub async fn pair(household: &Household, address: &str) -> Result<(), String> {
    let request = AddMeter { address: address.to_owned(), name: String::new(), role: Role::Connection };
    match household.add_meter(request).await {
        Ok(_) => Ok(()),
        Err(error) if error.code == ErrorCode::AlreadyThere => Ok(()),
        Err(error) => Err(format!("--meter {address}: {error}")),
    }
}

/// One meter's task, and what carries its events to the home.
struct Task {
    reading: AbortHandle,
    /// Ends when the reading has ended and all it told has arrived.
    telling: JoinHandle<()>,
}

impl Task {
    fn start(
        household: &Household,
        reading: Reading,
        changes_keys: bool,
        mut told: mpsc::Receiver<MeterEvent>,
    ) -> Self {
        let (listening, meter) = (household.clone(), reading.meter);
        let telling = tokio::spawn(async move {
            while let Some(event) = told.recv().await {
                listening.hear(meter, event).await;
            }
        });
        Self { reading: tokio::spawn(run(household.clone(), reading, changes_keys)).abort_handle(), telling }
    }

    /// Stops reading. What was read before still arrives, and the port is free when this returns.
    async fn stop(self) {
        self.reading.abort();
        // It cannot fail: it is never aborted.
        let _ = self.telling.await;
    }
}

/// Replaces a meter's keys if that is to be done, else reads it, for as long as it is paired.
async fn run(household: Household, reading: Reading, changes_keys: bool) {
    if changes_keys
        && let Ok(Address::Dlms(address)) = reading.address.parse()
        && let Some(open) = household.open_change(reading.meter).await
    {
        replace(household, address, open, &reading).await;
        // The order to start anew is on its way, with the keys that hold now.
        std::future::pending::<()>().await;
    }
    reading.read().await;
}

/// What a meter is read with.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) meter: MeterId,
    pub(crate) address: String,
    pub(crate) keys: Vec<KeyPair>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) secret: Option<Secret>,
    pub(crate) worked: Option<LineSettings>,
    pub(crate) known_until_utc_milliseconds: Option<i64>,
    pub(crate) events: mpsc::Sender<MeterEvent>,
}

impl Reading {
    /// Reads until nobody listens, or nothing more can come.
    pub(crate) async fn read(self) {
        let Self { meter, address, keys, counters, secret, worked, known_until_utc_milliseconds, events } = self;
        // Held while the meter is read; the process ends with it.
        let mut simulated = None;
        let link = if address == SIMULATED {
            match simulate().await {
                Ok((process, link)) => {
                    simulated = Some(process);
                    link
                }
                Err(error) => {
                    tracing::warn!("simulated home: {error}");
                    let health =
                        Health { state: LinkState::Stopped, problem: Some(LinkProblem::NotFound), ..Health::default() };
                    let _ = events.send(MeterEvent::Health(Box::new(health))).await;
                    return;
                }
            }
        } else {
            address
        };
        let source = match link.parse() {
            Ok(source) => source,
            Err(expected) => {
                tracing::warn!(meter = meter.0, "address: {expected}");
                return;
            }
        };
        let config = Config { source, worked, keys, counters, secret, known_until_utc_milliseconds };
        meter_link::meter::run(config, events).await;
        drop(simulated);
    }
}

/// The simulated home's program, if it lies beside this one.
pub fn simulator() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name(format!("simulated-home{}", std::env::consts::EXE_SUFFIX));
    path.is_file().then_some(path)
}

/// Starts a simulated home behind a pseudo-terminal; gives the address it prints.
async fn simulate() -> Result<(Child, String), String> {
    let program = simulator().ok_or("its program is not installed beside this one")?;
    let mut process = Command::new(program)
        .args(["--pty", "--seed", SEED])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let output = process.stdout.take().ok_or("it has no output")?;
    let mut lines = BufReader::new(output).lines();
    let line = lines.next_line().await.map_err(|error| error.to_string())?.ok_or("it ended at once")?;
    let said: serde_json::Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    let address = said.get("address").and_then(serde_json::Value::as_str).ok_or("it names no address")?.to_owned();
    // Its later words are for tests; an unread pipe must not stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((process, address))
}
