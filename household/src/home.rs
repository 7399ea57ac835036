//! The household as its calls: one home, opened, answering and recording.

use std::path::PathBuf;
use std::sync::Arc;

use contract::calls::{
    About, AboutReply, AddMeter, Calls, FindDevices, History, PairMeter, Port, Ports, ReadAgain, RemoveMeter,
    ReplaceMeterKeys, SecurityEvents, SetMeterKey, SetMeterLogin, SetZone, StopKeyReplacement, StopPairing,
};
use contract::error::{CallError, ErrorCode};
use contract::history::HistoryReply;
use contract::live::{Capability, Home, MeterId, Recording};
use contract::pairing::{DeviceAccess, FoundDevice};
use contract::security::{KeyReplacementState, KeyReplacementTrouble, SecurityEvent};
use meter_link::bridge::Secret;
use meter_link::dlms_client::key_change::{Ended, KeyChange};
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use meter_link::link::dlms::Way;
use meter_link::link::line::LineSettings;
use meter_link::link::source::Source;
use meter_link::meter::MeterEvent;
use meter_link::security::key::Suite;
use meter_link::security::{Counter, KeyPair};
use tokio::sync::{mpsc, oneshot};

use crate::calendar::Calendar;
use crate::history;
use crate::live::{Live, Watch};
use crate::recorder::refused::events;
use crate::recorder::{Command, Recorder, host_clock, keep_setting, setting};
use crate::secrets::Secrets;
use crate::store::{Store, StoreError, identity, random_hexadecimal};

/// The address that stands for a simulated home, where the host has one.
pub const SIMULATED: &str = "simulated";
/// Commands that may wait for the recorder: several seconds of every meter a home can have.
const COMMANDS: usize = 256;
/// Security events that one call gives: more than anybody reads.
const EVENTS_SHOWN: i64 = 500;

/// How a home is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the database.
    pub folder: PathBuf,
    /// Where its key is.
    pub secrets: Secrets,
    /// What this host can do.
    pub capabilities: Vec<Capability>,
    /// Searches the network for devices; blocks for as long as they may take to answer.
    pub find_devices: fn() -> Vec<FoundDevice>,
    /// Lists its serial ports; may block.
    pub list_ports: fn() -> Vec<Port>,
}

/// What the host has to do for the home's meters.
#[derive(Debug)]
pub enum MeterOrder {
    /// Have a device forget us, and tell whether it has.
    Leave {
        /// The device's address.
        address: String,
        /// What we are called there.
        name: String,
        /// What pairing gave.
        secret: Secret,
        /// Takes the answer; nobody may be interested.
        told: oneshot::Sender<bool>,
    },
    /// Ask a device to pair until it agrees or its time is up; tell [`Household::hear_pairing`] how it goes on.
    Pair {
        /// For which meter.
        meter: MeterId,
        /// The device's address.
        address: String,
        /// What is shown to it.
        by: PairBy,
    },
    /// Start reading, in place of a task that reads this meter already; tell [`Household::hear`] what comes, and all that
    /// the old task has told before anything of the new one.
    Start {
        /// Which.
        meter: MeterId,
        /// Its address: a link's, or [`SIMULATED`].
        address: String,
        /// Keys to try, newest first.
        keys: Vec<KeyPair>,
        /// Invocation counters that were accepted before.
        counters: Vec<Counter>,
        /// What its device wants to see, if that is known.
        secret: Option<Secret>,
        /// Settings of its serial line that worked last.
        worked: Option<LineSettings>,
        /// Whether its keys are being replaced: then [`Household::open_change`] is to be carried through before anything
        /// else. Asked for only once the old task has ended, because that one may still have kept a step.
        changes_keys: bool,
        /// The newest reading that is kept of what this meter measures; `None`: there is none.
        known_until_utc_milliseconds: Option<i64>,
    },
    /// Stop reading.
    Stop(MeterId),
    /// Give up a pairing.
    StopPairing(MeterId),
}

