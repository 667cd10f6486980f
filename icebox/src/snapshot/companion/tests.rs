//! What the agent is told, by a server that writes down what it is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::agent::unix_time;

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers each path with its status and body; others with 404.
async fn serve(answers: &[(&str, u16, Value)]) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: HashMap<_, _> =
        answers.iter().map(|(path, status, body)| ((*path).to_owned(), (*status, body.clone()))).collect();
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, &answers, &log).await;
        }
    });
    (address, asked)
}

async fn answer(stream: TcpStream, answers: &HashMap<String, (u16, Value)>, log: &Asked) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let nothing = (404, Value::Null);
    let (status, answer) = answers.get(&path).unwrap_or(&nothing);
    log.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap_or(Value::Null)));
    let text = answer.to_string();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    stream.write_all((head + &text).as_bytes()).await.unwrap();
}

fn asked_for<'a>(asked: &'a [(String, Value)], path: &str) -> Option<&'a Value> {
    asked.iter().find(|(asked, _)| asked == path).map(|(_, body)| body)
}

const FREEZE: &str = "/thawd.v1.Lifecycle/Freeze";
const THAW: &str = "/thawd.v1.Lifecycle/Thaw";
const STATUS: &str = "/thawd.v1.Lifecycle/Status";

#[tokio::test]
async fn a_thaw_names_the_freeze_and_brings_time_and_random_bytes() {
    let report = json!({"generation": "8", "report": {}});
    let answers = [(FREEZE, 200, json!({"generation": "7"})), (STATUS, 200, json!({})), (THAW, 200, report.clone())];
    let (address, asked) = serve(&answers).await;
    let guided = Guided { thaw: Thaw { clone: true, ..Thaw::default() }, ..Guided::default() };
    let frozen = guided.freeze(Agent::new(address)).await.unwrap();
    assert_eq!(frozen, Some(json!({"generation": "7"})));
    assert_eq!(guided.thaw(Agent::new(address), frozen).await.unwrap(), Some(report));

    let asked = asked.lock().unwrap();
    let thaw = asked_for(&asked, THAW).unwrap();
    assert_eq!((&thaw["generation"], &thaw["clone"]), (&json!("7"), &json!(true)));
    let entropy = base64_simd::STANDARD.decode_to_vec(thaw["entropy"].as_str().unwrap()).unwrap();
    assert!(entropy.len() >= 32 && entropy.iter().any(|byte| *byte != entropy[0]));
    // Of 64 bits: a string. Of 32: a number.
    let told: u128 = thaw["hostUnixNs"].as_str().unwrap().parse().unwrap();
    assert!(unix_time().as_nanos().abs_diff(told) < 60_000_000_000);
    assert!(thaw["roundTripNs"].as_u64().unwrap() > 0);
    assert!(asked_for(&asked, "/init").is_none(), "a guest that was thawed knows the time");
}

#[tokio::test]
async fn an_agent_without_freeze_is_told_the_time_instead() {
    let unknown = json!({"code": "unimplemented", "message": "no such service"});
    let (address, asked) = serve(&[(FREEZE, 404, unknown), ("/init", 204, Value::Null)]).await;
    let guided = Guided { init: Some(json!({"defaultUser": "user"})), ..Guided::default() };
    assert_eq!(guided.freeze(Agent::new(address)).await.unwrap(), None);
    assert_eq!(guided.thaw(Agent::new(address), None).await.unwrap(), None);
    let asked = asked.lock().unwrap();
    let init = asked_for(&asked, "/init").unwrap();
    assert_eq!(init["defaultUser"], "user");
    assert!(init["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(asked_for(&asked, THAW).is_none());
}

#[tokio::test]
async fn a_freeze_that_is_refused_is_an_error_with_the_agents_words() {
    let refused = json!({"code": "aborted", "message": "a hook said no"});
    let (address, _) = serve(&[(FREEZE, 409, refused)]).await;
    let error = Guided::default().freeze(Agent::new(address)).await.unwrap_err();
    assert!(matches!(&error, AgentError::Code { code, .. } if code == "aborted"), "{error}");
    assert!(error.to_string().contains("a hook said no"), "{error}");
}

#[tokio::test]
async fn an_agent_that_never_answers_is_given_up_in_time() {
    // The system takes connections as long as nobody accepts them, like QEMU before the guest listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agent = Agent::new(listener.local_addr().unwrap());
    let limit = Duration::from_millis(100);
    let error = agent.call("a.B/C", &json!({}), limit).await.unwrap_err();
    assert!(matches!(error, AgentError::Late { .. }), "{error}");
}
