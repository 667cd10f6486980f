//! One method a call of the protocol.

use std::time::Duration;

use tonic::{Request, Response, Status};

use super::convert;
use crate::activity::{self, Holder, Policy};
use crate::base::Lives;
use crate::proto::thawd::v1 as pb;
use crate::rpc::{parting, status};

/// Serves `thawd.v1.Activity`.
#[derive(Clone, Debug)]
pub struct Activity {
    activity: activity::Activity,
    lives: Lives,
}

impl Activity {
    /// Serves one guest; waits end when `lives` says that it is about to be paused.
    #[must_use]
    pub fn new(activity: activity::Activity, lives: Lives) -> Self {
        Self { activity, lives }
    }
}

#[tonic::async_trait]
impl pb::activity_server::Activity for Activity {
    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let pb::GetRequest { idle_for_ms, cpu_below, ignore } = request.into_inner();
        let window = if idle_for_ms == 0 { activity::WINDOW } else { Duration::from_millis(idle_for_ms.into()) };
        let policy = Policy::new(window, cpu_below, ignore.iter().map(String::as_str));
        let state = self.activity.look(&policy.map_err(|error| status::from_failure(&error))?);
        Ok(Response::new(pb::GetResponse { state: Some(convert::state(state)) }))
    }

    async fn wait(&self, request: Request<pb::WaitRequest>) -> Result<Response<pb::WaitResponse>, Status> {
        let request = request.into_inner();
        let until = convert::until(request.until).map_err(|status| *status)?;
        let window = Duration::from_millis(request.idle_for_ms.into());
        let policy = Policy::new(window, request.cpu_below, request.ignore.iter().map(String::as_str));
        let policy = policy.map_err(|error| status::from_failure(&error))?;
        let timeout = (request.timeout_ms > 0).then(|| Duration::from_millis(request.timeout_ms.into()));
        let mut lives = self.lives.fresh();
        let waited = tokio::select! {
            biased;
            status = parting(&mut lives) => return Err(status),
            waited = self.activity.wait(&policy, until, timeout) => waited,
        };
        Ok(Response::new(pb::WaitResponse { reached: waited.reached, state: Some(convert::state(waited.state)) }))
    }

    async fn hold(&self, request: Request<pb::HoldRequest>) -> Result<Response<pb::HoldResponse>, Status> {
        let pb::HoldRequest { reason, ttl_ms, id } = request.into_inner();
        let (holds, ttl) = (self.activity.holds(), Duration::from_millis(ttl_ms.into()));
        let held = match id {
            0 => holds.hold(Holder::Client, &reason, ttl),
            id => holds.renew(Holder::Client, id, ttl).map(|()| id),
        };
        let id = held.map_err(|error| status::from_failure(&error))?;
        Ok(Response::new(pb::HoldResponse { id }))
    }

    async fn release(&self, request: Request<pb::ReleaseRequest>) -> Result<Response<pb::ReleaseResponse>, Status> {
        let released = self.activity.holds().release(Holder::Client, request.into_inner().id);
        released.map_err(|error| status::from_failure(&error))?;
        Ok(Response::new(pb::ReleaseResponse {}))
    }

    async fn touch(&self, _request: Request<pb::TouchRequest>) -> Result<Response<pb::TouchResponse>, Status> {
        self.activity.touch();
        Ok(Response::new(pb::TouchResponse {}))
    }
}
