//! `privacy-operator operator`: keeps the promises of a cluster.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

use crate::clock;
use crate::controller::readiness::{self, Readiness};
use crate::controller::{self, Context, Health, Scopes, cluster_encryption};
use crate::http;
use crate::lease::Elector;
use crate::metrics::Metrics;
use crate::plan::settings::{WorkerSettings, canonical_quantity};
use crate::telemetry::{self, LogFormat};

/// Pause between looks at the CRDs while they are missing, and while they are there.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// Watch the policies of a cluster and keep them. Runs in the cluster, or against the current kubectl context.
#[derive(clap::Args)]
pub struct Arguments {
    /// Image of worker pods; it must be of the same release as this operator.
    #[arg(long, env = "WORKER_IMAGE")]
    worker_image: String,

    /// When worker pods pull their image.
    #[arg(long, env = "WORKER_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    worker_image_pull_policy: String,

    /// CPU that a worker pod requests.
    #[arg(long, env = "WORKER_CPU_REQUEST", default_value = "50m", value_parser = quantity)]
    worker_cpu_request: String,

    /// Memory that a worker pod requests.
    #[arg(long, env = "WORKER_MEMORY_REQUEST", default_value = "32Mi", value_parser = quantity)]
    worker_memory_request: String,

    /// CPU limit of a worker pod. Empty: none.
    #[arg(long, env = "WORKER_CPU_LIMIT", default_value = "", value_parser = quantity_or_none)]
    worker_cpu_limit: String,

    /// Memory limit of a worker pod. Empty: none.
    #[arg(long, env = "WORKER_MEMORY_LIMIT", default_value = "64Mi", value_parser = quantity_or_none)]
    worker_memory_limit: String,

    /// Memory limit of a worker pod that exports a person's data. Empty: none.
    #[arg(long, env = "EXPORT_MEMORY_LIMIT", default_value = "128Mi", value_parser = quantity_or_none)]
    export_memory_limit: String,

    /// Namespaces to watch, separated by commas. Empty: all.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,

    /// The operator's own namespace, where its Lease is.
    #[arg(long, env = "POD_NAMESPACE", default_value = "privacy-operator")]
    namespace: String,

    /// Name of this replica, in its Lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "")]
    identity: String,

    /// Let one of several replicas lead. Only for trials on one's own machine is it safe to say false.
    #[arg(long, env = "LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,

    /// Name of the Lease by which replicas find their leader.
    #[arg(long, env = "LEASE_NAME", default_value = "privacy-operator")]
    lease_name: String,

    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, env = "METRICS_ADDRESS", default_value = ":8080", value_parser = http::address)]
    metrics_address: SocketAddr,

    /// The chart has given the rights that a ClusterEncryption needs.
    #[arg(long, env = "ENCRYPTION", default_value_t = false, action = clap::ArgAction::Set)]
    encryption: bool,

    /// Seconds from the agreement of all API servers to the first write of every object: a write that began before the
    /// last of them changed its file may still commit. Less than 120 is for trials only.
    #[arg(long, hide = true, default_value_t = 120)]
    encryption_settle_seconds: u32,

    /// Milliseconds between two looks while a rotation is under way.
    #[arg(long, hide = true, default_value_t = 10_000)]
    encryption_pace_milliseconds: u64,

    /// Where agents are, as NODE=ADDRESS:PORT, separated by commas, instead of in pods. For trials.
    #[arg(long, hide = true, value_delimiter = ',')]
    encryption_agents: Vec<String>,

    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,

    /// Which log lines are written: error, warn, info, debug or trace, or by module as in info,kube=debug.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    log_level: String,
}

fn quantity(text: &str) -> Result<String, String> {
    canonical_quantity(text).ok_or_else(|| format!("`{text}` is not a quantity; write one such as 50m, 0.5 or 64Mi"))
}

fn quantity_or_none(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Ok(String::new())
    } else {
        quantity(text)
    }
}

