//! The border as it is written on both carriers. A changed file here is a decision, said in the commit that makes it.

use contract::calls::{self, AddMeter, History, ReplaceMeterKeys, Request, Secret, SetMeterKey};
use contract::error::{CallError, ErrorCode};
use contract::history::{Amounts, Bucket, Fact, FactKind, HistoryReply, Period, Resolution};
use contract::live::{
    Capability, Clock, Home, Latest, MeterId, MeterState, PhaseState, PointId, PointKind, PointState, PowerSpan,
    Recording, Register, Role, Snapshot, Today,
};
use contract::notice::{Notice, Numbered};
use contract::pairing::{DeviceAccess, FoundDevice, PairingState};
use contract::scope::{Scope, Scopes};
use contract::security::{
    Administration, KeyEpochState, KeyReplacementStage, KeyReplacementState, KeyReplacementTrouble, KeySlot, MasterKey,
    ReplacedKeys, SecurityEvent, SecurityEventKind,
};
use meter_link::country::{Country, RateName};
use meter_link::diagnosis::Finding;
use meter_link::health::{Health, KeyState, LinkProblem, LinkState};
use meter_link::reading::{Flow, Phase, Trust};
use meter_link::units::{Milliamperes, Millilitres, Millivolts, MilliwattHours, Milliwatts};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a value, compares it with the golden file, and reads it back.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let text = serde_json::to_string(value).expect("it can be written");
    assert_eq!(&serde_json::from_str::<T>(&text).expect("it can be read"), value);
    let pretty = serde_json::to_string_pretty(value).expect("it can be written");
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, pretty);
    });
}

fn event() -> SecurityEvent {
    SecurityEvent { at_utc_milliseconds: 1_792_779_000_000, kind: SecurityEventKind::Replayed }
}

fn meter() -> MeterState {
    MeterState {
        id: MeterId(3),
        name: "Cellar".to_owned(),
        address: "tcp://p1.home:23".to_owned(),
        role: Role::Connection,
        health: Health {
            state: LinkState::Live,
            line_settings: Some("115200 8N1".to_owned()),
            protocol: Some("p1".to_owned()),
            identification: Some("MAD5\\TYPE".to_owned()),
            country: Some(Country::Nl),
            bytes: 901,
            frames: 1,
            key: KeyState::Fits,
            last_frame_utc_milliseconds: Some(1_792_779_340_120),
            interval_milliseconds: Some(1_000),
            clock_offset_milliseconds: Some(-120),
            ..Health::default()
        },
        finding: Finding::Fine,
        keys: vec![KeyEpochState {
            number: 2,
            suite: 0,
            since_utc_milliseconds: 1_792_700_000_000,
            last_used_utc_milliseconds: Some(1_792_779_340_120),
            state: KeySlot::Current,
            refused_from_utc_milliseconds: None,
        }],
        security_events_today: 1,
        last_security_event: Some(event()),
        sealed_frames: 12,
        sealed_frames_dropped: 0,
        pairing: Some(PairingState::Button { seconds_left: 27 }),
        lfdi: None,
        administration: Some(Administration {
            master_key_kept: true,
            keys_made_here: true,
            replacement: Some(replacement()),
        }),
    }
}

fn replacement() -> KeyReplacementState {
    KeyReplacementState {
        keys: ReplacedKeys::Both,
        stage: KeyReplacementStage::Sent,
        since_utc_milliseconds: 1_792_779_000_000,
        reached_utc_milliseconds: 1_792_779_002_000,
        suite: Some(1),
        refused_from_utc_milliseconds: None,
        trouble: Some(KeyReplacementTrouble::MeterSilent),
    }
}

fn point() -> PointState {
    PointState {
        id: PointId(1),
        kind: PointKind::Connection,
        meter: Some(MeterId(3)),
        latest: Some(Latest {
            at_utc_milliseconds: 1_792_779_340_000,
            clock: Clock::Meter,
            trust: Trust::Checked,
            power_milliwatts: Milliwatts::new(-1_234_000),
            phases: vec![PhaseState {
                phase: Phase::L1,
                power_milliwatts: Milliwatts::new(-1_234_000),
                voltage_millivolts: Millivolts::new(236_000),
                current_milliamperes: Milliamperes::new(5_200),
            }],
            registers: vec![Register {
                obis: "1-0:1.8.1".to_owned(),
                flow: Flow::Import,
                rate: 1,
                rate_name: Some(RateName::Low),
                total_milliwatt_hours: MilliwattHours::saturating(1_234_567_000),
            }],
            rate: Some(1),
            volume_millilitres: None,
            heat_joules: None,
        }),
    }
}

