//! `privacy-operator check`: files judged before anybody applies them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::files::{FileError, read_texts};
use super::output::{Output, print, print_json};
use crate::api::findings::Severity;
use crate::check::{Outcome, check};
use crate::domain::comment::single_line;

/// Judge objects of files without a cluster: schema, rules of the CRDs, what they name among each other, gaps in the
/// record of processing. Every rule of a policy is printed as a sentence beside the promise that it keeps.
#[derive(clap::Args)]
pub struct Arguments {
    /// YAML files with objects of this project, in any order; `-` reads standard input.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,

    /// `text` for people, `json` for programs.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Fails when something is wrong.
pub fn run(arguments: &Arguments) -> ExitCode {
    match outcome(arguments) {
        Err(error) => {
            eprintln!("error: {}", single_line(&error.to_string()));
            ExitCode::FAILURE
        }
        Ok(outcome) => {
            let printed = match arguments.output {
                Output::Text => print(&text(&outcome)),
                Output::Json => print_json(&outcome),
            };
            let doubts = |complaint: &crate::check::Complaint| complaint.finding.severity == Severity::Warning;
            let failed = outcome.has_errors() || arguments.strict && outcome.complaints.iter().any(doubts);
            if failed { ExitCode::FAILURE } else { printed }
        }
    }
}

fn outcome(arguments: &Arguments) -> Result<Outcome, FileError> {
    Ok(check(&read_texts(&arguments.files)?, crate::clock::now()))
}

fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    for remark in &outcome.remarks {
        let _ = writeln!(text, "note: {}", single_line(remark));
    }
    for rule in &outcome.rules {
        let _ = writeln!(text, "\n{}/{}\n  {}", rule.policy, rule.rule, rule.sentence.en);
        if let Some((clause, quote)) = &rule.promise {
            let _ = writeln!(text, "  promised in {clause}: “{}”", single_line(quote));
        }
    }
    let mut object = "";
    for complaint in &outcome.complaints {
        if complaint.object != object {
            object = &complaint.object;
            let _ = writeln!(text, "\n{}", single_line(object));
        }
        let finding = &complaint.finding;
        let field = if finding.field.is_empty() {
            String::new()
        } else {
            format!("{}: ", finding.field)
        };
        let _ = write!(
            text,
            "  {} {}: {field}{}",
            finding.severity.as_str(),
            finding.reason,
            single_line(&finding.message)
        );
        let remedy = if finding.remedy.is_empty() {
            String::new()
        } else {
            format!(". {}", finding.remedy)
        };
        let _ = writeln!(text, "{}", single_line(&remedy));
    }
    let count = |severity: Severity| {
        outcome
            .complaints
            .iter()
            .filter(|complaint| complaint.finding.severity == severity)
            .count()
    };
    let _ = writeln!(
        text,
        "\n{} objects: {} errors, {} warnings, {} remarks",
        outcome.objects,
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Info)
    );
    text
}