/// Why the operator ended.
#[derive(thiserror::Error, Debug)]
enum Failure {
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    #[error("--metrics-address {0} cannot be opened: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("there is no way to a cluster: {0}; run in one, or set KUBECONFIG")]
    Cluster(String),
    #[error("the lead is lost; the next start takes part in the election again")]
    LeadLost,
}

/// Runs the operator until it is told to stop.
pub fn run(arguments: Arguments) -> ExitCode {
    if let Err(message) = telemetry::start(arguments.log_format, &arguments.log_level) {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(operate(arguments)));
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn operate(arguments: Arguments) -> Result<(), Failure> {
    let stop = signalled()?;
    let listener = http::bind(arguments.metrics_address)
        .await
        .map_err(|error| Failure::Listen(arguments.metrics_address, error))?;
    let config = kube::Config::infer()
        .await
        .map_err(|error| Failure::Cluster(error.to_string()))?;
    let client = Client::try_from(config.clone()).map_err(|error| Failure::Cluster(error.to_string()))?;
    let encryption = Arc::new(encryption_settings(&arguments, config));
    let metrics = Arc::new(Metrics::new(clock::now));
    let readiness = Readiness::waiting("starting: the CRDs have not been looked at yet");
    let health = Arc::new(Health::default());
    let told = http::Told {
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        health: health.clone(),
        now: clock::now,
    };
    let server = tokio::spawn(http::run(listener, told, stop.clone()));
    let looking = tokio::spawn(look_at_crds(client.clone(), readiness.clone()));

    let identity = identity(&arguments.identity);
    let mut elector = Elector::new(
        client.clone(),
        &arguments.namespace,
        &arguments.lease_name,
        &identity,
        clock::now,
    );
    let started = async {
        until_ready(&readiness).await;
        if arguments.leader_elect {
            elector.acquire().await;
        }
    };
    let outcome = tokio::select! {
        () = stop.clone() => Ok(()),
        () = started => lead(&arguments, client, &mut elector, stop.clone(), Parts { metrics, health, identity, encryption }).await,
    };
    looking.abort();
    server.abort();
    outcome
}

/// What the controllers need besides the cluster.
struct Parts {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    identity: String,
    encryption: Arc<cluster_encryption::Settings>,
}

/// Runs the controllers as long as this replica leads and nobody asks it to stop.
async fn lead(
    arguments: &Arguments,
    client: Client,
    elector: &mut Elector,
    stop: controller::Shutdown,
    parts: Parts,
) -> Result<(), Failure> {
    let leadership = elector.leadership();
    let elects = arguments.leader_elect;
    let (lost_sender, lost) = tokio::sync::oneshot::channel::<()>();
    let lost = lost.map(drop).shared();
    let until = futures::future::select(stop, lost.clone()).map(drop).boxed().shared();
    let context = |stores: controller::Stores| {
        parts.metrics.watch(stores.clone());
        Arc::new(Context {
            client: client.clone(),
            worker: worker_settings(arguments),
            metrics: parts.metrics.clone(),
            stores,
            health: parts.health.clone(),
            may_write: Arc::new(move || !elects || leadership.may_write()),
            now: clock::now,
            instance: parts.identity.clone(),
            backoff: Mutex::default(),
            encryption: parts.encryption.clone(),
            scopes: scopes(arguments),
            planning: tokio::sync::RwLock::default(),
        })
    };
    tracing::info!(namespaces = ?arguments.watch_namespaces, "watching");
    let scopes = scopes(arguments);
    let controllers = controller::run(client.clone(), &scopes, until, context);
    let was_lost = if elects {
        let mut controllers = std::pin::pin!(controllers);
        let kept = tokio::select! {
            () = &mut controllers => true,
            () = elector.keep() => false,
        };
        if !kept {
            let _ = lost_sender.send(());
            controllers.await;
        }
        !kept
    } else {
        controllers.await;
        drop(lost_sender);
        false
    };
    if was_lost {
        return Err(Failure::LeadLost);
    }
    if elects {
        elector.release().await;
    }
    Ok(())
}

fn worker_settings(arguments: &Arguments) -> WorkerSettings {
    WorkerSettings {
        image: arguments.worker_image.clone(),
        image_pull_policy: arguments.worker_image_pull_policy.clone(),
        cpu_request: arguments.worker_cpu_request.clone(),
        cpu_limit: arguments.worker_cpu_limit.clone(),
        memory_request: arguments.worker_memory_request.clone(),
        memory_limit: arguments.worker_memory_limit.clone(),
        export_memory_limit: arguments.export_memory_limit.clone(),
        operator_namespace: arguments.namespace.clone(),
    }
}

fn encryption_settings(arguments: &Arguments, config: kube::Config) -> cluster_encryption::Settings {
    cluster_encryption::Settings {
        config,
        enabled: arguments.encryption,
        settle: jiff::SignedDuration::from_secs(i64::from(arguments.encryption_settle_seconds)),
        pace: Duration::from_millis(arguments.encryption_pace_milliseconds),
        agents: arguments.encryption_agents.clone(),
        clients: Mutex::default(),
    }
}

fn scopes(arguments: &Arguments) -> Scopes {
    let mut names: Vec<String> = arguments
        .watch_namespaces
        .iter()
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        Scopes::All
    } else {
        Scopes::Namespaces(names)
    }
}

