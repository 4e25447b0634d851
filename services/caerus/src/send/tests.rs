//! Sending, against a server that answers from a script, over a real socket.

use std::collections::VecDeque;
use std::io::Write as _;

use caerus_runtime::secret::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Answers one request after the other from the script, each on a connection of its own, and gives back what came.
async fn serve(listener: TcpListener, script: Vec<(&str, &str)>) -> Vec<String> {
    let mut requests = Vec::new();
    let mut script = VecDeque::from(script);
    while let Some((head, body)) = script.pop_front() {
        let (mut socket, _) = listener.accept().await.unwrap();
        requests.push(read_request(&mut socket).await);
        let len = body.len();
        let answer =
            format!("HTTP/1.1 {head}\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}");
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
    requests
}

/// *Returns*: the request's first line and its body.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let read = socket.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let len = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |len| len.parse().unwrap());
            if body.len() >= len {
                return format!("{}|{body}", head.lines().next().unwrap());
            }
        }
        assert_ne!(read, 0, "the request broke off");
    }
}

/// Sends the file's lines. *Returns*: how it ended, the counts, and the requests.
async fn sent(
    lines: &str,
    flags: &[&str],
    script: Vec<(&str, &str)>,
) -> (Ended, Counts, Vec<String>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let args = Args::try_parse_from([&["send", path], flags].concat()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel(LINES_WAITING_MAX);
    let files = args.files.clone();
    let reading = tokio::task::spawn_blocking(move || {
        read_files(&files, &Taken::default(), &sender);
    });
    let client = Client::new(&url, Secret::new("secret")).unwrap();
    let mut sending = Sending {
        batches: Batches::new(received, args.rate),
        poster: Poster::new(client, args.path()),
        pace: Pace::new(args.rate),
        progress: Progress::new(args.total_bytes()),
        keeps_letters: args.dead_letters,
        counts: Counts::default(),
    };
    let (ended, requests) = tokio::join!(sending.all(), serve(listener, script));
    let counts = sending.counts;
    reading.await.unwrap();
    (ended.and_then(|()| sending.end(Ok(()))), counts, requests)
}

#[tokio::test]
async fn what_caerus_has_no_time_for_is_sent_again_and_the_rejected_are_counted() {
    let script = vec![
        ("429 Too Many Requests\r\nretry-after: 0", "{}"),
        ("503 Service Unavailable\r\nretry-after: 0", "{}"),
        (
            "202 Accepted",
            r#"{"accepted":1,"rejected":[{"index":1,"error":"member `id` is missing"}]}"#,
        ),
    ];
    let (ended, counts, requests) =
        sent("{\"id\":1}\n\n{\"x\":2}\n", &["--backfill"], script).await;
    assert!(matches!(ended, Err(Failure::Told(BAD_INPUT))), "{ended:?}");
    assert_eq!((counts.accepted, counts.rejected), (1, 1));
    let request = "post /v1/events?format=native&backfill=true http/1.1|{\"id\":1}\n{\"x\":2}\n";
    assert_eq!(requests, [request; 3]);
}

#[tokio::test]
async fn a_body_of_which_nothing_is_accepted_is_no_failure_of_the_sending() {
    let script = vec![(
        "422 Unprocessable Content",
        r#"{"accepted":0,"rejected":[{"index":0,"error":"no"}]}"#,
    )];
    let (ended, counts, _) = sent("nonsense\n", &[], script).await;
    assert!(matches!(ended, Err(Failure::Told(BAD_INPUT))), "{ended:?}");
    assert_eq!((counts.accepted, counts.rejected), (0, 1));
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let script = vec![(
        "403 Forbidden",
        r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"this needs the right `events`"}"#,
    )];
    let (ended, _, requests) = sent("{}\n", &[], script).await;
    let Err(Failure::Failed(error)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(
        error.to_string(),
        "the events were refused: Forbidden (403): this needs the right `events`"
    );
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn an_answer_about_events_that_were_not_sent_is_refused() {
    let script = vec![(
        "202 Accepted",
        r#"{"accepted":0,"rejected":[{"index":1,"error":"no"}]}"#,
    )];
    let (ended, ..) = sent("{}\n", &[], script).await;
    assert!(matches!(ended, Err(Failure::Failed(_))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_from_the_start_on() {
    let began = Instant::now();
    let mut pace = Pace::new(Some(200));
    pace.wait().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    pace.count(50);
    pace.wait().await;
    assert_eq!(began.elapsed(), Duration::from_millis(250));
}

#[test]
fn a_place_that_is_not_spoken_to_is_refused_with_the_reason() {
    for (to, expected) in [
        (
            "kafka://broker:9092",
            Err("the Kafka adapter is not built in; send to http://…"),
        ),
        ("localhost:7400", Err("expected http://… or https://…")),
        ("http://a:7400/", Ok("http://a:7400")),
        ("https://a/v1/events", Ok("https://a")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(parse_to(to), expected, "{to}");
    }
}
