//! An archive, opened with the tools that a person has: `age` and `unzip`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The members of an archive.
pub struct Opened {
    pub directory: tempfile::TempDir,
    pub members: BTreeMap<String, Vec<u8>>,
}

impl Opened {
    /// Opens a sealed archive with a key.
    pub fn with_age(archive: &Path, identity: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clear = directory.path().join("archive.zip");
        let mut age = Command::new("age");
        age.arg("--decrypt")
            .arg("--identity")
            .arg(identity)
            .arg("--output")
            .arg(&clear)
            .arg(archive);
        finish(&mut age, "apt-get install age");
        Self::unzip(&clear)
    }

    /// Opens an archive that is not sealed.
    pub fn unzip(archive: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut unzip = Command::new("unzip");
        unzip.arg("-q").arg(archive).arg("-d").arg(directory.path());
        finish(&mut unzip, "apt-get install unzip");
        let mut members = BTreeMap::new();
        collect(directory.path(), directory.path(), &mut members);
        Self { directory, members }
    }

    pub fn text(&self, name: &str) -> String {
        let member = self
            .members
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.names()));
        String::from_utf8(member.clone()).unwrap()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    pub fn pages(&self) -> Vec<&str> {
        let is_page = |name: &&str| Path::new(name).extension().is_some_and(|ending| ending == "html");
        self.names().into_iter().filter(is_page).collect()
    }

    pub fn names(&self) -> Vec<&str> {
        self.members.keys().map(String::as_str).collect()
    }

    /// The rows of a dataset in `data.json`.
    pub fn rows(&self, dataset: &str) -> Vec<Value> {
        let data = self.json("data.json");
        let stores = data["stores"].as_array().unwrap();
        let datasets = stores.iter().flat_map(|store| store["datasets"].as_array().unwrap());
        let found = datasets.into_iter().find(|other| other["name"] == dataset);
        let found = found.unwrap_or_else(|| panic!("no dataset {dataset}: {data}"));
        found["rows"].as_array().unwrap().clone()
    }

    /// One column of a dataset, as text.
    pub fn column(&self, dataset: &str, column: &str) -> Vec<String> {
        let rows = self.rows(dataset);
        rows.iter()
            .map(|row| match &row[column] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
            .collect()
    }

    /// Everything in it, one after the other.
    pub fn everything(&self) -> String {
        let members = self.members.iter();
        members.fold(String::new(), |text, (name, bytes)| {
            text + name + "\n" + &String::from_utf8_lossy(bytes) + "\n"
        })
    }
}

fn collect(root: &Path, directory: &Path, members: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, members);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            members.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Runs a program that must succeed, and returns what it printed.
pub fn finish(command: &mut Command, hint: &str) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error} ({hint})"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
