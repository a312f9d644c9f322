use super::*;

fn ack(transfer: &mut Transfer, block: u16) -> Step {
    transfer.receive(&Packet::Ack(block))
}

#[test]
fn a_file_without_options_goes_block_by_block() {
    let mut transfer = Transfer::new(&terms(&[], 1000));
    assert_eq!(transfer.begin(), Step::Send(1..=1));
    assert_eq!(ack(&mut transfer, 1), Step::Send(2..=2));
    assert_eq!(ack(&mut transfer, 2), Step::End(End::Done));
}

#[test]
fn a_file_of_whole_blocks_ends_with_an_empty_one() {
    for (size, blocks) in [(0, 1), (511, 1), (512, 2), (513, 2), (1024, 3)] {
        let mut transfer = Transfer::new(&terms(&[], size));
        transfer.begin();
        let mut sent = 1;
        while let Step::Send(_) = ack(&mut transfer, sent) {
            sent += 1;
        }
        assert_eq!(sent, blocks, "{size}");
    }
}

/// As captured from OVMF 2022.11 and 2025.02.
#[test]
fn edk2_asks_for_the_size_and_aborts_and_asks_again() {
    let probe = b"\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0";
    let terms = Terms::new(&read(probe), 173_792, Limits::default());
    let oack = b"\0\x06tsize\x00173792\0blksize\x001468\0windowsize\x004\0";
    assert_eq!(terms.oack.as_deref(), Some(&oack[..]));
    let mut transfer = Transfer::new(&terms);
    assert_eq!(transfer.begin(), Step::Oack);
    let abort = Packet::decode(b"\0\x05\0\x08User aborted the transfer\0").unwrap();
    let end = End::Aborted { code: 8, message: "User aborted the transfer".to_owned() };
    assert_eq!(transfer.receive(&abort), Step::End(end));

    let request = b"\0\x01snponly.efi\0octet\0blksize\x001468\0windowsize\x004\0";
    let terms = Terms::new(&read(request), 173_792, Limits::default());
    let mut transfer = Transfer::new(&terms);
    assert_eq!(transfer.begin(), Step::Oack);
    assert_eq!(transfer.receive(&Packet::Ack(0)), Step::Send(1..=4));
}

#[test]
fn a_window_follows_the_last_ack() {
    let mut transfer = transfer(4, 10);
    assert_eq!(ack(&mut transfer, 0), Step::Send(1..=4));
    assert_eq!(ack(&mut transfer, 4), Step::Send(5..=8));
    assert_eq!(ack(&mut transfer, 8), Step::Send(9..=10));
    assert_eq!(ack(&mut transfer, 10), Step::End(End::Done));
}

#[test]
fn a_client_that_missed_a_block_gets_the_window_from_there_once() {
    let mut transfer = transfer(4, 20);
    ack(&mut transfer, 0);
    assert_eq!(ack(&mut transfer, 2), Step::Send(3..=6));
    assert_eq!(ack(&mut transfer, 2), Step::Wait, "said for every block that came after it");
    assert_eq!(ack(&mut transfer, 6), Step::Send(7..=10));
    assert_eq!(ack(&mut transfer, 6), Step::Send(7..=10), "missed the first of the window");
    assert_eq!(ack(&mut transfer, 6), Step::Wait);
    assert_eq!(transfer.expire(), Step::Send(7..=10));
    assert_eq!(ack(&mut transfer, 6), Step::Send(7..=10));
}

#[test]
fn a_doubled_ack_doubles_nothing() {
    let mut transfer = Transfer::new(&terms(&[], 5000));
    transfer.begin();
    assert_eq!(ack(&mut transfer, 1), Step::Send(2..=2));
    assert_eq!(ack(&mut transfer, 1), Step::Wait);
    assert_eq!(ack(&mut transfer, 0), Step::Wait);
}