fn today() -> Today {
    Today {
        date: "2026-10-23".to_owned(),
        import_milliwatt_hours: MilliwattHours::new(4_230_000),
        export_milliwatt_hours: MilliwattHours::new(0),
        generation_milliwatt_hours: None,
        gas_millilitres: Millilitres::new(1_250_000),
        water_millilitres: None,
        complete: true,
    }
}

fn span() -> PowerSpan {
    PowerSpan {
        start_utc_milliseconds: 1_792_779_340_000,
        min_milliwatts: Milliwatts::saturating(-1_300_000),
        mean_milliwatts: Milliwatts::saturating(-1_234_000),
        max_milliwatts: Milliwatts::saturating(-1_200_000),
    }
}

#[test]
fn notices() {
    let snapshot = Snapshot {
        home: Home {
            zone: "Europe/Amsterdam".to_owned(),
            utc_offset_seconds: 7_200,
            now_utc_milliseconds: 1_792_779_341_000,
            recording: Recording::Fine,
            capabilities: vec![Capability::DeviceSearch, Capability::SerialPorts, Capability::SimulatedHome],
            first_date: Some("2026-10-01".to_owned()),
        },
        meters: vec![meter()],
        points: vec![point()],
        today: today(),
        last_hour: vec![span()],
    };
    check("notice_snapshot", &Numbered { number: 1, notice: Notice::Snapshot(Box::new(snapshot)) });
    let reading = Notice::Reading { point: Box::new(point()), today: Box::new(today()), span: Some(span()) };
    check("notice_reading", &Numbered { number: 2, notice: reading });
    check("notice_meter", &Numbered { number: 3, notice: Notice::Meter(Box::new(meter())) });
}

#[test]
fn requests_and_replies() {
    let address = "serial:/dev/ttyUSB0".to_owned();
    check("request_add_meter", &AddMeter { address, name: String::new(), role: Role::Generation });
    check("request_history", &History { period: Period::Week, date: Some("2026-10-25".to_owned()), resolution: None });
    let secret = |digits: &str| Secret(digits.repeat(16));
    let ask = |keys, master_key| ReplaceMeterKeys { meter: MeterId(3), keys, master_key };
    check("request_replace_meter_keys", &ask(ReplacedKeys::Both, MasterKey::Given(secret("a1"))));
    let agreed = MasterKey::Agreed { signing_key: secret("b2c3"), meter_public_key: "d4".repeat(64) };
    check("request_replace_meter_keys_agreed", &ask(ReplacedKeys::Master, agreed));
    check("request_replace_meter_keys_kept", &ask(ReplacedKeys::Unicast, MasterKey::Kept));
    let amounts =
        Amounts { import_milliwatt_hours: MilliwattHours::new(360_000), complete: true, ..Amounts::default() };
    check(
        "reply_history",
        &HistoryReply {
            period: Period::Day,
            start_date: "2026-10-25".to_owned(),
            previous_date: Some("2026-10-24".to_owned()),
            next_date: None,
            start_utc_milliseconds: 1_792_879_200_000,
            end_utc_milliseconds: 1_792_969_200_000,
            resolution: Resolution::Hour,
            buckets: vec![Bucket {
                start_utc_milliseconds: 1_792_879_200_000,
                end_utc_milliseconds: 1_792_882_800_000,
                utc_offset_seconds: 7_200,
                amounts,
            }],
            power: vec![span()],
            power_span_milliseconds: 60_000,
            total: amounts,
            facts: vec![Fact {
                kind: FactKind::Gap,
                start_utc_milliseconds: 1_792_882_800_000,
                end_utc_milliseconds: 1_792_886_400_000,
                import_milliwatt_hours: MilliwattHours::new(3_000_000),
                export_milliwatt_hours: None,
            }],
        },
    );
    check("reply_security_events", &vec![event()]);
    let address = "homewizard2://p1meter.local".to_owned();
    check("reply_find_devices", &vec![FoundDevice { address, name: "P1 meter".to_owned() }]);
    check("reply_remove_meter", &DeviceAccess::Left);
    check("request_pair_meter", &calls::PairMeter { meter: MeterId(3), trust_anew: false });
    let registration = |problem| PairingState::Registration { problem };
    let states = vec![
        PairingState::Asking,
        PairingState::Failed { problem: LinkProblem::Untrusted },
        PairingState::NotKept,
        registration(None),
        registration(Some(LinkProblem::Refused)),
    ];
    check("pairing_states", &states);
    check("error", &CallError::invalid("zone", "no such time zone"));
}

#[test]
fn the_list_of_calls_and_the_scope_of_each() {
    let list: Vec<String> = calls::ALL.iter().map(|(name, scope)| format!("{name}: {scope:?}")).collect();
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("calls", list.join("\n"));
    });
}

/// A backend that must not be reached.
struct Unreached;