/// The given name, or one that no other replica has.
fn identity(given: &str) -> String {
    if given.is_empty() {
        format!(
            "privacy-operator-{}-{}",
            std::process::id(),
            clock::now().as_nanosecond()
        )
    } else {
        given.to_owned()
    }
}

/// Comes with SIGTERM or SIGINT.
fn signalled() -> Result<controller::Shutdown, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop; running reconciles come to their end");
        let _ = sender.send(());
    });
    Ok(receiver.map(drop).boxed().shared())
}

/// Looks at the CRDs for as long as the process lives, and says once what is wrong.
async fn look_at_crds(client: Client, readiness: Readiness) {
    loop {
        let reason = readiness::check(&client).await;
        let ready = reason.is_none();
        if readiness.set(reason.clone()) {
            match reason {
                None => tracing::info!("the CRDs are those of this release"),
                Some(reason) => tracing::error!("not ready: {reason}"),
            }
        }
        tokio::time::sleep(if ready { LOOK_AGAIN.1 } else { LOOK_AGAIN.0 }).await;
    }
}

async fn until_ready(readiness: &Readiness) {
    while readiness.reason().is_some() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(flags: &[&str]) -> Result<Arguments, clap::Error> {
        let all = ["operator", "--worker-image=i"].iter().chain(flags);
        Command::try_parse_from(all).map(|command| command.arguments)
    }

    #[test]
    fn the_flags_of_the_chart_are_understood() {
        let arguments = parse(&[
            "--worker-image-pull-policy=IfNotPresent",
            "--worker-cpu-request=0.05",
            "--worker-memory-request=32Mi",
            "--worker-memory-limit=65536Ki",
            "--watch-namespaces=b,a,b",
            "--lease-name=x",
            "--metrics-address=:8080",
            "--log-format=json",
            "--log-level=info,kube=debug",
        ])
        .unwrap();
        let settings = worker_settings(&arguments);
        assert_eq!(
            (settings.cpu_request.as_str(), settings.memory_limit.as_str()),
            ("50m", "64Mi")
        );
        assert_eq!(
            scopes(&arguments),
            Scopes::Namespaces(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn without_namespaces_the_whole_cluster_is_watched() {
        assert_eq!(scopes(&parse(&[]).unwrap()), Scopes::All);
        assert_eq!(scopes(&parse(&["--watch-namespaces="]).unwrap()), Scopes::All);
    }

    #[test]
    fn what_is_wrong_with_a_quantity_is_said() {
        let error = parse(&["--worker-cpu-request=much"]).err().unwrap().to_string();
        assert!(error.contains("`much` is not a quantity"), "{error}");
    }
}
