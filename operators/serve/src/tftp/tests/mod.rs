mod lab;

use super::*;
use crate::neighbor_limit::NeighborLimit;
use lab::{Client, Folder, LIMIT, Lab, addresses, request, until_served};
use metal_runtime::health::Readiness;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

#[test]
fn a_file_arrives_block_by_block_and_window_by_window() {
    let lab = Lab::new();
    let plain = Client::at(1).fetch(&lab, &[]).unwrap();
    assert!(plain == lab.file(), "{} bytes", plain.len());
    for windowsize in ["1", "4", "64"] {
        let options = [("blksize", "1000"), ("windowsize", windowsize), ("tsize", "0")];
        let got = Client::at(1).fetch(&lab, &options).unwrap();
        assert!(got == lab.file(), "window {windowsize}: {} bytes", got.len());
    }
}

#[test]
fn blocks_of_every_length_arrive() {
    let lab = Lab::new();
    for (blksize, windowsize) in [("8", "16"), ("100", "2"), ("512", "64"), ("65464", "4")] {
        let options = [("blksize", blksize), ("windowsize", windowsize)];
        let got = Client::at(1).fetch(&lab, &options).unwrap();
        assert!(got == lab.file(), "{blksize}, {windowsize}: {} bytes", got.len());
    }
}

/// EDK2 asks for the size, and then for the file, possibly before we have received its abort.
#[test]
fn a_client_that_probes_the_size_gets_the_file_from_the_same_port() {
    let lab = Lab::new();
    for aborts in [true, false] {
        let client = Client::at(1);
        client.ask(&lab, "a.efi", &[("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")]);
        let (oack, from) = client.hear();
        assert_eq!(oack, b"\0\x06tsize\x00100000\0blksize\x001468\0windowsize\x004\0");
        if aborts {
            client.0.send_to(b"\0\x05\0\x08User aborted the transfer\0", from).unwrap();
        }
        let got = client.fetch(&lab, &[("blksize", "1468"), ("windowsize", "4")]).unwrap();
        assert!(got == lab.file(), "aborts: {aborts}, {} bytes", got.len());
    }
}

#[test]
fn what_is_not_to_be_had_is_refused_with_the_number_for_it() {
    let lab = Lab::new();
    fs::create_dir(lab.folder.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", lab.folder.path().join("link")).unwrap();
    let ask = |name: &str| {
        let client = Client::at(1);
        client.ask(&lab, name, &[]);
        client.hear().0
    };
    assert_eq!(ask("b.efi"), b"\0\x05\0\x01not a boot file\0");
    assert_eq!(ask("missing"), b"\0\x05\0\x01file not found\0");
    assert_eq!(ask("folder"), b"\0\x05\0\x02not a file\0");
    assert_eq!(ask("link"), b"\0\x05\0\x02link points outside of the served folder\0");
    for (request, answer) in [
        (&b"\0\x02a.efi\0octet\0"[..], &b"\0\x05\0\x02only read requests are supported\0"[..]),
        (b"\0\x01a.efi\0netascii\0", b"\0\x05\0\x04only octet mode is supported\0"),
    ] {
        let client = Client::at(1);
        client.0.send_to(request, lab.address).unwrap();
        assert_eq!(client.hear().0, answer);
    }
    lab.until_metrics("lab_tftp_errors_total{code=\"IllegalOperation\"} 1\n");
}

#[test]
fn what_is_in_memory_is_of_the_client_that_asks() {
    let lab = Lab::new();
    for last in [1, 7] {
        let client = Client::at(last);
        client.ask(&lab, "who", &[]);
        assert_eq!(client.hear().0, format!("\0\x03\0\x01127.0.1.{last}").as_bytes());
    }
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    let lab = Lab::new();
    for last in [1, 7, 200] {
        let asked = SocketAddr::from(([127, 0, 0, last], lab.address.port()));
        let client = Client::at(1);
        for name in ["a.efi", "none"] {
            client.0.send_to(&request(name, &[]), asked).unwrap();
            let (_, from) = client.hear();
            assert_eq!(from.ip(), asked.ip(), "{name}");
            assert_ne!(from.port(), asked.port(), "{name}");
        }
    }
}

#[test]
fn one_source_that_takes_all_it_can_leaves_room_for_others() {
    let lab = Lab::new();
    let greedy: Vec<_> = (0..30).map(|_| Client::at(1)).collect();
    for client in &greedy {
        client.ask(&lab, "a.efi", &[("blksize", "512")]);
    }
    let answers: Vec<_> = greedy.iter().map(Client::hear).collect();
    for (client, (_, from)) in greedy.iter().zip(&answers) {
        client.0.send_to(b"\0\x04\0\0", from).unwrap();
    }
    let heard: Vec<_> = greedy.iter().map(Client::hear_data).collect();
    let refused = b"\0\x05\0\0too many transfers for this client\0";
    let refused = heard.iter().filter(|heard| *heard == refused).count();
    assert_eq!(refused, 30 - BOUNDS.per_address);
    let got = Client::at(2).fetch(&lab, &[("windowsize", "4")]).unwrap();
    assert!(got == lab.file());
    let busy = format!("lab_tftp_active_transfers {}\n", BOUNDS.per_address);
    lab.until_metrics(&busy);
    for (client, (_, from)) in greedy.iter().zip(&answers) {
        client.0.send_to(b"\0\x05\0\0\0", from).unwrap();
    }
    lab.until_metrics("lab_tftp_active_transfers 0\n");
}

#[test]
fn slow_clients_of_a_few_addresses_keep_nobody_from_a_file() {
    let lab = Lab::new();
    let hosts = u8::try_from(BOUNDS.transfers / BOUNDS.per_address).unwrap();
    let slow: Vec<_> = (0..hosts)
        .flat_map(|host| (0..BOUNDS.per_address).map(move |_| Client::at(100 + host)))
        .collect();
    for client in &slow {
        client.ask(&lab, "a.efi", &[("blksize", "8"), ("timeout", "10")]);
    }
    for client in &slow {
        client.0.send_to(b"\0\x04\0\0", client.hear().1).unwrap();
    }
    lab.until_metrics(&format!("lab_tftp_active_transfers {}\n", BOUNDS.transfers));
    let got = Client::at(1).fetch(&lab, &[("windowsize", "4")]).unwrap();
    assert!(got == lab.file());
    lab.until_metrics("lab_tftp_transfers_total{result=\"Displaced\"} 1\n");
}

#[test]
fn requests_in_the_names_of_others_keep_nobody_from_a_file() {
    let lab = Lab::new();
    // Their sockets stay open, so that no host reports that nothing is listening.
    let silent: Vec<_> = (0..1500_u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            UdpSocket::bind(SocketAddr::from(([127, 0, 2 + high, low], 0))).unwrap()
        })
        .collect();
    let honest = Client::at(1);
    for sockets in silent.chunks(100) {
        for socket in sockets {
            socket.send_to(b"\0\x01a.efi\0octet\0windowsize\x0064\0", lab.address).unwrap();
        }
        let got = honest.fetch(&lab, &[("windowsize", "4")]).unwrap();
        assert!(got == lab.file());
    }
    lab.until_metrics("lab_tftp_active_transfers 0\n");
    // How many were answered, and how many were dropped for others, depends on the machine's load.
    let metrics = lab.metrics();
    let unproven = metrics.split("\nlab_tftp_unproven_requests ").nth(1).unwrap();
    let unproven: usize = unproven.lines().next().unwrap().parse().unwrap();
    assert!(unproven <= BOUNDS.unproven, "{metrics}");
}

