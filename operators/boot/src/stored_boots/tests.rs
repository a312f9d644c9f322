use super::{
    file::{Head, StoredBootError, head, open, seal},
    folder::LARGEST,
    restore::find,
    *,
};
use crate::{
    secrets::Secrets,
    testing::{Cluster, Objects, key},
};
use keeper::Written;
use metal_core::{boot::stored_boot::Validity, capability::Key};
use metal_runtime::queue::Queue;
use std::{path::Path, sync::Arc};

const NAME: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn no_bit_of_a_file_can_be_changed_and_no_file_can_stand_for_another() {
    let file = file(&key());
    let (opened, boot) = open(&key(), NAME, &file).ok().unwrap();
    assert_eq!((opened.images.len(), boot.servers.len()), (1, 1));
    assert!(head(&file).is_ok_and(|it| it == opened));
    for bit in (0..file.len() * 8).step_by(7) {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&key(), NAME, &changed).is_err(), "bit {bit}");
    }
    for length in 0..file.len() {
        assert!(open(&key(), NAME, &file[..length]).is_err(), "{length} bytes");
    }
    let other = NAME.replace('a', "b");
    assert_eq!(open(&key(), &other, &file).err(), Some(StoredBootError::Sealed));
}

#[tokio::test]
async fn a_file_that_is_damaged_foreign_or_of_another_version_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, good) = (Folder::open(dir.path()).unwrap(), file(&key()));
    folder.write(NAME, &good).unwrap();
    let mut version = good.clone();
    version["bloomery kept boot ".len()] = b'2';
    let bad = [
        Vec::new(),
        b"\0\0\0\0".to_vec(),
        good[..good.len() / 2].to_vec(),
        version.clone(),
        file(&Key::new(&[9; Key::MIN]).unwrap()),
        vec![b'a'; LARGEST + 1],
        [b"bloomery kept boot 1\n".to_vec(), vec![b'{'; 1 << 20]].concat(),
    ];
    assert_eq!(head(&version).err(), Some(StoredBootError::Version));
    for (number, bytes) in bad.iter().enumerate() {
        fs::write(dir.path().join(format!("{number:064x}")), bytes).unwrap();
    }
    fs::create_dir(dir.path().join(NAME.replace('a', "c"))).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join(NAME.replace('a', "d"))).unwrap();
    fs::write(dir.path().join("notes.txt"), "of somebody").unwrap();
    let keeper = keeper(dir.path());
    let found = find(&keeper, Some(&key())).unwrap();
    assert_eq!(found.boots.len(), 1);
    let found = find(&keeper, None).unwrap();
    // Without the key, files of another key cannot be distinguished from ours.
    assert!(found.boots.is_empty() && (1..=3).contains(&found.images.len()));
}

#[tokio::test]
async fn what_is_old_or_of_another_start_of_the_machine_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = keeper(dir.path());
    let minute = SignedDuration::from_mins(1);
    let now = clock_reading(&keeper.start);
    let empty = serde_json::to_vec(&Boot::default()).unwrap();
    let times = |kept: ClockReading, closes| {
        let head = Head { times: Validity { kept, closes }, images: Vec::new() };
        keeper.folder.write(NAME, &seal(&key(), NAME, &head, &empty).unwrap()).unwrap();
        find(&keeper, Some(&key())).unwrap().boots.len()
    };
    assert_eq!(times(now.clone(), now.wall + minute), 1);
    assert_eq!(times(now.clone(), now.wall - minute), 0, "its window is over");
    let earlier = ClockReading { start: "another".to_owned(), ..now.clone() };
    assert_eq!(times(earlier, now.wall + minute), 0);
    let ahead = ClockReading { running: now.running + minute, ..now.clone() };
    assert_eq!(times(ahead, now.wall + minute), 0);
    // The wall clock was set back by a day in between.
    let day = SignedDuration::from_hours(24);
    let back =
        ClockReading { wall: now.wall + day, running: now.running - 2 * minute, ..now.clone() };
    assert_eq!(times(back.clone(), back.wall + minute), 0, "two minutes of one have passed");
    assert_eq!(times(back.clone(), back.wall + 3 * minute), 1);
}

#[test]
fn a_write_that_was_cut_off_leaves_what_was_there_before() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    folder.write(NAME, b"before").unwrap();
    fs::write(dir.path().join(format!("{NAME}.part")), b"aft").unwrap();
    assert_eq!(folder.read(NAME).unwrap(), b"before");
    assert_eq!(folder.names().unwrap(), [NAME]);
    assert!(!dir.path().join(format!("{NAME}.part")).exists());
    folder.write(NAME, b"after").unwrap();
    assert_eq!(folder.read(NAME).unwrap(), b"after");
    folder.remove(NAME).unwrap();
    folder.remove(NAME).unwrap();
    assert!(folder.names().unwrap().is_empty());
}

