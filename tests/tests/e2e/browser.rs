//! A real browser, driven over WebDriver. Things are found by `data-testid`.

use std::process::{Command, Stdio};

use serde_json::json;
use thirtyfour::LoggingPrefsLogLevel;
use thirtyfour::prelude::*;

use crate::process::{Folder, Process, until};

/// A browser with one page.
pub(crate) struct Browser {
    driver: WebDriver,
    _process: Process,
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
    listener.local_addr().expect("a bound port").port()
}

/// Waits until a WebDriver server answers.
pub(crate) async fn await_server(url: &str) {
    until("the driver answers", || async { reqwest::get(format!("{url}/status")).await.is_ok() }).await;
}

impl Browser {
    pub(crate) async fn open(folder: &Folder, link: &str) -> Self {
        let port = free_port();
        let process = Process::start(
            Command::new("chromedriver").arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()),
        );
        let url = format!("http://127.0.0.1:{port}");
        await_server(&url).await;
        let mut capabilities = DesiredCapabilities::chrome();
        let profile = folder.0.join("browser");
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.display()),
        ] {
            capabilities.add_arg(argument).expect("a list of arguments");
        }
        let _ = capabilities.set_browser_log_level(LoggingPrefsLogLevel::All);
        let driver = WebDriver::new(&url, capabilities).await.expect("the browser starts");
        driver.goto(link).await.expect("the page answers");
        Self { driver, _process: process }
    }

    async fn find(&self, mark: &str) -> Option<WebElement> {
        self.driver.find(By::Css(format!("[data-testid='{mark}']"))).await.ok()
    }

    pub(crate) async fn shows(&self, mark: &str) -> bool {
        match self.find(mark).await {
            Some(element) => element.is_displayed().await.unwrap_or(false),
            None => false,
        }
    }

    pub(crate) async fn text(&self, mark: &str) -> String {
        let element = self.find(mark).await.unwrap_or_else(|| panic!("{mark} is not on the page"));
        element.text().await.expect("an element on the page")
    }

    pub(crate) async fn attribute(&self, mark: &str, name: &str) -> Option<String> {
        self.find(mark).await?.attr(name).await.ok()?
    }

    pub(crate) async fn has_state(&self, state: &str) -> bool {
        match self.driver.find(By::Id("app")).await {
            Ok(app) => app.attr("data-state").await.ok().flatten().as_deref() == Some(state),
            Err(_) => false,
        }
    }

    pub(crate) async fn click(&self, mark: &str) {
        until(mark, || self.shows(mark)).await;
        let element = self.find(mark).await.unwrap_or_else(|| panic!("{mark} is not on the page"));
        element.click().await.unwrap_or_else(|error| panic!("{mark}: {error}"));
    }

    /// Types into an empty field.
    pub(crate) async fn enter(&self, mark: &str, text: &str) {
        until(mark, || self.shows(mark)).await;
        let element = self.find(mark).await.unwrap_or_else(|| panic!("{mark} is not on the page"));
        element.send_keys(text).await.unwrap_or_else(|error| panic!("{mark}: {error}"));
    }

    /// Opens a link; of the same page too.
    pub(crate) async fn goto(&self, link: &str) {
        self.driver.goto(link).await.expect("the page answers");
    }

    /// What the browser complained about: policy violations, errors, panics.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.driver.browser_log().await.unwrap_or_default();
        entries
            .iter()
            .map(|entry| format!("{entry:?}"))
            .filter(|text| text.contains("SEVERE") || text.contains("Severe"))
            .collect()
    }

    /// Addresses the page has asked for outside its own origin.
    pub(crate) async fn foreign_requests(&self) -> Vec<String> {
        let script = "return performance.getEntriesByType('resource').map(entry => entry.name)\
                      .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
        let found = self.driver.execute(script, Vec::new()).await.expect("a script that runs");
        found.convert().unwrap_or_else(|_| vec![json!("no list").to_string()])
    }

    pub(crate) async fn close(self) {
        let _ = self.driver.quit().await;
    }
}
