use super::*;

const URL: &str = "--registry-url=http://10.0.0.1:10000/t/secret";

#[test]
fn the_two_mandatory_flags_are_enough() {
    let args = parse(&[URL, "--server-uuid=abc"]).unwrap();
    assert_eq!(args.server_uuid, "abc");
    let register = "/register".parse().unwrap();
    assert_eq!(args.registry().unwrap().below(&register), "/t/secret/register");
    assert_eq!(args.duration, Duration::from_secs(5));
    assert_eq!(args.lldp_sync_duration, Duration::from_secs(30));
}

#[test]
fn single_dashes_and_gos_durations_are_understood() {
    let args = parse(&[
        "-registry-url",
        "http://h",
        "-server-uuid=abc",
        "-duration=1m30s",
        "-zap-devel",
        "-zap-log-level=2",
        "-zap-encoder=json",
        "-zap-stacktrace-level=panic",
        "-zap-time-encoding=iso8601",
    ])
    .unwrap();
    assert_eq!(args.duration, Duration::from_secs(90));
    assert_eq!((args.zap_devel, args.zap_log_level), (true, tracing::Level::DEBUG));
    assert_eq!(args.zap_encoder, Encoder::Json);
}

#[test]
fn each_bad_flag_is_named_without_its_secret() {
    let table: [(&[&str], &str); 5] = [
        (&["--server-uuid=abc"], "--registry-url"),
        (&[URL], "--server-uuid"),
        (&[URL, "--server-uuid= "], "--server-uuid"),
        (&[URL, "--server-uuid=a", "--duration=5"], "--duration"),
        (&[URL, "--server-uuid=a", "--lldp-sync-interval=0s"], "--lldp-sync-interval"),
    ];
    for (arguments, flag) in table {
        let error = parse(arguments).unwrap_err().to_string();
        assert!(error.contains(flag) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_bad_registry_url_is_refused_without_repeating_it() {
    let args = parse(&["--registry-url=ftp://h/t/secret", "--server-uuid=a"]).unwrap();
    assert_eq!(args.registry(), Err(InvalidUrl::Form));
    assert!(!format!("{args:?}").contains("secret"));
}

fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
    let arguments = std::iter::once("metalprobe").chain(arguments.iter().copied());
    Args::try_parse_from(two_dashes(arguments.map(OsString::from)))
}
