//! The one list of calls.
//!
//! Expands to a request struct per call, [`Request`] for the caller's side, the trait [`Calls`] that the backend
//! implements, and [`dispatch`], which checks the scope before it does anything else. A call that a backend lacks does not
//! compile; a call without a scope cannot be written.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{CallError, ErrorCode};
use crate::history::{HistoryReply, Period, Resolution};
use crate::live::{MeterId, Role};
use crate::pairing::{DeviceAccess, FoundDevice};
use crate::scope::{Scope, Scopes};
use crate::security::{KeyReplacementState, MasterKey, ReplacedKeys, SecurityEvent};

/// A request that knows its name, its scope and its reply.
pub trait Request: Serialize + DeserializeOwned {
    /// What comes back.
    type Reply: Serialize + DeserializeOwned;
    /// The call's name on both carriers.
    const NAME: &'static str;
    /// The right it needs.
    const SCOPE: Scope;
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident: $scope:ident, $request:ident {
        $($(#[$field_doc:meta])* $field:ident: $kind:ty,)*
    } -> $reply:ty;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $request { $($(#[$field_doc])* pub $field: $kind,)* }

            impl Request for $request {
                type Reply = $reply;
                const NAME: &'static str = stringify!($name);
                const SCOPE: Scope = Scope::$scope;
            }
        )+

        /// What a backend does; one method per call.
        pub trait Calls: Send + Sync {
            $(
                $(#[$doc])*
                fn $name(&self, request: $request) -> impl Future<Output = Result<$reply, CallError>> + Send;
            )+
        }

        /// Names of all calls with the scope each needs, in the order of the list.
        pub const ALL: &[(&str, Scope)] = &[$((stringify!($name), Scope::$scope)),+];

        /// Checks the scope, reads the request, calls the backend, writes the reply; all as JSON text.
        pub async fn dispatch(
            backend: &impl Calls,
            scopes: Scopes,
            name: &str,
            request: &str,
        ) -> Result<String, CallError> {
            match name {
                $(stringify!($name) => {
                    permit(scopes, Scope::$scope)?;
                    write(&backend.$name(read::<$request>(request)?).await?)
                })+
                _ => Err(CallError::new(ErrorCode::NotFound, format!("no such call: {name:.40}"))),
            }
        }
    };
}

calls! {
    /// What this is and where it keeps the home's data.
    about: Look, About {} -> AboutReply;

    /// Pairs a meter. Its health shows at once what is heard, or that its device has to be paired first.
    add_meter: Install, AddMeter {
        /// `serial:/dev/ttyUSB0`, `tcp://host:port`, `homewizard2://host`, `file:path` or `simulated`.
        address: String,
        /// The household's name for it; may be empty.
        name: String,
        /// What it measures.
        role: Role,
    } -> MeterId;

    /// Searches the network for some seconds for devices that may know a meter.
    find_devices: Install, FindDevices {} -> Vec<FoundDevice>;

    /// A stretch of the past.
    history: Look, History {
        /// How long.
        period: Period,
        /// Any day within it, `YYYY-MM-DD` in the home's zone; `None` for the running one.
        date: Option<String>,
        /// Width of the buckets; `None` for what suits the period.
        resolution: Option<Resolution>,
    } -> HistoryReply;

    /// Begins to pair with a meter's device; the meter's state tells how it goes on. The meter and its history stay.
    pair_meter: Install, PairMeter {
        /// Which.
        meter: MeterId,
        /// Somebody who can see the device says that it is another one now, or was reset. Else only the device that was
        /// paired before is paired with again.
        trust_anew: bool,
    } -> ();

    /// Serial ports that could lead to a meter.
    ports: Install, Ports {} -> Vec<Port>;

    /// Starts to read a meter anew, now and not only after its pause.
    read_again: Install, ReadAgain {
        /// Which.
        meter: MeterId,
    } -> ();

    /// Ends reading a meter, and forgets its secrets, but for keys that nobody else knows. Its history stays.
    remove_meter: Install, RemoveMeter {
        /// Which.
        meter: MeterId,
    } -> DeviceAccess;

    /// Replaces keys of a meter that the household administers: makes new ones, hands them to the meter, and proves them by a
    /// read before the old ones go. Goes on by itself, also after a restart; how it stands is told with the meter.
    replace_meter_keys: Install, ReplaceMeterKeys {
        /// Which.
        meter: MeterId,
        /// Which of its keys.
        keys: ReplacedKeys,
        /// What wraps the new ones on their way.
        master_key: MasterKey,
    } -> KeyReplacementState;

    /// Frames of a meter that were refused, newest first, at most 500 of them.
    security_events: Look, SecurityEvents {
        /// Which.
        meter: MeterId,
    } -> Vec<SecurityEvent>;

    /// Gives the keys of an encrypting meter. Kept where the operating system keeps secrets, never in the database.
    set_meter_key: Install, SetMeterKey {
        /// Which.
        meter: MeterId,
        /// The decryption key (global unicast encryption key), 32 hexadecimal digits.
        decryption_key: Secret,
        /// The authentication key, 32 hexadecimal digits, if the operator gave one.
        authentication_key: Option<Secret>,
    } -> ();

    /// Gives the user and password of a meter's device or broker. Kept where the operating system keeps secrets.
    set_meter_login: Install, SetMeterLogin {
        /// Which.
        meter: MeterId,
        /// Name of the user, or what the device calls it; empty where a password alone counts.
        user: Secret,
        /// The password, or what the device calls it.
        password: Secret,
    } -> ();

    /// Moves the home to another time zone. Days already past keep their bounds in UTC and are cut anew.
    set_zone: Own, SetZone {
        /// IANA name.
        zone: String,
    } -> ();

    /// Ends a replacement of keys of which nothing has been sent yet.
    stop_key_replacement: Install, StopKeyReplacement {
        /// Whose.
        meter: MeterId,
    } -> ();

    /// Gives up a pairing, or takes note of how it ended.
    stop_pairing: Install, StopPairing {
        /// Which.
        meter: MeterId,
    } -> ();
}

/// What this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutReply {
    /// Version of Wattle.
    pub version: String,
    /// Folder with the database.
    pub data_folder: String,
    /// Where the database's key is kept, in words of [`KeyPlace`].
    pub key_place: KeyPlace,
    /// Size of the database.
    pub database_bytes: u64,
    /// Readings kept.
    pub readings: u64,
}

/// Where the database's key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// In a file that only this user may read, because the household said so.
    File,
    /// In the operating system's store.
    OperatingSystem,
}

/// A serial port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Address to pair with: `serial:/dev/ttyUSB0`.
    pub address: String,
    /// What the adapter says of itself; may be empty.
    pub description: String,
}

/// A secret on its way inward. `Debug` is redacted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

fn permit(scopes: Scopes, needed: Scope) -> Result<(), CallError> {
    if scopes.allow(needed) {
        return Ok(());
    }
    Err(CallError::new(ErrorCode::Forbidden, "this session may not do that"))
}

fn read<R: Request>(text: &str) -> Result<R, CallError> {
    // Where the text breaks, not what it says: a request may hold a key.
    serde_json::from_str(text).map_err(|error| {
        CallError::new(ErrorCode::Invalid, format!("request does not fit {}: column {}", R::NAME, error.column()))
    })
}

fn write<T: Serialize>(reply: &T) -> Result<String, CallError> {
    serde_json::to_string(reply).map_err(|_| CallError::new(ErrorCode::Invalid, "reply cannot be written"))
}
