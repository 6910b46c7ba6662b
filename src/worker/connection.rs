//! The connection to PostgreSQL, and the only place where its errors are looked at.
//!
//! The text of a server's error carries personal data (`Key (email)=(...)`). Only the SQLSTATE and the names of schema,
//! table, column and constraint leave this module, as a [`StoreError`]; never message, detail, hint or context.

use std::error::Error as _;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::judge::quoted;
use crate::contract::{Problem, Reason, Store};

/// How long to wait for the server to answer when connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What every session is pinned to. `search_path`: a planted operator or function is never found. `row_security`: rows
/// that a policy hides become an error. `enable_seqscan`, `jit`: batches keep to their window even when the statistics are
/// stale. `max_parallel_workers_per_gather`: no more than one core is taken from everybody else. `standard_conforming_strings`: our literals mean what they say. `client_min_messages`: what code of the tables'
/// owners says is not even sent. `tcp_keepalives`: the locks of a worker whose node is gone end within two minutes.
pub const SESSION_SETTINGS: &[(&str, &str)] = &[
    ("search_path", "pg_catalog,pg_temp"),
    ("row_security", "off"),
    ("lock_timeout", "100ms"),
    ("statement_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("tcp_keepalives_idle", "60"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "6"),
    ("datestyle", "ISO"),
    ("timezone", "UTC"),
    ("standard_conforming_strings", "on"),
    ("client_min_messages", "error"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("plan_cache_mode", "force_custom_plan"),
    ("default_transaction_isolation", "read committed"),
];

/// The settings as start-up options.
fn session_options() -> String {
    let options = SESSION_SETTINGS.iter().map(|(name, value)| {
        let value = value.replace(' ', "\\ ");
        format!("-c {name}={value}")
    });
    options.collect::<Vec<_>>().join(" ")
}

/// User name and password. They are never shown.
#[derive(Clone)]
pub struct Credentials {
    /// Role to log in as.
    pub username: String,
    /// Its password; empty where the server asks for none.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// An error of the store, stripped to what carries no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    /// SQLSTATE, where the server answered.
    pub code: Option<String>,
    /// The object it is about, as `schema.table.column` or a constraint.
    pub object: String,
    /// Whether the connection is gone.
    pub lost: bool,
}

impl StoreError {
    /// Strips an error.
    #[must_use]
    pub fn of(error: &tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            return Self {
                code: None,
                object: String::new(),
                lost: true,
            };
        };
        let parts = [
            database.schema(),
            database.table(),
            database.column(),
            database.constraint(),
        ];
        let code = database.code().code();
        Self {
            code: Some(code.to_owned()),
            object: parts.into_iter().flatten().collect::<Vec<_>>().join("."),
            // Class 08 and the shutdown codes end the session with the statement.
            lost: code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03"),
        }
    }

    /// Whether the server answered with this SQLSTATE.
    #[must_use]
    pub fn is(&self, state: &SqlState) -> bool {
        self.code.as_deref() == Some(state.code())
    }

    /// The problem to report, about a field of the spec.
    #[must_use]
    pub fn problem(&self, field: &str) -> Problem {
        let Some(code) = self.code.as_deref() else {
            return Problem::new(Reason::Unreachable, field, "the connection was lost");
        };
        let reason = match code {
            "42501" => Reason::MissingGrant,
            "42P01" => Reason::UnknownTable,
            "42703" => Reason::UnknownColumn,
            "25006" => Reason::ReadOnlyStore,
            "55P03" => Reason::RowsLocked,
            _ if code.starts_with("22") => Reason::InvalidValue,
            _ if self.lost => Reason::Unreachable,
            _ => Reason::StoreError,
        };
        let object = if self.object.is_empty() {
            String::new()
        } else {
            format!(" at {}", self.object)
        };
        Problem::new(reason, field, format!("SQLSTATE {code}{object}"))
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::of(&error)
    }
}

/// Connects, with every session setting pinned.
pub async fn connect(
    store: &Store,
    credentials: &Credentials,
    ca: Option<&Path>,
    application: &str,
) -> Result<Client, Problem> {
    let mut config = Config::new();
    config
        .host(&store.host)
        .port(store.port)
        .dbname(&store.database)
        .user(&credentials.username)
        .options(session_options())
        .application_name(application)
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(30));
    if !credentials.password.is_empty() {
        config.password(&credentials.password);
    }
    let connected = match ca {
        Some(path) => {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            let tls = MakeRustlsConnect::new(tls_config(path)?);
            let attempt = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(tls)).await;
            attempt.map(|result| result.map(|(client, connection)| (client, drive(connection))))
        }
        None => {
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
            let attempt = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await;
            attempt.map(|result| result.map(|(client, connection)| (client, drive(connection))))
        }
    };
    match connected {
        Ok(Ok((client, ()))) => Ok(client),
        Ok(Err(error)) => Err(connect_problem(&error, store)),
        Err(_) => Err(Problem::new(
            Reason::Unreachable,
            "postgres.host",
            format!("{}:{} does not answer", store.host, store.port),
        )),
    }
}

