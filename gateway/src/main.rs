//! Wattle without a window: records the home and serves its page to this machine's browser.

use std::process::ExitCode;

use gateway::access::Access;
use gateway::options::{Asked, HELP, Options};
use gateway::page::Page;
use gateway::{http, meters, options};
use household::home::Household;
use tokio::net::TcpListener;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("WATTLE_LOG").unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    match options::read(std::env::args_os().skip(1)) {
        Ok(Asked::Help) => {
            say(&format!("gateway: Wattle without a window\n\n{HELP}"));
            ExitCode::SUCCESS
        }
        Ok(Asked::Run(options)) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            tracing::error!("{error} (try --help)");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let page = match &options.page {
        Some(folder) => Page::read(folder).map_err(|error| error.to_string())?,
        None => return Err("say with --page where the page lies".to_owned()),
    };
    // Before the runtime: secrets and migrations block.
    let (household, orders) = Household::open(options.home()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let listener = listen(options).await?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        tokio::spawn(meters::serve(household.clone(), orders));
        if let Some(meter) = &options.meter {
            meters::pair(&household, meter).await?;
        }
        say(&format!("Wattle is running. Open http://{address}/#key={}", household.page_key()));
        let access = Access::new(address.port(), household.page_key());
        let router = http::router(household, access, page);
        tokio::select! {
            ended = axum::serve(listener, router).into_future() => ended.map_err(|error| error.to_string()),
            () = asked_to_end() => Ok(()),
        }
    })
}

/// The usual port if it is free, so that a kept link works; any other if not.
async fn listen(options: &Options) -> Result<TcpListener, String> {
    match TcpListener::bind(options.listen).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::info!("port {} is taken, taking a free one", options.listen.port());
            TcpListener::bind((options.listen.ip(), 0)).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(format!("cannot listen at {}: {error}", options.listen)),
    }
}

async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut ended) = signal(SignalKind::terminate()) else { return std::future::pending().await };
        tokio::select! {
            _ = ended.recv() => (),
            _ = tokio::signal::ctrl_c() => (),
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}

#[expect(clippy::print_stdout, reason = "the link is what this program prints")]
fn say(text: &str) {
    println!("{text}");
}
