//! One method a call of the protocol.

use std::path::PathBuf;
use std::sync::Arc;

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::convert::Client;
use super::listing::Listing;
use super::watch;
use crate::base::Lives;
use crate::fs::watch::{Spec, Watches};
use crate::fs::{Files, FsError, change, entry, list, remove};
use crate::identity::accounts::Table;
use crate::identity::{Accounts, Defaults, ResolvedPath, User};
use crate::proto::filesystem as pb;
use crate::rpc::{caller, keepalive, status};
use crate::wire::Flowing;

/// Serves `filesystem.Filesystem`.
#[derive(Clone, Debug)]
pub struct Filesystem {
    files: Files,
    watches: Watches,
    accounts: Arc<Accounts>,
    defaults: Arc<Defaults>,
    lives: Lives,
}

/// Holds what a request says besides its message.
struct Asked {
    user: User,
    /// Names the owners of files.
    table: Arc<Table>,
    client: Client,
}

impl Filesystem {
    /// Serves the files of this machine; streams end when `lives` says that it is about to be paused.
    #[must_use]
    pub fn new(files: Files, accounts: Arc<Accounts>, defaults: Arc<Defaults>, lives: Lives) -> Self {
        Self { watches: Watches::new(files.clone()), files, accounts, defaults, lives }
    }

    fn asked<T>(&self, request: &Request<T>) -> Result<Asked, Status> {
        let (user, table) = caller(request, &self.accounts, &self.defaults).map_err(|status| *status)?;
        Ok(Asked { user, table, client: Client::of(request.metadata()) })
    }

    fn resolve(&self, raw: &str, user: &User) -> Result<ResolvedPath, Status> {
        ResolvedPath::resolve(raw, user, self.defaults.workdir().as_deref())
            .map_err(|error| status::from_failure(&error))
    }

    fn path(&self, raw: &str, user: &User) -> Result<PathBuf, Status> {
        self.resolve(raw, user).map(ResolvedPath::into_path)
    }

    /// Runs a verb as the user, with the names of all owners at hand.
    async fn run<R: Send + 'static>(
        &self,
        asked: &Asked,
        verb: impl FnOnce(&User, &Arc<Table>) -> Result<R, FsError> + Send + 'static,
    ) -> Result<R, Status> {
        let (owner, table) = (asked.user.clone(), Arc::clone(&asked.table));
        let result = self.files.run(&asked.user, move || verb(&owner, &table)).await;
        result.and_then(|result| result).map_err(|error| status::from_failure(&error))
    }
}

#[tonic::async_trait]
impl pb::filesystem_server::Filesystem for Filesystem {
    async fn stat(&self, request: Request<pb::StatRequest>) -> Result<Response<pb::StatResponse>, Status> {
        let Asked { user, table, client } = self.asked(&request)?;
        let path = self.path(&request.into_inner().path, &user)?;
        let found = self.files.look(&user, path, move |path| entry::read(path, &table)).await;
        let found = found.and_then(|found| found).map_err(|error| status::from_failure(&error))?;
        Ok(client.answer(pb::StatResponse { entry: Some(client.entry(found)) }))
    }

    async fn make_dir(&self, request: Request<pb::MakeDirRequest>) -> Result<Response<pb::MakeDirResponse>, Status> {
        let asked = self.asked(&request)?;
        let path = self.path(&request.into_inner().path, &asked.user)?;
        self.files.written();
        let made = self.run(&asked, move |user, table| change::make_dir(&path, user, table)).await?;
        Ok(asked.client.answer(pb::MakeDirResponse { entry: Some(asked.client.entry(made)) }))
    }

