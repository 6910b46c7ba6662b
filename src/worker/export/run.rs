//! One export from beginning to end.

use std::time::Duration;

use jiff::Timestamp;

use super::Settings;
use super::archive::Archive;
use super::context::Context;
use super::deliver::Place;
use super::fault::Fault;
use super::send::Delivered;
use super::store::StoreSnapshot;
use super::subject::{self, Subject};
use super::{coverage, csv, html, json, manifest, recipient, secret};
use crate::contract::Problem;
use crate::contract::export::{self as plan, Coverage, ExportPlan, ExportReport, ExportResult, ExportStore, Format};
use crate::contract::progress::Step;
use crate::worker::connection::Credentials;
use crate::worker::guard::Guard;
use crate::worker::progress::Progress;
use crate::worker::session::Access;

/// What an export found and did so far.
#[derive(Default)]
struct Findings {
    collected_at: Option<Timestamp>,
    rows: i64,
    coverage: Coverage,
    archive: Option<plan::Archive>,
}

/// Exports.
pub async fn run(
    settings: &Settings,
    plan: &ExportPlan,
    plan_hash: String,
    now: fn() -> Timestamp,
    live: &Progress,
) -> ExportReport {
    let started_at = now();
    let active = Duration::from_secs(u64::try_from(plan.active_deadline_seconds).unwrap_or(0));
    let guard = Guard::new(settings.stop.clone(), active);
    let watcher = tokio::spawn(crate::worker::note_termination(guard.clone()));
    let mut findings = Findings::default();
    // Boxed: it is large, and there is one.
    let ended = Box::pin(export(settings, plan, &guard, (now, active), live, &mut findings)).await;
    watcher.abort();
    let (result, problem) = match ended {
        Ok(()) if findings.archive.is_some() => (ExportResult::Delivered, None),
        Ok(()) => (ExportResult::SubjectNotFound, None),
        Err(Fault::Stop(problem)) => (ExportResult::Halted, Some(problem)),
        Err(Fault::Problem(problem)) => (ExportResult::Failed, Some(problem)),
    };
    ExportReport {
        version: plan::VERSION,
        plan_hash,
        result,
        started_at,
        finished_at: now(),
        collected_at: findings.collected_at,
        rows: findings.rows,
        coverage: findings.coverage,
        archive: findings.archive,
        problem,
    }
}

async fn export(
    settings: &Settings,
    plan: &ExportPlan,
    guard: &Guard,
    (now, active): (fn() -> Timestamp, Duration),
    live: &Progress,
    findings: &mut Findings,
) -> Result<(), Fault> {
    go_on(guard)?;
    // Keys and person first: with a wrong one nothing is read.
    let recipients = recipient::recipients(&plan.sealing)?;
    let key = subject::hash_key(&settings.hash_key, &plan.subject)?;
    let subject = Subject::read(&settings.subject, &plan.subject)?;
    subject::check(&subject.tag(&key, &plan.namespace_uid), &plan.expected)?;
    let place = Place::open(&plan.delivery, &settings.delivery)?;
    let access: Vec<Access> = plan
        .stores
        .iter()
        .enumerate()
        .map(|(index, store)| access(settings, index, store))
        .collect::<Result<_, _>>()?;

    // All snapshots before the first row, so that their times are close.
    let mut stores = Vec::with_capacity(plan.stores.len());
    for (store, access) in plan.stores.iter().zip(&access) {
        go_on(guard)?;
        stores.push(StoreSnapshot::open(store, access, plan.right, &plan.activities, active, now).await?);
    }
    findings.collected_at = stores.first().map(|store| store.collected_at);
    live.step(Step::Collecting, 0, None);
    for store in &mut stores {
        store.walk(&subject, guard, live).await?;
    }
    let found = stores
        .iter()
        .flat_map(|store| &store.walked)
        .any(|walked| walked.rows > 0);
    let context = Context {
        plan,
        stores: &stores,
        subject: &subject,
        guard,
    };
    findings.rows = context.parts().map(|part| part.rows()).sum();
    findings.coverage = coverage::counts(&context);
    if !found {
        return Ok(());
    }

    let sink = place.begin().await?;
    let largest = u64::try_from(plan.largest_bytes).unwrap_or(0);
    let mut archive = Archive::begin(&recipients, sink, largest, live)?;
    if let Err(fault) = write(&context, &mut archive).await {
        Box::pin(archive.abort()).await;
        return Err(fault);
    }
    let files = i64::try_from(archive.members().len()).unwrap_or(i64::MAX);
    let content_sha256 = archive.content_sha256();
    // From here on the archive appears or not; to stop now would only leave that open.
    let Delivered { bytes, parts, sha256 } = Box::pin(archive.finish()).await?;
    findings.archive = Some(plan::Archive {
        location: place.location(),
        bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        parts: i64::try_from(parts).unwrap_or(i64::MAX),
        sha256,
        content_sha256,
        files,
    });
    Ok(())
}

/// Writes the members, the list of them last.
async fn write(context: &Context<'_>, archive: &mut Archive) -> Result<(), Fault> {
    context.go_on()?;
    if context.has(Format::Html) {
        html::write(context, archive).await?;
    }
    if context.has(Format::Json) {
        json::write(context, archive).await?;
    }
    if context.has(Format::Csv) {
        csv::write(context, archive).await?;
    }
    json::write_files(context, archive).await?;
    manifest::write(context, archive).await?;
    context.go_on()
}

fn go_on(guard: &Guard) -> Result<(), Fault> {
    guard.stop().map_or(Ok(()), |reason| Err(Fault::stop(reason)))
}

/// Credentials and certificate authority of a store.
fn access(settings: &Settings, index: usize, store: &ExportStore) -> Result<Access, Problem> {
    let directory = settings.stores.join(index.to_string());
    let field = |name: &str| format!("DataSource {}: postgres.{name}", store.name);
    let credentials = directory.join("credentials");
    let read = |key: &str| {
        secret::required_text(
            &credentials,
            key,
            &store.credentials_secret,
            &field("credentialsSecretRef"),
        )
    };
    let ca = store.store.verify_tls.then(|| directory.join("ca/ca.crt"));
    if let Some(path) = &ca
        && !path.is_file()
    {
        let (name, key) = store.store.ca_secret.clone().unwrap_or_default();
        return Err(secret::missing(&name, &key, &field("tls.caSecretRef")));
    }
    Ok(Access {
        credentials: Credentials {
            username: read("username")?,
            password: read("password")?,
        },
        ca,
        run: settings.run.chars().take(60).collect(),
        holds: crate::worker::holds::Holds::default(),
        keys: crate::worker::pseudonymise::MaskKeys { directory: None },
    })
}
