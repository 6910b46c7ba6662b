//! `privacy-operator verify`: the proof of what was disposed of, recomputed from the logs of the runs alone.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::files::read_texts;
use super::output::{Output, print, print_json};
use crate::domain::comment::single_line;
use crate::plan::proof::{Chain, chains, pieces};

/// Recompute the hash chain of what policies disposed of, from the logs of their runs, without cluster and store: no line was
/// changed, none is missing. Rows of the ledger in a store do as well, as `SELECT row_to_json(l) FROM
/// privacy_operator.ledger l` prints them.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files with log lines of runs, and of the operator for policies that were deleted, in any order, of any number of policies; `-` reads standard input.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// `text` for people, `json` for programs.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Fails when a chain is broken, or when there is none.
pub fn run(arguments: &Arguments) -> ExitCode {
    let texts = match read_texts(&arguments.files) {
        Ok(texts) => texts,
        Err(error) => {
            eprintln!("error: {}", single_line(&error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let found = chains(texts.iter().flat_map(|(_, text)| pieces(text)).collect());
    if found.is_empty() {
        eprintln!(
            "error: no line of a ledger in these files: give the logs of runs that disposed of something, in a store with \
             the ledger that privacy-operator grants prints"
        );
        return ExitCode::FAILURE;
    }
    let printed = match arguments.output {
        Output::Text => print(&found.iter().map(text).collect::<String>()),
        Output::Json => print_json(&found),
    };
    if found.iter().all(|chain| chain.faults.is_empty()) {
        printed
    } else {
        ExitCode::FAILURE
    }
}

fn text(chain: &Chain) -> String {
    let verdict = if chain.faults.is_empty() {
        "the chain holds"
    } else {
        "THE CHAIN DOES NOT HOLD"
    };
    let totals = chain.totals;
    let withdrawn = if chain.withdrawn { " (policy withdrawn)" } else { "" };
    let mut text = format!(
        "{} (uid {}){withdrawn}: {verdict}\n  {} lines up to number {}; deleted {}, masked {}, set {}\n  head {}\n",
        single_line(&chain.policy),
        single_line(&chain.policy_uid),
        chain.lines,
        chain.last,
        totals.deleted,
        totals.masked,
        totals.set,
        single_line(&chain.head)
    );
    for fault in &chain.faults {
        let _ = writeln!(text, "  {fault}");
    }
    text
}
