//! A real nginx with `auth_request` on an enforcer, in front of an upstream. Knows no decision.

use std::path::{Path, PathBuf};

use super::eventually;
use super::program::{Program, free_port};

/// What is asked for unless a test is about its route.
pub(crate) const PAGE: &str = "/payslip";
/// The page of configuration that newcomers copy.
const SHIPPED: &str = "../deploy/nginx/caerus.conf";

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    _program: Program,
    url: String,
    http: reqwest::Client,
}

/// What a client of the proxy sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// Empty where there is none.
    pub(crate) challenge: String,
    pub(crate) body: String,
}

/// Who asks, as a client of the proxy shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) session: Option<String>,
    /// A proxy reads it from the client's certificate; here from a cookie.
    pub(crate) device: Option<String>,
    pub(crate) bearer: Option<String>,
}

impl Client {
    pub(crate) fn of_session(session: &str) -> Self {
        Self {
            session: Some(session.to_owned()),
            ..Self::default()
        }
    }

    pub(crate) fn of_bearer(token: &str) -> Self {
        Self {
            bearer: Some(token.to_owned()),
            ..Self::default()
        }
    }

    pub(crate) fn on(self, device: &str) -> Self {
        Self {
            device: Some(device.to_owned()),
            ..self
        }
    }
}

impl Nginx {
    pub(crate) async fn start(dir: &Path, enforcer: u16, upstream: u16) -> Self {
        let port = free_port();
        let home = dir.join("nginx");
        std::fs::create_dir(&home).unwrap();
        let config = home.join("nginx.conf");
        let ports = [port, enforcer, upstream];
        std::fs::write(&config, configuration(&home, ports)).unwrap();
        let args = [
            "-p",
            home.to_str().unwrap(),
            "-c",
            config.to_str().unwrap(),
            "-e",
            "stderr",
        ];
        let args = args.map(str::to_owned);
        caerus_runtime::http::tls::provide_crypto();
        let nginx = Self {
            _program: Program::start(&find(), &args, &[], dir.join("nginx.log")),
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        let Self { url, http, .. } = &nginx;
        eventually("nginx to listen", || async {
            http.get(url).send().await.ok()
        })
        .await;
        nginx
    }

    pub(crate) async fn ask(&self, path: &str, client: &Client) -> Seen {
        see(self.request(path, client)).await
    }

    /// Asks with a header that only a proxy may set.
    pub(crate) async fn ask_with(&self, client: &Client, header: (&str, &str)) -> Seen {
        see(self.request(PAGE, client).header(header.0, header.1)).await
    }

    fn request(&self, path: &str, client: &Client) -> reqwest::RequestBuilder {
        let mut request = self.http.get(format!("{}{path}", self.url));
        let session = client.session.iter().map(|value| format!("sid={value}"));
        let device = client.device.iter().map(|value| format!("device={value}"));
        let cookies: Vec<String> = session.chain(device).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        match &client.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Asks until the answer has this status.
    pub(crate) async fn until(&self, status: u16, path: &str, client: &Client) -> Seen {
        eventually(&format!("{status} at {path} for {client:?}"), || async {
            let seen = self.ask(path, client).await;
            (seen.status == status).then_some(seen)
        })
        .await
    }
}

async fn see(request: reqwest::RequestBuilder) -> Seen {
    let answer = request.send().await.unwrap();
    let challenge = answer.headers().get("www-authenticate");
    Seen {
        status: answer.status().as_u16(),
        challenge: challenge
            .map_or("", |value| value.to_str().unwrap())
            .to_owned(),
        body: answer.text().await.unwrap(),
    }
}

/// Where Debian puts it, or wherever else programs lie.
fn find() -> PathBuf {
    let dirs = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let files = dirs.map(|dir| Path::new(dir).join("nginx"));
    let found = files.into_iter().find(|file| file.exists());
    found.expect(
        "nginx is not installed: `apt-get install nginx-light`; deploy/scripts/install-test-deps installs all that \
         the tests need",
    )
}

/// The shipped page, changed only where it says so and where its ports are.
fn configuration(home: &Path, [port, enforcer, upstream]: [u16; 3]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED);
    let mut shipped = std::fs::read_to_string(&path).unwrap();
    let user = "proxy_set_header X-Caerus-User $remote_user;";
    let device = "proxy_set_header X-Caerus-Device $cookie_device;";
    for (own, ours) in [
        (
            "server 127.0.0.1:7401",
            format!("server 127.0.0.1:{enforcer}"),
        ),
        (
            "server 127.0.0.1:8000",
            format!("server 127.0.0.1:{upstream}"),
        ),
        ("listen 127.0.0.1:8080", format!("listen 127.0.0.1:{port}")),
        (user, format!("{user}\n        {device}")),
    ] {
        let count = shipped.matches(own).count();
        assert_eq!(count, 1, "`{own}` in {}", path.display());
        shipped = shipped.replace(own, &ours);
    }
    let mut page = String::from("daemon off;\nmaster_process off;\nerror_log stderr warn;\n");
    page.push_str(&format!("pid {}/nginx.pid;\n", home.display()));
    page.push_str("events { worker_connections 512; }\nhttp {\naccess_log off;\n");
    for (kind, directive) in [
        ("body", "client_body_temp_path"),
        ("proxy", "proxy_temp_path"),
        ("fastcgi", "fastcgi_temp_path"),
        ("uwsgi", "uwsgi_temp_path"),
        ("scgi", "scgi_temp_path"),
    ] {
        page.push_str(&format!("{directive} {}/{kind};\n", home.display()));
    }
    page.push_str(&shipped);
    page.push_str("}\n");
    page
}
