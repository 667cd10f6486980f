//! What the wire must know of a method before it reads the request.

use std::collections::HashMap;

use prost::Message as _;

/// One RPC: its path and which sides of it are streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    path: std::borrow::Cow<'static, str>,
    client_streaming: bool,
    server_streaming: bool,
    json: bool,
}

impl Method {
    /// Describes the method at `path`, in the form `/package.Service/Method`.
    pub const fn new(path: &'static str, client_streaming: bool, server_streaming: bool) -> Self {
        Self { path: std::borrow::Cow::Borrowed(path), client_streaming, server_streaming, json: true }
    }

    /// Marks a method whose service only speaks binary protobuf.
    ///
    /// For services that were generated with another codec than
    /// [`Codec`](crate::wire::Codec), such as gRPC health and reflection.
    #[must_use]
    pub const fn binary_only(mut self) -> Self {
        self.json = false;
        self
    }

    /// Returns the path of the method, with the leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns whether the client sends any number of messages instead of one.
    pub const fn client_streaming(&self) -> bool {
        self.client_streaming
    }

    /// Returns whether the server sends any number of messages instead of one.
    pub const fn server_streaming(&self) -> bool {
        self.server_streaming
    }

    /// Returns whether the method also speaks JSON.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Returns whether neither side is a stream.
    pub const fn unary(&self) -> bool {
        !self.client_streaming && !self.server_streaming
    }
}

/// All methods behind a [`Wire`](crate::wire::Wire), by path.
#[derive(Clone, Debug, Default)]
pub struct Methods(HashMap<String, Method>);

impl Methods {
    /// Builds the table from the methods of one or more services.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        methods.into_iter().collect()
    }

    /// Reads the table from an encoded `google.protobuf.FileDescriptorSet`.
    ///
    /// Fails when the bytes are no descriptor set.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        let set = prost_types::FileDescriptorSet::decode(bytes)?;
        let mut table = Self::default();
        for file in &set.file {
            for service in &file.service {
                table.extend(service.method.iter().map(|method| {
                    Method {
                        path: match file.package() {
                            "" => format!("/{}/{}", service.name(), method.name()),
                            package => format!("/{package}.{}/{}", service.name(), method.name()),
                        }
                        .into(),
                        client_streaming: method.client_streaming(),
                        server_streaming: method.server_streaming(),
                        json: true,
                    }
                }));
            }
        }
        Ok(table)
    }

    /// Marks every method of the table as [`Method::binary_only`].
    #[must_use]
    pub fn binary_only(self) -> Self {
        self.0.into_values().map(Method::binary_only).collect()
    }

    /// Returns the method at `path`.
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

impl FromIterator<Method> for Methods {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        let mut table = Self::default();
        table.extend(methods);
        table
    }
}

impl Extend<Method> for Methods {
    fn extend<I: IntoIterator<Item = Method>>(&mut self, methods: I) {
        self.0.extend(methods.into_iter().map(|method| (method.path.clone().into_owned(), method)));
    }
}

impl IntoIterator for Methods {
    type Item = Method;
    type IntoIter = std::collections::hash_map::IntoValues<String, Method>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_descriptor_set_are_refused() {
        assert!(Methods::from_descriptor_set(b"\xff\xff\xff").is_err());
    }
}