    async fn r#move(&self, request: Request<pb::MoveRequest>) -> Result<Response<pb::MoveResponse>, Status> {
        let asked = self.asked(&request)?;
        let pb::MoveRequest { source, destination } = request.into_inner();
        if source.is_empty() || destination.is_empty() {
            return Err(status::from_failure(&FsError::NoPath));
        }
        let (source, destination) = (self.path(&source, &asked.user)?, self.path(&destination, &asked.user)?);
        let rename = move |user: &User, table: &Arc<Table>| change::rename(&source, &destination, user, table);
        self.files.written();
        let moved = self.run(&asked, rename).await?;
        Ok(asked.client.answer(pb::MoveResponse { entry: Some(asked.client.entry(moved)) }))
    }

    async fn list_dir(&self, request: Request<pb::ListDirRequest>) -> Result<Response<pb::ListDirResponse>, Status> {
        let asked = self.asked(&request)?;
        let flowing = request.extensions().get::<Flowing>().copied();
        let pb::ListDirRequest { path, depth } = request.into_inner();
        let path = self.path(&path, &asked.user)?;
        let walk = self.run(&asked, move |_, table| list::walk(&path, depth, table)).await?;
        let listing = Listing { files: self.files.clone(), user: asked.user, client: asked.client };
        let (message, flow) = listing.answer(walk, flowing).await?;
        let mut response = asked.client.answer(message);
        if let Some(flow) = flow {
            response.extensions_mut().insert(flow);
        }
        Ok(response)
    }

    async fn remove(&self, request: Request<pb::RemoveRequest>) -> Result<Response<pb::RemoveResponse>, Status> {
        let asked = self.asked(&request)?;
        let raw = request.into_inner().path;
        if raw.is_empty() {
            return Err(status::from_failure(&FsError::NoPath));
        }
        let path = self.path(&raw, &asked.user)?;
        self.files.written();
        self.run(&asked, move |_, _| remove::remove(&path)).await?;
        Ok(asked.client.answer(pb::RemoveResponse {}))
    }

    async fn watch_dir(
        &self,
        request: Request<pb::WatchDirRequest>,
    ) -> Result<Response<BoxStream<pb::WatchDirResponse>>, Status> {
        let Asked { user, client, .. } = self.asked(&request)?;
        let interval = keepalive::interval(request.metadata());
        let pb::WatchDirRequest { path, recursive, include_entry, allow_network_mounts } = request.into_inner();
        let spec = Spec { path: self.resolve(&path, &user)?, recursive, include_entry, allow_network_mounts };
        let armed = self.watches.open(&user, spec).await.map_err(|error| status::from_failure(&error))?;
        Ok(client.answer(Box::pin(watch::stream(armed, client, interval, self.lives.fresh()))))
    }

    async fn create_watcher(
        &self,
        request: Request<pb::CreateWatcherRequest>,
    ) -> Result<Response<pb::CreateWatcherResponse>, Status> {
        let Asked { user, client, .. } = self.asked(&request)?;
        let pb::CreateWatcherRequest { path, recursive, include_entry, allow_network_mounts } = request.into_inner();
        let spec = Spec { path: self.resolve(&path, &user)?, recursive, include_entry, allow_network_mounts };
        let created = self.watches.create(&user, spec).await;
        let watcher_id = created.map_err(|error| status::from_failure(&error))?;
        Ok(client.answer(pb::CreateWatcherResponse { watcher_id }))
    }

    async fn get_watcher_events(
        &self,
        request: Request<pb::GetWatcherEventsRequest>,
    ) -> Result<Response<pb::GetWatcherEventsResponse>, Status> {
        let Asked { client, .. } = self.asked(&request)?;
        let events = self.watches.events(&request.into_inner().watcher_id).await;
        let events = events.map_err(|error| status::from_failure(&error))?;
        let events = events.into_iter().map(|event| client.event(event)).collect();
        Ok(client.answer(pb::GetWatcherEventsResponse { events }))
    }

    async fn remove_watcher(
        &self,
        request: Request<pb::RemoveWatcherRequest>,
    ) -> Result<Response<pb::RemoveWatcherResponse>, Status> {
        let Asked { client, .. } = self.asked(&request)?;
        self.watches.remove(&request.into_inner().watcher_id).map_err(|error| status::from_failure(&error))?;
        Ok(client.answer(pb::RemoveWatcherResponse {}))
    }
}
