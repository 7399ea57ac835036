//! The real window on a virtual screen, driven over WebKit's own WebDriver.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use thirtyfour::prelude::*;

use crate::browser::{await_server, free_port};
use crate::process::{Folder, Process, program, until};

/// The window and everything it needs to be one.
pub(crate) struct Window {
    driver: WebDriver,
    display: String,
    screenshot: std::path::PathBuf,
    _webdriver: Process,
    _screen: Process,
}

impl Window {
    pub(crate) async fn open(folder: &Folder, meter: &str) -> Self {
        let (screen, display) = screen().await;
        let port = free_port();
        // WebKitWebDriver starts the program itself and hands its environment on.
        let mut webdriver = Command::new("dbus-run-session");
        webdriver
            .args(["--", "WebKitWebDriver", &format!("--port={port}")])
            .env("DISPLAY", &display)
            .env("TAURI_AUTOMATION", "true")
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .env("WEBKIT_DISABLE_COMPOSITING_MODE", "1")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let webdriver = Process::start(&mut webdriver);
        let url = format!("http://127.0.0.1:{port}");
        await_server(&url).await;
        let mut capabilities = Capabilities::new();
        let options = json!({
            "binary": program("wattle"),
            "args": ["--data", folder.0.join("data"), "--key-file", folder.0.join("key"), "--meter", meter],
        });
        capabilities.set("webkitgtk:browserOptions", options).expect("JSON");
        let driver = WebDriver::new(&url, capabilities).await.expect("the window opens");
        Self { driver, display, screenshot: folder.0.join("window.png"), _webdriver: webdriver, _screen: screen }
    }

    pub(crate) async fn has_state(&self, state: &str) -> bool {
        match self.driver.find(By::Id("app")).await {
            Ok(app) => app.attr("data-state").await.ok().flatten().as_deref() == Some(state),
            Err(_) => false,
        }
    }

    pub(crate) async fn attribute(&self, mark: &str, name: &str) -> Option<String> {
        let element = self.driver.find(By::Css(format!("[data-testid='{mark}']"))).await.ok()?;
        element.attr(name).await.ok()?
    }

    /// How many colours the screen shows.
    pub(crate) async fn colours(&self) -> u32 {
        let taken = Command::new("import")
            .args(["-display", &self.display, "-window", "root"])
            .arg(&self.screenshot)
            .status()
            .expect("imagemagick is installed by cargo xtask test");
        assert!(taken.success());
        let said =
            Command::new("identify").args(["-format", "%k"]).arg(&self.screenshot).output().expect("imagemagick");
        String::from_utf8_lossy(&said.stdout).trim().parse().expect("a count of colours")
    }

    pub(crate) async fn close(self) {
        let _ = self.driver.quit().await;
    }
}

/// A virtual screen on a display that nobody uses.
async fn screen() -> (Process, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    // The X server picks a free display itself and writes its number.
    let screen = Process::start(
        Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"])
            .stdout(writer)
            .stderr(Stdio::null()),
    );
    let number = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut line).map(|_| line)
    });
    let number = tokio::time::timeout(Duration::from_secs(30), number).await.expect("Xvfb starts").expect("a thread");
    let display = format!(":{}", number.expect("a number").trim());
    until("the screen is there", || async { display.len() > 1 }).await;
    (screen, display)
}
