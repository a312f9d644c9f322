use super::*;
use crate::testing::{FirmwareLog, Swtpm};

/// Of OVMF 2025.02 of Debian in QEMU with swtpm, which has booted a kernel; as Linux 6.1 has it.
const OVMF: &[u8] = include_bytes!("ovmf-2025.02.bin");
const SEPARATOR: u32 = 4;
const VERSION: u32 = 8;
const CONFIG: u32 = 0x8000_0001;
const ACTION: u32 = 0x8000_0007;

#[test]
fn what_was_measured_is_told_by_number_pcr_and_type() {
    let log = EventLog::parse(boot().octets()).unwrap();
    let all = (0..PCRS).flat_map(|pcr| log.of(pcr));
    let all: Vec<_> = all.map(|it| (it.number, it.pcr, it.kind.to_string())).collect();
    let wanted = [
        (3, 0, "EV_S_CRTM_VERSION"),
        (5, 0, "EV_SEPARATOR"),
        (6, 4, "EV_EFI_ACTION"),
        (4, 7, "EV_EFI_VARIABLE_DRIVER_CONFIG"),
        (7, 7, "0x80001234"),
    ];
    assert_eq!(all, wanted.map(|(number, pcr, kind)| (number, pcr, kind.to_owned())));
}

#[test]
fn a_log_leads_to_the_values_of_a_tpm_that_was_extended_by_its_digests() {
    let log = EventLog::parse(measured().octets()).unwrap();
    let tpm = Swtpm::start();
    for event in (0..PCRS).flat_map(|pcr| log.of(pcr)) {
        let digest = hex(&event.digest);
        tpm.tpm2("tpm2_pcrextend", &[&format!("{}:sha256={digest}", event.pcr)]);
    }
    let all: Vec<_> = (0..PCRS).map(|pcr| pcr.to_string()).collect();
    tpm.tpm2("tpm2_pcrread", &[&format!("sha256:{}", all.join(",")), "-o", "pcrs"]);
    let values = tpm.read("pcrs");
    let values = (0..PCRS).zip(values.chunks_exact(32).map(|it| it.try_into().unwrap()));
    assert_eq!(log.replay(), values.collect::<Pcrs>());
}

#[test]
fn the_log_of_ovmf_leads_to_the_values_that_linux_reads() {
    let log = EventLog::parse(OVMF).unwrap();
    let values = log.replay();
    for line in include_str!("ovmf-2025.02.pcrs").lines() {
        let (pcr, digits) = line.strip_prefix("PCR").unwrap().split_once(' ').unwrap();
        let value = values[&pcr.parse().unwrap()];
        let same = digits == hex(&value).to_uppercase();
        // The integrity measurement of Linux is in PCR 10, and in a log of its own.
        assert_eq!(same, pcr != "10", "PCR {pcr}");
    }
    let kinds: Vec<_> = log.of(7).map(|event| event.kind.to_string()).collect();
    let (last, others) = kinds.split_last().unwrap();
    assert!(others.len() == 5 && others.iter().all(|it| it == "EV_EFI_VARIABLE_DRIVER_CONFIG"));
    assert_eq!(last, "EV_SEPARATOR");
}

#[test]
fn tpm2_tools_read_the_same_in_a_log() {
    let tpm = Swtpm::start();
    for written in [measured().octets(), boot().octets(), OVMF] {
        tpm.write("log", written);
        let printed = String::from_utf8(tpm.tpm2("tpm2_eventlog", &["log"]).stdout).unwrap();
        let log = EventLog::parse(written).unwrap();
        for event in (0..PCRS).flat_map(|pcr| log.of(pcr)) {
            let (number, pcr, kind) = (event.number, event.pcr, event.kind);
            let known = !kind.to_string().starts_with("0x");
            let kind = if known { kind.to_string() } else { "Unknown event type".to_owned() };
            let told = format!("- EventNum: {number}\n  PCRIndex: {pcr}\n  EventType: {kind}\n");
            assert!(printed.contains(&told), "no {told} in {printed}");
        }
        let (_, pcrs) = printed.split_once("\npcrs:").unwrap();
        let (_, pcrs) = pcrs.split_once("sha256:").unwrap();
        // tpm2-tools 5.4 know nothing of localities.
        let compares = |pcr| log.of(pcr).count() > 0 && (pcr != 0 || log.locality == 0);
        for (pcr, value) in log.replay().into_iter().filter(|(pcr, _)| compares(*pcr)) {
            let value = hex(&value);
            let told = format!("{pcr:<2} : 0x{value}");
            assert!(pcrs.contains(&told), "no {told} in {pcrs}");
        }
    }
}

#[test]
fn nothing_is_measured_by_an_event_of_no_action_but_pcr_0_begins_with_the_locality() {
    let without = FirmwareLog::default().measured(0, VERSION, b"1");
    let value = |log: FirmwareLog| EventLog::parse(log.octets()).unwrap().replay()[&0];
    let told = FirmwareLog::default()
        .no_action(0, b"SP800-155 Event\0")
        .no_action(u32::MAX, b"NvIndexInstance\0");
    assert_eq!(value(told.measured(0, VERSION, b"1")), value(without.clone()));
    let from = |locality| FirmwareLog::default().startup(locality).measured(0, VERSION, b"1");
    assert_eq!(value(from(0)), value(without.clone()));
    assert_ne!(value(from(3)), value(without));
    let nothing = EventLog::parse(FirmwareLog::default().startup(4).octets()).unwrap().replay();
    let mut h_crtm = [0; 32];
    h_crtm[31] = 4;
    assert_eq!(nothing[&0], h_crtm);
    assert!(
        nothing
            .iter()
            .filter(|(pcr, _)| **pcr != 0)
            .all(|(pcr, value)| { *value == [if (17..=22).contains(pcr) { 0xff } else { 0 }; 32] })
    );
}

