//! Watchers that outlive the request that made them, for clients that ask instead of holding a stream.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Subscription, WatchError};

/// Most stored watchers: each holds kernel memory and a mailbox, and none ends by itself.
const MOST: usize = 1024;

/// Random characters in an id.
const ID_LENGTH: u32 = 20;

/// Keeps watchers by id.
#[derive(Debug, Default)]
pub(super) struct Stored(Mutex<HashMap<String, Arc<Subscription>>>);

impl Stored {
    /// Says early that there is no room.
    pub(super) fn check_room(&self) -> Result<(), WatchError> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() < MOST { Ok(()) } else { Err(WatchError::TooMany(MOST)) }
    }

    /// Keeps a watcher; gives its id.
    pub(super) fn put(&self, subscription: Subscription) -> Result<String, WatchError> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= MOST {
            drop(map);
            return Err(WatchError::TooMany(MOST));
        }
        let id = id();
        map.insert(id.clone(), Arc::new(subscription));
        Ok(id)
    }

    pub(super) fn get(&self, id: &str) -> Result<Arc<Subscription>, WatchError> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(id).cloned().ok_or_else(|| WatchError::Unknown(id.to_owned()))
    }

    pub(super) fn take(&self, id: &str) -> Result<Arc<Subscription>, WatchError> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(id).ok_or_else(|| WatchError::Unknown(id.to_owned()))
    }
}

/// Makes `w` and twenty letters or digits. An id is unique, not secret: the access token guards the call.
fn id() -> String {
    // Each state has new keys, so what it makes of nothing is random (std::hash::RandomState).
    let random = || RandomState::new().build_hasher().finish();
    let mut bits = u128::from(random()) << 64 | u128::from(random());
    let mut id = String::from("w");
    for _ in 0..ID_LENGTH {
        let digit = u32::try_from(bits % 36).unwrap_or_default();
        id.extend(char::from_digit(digit, 36));
        bits /= 36;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_w_and_twenty_letters_or_digits_and_none_is_given_twice() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| id()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert!(id.len() == 21 && id.starts_with('w'), "{id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");
        }
    }
}
