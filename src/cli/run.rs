//! Arguments of `run`: a policy against its store, without a cluster.

mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::files::{FileError, password, read_manifests};
use super::output::{Output, print, print_json};
use crate::api::data_retention_policy::Mode;
use crate::contract::{Problem, RunResult, Store, WorkPlan, WorkReport};
use crate::discover::connect::{ConnectError, Target};
use crate::domain::comment::single_line;
use crate::grants::Manifests;
use crate::plan::by_hand::planned;
use crate::plan::sentences::sentence;
use crate::plan::work_plan::Planned;
use crate::worker::ByHand;
use crate::worker::connection::Credentials;
use crate::worker::explain::{ExplainedRule, Wanted};

/// Run a policy of the files against its store, without a cluster: count (Observe) or dispose (Enforce), as of now or as
/// of another instant, and say of single rows why they are due. Keys and dates of rows are printed: mind who reads along.
#[derive(clap::Args)]
pub struct Arguments {
    /// YAML files with `DataSource`, `DataRetentionPolicy` and `LegalHold` objects, in any order; `-` reads standard input.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// The policy, where the files have several.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,

    /// Judge rows as of this instant, such as 2026-03-01T09:00:00+01:00. Default: the store's clock.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,

    /// `Observe` counts and writes nothing; `Enforce` disposes. The mode in the files does not count.
    #[arg(long, value_enum, default_value_t = ModeArgument::Observe)]
    mode: ModeArgument,

    /// Allow Enforce as of an instant that has not come yet: rows go that must stay today. For copies made for trying.
    #[arg(long)]
    on_a_copy: bool,

    /// Due rows that are shown of each rule.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=100_000))]
    rows: i64,

    /// Explain this row instead, due or not: its primary key, the columns of a longer key separated by commas.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    explain: Option<Vec<String>>,

    /// Where the database is reached from here: `postgres://USER@HOST:PORT/DATABASE`. Default: as in the `DataSource`, with
    /// the user of the variable PGUSER.
    #[arg(long)]
    url: Option<String>,

    /// File with the password. Otherwise the variable PGPASSWORD or the URL, which other users of this machine may see.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Directory with who is meant by `subjectSecretRef` of a hold: a directory with the name of each Secret, in it a file for
    /// each identity.
    #[arg(long, value_name = "DIRECTORY")]
    holds: Option<PathBuf>,

    /// Directory with the keys of masks that pseudonymise: a directory with the name of each Secret, in it a file for each key.
    /// Observe needs none.
    #[arg(long, value_name = "DIRECTORY")]
    keys: Option<PathBuf>,

    /// File (PEM) with the authority that signed the server's certificate; certificate and host name are verified.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_no_tls")]
    ca: Option<PathBuf>,

    /// Connect without TLS: everyone on the way can read the password and what the run reads.
    #[arg(long)]
    insecure_no_tls: bool,

    /// `text` for people, `json` for programs.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
#[value(rename_all = "PascalCase")]
enum ModeArgument {
    Observe,
    Enforce,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("there is no DataRetentionPolicy in the files")]
    NoPolicy,
    #[error("the files have {0} policies ({1}): choose one with --policy NAME")]
    SeveralPolicies(usize, String),
    #[error("--policy {0}: the files have {1}")]
    UnknownPolicy(String, String),
    #[error("the policy is refused, as the operator would refuse it: {0}")]
    Invalid(String),
    #[error(
        "--mode Enforce --as-of {0}: that instant has not come yet, so rows would go that must stay today; on a copy of the database made for trying, say --on-a-copy"
    )]
    NotYet(Timestamp),
    #[error("PGUSER is not set: name the user there, or in --url postgres://USER@HOST:PORT/DATABASE")]
    NoUser,
    #[error("the DataSource asks for TLS: name the certificate authority with --ca FILE")]
    NoCertificateAuthority,
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Target(#[from] ConnectError),
    #[error("{}: {} {}", .0.reason.as_str(), .0.detail, .0.reason.remedy())]
    Store(Problem),
}

/// What is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    policy: String,
    /// The instant by which rows were judged; none: the store's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
    sentences: Vec<NamedSentence>,
    /// Before the run. With `--explain` there is no run.
    explained: Vec<ExplainedRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<WorkReport>,
}

/// A rule in words.
#[derive(Serialize)]
struct NamedSentence {
    rule: String,
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<String>,
}

