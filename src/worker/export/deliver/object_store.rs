//! Delivery to an S3-compatible object store: a single PUT where the archive is one part, else a multipart upload, which
//! appears when it is completed and not before.

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{BackoffConfig, MultipartId, ObjectStoreExt as _, PutPayload, RetryConfig};
use serde::Deserialize;

use super::Mounts;
use super::client::Connector;
use crate::contract::export::{ACCESS_KEY_FILE, ObjectStore, SECRET_KEY_FILE};
use crate::contract::{Problem, Reason};
use crate::worker::export::fault::Fault;
use crate::worker::export::secret;

const FIELD: &str = "delivery.objectStore";

/// How long a request is tried again.
const PATIENCE: Duration = Duration::from_mins(1);

/// A bucket, and the one key in it that is ours.
#[derive(Clone)]
pub struct Bucket {
    store: AmazonS3,
    planned: ObjectStore,
    path: Path,
    client: HttpClient,
    access_key: String,
    secret_key: String,
}

impl Bucket {
    /// Reads the credentials and checks the address.
    pub fn open(planned: &ObjectStore, mounts: &Mounts) -> Result<Self, Problem> {
        let invalid = |detail: &str| Problem::new(Reason::InvalidPlan, FIELD, detail);
        let secret = |key: &str| {
            let field = "delivery.objectStore.credentialsSecretRef";
            secret::required_text(&mounts.credentials, key, &planned.credentials_secret, field)
        };
        let encrypted = planned.endpoint.starts_with("https://");
        if !encrypted && !planned.endpoint.starts_with("http://") {
            return Err(invalid("the endpoint does not begin with https:// or http://"));
        }
        let ca = match &planned.ca_secret {
            Some((name, key)) if encrypted && !mounts.ca.is_file() => {
                return Err(secret::missing(name, key, "delivery.objectStore.caSecretRef"));
            }
            Some(_) if encrypted => Some(mounts.ca.as_path()),
            _ => None,
        };
        let path = Path::parse(&planned.key).map_err(|_| invalid("the key is not a path"))?;
        let connector = Connector::new(encrypted, ca)?;
        let client = connector.client();
        let (access_key, secret_key) = (secret(ACCESS_KEY_FILE)?, secret(SECRET_KEY_FILE)?);
        let store = AmazonS3Builder::new()
            .with_endpoint(planned.endpoint.trim_end_matches('/'))
            .with_allow_http(!encrypted)
            .with_region(&planned.region)
            .with_bucket_name(&planned.bucket)
            .with_virtual_hosted_style_request(false)
            .with_access_key_id(&access_key)
            .with_secret_access_key(&secret_key)
            .with_http_connector(connector)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 8,
                retry_timeout: PATIENCE,
            })
            .build()
            .map_err(|_| invalid("endpoint, region or bucket is not valid"))?;
        Ok(Self {
            store,
            planned: planned.clone(),
            path,
            client,
            access_key,
            secret_key,
        })
    }

    /// Where the archive is.
    pub fn location(&self) -> String {
        format!("s3://{}/{}", self.planned.bucket, self.planned.key)
    }

    /// Begins an archive.
    pub async fn begin(&self) -> Result<Upload, Fault> {
        self.abort_unfinished().await?;
        Ok(Upload {
            bucket: self.clone(),
            only: None,
            parts: None,
        })
    }

    /// Deletes the archive and what a killed run left of it.
    pub async fn delete(&self) -> Result<(), Problem> {
        self.abort_unfinished().await?;
        match self.store.delete(&self.path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.problem(&error)),
        }
    }

    /// Parts of an upload that was never completed are not seen and not free: a killed run's are taken away. A store that
    /// does not let us look for them has a rule of its own for them, or keeps them, sealed as they are.
    async fn abort_unfinished(&self) -> Result<(), Problem> {
        let uploads = self.unfinished().await?;
        for upload in uploads {
            match self.store.abort_multipart(&self.path, &upload).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.problem(&error)),
            }
        }
        Ok(())
    }

    /// The library cannot list uploads: `GET /bucket?prefix=...&uploads=`, signed by it.
    async fn unfinished(&self) -> Result<Vec<MultipartId>, Problem> {
        let prefix: String = self
            .planned
            .key
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        let endpoint = self.planned.endpoint.trim_end_matches('/');
        let uri = format!("{endpoint}/{}?prefix={prefix}&uploads=", self.planned.bucket);
        let invalid = |_| Problem::new(Reason::InvalidPlan, FIELD, "the endpoint is not valid");
        let mut request: HttpRequest = http::Request::get(uri)
            .body(HttpRequestBody::empty())
            .map_err(invalid)?;
        let credential = AwsCredential {
            key_id: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            token: None,
        };
        let unsigned = |_| Problem::new(Reason::InvalidPlan, FIELD, "the request cannot be signed");
        AwsAuthorizer::new(&credential, "s3", &self.planned.region)
            .try_authorize(&mut request, None)
            .map_err(unsigned)?;
        let unreachable = |error: object_store::client::HttpError| self.unreachable(&error);
        let answer = self.client.execute(request).await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(unreachable)?;
        if status.is_server_error() {
            let detail = format!("{} answers with {}", self.planned.endpoint, status.as_u16());
            return Err(Problem::new(Reason::DeliveryUnavailable, FIELD, detail));
        }
        if !status.is_success() {
            tracing::warn!(
                status = status.as_u16(),
                "the object store does not list unfinished uploads"
            );
            return Ok(Vec::new());
        }
        let text = String::from_utf8_lossy(&body);
        let listed: Uploads = quick_xml::de::from_str(&text).unwrap_or_default();
        // The prefix also fits longer keys.
        let ours = listed
            .uploads
            .into_iter()
            .filter(|upload| upload.key == self.planned.key);
        Ok(ours.map(|upload| upload.upload_id).collect())
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Problem {
        if is_tls(error) {
            let detail = format!("the certificate of {} is not trusted", self.planned.endpoint);
            return Problem::new(Reason::CertificateNotTrusted, FIELD, detail);
        }
        let detail = format!("no answer from {}", self.planned.endpoint);
        Problem::new(Reason::DeliveryUnavailable, FIELD, detail)
    }

    /// An upload that was there and is gone was given up by another worker of the same request.
    fn problem_of_upload(&self, error: &object_store::Error) -> Problem {
        match error {
            object_store::Error::NotFound { .. } => Problem::new(Reason::ExportInProgress, FIELD, ""),
            other => self.problem(other),
        }
    }

    /// What failed, told from types: the text of an answer stays where it is.
    fn problem(&self, error: &object_store::Error) -> Problem {
        use object_store::Error;
        let refused = |what: &str| {
            Problem::new(
                Reason::DeliveryRefused,
                FIELD,
                format!("{}: {what}", self.planned.endpoint),
            )
        };
        match error {
            Error::NotFound { .. } => refused("the bucket does not exist"),
            Error::PermissionDenied { .. } => refused("access denied"),
            Error::Unauthenticated { .. } => refused("the credentials are not accepted"),
            Error::InvalidPath { .. } | Error::NotSupported { .. } | Error::NotImplemented { .. } => {
                refused("the request is not supported")
            }
            other => self.unreachable(other),
        }
    }
}