impl calls::Calls for Unreached {
    async fn about(&self, _: calls::About) -> Result<calls::AboutReply, CallError> {
        unreachable!("refused before")
    }
    async fn add_meter(&self, _: AddMeter) -> Result<MeterId, CallError> {
        unreachable!("refused before")
    }
    async fn find_devices(&self, _: calls::FindDevices) -> Result<Vec<FoundDevice>, CallError> {
        unreachable!("refused before")
    }
    async fn history(&self, _: History) -> Result<HistoryReply, CallError> {
        unreachable!("refused before")
    }
    async fn pair_meter(&self, _: calls::PairMeter) -> Result<(), CallError> {
        unreachable!("refused before")
    }
    async fn ports(&self, _: calls::Ports) -> Result<Vec<calls::Port>, CallError> {
        unreachable!("refused before")
    }
    async fn read_again(&self, _: calls::ReadAgain) -> Result<(), CallError> {
        unreachable!("refused before")
    }
    async fn remove_meter(&self, _: calls::RemoveMeter) -> Result<DeviceAccess, CallError> {
        unreachable!("refused before")
    }
    async fn replace_meter_keys(&self, _: ReplaceMeterKeys) -> Result<KeyReplacementState, CallError> {
        unreachable!("refused before")
    }
    async fn security_events(&self, _: calls::SecurityEvents) -> Result<Vec<SecurityEvent>, CallError> {
        unreachable!("refused before")
    }
    async fn set_meter_key(&self, _: SetMeterKey) -> Result<(), CallError> {
        unreachable!("refused before")
    }
    async fn set_meter_login(&self, _: calls::SetMeterLogin) -> Result<(), CallError> {
        unreachable!("refused before")
    }
    async fn stop_key_replacement(&self, _: calls::StopKeyReplacement) -> Result<(), CallError> {
        unreachable!("refused before")
    }
    async fn set_zone(&self, _: calls::SetZone) -> Result<(), CallError> {
        unreachable!("refused before")
    }
    async fn stop_pairing(&self, _: calls::StopPairing) -> Result<(), CallError> {
        unreachable!("refused before")
    }
}

#[tokio::test]
async fn no_call_reaches_the_backend_without_its_scope() {
    for (name, scope) in calls::ALL {
        let refused = calls::dispatch(&Unreached, Scopes::NONE, name, "{}").await;
        assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Forbidden), "{name}");
        if *scope != Scope::Look {
            let refused = calls::dispatch(&Unreached, Scopes::VIEWER, name, "{}").await;
            assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Forbidden), "{name}");
        }
    }
    assert_eq!(History::NAME, "history");
}

#[tokio::test]
async fn k7_a_garbled_request_with_a_key_in_it_is_not_repeated_in_the_error() {
    let request = r#"{"meter":1,"decryption_key":"00112233445566778899aabbccddeeff","authentication_key":7}"#;
    let error = calls::dispatch(&Unreached, Scopes::OWNER, "set_meter_key", request).await.expect_err("a wrong type");
    assert!(!format!("{error:?}").contains("aabbccdd"));
    let secret = Secret("00112233".to_owned());
    let request = SetMeterKey { meter: MeterId(1), decryption_key: secret, authentication_key: None };
    assert!(!format!("{request:?}").contains("0011"));
    let (user, password) = (Secret("0a1b2c".to_owned()), Secret("0123456789abcdef".to_owned()));
    let request = calls::SetMeterLogin { meter: MeterId(1), user, password };
    assert!(!format!("{request:?}").contains("0a1b") && !format!("{request:?}").contains("0123"));
    let request = r#"{"meter":1,"keys":"both","master_key":{"from":"given","content":{"key":"aabbccdd"}}}"#;
    let error = calls::dispatch(&Unreached, Scopes::OWNER, "replace_meter_keys", request).await;
    assert!(!format!("{:?}", error.expect_err("a wrong type")).contains("aabbccdd"));
    let master_key = MasterKey::Agreed { signing_key: Secret("00112233".to_owned()), meter_public_key: String::new() };
    let request = ReplaceMeterKeys { meter: MeterId(1), keys: ReplacedKeys::Both, master_key };
    assert!(!format!("{request:?}").contains("0011"));
}

#[test]
fn a_meter_written_before_keys_had_epochs_is_still_read() {
    let mut old = serde_json::to_value(meter()).expect("it can be written");
    let fields = old.as_object_mut().expect("an object");
    let new = [
        "administration",
        "keys",
        "last_security_event",
        "lfdi",
        "pairing",
        "sealed_frames",
        "sealed_frames_dropped",
        "security_events_today",
    ];
    for name in new {
        fields.remove(name).expect("a field of the new form");
    }
    let read: MeterState = serde_json::from_value(old).expect("the old form is read");
    assert_eq!((read.keys, read.sealed_frames), (Vec::new(), 0));
}
