//! Measurements of running sandboxes.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Metric;
use super::face::Face;
use super::keeper::Command;
use crate::agent::Agent;

/// Between two measurements; the original service does the same.
const EVERY: Duration = Duration::from_secs(5);
/// As many as are kept: an hour's.
const MOST: usize = 720;

/// The last measurements of one sandbox, over all its VMs.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Metric>);

impl Ring {
    pub(super) fn push(&mut self, metric: Metric) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(metric);
    }

    /// Those between two times in seconds, the ends included.
    pub(super) fn between(&self, from_s: u64, to_s: u64) -> Vec<Metric> {
        self.0.iter().filter(|metric| (from_s..=to_s).contains(&metric.unix_s)).copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A VM to measure.
pub(super) struct Measured {
    pub(super) agent: Agent,
    pub(super) face: Arc<Face>,
    pub(super) number: u64,
}

impl Measured {
    /// Measures until it is dropped. On the way it is seen when the agent has forgotten its token: one that crashed is
    /// started again by the guest, and is open to everybody then.
    pub(super) async fn keep(self, keeper: mpsc::WeakSender<Command>) {
        let stranger = self.agent.clone().without_token();
        loop {
            sleep(EVERY).await;
            if self.agent.has_token() && stranger.metrics().await.is_ok() {
                let Some(keeper) = keeper.upgrade() else { return };
                drop(keeper.send(Command::Forgot { number: self.number }).await);
            }
            measure(&self.agent, &self.face).await;
        }
    }
}

/// Measures once.
pub(super) async fn measure(agent: &Agent, face: &Face) {
    let measured = agent.metrics().await;
    let Some(metric) = measured.as_ref().ok().and_then(parse) else {
        tracing::debug!(?measured, "no measurement");
        return;
    };
    face.metrics.lock().unwrap_or_else(PoisonError::into_inner).push(metric);
}

/// Reads what the agent says; `None` when a field is missing.
fn parse(told: &Value) -> Option<Metric> {
    let number = |name: &str| told.get(name)?.as_u64();
    Some(Metric {
        unix_s: number("ts")?,
        cpu_count: number("cpu_count")?.try_into().ok()?,
        cpu_used_pct: told.get("cpu_used_pct")?.as_f64()?,
        mem_used: number("mem_used")?,
        mem_total: number("mem_total")?,
        mem_cache: number("mem_cache").unwrap_or_default(),
        disk_used: number("disk_used")?,
        disk_total: number("disk_total")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(ts: u64) -> Value {
        json!({"ts": ts, "cpu_count": 2, "cpu_used_pct": 12.5, "mem_total_mib": 1, "mem_used_mib": 1, "mem_total": 9,
            "mem_used": 8, "mem_cache": 7, "disk_used": 6, "disk_total": 5})
    }

    #[test]
    fn what_the_agent_says_is_read() {
        let metric = parse(&told(1)).unwrap();
        assert_eq!((metric.unix_s, metric.cpu_count, metric.mem_cache, metric.disk_total), (1, 2, 7, 5));
        assert_eq!(parse(&json!({"ts": 1})), None);
    }

    #[test]
    fn a_ring_keeps_the_last_hour_and_no_more() {
        let mut ring = Ring::default();
        (0..MOST as u64 + 10).for_each(|ts| ring.push(parse(&told(ts)).unwrap()));
        assert_eq!(ring.between(0, u64::MAX).len(), MOST);
        assert_eq!(ring.between(0, 12).iter().map(|metric| metric.unix_s).collect::<Vec<_>>(), [10, 11, 12]);
    }
}