/// Whether an error of TLS is behind another; errors of input and output keep theirs in a place of its own.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let within = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || within.is_some_and(|inner| is_tls(inner)) || error.source().is_some_and(is_tls)
}

#[derive(Debug, Default, Deserialize)]
struct Uploads {
    #[serde(rename = "Upload", default)]
    uploads: Vec<ListedUpload>,
}

#[derive(Debug, Deserialize)]
struct ListedUpload {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "UploadId")]
    upload_id: String,
}

/// An archive on its way into a bucket.
pub struct Upload {
    bucket: Bucket,
    /// The part that is the whole archive.
    only: Option<Bytes>,
    parts: Option<(MultipartId, Vec<PartId>)>,
}

impl Upload {
    /// Sends the next part.
    pub async fn part(&mut self, part: Bytes, last: bool) -> Result<(), Fault> {
        if self.parts.is_none() {
            if last {
                self.only = Some(part);
                return Ok(());
            }
            let id = self.bucket.store.create_multipart(&self.bucket.path).await;
            let id = id.map_err(|error| self.bucket.problem(&error))?;
            self.parts = Some((id, Vec::new()));
        }
        self.send(part).await
    }

    async fn send(&mut self, part: Bytes) -> Result<(), Fault> {
        let Some((id, parts)) = &mut self.parts else {
            return Ok(());
        };
        let store = &self.bucket.store;
        let sent = store
            .put_part(&self.bucket.path, id, parts.len(), PutPayload::from_bytes(part))
            .await;
        parts.push(sent.map_err(|error| self.bucket.problem_of_upload(&error))?);
        Ok(())
    }

    /// Makes the object appear.
    pub async fn finish(mut self) -> Result<(), Fault> {
        let done = match (self.parts.take(), self.only.take()) {
            (Some((id, parts)), _) => {
                let completed = self
                    .bucket
                    .store
                    .complete_multipart(&self.bucket.path, &id, parts)
                    .await;
                if completed.is_err() {
                    self.parts = Some((id, Vec::new()));
                }
                completed.map(drop)
            }
            (None, only) => {
                let payload = PutPayload::from_bytes(only.unwrap_or_default());
                self.bucket.store.put(&self.bucket.path, payload).await.map(drop)
            }
        };
        if let Err(error) = done {
            // Where nothing was begun, what is not found is the bucket.
            let problem = match self.parts {
                Some(_) => self.bucket.problem_of_upload(&error),
                None => self.bucket.problem(&error),
            };
            self.abort().await;
            return Err(problem.into());
        }
        Ok(())
    }

    /// Gives the upload up. Where even that fails, the next run or the archive's expiry does it.
    pub async fn abort(self) {
        if let Some((id, _)) = &self.parts
            && self.bucket.store.abort_multipart(&self.bucket.path, id).await.is_err()
        {
            tracing::warn!("the unfinished upload cannot be aborted; the next run, or its expiry, does");
        }
    }
}