/// What is shown to a device so that it agrees.
#[derive(Clone, Debug)]
pub enum PairBy {
    /// That somebody presses its button.
    Button {
        /// What we are called there.
        name: String,
        /// What an earlier pairing gave: only with the same device again. `None`: with whatever answers.
        known: Option<Secret>,
    },
    /// A certificate of ours, once the utility has registered it: this one, or a new one.
    Certificate {
        /// The home's, if it has one.
        identity: Option<Secret>,
    },
    /// The numbers of its label.
    Label {
        /// What it calls its cloud ID.
        cloud_id: Secret,
        /// What it calls its install code.
        install_code: Secret,
    },
}

/// What the host tells of a pairing.
#[derive(Debug)]
pub enum PairingEvent {
    /// It has failed.
    Failed(LinkProblem),
    /// The certificate that the device is shown; told before it is.
    Identity {
        /// Certificate and key.
        secret: Secret,
        /// Its number, as the utility registers it.
        lfdi: String,
    },
    /// The device agreed.
    Paired {
        /// The device's address.
        address: String,
        /// What it gave.
        secret: Secret,
    },
    /// The device does not know our certificate yet, and is asked again and again.
    Unregistered {
        /// Why it could not be asked the last time. `None`: it was asked.
        problem: Option<LinkProblem>,
    },
    /// The device waits for a press of its button.
    Waiting {
        /// So long it is still asked.
        seconds_left: u64,
    },
}

/// A replacement of a meter's keys that has not ended. `Debug` is redacted by its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenChange {
    /// Which one: what is told of another is refused.
    pub number: i64,
    /// Its journal.
    pub change: KeyChange,
}

/// One home. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Household {
    store: Store,
    live: Live,
    commands: mpsc::Sender<Command>,
    secrets: Secrets,
    capabilities: Arc<[Capability]>,
    find_devices: fn() -> Vec<FoundDevice>,
    list_ports: fn() -> Vec<Port>,
    page_key: Arc<str>,
    /// Declared after `commands`: the recorder ends once the last sender is gone, and only then is waited for.
    _recorder: Arc<RecorderThread>,
}

/// The recorder's thread. Waited for when the home is closed: a process that ends while its database is still being written
/// would take the cipher away from under it.
#[derive(Debug)]
struct RecorderThread(Option<std::thread::JoinHandle<()>>);

