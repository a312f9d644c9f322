//! What a body may hold, and how much of it is read.

use super::*;

#[tokio::test]
async fn malformed_and_oversized_reports_are_refused_with_their_field() {
    let scene = Scene::new(ServerState::Discovery).await;
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    let (code, text) = scene.post(&path, "{\"systemUUID\":").await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "{text}");
    let (code, text) = scene.post(&path, &report("../etc/passwd")).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert!(text.starts_with("systemUUID"), "{text}");
    let large = format!("{{\"systemUUID\":\"{UUID}\",\"x\":\"{}\"}}", "x".repeat(5 << 20));
    assert_eq!(scene.post(&path, &large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(scene.sent().len(), 0);
}

#[tokio::test]
async fn a_report_that_the_api_server_never_takes_is_no_reason_to_try_again() {
    let scene = Scene::new(ServerState::Discovery).await;
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    for (code, answer) in [(400, 422), (413, 422), (422, 422), (403, 503), (500, 503)] {
        scene.server.fail(StatusCode::from_u16(code).ok());
        let (answered, text) = scene.post(&path, &report(UUID)).await;
        assert_eq!(answered.as_u16(), answer, "{code}: {text}");
        assert_eq!(text.contains("try again"), answer == 503, "{code}: {text}");
    }
}

#[tokio::test]
async fn nothing_of_a_body_is_read_before_the_token_is_found_good() {
    let scene = Scene::new(ServerState::Discovery).await;
    let earlier = scene.token("server-a", "uid-1.0");
    let unknown = scene.token("server-x", "uid-1.1");
    let refused = [
        ("/register".to_owned(), StatusCode::UNAUTHORIZED),
        ("/bootstate".to_owned(), StatusCode::UNAUTHORIZED),
        ("/t/nonsense/register".to_owned(), StatusCode::FORBIDDEN),
        ("/t/nonsense/bootstate".to_owned(), StatusCode::FORBIDDEN),
        (format!("/t/{}/register", earlier.as_str()), StatusCode::CONFLICT),
        (format!("/t/{}/register", unknown.as_str()), StatusCode::NOT_FOUND),
    ];
    for (path, code) in refused {
        let body =
            Body::from_stream(stream::poll_fn(|_| -> Poll<Option<Result<Bytes, Infallible>>> {
                panic!("the body is read")
            }));
        assert_eq!(scene.send_body(Method::POST, &path, body).await.0, code, "{path}");
    }
}

#[tokio::test]
async fn a_body_holds_no_more_than_a_machine_can_have_with_and_without_token() {
    let mut scene = Scene::new(ServerState::Discovery).await;
    scene.tokenless = true;
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    let list = |n: usize, value: &str| format!("[{}]", vec![value; n].join(","));
    let data = |data: &str| format!("{{\"systemUUID\":\"{UUID}\",\"data\":{data}}}");
    let bombs = [
        data(&format!("{{\"storage\":{}}}", list(1_000_000, "{}"))),
        data(&format!("{{\"unknown\":{}}}", list(1_000_000, "{}"))),
        data(&format!("{{\"cpu\":{}}}", list(1000, &list(1000, "{}")))),
        data(&format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100))),
        list(1_000_000, "1"),
    ];
    for (path, bomb) in
        bombs.iter().flat_map(|bomb| [&path[..], "/register", "/bootstate"].map(|it| (it, bomb)))
    {
        let (code, text) = scene.post(path, bomb).await;
        assert_eq!(code, StatusCode::BAD_REQUEST, "{path}");
        assert!(text.contains("more than"), "{text}");
    }
    assert_eq!(scene.sent().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_server_reports_little_at_a_time_and_others_are_not_kept_waiting() {
    let scene = Scene::new(ServerState::Discovery).await;
    let bodies = Bodies::default();
    let server = scene.view.servers.named(None, "server-a").unwrap();
    let reporter = |name: &str| {
        let mut server = (*server).clone();
        server.metadata.name = Some(name.to_owned());
        let claims = Claims {
            purpose: Purpose::Registration,
            server: name.to_owned(),
            boot: String::new(),
            expires: Timestamp::now(),
        };
        Reporter::Known(Arc::new(server), claims)
    };
    let (a, b) = (reporter("a"), reporter("b"));
    let never = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let slow = || bodies.read::<Value>(&a, None, never());
    let (one, two) = (pin!(slow()), pin!(slow()));
    let mut two_slow = pin!(futures::future::join(one, two));
    assert!(futures::poll!(&mut two_slow).is_pending());
    assert!(matches!(slow().await, Err(Denied::Busy)));
    assert!(bodies.read::<Value>(&b, None, Body::from("{}")).await.is_ok());
    let (one, two) = two_slow.await;
    assert!(matches!((one, two), (Err(Denied::Slow), Err(Denied::Slow))));
    assert!(bodies.read::<Value>(&a, None, Body::from("{}")).await.is_ok());
}

#[tokio::test]
async fn all_bodies_together_have_a_bound_that_is_given_back() {
    let bodies = Bodies::default();
    let large = || Body::from(format!("\"{}\"", "x".repeat(3 << 20)));
    let from = |n: u8| Some(Peer(SocketAddr::new([10, 0, 0, n].into(), 1)));
    let mut held = vec![];
    for n in 0..21 {
        held.push(bodies.read::<String>(&Reporter::Anyone, from(n), large()).await.unwrap().1);
    }
    let full = bodies.read::<String>(&Reporter::Anyone, from(100), large()).await;
    assert!(matches!(full, Err(Denied::Busy)));
    held.pop();
    assert!(bodies.read::<String>(&Reporter::Anyone, from(100), large()).await.is_ok());
}

#[tokio::test]
async fn a_report_of_many_small_values_takes_room_for_what_it_becomes() {
    let scene = Scene::new(ServerState::Discovery).await;
    let path = format!("/t/{}/register", scene.token("server-a", "uid-1.1").as_str());
    let neighbors = vec![json!({ "a": 0 }); 4096];
    let lldp = vec![json!({ "name": "a", "neighbors": neighbors }); 4];
    let small = json!({ "systemUUID": UUID, "data": { "lldp": lldp } }).to_string();
    assert!(small.len() < 200_000, "{}", small.len());
    let (code, text) = scene.post(&path, &small).await;
    assert_eq!((code, text.contains("of memory")), (StatusCode::PAYLOAD_TOO_LARGE, true), "{text}");
    assert_eq!(scene.sent().len(), 0);

    // 12 KiB of text each, and more than 4 MiB of records.
    let (bodies, body) = (Bodies::default(), format!("[{}]", vec!["{}"; 4096].join(",")));
    let read = async |n: u8| {
        let from = Some(Peer(SocketAddr::new([10, 0, 0, n].into(), 1)));
        bodies.read::<Value>(&Reporter::Anyone, from, Body::from(body.clone())).await
    };
    let mut held = vec![];
    for n in 0..15 {
        held.push(read(n).await.unwrap().1);
    }
    assert!(matches!(read(15).await, Err(Denied::Busy)));
    held.pop();
    assert!(read(15).await.is_ok());
}

#[tokio::test]
async fn no_source_without_token_takes_the_room_of_others() {
    let bodies = Bodies::default();
    let large = || Body::from(format!("\"{}\"", "x".repeat(3 << 20)));
    let from = |net: u16, host: u16| {
        Some(Peer(SocketAddr::new([0x2001, 0xdb8, 0, net, 0, 0, 0, host].into(), 1)))
    };
    let mut held = vec![];
    for host in 0..5 {
        held.push(bodies.read::<String>(&Reporter::Anyone, from(0, host), large()).await.unwrap());
    }
    let sixth = bodies.read::<String>(&Reporter::Anyone, from(0, 5), large()).await;
    assert!(matches!(sixth, Err(Denied::Busy)), "its /64 has its share");
    assert!(bodies.read::<String>(&Reporter::Anyone, from(1, 0), large()).await.is_ok());
    let small = || Body::from("1");
    let mut many = vec![];
    for host in 0..27 {
        many.push(bodies.read::<u8>(&Reporter::Anyone, from(0, host), small()).await.unwrap());
    }
    let next = bodies.read::<u8>(&Reporter::Anyone, from(0, 99), small()).await;
    assert!(matches!(next, Err(Denied::Busy)), "there are 32 reports of a /64 at a time");
}
