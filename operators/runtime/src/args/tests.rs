use super::*;
use clap::error::ErrorKind;
use std::time::Duration;

/// Flags of a made-up operator.
#[derive(Debug, Parser)]
#[command(name = "operator", version)]
struct Flags {
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[arg(long)]
    enforce: bool,
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    insecure: bool,
    #[arg(long)]
    skip: Option<bool>,
    #[arg(long, default_value = "30m", value_parser = duration)]
    timeout: Duration,
    #[arg(long, value_delimiter = ',')]
    controllers: Vec<String>,
}

const ACCEPTED: &[Accepted] = &[
    Accepted::value("resync", "nothing is resynced"),
    Accepted::switch("dead", "nothing is dead"),
    Accepted::value("timeout", "never reached: the operator has it"),
    Accepted::env("OLD", "nothing is old"),
];

#[test]
fn a_value_may_follow_an_equals_sign_or_be_the_next_word_after_one_dash_or_two() {
    for line in ["--timeout=5s", "--timeout 5s", "-timeout=5s", "-timeout 5s"] {
        assert_eq!(parsed(line).args.timeout, Duration::from_secs(5), "{line}");
    }
    let kubeconfig = parsed("-kubeconfig -odd").args.runtime.client.kubeconfig;
    assert_eq!(kubeconfig.unwrap().to_str(), Some("-odd"), "as Go takes it");
}

#[test]
fn a_boolean_takes_its_value_after_an_equals_sign_only() {
    let enforce = |line| parsed(line).args.enforce;
    assert_eq!(
        ["", "--enforce", "-enforce", "--enforce=T"].map(enforce),
        [false, true, true, true]
    );
    assert!(!enforce("--enforce --enforce=false"), "the last one counts");

    let insecure = |line| parsed(line).args.insecure;
    assert_eq!(["", "--insecure", "--insecure=0"].map(insecure), [true, true, false]);

    let skip = |line| parsed(line).args.skip;
    assert_eq!(["", "--skip", "--skip=false"].map(skip), [None, Some(true), Some(false)]);

    assert_eq!(refused("--enforce false").kind(), ErrorKind::UnknownArgument);
    assert_eq!(refused("--enforce=maybe").kind(), ErrorKind::ValueValidation);
}

#[test]
fn accepted_flags_vanish_with_their_values_and_are_told() {
    let parsed = parsed("--resync 10s -dead --enforce --metrics-secure=false --resync=1s");
    assert!(parsed.args.enforce);
    let names: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.name).collect();
    assert_eq!(names, ["resync", "dead", "metrics-secure", "resync"]);
}

#[test]
fn accepted_variable_is_told_where_it_is_set() {
    let words = ["operator"].map(OsString::from);
    let parsed: Parsed<Flags> = try_parse(ACCEPTED, words, |name| name == "OLD").unwrap();
    assert_eq!(parsed.ignored, [Ignored { name: "OLD", why: "nothing is old" }]);
}

#[test]
fn what_is_no_namespace_is_refused_by_its_flag() {
    let election = parsed("--leader-elect-namespace=metal-1").args.runtime.election;
    assert_eq!(election.leader_elect_namespace.as_deref(), Some("metal-1"));
    let long = "a".repeat(64);
    for wrong in ["", "Metal", "-a", "a-", "a.b", "a/b", "$(POD_NAMESPACE)", &long] {
        let error = refused(&format!("--leader-elect-namespace={wrong}"));
        assert_eq!(error.kind(), ErrorKind::ValueValidation, "{wrong}");
        assert!(error.to_string().contains("--leader-elect-namespace"), "{error}");
    }
}

#[test]
fn what_nobody_knows_is_refused_by_name() {
    assert_eq!(refused("--no-such-flag").kind(), ErrorKind::UnknownArgument);
    assert_eq!(refused("-timeuot 3s").kind(), ErrorKind::UnknownArgument);
    assert_eq!(refused("--timeout").kind(), ErrorKind::InvalidValue);
    let text = refused("--timeout=5").to_string();
    assert!(text.contains("'5' for '--timeout <TIMEOUT>'"), "{text}");
    assert!(text.contains("not a duration; use, for example, 30m"), "{text}");
}

#[test]
fn help_lists_what_has_no_effect() {
    let help = refused("--help").to_string();
    assert!(
        help.contains(
            "Accepted for compatibility, without effect:\n  --resync: nothing is resynced\n"
        ),
        "{help}"
    );
    assert!(help.contains("\n  --webhook-port: there are no webhooks"), "{help}");
    assert!(!help.contains("never reached"), "{help}");
    assert_eq!(refused("--version").kind(), ErrorKind::DisplayVersion);
}

#[test]
fn flags_of_a_controller_runtime_manager_are_understood() {
    let args = parsed(
        "--leader-elect --metrics-bind-address=:8443 --health-probe-bind-address 127.0.0.1:0 \
         --zap-log-level=2 --zap-encoder=json --controllers=a,b",
    )
    .args;
    assert_eq!(args.runtime.admin.metrics_bind_address, ":8443".parse().unwrap());
    assert_eq!(args.runtime.admin.health_probe_bind_address, "127.0.0.1:0".parse().unwrap());
    assert!(args.runtime.election.leader_elect);
    assert_eq!(
        (args.runtime.log.level().as_str(), args.runtime.log.format()),
        ("trace", LogFormat::Json)
    );
    assert_eq!(args.controllers, ["a", "b"]);
}

#[test]
fn own_log_flags_win_over_those_of_zap() {
    let log = parsed("--zap-devel --zap-encoder=json --log-level=warn --log-format=text")
        .args
        .runtime
        .log;
    assert_eq!((log.level().as_str(), log.format()), ("warn", LogFormat::Text));
    assert_eq!(parsed("--zap-devel").args.runtime.log.level(), "debug");
}

#[test]
fn identity_differs_between_processes_unless_it_is_given() {
    let given = parsed("--leader-elect-identity=pod-1").args.runtime.election;
    assert_eq!(given.identity(), "pod-1");
    let own = ElectionArgs::default();
    assert!(own.identity().contains(&format!("_{}_", std::process::id())), "{}", own.identity());
}

fn parsed(line: &str) -> Parsed<Flags> {
    try_parse(ACCEPTED, words(line), |_| false).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> clap::Error {
    try_parse::<Flags>(ACCEPTED, words(line), |_| false).unwrap_err()
}

fn words(line: &str) -> impl Iterator<Item = OsString> {
    ["operator"].into_iter().chain(line.split_whitespace()).map(OsString::from)
}
