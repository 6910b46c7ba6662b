//! The operator's HTTP server: `/livez`, `/readyz`, `/metrics`.

use std::future::Future;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, serve};
use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::controller::Health;
use crate::controller::readiness::Readiness;
use crate::metrics::Metrics;

/// What the server tells about.
#[derive(Clone)]
pub struct Told {
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the CRDs are there.
    pub readiness: Readiness,
    /// Whether reconciles come to an end.
    pub health: Arc<Health>,
    /// The time.
    pub now: fn() -> Timestamp,
}

/// Reads an address; `:8080` is every address of this machine.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let error = |_| format!("`{text}` is not an address; write one such as :8080 or 127.0.0.1:8080");
    match text.strip_prefix(':') {
        Some(port) => port
            .parse::<u16>()
            .map(|port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
            .map_err(|_| format!("`{text}` is not an address; write one such as :8080 or 127.0.0.1:8080")),
        None => text.parse().map_err(error),
    }
}

/// Opens the port. Where the machine has no IPv6, every address of IPv4 is meant.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip().is_unspecified() && address.is_ipv6() => {
            TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// Serves until `shutdown`.
pub async fn run(
    listener: TcpListener,
    told: Told,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    serve(listener, router(told)).with_graceful_shutdown(shutdown).await
}

fn router(told: Told) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(told)
}

async fn livez(State(told): State<Told>) -> Response {
    if told.health.is_stuck((told.now)()) {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "a reconcile has not come to its end for ten minutes\n",
        )
            .into_response()
    } else {
        "ok\n".into_response()
    }
}

async fn readyz(State(told): State<Told>) -> Response {
    match told.readiness.reason() {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(told): State<Told>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match told.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures;

    fn told(readiness: Readiness) -> Told {
        Told {
            metrics: Arc::new(Metrics::new(fixtures::now)),
            readiness,
            health: Arc::default(),
            now: fixtures::now,
        }
    }

    #[test]
    fn an_address_may_leave_out_the_host() {
        assert_eq!(address(":8080").unwrap().port(), 8080);
        assert!(address(":8080").unwrap().ip().is_unspecified());
        assert_eq!(address("127.0.0.1:9").unwrap().to_string(), "127.0.0.1:9");
        assert!(address("8080").is_err());
        assert!(address(":x").is_err());
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing_and_liveness_does_not_depend_on_it() {
        let told = told(Readiness::waiting("CRDMissing: x"));
        assert_eq!(
            readyz(State(told.clone())).await.status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(livez(State(told.clone())).await.status(), StatusCode::OK);
        assert!(told.readiness.set(None));
        assert_eq!(readyz(State(told.clone())).await.status(), StatusCode::OK);
        assert_eq!(metrics(State(told)).await.status(), StatusCode::OK);
    }
}
