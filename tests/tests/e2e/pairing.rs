//! Meters that want something first: a press of a button, a key. From the page to the first number, and over what comes later.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::process::{Folder, SimulatedHome, Wattle, until};

/// Made up, and nobody's.
const KEY: &str = "D4C3B2A100112233445566778899AABB";
const AUTHENTICATION_KEY: &str = "00FFEEDDCCBBAA998877665544332211";

/// Whether any file below a folder, or the file itself, holds these bytes.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    if path.is_dir() {
        return std::fs::read_dir(path).expect("a folder").flatten().any(|entry| holds(&entry.path(), bytes));
    }
    let content = std::fs::read(path).unwrap_or_default();
    content.windows(bytes.len()).any(|window| window.eq_ignore_ascii_case(bytes))
}

/// The host and port in an address.
fn place(address: &str) -> &str {
    address.split_once("://").expect("an address with a place").1
}

/// The first meter, as a fresh watch begins with it.
async fn meter(wattle: &Wattle) -> Value {
    let mut snapshot = wattle.notices().await.first().await;
    snapshot["meters"][0].take()
}

async fn finding(wattle: &Wattle) -> String {
    meter(wattle).await["finding"].as_str().unwrap_or_default().to_owned()
}

/// Walks to the device and presses its button once the page counts down.
async fn press(browser: &Browser, home: &mut SimulatedHome) {
    browser.click("pair-begin").await;
    until("the page counts down", || browser.shows("pair-seconds")).await;
    home.say("button");
}

#[tokio::test(flavor = "multi_thread")]
async fn k7_u5_a_homewizard_is_paired_with_its_button_stays_so_and_is_left_again() {
    let folder = Folder::new("homewizard");
    let mut home = SimulatedHome::start_as(&["--homewizard2", "0"]);
    home.say("power 1234");
    let wattle = Wattle::start_telling(&folder, "log");
    let browser = Browser::open(&folder, wattle.link()).await;
    browser.click("device-homewizard").await;
    browser.enter("meter-address", place(&home.address)).await;
    browser.click("add-network").await;

    // Given up, and not pressed in time.
    browser.click("pair-begin").await;
    until("the page counts down", || browser.shows("pair-seconds")).await;
    let left: u64 = browser.text("pair-seconds").await.parse().expect("a number");
    assert!((1..=30).contains(&left), "{left}");
    browser.click("pair-stop").await;
    browser.click("pair-begin").await;
    until("the page says that nobody pressed the button", || browser.shows("pair-not-pressed")).await;
    assert_eq!(home.state()["users"], json!({}));

    press(&browser, &mut home).await;
    until("the first number is there", || browser.has_state("live")).await;
    until("it is the meter's", || async {
        browser.attribute("hero-number", "data-milliwatts").await.as_deref() == Some("1234000")
    })
    .await;
    let state = home.state();
    let users = state["users"].as_object().expect("names and tokens");
    let (name, token) = users.iter().next().expect("a user");
    assert!(name.starts_with("local/wattle-"), "{name}");
    let token = token.as_str().expect("text").as_bytes().to_vec();
    drop(wattle);
    assert!(holds(&folder.0.join("key"), &token), "it is among the secrets");
    assert!(!holds(&folder.0.join("data"), &token) && !holds(&folder.0.join("log"), &token), "and nowhere else");

    // Paired still after a restart.
    let wattle = Wattle::start_telling(&folder, "log");
    wattle.notices().await.connection_reading().await;
    let before = meter(&wattle).await;
    browser.goto(wattle.link()).await;
    until("the page is live again", || browser.has_state("live")).await;

    // The device is reset: the same meter is paired again, and its history goes on.
    home.say("forget-users");
    until("it has to be paired again", || async { finding(&wattle).await == "pairing_needed" }).await;
    browser.goto(&format!("{}/#/meter/{}", wattle.origin(), before["id"])).await;
    press(&browser, &mut home).await;
    wattle.notices().await.connection_reading().await;

    // Another device stands there: nothing is read of it before somebody says that it may.
    home.say("replace");
    until("it is not trusted", || async { finding(&wattle).await == "untrusted" }).await;
    let readings = wattle.readings().await;
    until("the page asks", || browser.shows("pair-begin")).await;
    assert_eq!((wattle.readings().await, &home.state()["users"]), (readings, &json!({})));
    press(&browser, &mut home).await;
    wattle.notices().await.connection_reading().await;
    assert_eq!(meter(&wattle).await["id"], before["id"]);

    browser.click("remove-meter").await;
    browser.click("remove-meter").await;
    until("the page says what became of the pairing", || async { !browser.text("removed").await.is_empty() }).await;
    assert_eq!(home.state()["users"], json!({}), "the device has forgotten us");
    browser.close().await;
    drop(wattle);
    assert!(!holds(&folder.0.join("key"), b"appliance/"), "and we have forgotten the device");
    assert!(!holds(&folder.0.join("log"), b"5c2faf00c0de"), "no serial number is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypting_meter_asks_for_its_key_and_loses_nothing_of_what_came_before() {
    let folder = Folder::new("key");
    let arguments = ["--tcp", "0", "--version", "lg-e450-at", "--key", KEY, "--auth-key", AUTHENTICATION_KEY];
    let mut home = SimulatedHome::start_as(&arguments);
    home.say("power 2500");
    let wattle = Wattle::start_telling(&folder, "log");
    let browser = Browser::open(&folder, wattle.link()).await;
    browser.click("device-stream").await;
    browser.enter("meter-address", place(&home.address)).await;
    browser.click("add-network").await;
    until("the page asks for a key", || browser.shows("meter-key")).await;
    assert_eq!(finding(&wattle).await, "key_needed");
    until("some frames are kept", || async { meter(&wattle).await["sealed_frames"].as_u64() >= Some(3) }).await;
    assert_eq!(wattle.readings().await, 0);

    browser.enter("meter-key", KEY).await;
    browser.enter("meter-authentication-key", AUTHENTICATION_KEY).await;
    browser.click("keep-key").await;
    until("the first number is there", || browser.has_state("live")).await;
    until("it is the meter's", || async {
        browser.attribute("hero-number", "data-milliwatts").await.as_deref() == Some("2500000")
    })
    .await;
    assert_eq!(meter(&wattle).await["sealed_frames"], 0);
    assert!(wattle.readings().await >= 3, "what was kept is counted");
    browser.close().await;
    drop(wattle);
    for key in [KEY, AUTHENTICATION_KEY] {
        assert!(holds(&folder.0.join("key"), key.as_bytes()), "it is among the secrets");
        assert!(!holds(&folder.0.join("data"), key.as_bytes()) && !holds(&folder.0.join("log"), key.as_bytes()));
    }
}
