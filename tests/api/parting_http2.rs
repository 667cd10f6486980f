//! The same over HTTP/2, where one connection carries the freeze and what it parts.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thawd::base::Phase;
use thawd::proto::process::process_event::{Event, data_event::Output};
use thawd::proto::process::{ProcessConfig, StartRequest, process_client::ProcessClient};
use tonic::body::Body;

use crate::guest::Guest;
use crate::support::{PATIENCE, scratch};

type Channel = Client<HttpConnector, Body>;

fn channel(guest: &Guest) -> (Channel, http::Uri) {
    let channel = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    (channel, format!("http://{}", guest.address).parse().unwrap())
}

async fn freeze(channel: &Channel, origin: &http::Uri) -> (u16, Bytes) {
    let request = http::Request::post(format!("{origin}freeze")).body(Body::new(Full::new(Bytes::new()))).unwrap();
    let answer = tokio::time::timeout(PATIENCE, channel.request(request)).await.unwrap().unwrap();
    (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes())
}

/// Runs outside the guest's own runtime, which `drop` blocks on.
fn outside(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_stream_ends_with_its_offset_and_the_freeze_beside_it_is_answered() {
    let guest = Guest::start();
    outside(async {
        let (channel, origin) = channel(&guest);
        let mut client = ProcessClient::with_origin(channel.clone(), origin.clone());
        let config = ProcessConfig {
            cmd: "sh".into(),
            args: vec!["-c".into(), "echo up; sleep 300".into()],
            ..Default::default()
        };
        let start = StartRequest { process: Some(config), stdin: Some(false), ..Default::default() };
        let mut events = client.start(start).await.unwrap().into_inner();
        loop {
            let event = events.message().await.unwrap().unwrap().event.unwrap().event.unwrap();
            if let Event::Data(data) = event {
                assert!(matches!(data.output, Some(Output::Stdout(bytes)) if bytes == "up\n"));
                break;
            }
        }
        assert_eq!(freeze(&channel, &origin).await, (200, Bytes::from_static(b"0")));
        let error = events.message().await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unavailable, "{error}");
        assert_eq!(error.metadata().get("thawd-output-offset").unwrap(), "3");
        assert_eq!(error.metadata().get("thawd-generation").unwrap(), "0");
    });
}

#[test]
fn an_upload_beside_the_freeze_is_cut_and_the_freeze_is_answered() {
    let guest = Guest::start();
    let folder = scratch();
    outside(async {
        let (channel, origin) = channel(&guest);
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, tonic::Status>>(1);
        let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        let request = http::Request::post(format!("{origin}files?path={}", folder.join("file").display()))
            .header("content-type", "application/octet-stream")
            .body(Body::new(body))
            .unwrap();
        let upload = tokio::spawn(channel.request(request));
        // More than the window of a stream: the server has read some of it.
        for _ in 0..30 {
            sender.send(Ok(Frame::data(Bytes::from(vec![0; 100_000])))).await.unwrap();
        }
        assert_eq!(freeze(&channel, &origin).await, (200, Bytes::from_static(b"0")));
        let cut = tokio::time::timeout(PATIENCE, upload).await.unwrap().unwrap();
        assert!(cut.is_err(), "{cut:?}");
    });
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    std::fs::remove_dir_all(folder).unwrap();
    guest.phase(Phase::Running);
    assert_eq!(guest.part(Duration::from_secs(1)), 0);
}
