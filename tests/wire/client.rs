//! A client that speaks each dialect by hand, so that every byte is ours.

use std::io::{Read, Write};

use base64_simd::STANDARD;
use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::server::{PATIENCE, Server};

pub(crate) const STAT: &str = "/filesystem.Filesystem/Stat";
pub(crate) const START: &str = "/process.Process/Start";
pub(crate) const INPUT: &str = "/process.Process/StreamInput";

/// A way to speak to the server, in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    Unary,
    Stream,
    Grpc,
    Web,
    WebText,
}

use Face::{Grpc, Stream, Unary, Web, WebText};

/// Every face that can call a unary method, with HTTP/2 or not.
pub(crate) const UNARY: [(Face, bool); 7] =
    [(Unary, false), (Unary, true), (Grpc, true), (Web, false), (Web, true), (WebText, false), (WebText, true)];

/// Every face that can call a method with a stream, with HTTP/2 or not.
pub(crate) const STREAM: [(Face, bool); 7] =
    [(Stream, false), (Stream, true), (Grpc, true), (Web, false), (Web, true), (WebText, false), (WebText, true)];

impl Face {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Unary => "application/json",
            Stream => "application/connect+json",
            Grpc => "application/grpc+json",
            Web => "application/grpc-web+json",
            WebText => "application/grpc-web-text+json",
        }
    }

    pub(crate) fn encoding(self) -> &'static str {
        match self {
            Unary => "content-encoding",
            Stream => "connect-content-encoding",
            _ => "grpc-encoding",
        }
    }

    pub(crate) fn accept_encoding(self) -> &'static str {
        match self {
            Unary => "accept-encoding",
            Stream => "connect-accept-encoding",
            _ => "grpc-accept-encoding",
        }
    }

    /// The timeout header for so many milliseconds.
    pub(crate) fn timeout(self, ms: u64) -> (&'static str, String) {
        match self {
            Unary | Stream => ("connect-timeout-ms", ms.to_string()),
            _ => ("grpc-timeout", format!("{ms}m")),
        }
    }

    /// The body of a request with these messages.
    pub(crate) fn body(self, messages: &[&[u8]]) -> Vec<u8> {
        let bare = messages.concat();
        let sealed: Vec<u8> = messages.iter().flat_map(|message| seal(0, message)).collect();
        match self {
            Unary => bare,
            WebText => STANDARD.encode_to_string(sealed).into_bytes(),
            _ => sealed,
        }
    }
}

pub(crate) fn seal(flags: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// What a call came to, the same for every dialect.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The messages, inflated.
    pub(crate) messages: Vec<Bytes>,
    /// How many of them came compressed.
    pub(crate) compressed: usize,
    /// The number of the code; 0 is success.
    pub(crate) code: i32,
    pub(crate) message: String,
    /// Type and base64 of each detail.
    pub(crate) details: Vec<(String, String)>,
    /// Trailing metadata, without the outcome.
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn json(&self, index: usize) -> Value {
        serde_json::from_slice(&self.messages[index]).unwrap()
    }
}

/// Calls a method and reads the answer to its end.
pub(crate) async fn call(
    server: &Server,
    (face, h2): (Face, bool),
    path: &str,
    messages: &[&[u8]],
    headers: &[(&str, &str)],
) -> Answer {
    let body = Full::from(face.body(messages));
    let answer = send(server, h2, post(face.content_type(), path, headers, body)).await;
    read(face, answer).await
}

pub(crate) fn post<B>(content_type: &str, path: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::post(path).header(CONTENT_TYPE, content_type);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// Sends a request on a connection of its own, which lives as long as the answer.
pub(crate) async fn send<B>(server: &Server, h2: bool, mut request: Request<B>) -> Response<Incoming>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let socket = TcpStream::connect(server.addr).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let io = TokioIo::new(socket);
    let authority = server.addr.to_string();
    let answer = async move {
        if h2 {
            let uri = format!("http://{authority}{}", request.uri().path());
            *request.uri_mut() = uri.parse().unwrap();
            *request.version_mut() = hyper::Version::HTTP_2;
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
            let (mut sender, connection) = handshake.await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            request.headers_mut().insert(HOST, authority.parse().unwrap());
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.expect("the head of an answer")
}

/// Reads an answer to its end.
pub(crate) async fn read(face: Face, answer: Response<Incoming>) -> Answer {
    let (parts, body) = answer.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect());
    let body = body.await.expect("the end of an answer").unwrap();
    let http_trailers = body.trailers().cloned().unwrap_or_default();
    let mut answer = Answer {
        status: parts.status,
        headers: parts.headers,
        messages: Vec::new(),
        compressed: 0,
        code: 0,
        message: String::new(),
        details: Vec::new(),
        trailers: http_trailers,
    };
    let body = body.to_bytes();
    match face {
        Unary => read_unary(&mut answer, body),
        Stream => read_stream(&mut answer, body),
        Grpc => {
            assert!(envelopes(body, &mut answer).is_none());
            read_grpc(&mut answer);
        }
        Web => read_web(&mut answer, body),
        WebText => {
            let mut bytes = Vec::new();
            for run in body.chunks(4) {
                STANDARD.decode_append(run, &mut bytes).unwrap();
            }
            read_web(&mut answer, bytes.into());
        }
    }
    answer
}

fn read_unary(answer: &mut Answer, body: Bytes) {
    let length = answer.headers["content-length"].to_str().unwrap();
    assert_eq!(length, body.len().to_string());
    let trailers: Vec<_> = answer
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix("trailer-")?, value)))
        .map(|(name, value)| (name.parse().unwrap(), value.clone()))
        .collect();
    for (name, value) in trailers {
        let name: hyper::header::HeaderName = name;
        answer.trailers.append(name, value);
    }
    if answer.status.is_success() {
        let zipped = answer.headers.get("content-encoding").is_some();
        answer.compressed = usize::from(zipped);
        answer.messages.push(if zipped { gunzip(&body) } else { body });
    } else {
        assert_eq!(answer.headers["content-type"], "application/json");
        read_error(answer, &serde_json::from_slice(&body).unwrap());
    }
}