#[test]
fn a_locality_that_comes_too_late_twice_or_is_none_makes_no_log() {
    let empty = FirmwareLog::default;
    for (log, at) in [
        (empty().measured(0, VERSION, b"1").startup(3), 2),
        (empty().startup(3).startup(3), 2),
        (empty().startup(1), 1),
        (empty().no_action(0, b"StartupLocality\0"), 1),
        (empty().no_action(0, b"StartupLocality\0\x03\0"), 1),
    ] {
        assert_eq!(EventLog::parse(log.octets()), Err(EventLogError::Malformed(at)));
    }
    assert!(EventLog::parse(empty().measured(7, CONFIG, b"1").startup(3).octets()).is_ok());
}

#[test]
fn a_log_that_is_cut_off_is_read_up_to_no_event() {
    let log = boot();
    let whole = EventLog::parse(log.octets()).unwrap();
    let mut ends = 0;
    for len in 0..log.octets().len() {
        match EventLog::parse(&log.octets()[..len]) {
            Ok(part) => {
                ends += 1;
                assert!(whole.events.starts_with(&part.events), "{len}");
            }
            Err(error) => assert!(matches!(error, EventLogError::Malformed(_)), "{len} {error}"),
        }
    }
    assert_eq!(ends, 7, "behind each event but the last");
}

#[test]
fn what_is_no_log_with_digests_of_sha_256_is_refused_by_its_reason() {
    let good = FirmwareLog::default();
    let changed = |at: usize, octets: &[u8]| {
        let mut log = good.clone().measured(7, CONFIG, b"1").octets().to_vec();
        log[at..at + octets.len()].copy_from_slice(octets);
        EventLog::parse(&log).unwrap_err()
    };
    // By offsets: the first event has 32 octets in front of its content, and 69 in all.
    let second = good.octets().len();
    for (at, octets, error) in [
        (0, &[1][..], EventLogError::NotAgile),
        (4, &[1], EventLogError::NotAgile),
        (32 + 14, b"2", EventLogError::NotAgile),
        (28, &[0xff; 4], EventLogError::Malformed(0)),
        (32 + 24, &[0xff; 4], EventLogError::Malformed(0)),
        (32 + 28 + 2, &[21, 0], EventLogError::Malformed(0)),
        (32 + 28 + 4, &[0x0c, 0, 48, 0], EventLogError::NoSha256),
        (second, &[24], EventLogError::Malformed(1)),
        (second, &[0xff; 4], EventLogError::Malformed(1)),
        (second + 8, &[3], EventLogError::Malformed(1)),
        (second + 8, &[0xff; 4], EventLogError::Malformed(1)),
        (second + 12, &[0x0c, 0], EventLogError::Malformed(1)),
        (second + 12 + 22, &[4, 0], EventLogError::Malformed(1)),
        (second + 12 + 22 + 34, &[0xff; 4], EventLogError::Malformed(1)),
    ] {
        assert_eq!(changed(at, octets), error, "{at} {octets:?}");
    }
    assert_eq!(EventLog::parse(b""), Err(EventLogError::Malformed(0)));
}

#[test]
fn two_digests_of_one_bank_or_one_of_another_alone_are_refused() {
    let good = FirmwareLog::default();
    let event = |digests: &[u8], count: u8| {
        let head = [7, 0, 0, 0, 4, 0, 0, 0, count, 0, 0, 0];
        EventLog::parse(&[good.octets(), &head, digests, &[0; 4]].concat())
    };
    let (sha1, sha256) = ([&[4, 0][..], &[0; 20]].concat(), [&[11, 0][..], &[0; 32]].concat());
    assert!(event(&sha256, 1).is_ok());
    for (digests, count) in [(sha1.clone(), 1), (vec![], 0), ([&sha256[..], &sha256].concat(), 2)] {
        assert_eq!(event(&digests, count), Err(EventLogError::Malformed(1)), "{count}");
    }
}

#[test]
fn what_is_longer_than_a_log_is_not_read() {
    let long = vec![0; MAX_EVENT_LOG + 1];
    assert_eq!(EventLog::parse(&long), Err(EventLogError::TooLong));
    let many = |count| {
        let add = |log: FirmwareLog, _| log.measured(7, SEPARATOR, b"");
        EventLog::parse((0..count).fold(FirmwareLog::default(), add).octets())
    };
    assert!(many(MAX_EVENTS).is_ok());
    assert_eq!(many(MAX_EVENTS + 1), Err(EventLogError::TooMany));
}

/// UEFI_VARIABLE_DATA, without a value.
fn variable(name: &str) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let len = u64::try_from(name.len() / 2).unwrap();
    [&[0; 16], &len.to_le_bytes()[..], &[0; 8], &name].concat()
}

/// What firmware measures, and what it tells.
fn boot() -> FirmwareLog {
    FirmwareLog::default()
        .no_action(0, b"SP800-155 Event\0")
        .startup(3)
        .measured(0, VERSION, b"1.2.3")
        .measured(7, CONFIG, &variable("SecureBoot"))
        .measured(0, SEPARATOR, &[0; 4])
        .measured(4, ACTION, b"Calling EFI Application from Boot Option")
        .measured(7, 0x8000_1234, b"?")
}

/// What it measures where the TPM was started as usual.
fn measured() -> FirmwareLog {
    FirmwareLog::default()
        .measured(0, VERSION, b"1.2.3")
        .measured(7, CONFIG, &variable("SecureBoot"))
        .measured(0, SEPARATOR, &[0; 4])
        .measured(4, ACTION, b"Calling EFI Application from Boot Option")
        .measured(7, CONFIG, &variable("dbx"))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"))
}
