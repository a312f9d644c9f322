//! User-data of a person before the vendor-data of an image: whatever a person says, the last part is the
//! image's, and nobody ends it sooner.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_machine::provisioning::cloud_init::user_data;

const VENDOR: &str = "#cloud-config\nruncmd: [join]\n";

fuzz_target!(|user: &[u8]| {
    assert_eq!(user_data(user, None), user);
    let document = user_data(user, Some(VENDOR));
    // What a person says may begin in it.
    let head = String::from_utf8_lossy(&document[..120]);
    let (_, boundary) = head.split_once("boundary=\"").expect("it is a MIME message");
    let (boundary, _) = boundary.split_once('"').expect("it has an end");
    let line = format!("--{boundary}");
    let places: Vec<_> =
        (0..document.len()).filter(|at| document[*at..].starts_with(line.as_bytes())).collect();
    assert!(
        matches!(places.len(), 3 | 4),
        "a beginning for each of two or three parts, and an end"
    );
    let last = String::from_utf8_lossy(&document[places[places.len() - 2]..]);
    assert!(last.contains("filename=\"vendor-data\"\r\nMerge-Type: list(append)"));
    assert!(last.ends_with(&format!("I2Nsb3VkLWNvbmZpZwpydW5jbWQ6IFtqb2luXQo=\r\n{line}--\r\n")));
});
