//! `privacy-operator recover`: rebuilds the key Secret and the API servers' file after a loss.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::output;
use crate::encryption::custody::{Custody, FILE_KEY, NAMESPACE, RECORD_KEY, SECRET};
use crate::encryption::seal::open_escrow;

/// Rebuild the key Secret from an agent's files or from the sealed copy, and print it for kubectl apply -f -.
///
/// Every key that is found becomes readable again, and the rotation goes on from there. On a control-plane node, the
/// agent's records are in /etc/kubernetes/encryption/privacy-operator-history; take the one with the highest number of
/// all nodes. If the API servers' file is lost too, print it with --file and put it onto every control-plane node first.
#[derive(clap::Args)]
pub struct Arguments {
    /// A record of an agent: NUMBER.json, or the directory with all of them.
    #[arg(long, required_unless_present = "escrow", conflicts_with = "escrow")]
    record: Option<PathBuf>,

    /// The sealed copy: kubectl get configmap encryption-escrow -n privacy-operator-encryption -o jsonpath='{.data.keys\.age}'
    #[arg(long, requires = "identity")]
    escrow: Option<PathBuf>,

    /// File with the secret key of a recipient, as age-keygen wrote it.
    #[arg(long)]
    identity: Option<PathBuf>,

    /// Print the API servers' file instead of the Secret.
    #[arg(long)]
    file: bool,
}

/// Prints what was recovered.
pub fn run(arguments: &Arguments) -> ExitCode {
    match recover(arguments) {
        Ok(text) => output::print(&text),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn recover(arguments: &Arguments) -> Result<String, String> {
    let text = match (&arguments.record, &arguments.escrow, &arguments.identity) {
        (Some(record), ..) => read(&newest(record)?)?,
        (None, Some(escrow), Some(identity)) => {
            let identity = String::from_utf8(read(identity)?).map_err(|_| "--identity is no text".to_owned())?;
            open_escrow(&identity, &read(escrow)?).map_err(|error| format!("{}: {error}", escrow.display()))?
        }
        _ => return Err("name --record, or --escrow and --identity".to_owned()),
    };
    let custody = Custody::parse(&text)?;
    let recovered = custody
        .recovered()
        .map_err(|error| format!("the file cannot be made from the one that was there before us: {error}"))?;
    let file = recovered.file.clone().unwrap_or_default();
    let resources: Vec<String> = recovered
        .resources
        .iter()
        .map(|resource| resource.name.clone())
        .collect();
    let plain = recovered.in_plain_text(&resources);
    if !plain.is_empty() {
        eprintln!(
            "this record is from before the key was readable everywhere: until the operator has put it first, API servers write {} in plain text. kubectl get ce cluster -w shows it; is there a newer record on another node, or a newer sealed copy?",
            plain.join(", ")
        );
    }
    if arguments.file {
        return Ok(file);
    }
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "type": "Opaque",
        "data": {RECORD_KEY: STANDARD.encode(recovered.text()), FILE_KEY: STANDARD.encode(file)},
    });
    Ok(format!("{secret:#}\n"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The record with the highest number, where a directory is named.
fn newest(path: &Path) -> Result<PathBuf, String> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let numbered = entries.flatten().filter_map(|entry| {
        let number: i64 = entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok()?;
        Some((number, entry.path()))
    });
    let newest = numbered.max_by_key(|(number, _)| *number);
    newest
        .map(|(_, path)| path)
        .ok_or_else(|| format!("{} has no record of an agent, NUMBER.json", path.display()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test writes files")]
mod tests {
    use age::secrecy::ExposeSecret as _;
    use clap::Parser as _;

    use super::*;
    use crate::encryption::seal::seal_escrow;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(flags: &[&str]) -> Result<Arguments, clap::Error> {
        Command::try_parse_from(["recover"].iter().chain(flags)).map(|command| command.arguments)
    }

    #[test]
    fn one_source_is_named_and_the_sealed_copy_with_a_key() {
        for flags in [
            vec![],
            vec!["--file"],
            vec!["--escrow=a"],
            vec!["--record=a", "--escrow=b", "--identity=c"],
        ] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
        assert!(parse(&["--record=a", "--file"]).is_ok());
        assert!(parse(&["--escrow=a", "--identity=b", "--file"]).is_ok());
    }

    #[test]
    fn the_newest_record_and_the_sealed_copy_give_the_same_keys() {
        let folder = tempfile::tempdir().unwrap();
        let baseline = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{identity: {}}]\n";
        let custody = Custody::importing(&[0; 32])
            .imported(baseline)
            .minted(
                &[1; 32],
                &["secrets".to_owned()],
                None,
                "2026-11-22T05:00:00Z".parse().unwrap(),
            )
            .distributed()
            .unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("history")).unwrap();
        std::fs::write(at("history/9.json"), "{").unwrap();
        std::fs::write(at("history/10.json"), custody.text()).unwrap();
        let person = age::x25519::Identity::generate();
        std::fs::write(at("identity"), person.to_string().expose_secret()).unwrap();
        std::fs::write(
            at("escrow"),
            seal_escrow(&[person.to_public().to_string()], &custody.text()).unwrap(),
        )
        .unwrap();
        let run = |flags: &[String]| {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            recover(&parse(&flags).unwrap()).unwrap()
        };
        let record = format!("--record={}", at("history").display());
        let escrow = [
            format!("--escrow={}", at("escrow").display()),
            format!("--identity={}", at("identity").display()),
        ];
        assert_eq!(run(std::slice::from_ref(&record)), run(&escrow));
        let secret: serde_json::Value = serde_json::from_str(&run(std::slice::from_ref(&record))).unwrap();
        let recovered =
            Custody::parse(&STANDARD.decode(secret["data"][RECORD_KEY].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(recovered.keys, custody.keys);
        assert!(recovered.generation > custody.generation);
        assert_eq!(run(&[record, "--file".to_owned()]), recovered.file.unwrap());
    }
}