/// Runs, prints to standard output, and fails when the run did.
pub fn run(arguments: &Arguments, now: fn() -> Timestamp) -> ExitCode {
    let outcome = match execute(arguments, now) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("error: {}", single_line(&error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let printed = match arguments.output {
        Output::Text => print(&text::text(&outcome)),
        Output::Json => print_json(&outcome),
    };
    let failed = |report: &WorkReport| matches!(report.result, RunResult::Failed | RunResult::Halted);
    let unexplained = outcome.explained.iter().any(|rule| rule.problem.is_some());
    if unexplained || outcome.report.as_ref().is_some_and(failed) {
        ExitCode::FAILURE
    } else {
        printed
    }
}

fn execute(arguments: &Arguments, now: fn() -> Timestamp) -> Result<Outcome, Error> {
    let manifests = read_manifests(&arguments.files)?;
    let as_of = arguments.as_of;
    let mode = match arguments.mode {
        ModeArgument::Observe => Mode::Observe,
        ModeArgument::Enforce => Mode::Enforce,
    };
    if mode == Mode::Enforce
        && !arguments.on_a_copy
        && let Some(later) = as_of.filter(|as_of| *as_of > now())
    {
        return Err(Error::NotYet(later));
    }
    let planned = planned_policy(arguments, &manifests, as_of.unwrap_or_else(now))?;
    let mut plan = planned.work_plan.clone();
    plan.mode = mode;
    let (store, credentials, ca) = place(arguments, &plan)?;
    plan.store = store;
    let by_hand = ByHand {
        plan: &plan,
        plan_hash: &planned.plan_hash,
        credentials,
        ca,
        // Where nothing is: a hold on a person then says which Secret it misses.
        holds: arguments.holds.clone().unwrap_or_else(|| PathBuf::from("/dev/null")),
        keys: arguments.keys.clone(),
        as_of,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let wanted = arguments
        .explain
        .clone()
        .map_or(Wanted::Due(arguments.rows), Wanted::Key);
    let (explained, report) = runtime.block_on(async {
        let explained = by_hand.explain(&wanted, now).await.map_err(Error::Store)?;
        let report = match wanted {
            Wanted::Due(_) => Some(by_hand.run(now).await),
            Wanted::Key(_) => None,
        };
        Ok::<_, Error>((explained, report))
    })?;
    Ok(Outcome {
        policy: planned.validated.name.clone(),
        as_of,
        sentences: sentences(&planned),
        explained,
        report,
    })
}

fn planned_policy(arguments: &Arguments, manifests: &Manifests, now: Timestamp) -> Result<Planned, Error> {
    let names: Vec<&str> = manifests.policies.iter().map(|policy| policy.name.as_str()).collect();
    let chosen = match (&arguments.policy, &manifests.policies[..]) {
        (_, []) => return Err(Error::NoPolicy),
        (None, [one]) => one,
        (None, several) => return Err(Error::SeveralPolicies(several.len(), names.join(", "))),
        (Some(name), all) => all
            .iter()
            .find(|policy| policy.name == *name)
            .ok_or_else(|| Error::UnknownPolicy(name.clone(), names.join(", ")))?,
    };
    let policies: Vec<_> = manifests.policies.iter().map(|policy| &policy.object).collect();
    let sources: Vec<_> = manifests.sources.iter().map(|source| &source.object).collect();
    let holds: Vec<_> = manifests.holds.iter().map(|hold| &hold.object).collect();
    planned(&chosen.object, &policies, &sources, &holds, now).map_err(|mistakes| {
        let texts: Vec<String> = mistakes.iter().map(crate::plan::validated::Invalid::text).collect();
        Error::Invalid(texts.join(" | "))
    })
}

fn sentences(planned: &Planned) -> Vec<NamedSentence> {
    let of_rule = |rule: &crate::plan::validated::ValidatedRule| NamedSentence {
        rule: rule.spec.name.clone(),
        sentence: sentence(&rule.spec, &rule.table.to_string()).en,
        quote: rule.spec.promise.as_ref().map(|promise| promise.quote.clone()),
    };
    planned.validated.rules.iter().map(of_rule).collect()
}

/// Where the store is, as whom, and by which authority its certificate is judged.
#[allow(clippy::disallowed_methods, reason = "what comes from the environment comes in here")]
fn place(arguments: &Arguments, plan: &WorkPlan) -> Result<(Store, Credentials, Option<PathBuf>), Error> {
    let password = password(arguments.password_file.as_deref())?;
    if let Some(url) = &arguments.url {
        let target = Target::new(
            url,
            password.as_deref(),
            arguments.ca.clone(),
            arguments.insecure_no_tls,
        )?;
        let credentials = target.credentials().ok_or(Error::NoUser)?;
        return Ok((target.store(), credentials, target.certificate_authority()));
    }
    let mut store = plan.store.clone();
    if arguments.insecure_no_tls {
        store.verify_tls = false;
    }
    if store.verify_tls && arguments.ca.is_none() {
        return Err(Error::NoCertificateAuthority);
    }
    let credentials = Credentials {
        username: std::env::var("PGUSER").map_err(|_| Error::NoUser)?,
        password: password.unwrap_or_default(),
    };
    let ca = arguments.ca.clone().filter(|_| store.verify_tls);
    Ok((store, credentials, ca))
}