#[tokio::test]
async fn a_boot_that_is_too_large_is_not_kept_and_what_was_kept_before_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, keeper) = with_an_ignition(dir.path());
    Objects::ready_for_ipxe().fill(&keeper.view).await;
    assert!(Arc::clone(&keeper).pass("server".to_owned()).await.is_some());
    assert_eq!(keeper.folder.names().unwrap().len(), 1);
    cluster.put_secret("ignition", &[("ignition", &"a".repeat(LARGEST))]);
    keeper.secrets.forget_unless(&("tenant".to_owned(), "ignition".to_owned()), None);
    assert!(Arc::clone(&keeper).pass("server".to_owned()).await.is_some());
    assert!(keeper.folder.names().unwrap().is_empty());
    assert_eq!(keeper.metrics.failures.get(), 1);
}

#[tokio::test]
async fn what_has_not_changed_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (_, keeper) = with_an_ignition(dir.path());
    let mut objects = Objects::ready_for_ipxe();
    objects.clone().fill(&keeper.view).await;
    Arc::clone(&keeper).pass("server".to_owned()).await;
    let read = || keeper.folder.read(&Folder::name_of("server")).unwrap();
    let before = read();
    objects.configurations[0].metadata.resource_version = Some("8".to_owned());
    objects.clone().fill(&keeper.view).await;
    Arc::clone(&keeper).pass("server".to_owned()).await;
    assert!(read() == before);
    objects.ipxe[0].spec.kernel_url = "http://boot:8082/other".to_owned();
    objects.ipxe[0].metadata.resource_version = Some("9".to_owned());
    objects.fill(&keeper.view).await;
    Arc::clone(&keeper).pass("server".to_owned()).await;
    assert!(read() != before);
}

#[tokio::test]
async fn a_boot_is_written_again_for_another_key() {
    let dir = tempfile::tempdir().unwrap();
    let (_, keeper) = with_an_ignition(dir.path());
    Objects::ready_for_ipxe().fill(&keeper.view).await;
    Arc::clone(&keeper).pass("server".to_owned()).await;
    let other = Key::new(&[9; Key::MIN]).unwrap();
    keeper.key.set(other.clone());
    assert!(find(&keeper, Some(&other)).unwrap().boots.is_empty());
    Arc::clone(&keeper).pass("server".to_owned()).await;
    assert_eq!(find(&keeper, Some(&other)).unwrap().boots.len(), 1);
}

#[tokio::test]
async fn a_boot_that_is_not_kept_yet_leaves_nothing_of_the_one_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, keeper) = with_an_ignition(dir.path());
    let mut objects = Objects::ready_for_ipxe();
    objects.clone().fill(&keeper.view).await;
    Arc::clone(&keeper).pass("server".to_owned()).await;
    assert_eq!(keeper.folder.names().unwrap().len(), 1);
    let status = objects.servers[0].status.as_mut().unwrap();
    status.boot_window.as_mut().unwrap().opened.0 += SignedDuration::from_secs(1);
    objects.fill(&keeper.view).await;
    cluster.go_down();
    keeper.secrets.forget_unless(&("tenant".to_owned(), "ignition".to_owned()), None);
    Arc::clone(&keeper).pass("server".to_owned()).await;
    assert!(keeper.folder.names().unwrap().is_empty());
}

/// A file of one boot that needs one layer.
fn file(key: &Key) -> Vec<u8> {
    let kept = clock_reading(&start_of_machine().unwrap());
    let closes = kept.wall + SignedDuration::from_mins(10);
    let images = vec![("ghcr.io/a/b".to_owned(), format!("sha256:{}", "0".repeat(64)))];
    let head = Head { times: Validity { kept, closes }, images };
    let boot = Boot { servers: Objects::ready_for_ipxe().servers, ..Boot::default() };
    seal(key, NAME, &head, &serde_json::to_vec(&boot).unwrap()).unwrap()
}

/// A keeper, and an API server with the ignition of [`Objects::ready_for_ipxe`].
fn with_an_ignition(folder: &Path) -> (Cluster, Arc<Keeper>) {
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    let secrets = Arc::new(Secrets::new(cluster.client()));
    (cluster, Arc::new(Keeper { secrets, ..keeper(folder) }))
}

fn keeper(folder: &Path) -> Keeper {
    Keeper {
        view: Arc::default(),
        secrets: Arc::new(Secrets::new(Cluster::default().client())),
        key: key().into(),
        folder: Folder::open(folder).unwrap(),
        start: start_of_machine().unwrap(),
        queue: Queue::default(),
        metrics: Metrics::default(),
        written: Written::default(),
    }
}
