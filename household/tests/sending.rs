//! Counters towards a meter that is asked, from outside the crate: kept before they are given, never given twice.

use std::path::{Path, PathBuf};

use contract::calls::{AddMeter, Calls as _, RemoveMeter};
use contract::live::{MeterId, Role};
use household::home::{Household, Options};
use household::secrets::Secrets;
use meter_link::meter::MeterEvent;
use meter_link::meter::reserve::{CountersWanted, Reserved};
use meter_link::security::Fingerprint;
use tokio::sync::oneshot;

const KEY: Fingerprint = Fingerprint([1; 12]);
const OTHER_KEY: Fingerprint = Fingerprint([2; 12]);

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(folder: &Path) -> Household {
    let secrets = Secrets::File(folder.join("database.key"));
    let (find_devices, list_ports) = (Vec::new, Vec::new);
    let options = Options { folder: folder.to_owned(), secrets, capabilities: Vec::new(), find_devices, list_ports };
    Household::open(options).expect("the folder opens").0
}

async fn add(household: &Household) -> MeterId {
    let address = "dlms://made?security=gmac".to_owned();
    household.add_meter(AddMeter { address, name: String::new(), role: Role::Connection }).await.expect("a new meter")
}

async fn reserve(household: &Household, meter: MeterId, key: Fingerprint, from: u32, count: u32) -> Option<Reserved> {
    let (reserved, given) = oneshot::channel();
    let wanted = CountersWanted { key, from, count, reserved };
    household.hear(meter, MeterEvent::CountersWanted(Box::new(wanted))).await;
    given.await.ok()
}

#[tokio::test]
async fn a_counter_is_never_given_twice_whatever_happens_to_the_home_or_the_meter() {
    let folder = Folder(std::env::temp_dir().join(format!("wattle-sending-{}", std::process::id())));
    let _ = std::fs::remove_dir_all(&folder.0);
    let household = open(&folder.0);
    let meter = add(&household).await;
    let first = reserve(&household, meter, KEY, 0, 100).await.expect("counters");
    assert_eq!(first.counters, 1..101);
    assert_eq!(reserve(&household, meter, KEY, 5_000, 100).await.map(|more| more.counters), Some(5_000..5_100));
    assert_eq!(reserve(&household, meter, KEY, 7, 100).await.map(|more| more.counters), Some(5_100..5_200));
    let other = reserve(&household, meter, OTHER_KEY, 0, 10).await.expect("counters");
    assert_eq!((other.counters, other.title), (1..11, first.title), "a key of its own, one title for the meter");

    drop(household);
    let lock = std::fs::File::open(folder.0.join("lock")).expect("a home's folder has a lock");
    while lock.try_lock().is_err() {
        tokio::task::yield_now().await;
    }
    drop(lock);
    let household = open(&folder.0);
    let again = reserve(&household, meter, KEY, 0, 100).await.expect("counters");
    assert_eq!((again.counters, again.title), (5_200..5_300, first.title), "after a kill");

    household.remove_meter(RemoveMeter { meter }).await.expect("it was there");
    assert_eq!(reserve(&household, meter, KEY, 0, 100).await, None, "a removed meter is sent nothing");
    let meter = add(&household).await;
    assert_eq!(reserve(&household, meter, KEY, 0, 100).await.map(|more| more.counters), Some(5_300..5_400));
    assert_eq!(reserve(&household, meter, KEY, u32::MAX - 10, 100).await, None, "none are left");
}
