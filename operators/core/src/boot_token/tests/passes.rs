//! What the controller says and does.

use super::*;

#[test]
fn an_installer_or_a_template_that_cannot_be_used_is_said_before_a_machine_boots() {
    let mut token = token();
    let reason = |token: &BootToken, no_template| {
        let default = installer();
        let seen = Observation { no_template, ..seen(token, None, &default, 0) };
        let Decision::Record(status) = decide(&seen) else { panic!("nothing is recorded") };
        let usable = status.conditions.iter().find(|it| it.type_ == condition::USABLE);
        usable.map(|it| (it.reason.clone(), it.message.clone())).unwrap()
    };
    assert_eq!(reason(&token, None).0, "Issued");
    let missing = reason(&token, Some("there is no template x"));
    assert_eq!(missing, ("NoTemplate".to_owned(), "there is no template x".to_owned()));
    token.spec.installer = Some(BootInstaller { arguments: vec!["a;b".into()], ..installer() });
    let (word, why) = reason(&token, None);
    assert!(word == "Malformed" && why.contains(r#"arguments: "a;b""#), "{why}");
    token.spec.installer =
        Some(BootInstaller { stage2_url: Some("http://a/&b".into()), ..installer() });
    assert_eq!(reason(&token, None).0, "Malformed");
}

#[test]
fn a_login_that_is_missing_is_said_and_looked_for_again_soon() {
    let mut token = token();
    token.spec.image_pull_secrets = vec![BootPullSecret { name: "login".to_owned() }];
    let secret = login::secrets(&token).remove(0);
    let missing = NoLogin::Forbidden(secret);
    let decided = |token: &BootToken, no_login| {
        decide(&Observation { no_login, ..seen(token, None, &installer(), 0) })
    };
    let Decision::Record(status) = decided(&token, Some(&missing)) else { panic!("not recorded") };
    let usable = status.conditions[0].clone();
    assert_eq!((usable.status.as_str(), usable.reason.as_str()), ("False", "PullSecretForbidden"));
    assert!(usable.message.contains("Secret org/login of spec.imagePullSecrets"), "{usable:?}");
    token.status = Some(*status);
    let rest = decided(&token, Some(&missing));
    assert_eq!(rest, Decision::Rest(SignedDuration::from_mins(1)), "nothing tells of a Secret");
    let Decision::Record(status) = decided(&token, None) else { panic!("not recorded") };
    assert_eq!(status.conditions[0].status, "True");
}

#[test]
fn a_kickstart_fetches_a_login_if_its_token_names_a_secret() {
    let mut token = token();
    let urls = kickstart::Urls { base: "https://h/c/x", server: "https://h" };
    let rendered = |token: &BootToken| {
        kickstart::render("default", kickstart::DEFAULT.as_bytes(), token, urls).unwrap()
    };
    assert!(
        !rendered(&token).contains("/auth.json'") && !rendered(&token).contains("auth.json.new")
    );
    token.spec.image_pull_secrets = vec![BootPullSecret { name: "login".to_owned() }];
    let text = rendered(&token);
    assert!(text.contains(" 'https://h/c/x/auth.json')"), "{text}");
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(
        at("auth.json')") < at("skopeo inspect") && at("skopeo inspect") < at("clearpart --all")
    );
}

#[test]
fn a_mirror_without_the_rest_of_its_installer_is_said_before_a_machine_boots() {
    let mut token = token();
    let reason = |token: &BootToken, names_installer| {
        let default = installer();
        let seen = Observation { names_installer, ..seen(token, None, &default, 0) };
        let Decision::Record(status) = decide(&seen) else { panic!("nothing is recorded") };
        status.conditions[0].reason.clone()
    };
    assert_eq!(reason(&token, false), "Issued");
    let bare = BootInstaller { stage2_url: None, ..installer() };
    token.spec.installer = Some(bare.clone());
    assert_eq!(reason(&token, false), "NoStage2");
    let url = "lang en_US\nurl --url=http://mirror/os/\n";
    assert!(kickstart::names_installer(url) && !kickstart::names_installer(kickstart::DEFAULT));
    assert_eq!(reason(&token, true), "Issued");
    let arguments = vec!["inst.stage2=http://mirror/".to_owned()];
    token.spec.installer = Some(BootInstaller { arguments, ..bare });
    assert_eq!(reason(&token, false), "Issued");
}

#[test]
fn a_host_that_cannot_be_created_is_said_with_the_words_of_the_api_server() {
    let token = registered(&installed(token()), &key(1), 30);
    let quota = "Host not created: exceeded quota";
    let said = |failure| {
        let installer = installer();
        let seen = Observation { failure, ..seen(&token, None, &installer, 40) };
        let Decision::Record(status) = decide(&seen) else { panic!("nothing is recorded") };
        let usable = status.conditions[0].clone();
        (usable.status, usable.reason, usable.message)
    };
    assert_eq!(said(None).0, "True");
    let (status, reason, message) = said(Some(quota));
    assert_eq!((status.as_str(), reason.as_str()), ("False", "HostNotCreated"));
    assert!(message.contains(quota), "{message}");
}

#[test]
fn the_controller_finishes_what_a_crash_has_left_and_creates_no_host_twice() {
    let ours = key(1);
    let mut token = registered(&installed(token()), &ours, 30);
    settle(&mut token, None, 31);
    let rest = pass(&token, None, 31);
    assert!(matches!(rest, Decision::Rest(_)), "whoever recorded it is finishing it: {rest:?}");
    let Decision::Change(Change::Create(host)) = pass(&token, None, 32) else {
        panic!("it is not created")
    };
    let mut there = *host;
    there.metadata.uid = Some("uid".to_owned());
    settle(&mut token, Some(&there), 33);
    let uid = token.status.as_ref().unwrap().registration.as_ref().unwrap().host_uid.clone();
    assert_eq!(uid.as_deref(), Some("uid"));
    // A person deletes it.
    settle(&mut token, None, 40);
    assert!(matches!(pass(&token, None, 40), Decision::Rest(_)));
}

#[test]
fn what_is_over_is_said_and_removed_a_day_later() {
    let mut token = token();
    settle(&mut token, None, 0);
    let usable = |token: &BootToken| {
        let conditions = &token.status.as_ref().unwrap().conditions;
        let one = conditions.iter().find(|it| it.type_ == condition::USABLE).unwrap();
        (one.status.clone(), one.reason.clone())
    };
    assert_eq!(usable(&token), ("True".to_owned(), "Issued".to_owned()));
    settle(&mut token, None, 3600);
    assert_eq!(token.status.as_ref().unwrap().phase, Some(BootTokenPhase::Expired));
    assert_eq!(usable(&token), ("False".to_owned(), "Expired".to_owned()));
    assert!(matches!(pass(&token, None, 3600 + 86_399), Decision::Rest(_)));
    assert_eq!(pass(&token, None, 3600 + 86_400), Decision::Change(Change::Remove));
    let host = host(&key(2));
    let mut fresh = self::token();
    settle(&mut fresh, Some(&host), 0);
    assert_eq!(usable(&fresh), ("False".to_owned(), "HostNameTaken".to_owned()));
}

#[test]
fn a_machine_that_is_installed_and_does_not_register_is_told_of() {
    let mut token = installed(token());
    let mut usable = |time| {
        settle(&mut token, None, time);
        let usable = token.status.as_ref().unwrap().conditions[0].clone();
        assert_eq!((usable.status.as_str(), usable.reason.as_str()), ("True", "Installed"));
        usable.message
    };
    // The installer was done at second 10.
    assert_eq!(usable(10 + 1799), "");
    assert!(usable(10 + 1800).contains("has not registered"));
    let mut there = registered(&token, &key(1), 2000);
    settle(&mut there, None, 2000);
    assert_eq!(there.status.as_ref().unwrap().conditions[0].message, "");
}

#[test]
fn a_host_that_is_not_kept_is_not_one_that_is_missing() {
    let decided = |token: &BootToken| {
        let installer = installer();
        decide(&Observation { is_host_unreadable: true, ..seen(token, None, &installer, 40) })
    };
    // A crash may have left the Host of the second half made: no other one is created.
    for mut token in [token(), registered(&installed(token()), &key(1), 30)] {
        let Decision::Record(status) = decided(&token) else { panic!("nothing is recorded") };
        let usable = &status.conditions[0];
        assert_eq!((usable.status.as_str(), usable.reason.as_str()), ("False", "HostUnreadable"));
        token.status = Some(*status);
        assert!(matches!(decided(&token), Decision::Rest(_)));
    }
}