#[test]
fn a_request_in_the_name_of_a_client_does_not_disturb_its_transfer() {
    let lab = Lab::new();
    let client = Client::at(1);
    client.ask(&lab, "a.efi", &[]);
    let (first, from) = client.hear();
    client.0.send_to(b"\0\x04\0\x01", from).unwrap();
    // A sender of forged requests cannot answer, and the client does not.
    client.ask(&lab, "a.efi", &[("blksize", "1000")]);
    let (second, _) = loop {
        let heard = client.hear();
        if heard.1 == from {
            break heard;
        }
    };
    assert_eq!(second[..4], [0, 3, 0, 2]);
    let mut file = first[4..].to_vec();
    file.extend(client.take_on(second, from, 512, 1, 1).unwrap());
    assert!(file == lab.file());
}

#[test]
fn who_does_not_answer_gets_the_first_answer_twice_and_no_more() {
    let lab = Lab::new();
    for options in [&[][..], &[("windowsize", "64"), ("blksize", "1468")]] {
        let client = Client::at(1);
        client.ask(&lab, "a.efi", options);
        let first = client.hear().0;
        assert!(first.len() <= 516);
        assert_eq!(client.hear().0, first);
        client.0.set_read_timeout(Some(Duration::from_millis(2500))).unwrap();
        assert!(client.0.recv(&mut [0; 600]).is_err());
    }
}

#[test]
fn requests_in_the_name_of_a_victim_send_it_a_few_blocks_and_no_more() {
    let lab = Lab::new();
    let victim: Vec<_> = (0..100).map(|_| Client::at(1)).collect();
    let began = Instant::now();
    for client in &victim {
        client.ask(&lab, "a.efi", &[]);
    }
    // All have been taken in when this one, which comes last, is answered.
    victim[0].ask(&lab, "none", &[]);
    while victim[0].hear().0[1] != 5 {}
    let periods = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    let answered = victim[1..].iter().filter(|client| {
        client.0.set_nonblocking(true).unwrap();
        client.0.recv(&mut [0; 600]).is_ok()
    });
    assert!(answered.count() <= 8 * periods);
    assert!(lab.metrics().contains("lab_tftp_refusals_total{reason=\"Overloaded\"}"));
    // Others are answered, with and without options.
    assert!(Client::at(2).fetch(&lab, &[]).unwrap() == lab.file());
    assert!(Client::at(1).fetch(&lab, &[("windowsize", "4")]).unwrap() == lab.file());
}

