mod peers;

use super::*;

const URL: &str = "http://10.77.0.1:8082/ignition/t/TOKEN/uuid";

#[test]
fn parts_are_the_same_bytes_however_they_are_asked_for() {
    let uki: Vec<u8> = (0..=250).cycle().take(70_001).collect();
    let medium = medium(70_001);
    let whole = bytes(&medium, &uki, 0..u64::MAX);
    assert_eq!(whole.len() as u64, medium.size());
    for step in [1 << 10, 2048, 65_537] {
        let mut read = vec![];
        for start in (0..medium.size()).step_by(step) {
            read.extend(bytes(&medium, &uki, start..start + step as u64));
        }
        assert!(read == whole, "{step}");
    }
    assert!(medium.parts(medium.size()..u64::MAX).is_empty());
}

#[test]
fn the_head_does_not_grow_with_the_uki_for_ever() {
    for uki in [0, 1, 2047, 8 << 20, 200 << 20, (2 << 30) - (4 << 20)] {
        let medium = medium(uki);
        assert!(medium.size().is_multiple_of(2048), "{uki}");
        let head = medium.head().len() as u64;
        assert_eq!(head, iso::HEAD + medium.fat.uki_at());
        assert!(head < 512 << 10, "{uki}: {head}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let new = |uki, url: &str| Medium::new(Architecture::Amd64, uki, Some(url)).err();
    assert_eq!(new(2 << 30, URL), Some(MediumError::Uki(2 << 30)));
    assert_eq!(new(u64::MAX - 5, URL), Some(MediumError::Uki(u64::MAX - 5)));
    assert_eq!(new(1, &"u".repeat(LONGEST)), None);
    assert_eq!(new(1, &"u".repeat(LONGEST + 1)), Some(MediumError::Credential(LONGEST + 1)));
}

#[test]
fn the_credential_is_in_the_head_and_only_there() {
    let medium = medium(5000);
    let [Part::Bytes(head)] = &medium.parts(0..iso::HEAD + medium.fat.uki_at())[..] else {
        panic!("it is one part");
    };
    let find = |text: &[u8]| head.windows(text.len()).any(|part| part == text);
    assert!(find(URL.as_bytes()));
    assert!(find(b"BOOTX64 EFI"));
    assert!(!format!("{medium:?}").contains("TOKEN"));
}

fn medium(uki: u64) -> Medium {
    Medium::new(Architecture::Amd64, uki, Some(URL)).unwrap()
}

fn bytes(medium: &Medium, uki: &[u8], range: Range<u64>) -> Vec<u8> {
    let place = |at| usize::try_from(at).unwrap();
    let bytes = |part| match part {
        Part::Bytes(bytes) => bytes,
        Part::Uki(of) => uki[place(of.start)..place(of.end)].to_vec(),
    };
    medium.parts(range).into_iter().flat_map(bytes).collect()
}
