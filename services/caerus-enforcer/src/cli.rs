//! The command line: flags into configuration, configuration into a running enforcer, failures into exit codes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use caerus_enforcer::enforcer::Enforcer;
use caerus_enforcer::settings::{LAYOUT, Settings};
use caerus_runtime::clock::SystemClock;
use caerus_runtime::config::{ConfigError, Environment, Flag, Sources};
use caerus_runtime::metric::Counter;
use caerus_runtime::shutdown::{Shutdown, Signals};
use caerus_runtime::tasks::{TaskGroup, chain};
use caerus_runtime::telemetry;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// It could not be done.
const EXIT_FAILED: u8 = 1;
/// Wrong flags.
const EXIT_USAGE: u8 = 64;
/// Wrong configuration.
const EXIT_CONFIG: u8 = 78;
/// For what is under way when it is asked to stop.
const GRACE: Duration = Duration::from_secs(12);

/// What `--help` says beyond the flags.
const AFTER_HELP: &str = "\
Everything has a default but who is asking: name at least one of --session-cookie, --user-header, --jwks-url, or set \
them in a file. For one application behind nginx on this host, whose session cookie is `sid`:

  caerus-enforcer --session-cookie sid --user-header X-Caerus-User

and in nginx `auth_request` on http://127.0.0.1:7401/check: see deploy/nginx/caerus.conf.

Configuration is read from compiled-in defaults, then --config, then variables (CAERUS_ENFORCER__SECTION__KEY), then \
flags. `caerus-enforcer config default` prints the defaults, `config doc` explains every key, `config check FILE` says \
what is wrong with a file.

Exit codes: 0 done, 1 could not do it, 64 wrong flags, 78 wrong configuration.";

/// Refuses what Caerus has revoked: the sidecar that nginx, Caddy, Traefik or HAProxy asks about each request.
#[derive(Debug, Parser)]
#[command(name = "caerus-enforcer", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The configuration: its defaults, a check of a file, every key explained
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the defaults as TOML
    Default,
    /// Print every key with meaning, unit, range and default as Markdown
    Doc,
    /// Say what is wrong with a file; exit with 78 if anything is
    Check {
        /// The file to check
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where Caerus is [env: CAERUS_URL] [default: http://127.0.0.1:7400]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the enforcement point's token [env: CAERUS_TOKEN_FILE] [default:
    /// ./caerus-data/enforcement-point.token]
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Where proxies ask [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Directory of the saved picture; empty to save nothing [default: ./caerus-enforcer-data]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,
    /// Label of this instance in receipts [default: the host's name]
    #[arg(long, value_name = "LABEL")]
    client: Option<String>,
    /// Tenant of the requests [default: default]
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Kind of the proxy in front: nginx, caddy, traefik, haproxy [default: nginx]
    #[arg(long, value_name = "KIND")]
    proxy: Option<String>,
    /// Peers that may ask, separated by commas [default: loopback]
    #[arg(long, value_name = "NETWORKS")]
    trusted_proxies: Option<String>,
    /// Cookie whose value is the session
    #[arg(long, value_name = "NAME")]
    session_cookie: Option<String>,
    /// Header, set by the proxy, that names the user
    #[arg(long, value_name = "NAME")]
    user_header: Option<String>,
    /// Header, set by the proxy, that names the device
    #[arg(long, value_name = "NAME")]
    device_header: Option<String>,
    /// Keys by which bearer JWTs are verified
    #[arg(long, value_name = "URL")]
    jwks_url: Option<String>,
    /// App that requests lead to
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// How old the picture may be, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS")]
    max_staleness: Option<String>,
    /// What answers when it is older: allow, step_up, deny [default: deny]
    #[arg(long, value_name = "ANSWER")]
    on_stale: Option<String>,
    /// What answers requests that name nobody: allow, deny [default: deny]
    #[arg(long, value_name = "ANSWER")]
    on_anonymous: Option<String>,
    /// Form of the log on stderr: text, json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Run {
    /// The flags that were given, and in their absence the two variables that every command of Caerus knows.
    fn flags(&self, environment: &Environment) -> Vec<Flag> {
        let common = |flag: &Option<String>, variable, key: &str| {
            let own = format!("{}{}", LAYOUT.prefix, key.to_ascii_uppercase());
            match flag {
                Some(_) => None,
                None if environment.get(&own).is_some() => None,
                None => environment.get(variable).map(ToOwned::to_owned),
            }
        };
        let url = common(&self.url, "CAERUS_URL", "url");
        let token_file = common(&self.token_file, "CAERUS_TOKEN_FILE", "token_file");
        let given: [(&'static str, &'static str, &Option<String>); 19] = [
            ("CAERUS_URL", "url", &url),
            ("CAERUS_TOKEN_FILE", "token_file", &token_file),
            ("--url", "url", &self.url),
            ("--token-file", "token_file", &self.token_file),
            ("--listen", "listen", &self.listen),
            ("--state-dir", "state_dir", &self.state_dir),
            ("--client", "client", &self.client),
            ("--tenant", "tenant", &self.tenant),
            ("--proxy", "proxy", &self.proxy),
            (
                "--trusted-proxies",
                "trusted_proxies",
                &self.trusted_proxies,
            ),
            (
                "--session-cookie",
                "identity.session_cookie",
                &self.session_cookie,
            ),
            ("--user-header", "identity.user_header", &self.user_header),
            (
                "--device-header",
                "identity.device_header",
                &self.device_header,
            ),
            ("--jwks-url", "jwt.jwks_url", &self.jwks_url),
            ("--app", "defaults.app", &self.app),
            (
                "--max-staleness",
                "defaults.max_staleness",
                &self.max_staleness,
            ),
            ("--on-stale", "defaults.on_stale", &self.on_stale),
            (
                "--on-anonymous",
                "defaults.on_anonymous",
                &self.on_anonymous,
            ),
            ("--log-format", "telemetry.log_format", &self.log_format),
        ];
        given
            .into_iter()
            .filter_map(|(name, key, value)| {
                let value = value.clone()?;
                Some(Flag { name, key, value })
            })
            .collect()
    }
}

pub(crate) fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli),
        Err(error) => {
            // Help and version go to stdout, complaints to stderr; where neither can be written nobody is told anyway.
            let is_wrong = !matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            match error.print() {
                Ok(()) if !is_wrong => ExitCode::SUCCESS,
                Ok(()) | Err(_) => ExitCode::from(EXIT_USAGE),
            }
        }
    }
}