/// Runs the connection beside the client. Its error is seen by the client as a closed connection.
pub(crate) fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        // Notices and errors may carry data: they are dropped unread.
        let _ = connection.await;
    });
}

pub(crate) fn tls_config(ca: &Path) -> Result<rustls::ClientConfig, Problem> {
    let unreadable =
        |detail: &str| Problem::new(Reason::InvalidCertificateAuthority, "postgres.tls.caSecretRef", detail);
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca).map_err(|_| unreadable("the file cannot be read"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|_| unreadable("the PEM is damaged"))?;
        roots
            .add(certificate)
            .map_err(|_| unreadable("a certificate cannot be understood"))?;
    }
    if roots.is_empty() {
        return Err(unreadable("there is no certificate in it"));
    }
    Ok(
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| unreadable("TLS cannot be set up"))?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Why connecting failed, told from codes and types, never from the server's text.
pub(crate) fn connect_problem(error: &tokio_postgres::Error, store: &Store) -> Problem {
    let place = format!("{}:{}", store.host, store.port);
    if let Some(database) = error.as_db_error() {
        let code = database.code().code();
        let (reason, field) = match code {
            "28P01" | "28000" => (Reason::AuthenticationFailed, "postgres.credentialsSecretRef"),
            "3D000" => (Reason::UnknownDatabase, "postgres.database"),
            "42501" => (Reason::MissingGrant, "postgres.database"),
            // A pooler does not know our start-up options.
            "08P01" => (Reason::PoolerDetected, "postgres.host"),
            _ => (Reason::Unreachable, "postgres.host"),
        };
        let detail = match reason {
            Reason::MissingGrant => format!("GRANT CONNECT ON DATABASE {}", quoted(&store.database)),
            _ => format!("SQLSTATE {code} from {place}"),
        };
        return Problem::new(reason, field, detail);
    }
    let mut source = error.source();
    while let Some(cause) = source {
        let tls = cause.downcast_ref::<rustls::Error>().or_else(|| {
            cause
                .downcast_ref::<std::io::Error>()?
                .get_ref()?
                .downcast_ref::<rustls::Error>()
        });
        if let Some(tls) = tls {
            return Problem::new(
                Reason::CertificateNotTrusted,
                "postgres.tls",
                format!("{}: {place}", tls_fault(tls)),
            );
        }
        source = cause.source();
    }
    // The library has no type for it, but its own fixed text.
    let refused_tls = error
        .source()
        .is_some_and(|cause| cause.to_string() == "server does not support TLS");
    if refused_tls {
        return Problem::new(Reason::TlsNotOffered, "postgres.tls.mode", place);
    }
    // Without a password the library gives up on its own when the server asks for one.
    if error.to_string().starts_with("invalid configuration") {
        return Problem::new(
            Reason::AuthenticationFailed,
            "postgres.credentialsSecretRef",
            format!("the server at {place} asks for a password"),
        );
    }
    Problem::new(
        Reason::Unreachable,
        "postgres.host",
        format!("no connection to {place}"),
    )
}

fn tls_fault(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Fault;
    match error {
        rustls::Error::InvalidCertificate(Fault::UnknownIssuer) => "unknown issuer",
        rustls::Error::InvalidCertificate(Fault::Expired | Fault::ExpiredContext { .. }) => {
            "the certificate has expired"
        }
        rustls::Error::InvalidCertificate(Fault::NotValidForName | Fault::NotValidForNameContext { .. }) => {
            "the certificate names another host"
        }
        rustls::Error::InvalidCertificate(_) => "the certificate is not valid",
        _ => "the TLS handshake failed",
    }
}
