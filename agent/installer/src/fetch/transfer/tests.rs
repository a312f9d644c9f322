use super::*;
use crate::{fetch::Base, timeouts::QUICK};
use std::{path::Path, thread};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// How a connection is answered.
#[derive(Clone)]
enum Script {
    /// With this head and content, and then it is closed.
    Say(String, Vec<u8>),
    /// Like a good server; after so many bytes of content it breaks off.
    Serve(&'static str, usize),
    /// Nothing, and it stays open.
    Silence,
}

#[tokio::test]
async fn a_file_comes_whole() {
    let server = Server::start([Script::Serve("\"a\"", 99)]).await;
    assert_eq!(server.transfer().await.unwrap(), CONTENT);
    assert_eq!(server.progress.done.load(Ordering::Relaxed), 36);
    assert_eq!(server.progress.total.load(Ordering::Relaxed), 36);
}

#[tokio::test]
async fn a_transfer_goes_on_where_it_broke_however_often() {
    let scripts = [
        Script::Say("503 Busy\r\nContent-Length: 3".into(), b"no\n".to_vec()),
        Script::Serve("\"a\"", 5),
        Script::Say(String::new(), vec![]),
        Script::Serve("\"a\"", 0),
        Script::Serve("\"a\"", 10),
        Script::Serve("\"a\"", 99),
    ];
    let server = Server::start(scripts).await;
    assert_eq!(server.transfer().await.unwrap(), CONTENT);
    assert_eq!(*server.progress.trouble.locked(), "", "it is over");
    let asked = server.asked();
    let ranges: Vec<_> = asked.iter().map(|it| header(it, "range")).collect();
    let [five, fifteen] = ["bytes=5-", "bytes=15-"].map(|it| Some(it.to_owned()));
    assert_eq!(ranges, [None, None, five.clone(), five.clone(), five, fifteen]);
    assert_eq!(header(&asked[2], "if-range").as_deref(), Some("\"a\""));
}

#[tokio::test]
async fn a_file_that_is_another_one_by_now_begins_again() {
    let part = |range: &str, tag: &str| {
        Script::Say(
            format!("206 Part\r\nETag: {tag}\r\nContent-Range: {range}\r\nContent-Length: 31"),
            vec![b'x'; 31],
        )
    };
    for (what, second) in [
        ("another tag", Script::Serve("\"b\"", 99)),
        ("another tag of a part", part("bytes 5-35/36", "\"b\"")),
        ("another place", part("bytes 4-34/36", "\"a\"")),
        ("another length", part("bytes 5-35/37", "\"a\"")),
        ("not to its end", part("bytes 5-34/36", "\"a\"")),
        ("no place", Script::Say("206 P\r\nETag: \"a\"\r\nContent-Length: 31".into(), vec![0; 31])),
        (
            "the whole",
            Script::Say("200 OK\r\nETag: \"a\"\r\nContent-Length: 36".into(), CONTENT.into()),
        ),
        ("no content", Script::Say("204 None\r\nETag: \"a\"".into(), vec![])),
    ] {
        let server = Server::start([Script::Serve("\"a\"", 5), second]).await;
        let broken = server.transfer().await.unwrap_err();
        assert!(matches!(broken, Broken::Changed), "{what}: {broken}");
    }
}

#[tokio::test]
async fn without_a_strong_tag_nothing_is_pieced_together() {
    for tag in ["", "W/\"a\"", "a"] {
        let server = Server::start([Script::Serve(tag, 5)]).await;
        let broken = server.transfer().await.unwrap_err();
        assert!(matches!(broken, Broken::Changed), "{tag}: {broken}");
    }
}

#[tokio::test]
async fn a_server_that_lies_about_the_length_is_found_out() {
    // Less than it said: the connection is closed, and it is asked for the rest.
    let short =
        Script::Say("200 OK\r\nETag: \"a\"\r\nContent-Length: 36".into(), CONTENT[..7].into());
    let server = Server::start([short, Script::Serve("\"a\"", 99)]).await;
    assert_eq!(server.transfer().await.unwrap(), CONTENT);
    // More in chunks than it said at first.
    let more = format!(
        "206 Part\r\nETag: \"a\"\r\nContent-Range: bytes 5-35/36\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n{}\r\n0",
        "x".repeat(40)
    );
    let server = Server::start([Script::Serve("\"a\"", 5), Script::Say(more, vec![])]).await;
    assert!(matches!(server.transfer().await.unwrap_err(), Broken::More));
}

#[tokio::test]
async fn a_server_that_says_nothing_more_is_given_up_and_asked_again() {
    let silent = [Script::Silence, Script::Serve("\"a\"", 99)];
    assert_eq!(Server::start(silent).await.transfer().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn an_installation_that_is_not_due_any_more_ends_its_transfer() {
    let refused = Script::Say("403 No\r\nContent-Length: 4".into(), b"old\n".to_vec());
    let broken = Server::start([refused]).await.transfer().await.unwrap_err();
    let Broken::Stale(why) = broken else { panic!("{broken}") };
    assert_eq!(why.to_string(), "the server responded with status 403 Forbidden: old");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_asked_for_again_and_again() {
    let refused = |status: &str| Script::Say(format!("{status}\r\nContent-Length: 0"), vec![]);
    for status in ["404 Not Found", "409 Conflict"] {
        let broken = Server::start([refused(status)]).await.transfer().await.unwrap_err();
        assert!(matches!(broken, Broken::Refused(_)), "{status}: {broken}");
    }
    // It was there: what has come is kept.
    let server = Server::start([
        refused("429 Too Many Requests"),
        Script::Serve("\"a\"", 5),
        refused("404 Not Found"),
        Script::Serve("\"a\"", 99),
    ]);
    assert_eq!(server.await.transfer().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_file_that_has_gone_in_the_middle_is_not_waited_for_for_ever() {
    let gone = || Script::Say("404 Not Found\r\nContent-Length: 0".into(), vec![]);
    let scripts = (0..10_000).map(|at| if at == 0 { Script::Serve("\"a\"", 5) } else { gone() });
    let server = Server::start(scripts).await;
    let broken = server.transfer().await.unwrap_err();
    assert!(matches!(broken, Broken::Refused(_)), "{broken}");
    // Meanwhile it was told with the progress.
    let trouble = server.progress.trouble.locked().clone();
    assert!(trouble.contains("404 Not Found"), "{trouble}");
}

#[test]
fn a_transfer_that_is_given_up_is_no_end() {
    let (to, from) = mpsc::channel(4);
    to.blocking_send(Piece::Bytes(Bytes::from_static(b"abc"))).unwrap();
    drop(to);
    let mut pieces = Pieces::new(from);
    let mut two = [0; 2];
    assert_eq!((pieces.read(&mut two).unwrap(), two), (2, *b"ab"));
    assert_eq!((pieces.read(&mut two).unwrap(), two[0]), (1, b'c'));
    assert!(pieces.read(&mut two).is_err());
    let (to, from) = mpsc::channel(4);
    to.blocking_send(Piece::End).unwrap();
    let mut pieces = Pieces::new(from);
    assert_eq!((pieces.read(&mut two).unwrap(), pieces.read(&mut two).unwrap()), (0, 0));
}

/// A server that follows a script, one connection at a time.
struct Server {
    client: Client,
    progress: Transfer,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts: Vec<_> = scripts.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/c/token", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut open = vec![];
            for script in scripts {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                let range = header(&request, "range");
                seen.lock().unwrap().push(request);
                if let Some(answer) = answer(script, range) {
                    stream.write_all(&answer).await.unwrap();
                    stream.shutdown().await.ok();
                } else {
                    open.push(stream);
                }
            }
        });
        let client =
            Client::new(url.parse::<Base>().unwrap(), Path::new("/nowhere"), QUICK).unwrap();
        Self { client, progress: Transfer::default(), asked, task }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// What comes.
    async fn transfer(&self) -> Result<Vec<u8>, Broken> {
        let (to, from) = mpsc::channel(1);
        let reader = thread::spawn(move || {
            let mut content = vec![];
            Pieces::new(from).read_to_end(&mut content).map(|_| content)
        });
        let ended = transfer(&self.client, "disk.img", &to, &self.progress).await;
        drop(to);
        ended.map(|()| reader.join().unwrap().unwrap())
    }
}

/// What to say, unless it is nothing.
fn answer(script: Script, range: Option<String>) -> Option<Vec<u8>> {
    let (head, content) = match script {
        Script::Silence => return None,
        Script::Say(head, content) => (head, content),
        Script::Serve(tag, most) => {
            let from = range.map_or(0, |it| it[6..it.len() - 1].parse().unwrap());
            let rest = &CONTENT[from..];
            let (status, place) = match from {
                0 => ("200 OK", String::new()),
                _ => ("206 Part", format!("Content-Range: bytes {from}-35/36\r\n")),
            };
            let length = rest.len();
            let head = format!("{status}\r\nETag: {tag}\r\n{place}Content-Length: {length}");
            (head, rest[..most.min(length)].to_vec())
        }
    };
    if head.is_empty() {
        return Some(vec![]);
    }
    Some([format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), &content].concat())
}

fn header(request: &str, name: &str) -> Option<String> {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.to_owned())
}

async fn read(stream: &mut TcpStream) -> String {
    let (mut text, mut piece) = (vec![], [0; 4096]);
    while !text.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "the client broke off");
        text.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(text).unwrap()
}
