//! Starts the agent, unless this is the first process: flags, telemetry, runtime, app, exit code.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use thawd::app::App;
use thawd::base::sentence;
use thawd::config::{Config, Line};
use thawd::init::Entered;

/// Exit code of a command line that cannot be used, as in Go and in most tools.
const WRONG_USAGE: u8 = 2;
/// Stack of a thread that does blocking file work; nothing there recurses.
const BLOCKING_STACK: usize = 512 << 10;
/// Idle file threads go soon: each is memory in every snapshot.
const BLOCKING_IDLE: Duration = Duration::from_secs(2);
/// Events taken from the kernel at a time; their place is memory of every guest, and more come with the next call.
const EVENTS: usize = 128;
/// Slow mounts may hold as many file operations at once.
const BLOCKING_THREADS: usize = 128;

fn main() -> ExitCode {
    let line = match thawd::init::enter(std::env::args_os().collect()) {
        Entered::Agent(line) => line,
        Entered::Ended(code) => return ExitCode::from(code),
    };
    let flags = match Line::read(thawd::config::with_kernel_flags(line), |name| std::env::var_os(name)) {
        Ok(Line::Run(flags)) => *flags,
        Ok(Line::Say(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("thawd: {error}; --help says what there is");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    thawd::telemetry::start(flags.verbose);
    thawd::sys::limits::normalise();
    match serve(flags.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("thawd: {}", sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

/// One thread runs everything but file work: what it does between two waits is short, and a second would cost
/// memory and wakeups in every sandbox.
fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(BLOCKING_STACK)
        .thread_keep_alive(BLOCKING_IDLE)
        .max_blocking_threads(BLOCKING_THREADS)
        .max_io_events_per_tick(EVENTS)
        .build()?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let app = App::build(config).await?;
        thawd::sys::memory::settle();
        let left = app
            .run(async {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            })
            .await;
        if left > 0 {
            tracing::warn!(left, "some tasks did not end in time");
        }
        Ok(())
    });
    runtime.shutdown_background(); // A thread that waits for a frozen filesystem would hold up the end for ever.
    served
}
