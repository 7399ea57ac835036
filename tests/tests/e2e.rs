//! The whole house as people meet it: the page in a real browser, the real window, a kill at a bad moment.
//!
//! `cargo xtask test` installs what this needs and says where the programs and the page lie. Every test starts its own
//! simulated home behind a pseudo-terminal, its own Wattle in a folder of its own, and ends both.
#![expect(clippy::print_stdout, reason = "how long the page took is for people to read; no test asserts a time")]

#[path = "e2e/browser.rs"]
mod browser;
#[path = "e2e/keys.rs"]
mod keys;
#[path = "e2e/pairing.rs"]
mod pairing;
#[path = "e2e/process.rs"]
mod process;
#[path = "e2e/window.rs"]
mod window;

use std::time::{Duration, Instant};

use browser::Browser;
use process::{Folder, SimulatedHome, Wattle, until};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_the_meter_says_and_says_when_it_says_nothing() {
    let folder = Folder::new("page");
    let mut home = SimulatedHome::start();
    let wattle = Wattle::start(&folder, Some(&home.address));
    let browser = Browser::open(&folder, wattle.link()).await;
    until("the page is live", || browser.has_state("live")).await;

    for watts in [1_234, -2_750, 8] {
        home.say(&format!("power {watts}"));
        let since = Instant::now();
        until("the page shows the forced power", || async {
            browser.attribute("hero-number", "data-milliwatts").await == Some((watts * 1_000).to_string())
        })
        .await;
        println!("{watts} W on the page after {} ms", since.elapsed().as_millis());
    }
    assert_eq!(browser.text("hero-number").await, "8");

    home.say("stall");
    until("the page looks stale", || browser.has_state("stale")).await;
    assert!(!browser.text("stale-notice").await.is_empty());
    home.say("resume");
    until("the page is live again", || browser.has_state("live")).await;

    // Every place opens, by its own address, and nothing breaks the policy or reaches out.
    for (place, mark) in [("nav-history", "history-chart"), ("nav-sharing", "nav-sharing"), ("nav-home", "nav-home")] {
        browser.click(place).await;
        until(mark, || browser.shows(mark)).await;
    }
    browser.click("nav-history").await;
    for period in ["period-week", "period-month", "period-year", "period-day"] {
        browser.click(period).await;
        until(period, || browser.shows("history-chart")).await;
    }
    browser.click("nav-now").await;
    until("the number is back", || browser.shows("hero-number")).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let foreign = browser.foreign_requests().await;
    assert!(foreign.is_empty(), "the page reached out: {foreign:?}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_adds_a_simulated_home_and_sees_its_number() {
    let folder = Folder::new("newcomer");
    let wattle = Wattle::start(&folder, None);
    let browser = Browser::open(&folder, wattle.link()).await;
    until("the first start asks for a meter", || browser.shows("try-simulated")).await;
    browser.click("try-simulated").await;
    until("the first number is there", || browser.has_state("live")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_w1_killed_at_any_moment_nothing_announced_is_lost_and_totals_stay_exact() {
    let folder = Folder::new("kill");
    let mut home = SimulatedHome::start();
    // 36 kW: ten watt-hours a second, so that a lost or doubled second shows.
    home.say("power 36000");
    let wattle = Wattle::start(&folder, Some(&home.address));
    wattle.notices().await.connection_reading().await;
    home.say("stall");
    let first = register(&wattle.settled_connection_reading().await);
    let booked_first = wattle.booked().await;
    home.say("resume");
    drop(wattle);
    let mut announced = 0;
    for round in 0_u64..5 {
        let mut wattle = Wattle::start(&folder, Some(&home.address));
        wattle.notices().await.connection_reading().await;
        let kept = wattle.readings().await;
        assert!(kept >= announced, "{kept} readings kept, {announced} were announced before the kill");
        // At a moment that differs from round to round.
        tokio::time::sleep(Duration::from_millis(1_300 + round * 370)).await;
        announced = wattle.readings().await;
        wattle.kill();
    }
    let wattle = Wattle::start(&folder, Some(&home.address));
    wattle.notices().await.connection_reading().await;
    home.say("stall");
    let last = register(&wattle.settled_connection_reading().await);
    let booked = wattle.booked().await - booked_first;
    assert_eq!(booked, last - first, "booked what the registers rose, to 1 mWh");
    assert!(booked > 100_000, "a dozen seconds of 36 kW and more");
    let said = home.state()["import_milliwatt_hours"].as_i64().expect("a register");
    assert_eq!(last, said, "the register is the simulated home's own");
}

/// The sum of the import registers of a point's newest reading.
fn register(point: &Value) -> i64 {
    let registers = point["latest"]["registers"].as_array().cloned().unwrap_or_default();
    registers
        .iter()
        .filter(|register| register["flow"] == "import")
        .filter_map(|register| register["total_milliwatt_hours"].as_i64())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn k14_t11_nobody_reads_without_the_key_from_another_page_or_by_another_name() {
    let folder = Folder::new("access");
    let wattle = Wattle::start(&folder, None);
    let ask = |path: &str| reqwest::Client::new().post(format!("{}{path}", wattle.origin())).body("{}");
    let key = format!("Bearer {}", wattle.key());
    let about = || ask("/api/v1/call/about");
    let status =
        |request: reqwest::RequestBuilder| async { request.send().await.expect("an answer").status().as_u16() };

    assert_eq!(status(about().header("authorization", &key)).await, 200);
    assert_eq!(status(about()).await, 401);
    assert_eq!(status(about().header("authorization", "Bearer 0")).await, 401);
    assert_eq!(status(about().header("authorization", &key).header("origin", "http://evil.example")).await, 403);
    assert_eq!(status(about().header("authorization", &key).header("host", "evil.example")).await, 421);
    assert_eq!(status(ask("/api/v1/call/nothing").header("authorization", &key)).await, 404);
    assert_eq!(status(about().header("authorization", &key).body("x".repeat(100_000))).await, 413);
    let notices = reqwest::get(format!("{}/api/v1/notices", wattle.origin())).await.expect("an answer");
    assert_eq!(notices.status().as_u16(), 401);
    let page = reqwest::get(format!("{}/", wattle.origin())).await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe-inline"), "{policy}");
    assert!(page.headers().get("access-control-allow-origin").is_none());
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/..%2fCargo.toml", "//etc/passwd"] {
        let answer = reqwest::get(format!("{}{path}", wattle.origin())).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operating_systems_store_keeps_the_key_and_without_it_nothing_is_touched() {
    let folder = Folder::new("secret");
    let first = Wattle::start_with_secret_store(&folder);
    let key = first.key().to_owned();
    drop(first);
    let again = Wattle::start_with_secret_store(&folder);
    assert_eq!(again.key(), key, "the same home, opened with the key of the first start");
    drop(again);
    assert!(!folder.0.join("data/database.key").exists());
    let database = std::fs::read(folder.0.join("data/wattle.db")).expect("a database");
    let said = Wattle::refusal_without_secret_store(&folder);
    assert!(said.contains("secret store cannot be used") && said.contains("--key-file"), "{said}");
    assert!(std::fs::read(folder.0.join("data/wattle.db")).expect("a database") == database, "not a byte changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_shows_live_numbers_and_is_not_blank() {
    let folder = Folder::new("window");
    let mut home = SimulatedHome::start();
    home.say("power 1234");
    let window = window::Window::open(&folder, &home.address).await;
    until("the window is live", || window.has_state("live")).await;
    for watts in [1_234, -2_750] {
        home.say(&format!("power {watts}"));
        until("the window shows the forced power", || async {
            window.attribute("hero-number", "data-milliwatts").await == Some((watts * 1_000).to_string())
        })
        .await;
    }
    let colours = window.colours().await;
    assert!(colours > 20, "a blank window has few colours, this one {colours}");
    window.close().await;
}
