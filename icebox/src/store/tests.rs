use super::*;
use crate::folder::Folder;

fn folder() -> Folder {
    Folder::new(&std::env::temp_dir(), "icebox-store").unwrap()
}

#[tokio::test]
async fn values_are_there_when_the_file_is_opened_again() {
    let folder = folder();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path).await.unwrap();
    assert!(store.all::<u32>(Shelf::Sandboxes).await.unwrap().is_empty());
    store.put(Shelf::Sandboxes, "one", &1).await.unwrap();
    store.put(Shelf::Sandboxes, "two", &2).await.unwrap();
    store.put(Shelf::Sandboxes, "two", &3).await.unwrap();
    store.remove(Shelf::Sandboxes, "one").await.unwrap();
    store.remove(Shelf::Snapshots, "none").await.unwrap();
    drop(store);
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.all(Shelf::Sandboxes).await.unwrap(), BTreeMap::from([("two".to_owned(), 3)]));
}

#[tokio::test]
async fn a_value_of_another_version_is_left_out() {
    let folder = folder();
    let store = Store::open(&folder.path().join("store.redb")).await.unwrap();
    store.put(Shelf::Facts, "number", &1).await.unwrap();
    store.put(Shelf::Facts, "text", &"words").await.unwrap();
    assert_eq!(store.all::<u32>(Shelf::Facts).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_owner_is_told_of_the_first() {
    let folder = folder();
    let path = folder.path().join("store.redb");
    let _first = Store::open(&path).await.unwrap();
    assert!(matches!(Store::open(&path).await, Err(StoreError::Taken { .. })));
}

#[tokio::test]
async fn after_an_error_the_next_use_opens_the_file_again() {
    let folder = folder();
    let store = Store::open(&folder.path().join("store.redb")).await.unwrap();
    let broken = || redb::Error::Io(std::io::ErrorKind::StorageFull.into());
    let failed = store.on_thread(move |_| Err::<(), _>(broken())).await;
    assert!(matches!(failed, Err(StoreError::Io { .. })));
    store.put(Shelf::Facts, "number", &1).await.unwrap();
    assert_eq!(store.all::<u32>(Shelf::Facts).await.unwrap().len(), 1);
}
