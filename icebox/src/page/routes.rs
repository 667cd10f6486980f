//! The page, its news, and what browsers are told of both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::events;
use crate::api::Door;
use crate::sandbox::Sandboxes;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Pages that get news at once: browsers keep six connections to a host, and some people have two of them.
const READERS: usize = 32;
/// A line that says nothing, so that a reader who is gone is noticed.
const ALIVE: Duration = Duration::from_secs(15);

/// What a browser may do with the page: our style, our script, our news, nothing else.
fn policy() -> String {
    let hash = |text: &str| base64_simd::STANDARD.encode_to_string(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

#[derive(Clone)]
struct Page {
    sandboxes: Sandboxes,
    closing: CancellationToken,
    readers: Arc<Semaphore>,
}

/// Gives the page at `/`. Its news end with `closing`. The server must tell the address of the peer (`ConnectInfo`).
pub fn router(sandboxes: Sandboxes, closing: CancellationToken, door: Arc<Door>) -> Router {
    let page = Page { sandboxes, closing, readers: Arc::new(Semaphore::new(READERS)) };
    let routes = Router::new().route("/", get(whole)).route("/events", get(news)).with_state(page);
    guard(routes, door)
}

fn guard(routes: Router, door: Arc<Door>) -> Router {
    let policy = HeaderValue::try_from(policy()).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    routes.layer(from_fn_with_state((door, policy), enter))
}

/// Keeps others out, and tells browsers what they may do.
async fn enter(State((door, policy)): State<(Arc<Door>, HeaderValue)>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    let mut response = if peer.is_some_and(|peer| peer.is_loopback()) && door.is_ours(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "the status page is for browsers on this machine").into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn whole(State(page): State<Page>) -> Html<String> {
    Html(document(&events::now(&page.sandboxes)))
}

/// Puts the fragment into a page. `meta refresh` is for browsers without scripts.
fn document(fragment: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>icebox</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript><style>{STYLE}</style></head>\
         <body><h1>icebox</h1><p id=\"stale\" hidden>icebox does not answer: this is old.</p>\
         <main id=\"live\">{fragment}</main><script>{SCRIPT}</script></body></html>\n"
    )
}

async fn news(State(page): State<Page>) -> Response {
    let Ok(reader) = page.readers.try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open").into_response();
    };
    let news = events::news(page.sandboxes, page.closing);
    let news = futures_util::StreamExt::inspect(news, move |_| {
        // Held for as long as the stream is.
        let _ = &reader;
    });
    Sse::new(news).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::HeaderMap;
    use tower::ServiceExt;

    use super::*;

    async fn ask(peer: Option<&str>, host: &str) -> (StatusCode, HeaderMap) {
        let door = Door { local: true, ..Door::default() };
        let routes = guard(Router::new().route("/", get("page")), Arc::new(door));
        let mut request = Request::builder().header(header::HOST, host).body(Body::empty()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        }
        let response = routes.oneshot(request).await.unwrap();
        (response.status(), response.headers().clone())
    }

    #[tokio::test]
    async fn only_this_machine_sees_the_page_and_only_by_our_name() {
        for (peer, host, expected) in [
            (Some("127.0.0.1:5"), "localhost:1", 200),
            (Some("[::1]:5"), "localhost:1", 200),
            (Some("[::ffff:127.0.0.1]:5"), "localhost:1", 200),
            (Some("127.0.0.1:5"), "evil.example", 403),
            (Some("192.0.2.1:5"), "localhost:1", 403),
            (Some("[::ffff:192.0.2.1]:5"), "localhost:1", 403),
            (None, "localhost:1", 403),
        ] {
            let (status, headers) = ask(peer, host).await;
            assert_eq!(status.as_u16(), expected, "{peer:?} {host}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }

    #[test]
    fn the_policy_fits_the_page() {
        let page = document("<p>x</p>");
        for text in [STYLE, SCRIPT] {
            assert!(page.contains(&format!(">{text}</")), "the browser hashes what stands between the tags");
            let hash = base64_simd::STANDARD.encode_to_string(Sha256::digest(text));
            assert!(policy().contains(&hash));
        }
        for event in ["onclick=", "style=\"", "src=", "href="] {
            assert!(!page.contains(event), "the policy forbids {event}");
        }
    }
}
