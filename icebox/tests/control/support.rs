//! A host with a folder of its own, and what asks it.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request};
use icebox::api::{Door, router};
use icebox::sandbox::{Sandboxes, Settings};
use serde_json::Value;
use tower::ServiceExt;

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        // Not in memory: snapshots are large.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("control-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The API in front of VMs of the smallest image.
pub(crate) struct Host {
    routes: Router,
    sandboxes: Sandboxes,
    _folder: Folder,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Checks the status, and that a refusal is what SDKs can read.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if status >= 400 {
            assert_eq!(self.body["code"], status, "{self:?}");
            assert!(!self.body["message"].as_str().unwrap().is_empty(), "{self:?}");
        }
        self.body
    }

    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{self:?}");
        self.body.as_array().unwrap().iter().map(|entry| text(entry, "sandboxID")).collect()
    }
}

#[track_caller]
pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

impl Host {
    pub(crate) async fn start(max_running: usize) -> Self {
        let folder = Folder::new();
        let settings = Settings {
            data: folder.path().into(),
            image: None,
            flavour: "scratch".into(),
            memory_mib: 128,
            cpus: 1,
            max_running,
            pause_idle_after: None,
        };
        let sandboxes = Sandboxes::open(settings).await.unwrap();
        let door = Door { domain: Some("localhost:1".into()), ..Door::default() };
        Self { routes: router(sandboxes.clone(), door), sandboxes, _folder: folder }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("x-api-key", "k");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status, headers, body }
    }

    /// Makes a sandbox and gives its id.
    pub(crate) async fn create(&self, fields: &str) -> String {
        let body = format!("{{\"templateID\":\"base\"{fields}}}");
        text(&self.ask("POST", "/v2/sandboxes", &body).await.is(201), "sandboxID")
    }

    pub(crate) async fn close(self) {
        self.sandboxes.close().await;
    }
}
