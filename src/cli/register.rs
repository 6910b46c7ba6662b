//! `privacy-operator register`: objects from files, or from the cluster with the rights of whoever asks.

use std::path::PathBuf;
use std::process::ExitCode;

use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use super::files::{FileError, read_manifests};
use super::output::print;
use crate::domain::comment::single_line;
use crate::grants::manifests::Located;
use crate::register::{Language, Objects, build, csv::csv, html::html, json, markdown::markdown};

/// Arguments of `register`.
#[derive(clap::Args)]
pub struct Arguments {
    /// YAML files with `PrivacyNotice`, `ProcessingActivity`, `DataSource` and `DataRetentionPolicy` objects; `-` reads
    /// standard input. Without files the cluster of the kubeconfig is asked, which also knows what is observed.
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,

    /// Form of the register.
    #[arg(short, long, value_enum, default_value_t = Form::Html)]
    output: Form,

    /// Language of the register. What the objects say is printed as it is.
    #[arg(long, value_enum, default_value_t = Words::En)]
    language: Words,

    /// The activities of this namespace alone; all namespaces unless said. Only without files.
    #[arg(short, long, conflicts_with = "files")]
    namespace: Option<String>,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Form {
    /// One file, for reading and printing.
    Html,
    /// One row a line of the register, for spreadsheets.
    Csv,
    /// One document, for programs.
    Json,
    /// Markdown.
    Md,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Words {
    /// English.
    En,
    /// German.
    De,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Files(#[from] FileError),
    #[error("there is no PrivacyNotice and no ProcessingActivity {0}")]
    Nothing(String),
    #[error("the cluster cannot be reached: {0}; name files, or set KUBECONFIG")]
    Cluster(String),
    #[error("cannot list {kind}: {message}")]
    List { kind: String, message: String },
}

/// Prints the register to standard output and remarks to standard error.
pub fn run(arguments: &Arguments) -> ExitCode {
    match text(arguments) {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("error: {}", single_line(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn text(arguments: &Arguments) -> Result<String, Error> {
    let (objects, place) = if arguments.files.is_empty() {
        let place = arguments.namespace.as_ref().map_or_else(
            || "in the cluster".to_owned(),
            |namespace| format!("in namespace {namespace}"),
        );
        (from_cluster(arguments.namespace.as_deref())?, place)
    } else {
        (from_files(&arguments.files)?, "in the files".to_owned())
    };
    if objects.activities.is_empty() && objects.notices.is_empty() {
        return Err(Error::Nothing(place));
    }
    let language = match arguments.language {
        Words::En => Language::English,
        Words::De => Language::German,
    };
    let register = build(&objects, language, crate::clock::now());
    Ok(match arguments.output {
        Form::Html => html(&register, language),
        Form::Csv => csv(&register),
        Form::Json => json(&register),
        Form::Md => markdown(&register, language),
    })
}

fn from_files(files: &[PathBuf]) -> Result<Objects, Error> {
    fn objects<T>(located: Vec<Located<T>>) -> Vec<T> {
        located.into_iter().map(|located| located.object).collect()
    }
    let manifests = read_manifests(files)?;
    for remark in &manifests.ignored {
        eprintln!("note: {}", single_line(remark));
    }
    Ok(Objects {
        notices: objects(manifests.notices),
        activities: objects(manifests.activities),
        sources: objects(manifests.sources),
        policies: objects(manifests.policies),
    })
}

fn from_cluster(namespace: Option<&str>) -> Result<Objects, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Cluster(error.to_string()))?;
    runtime.block_on(ask(namespace))
}

async fn ask(namespace: Option<&str>) -> Result<Objects, Error> {
    let client = Client::try_default()
        .await
        .map_err(|error| Error::Cluster(error.to_string()))?;
    let mut objects = Objects {
        notices: list(Api::all(client.clone())).await?,
        activities: list(in_scope(&client, namespace)).await?,
        sources: list(in_scope(&client, namespace)).await?,
        policies: list(in_scope(&client, namespace)).await?,
    };
    if namespace.is_some() {
        // Notices of other namespaces' activities are no part of this register.
        let activities = &objects.activities;
        objects.notices.retain(|notice| {
            let name = notice.metadata.name.as_deref();
            let named =
                |activity: &crate::api::ProcessingActivity| Some(activity.spec.notice_ref.name.as_str()) == name;
            activities.iter().any(named)
        });
    }
    Ok(objects)
}

fn in_scope<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    namespace.map_or_else(
        || Api::all(client.clone()),
        |namespace| Api::namespaced(client.clone(), namespace),
    )
}

async fn list<K>(api: Api<K>) -> Result<Vec<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let failed = |error: kube::Error| Error::List {
        kind: K::plural(&()).into_owned(),
        message: error.to_string(),
    };
    let mut parameters = ListParams::default().limit(200);
    let mut all = Vec::new();
    loop {
        let page = api.list(&parameters).await.map_err(failed)?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(all),
        }
    }
}
