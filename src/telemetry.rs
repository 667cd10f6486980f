//! Logs: one event a fact, constant messages, values in fields. Never argv, environment, input, tokens or contents.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

/// Starts logging: JSON lines on stdout when `verbose`, else warnings as text on stderr.
pub fn start(verbose: bool) {
    if verbose {
        fmt().json().flatten_event(true).with_max_level(LevelFilter::DEBUG).with_writer(std::io::stdout).init();
    } else {
        fmt().with_max_level(LevelFilter::WARN).with_ansi(false).with_writer(std::io::stderr).init();
    }
}
