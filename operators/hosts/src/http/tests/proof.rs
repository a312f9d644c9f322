use super::*;
use std::collections::BTreeSet;

const SELF: &str = "/api/hosts/self";

#[tokio::test]
async fn a_stranger_learns_of_no_host_from_what_is_missing_in_its_request() {
    let site = Site::new(vec![], vec![Machine::new().host()], vec![]).await;
    let (stranger, nonce) = (Machine::new(), site.nonce().await);
    let signed = |host: &str| stranger.sign((&Method::GET, SELF, ""), &nonce, host);
    let asks = async |host: &str, headers: &[(&'static str, &str)], from: &str| {
        let mut request = request(Method::GET, SELF, "");
        for (name, value) in [&[("bloomery-host", host)][..], headers].concat() {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        site.ask(request, from).await
    };
    for missing in 0..6 {
        let mut answers = vec![];
        for host in ["org/web-1", "org/web-2", "other/web-1"] {
            let signature = signed(host);
            let (nonce, signature) =
                (("bloomery-nonce", &*nonce), ("bloomery-signature", &*signature));
            let all: [&[_]; 6] = [
                &[],
                &[nonce],
                &[signature],
                &[("bloomery-nonce", "x"), signature],
                &[nonce, ("bloomery-signature", "x")],
                &[nonce, signature],
            ];
            answers.push(asks(host, all[missing], "192.0.2.2").await);
        }
        assert!(answers.iter().all(|it| *it == answers[0]), "{missing}: {answers:?}");
        assert!(answers[0].0.is_client_error());
    }
    let mut last = StatusCode::OK;
    for _ in 0..31 {
        last = asks("org/web-1", &[], "192.0.2.3").await.0;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "what makes no sense counts as a guess");
}

#[tokio::test]
async fn who_proves_something_is_heard_beside_a_neighbor_who_guesses() {
    let machine = Machine::new();
    let site = Site::new(vec![token(1)], vec![machine.host()], vec![]).await;
    let mut last = StatusCode::OK;
    for _ in 0..40 {
        last = site.get("/c/x/kickstart").await.0;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let heard = site.signed(&machine, (Method::GET, SELF, ""), "org/web-1").await;
    assert_eq!(heard.0, StatusCode::OK, "{}", heard.1);
    let stranger = site.signed(&Machine::new(), (Method::GET, SELF, ""), "org/web-1").await;
    assert_eq!(stranger.0, StatusCode::TOO_MANY_REQUESTS);
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    for _ in 0..40 {
        site.get("/api/ipxe/x").await;
    }
    assert_eq!(site.get(&format!("{}/kickstart", boot(1))).await.0, StatusCode::OK);
    assert!(site.get(&format!("/api/ipxe/{}", text())).await.1.contains("set base "));
}

#[tokio::test]
async fn who_has_a_boot_that_is_over_is_told_so_beside_a_neighbor_who_guesses() {
    let mut revoked = token(1);
    revoked.spec.revoked = true;
    // Revoked, superseded, deleted.
    for tokens in [vec![revoked], vec![token(2)], vec![]] {
        let site = Site::new(tokens, vec![], vec![]).await;
        let mut last = StatusCode::OK;
        for _ in 0..40 {
            last = site.get("/c/x/kickstart").await.0;
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
        let started = r#"{"step":"Started"}"#;
        let told = site.post(&format!("{}/progress", boot(1)), started).await;
        assert_eq!(told, StatusCode::FORBIDDEN, "an installer would go on");
        for file in ["kickstart", "credential", "kernel", "install.json"] {
            let (status, body) = site.get(&format!("{}/{file}", boot(1))).await;
            assert_eq!((status, body.as_str()), REFUSED, "{file}");
        }
        assert_eq!(site.get("/c/x/kickstart").await.0, StatusCode::TOO_MANY_REQUESTS);
    }
}

#[tokio::test]
async fn who_guesses_from_many_addresses_is_limited_and_whoever_proves_something_is_heard() {
    let machine = Machine::new();
    let booting = Site::new(vec![token(1)], vec![], vec![]).await;
    let registered = Site::new(vec![], vec![machine.host()], vec![]).await;
    for site in [&booting, &registered] {
        let guess = async |number: u16| {
            let [high, low] = number.to_be_bytes();
            let request = request(Method::GET, "/c/x/kickstart", "");
            site.ask(request, &format!("198.18.{high}.{low}")).await.0
        };
        // However long that takes here, it is within a minute. The API server answers in its own time.
        tokio::time::pause();
        for number in 0..3000 {
            assert_eq!(guess(number).await, StatusCode::FORBIDDEN);
        }
        assert_eq!(guess(3000).await, StatusCode::TOO_MANY_REQUESTS);
        tokio::time::resume();
    }
    assert_eq!(booting.get(&format!("{}/kickstart", boot(1))).await.0, StatusCode::OK);
    let heard = registered.signed(&machine, (Method::GET, SELF, ""), "org/web-1").await;
    assert_eq!(heard.0, StatusCode::OK, "{}", heard.1);
}

#[tokio::test(start_paused = true)]
async fn who_has_the_url_of_a_token_that_is_over_is_told_of_beside_any_crowd_of_strangers() {
    let mut revoked = token(1);
    revoked.spec.revoked = true;
    let site = Site::new(vec![revoked], vec![], vec![]).await;
    for number in 0..3000_u16 {
        let [high, low] = number.to_be_bytes();
        let guess = request(Method::GET, "/c/x/kickstart", "");
        site.ask(guess, &format!("198.18.{high}.{low}")).await;
    }
    let (_, script) = site.get(&format!("/api/ipxe/{}", text())).await;
    assert!(script.contains("refused too often"), "{script}");
    assert_eq!(site.told("Revoked").await, 1);
}

#[tokio::test]
async fn a_url_that_has_expired_is_answered_as_any_text_that_opens_nothing() {
    let mut expired = token(0);
    expired.metadata.creation_timestamp = Some(Time(ago(61)));
    let site = Site::new(vec![expired], vec![], vec![]).await;
    let (url, never) = (text(), secret::text("org", &[2; secret::BYTES]));
    let texts = [
        url.clone(),
        never,
        "x".to_owned(),
        // Other ways to write its bytes.
        format!("{url}="),
        format!("{url}%3D"),
        format!("{url}%0A"),
        format!("{url}%00"),
        format!("%20{url}"),
        url.replace('.', "%252E"),
        url.replace('.', ".."),
        url.to_uppercase(),
    ];
    let mut answers = BTreeSet::new();
    for text in texts {
        let (status, script) = site.get(&format!("/api/ipxe/{text}")).await;
        assert!(script.contains("This boot URL is not valid."), "{text}: {script}");
        answers.insert((status.as_u16(), script));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(site.told("Expired").await, 1, "its owner is told");
    // The same URL (RFC 3986, section 6.2.2.2), of a token that is open, from an address of either kind.
    let site = Site::new(vec![token(0)], vec![], vec![]).await;
    let path = format!("/api/ipxe/{}", text().replace('.', "%2E"));
    for from in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        let (_, script) = site.ask(request(Method::GET, &path, ""), from).await;
        assert!(script.contains("set base "), "{from}: {script}");
    }
}