fn read_stream(answer: &mut Answer, body: Bytes) {
    let (flags, end) = envelopes(body, answer).expect("an end of the stream");
    assert_eq!(flags, 2);
    let end: Value = serde_json::from_slice(&end).unwrap();
    if let Some(error) = end.get("error") {
        read_error(answer, error);
    }
    for (name, values) in end.get("metadata").and_then(Value::as_object).into_iter().flatten() {
        for value in values.as_array().unwrap() {
            let name: hyper::header::HeaderName = name.parse().unwrap();
            answer.trailers.append(name, value.as_str().unwrap().parse().unwrap());
        }
    }
}

fn read_error(answer: &mut Answer, error: &Value) {
    let name = error["code"].as_str().unwrap();
    answer.code = (1..=16).find(|code| NAMES[*code as usize] == name).unwrap();
    answer.message = error["message"].as_str().unwrap_or_default().to_owned();
    for detail in error["details"].as_array().into_iter().flatten() {
        let text = |key: &str| detail[key].as_str().unwrap().to_owned();
        answer.details.push((text("type"), text("value")));
    }
}

fn read_web(answer: &mut Answer, body: Bytes) {
    if let Some((flags, lines)) = envelopes(body, answer) {
        assert_eq!(flags, 0x80);
        for line in std::str::from_utf8(&lines).unwrap().lines() {
            let (name, value) = line.split_once(": ").unwrap();
            let name: hyper::header::HeaderName = name.parse().unwrap();
            answer.trailers.append(name, value.parse().unwrap());
        }
    }
    read_grpc(answer);
}

/// Reads the outcome out of the trailers, or of a head without a body.
fn read_grpc(answer: &mut Answer) {
    assert_eq!(answer.status, StatusCode::OK);
    if !answer.trailers.contains_key("grpc-status") {
        assert!(answer.messages.is_empty());
        answer.trailers = answer.headers.clone();
    }
    let mut take = |name| answer.trailers.remove(name).map(|value| value.to_str().unwrap().to_owned());
    answer.code = take("grpc-status").unwrap().parse().unwrap();
    let message = take("grpc-message").unwrap_or_default();
    answer.message = percent_encoding::percent_decode_str(&message).decode_utf8().unwrap().into();
    if let Some(details) = take("grpc-status-details-bin") {
        let bytes = base64_simd::STANDARD_NO_PAD.decode_to_vec(details).unwrap();
        let status: RpcStatus = prost::Message::decode(&bytes[..]).unwrap();
        assert_eq!((status.code, &status.message), (answer.code, &answer.message));
        for detail in status.details {
            let name = detail.type_url.strip_prefix("type.googleapis.com/").unwrap();
            let value = base64_simd::STANDARD_NO_PAD.encode_to_string(detail.value);
            answer.details.push((name.to_owned(), value));
        }
    }
}

/// Takes the messages out of a body and returns the ending, if there is one.
fn envelopes(mut body: Bytes, answer: &mut Answer) -> Option<(u8, Bytes)> {
    while body.has_remaining() {
        let flags = body.get_u8();
        let size = body.get_u32() as usize;
        let message = body.split_to(size);
        match flags {
            0 => answer.messages.push(message),
            1 => {
                answer.compressed += 1;
                answer.messages.push(gunzip(&message));
            }
            _ => {
                assert!(body.is_empty(), "nothing may follow the ending");
                return Some((flags, message));
            }
        }
    }
    None
}

pub(crate) fn gunzip(bytes: &[u8]) -> Bytes {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out.into()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// Connect's names of the codes.
pub(crate) const NAMES: [&str; 17] = [
    "ok",
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];
