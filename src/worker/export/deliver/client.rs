//! HTTP for the object store, on the libraries that the Kubernetes client uses too: one TLS library, one HTTP library.
//! (The store's own client would bring a second of each.)

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};

use crate::contract::{Problem, Reason};
use crate::worker::connection;

/// An answer that takes longer than this will not come. A part of 8 MiB passes in it at 140 kB a second.
const PATIENCE: Duration = Duration::from_mins(1);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Makes the one client.
#[derive(Debug, Clone)]
pub struct Connector {
    client: Arc<Transport>,
}

#[derive(Debug)]
struct Transport {
    client: Client<HttpsConnector<Tcp>, HttpRequestBody>,
}

impl Connector {
    /// A client that trusts one authority, or those of the image.
    pub fn new(encrypted: bool, ca: Option<&Path>) -> Result<Self, Problem> {
        let mut tcp = Tcp::new();
        tcp.set_connect_timeout(Some(CONNECT_PATIENCE));
        tcp.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls(encrypted, ca)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(https);
        Ok(Self {
            client: Arc::new(Transport { client }),
        })
    }

    /// The client, for requests that the library does not know.
    pub fn client(&self) -> HttpClient {
        HttpClient::new(Shared(Arc::clone(&self.client)))
    }
}

fn tls(encrypted: bool, ca: Option<&Path>) -> Result<rustls::ClientConfig, Problem> {
    let field = "delivery.objectStore.caSecretRef";
    if let Some(path) = ca {
        return connection::tls_config(path).map_err(|problem| Problem {
            field: field.to_owned(),
            ..problem
        });
    }
    let cannot = |detail: &str| Problem::new(Reason::InvalidCertificateAuthority, field, detail);
    let mut roots = rustls::RootCertStore::empty();
    if encrypted {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(cannot("none is named, and the image holds none"));
        }
    }
    Ok(
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| cannot("TLS cannot be set up"))?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.client())
    }
}

#[derive(Debug)]
struct Shared(Arc<Transport>);

#[async_trait::async_trait]
impl HttpService for Shared {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(PATIENCE, self.0.client.request(request)).await;
        let answer = answer
            .map_err(|elapsed| HttpError::new(HttpErrorKind::Timeout, elapsed))?
            .map_err(|error| {
                let kind = if error.is_connect() {
                    HttpErrorKind::Connect
                } else {
                    HttpErrorKind::Request
                };
                HttpError::new(kind, error)
            })?;
        let (parts, body) = answer.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}
