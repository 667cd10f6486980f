//! One request: led, let in, carried to the VM, and its answer carried back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{EXPECT, ORIGIN};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use tokio::time::{sleep, timeout};

use super::directory::Directory;
use super::download::{Download, Ending, Held};
use super::line::{GRACE, Line, is_gone};
use super::refusal::Refusal;
use super::route::{Astray, Key, Target, host, route};
use super::tunnel::Tunnel;
use super::upload::Upload;
use super::upstream::{Answer, Silence, ask};
use super::{cors, guard, heads};
use crate::sandbox::Reach;
use crate::vm::AGENT_PORT;

/// Waits before a request is sent again to a port that is not open: a server that is just starting gets 750 ms.
const WAITS: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];
/// How often a request may find its VM going away. Each time it waits until the sandbox is awake again.
const MOVES: usize = 3;
/// The agent's word that it did not execute a request, because of a pause.
const UNEXECUTED: &str = "x-thawd-unexecuted";
/// How long after that word the VM may still be there; a freeze may also be undone.
const PAUSING: Duration = Duration::from_secs(1);

/// What a client gets.
pub(super) type Body = Either<Full<Bytes>, Download>;

/// A request on its way.
struct Errand<'a, D> {
    directory: &'a D,
    line: &'a Arc<Line>,
    client: IpAddr,
    target: Target,
    head: Parts,
    host: Option<String>,
    upgrade: Option<OnUpgrade>,
    upload: Upload,
}

/// Answers a request. Giving it up ends what it began.
pub(super) async fn answer<D: Directory>(
    directory: &D,
    line: &Arc<Line>,
    client: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    line.begin();
    let (mut head, body) = request.into_parts();
    let expects = head.version == Version::HTTP_11 && head.headers.contains_key(EXPECT);
    let upload = Upload::new(body, expects);
    let crossing = head.headers.contains_key(ORIGIN);
    let mut answer = match lead(directory, &head) {
        Ok(target) => {
            let upgrade = head.extensions.remove::<OnUpgrade>().filter(|_| heads::wanted_upgrade(&head).is_some());
            let host = host(&head).ok().flatten().map(str::to_owned);
            let errand = Errand { directory, line, client, target, head, host, upgrade, upload };
            match errand.carry().await {
                Ok(response) => return response,
                Err(refusal) => refusal.answer(),
            }
        }
        Err(Refusal::Astray(Astray::Nowhere)) if cors::is_preflight(&head) => cors::leave(&head.headers),
        Err(refusal) => refusal.answer(),
    };
    cors::show(crossing, &mut answer);
    line.rest();
    answer.map(Either::Left)
}

/// Finds where a request is to go, and whether it may.
fn lead<D: Directory>(directory: &D, head: &Parts) -> Result<Target, Refusal> {
    if head.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let keys = || {
        let keys = directory.views().into_iter().filter_map(|view| Some(Key { id: view.id, token: view.token? }));
        keys.collect()
    };
    let target = route(head, keys).map_err(Refusal::Astray)?;
    if target.port == AGENT_PORT {
        return if guard::is_internal(head.uri.path()) { Err(Refusal::Internal(target.id)) } else { Ok(target) };
    }
    // Before anybody is woken.
    let token = directory.view(&target.id).and_then(|view| view.traffic_token);
    match token {
        Some(token) if !guard::has_traffic_token(&head.headers, &token) => Err(Refusal::Guarded(target.id)),
        _ => Ok(target),
    }
}

impl<D: Directory> Errand<'_, D> {
    /// Sends the request, again where that is safe, and hands the answer over.
    async fn carry(self) -> Result<Response<Body>, Refusal> {
        let (mut waits, mut moves) = (WAITS.iter(), 0..MOVES);
        loop {
            let Target { id, port } = &self.target;
            let reach = self.directory.reach(id, *port).await;
            let reach = reach.map_err(|error| Refusal::unreachable(id, error))?;
            let silence = match self.attempt(&reach).await {
                Ok(answer) if self.is_unexecuted(&answer) && self.upload.is_whole() && moves.next().is_some() => {
                    drop(answer);
                    drop(timeout(PAUSING, reach.gone.cancelled()).await);
                    continue;
                }
                Ok(answer) => return self.hand_over(answer, reach),
                Err(silence) => silence,
            };
            let again = self.may_repeat(&silence);
            let gone = match waits.as_slice().first().filter(|_| again) {
                Some(wait) => timeout(*wait, reach.gone.cancelled()).await.is_ok(),
                None => is_gone(&reach.gone).await,
            };
            let unread = !matches!(silence, Silence::Mute);
            match (again, gone) {
                (true, true) if moves.next().is_some() => {}
                (true, false) if unread && waits.next().is_some() => {}
                (_, true) => return Err(Refusal::NotFound(self.target.id)),
                (_, false) if matches!(silence, Silence::Strange) => {
                    return Err(Refusal::Strange(self.target.id, self.target.port));
                }
                (_, false) => return Err(Refusal::Closed(self.target.id, self.target.port)),
            }
        }
    }

    async fn attempt(&self, reach: &Reach) -> Result<Answer, Silence> {
        let mut head = self.head.clone();
        heads::inward(&mut head, self.host.as_deref(), self.client, &reach.view, self.target.port);
        let (body, go) = self.upload.send();
        let mut request = Request::from_parts(head, body);
        hyper::ext::on_informational(&mut request, move |said| {
            if said.status() == StatusCode::CONTINUE {
                go.cancel();
            }
        });
        let lost = async {
            reach.gone.cancelled().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            answer = ask(reach.address, request) => answer,
            () = lost => Err(Silence::Mute),
        }
    }

    /// Tells whether the request may be sent again after this; where the VM is still there, only if it was not read.
    fn may_repeat(&self, silence: &Silence) -> bool {
        let asks_only = matches!(self.head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        match silence {
            Silence::Unsent => self.upload.is_whole(),
            Silence::Unread | Silence::Mute => asks_only && self.upload.is_empty(),
            Silence::Strange | Silence::Cancelled => false,
        }
    }

    fn is_unexecuted(&self, answer: &Answer) -> bool {
        self.target.port == AGENT_PORT && answer.response.headers().contains_key(UNEXECUTED)
    }

    fn hand_over(mut self, answer: Answer, reach: Reach) -> Result<Response<Body>, Refusal> {
        let Answer { mut response, driver, ear } = answer;
        self.upload.settle();
        let claim = self.line.claim(reach.gone.clone());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = self.upgrade.take() else {
                return Err(Refusal::Strange(self.target.id.clone(), self.target.port));
            };
            let server = hyper::upgrade::on(&mut response);
            let (line, gone) = (Arc::clone(self.line), reach.gone);
            self.line.leave(Tunnel { client, server, line, ear, gone, claim, driver });
            let (mut head, _) = response.into_parts();
            heads::outward(&mut head, true);
            return Ok(Response::from_parts(head, Either::Left(Full::default())));
        }
        let (mut head, body) = response.into_parts();
        let chunked = head.headers.contains_key(http::header::TRANSFER_ENCODING);
        let unframed = !chunked && body.size_hint().exact().is_none();
        heads::outward(&mut head, false);
        let held = Held { gone: reach.gone, _claim: claim, _driver: driver, _upload: self.upload };
        let (line, old_client) = (Arc::clone(self.line), self.head.version < Version::HTTP_11);
        let body = Download { body, line, unframed, old_client, ending: Ending::Flowing, held };
        Ok(Response::from_parts(head, Either::Right(body)))
    }
}
