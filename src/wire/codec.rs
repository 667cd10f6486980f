//! The codec of all services: binary or JSON, as the call negotiated.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::json;

/// First buffer of a call, in bytes. Most messages are small, and each open
/// stream holds two of these while it idles.
const FIRST_BUFFER: usize = 256;

/// Messages that are ready at once share a frame up to this size, in bytes. A
/// chunk of output is larger in JSON and leaves alone, without growing a buffer.
const FRAME: usize = 32 * 1024;

/// The form of the messages of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The protobuf wire format.
    #[default]
    Binary,
    /// The proto3 JSON mapping.
    Json,
}

tokio::task_local! {
    static FORMAT: Format;
}

/// Runs a call in the given format: a codec made inside `call` speaks it.
///
/// Tonic makes the codec with `Default` inside the future of the call, where
/// nothing of the request can reach it; hence the task-local.
pub(super) async fn in_format<F: Future>(format: Format, call: F) -> F::Output {
    FORMAT.scope(format, call).await
}

/// A tonic codec for prost messages that also have a JSON form.
///
/// Name it as `codec_path` when generating services. Behind a
/// [`Wire`](crate::wire::Wire) it speaks what the client asked for, elsewhere
/// (a client, a plain tonic server) binary protobuf.
pub struct Codec<T, U> {
    format: Format,
    messages: PhantomData<fn(T) -> U>,
}

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self { format: FORMAT.try_get().unwrap_or_default(), messages: PhantomData }
    }
}

impl<T, U> fmt::Debug for Codec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Codec").field(&self.format).finish()
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: prost::Message + Serialize + 'static,
    U: prost::Message + DeserializeOwned + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Messages<T>;
    type Decoder = Messages<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Messages::new(self.format)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Messages::new(self.format)
    }
}

/// Writes or reads the messages of one direction of a call.
pub struct Messages<M> {
    format: Format,
    message: PhantomData<fn() -> M>,
}

impl<M> Messages<M> {
    fn new(format: Format) -> Self {
        Self { format, message: PhantomData }
    }
}

impl<M> fmt::Debug for Messages<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Messages").field(&self.format).finish()
    }
}

impl<M: prost::Message + Serialize> Encoder for Messages<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, message: M, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let size = message.encoded_len();
        match self.format {
            Format::Binary => {
                out.reserve(size);
                message.encode(out).map_err(|error| Status::internal(format!("encode message: {error}")))
            }
            Format::Json => {
                // Bulk bytes grow by a third, names and quotes take the rest.
                out.reserve(size / 3 * 4 + 128);
                json::write(&message, out.writer())
                    .map_err(|error| Status::internal(format!("encode message: {error}")))
            }
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FIRST_BUFFER, FRAME)
    }
}

impl<M: prost::Message + DeserializeOwned + Default> Decoder for Messages<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        let message = match self.format {
            Format::Binary => {
                M::decode(input).map_err(|error| Status::invalid_argument(format!("decode message: {error}")))?
            }
            Format::Json => {
                // The buffer of a DecodeBuf is one piece, so its chunk is the message.
                let message = json::read(input.chunk())
                    .map_err(|error| Status::invalid_argument(format!("decode message: {error}")))?;
                input.advance(input.remaining());
                message
            }
        };
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FIRST_BUFFER, FRAME)
    }
}
