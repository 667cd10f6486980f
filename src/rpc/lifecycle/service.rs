//! One method a call of the protocol.

use std::time::Instant;

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::{convert, report};
use crate::base::{Arrived, Life};
use crate::proto::thawd::v1 as pb;
use crate::rpc::{parting, status};
use crate::snapshot;

/// Serves `thawd.v1.Lifecycle`.
#[derive(Clone)]
pub struct Lifecycle {
    lifecycle: snapshot::Lifecycle,
}

impl Lifecycle {
    /// Serves one driver.
    #[must_use]
    pub fn new(lifecycle: snapshot::Lifecycle) -> Self {
        Self { lifecycle }
    }
}

#[tonic::async_trait]
impl pb::lifecycle_server::Lifecycle for Lifecycle {
    async fn freeze(&self, request: Request<pb::FreezeRequest>) -> Result<Response<pb::FreezeResponse>, Status> {
        let options = convert::freeze(&request.into_inner());
        let ended = self.lifecycle.freeze(options).await.map_err(|error| status::from_failure(&error))?;
        let report = Some(report::message(&ended.report));
        Ok(Response::new(pb::FreezeResponse { generation: ended.generation, report }))
    }

    async fn thaw(&self, request: Request<pb::ThawRequest>) -> Result<Response<pb::ThawResponse>, Status> {
        // Reading the message takes its time when memory is cold, so the head's arrival counts.
        let arrived = request.extensions().get::<Arrived>().map_or_else(Instant::now, |arrived| arrived.0);
        let options = convert::thaw(request.into_inner(), arrived).map_err(|status| *status)?;
        let ended = self.lifecycle.thaw(options).await.map_err(|error| status::from_failure(&error))?;
        let report = Some(report::message(&ended.report));
        let guest_unix_ns = convert::nanoseconds(crate::sys::clock::realtime().unwrap_or_default());
        Ok(Response::new(pb::ThawResponse { generation: ended.generation, report, guest_unix_ns }))
    }

    async fn cancel(&self, _request: Request<pb::CancelRequest>) -> Result<Response<pb::CancelResponse>, Status> {
        let cancelled = self.lifecycle.cancel().await.map_err(|error| status::from_failure(&error))?;
        Ok(Response::new(pb::CancelResponse { cancelled }))
    }

    async fn status(&self, _request: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let (life, facts) = (self.lifecycle.life(), self.lifecycle.facts());
        Ok(Response::new(pb::StatusResponse {
            phase: convert::phase(life.phase).into(),
            generation: life.generation,
            capabilities: facts.capabilities.iter().map(|&(name, able)| (name.to_owned(), able)).collect(),
            last_freeze: facts.last_freeze.as_deref().map(report::message),
            last_thaw: facts.last_thaw.as_deref().map(report::message),
            paused_ms: report::millis(facts.paused),
        }))
    }

    async fn plan(&self, _request: Request<pb::PlanRequest>) -> Result<Response<pb::PlanResponse>, Status> {
        let plan = tokio::task::spawn_blocking(snapshot::Lifecycle::plan).await;
        let plan = plan.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(convert::plan(&plan)))
    }

    async fn subscribe(
        &self,
        _request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<BoxStream<pb::SubscribeResponse>>, Status> {
        let lives = self.lifecycle.lives();
        let stream = futures_util::stream::unfold(Some((lives, None)), |state| async move {
            let (mut lives, last) = state?;
            let key = |life: &Life| (life.phase, life.generation);
            let mut parted = lives.clone();
            let life = tokio::select! {
                biased;
                life = lives.until(|life| Some(key(life)) != last) => life,
                // A connection that outlived the pause would reach nobody.
                status = parting(&mut parted) => return Some((Err(status), None)),
            };
            let message =
                pb::SubscribeResponse { phase: convert::phase(life.phase).into(), generation: life.generation };
            Some((Ok(message), Some((lives, Some(key(&life))))))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