impl Drop for RecorderThread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A recorder that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Household {
    /// Opens the home in a folder, or begins a new one. Blocks; never call it from asynchronous code.
    pub fn open(options: Options) -> Result<(Self, mpsc::UnboundedReceiver<MeterOrder>), StoreError> {
        let (store, writer) = Store::open(&options.folder, &options.secrets)?;
        let page_key = match setting(&writer, "page_key")? {
            Some(key) => key,
            None => {
                let key = random_hexadecimal::<32>();
                keep_setting(&writer, "page_key", &key)?;
                key
            }
        };
        let home = Home {
            zone: String::new(),
            utc_offset_seconds: 0,
            now_utc_milliseconds: host_clock(),
            recording: Recording::Fine,
            capabilities: options.capabilities.clone(),
            first_date: None,
        };
        let (orders, ordered) = mpsc::unbounded_channel();
        let identity = identity(&options.folder)?;
        let (recorder, live) =
            Recorder::open(writer, store.clone(), options.secrets.clone(), identity, home, orders, host_clock)?;
        let (commands, commanded) = mpsc::channel(COMMANDS);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || recorder.run(commanded))
            .map_err(|source| StoreError::Io { path: options.folder.clone(), source })?;
        let household = Self {
            store,
            live,
            commands,
            secrets: options.secrets,
            capabilities: options.capabilities.into(),
            find_devices: options.find_devices,
            list_ports: options.list_ports,
            page_key: page_key.into(),
            _recorder: Arc::new(RecorderThread(Some(thread))),
        };
        Ok((household, ordered))
    }

    /// What the owner's link to the page carries; whoever has it sees and does everything.
    pub fn page_key(&self) -> &str {
        &self.page_key
    }

    /// Joins the screens that are told what happens.
    pub fn watch(&self) -> Watch {
        self.live.watch()
    }

    /// Takes what a meter's task tells.
    pub async fn hear(&self, meter: MeterId, event: MeterEvent) {
        // Only a closed home cannot hear.
        let _ = self.commands.send(Command::Event(meter, event)).await;
    }

    /// Takes what the host tells of a pairing that was ordered.
    pub async fn hear_pairing(&self, meter: MeterId, event: PairingEvent) {
        let _ = self.commands.send(Command::Pairing(meter, event)).await;
    }

    /// Lets the home notice that time passes; the host calls it once a second.
    pub async fn tick(&self) {
        let _ = self.commands.send(Command::Tick).await;
    }

    /// The open replacement of a meter's keys, as it was kept last. `None`: none is open, or it has ended.
    pub async fn open_change(&self, meter: MeterId) -> Option<OpenChange> {
        self.ask(|reply| Command::OpenChange(meter, reply)).await.ok().flatten()
    }

    /// Keeps a step of a key change among the secrets; durable when this returns. Refused once that change has ended.
    pub async fn keep_key_change(&self, meter: MeterId, open: OpenChange) -> Result<(), CallError> {
        self.ask(|reply| Command::KeepKeyChange(meter, Box::new(open), reply)).await
    }

    /// Makes new keys of a suite for a change, and keeps them. `None`: the suite has ended.
    pub async fn propose_keys(
        &self,
        meter: MeterId,
        open: OpenChange,
        suite: Suite,
    ) -> Result<Option<KeyChange>, CallError> {
        self.ask(|reply| Command::ProposeKeys(meter, Box::new(open), suite, reply)).await
    }

    /// Takes over the keys that a change ended with. An order to start follows.
    pub async fn end_key_change(&self, meter: MeterId, number: i64, ended: Ended) -> Result<(), CallError> {
        self.ask(|reply| Command::EndKeyChange(meter, number, Box::new(ended), reply)).await
    }

    /// Tells why a change cannot go on now.
    pub async fn halt_key_change(&self, meter: MeterId, number: i64, trouble: KeyReplacementTrouble) {
        // Only a closed home cannot hear.
        let _ = self.commands.send(Command::HaltKeyChange(meter, number, trouble)).await;
    }

    /// Keeps the counter of an answer that was no reading.
    pub async fn hear_counter(&self, meter: MeterId, counter: Counter) -> Result<(), CallError> {
        self.ask(|reply| Command::HearCounter(meter, counter, reply)).await
    }

    /// Whether no meter is paired yet.
    pub fn is_new(&self) -> bool {
        self.live.look(|state| state.meters.is_empty())
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Command,
    ) -> Result<T, CallError> {
        let closed = |_| CallError::new(ErrorCode::StoreUnavailable, "the recorder has stopped");
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| closed(()))?;
        answer.await.map_err(|_| closed(()))?
    }

    /// Runs a question to the database beside the recorder.
    async fn question<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CallError> {
        let store = self.store.clone();
        let unavailable = |message: String| CallError::new(ErrorCode::StoreUnavailable, message);
        tokio::task::spawn_blocking(move || question(&store))
            .await
            .map_err(|_| unavailable("the question was broken off".to_owned()))?
            .map_err(|error| unavailable(error.to_string()))
    }

    fn can(&self, capability: Capability) -> Result<(), CallError> {
        if self.capabilities.contains(&capability) {
            return Ok(());
        }
        Err(CallError::new(ErrorCode::Unsupported, "this host cannot do that"))
    }
}

impl Calls for Household {
    async fn about(&self, _: About) -> Result<AboutReply, CallError> {
        let key_place = self.secrets.place();
        self.question(move |store| {
            let readings = store.read(|connection| {
                Ok(connection.query_row("SELECT count(*) FROM reading", [], |row| row.get::<_, i64>(0))?)
            })?;
            Ok(AboutReply {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                data_folder: store.path().parent().unwrap_or(store.path()).display().to_string(),
                key_place,
                database_bytes: store.bytes(),
                readings: readings.unsigned_abs(),
            })
        })
        .await
    }

    async fn add_meter(&self, mut request: AddMeter) -> Result<MeterId, CallError> {
        if request.name.chars().count() > 80 {
            return Err(CallError::invalid("name", "a name has at most 80 characters"));
        }
        if request.address == SIMULATED {
            self.can(Capability::SimulatedHome)?;
        } else {
            let source = request.address.parse::<Source>();
            let source = source.map_err(|expected| CallError::invalid("address", expected))?;
            let is_line = match &source.address {
                Address::Dlms(meter) => matches!(meter.way, Way::Line { .. }),
                address => matches!(address, Address::Serial(_)),
            };
            if is_line {
                self.can(Capability::SerialPorts)?;
            }
            // In one spelling, so that the same place is not read twice.
            request.address = source.to_string();
        }
        self.ask(|reply| Command::AddMeter(request, reply)).await
    }

