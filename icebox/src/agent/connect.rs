//! Connect with JSON: unary calls, and streams of enveloped messages.

use std::time::Duration;

use ::http::Method;
use bytes::{Buf, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;

use super::http::Driver;
use super::{Agent, AgentError};

/// Flag of the envelope that ends a stream.
const END: u8 = 2;
/// Flag byte and length.
const HEAD: usize = 5;

impl Agent {
    /// Makes a unary call, such as `thawd.v1.Lifecycle/Status`.
    ///
    /// # Errors
    /// [`AgentError`]. Giving up closes the connection, which cancels the call where the service says so.
    pub async fn call(&self, method: &str, message: &Value, limit: Duration) -> Result<Value, AgentError> {
        let body = message.to_string().into_bytes();
        let (status, body) = self.post(&format!("/{method}"), "application/json", body, limit).await?;
        let value = serde_json::from_slice::<Value>(&body);
        match (status, value) {
            (200, Ok(value)) => Ok(value),
            (200, Err(error)) => Err(AgentError::strange(method, error.to_string())),
            (_, Ok(error)) if error.get("code").is_some_and(Value::is_string) => Err(failure(method, &error)),
            (status, _) => Err(AgentError::status(method.into(), status, &body)),
        }
    }

    /// Opens a server stream. Dropping it closes the connection.
    ///
    /// # Errors
    /// [`AgentError`], for what comes instead of a stream.
    pub async fn stream(&self, method: &str, headers: &[(&str, &str)], message: &Value) -> Result<Stream, AgentError> {
        let mut request = self
            .request(Method::POST, &format!("/{method}"))
            .header("content-type", "application/connect+json")
            .header("connect-protocol-version", "1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::from(envelope(message.to_string().as_bytes()));
        let (response, driver) = self.send(method, request.body(body)).await?;
        let status = response.status().as_u16();
        if status != 200 {
            let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            return Err(AgentError::status(method.into(), status, &body));
        }
        Ok(Stream { method: method.into(), body: response.into_body(), buffer: BytesMut::new(), _driver: driver })
    }
}

/// Messages of a server stream, in order.
#[derive(Debug)]
pub struct Stream {
    method: String,
    body: Incoming,
    buffer: BytesMut,
    _driver: Driver,
}

impl Stream {
    /// Waits for the next message; `None` at a good end. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`AgentError::Code`] for a bad end, else what broke.
    pub async fn next(&mut self) -> Result<Option<Value>, AgentError> {
        loop {
            if let Some((flags, message)) = take(&mut self.buffer) {
                let value = serde_json::from_slice::<Value>(&message);
                let value = value.map_err(|error| AgentError::strange(&self.method, error.to_string()))?;
                return match value.get("error") {
                    _ if flags & END == 0 => Ok(Some(value)),
                    Some(error) => Err(failure(&self.method, error)),
                    None => Ok(None),
                };
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(source)) => return Err(AgentError::Broken { what: self.method.clone(), source }),
                None => return Err(AgentError::strange(&self.method, "the stream broke off")),
            }
        }
    }
}

fn failure(method: &str, error: &Value) -> AgentError {
    let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    AgentError::Code { what: method.into(), code: text("code"), message: text("message") }
}

/// Puts a message into an envelope.
fn envelope(message: &[u8]) -> Vec<u8> {
    // Our messages are short.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// Takes the first message, if it is there as a whole.
fn take(buffer: &mut BytesMut) -> Option<(u8, BytesMut)> {
    let head: [u8; HEAD] = buffer.get(..HEAD)?.try_into().ok()?;
    let [flags, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if buffer.len() < HEAD + length {
        return None;
    }
    buffer.advance(HEAD);
    Some((flags, buffer.split_to(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        let whole = [envelope(b"{}"), envelope(b"[1]")].concat();
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            let mut taken = Vec::new();
            while let Some((flags, message)) = take(&mut buffer) {
                assert_eq!(flags, 0);
                taken.push(message.to_vec());
            }
            assert_eq!(taken.len(), usize::from(cut >= 7), "cut at {cut}");
            buffer.extend_from_slice(&whole[cut..]);
            while let Some((_, message)) = take(&mut buffer) {
                taken.push(message.to_vec());
            }
            assert_eq!(taken, [b"{}".to_vec(), b"[1]".to_vec()], "cut at {cut}");
        }
    }
}
