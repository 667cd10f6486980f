//! Sandboxes as HTML.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::escape::Escaped;
use crate::agent::rfc3339;
use crate::sandbox::{OnTimeout, PauseMode, Phase, State, View};

/// Sandboxes that are shown; more are counted.
const SHOWN: usize = 200;
/// Pairs of metadata that are shown of one sandbox, and letters of each; clients may send a megabyte.
const PAIRS: usize = 12;
const LETTERS: usize = 120;

/// Writes the part that is renewed. Sandboxes are sorted by their start, the newest first.
pub(super) fn fragment(mut views: Vec<View>, now_ms: u64) -> String {
    views.sort_by(|one, other| (other.started_ms, &other.id).cmp(&(one.started_ms, &one.id)));
    let mut html = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut html, &views, now_ms);
    html
}

fn write(html: &mut String, views: &[View], now_ms: u64) -> std::fmt::Result {
    let count = |state: fn(State) -> bool| views.iter().filter(|view| state(view.state)).count();
    let running = count(|state| matches!(state, State::Running | State::Pausing));
    let paused = count(|state| matches!(state, State::Paused(_) | State::Resuming));
    let bytes: u64 = views.iter().filter_map(|view| view.snapshot_bytes).sum();
    write!(html, "<p>{running} running, {paused} paused; {} of snapshots on the disk. ", size(bytes))?;
    write!(html, "<small>As of {}.</small></p>", clock(now_ms))?;
    if views.is_empty() {
        return write!(html, "<p>No sandboxes. Set the variables that icebox printed and create one.</p>");
    }
    html.push_str("<table><thead><tr><th>Sandbox<th>State<th>Time<th>Last activity<th>Last pause<th>Last resume");
    html.push_str("<th>Snapshot<th>Metadata</tr></thead><tbody>");
    for view in views.iter().take(SHOWN) {
        row(html, view, now_ms)?;
    }
    html.push_str("</tbody></table>");
    match views.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(html, "<p>And {more} older ones.</p>"),
    }
}

fn row(html: &mut String, view: &View, now_ms: u64) -> std::fmt::Result {
    let name = view.alias.as_ref().unwrap_or(&view.template);
    write!(html, "<tr><td><code>{}</code><br><small>{}, ", Escaped(&view.id), Escaped(cut(name)))?;
    write!(html, "{} CPU, {} MiB, agent {}</small>", view.cpus, view.memory_mib, Escaped(&view.envd_version))?;
    write!(html, "<td><b class=\"{0}\">{0}</b>", word(view.state))?;
    if let State::Paused(PauseMode::Filesystem) = view.state {
        html.push_str("<br><small>files only</small>");
    }
    if let Some(trouble) = &view.trouble {
        write!(html, "<br><strong>{}</strong>", Escaped(trouble))?;
    }
    write!(html, "<td>{}<br><small>since {}</small>", deadline(view, now_ms), clock(view.started_ms))?;
    write!(html, "<td>{}", ago(view.active_ms, now_ms))?;
    for phases in [&view.last_pause, &view.last_resume] {
        html.push_str("<td>");
        self::phases(html, phases)?;
    }
    write!(html, "<td>{}<td>", view.snapshot_bytes.map(size).unwrap_or_default())?;
    for (key, value) in view.metadata.iter().take(PAIRS) {
        write!(html, "<div>{}={}</div>", Escaped(cut(key)), Escaped(cut(value)))?;
    }
    match view.metadata.len().saturating_sub(PAIRS) {
        0 => write!(html, "</tr>"),
        more => write!(html, "<div>and {more} more</div></tr>"),
    }
}

fn phases(html: &mut String, phases: &[Phase]) -> std::fmt::Result {
    if phases.is_empty() {
        return Ok(());
    }
    let total = phases.iter().map(|phase| phase.took_us).sum();
    write!(html, "{}<br><small>", took(total))?;
    for (index, phase) in phases.iter().enumerate() {
        let parting = if index == 0 { "" } else { ", " };
        write!(html, "{parting}{} {}", Escaped(&phase.name), took(phase.took_us))?;
    }
    html.push_str("</small>");
    Ok(())
}

/// Says when the time is up, and what happens then.
fn deadline(view: &View, now_ms: u64) -> String {
    if !matches!(view.state, State::Running | State::Pausing) {
        return format!("no deadline; paused {}", ago(view.end_ms, now_ms));
    }
    let then = match view.lifecycle.on_timeout {
        OnTimeout::Kill => "killed",
        OnTimeout::Pause(_) => "paused",
    };
    let resumed = if view.lifecycle.auto_resume { ", resumed by requests" } else { "" };
    format!("{then} in {} of {} s{resumed}", span(view.end_ms.saturating_sub(now_ms)), view.timeout_s)
}

fn word(state: State) -> &'static str {
    match state {
        State::Creating => "creating",
        State::Running => "running",
        State::Pausing => "pausing",
        State::Paused(_) => "paused",
        State::Resuming => "resuming",
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(LETTERS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// A moment, for people and in an attribute for programs.
fn clock(ms: u64) -> impl Display {
    let text = rfc3339(Duration::from_millis(ms));
    let at = |from, to| text.get(from..to).unwrap_or_default();
    format!("<time datetime=\"{}Z\">{} {} UTC</time>", at(0, 19), at(0, 10), at(11, 19))
}

fn ago(ms: u64, now_ms: u64) -> String {
    format!("{} ago", span(now_ms.saturating_sub(ms)))
}

/// A span in its two largest units.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

fn took(us: u64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000)
}

fn size(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests;
