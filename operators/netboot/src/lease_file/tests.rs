use super::*;
use jiff::Timestamp;
use metal_dhcp::{Client, lease::State};
use std::{fs, net::Ipv4Addr, time::Duration};
use tokio::{task::yield_now, time::timeout};

const PATIENCE: Duration = Duration::from_mins(1);

fn lease(last: u8) -> Lease {
    Lease {
        address: [10, 0, 0, last].into(),
        client: Client::Mac(metal_api::MacAddr([2, 0, 0, 0, 0, last])),
        state: State::Bound,
        until: Timestamp::from_second(1_800_000_000).unwrap(),
        binding: None,
    }
}

/// A log with leases 1 and 2.
fn with_two(path: &Path) -> LeaseFile {
    let (mut log, leases) = LeaseFile::open::<Ipv4Addr>(path).unwrap();
    assert_eq!(leases, []);
    log.append(&lease(1));
    log.append(&lease(2));
    log.commit().unwrap();
    log
}

fn reopened(path: &Path) -> Vec<Lease> {
    LeaseFile::open(path).unwrap().1
}

#[test]
fn what_was_committed_is_there_after_the_process_died() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let mut log = with_two(&path);
    log.append(&lease(3));
    drop(log);
    assert_eq!(reopened(&path), [lease(1), lease(2)], "the third was not committed");
}

#[test]
fn two_processes_do_not_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let log = with_two(&path);
    let error = LeaseFile::open::<Ipv4Addr>(&path).unwrap_err();
    assert!(error.to_string().ends_with("in use by another process; use a separate file for each"));
    drop(log);
    assert_eq!(reopened(&path).len(), 2);
}

#[test]
fn a_line_cut_short_at_any_byte_is_dropped_and_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    drop(with_two(&path));
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for end in first..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let (mut log, leases) = LeaseFile::open(&path).unwrap();
        assert_eq!(leases, [lease(1)], "{end}");
        log.append(&lease(3));
        log.commit().unwrap();
        drop(log);
        assert_eq!(reopened(&path), [lease(1), lease(3)], "{end}");
    }
}

#[test]
fn a_write_that_failed_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let mut log = with_two(&path);
    log.fail_writes();
    log.append(&lease(3));
    assert!(log.commit().is_err());
    // Half a line was written before the disk was full, and now there is room again.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"0123").unwrap();
    log.file = open(&path).unwrap();
    log.append(&lease(4));
    log.commit().unwrap();
    drop(log);
    assert_eq!(reopened(&path), [lease(1), lease(2), lease(4)]);
}

#[tokio::test]
async fn a_log_that_has_grown_too_long_is_replaced_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let mut log = with_two(&path);
    for _ in 0..SLACK + 10 {
        log.append(&lease(1));
    }
    log.commit().unwrap();
    let before = fs::metadata(&path).unwrap().len();
    let known = [lease(1), lease(2)];
    log.maintain(known.len(), || known.iter()).await.unwrap();
    assert!(log.compaction.is_some());
    // While the fresh log is being written, the old one is in use.
    log.append(&lease(3));
    log.commit().unwrap();
    let finished = async {
        while log.compaction.is_some() || log.is_unplaced {
            log.maintain(known.len(), || known.iter()).await.unwrap();
            yield_now().await;
        }
    };
    timeout(PATIENCE, finished).await.unwrap();
    log.append(&lease(4));
    log.commit().unwrap();
    assert!(fs::metadata(&path).unwrap().len() * 100 < before);
    drop(log);
    assert_eq!(reopened(&path), [lease(1), lease(2), lease(3), lease(4)]);
}

#[tokio::test]
async fn a_fresh_log_that_cannot_be_written_is_tried_again_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = with_two(&folder.path().join("leases"));
    for _ in 0..SLACK + 10 {
        log.append(&lease(1));
    }
    log.commit().unwrap();
    // In its place is something else.
    fs::create_dir(folder.path().join("leases.new")).unwrap();
    let known = [lease(1), lease(2)];
    let failed = async {
        while log.maintain(known.len(), || known.iter()).await.is_ok() {
            yield_now().await;
        }
    };
    timeout(PATIENCE, failed).await.unwrap();
    for call in 1..=AGAIN {
        assert!(log.compaction.is_none(), "{call}");
        log.maintain(known.len(), || known.iter()).await.unwrap();
    }
    assert!(log.compaction.is_some());
}

#[test]
fn a_compaction_that_was_not_finished_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    drop(with_two(&path));
    let leftover = folder.path().join("leases.new");
    fs::write(&leftover, "half of it").unwrap();
    assert_eq!(reopened(&path), [lease(1), lease(2)]);
    assert!(!leftover.exists());
}

#[tokio::test]
async fn what_was_written_is_handed_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = with_two(&folder.path().join("leases"));
    log.maintain(0, std::iter::empty::<&Lease>).await.unwrap();
    assert!(log.sync.is_some());
    let synced = async {
        while log.sync.is_some() {
            log.maintain(0, std::iter::empty::<&Lease>).await.unwrap();
            yield_now().await;
        }
    };
    timeout(PATIENCE, synced).await.unwrap();
    assert!(!log.unsynced && !log.is_unplaced);
    log.close().unwrap();
}

#[tokio::test]
async fn a_folder_that_could_not_be_handed_to_the_disk_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = with_two(&folder.path().join("leases"));
    log.sync = Some(spawn_blocking(|| Err(io::Error::other("no"))));
    (log.unsynced, log.is_unplaced) = (false, false);
    let failed = async {
        while log.maintain(0, std::iter::empty::<&Lease>).await.is_ok() {
            yield_now().await;
        }
    };
    timeout(PATIENCE, failed).await.unwrap();
    assert!(log.unsynced && log.is_unplaced);
}
