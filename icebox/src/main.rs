//! The local sandbox host as a program.

mod demo;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use icebox::guest::chain;

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
    let Verb::Demo(demo) = Arguments::parse().verb;
    let plan = demo::Plan {
        image: demo.image,
        flavour: demo.flavour,
        memory_mib: demo.memory,
        wait: Duration::from_secs(demo.wait),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: starting a runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let shown = runtime.block_on(async {
        tokio::select! {
            shown = demo::show(&plan) => shown.map_err(|error| chain(&error)),
            _ = tokio::signal::ctrl_c() => Err("interrupted; nothing is left running".into()),
        }
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}