    async fn find_devices(&self, _: FindDevices) -> Result<Vec<FoundDevice>, CallError> {
        self.can(Capability::DeviceSearch)?;
        tokio::task::spawn_blocking(self.find_devices)
            .await
            .map_err(|_| CallError::new(ErrorCode::Unsupported, "the network cannot be searched"))
    }

    async fn history(&self, request: History) -> Result<HistoryReply, CallError> {
        let (zone, points) = self.live.look(|state| {
            let points: Vec<_> = state.points.values().map(|point| (point.id, point.kind)).collect();
            (state.home.zone.clone(), points)
        });
        let calendar = Calendar::new(&zone).unwrap_or_else(Calendar::of_this_host);
        let now = host_clock();
        let date = match &request.date {
            Some(text) => text.parse().map_err(|_| CallError::invalid("date", "expected a date like 2026-10-25"))?,
            None => calendar.date(now),
        };
        self.question(move |store| {
            store.read(|connection| {
                history::answer(connection, &calendar, &points, (request.period, date, request.resolution), now)
            })
        })
        .await
    }

    async fn pair_meter(&self, request: PairMeter) -> Result<(), CallError> {
        self.ask(|reply| Command::PairMeter(request.meter, request.trust_anew, reply)).await
    }

    async fn ports(&self, _: Ports) -> Result<Vec<Port>, CallError> {
        self.can(Capability::SerialPorts)?;
        tokio::task::spawn_blocking(self.list_ports)
            .await
            .map_err(|_| CallError::new(ErrorCode::Unsupported, "ports cannot be listed"))
    }

    async fn read_again(&self, request: ReadAgain) -> Result<(), CallError> {
        self.ask(|reply| Command::ReadAgain(request.meter, reply)).await
    }

    async fn remove_meter(&self, request: RemoveMeter) -> Result<DeviceAccess, CallError> {
        let Some(leaving) = self.ask(|reply| Command::RemoveMeter(request.meter, reply)).await? else {
            return Ok(DeviceAccess::Nothing);
        };
        // A host that has ended meanwhile has asked nobody.
        Ok(if leaving.await.unwrap_or(false) { DeviceAccess::Ended } else { DeviceAccess::Left })
    }

    async fn replace_meter_keys(&self, request: ReplaceMeterKeys) -> Result<KeyReplacementState, CallError> {
        self.ask(|reply| Command::ReplaceMeterKeys(request, reply)).await
    }

    async fn security_events(&self, request: SecurityEvents) -> Result<Vec<SecurityEvent>, CallError> {
        if !self.live.look(|state| state.meters.contains_key(&request.meter)) {
            return Err(CallError::new(ErrorCode::NotFound, "there is no such meter"));
        }
        self.question(move |store| store.read(|connection| events(connection, request.meter, EVENTS_SHOWN))).await
    }

    async fn set_meter_key(&self, request: SetMeterKey) -> Result<(), CallError> {
        let authentication = request.authentication_key.as_ref().map(|key| key.0.as_str());
        let keys = KeyPair::parse(&request.decryption_key.0, authentication)
            .ok_or_else(|| CallError::invalid("decryption_key", "a key has 32 hexadecimal digits"))?;
        self.ask(|reply| Command::SetMeterKey(request.meter, keys, reply)).await
    }

    async fn set_meter_login(&self, request: SetMeterLogin) -> Result<(), CallError> {
        self.ask(|reply| Command::SetMeterLogin(request, reply)).await
    }

    async fn set_zone(&self, request: SetZone) -> Result<(), CallError> {
        self.ask(|reply| Command::SetZone(request.zone, reply)).await
    }

    async fn stop_pairing(&self, request: StopPairing) -> Result<(), CallError> {
        self.ask(|reply| Command::StopPairing(request.meter, reply)).await
    }

    async fn stop_key_replacement(&self, request: StopKeyReplacement) -> Result<(), CallError> {
        self.ask(|reply| Command::StopKeyReplacement(request.meter, reply)).await
    }
}
