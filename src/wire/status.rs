//! The outcome of a call: from tonic's headers to the dialect of the client.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use prost::Message;
use prost_types::Any;
use serde_json::{Map, Value};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::{code, json};

/// Headers that are the protocol's, never metadata of the answer.
const PROTOCOL: [HeaderName; 6] = [
    Status::GRPC_STATUS,
    Status::GRPC_MESSAGE,
    Status::GRPC_STATUS_DETAILS,
    HeaderName::from_static("grpc-encoding"),
    http::header::CONTENT_TYPE,
    http::header::CONTENT_LENGTH,
];

/// How a call ended, as its trailers say.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The error, without metadata.
    pub(super) error: Option<Status>,
    /// What the handler added.
    pub(super) metadata: HeaderMap,
}

impl Outcome {
    /// Reads the trailers of a call, or the headers of one without a body.
    pub(super) fn read(mut headers: HeaderMap) -> Self {
        let error = error(&headers);
        strip(&mut headers);
        Self { error, metadata: headers }
    }
}

impl From<Status> for Outcome {
    fn from(mut status: Status) -> Self {
        let mut metadata = std::mem::take(status.metadata_mut()).into_headers();
        strip(&mut metadata);
        Self { error: Some(status), metadata }
    }
}

/// Removes what is the protocol's, which leaves the metadata.
pub(super) fn strip(headers: &mut HeaderMap) {
    for name in PROTOCOL {
        headers.remove(name);
    }
}

/// The error in gRPC's headers; missing ones are an error, too.
fn error(headers: &HeaderMap) -> Option<Status> {
    let Some(status) = headers.get(Status::GRPC_STATUS) else {
        return Some(Status::internal("the call ended without a status"));
    };
    let code = Code::from_bytes(status.as_bytes());
    if code == Code::Ok {
        return None;
    }
    let message = headers
        .get(Status::GRPC_MESSAGE)
        .map_or_else(String::new, |text| percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned());
    let details = headers
        .get(Status::GRPC_STATUS_DETAILS)
        .and_then(|text| json::decode_base64(text.as_bytes()))
        .unwrap_or_default();
    Some(Status::with_details(code, message, details))
}

/// Writes an outcome as gRPC trailers.
pub(super) fn to_trailers(outcome: Outcome) -> HeaderMap {
    let mut trailers = outcome.metadata;
    let Some(status) = outcome.error else {
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        return trailers;
    };
    if let Err(status) = status.add_header(&mut trailers) {
        // Cannot happen: the message is percent-encoded. The code is what counts.
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from(status.code() as i32));
    }
    trailers
}

/// Writes an outcome as the last envelope of a Connect stream.
pub(super) fn to_end_stream(outcome: &Outcome) -> Vec<u8> {
    let mut end = Map::new();
    if let Some(status) = &outcome.error {
        end.insert("error".into(), error_json(status));
    }
    if !outcome.metadata.is_empty() {
        end.insert("metadata".into(), metadata_json(&outcome.metadata));
    }
    Value::Object(end).to_string().into_bytes()
}

/// Writes an error as Connect's JSON.
pub(super) fn error_json(status: &Status) -> Value {
    let mut error = Map::new();
    error.insert("code".into(), code::name(status.code()).into());
    if !status.message().is_empty() {
        error.insert("message".into(), status.message().into());
    }
    let details = details_json(status.details());
    if !details.is_empty() {
        error.insert("details".into(), details.into());
    }
    Value::Object(error)
}

fn metadata_json(metadata: &HeaderMap) -> Value {
    let values = |name| {
        let values = metadata.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect()
    };
    metadata.keys().map(|name| (name.to_string(), Value::Array(values(name)))).collect()
}

/// `google.rpc.Status`, which carries the details in gRPC.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// The details of an error for Connect: a type without its URL, unpadded base64.
fn details_json(encoded: &[u8]) -> Vec<Value> {
    let details = RpcStatus::decode(encoded).unwrap_or_default().details;
    details
        .iter()
        .map(|detail| {
            let name = detail.type_url.rsplit('/').next().unwrap_or_default();
            let value = base64_simd::STANDARD_NO_PAD.encode_to_string(&detail.value);
            Value::Object(Map::from_iter([("type".to_owned(), name.into()), ("value".to_owned(), value.into())]))
        })
        .collect()
}

/// Makes a status with typed details, for any dialect.
///
/// Each detail is a protobuf message with its type URL, such as
/// `type.googleapis.com/google.rpc.RetryInfo`.
pub fn with_details(code: Code, message: &str, details: Vec<Any>) -> Status {
    let encoded = RpcStatus { code: code as i32, message: message.to_owned(), details };
    Status::with_details_and_metadata(code, message, encoded.encode_to_vec().into(), MetadataMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> Any {
        Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: vec![10, 2, 8, 1] }
    }

    #[test]
    fn an_error_survives_the_trailers() {
        let status = with_details(Code::NotFound, "no such file: ü\n%", vec![detail()]);
        let trailers = to_trailers(Outcome::from(status));
        assert_eq!(trailers["grpc-message"], "no%20such%20file:%20%C3%BC%0A%25");
        let outcome = Outcome::read(trailers);
        let error = outcome.error.unwrap();
        assert_eq!((error.code(), error.message()), (Code::NotFound, "no such file: ü\n%"));
        assert_eq!(
            error_json(&error).to_string(),
            r#"{"code":"not_found","details":[{"type":"google.rpc.RetryInfo","value":"CgIIAQ"}],"message":"no such file: ü\n%"}"#
        );
    }

    #[test]
    fn metadata_ends_a_connect_stream_with_every_value() {
        let mut metadata = HeaderMap::new();
        metadata.append("x-a", HeaderValue::from_static("1"));
        metadata.append("x-a", HeaderValue::from_static("2"));
        let end = to_end_stream(&Outcome { error: None, metadata });
        assert_eq!(end, br#"{"metadata":{"x-a":["1","2"]}}"#);
        let end = to_end_stream(&Outcome { error: None, metadata: HeaderMap::new() });
        assert_eq!(end, b"{}");
    }

    #[test]
    fn a_missing_status_is_an_internal_error() {
        let error = Outcome::read(HeaderMap::new()).error.unwrap();
        assert_eq!(error.code(), Code::Internal);
    }
}
