//! A medium as read by other programs.

use super::*;
use std::{fs, path::Path, process::Command};

const URL: &str = "http://10.77.0.1:8082/ignition/t/TOKEN/0b3e2f6c-1111-2222-3333-444455556666";

#[test]
fn xorriso_isoinfo_fsck_and_mtools_find_what_was_put_on_a_medium() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers.sh");
    // The second needs another cluster size, and is too long for El Torito's field.
    for size in [300_001, 200 << 20] {
        let folder = tempfile::tempdir().unwrap();
        let uki: Vec<u8> = (0..=250).cycle().take(size).collect();
        let medium = Medium::new(Architecture::Amd64, size as u64, Some(URL)).unwrap();
        let mut iso = vec![];
        for part in medium.parts(0..medium.size()) {
            match part {
                Part::Bytes(bytes) => iso.extend(bytes),
                Part::Uki(range) => {
                    let place = |at| usize::try_from(at).unwrap();
                    iso.extend(&uki[place(range.start)..place(range.end)]);
                }
            }
        }
        for (name, content) in
            [("medium.iso", &iso[..]), ("uki.efi", &uki), ("credential", URL.as_bytes())]
        {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let output = Command::new(&script).arg(folder.path()).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}
