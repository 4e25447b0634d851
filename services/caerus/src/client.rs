//! What commands that talk to a running Caerus share: its URL, a token from a file, requests and streams.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use caerus_runtime::config::Environment;
use caerus_runtime::http::tls::provide_crypto;
use caerus_runtime::secret::Secret;
use caerus_wire::problem::Problem;
use clap::Parser;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(30);
const DEFAULT_URL: &str = "http://127.0.0.1:7400";
const DATA_DIR: &str = "./caerus-data";

/// Where the running Caerus is, and who asks.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Connection {
    /// Where Caerus runs [env: CAERUS_URL] [default: http://127.0.0.1:7400]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file that holds the token [env: CAERUS_TOKEN_FILE] [default: the fitting one in ./caerus-data]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Connection {
    pub(crate) fn url(&self, environment: &Environment) -> String {
        let given = self.url.clone();
        let url = given.or_else(|| environment.get("CAERUS_URL").map(str::to_owned));
        url.unwrap_or_else(|| DEFAULT_URL.to_owned())
            .trim_end_matches('/')
            .to_owned()
    }

    /// The token of the file given, else of `file` in the default data directory.
    pub(crate) fn token(&self, environment: &Environment, file: &str) -> anyhow::Result<Secret> {
        let given = self.token_file.clone();
        let path = given.or_else(|| environment.get("CAERUS_TOKEN_FILE").map(PathBuf::from));
        read_token(&path.unwrap_or_else(|| Path::new(DATA_DIR).join(file)))
    }

    pub(crate) fn client(&self, environment: &Environment, file: &str) -> anyhow::Result<Client> {
        Client::new(&self.url(environment), self.token(environment, file)?)
    }
}

fn read_token(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "could not read the token file `{}` (name one with --token-file)",
            path.display()
        )
    })?;
    Ok(Secret::new(text.trim()))
}

/// Requests to one Caerus with one token.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Secret,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// *Units*: seconds.
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What the answer says is wrong, in a sentence.
    pub(crate) fn problem(&self) -> String {
        let status = self.status;
        match serde_json::from_str::<Problem>(&self.body) {
            Ok(problem) => {
                let detail = problem.detail.unwrap_or_default();
                format!("{} ({status}): {detail}", problem.title)
            }
            Err(_) => format!("status {status}: {}", self.body.trim()),
        }
    }
}

impl Client {
    pub(crate) fn new(url: &str, token: Secret) -> anyhow::Result<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("`{url}` is no URL of Caerus (expected http://… or https://…)");
        }
        provide_crypto();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()
            .context("could not prepare requests")?;
        Ok(Self {
            http,
            url: url.to_owned(),
            token,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.http.get(format!("{}{path}", self.url)))
            .await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        media_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.url));
        self.send(request.header("content-type", media_type).body(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.http.delete(format!("{}{path}", self.url)))
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let context = || format!("could not reach Caerus at {}", self.url);
        let answer = request
            .bearer_auth(self.token.expose())
            .send()
            .await
            .with_context(context)?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after");
        let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = answer.text().await.with_context(context)?;
        Ok(Answer {
            status,
            retry_after_s,
            body,
        })
    }
}

/// The revocation stream's socket.
pub(crate) type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects to the revocation stream of the Caerus at an `http` URL.
pub(crate) async fn open_stream(url: &str, token: &Secret) -> anyhow::Result<Stream> {
    let address = format!("{}/v1/stream", url.replacen("http", "ws", 1));
    let context = || format!("could not open the stream at {address}");
    let mut request = address
        .as_str()
        .into_client_request()
        .with_context(context)?;
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .context("the token holds characters no token has")?;
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, bearer);
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static("caerus.v1"),
    );
    let connecting = tokio_tungstenite::connect_async(request);
    let connected = tokio::time::timeout(CONNECT, connecting)
        .await
        .with_context(context)?;
    let (stream, _) = connected.with_context(context)?;
    Ok(stream)
}
