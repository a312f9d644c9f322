use super::*;
use crate::testing::ApiServer;
use http::StatusCode;
use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::ObjectMeta};

/// An API server with one Secret.
#[derive(Clone, Default)]
struct Server(ApiServer);

impl Server {
    /// How every request is answered; 0 for not at all.
    fn says(&self, status: Option<u16>) {
        match status {
            Some(0) => self.0.fall_silent(),
            code => self.0.fail(code.map(|code| StatusCode::from_u16(code).unwrap())),
        }
    }

    fn holds(&self, key: &str) {
        let metadata = ObjectMeta {
            name: Some("key".to_owned()),
            namespace: Some("system".to_owned()),
            ..ObjectMeta::default()
        };
        let data = [("key".to_owned(), ByteString(key.as_bytes().to_vec()))].into();
        self.0.put(&Secret { metadata, data: Some(data), ..Secret::default() });
    }

    fn client(&self) -> Client {
        self.0.client("system")
    }
}

/// A key of at least one byte.
fn parse(bytes: &[u8]) -> Result<Vec<u8>, io::Error> {
    if bytes.is_empty() { Err(io::Error::other("it is empty")) } else { Ok(bytes.to_vec()) }
}

fn key_of(server: &Server, file: Option<&std::path::Path>) -> SharedKey {
    SharedKey {
        client: server.client(),
        namespace: "system".to_owned(),
        name: "key",
        manager: "test",
        file: file.map(|path| ("--key-file", path.to_owned())),
    }
}

#[tokio::test]
async fn a_key_is_made_once_and_read_from_then_on() {
    let server = Server::default();
    let key = key_of(&server, None);
    let (made, origin) = key.load(parse).await.unwrap().unwrap();
    assert!(made.len() == BYTES && matches!(origin, Origin::ApiServer(_)), "{origin:?}");
    assert_eq!(key.load(parse).await.unwrap().unwrap(), (made, origin));
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_silent_the_file_counts_and_without_one_there_is_no_key_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let server = Server::default();
    server.holds("api");
    for silence in [0, 429, 500, 503] {
        server.says(Some(silence));
        std::fs::remove_file(&path).ok();
        assert_eq!(key_of(&server, None).load(parse).await.unwrap(), None);
        assert_eq!(key_of(&server, Some(&path)).load(parse).await.unwrap(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(key_of(&server, Some(&path)).load(parse).await.unwrap(), None, "unusable");
        std::fs::write(&path, "file").unwrap();
        let found = key_of(&server, Some(&path)).load(parse).await.unwrap();
        assert_eq!(found, Some((b"file".to_vec(), Origin::File)));
    }
    server.says(None);
    let (found, origin) = key_of(&server, Some(&path)).load(parse).await.unwrap().unwrap();
    assert_eq!(found, b"api", "it has the last word");
    assert_ne!(origin, Origin::File);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_comes_back_replaces_the_key_of_the_file() {
    let server = Server::default();
    server.holds("api");
    server.says(Some(0));
    let late = Deferred::from(b"file".to_vec());
    let key = key_of(&server, None);
    let follow = key.follow(parse, &late);
    let mut follow = std::pin::pin!(follow);
    assert!(timeout(10 * PERIOD, &mut follow).await.is_err());
    assert_eq!(late.get(), Some(b"file".to_vec()));
    server.says(None);
    timeout(10 * PERIOD, follow).await.unwrap();
    assert_eq!(late.get(), Some(b"api".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_made_again_has_the_key_of_all_and_one_that_is_gone_takes_none_away() {
    let server = Server::default();
    server.holds("one");
    let (key, known) = (key_of(&server, None), Deferred::default());
    let provide = key.provide(parse, &known, || panic!("it answers"));
    let mut provide = std::pin::pin!(provide);
    assert!(timeout(PERIOD, &mut provide).await.is_err());
    assert_eq!(known.get(), Some(b"one".to_vec()));
    server.0.remove::<Secret>(Some("system"), "key");
    assert!(timeout(3 * CHECK, &mut provide).await.is_err());
    assert_eq!(known.get(), Some(b"one".to_vec()));
    assert!(server.0.written().is_empty(), "it is not made again while a key is in use");
    for (text, used) in [("two", "two"), ("", "two"), ("three", "three")] {
        server.holds(text);
        assert!(timeout(3 * CHECK, &mut provide).await.is_err());
        assert_eq!(known.get(), Some(used.as_bytes().to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_looked_at_is_told_with_the_cause_and_once_for_each() {
    let server = Server::default();
    let key = key_of(&server, None);
    let mut told = vec![String::new()];
    for status in [None, None, Some(403), Some(403), Some(0), Some(0)] {
        server.says(status);
        let error = key.look().await.unwrap_err();
        let mut last = told.last().cloned().unwrap_or_default();
        tell(&mut last, &error);
        told.push(last);
    }
    told.dedup();
    let [_, gone, refused, silent] = told.as_slice() else { panic!("{told:?}") };
    assert!(gone.starts_with("Secret system/key: it is gone"), "{gone}");
    assert!(refused.starts_with("Secret system/key: could not be read"), "{refused}");
    assert!(silent.ends_with("the API server is unreachable"), "{silent}");
    server.says(None);
    server.holds("one");
    assert_eq!(Version::of(&key.look().await.unwrap()), key.ask(parse).await.unwrap().1);
}

#[tokio::test]
async fn what_an_api_server_that_answers_refuses_ends_a_start_without_a_file() {
    let server = Server::default();
    server.says(Some(403));
    let refused = key_of(&server, None).load(parse).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");
    server.says(None);
    server.holds("");
    let unusable = key_of(&server, None).load(parse).await.unwrap_err();
    assert_eq!(Chain(&unusable).to_string(), "Secret system/key: entry key: it is empty");
}
