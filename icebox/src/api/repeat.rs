//! A creation that is asked for twice, because its answer was lost, makes one sandbox.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::fields::Fields;
use super::refusal::Refusal;
use crate::sandbox::View;

/// Creations that are remembered, of some kilobytes each; clients repeat within seconds.
const REMEMBERED: usize = 1000;
/// Longest key, as E2B has it.
const LONGEST: usize = 255;

/// What came of a creation; nothing yet while it goes on.
type Made = watch::Receiver<Option<Result<View, Refusal>>>;

/// Remembers creations by the key that the client gave them.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(Arc<Mutex<VecDeque<Entry>>>);

#[derive(Debug)]
struct Entry {
    key: String,
    asked: [u8; 32],
    made: Made,
}

/// Reads the key of a request.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let is_ours = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let key = value.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.len()) && key.bytes().all(is_ours));
    key.map(Some).ok_or_else(|| Refusal::invalid("Idempotency-Key is not 1 to 255 of a-z, 0-9 and -"))
}

impl Repeats {
    /// Makes a sandbox, or waits for what came of the one with the same key. A creation that failed is tried again. One
    /// that was begun goes on when its client is gone: the client may come again.
    pub(super) async fn once<F>(&self, key: &str, asked: &Fields, make: F) -> Result<View, Refusal>
    where
        F: Future<Output = Result<View, Refusal>> + Send + 'static,
    {
        let mut made = self.find_or_begin(key, digest(asked), make)?;
        let made = made.wait_for(Option::is_some).await.ok().and_then(|made| made.clone());
        made.unwrap_or_else(|| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the creation broke off")))
    }

    fn find_or_begin<F>(&self, key: &str, asked: [u8; 32], make: F) -> Result<Made, Refusal>
    where
        F: Future<Output = Result<View, Refusal>> + Send + 'static,
    {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = entries.iter().position(|entry| entry.key == key) {
            if entries[at].asked != asked {
                return Err(Refusal::invalid("this Idempotency-Key was used for another request"));
            }
            if !has_failed(&entries[at].made) {
                return Ok(entries[at].made.clone());
            }
            entries.remove(at);
        }
        if entries.len() == REMEMBERED {
            entries.pop_front();
        }
        let (tell, made) = watch::channel(None);
        entries.push_back(Entry { key: key.into(), asked, made: made.clone() });
        tokio::spawn(async move { tell.send(Some(make.await)) });
        Ok(made)
    }
}

/// Also when it broke off without a word.
fn has_failed(made: &Made) -> bool {
    let gone = made.has_changed().is_err();
    made.borrow().as_ref().map_or(gone, Result::is_err)
}

fn digest(asked: &Fields) -> [u8; 32] {
    Sha256::digest(asked.to_string()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// Fails after some time, and counts how often it began.
    async fn fail(count: Arc<AtomicUsize>) -> Result<View, Refusal> {
        count.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(Refusal::invalid("no"))
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_twice_waits_for_the_first_and_a_failure_is_tried_again() {
        let (repeats, count) = (Repeats::default(), Arc::new(AtomicUsize::new(0)));
        let asked = Fields::parse(br#"{"a":1,"b":2}"#).unwrap();
        // The first one gives up; what it began goes on.
        let given_up = repeats.once("k", &asked, fail(Arc::clone(&count)));
        assert!(tokio::time::timeout(Duration::from_millis(1), given_up).await.is_err());
        let again = Fields::parse(br#" {"b":2,"a":1}"#).unwrap();
        assert_eq!(repeats.once("k", &again, fail(Arc::clone(&count))).await.unwrap_err().message, "no");
        assert_eq!(count.load(Ordering::SeqCst), 1);
        repeats.once("k", &asked, fail(Arc::clone(&count))).await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_belongs_to_one_request_and_memory_is_bounded() {
        let (repeats, count) = (Repeats::default(), Arc::new(AtomicUsize::new(0)));
        let one = Fields::parse(br#"{"a":1}"#).unwrap();
        repeats.once("k", &one, fail(Arc::clone(&count))).await.unwrap_err();
        let refusal = repeats.once("k", &Fields::default(), fail(Arc::clone(&count))).await.unwrap_err();
        assert!(refusal.message.contains("another request"), "{refusal:?}");
        for number in 0..2 * REMEMBERED {
            drop(repeats.find_or_begin(&number.to_string(), [0; 32], fail(Arc::clone(&count))).unwrap());
        }
        assert_eq!(repeats.0.lock().unwrap().len(), REMEMBERED);
    }

    #[test]
    fn a_key_is_a_short_plain_word() {
        let of = |value: &[u8]| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("idempotency-key"),
                http::HeaderValue::from_bytes(value).unwrap(),
            )]);
            key(&headers).map(|key| key.map(str::to_owned))
        };
        assert_eq!(of(b"a-0").unwrap().as_deref(), Some("a-0"));
        assert_eq!(key(&HeaderMap::new()).unwrap(), None);
        for bad in [b"".as_slice(), b"A", b"a b", b"a_b", b"\xff", &[b'a'; 256]] {
            assert_eq!(of(bad).unwrap_err().status, 400, "{bad:?}");
        }
    }
}