#[test]
fn garbage_is_not_answered_and_harms_nobody() {
    let lab = Lab::new();
    let client = Client::at(1);
    for bytes in [
        &b""[..],
        b"\0",
        b"\0\x01",
        b"\0\x01a",
        b"\0\x09a\0b\0",
        b"\0\x04\0\x01",
        &[0; 2000],
        &[1; 513],
    ] {
        client.0.send_to(bytes, lab.address).unwrap();
    }
    client.0.send_to(b"\0\x05\0\x01no\0", lab.address).unwrap();
    // The first answer is for the last request.
    assert!(client.fetch(&lab, &[]).unwrap() == lab.file());
    assert!(lab.metrics().contains("lab_tftp_refusals_total{reason=\"Truncated\"}"));
}

#[test]
fn a_lost_packet_is_sent_again_and_a_client_that_is_silent_is_not_lost_at_once() {
    let lab = Lab::new();
    let client = Client::at(1);
    // Five times its timeout is what a client has for its first answer.
    let options = [("blksize", "1000"), ("windowsize", "4"), ("timeout", "3")];
    client.ask(&lab, "a.efi", &options);
    let (oack, _) = client.hear();
    let (again, from) = client.hear();
    assert_eq!(again, oack, "again, as nobody answered");
    client.0.send_to(b"\0\x04\0\0", from).unwrap();
    let window = || {
        [(); 4].map(|()| {
            let data = client.hear_data();
            assert_eq!(data[..3], [0, 3, 0]);
            data[3]
        })
    };
    assert_eq!(window(), [1, 2, 3, 4]);
    client.0.send_to(b"\0\x04\0\x02", from).unwrap();
    let mut next = window();
    while next == [1, 2, 3, 4] {
        // This client was slow, and the first window came again.
        next = window();
    }
    assert_eq!(next, [3, 4, 5, 6]);
    assert_eq!(window(), [3, 4, 5, 6], "again, as nobody answered");
}

#[test]
fn a_change_of_the_configuration_moves_the_server_and_ends_no_transfer() {
    let lab = Lab::new();
    let client = Client::at(1);
    client.ask(&lab, "a.efi", &[("timeout", "10")]);
    let (first, from) = client.hear();
    let new = SocketAddr::from(([127, 0, 0, 3], lab.address.port()));
    lab.listen(&[new]);
    let got = until_served(new);
    assert!(got == lab.file());
    let rest = client.take(first, from, 512, 1).unwrap();
    assert!(rest == lab.file(), "the transfer goes on");

    lab.listen(&[]);
    let silent = Client::at(1);
    silent.0.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let limit = Instant::now() + LIMIT;
    loop {
        silent.0.send_to(&request("none", &[]), new).unwrap();
        if silent.0.recv(&mut [0; 100]).is_err() {
            break;
        }
        assert!(Instant::now() < limit, "still served");
    }
    assert!(lab.readiness.is_ready(), "there is nothing to be served");
}

#[test]
fn an_address_that_is_taken_is_named_at_the_start_and_waited_for_later() {
    // 127.64.0.0/10 has an address for each process, and the kernel gives nobody this port.
    let own = Ipv4Addr::from_bits(0x7f40_0000 | (std::process::id() & 0x003f_ffff));
    let address = SocketAddr::from((own, 6969));
    let taken = UdpSocket::bind(address).unwrap();
    let (_listen, listen) = watch::channel(Arc::new(vec![address]));
    let readiness = Readiness::default();
    let (metrics, ready) = (Metrics::default(), readiness.gate("tftp", ""));
    let neighbors = NeighborLimit::default();
    let (addresses, files) = (addresses(listen), Box::new(Folder("/".into())));
    let parts = Parts { addresses, files, neighbors, metrics, ready };
    let error = serve(parts, oneshot::channel().0, &CancellationToken::new()).unwrap_err();
    let start = format!("{address}: could not listen for TFTP; check that");
    assert!(error.to_string().starts_with(&start), "{error}");

    let lab = Lab::new();
    lab.listen(&[address]);
    let limit = Instant::now() + LIMIT;
    while lab.readiness.is_ready() && Instant::now() < limit {
        std::thread::yield_now();
    }
    assert!(lab.readiness.report().contains(&start), "{}", lab.readiness.report());
    drop(taken);
    assert!(until_served(address) == lab.file());
}

#[test]
fn at_the_end_clients_hear_of_it() {
    let mut lab = Lab::new();
    let client = Client::at(1);
    client.ask(&lab, "a.efi", &[("timeout", "10")]);
    client.hear();
    lab.stop();
    let error = b"\0\x05\0\0server is stopping\0";
    assert!((0..10).any(|_| client.hear().0 == error));
}

#[test]
fn a_file_that_shrinks_ends_its_transfer_with_an_error() {
    let lab = Lab::new();
    let client = Client::at(1);
    client.ask(&lab, "a.efi", &[]);
    let (first, from) = client.hear();
    let path = lab.folder.path().join("a.efi");
    fs::File::options().write(true).open(path).unwrap().set_len(70_000).unwrap();
    let error = client.take(first, from, 512, 1).unwrap_err();
    assert_eq!(error, b"\0\x05\0\0the file could not be read completely\0");
}
