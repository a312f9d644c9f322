use super::{refusal::is_of_form, *};
use http::HeaderValue;
use serde_json::json;

fn etags(header: Option<&'static str>, body: Option<&'static str>) -> Etags {
    let value = |text: Option<&'static str>| text.map(HeaderValue::from_static);
    Etags { header: value(header), body: value(body) }
}

fn write(etags: &Etags) -> Write<'static> {
    Write {
        kind: Kind::BootOverride,
        method: Method::PATCH,
        uri: "/1",
        etags: etags.clone(),
        settings: Some("/1/SD".to_owned()),
        settings_etags: None,
        body: json!({"Boot": {"BootSourceOverrideTarget": "Pxe"}}),
        parameters: vec![Parameter::new(&["Boot", "BootSourceOverrideMode"], "UEFI")],
        sets: vec![set([]), set(["BootSourceOverrideMode"])],
        present: json!({"Boot": {"StopBootOnFault": "Never"}}),
        unseen: vec![],
        wanted: None,
        owner: None,
        action: "change /1".to_owned(),
    }
}

/// Every form that is tried if all are refused in this way.
fn tried(etags: &Etags, status: u16, body: &Value) -> Vec<String> {
    let mut write = write(etags);
    let status = StatusCode::from_u16(status).unwrap();
    let reply = Reply {
        status,
        headers: http::HeaderMap::new(),
        body: body.to_string().into(),
        broken: None,
        asked: String::new(),
    };
    let with = write.sets[0].clone();
    let mut forms = vec![Form { place: WriteTarget::Resource, condition: Condition::Etag, with }];
    let blame = write.blame(&reply, etags.clone());
    while let Some(next) = write.next(forms.last().unwrap(), &blame, &forms) {
        forms.push(next);
    }
    forms.iter().map(|form| write.shown(form)).collect()
}

#[test]
fn a_refused_condition_is_tried_with_every_other_before_anything_else() {
    let both = etags(Some("\"1\""), Some("\"2\""));
    let forms = tried(&both, 412, &Value::Null);
    assert_eq!(
        forms[..6],
        [
            "PATCH /1 with the ETag, if any",
            "PATCH /1 with the ETag of the body",
            "PATCH /1 with a weak ETag for a strong one",
            "PATCH /1 with a weak ETag of the body for a strong one",
            "PATCH /1 with If-Match: *",
            "PATCH /1 without If-Match",
        ]
    );
    let none = tried(&etags(None, None), 428, &Value::Null);
    assert_eq!(none[1], "PATCH /1 with If-Match: *");
}

#[test]
fn a_parameter_that_the_refusal_names_is_added_or_left_out() {
    let named = |name: &str| {
        json!({"error": {"@Message.ExtendedInfo": [{"MessageArgs": [name],
            "Message": "The property is missing."}]}})
    };
    let forms = tried(&etags(None, None), 400, &named("BootSourceOverrideMode"));
    assert_eq!(forms[1], "PATCH /1 with the ETag, if any and BootSourceOverrideMode");
    let related = json!({"error": {"@Message.ExtendedInfo": [
        {"RelatedProperties": ["#/Boot/BootSourceOverrideMode"]}]}});
    assert_eq!(tried(&etags(None, None), 400, &related)[1], forms[1]);
    let forms = tried(&etags(None, None), 400, &named("StopBootOnFault"));
    assert_eq!(forms[1], "PATCH /1 with the ETag, if any and StopBootOnFault");
}

#[test]
fn a_refused_resource_gives_way_to_its_settings_and_the_forms_come_to_an_end() {
    let forms = tried(&etags(None, None), 405, &Value::Null);
    assert_eq!(forms[1], "PATCH /1/SD with the ETag, if any");
    for status in [400, 404, 405, 412, 428, 501] {
        let forms = tried(&etags(Some("W/\"1\""), Some("2")), status, &Value::Null);
        let distinct: BTreeSet<_> = forms.iter().collect();
        assert_eq!(distinct.len(), forms.len(), "{forms:?}");
        assert!(forms.len() >= 5 && forms.len() <= 36, "{forms:?}");
    }
}

#[test]
fn what_the_account_may_not_do_is_tried_once_more_at_most_or_without_what_is_named() {
    let both = etags(Some("\"1\""), Some("\"2\""));
    let forms = tried(&both, 403, &Value::Null);
    assert_eq!(forms, ["PATCH /1 with the ETag, if any", "PATCH /1/SD with the ETag, if any"]);
    // OpenBMC says so of a property that is read-only.
    let named = json!({"BootSourceOverrideMode@Message.ExtendedInfo": [
        {"MessageId": "Base.1.19.PropertyNotWritable"}]});
    let forms = tried(&both, 403, &named);
    assert_eq!(forms[1], "PATCH /1 with the ETag, if any and BootSourceOverrideMode");
    assert_eq!(forms.len(), 4, "and both at the settings: {forms:?}");
}

#[test]
fn what_may_have_been_done_or_is_not_about_the_form_is_not_tried_again() {
    let is_of_form = |status, method| is_of_form(StatusCode::from_u16(status).unwrap(), &method);
    for status in [401, 408, 409, 423, 429, 502, 503, 504] {
        assert!(!is_of_form(status, Method::PATCH), "{status}");
        assert!(!is_of_form(status, Method::POST), "{status}");
    }
    for status in [200, 202, 500] {
        assert!(is_of_form(status, Method::PATCH), "{status}: it may be repeated");
        assert!(!is_of_form(status, Method::POST), "{status}: it may have been done");
    }
}

#[test]
fn an_etag_is_tried_in_every_spelling_that_firmware_wants() {
    let sent = |condition: Condition, header| condition.sent(&etags(Some(header), None));
    for (condition, etag, expected) in [
        (Condition::Bare, "\"1682532272\"", Some("1682532272")),
        (Condition::Bare, "W/\"1\"", Some("1")),
        (Condition::Bare, "1", None),
        (Condition::Quoted, "1682532272", Some("\"1682532272\"")),
        (Condition::Quoted, "W/1", Some("W/\"1\"")),
        (Condition::Quoted, "\"1\"", None),
        (Condition::OtherStrength, "1", None),
        (Condition::Single, "\"\"a\"\"", Some("\"a\"")),
        (Condition::Single, "\"a\"", None),
        (Condition::OtherStrength, "\"a\"", Some("W/\"a\"")),
        (Condition::OtherStrength, "W/\"a\"", Some("\"a\"")),
    ] {
        let header = sent(condition, etag).and_then(|sent| sent.header);
        assert_eq!(header, expected.map(HeaderValue::from_static), "{condition:?} of {etag}");
    }
    let both = sent(Condition::InBody, "\"a\"").unwrap();
    assert_eq!(both.in_body.as_deref(), Some("\"a\""));
}