fn dispatch(cli: Cli) -> ExitCode {
    match cli.command {
        None => run(&cli.run),
        Some(Command::Config(ConfigCommand::Default)) => print(LAYOUT.defaults),
        Some(Command::Config(ConfigCommand::Doc)) => print(&LAYOUT.doc()),
        Some(Command::Config(ConfigCommand::Check { file })) => check(&file),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::from(EXIT_FAILED),
    }
}

fn check(file: &Path) -> ExitCode {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(source) => {
            let path = file.to_owned();
            return fail(EXIT_CONFIG, &chain(&ConfigError::Read { path, source }));
        }
    };
    let problems = Settings::check(&text, file);
    if problems.is_empty() {
        return print(&format!("{}: nothing is wrong\n", file.display()));
    }
    fail(EXIT_CONFIG, &ConfigError::Wrong { problems }.to_string())
}

/// Tells why on stderr, the one place for it before there is a log.
fn fail(code: u8, message: &str) -> ExitCode {
    match writeln!(io::stderr(), "caerus-enforcer: {message}") {
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}

fn run(flags: &Run) -> ExitCode {
    let environment = Environment::of_process();
    let loaded = Settings::load(&Sources {
        file: flags.config.as_deref(),
        environment: &environment,
        flags: &flags.flags(&environment),
    });
    let settings = match loaded {
        Ok(settings) => settings,
        Err(error) => return fail(EXIT_CONFIG, &chain(&error)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_FAILED, &format!("could not start: {error}")),
    };
    runtime.block_on(serve(&settings, &environment))
}

async fn serve(settings: &Settings, environment: &Environment) -> ExitCode {
    let dropped = Counter::default();
    let init = telemetry::init(
        "caerus-enforcer",
        &settings.telemetry,
        environment,
        &dropped,
    );
    let _telemetry = match init {
        Ok(guard) => guard,
        Err(error) => return fail(EXIT_CONFIG, &chain(&error)),
    };
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return fail(EXIT_FAILED, &format!("could not catch signals: {error}")),
    };
    let enforcer = match Enforcer::open(settings, Arc::new(SystemClock::new())).await {
        Ok(enforcer) => enforcer,
        Err(error) if error.is_configuration() => return fail(EXIT_CONFIG, &chain(&error)),
        Err(error) => return fail(EXIT_FAILED, &chain(&error)),
    };
    tracing::info!(
        url = enforcer.url(),
        caerus = settings.url,
        proxy = settings.proxy.name(),
        "enforcing"
    );
    if !settings.knows_identities() {
        tracing::warn!("no identity is configured: every request counts as anonymous");
    }
    let shutdown = Shutdown::new();
    let mut tasks = TaskGroup::new(&shutdown);
    enforcer.start(&mut tasks);
    tokio::select! {
        joined = tasks.join(GRACE) => match joined {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(EXIT_FAILED, &chain(&error)),
        },
        second = signals.begin_then_insist(shutdown) => {
            fail(EXIT_FAILED, &format!("stopped at once by a second {}", second.name()))
        }
    }
}