#[test]
fn acks_of_what_was_not_sent_say_nothing() {
    let mut transfer = transfer(4, 20);
    assert_eq!(ack(&mut transfer, 3), Step::Wait, "the OACK is not answered yet");
    ack(&mut transfer, 0);
    for block in [5, 6, 1000, 65535] {
        assert_eq!(ack(&mut transfer, block), Step::Wait, "{block}");
    }
}

#[test]
fn block_numbers_go_round() {
    let mut transfer = transfer(64, 200_000);
    let mut step = ack(&mut transfer, 0);
    let mut blocks = 0;
    while let Step::Send(window) = step {
        assert_eq!(*window.start(), blocks + 1);
        blocks = *window.end();
        let [.., high, low] = blocks.to_be_bytes();
        step = ack(&mut transfer, u16::from_be_bytes([high, low]));
    }
    assert_eq!((step, blocks), (Step::End(End::Done), 200_000));
}

#[test]
fn a_client_that_is_gone_is_given_up() {
    let mut transfer = transfer(4, 20);
    transfer.expire();
    assert_eq!(ack(&mut transfer, 0), Step::Send(1..=4), "and one that is back goes on");
    for _ in 0..10 {
        assert_eq!(transfer.expire(), Step::Send(1..=4));
    }
    assert_eq!(transfer.expire(), Step::End(End::GaveUp));
}

#[test]
fn who_has_acknowledged_nothing_gets_the_first_answer_twice_and_has_time_to_take_it() {
    for (options, answer) in [(&[("tsize", "0")][..], Step::Oack), (&[], Step::Send(1..=1))] {
        let mut transfer = Transfer::new(&terms(options, 100_000));
        assert_eq!(transfer.begin(), answer);
        assert_eq!(transfer.expire(), answer);
        for _ in 0..3 {
            assert_eq!(transfer.expire(), Step::Wait);
        }
        let mut late = transfer.clone();
        assert!(matches!(ack(&mut late, u16::from(options.is_empty())), Step::Send(_)));
        assert_eq!(transfer.expire(), Step::End(End::GaveUp));
    }
}

#[test]
fn a_repeated_request_is_answered_once_more_when_nothing_else_is() {
    let mut transfer = transfer(4, 20);
    assert_eq!(transfer.ask_again(), Step::Wait, "the answer comes again by itself");
    transfer.expire();
    assert_eq!(transfer.ask_again(), Step::Wait);
    transfer.expire();
    assert_eq!(transfer.ask_again(), Step::Oack);
    ack(&mut transfer, 0);
    assert_eq!(transfer.ask_again(), Step::Wait, "it has the answer");
}

/// The largest first answer, for the shortest possible request.
#[test]
fn nobody_is_flooded_in_the_name_of_a_request() {
    let files = [("8", "1"), ("65464", "64"), ("1468", "64")];
    for (blksize, windowsize) in files {
        let options = [("blksize", blksize), ("windowsize", windowsize), ("tsize", "0")];
        let asked = request(&options);
        let terms = Terms::new(&read(&asked), u64::MAX, Limits::default());
        let mut transfer = Transfer::new(&terms);
        assert_eq!(transfer.begin(), Step::Oack, "no block goes before the first ACK");
        assert!(terms.oack.unwrap().len() <= 2 * asked.len());
    }
    let mut transfer = Transfer::new(&terms(&[("unknown", "1")], u64::MAX));
    assert_eq!(transfer.begin(), Step::Send(1..=1));
    assert_eq!(terms(&[("unknown", "1")], u64::MAX).blksize, 512);
}

#[test]
fn packets_that_do_not_belong_here_change_nothing() {
    let mut transfer = transfer(4, 20);
    ack(&mut transfer, 0);
    let before = transfer.clone();
    for bytes in [&b"\0\x03\0\x01x"[..], b"\0\x06", b"\0\x01a\0octet\0", b"\0\x02a\0octet\0"] {
        assert_eq!(transfer.receive(&Packet::decode(bytes).unwrap()), Step::Wait);
    }
    assert_eq!(transfer, before);
}
