//! Why we do not use more of dhcproto for DHCPv6 (`metal_wire::v6`). Each test shows what the
//! library does; one that fails is good news.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dhcproto::{
    Decodable, Encodable, Name,
    v6::{DhcpOption, DhcpOptions, IANA, Message, OptionCode, UserClass, VendorClass},
};
use std::panic::catch_unwind;

const IA_NA: u16 = 3;
const RAPID_COMMIT: u16 = 14;
const VENDOR_OPTIONS: u16 = 17;
const ELAPSED: u16 = 8;

/// An option as bytes.
fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap();
    [&code.to_be_bytes()[..], &len.to_be_bytes(), value].concat()
}

/// A message with these options.
fn message(options: &[Vec<u8>]) -> Vec<u8> {
    [&[1, 0, 0, 7][..], &options.concat()].concat()
}

fn codes(bytes: &[u8]) -> Vec<u16> {
    Message::from_bytes(bytes)
        .unwrap()
        .opts()
        .iter()
        .map(|it| OptionCode::from(it).into())
        .collect()
}

/// A datagram has room for 8,000 of them, and each is a nested call of several functions.
#[test]
fn options_are_opened_as_deep_as_the_sender_likes() {
    const DEPTH: usize = 100;
    let nested = (0..DEPTH)
        .fold(vec![], |inner, _| option(VENDOR_OPTIONS, &[&[0, 0, 0, 9][..], &inner].concat()));
    let message = Message::from_bytes(&message(&[nested])).unwrap();
    let (mut options, mut depth) = (message.opts(), 0);
    while let Some(DhcpOption::VendorOpts(inner)) = options.get(OptionCode::VendorOpts) {
        (options, depth) = (&inner.opts, depth + 1);
    }
    assert_eq!(depth, DEPTH);
}

/// Without overflow checks, the length becomes 4 GiB or more, and the rest of the message is lost.
#[test]
fn a_class_without_an_enterprise_makes_a_length_below_zero() {
    let class = message(&[option(16, &[]), option(ELAPSED, &[0, 1])]);
    let loses_the_rest = catch_unwind(|| codes(&class).is_empty());
    assert!(loses_the_rest.unwrap_or(cfg!(debug_assertions)));
}

#[test]
fn the_length_of_a_fixed_option_is_not_looked_at() {
    let hidden = option(ELAPSED, &[0, 1]);
    assert_eq!(codes(&message(&[option(RAPID_COMMIT, &hidden)])), [ELAPSED, RAPID_COMMIT]);
}

#[test]
fn what_is_behind_a_malformed_option_is_lost_without_a_word() {
    let broken = message(&[option(IA_NA, &[0; 3]), option(ELAPSED, &[0, 1])]);
    assert_eq!(codes(&broken), []);
}

#[test]
fn options_lose_their_order() {
    let options = [option(RAPID_COMMIT, &[]), option(ELAPSED, &[0, 1])];
    let bytes = message(&options);
    assert_ne!(Message::from_bytes(&bytes).unwrap().to_vec().unwrap(), bytes);
    let mut options = DhcpOptions::new();
    for id in [1, 2] {
        options.insert(DhcpOption::IANA(IANA { id, t1: 0, t2: 0, opts: DhcpOptions::new() }));
    }
    let ids = options.iter().map(|option| match option {
        DhcpOption::IANA(association) => association.id,
        other => panic!("{other:?}"),
    });
    assert_eq!(ids.collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn lengths_of_classes_are_numbers_of_strings() {
    let data = vec![b"HTTPClient".to_vec()];
    let vendor = DhcpOption::VendorClass(VendorClass { num: 343, data: data.clone() });
    assert_eq!(vendor.to_vec().unwrap()[2..4], [0, 5], "and not 16");
    let user = DhcpOption::UserClass(UserClass { data });
    assert_eq!(user.to_vec().unwrap()[2..4], [0, 1], "and not 12");
}

/// RFC 9915, section 10, forbids it.
#[test]
fn domains_are_compressed() {
    let domains = ["a.example.org", "b.example.org"].map(|name| name.parse::<Name>().unwrap());
    let bytes = DhcpOption::DomainSearchList(domains.to_vec()).to_vec().unwrap();
    assert!(bytes.len() < 4 + 2 * 15, "{bytes:?}");
}
