use super::*;
use std::time::Duration;

fn oack(options: &[(&str, &str)]) -> String {
    let oack = terms(options, 15_500_000).oack.unwrap_or_default();
    let text = oack.strip_prefix(&[0, 6]).unwrap_or_default();
    String::from_utf8(text.to_vec()).unwrap().replace('\0', " ").trim().to_owned()
}

#[test]
fn without_options_it_is_as_in_1980() {
    let terms = terms(&[], 100);
    assert_eq!((terms.blksize, terms.windowsize, terms.oack), (512, 1, None));
    assert_eq!(terms.timeout, Duration::from_secs(1));
}

#[test]
fn what_edk2_asks_for_is_accepted_in_its_order() {
    let asked = [("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")];
    assert_eq!(oack(&asked), "tsize 15500000 blksize 1468 windowsize 4");
}

/// Each row: the requested options, and the answer.
#[test]
fn options_are_held_to_the_limits_or_left_out() {
    for (asked, answer) in [
        (("blksize", "65464"), "blksize 1468"),
        (("blksize", "8"), "blksize 8"),
        (("blksize", "7"), ""),
        (("blksize", "0"), ""),
        (("blksize", "99999999999999"), "blksize 1468"),
        (("blksize", "99999999999999999999999"), ""),
        (("blksize", "-8"), ""),
        (("blksize", "+512"), ""),
        (("blksize", "12a"), ""),
        (("blksize", ""), ""),
        (("windowsize", "0"), ""),
        (("windowsize", "65535"), "windowsize 64"),
        (("windowsize", "70000"), "windowsize 64"),
        (("timeout", "0"), ""),
        (("timeout", "3"), "timeout 3"),
        (("timeout", "11"), ""),
        (("timeout", "255"), ""),
        (("TSize", "77"), "tsize 15500000"),
        (("multicast", ""), ""),
    ] {
        assert_eq!(oack(&[asked]), answer, "{asked:?}");
    }
}

#[test]
fn an_option_that_comes_twice_counts_once() {
    assert_eq!(oack(&[("blksize", "512"), ("BLKSIZE", "1024")]), "blksize 512");
    assert_eq!(terms(&[("blksize", "512"), ("BLKSIZE", "1024")], 1).blksize, 512);
}

#[test]
fn no_limit_of_ours_makes_a_block_that_tftp_has_not() {
    let limits = Limits { blksize: u16::MAX, windowsize: 0, ..Limits::default() };
    let bytes = request(&[("blksize", "65535"), ("windowsize", "9")]);
    let terms = Terms::new(&read(&bytes), 1, limits);
    assert_eq!((terms.blksize, terms.windowsize), (65464, 1));
}
