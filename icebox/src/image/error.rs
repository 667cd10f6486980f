//! Why an image cannot be used.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

/// Tells what is wrong with an image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A file is not there or not readable.
    #[error("reading {path} of an image")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The description is not one.
    #[error("reading the description of an image, {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// For another CPU.
    #[error("the image in {folder} is for {found}, not x86_64")]
    Architecture {
        /// The image.
        folder: PathBuf,
        /// Its CPU.
        found: String,
    },
    /// The script that makes images could not be started.
    #[error("building the image {flavour} with {script}")]
    Start {
        /// Which image.
        flavour: String,
        /// What was started.
        script: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The script that makes images failed; what it said went to our standard error.
    #[error("building the image {flavour} with {script}: it ended with {status}")]
    Build {
        /// Which image.
        flavour: String,
        /// What was started.
        script: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
}
