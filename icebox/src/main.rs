//! The local sandbox host as a program.

mod demo;
mod serve;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use icebox::guest::chain;
use serve::ServeError;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// VMs that can be paused and resumed, with the agent in them, on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows a running program that survives a pause of its VM: boots, counts, pauses to files, waits with nothing
    /// running, resumes, and looks whether all is as promised.
    Demo(Demo),
    /// Serves E2B's API on this machine: SDKs make, use, pause and resume sandboxes here. Prints what to set for them.
    Serve(serve::Flags),
}

#[derive(clap::Args)]
struct Demo {
    /// The folder of an image with an image.json.
    #[arg(long, value_name = "DIR", conflicts_with = "flavour")]
    image: Option<PathBuf>,
    /// The image of this name, built by rootfs/build.sh if need be.
    #[arg(long, default_value = "scratch")]
    flavour: String,
    /// Memory of the VM.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..))]
    memory: u32,
    /// How long it stays paused.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Demo(demo) => show(demo),
        Verb::Serve(flags) => serve(flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn show(demo: Demo) -> Result<(), String> {
    let plan = demo::Plan {
        image: demo.image,
        flavour: demo.flavour,
        memory_mib: demo.memory,
        wait: Duration::from_secs(demo.wait),
    };
    // Before we listen to signals, which end a long build as they end any program.
    let image = demo::image(&plan).map_err(|error| chain(&error))?;
    let runtime = runtime()?;
    let shown = runtime.block_on(async {
        let interrupted = interrupted().map_err(|error| format!("listening to signals: {error}"))?;
        tokio::select! {
            shown = demo::show(&plan, &image) => shown.map_err(|error| chain(&error)),
            () = interrupted => Err("interrupted; nothing is left running".into()),
        }
    });
    // Waits for threads that still write or remove files.
    drop(runtime);
    shown
}

fn serve(flags: serve::Flags) -> Result<(), String> {
    serve::prepare(&flags).map_err(|error| chain(&error))?;
    let runtime = runtime()?;
    let served = runtime.block_on(serve::run(flags));
    match served {
        // At once: what threads still do is swept up by the next icebox. QEMUs go with us.
        Err(ServeError::Cut) => runtime.shutdown_background(),
        _ => drop(runtime),
    }
    served.map_err(|error| chain(&error))
}

fn runtime() -> Result<Runtime, String> {
    Runtime::new().map_err(|error| format!("starting a runtime: {error}"))
}

/// Listens from now on; returns what waits for Ctrl-C or SIGTERM. SIGHUP is left to the kernel: who says `nohup` has it
/// ignored.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
