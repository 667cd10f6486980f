//! One method a call of the protocol.

use std::sync::Arc;

use tonic::codegen::BoxStream;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use super::{convert, stream};
use crate::base::Admission;
use crate::host::Environment;
use crate::identity::{Accounts, Defaults};
use crate::process::{Handle, Table};
use crate::proto::process as pb;
use crate::proto::process::process_input::Input;
use crate::proto::process::stream_input_request::Event;
use crate::rpc::{caller, keepalive, parting, status};

/// Serves `process.Process`.
#[derive(Clone, Debug)]
pub struct Process {
    table: Table,
    accounts: Arc<Accounts>,
    defaults: Arc<Defaults>,
    environment: Arc<Environment>,
    admission: Admission,
}

impl Process {
    /// Serves the programs of one table.
    #[must_use]
    pub fn new(
        table: Table,
        accounts: Arc<Accounts>,
        defaults: Arc<Defaults>,
        environment: Arc<Environment>,
        admission: Admission,
    ) -> Self {
        Self { table, accounts, defaults, environment, admission }
    }

    /// Passes on the messages of one stream. Cancelling it lets the one on its way go on.
    async fn take_input(
        &self,
        mut messages: Streaming<pb::StreamInputRequest>,
    ) -> Result<Response<pb::StreamInputResponse>, Status> {
        let mut target: Option<Arc<Handle>> = None;
        while let Some(message) = messages.message().await? {
            match (message.event, &target) {
                (Some(Event::Start(start)), None) => target = Some(self.find(start.process)?),
                (Some(Event::Data(data)), Some(handle)) => feed(handle, data.input).await?,
                (Some(Event::Keepalive(_)), _) => {}
                (Some(Event::Start(_)), Some(_)) => return Err(Status::invalid_argument("start was sent twice")),
                (Some(Event::Data(_)), None) => return Err(Status::invalid_argument("data was sent before start")),
                (None, _) => return Err(Status::unimplemented("event is neither start, data nor keepalive")),
            }
        }
        Ok(Response::new(pb::StreamInputResponse {}))
    }

    fn find(&self, selector: Option<pb::ProcessSelector>) -> Result<Arc<Handle>, Status> {
        let selector = convert::selector(selector).map_err(|status| *status)?;
        self.table.find(&selector).map_err(|error| status::from_failure(&error))
    }
}

#[tonic::async_trait]
impl pb::process_server::Process for Process {
    async fn list(&self, _request: Request<pb::ListRequest>) -> Result<Response<pb::ListResponse>, Status> {
        let processes = self.table.list().iter().map(|handle| convert::info(handle)).collect();
        Ok(Response::new(pb::ListResponse { processes }))
    }

    async fn start(
        &self,
        request: Request<pb::StartRequest>,
    ) -> Result<Response<BoxStream<pb::StartResponse>>, Status> {
        // The host cleans up while all other programs stand still.
        if request.get_ref().tag.as_deref() != Some(convert::SYSTEM_TAG) {
            self.admission.enter_workload().await.map_err(|refused| status::from_failure(&refused))?;
        }
        let (user, _) = caller(&request, &self.accounts, &self.defaults).map_err(|status| *status)?;
        let interval = keepalive::interval(request.metadata());
        let (metadata, _, message) = request.into_parts();
        let workdir = self.defaults.workdir();
        let guest = self.environment.all();
        let spec =
            convert::spawn_spec(message, &metadata, user, workdir.as_deref(), guest).map_err(|status| *status)?;
        let started = self.table.start(spec).await.map_err(|error| status::from_failure(&error))?;
        let wrap = |event| pb::StartResponse { event: Some(event) };
        let beat = || pb::StartResponse { event: Some(convert::keepalive()) };
        Ok(Response::new(Box::pin(stream::events(started.pid, started.output, interval, wrap, beat))))
    }

    async fn connect(
        &self,
        request: Request<pb::ConnectRequest>,
    ) -> Result<Response<BoxStream<pb::ConnectResponse>>, Status> {
        let interval = keepalive::interval(request.metadata());
        let offset = convert::offset(request.metadata()).map_err(|status| *status)?;
        let selector = convert::selector(request.into_inner().process).map_err(|status| *status)?;
        let attached = self.table.attach(&selector, offset).map_err(|error| status::from_failure(&error))?;
        let start = attached.output.start();
        let wrap = |event| pb::ConnectResponse { event: Some(event) };
        let beat = || pb::ConnectResponse { event: Some(convert::keepalive()) };
        let events = stream::events(attached.pid, attached.output, interval, wrap, beat);
        let mut response: Response<BoxStream<_>> = Response::new(Box::pin(events));
        response.metadata_mut().insert(convert::OFFSET, MetadataValue::from(start));
        Ok(response)
    }

    async fn update(&self, request: Request<pb::UpdateRequest>) -> Result<Response<pb::UpdateResponse>, Status> {
        let request = request.into_inner();
        let handle = self.find(request.process)?;
        if let Some(pty) = request.pty {
            let size = convert::size(pty.size.unwrap_or_default());
            handle.resize(size).map_err(|error| status::from_failure(&error))?;
        }
        Ok(Response::new(pb::UpdateResponse {}))
    }

    async fn send_input(
        &self,
        request: Request<pb::SendInputRequest>,
    ) -> Result<Response<pb::SendInputResponse>, Status> {
        let request = request.into_inner();
        let handle = self.find(request.process)?;
        feed(&handle, request.input).await?;
        Ok(Response::new(pb::SendInputResponse {}))
    }

    async fn stream_input(
        &self,
        request: Request<Streaming<pb::StreamInputRequest>>,
    ) -> Result<Response<pb::StreamInputResponse>, Status> {
        let mut lives = self.admission.lives().fresh();
        tokio::select! {
            taken = self.take_input(request.into_inner()) => taken,
            status = parting(&mut lives) => Err(status),
        }
    }

    async fn send_signal(
        &self,
        request: Request<pb::SendSignalRequest>,
    ) -> Result<Response<pb::SendSignalResponse>, Status> {
        let request = request.into_inner();
        let handle = self.find(request.process)?;
        let sent = match pb::Signal::try_from(request.signal) {
            Ok(pb::Signal::Sigkill) => handle.kill(),
            Ok(pb::Signal::Sigterm) => handle.terminate(),
            _ => return Err(Status::unimplemented(format!("signal {} cannot be sent", request.signal))),
        };
        sent.map_err(|error| status::from_failure(&error))?;
        Ok(Response::new(pb::SendSignalResponse {}))
    }

    async fn close_stdin(
        &self,
        request: Request<pb::CloseStdinRequest>,
    ) -> Result<Response<pb::CloseStdinResponse>, Status> {
        let handle = self.find(request.into_inner().process)?;
        handle.close_stdin().map_err(|error| match error {
            crate::process::ProcessError::CloseTerminal => Status::unknown(error.to_string()),
            error => status::from_failure(&error),
        })?;
        Ok(Response::new(pb::CloseStdinResponse {}))
    }
}

/// Writes input of either kind; the handle refuses the kind that it does not have.
async fn feed(handle: &Handle, input: Option<pb::ProcessInput>) -> Result<(), Status> {
    let written = match input.and_then(|input| input.input) {
        Some(Input::Stdin(bytes)) => handle.write_stdin(bytes).await,
        Some(Input::Pty(bytes)) => handle.write_terminal(bytes).await,
        None => return Err(Status::unimplemented("input is neither stdin nor pty")),
    };
    written.map_err(|error| status::from_failure(&error))
}
