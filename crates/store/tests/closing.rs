//! Closing a database leaves one file. Databases that other programs have open are not tested here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use management::port::Upkeep as _;
use store::{Settings, SqliteStore};

/// Number of consecutive openings. One in five left its log while the pool was trusted to close all of its connections.
const OPENINGS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_as_soon_as_it_is_open_leaves_its_file_alone() {
    for opening in 0..OPENINGS {
        let place = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", place.path().join("policy.db").display());
        let store = SqliteStore::open(&url, Settings::default()).await.unwrap();
        store.close().await;
        let left = std::fs::read_dir(place.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["policy.db"], "opening {opening}");
    }
}
