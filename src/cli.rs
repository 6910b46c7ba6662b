//! Arguments -> settings -> one of the programs.

mod agent;
mod check;
mod discover;
mod files;
mod grants;
mod migrate;
mod operator;
mod output;
mod recover;
mod register;
mod run;
mod service;
mod verify;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::api;

/// A Kubernetes operator that keeps a platform's privacy promises.
#[derive(Parser)]
#[command(name = "privacy-operator", version, about)]
struct Arguments {
    #[command(subcommand)]
    program: Program,
}

#[derive(Subcommand)]
enum Program {
    /// Print the custom resource definitions, for `kubectl apply --server-side -f -`.
    Crds,
    /// Watch the policies of a cluster and keep them.
    Operator(operator::Arguments),
    /// Execute a work plan against its store; started by the Jobs that the operator makes.
    Worker(worker::Arguments),
    /// Write the API server's encryption configuration on this node; started by the chart's DaemonSet.
    Agent(agent::Arguments),
    /// Write every object anew under the current key and prove it; started by the chart's Deployment.
    Migrate(migrate::Arguments),
    /// Rebuild the key Secret from an agent's files or from the sealed copy.
    Recover(recover::Arguments),
    /// Print a first `DataSource` and policy from the catalogue of a live database.
    Discover(discover::Arguments),
    /// Judge objects of files, without a cluster and without a store.
    Check(check::Arguments),
    /// Run a policy of files against its store, without a cluster.
    Run(run::Arguments),
    /// Print the SQL of exactly the role that the policies in the files need.
    Grants(grants::Arguments),
    /// Recompute from log lines whether what was disposed of is told without gap or change.
    Verify(verify::Arguments),
    /// Print the record of processing activities (Art. 30 GDPR), from files or from the cluster.
    Register(register::Arguments),
}

/// Runs the program that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::parse().program {
        Program::Crds => crds(),
        Program::Operator(arguments) => operator::run(arguments),
        Program::Worker(arguments) => worker::main(arguments),
        Program::Agent(arguments) => agent::run(arguments),
        Program::Migrate(arguments) => migrate::run(&arguments),
        Program::Recover(arguments) => recover::run(&arguments),
        Program::Discover(arguments) => discover::run(arguments),
        Program::Check(arguments) => check::run(&arguments),
        Program::Run(arguments) => run::run(&arguments, crate::clock::now),
        Program::Grants(arguments) => grants::run(&arguments),
        Program::Verify(arguments) => verify::run(&arguments),
        Program::Register(arguments) => register::run(&arguments),
    }
}

#[allow(clippy::print_stdout, reason = "the documents are the result of this program")]
fn crds() -> ExitCode {
    for crd in api::all_crds() {
        match serde_saphyr::to_string(&crd) {
            Ok(text) => println!("---\n{text}"),
            Err(error) => {
                eprintln!("cannot print the CRD: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
