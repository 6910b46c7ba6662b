//! From a URL to a session that can only read the catalogue.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::catalogue::{Origin, Transport};
use crate::contract::{Problem, Reason, Store};
use crate::worker::connection::{Credentials, connect_problem, drive, tls_config};

/// How long to wait for the server to answer when connecting.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the session is pinned to: it reads, finds nothing but the catalogue's own objects, and does not wait long.
const SESSION_OPTIONS: &str = "-c default_transaction_read_only=on -c search_path=pg_catalog,pg_temp -c timezone=UTC \
     -c lock_timeout=2s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s -c jit=off";

const DEFAULT_PORT: u16 = 5432;

/// Why there is no connection. The text of the server is never part of it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a URL that the driver understands. It is not repeated: a password may be in it.
    #[error(
        "the URL cannot be read; write postgres://USER@HOST:PORT/DATABASE, and characters such as @ : / # in a part as %40 %3A %2F %23"
    )]
    Url,
    /// `sslmode` in the URL.
    #[error(
        "leave sslmode out of the URL: --ca FILE verifies certificate and host name, --insecure-no-tls does without"
    )]
    SslMode,
    /// No database in it.
    #[error("the URL names no database; write it at the end: postgres://USER@HOST:PORT/DATABASE")]
    NoDatabase,
    /// Several hosts, or none.
    #[error("the URL must name one host, that of the primary server")]
    Hosts,
    /// Neither `--ca` nor `--insecure-no-tls`.
    #[error(
        "say how the connection is protected: --ca FILE (PEM of the authority that signed the server's certificate), or --insecure-no-tls if everyone on the network may read it"
    )]
    NoTransport,
    /// The server could not be reached or refused.
    #[error("{what} ({detail}). {remedy}")]
    Refused {
        /// What went wrong, in words.
        what: &'static str,
        /// Place and SQLSTATE.
        detail: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A database, and how to reach it.
pub struct Target {
    config: Config,
    ca: Option<PathBuf>,
    origin: Origin,
}

impl Target {
    /// Reads a URL. `password` counts before the one in the URL.
    pub fn new(
        url: &str,
        password: Option<&str>,
        ca: Option<PathBuf>,
        without_tls: bool,
    ) -> Result<Self, ConnectError> {
        if url.contains("sslmode=") {
            return Err(ConnectError::SslMode);
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ConnectError::Url);
        }
        let mut config: Config = url.parse().map_err(|_| ConnectError::Url)?;
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(ConnectError::NoDatabase);
        }
        let [host] = config.get_hosts() else {
            return Err(ConnectError::Hosts);
        };
        let (host, transport) = match host {
            Host::Unix(_) => (None, Transport::Socket),
            Host::Tcp(host) if ca.is_some() => (Some(host.clone()), Transport::VerifyFull),
            Host::Tcp(host) if without_tls => (Some(host.clone()), Transport::Clear),
            Host::Tcp(_) => return Err(ConnectError::NoTransport),
        };
        let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
        if let Some(password) = password {
            config.password(password);
        }
        let verify = transport == Transport::VerifyFull;
        config
            .options(SESSION_OPTIONS)
            .application_name("privacy-operator discover")
            .connect_timeout(TIMEOUT)
            .ssl_mode(if verify { SslMode::Require } else { SslMode::Disable });
        Ok(Self {
            config,
            ca: ca.filter(|_| verify),
            origin: Origin { host, port, transport },
        })
    }

    /// Where it is, for the text that is printed.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// The same in the worker's words.
    #[must_use]
    pub fn store(&self) -> Store {
        Store {
            host: match (&self.origin.host, self.config.get_hosts()) {
                (None, [Host::Unix(directory)]) => directory.display().to_string(),
                (host, _) => host.clone().unwrap_or_default(),
            },
            port: self.origin.port,
            database: self.config.get_dbname().unwrap_or_default().to_owned(),
            verify_tls: self.ca.is_some(),
            ca_secret: None,
        }
    }
}

impl Target {
    /// User and password, if the URL names a user.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        Some(Credentials {
            username: self.config.get_user()?.to_owned(),
            password: String::from_utf8_lossy(self.config.get_password().unwrap_or_default()).into_owned(),
        })
    }

    /// File with the authority that the server's certificate is judged by; none where there is no TLS.
    #[must_use]
    pub fn certificate_authority(&self) -> Option<PathBuf> {
        self.ca.clone()
    }
}

/// Connects.
pub async fn connect(target: &Target) -> Result<Client, ConnectError> {
    let store = target.store();
    let attempt = async {
        if let Some(ca) = &target.ca {
            let tls = MakeRustlsConnect::new(tls_config(ca)?);
            let connected = target.config.connect(tls).await;
            connected.map(|(client, connection)| (client, drive(connection)))
        } else {
            let connected = target.config.connect(NoTls).await;
            connected.map(|(client, connection)| (client, drive(connection)))
        }
        .map(|(client, ())| client)
        .map_err(|error| connect_problem(&error, &store))
    };
    let silent = || {
        Problem::new(
            Reason::Unreachable,
            "",
            format!("{}:{} does not answer", store.host, store.port),
        )
    };
    tokio::time::timeout(TIMEOUT, attempt)
        .await
        .unwrap_or_else(|_| Err(silent()))
        .map_err(|problem| refused(&problem))
}

/// The worker's reasons, with remedies for someone at a command line.
fn refused(problem: &Problem) -> ConnectError {
    let (what, remedy) = match problem.reason {
        Reason::AuthenticationFailed => (
            "the server does not let this user in",
            "Check user and password (--password-file FILE, PGPASSWORD, or in the URL) and the server's pg_hba.conf",
        ),
        Reason::UnknownDatabase => ("there is no such database", "Check the name at the end of the URL"),
        Reason::MissingGrant => (
            "this user may not connect to the database",
            "GRANT CONNECT ON DATABASE ... TO the user",
        ),
        Reason::PoolerDetected => (
            "there seems to be a pooler between, which refuses start-up options",
            "Name the server itself in the URL",
        ),
        Reason::CertificateNotTrusted => (
            "the server's certificate is not trusted",
            "Check that --ca is the authority that signed it, and that it names the host of the URL",
        ),
        Reason::TlsNotOffered => (
            "the server does not offer TLS",
            "Switch it on there, or say --insecure-no-tls if everyone on the network may read it",
        ),
        Reason::InvalidCertificateAuthority => (
            "the file of --ca is no certificate authority",
            "It must hold PEM certificates and be readable",
        ),
        _ => (
            "the server cannot be reached",
            "Check host and port, and that the server is up and listens there",
        ),
    };
    ConnectError::Refused {
        what,
        detail: problem.detail.clone(),
        remedy,
    }
}
