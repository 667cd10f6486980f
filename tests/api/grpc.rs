//! Native gRPC: the generated tonic client, health and reflection.

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thawd::proto::filesystem::{self, filesystem_client::FilesystemClient};
use thawd::proto::process::process_event::{Event, data_event::Output};
use thawd::proto::process::{self, process_client::ProcessClient, process_input::Input, process_selector::Selector};
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::Daemon;

type Channel = Client<HttpConnector, Body>;

fn channel(daemon: &Daemon) -> (Channel, http::Uri) {
    let channel = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    (channel, format!("http://{}", daemon.address).parse().unwrap())
}

fn start(script: &str, stdin: bool) -> process::StartRequest {
    let args = vec!["-c".to_owned(), script.to_owned()];
    let config = process::ProcessConfig { cmd: "sh".into(), args, ..Default::default() };
    process::StartRequest { process: Some(config), stdin: Some(stdin), ..Default::default() }
}

#[tokio::test]
async fn a_tonic_client_runs_feeds_and_follows_a_program() {
    let daemon = Daemon::start();
    let (channel, origin) = channel(&daemon);
    let mut client = ProcessClient::with_origin(channel, origin);
    let mut events = client.start(start("cat; exit 3", true)).await.unwrap().into_inner();
    let first = events.message().await.unwrap().unwrap().event.unwrap().event;
    let Some(Event::Start(started)) = first else { panic!("{first:?}") };
    let selector = process::ProcessSelector { selector: Some(Selector::Pid(started.pid)) };
    for text in ["over ", "gRPC"] {
        let input = process::ProcessInput { input: Some(Input::Stdin(text.into())) };
        let request = process::SendInputRequest { process: Some(selector.clone()), input: Some(input) };
        client.send_input(request).await.unwrap();
    }
    client.close_stdin(process::CloseStdinRequest { process: Some(selector.clone()) }).await.unwrap();
    let mut output = Vec::new();
    let mut code = None;
    while let Some(message) = events.message().await.unwrap() {
        match message.event.unwrap().event.unwrap() {
            Event::Data(data) => match data.output.unwrap() {
                Output::Stdout(bytes) => output.extend_from_slice(&bytes),
                other => panic!("{other:?}"),
            },
            Event::End(end) => code = Some(end.exit_code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((output.as_slice(), code), (&b"over gRPC"[..], Some(3)));
    let gone = process::SendSignalRequest { process: Some(selector), signal: process::Signal::Sigkill.into() };
    assert_eq!(client.send_signal(gone).await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_grpc_timeout_ends_the_call_and_not_the_program() {
    let daemon = Daemon::start();
    let (channel, origin) = channel(&daemon);
    let mut client = ProcessClient::with_origin(channel, origin);
    let mut request = tonic::Request::new(start("sleep 300", false));
    request.set_timeout(std::time::Duration::from_millis(300));
    let mut events = client.start(request).await.unwrap().into_inner();
    let error = loop {
        match events.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended well"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled), "{error}");
    let list = client.list(process::ListRequest {}).await.unwrap().into_inner();
    assert_eq!(list.processes.len(), 1);
}

#[tokio::test]
async fn a_tonic_client_reads_entries() {
    let daemon = Daemon::start();
    std::fs::write(daemon.folder.join("file"), "text").unwrap();
    let (channel, origin) = channel(&daemon);
    let mut client = FilesystemClient::with_origin(channel, origin);
    let path = daemon.folder.display().to_string();
    let listed = client.list_dir(filesystem::ListDirRequest { path, depth: 1 }).await.unwrap().into_inner();
    let names: Vec<_> = listed.entries.iter().map(|entry| (entry.name.as_str(), entry.size)).collect();
    assert!(names.contains(&("file", 4)), "{names:?}");
    let missing = client.stat(filesystem::StatRequest { path: "/no/such".into() }).await.unwrap_err();
    assert_eq!(missing.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn health_and_reflection_tell_what_is_served() {
    let daemon = Daemon::start();
    let (channel, origin) = channel(&daemon);
    let mut health = HealthClient::with_origin(channel.clone(), origin.clone());
    for service in ["", "process.Process", "filesystem.Filesystem"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(answer.into_inner().status, 1, "{service}");
    }
    let mut reflection = ServerReflectionClient::with_origin(channel, origin);
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for service in ["process.Process", "filesystem.Filesystem", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|name| name == service), "{names:?}");
    }
}
