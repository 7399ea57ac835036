//! The household in a window or on a phone. Thin: two commands and one [`run`].
//!
//! Owns no rule. The window's owner is the account of the operating system, so the window's session may do everything.

use std::process::ExitCode;

use contract::calls::dispatch;
use contract::scope::Scopes;
use gateway::meters;
use gateway::options::{self, Asked, HELP, Options};
use household::home::Household;
use tauri::ipc::Channel;
use tauri::{AppHandle, Manager as _, RunEvent, State, WebviewUrl, WebviewWindowBuilder};

/// One call of the contract: name and request in, reply out, all as JSON text; the error is a `CallError` as JSON text.
#[tauri::command]
async fn call(household: State<'_, Household>, name: String, request: String) -> Result<String, String> {
    dispatch(&*household, Scopes::OWNER, &name, &request)
        .await
        .map_err(|error| serde_json::to_string(&error).unwrap_or_default())
}

/// Sends numbered notices as JSON text until the window is gone.
#[tauri::command]
async fn watch(household: State<'_, Household>, channel: Channel<String>) -> Result<(), String> {
    let mut watch = household.watch();
    tauri::async_runtime::spawn(async move {
        while let Some(numbered) = watch.next().await {
            let Ok(text) = serde_json::to_string(&numbered) else { return };
            if channel.send(text).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Runs the program; on a phone, where there is no command line, with what the system gives.
pub fn run() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("WATTLE_LOG").unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let options = match options::read(std::env::args_os().skip(1)) {
        Ok(Asked::Help) => {
            tracing::info!("wattle: the home's own energy display\n\n{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Run(options)) => options,
        Err(error) => {
            tracing::error!("{error} (try --help)");
            return ExitCode::from(2);
        }
    };
    let ended = open(&options).map(|app| {
        app.run(|_, event| {
            if let RunEvent::Ready = event {
                tracing::info!("window open");
            }
        });
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn open(options: &Options) -> Result<tauri::App, String> {
    // Before the window's loop: secrets and migrations block.
    let (household, orders) = Household::open(options.home()).map_err(|error| error.to_string())?;
    let meter = options.meter.clone();
    tauri::Builder::default()
        .manage(household.clone())
        .invoke_handler(tauri::generate_handler![call, watch])
        .setup(move |app| {
            show(app.handle())?;
            let serving = household.clone();
            tauri::async_runtime::spawn(meters::serve(serving, orders));
            if let Some(meter) = meter {
                tauri::async_runtime::spawn(async move {
                    if let Err(error) = meters::pair(&household, &meter).await {
                        tracing::error!("{error}");
                    }
                });
            }
            Ok(())
        })
        .build(tauri::generate_context!())
        .map_err(|error| error.to_string())
}

fn show(app: &AppHandle) -> tauri::Result<()> {
    if app.get_webview_window("main").is_some() {
        return Ok(());
    }
    WebviewWindowBuilder::new(app, "main", WebviewUrl::default())
        .title("Wattle")
        .inner_size(1_120.0, 760.0)
        .min_inner_size(320.0, 480.0)
        .build()
        .map(drop)
}
