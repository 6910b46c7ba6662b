//! The two requests of a pass: a list of metadata, and a patch that changes nothing.

use std::io::Read as _;

use flate2::read::GzDecoder;
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde::Deserialize;

/// Metadata only. Where an annotation repeats a value (kubectl apply does that), it is passed over as it is read.
const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const ONE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// Objects a page.
const PAGE: usize = 500;

/// An API server.
#[derive(Clone)]
pub struct Server {
    pub name: String,
    client: Client,
}

/// An object, without anything of its content.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    pub uid: String,
    pub resource_version: String,
}

impl Identity {
    /// For messages.
    pub fn words(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Item {
    metadata: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
    #[serde(default)]
    remaining_item_count: Option<i64>,
}

/// A page of a list.
pub struct Page {
    pub items: Vec<Identity>,
    pub next: Option<String>,
    /// Objects after this page.
    pub remaining: i64,
}

/// What a request came to, when not to what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else wrote it.
    Conflict,
    /// It is gone.
    Gone,
    /// The right is missing.
    Forbidden(String),
    /// The API server does not let it be written.
    Refused(String),
    /// The API server cannot read it.
    Unreadable,
    /// The continue token is too old.
    Expired,
    /// It may be better the next time.
    Later(String),
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    message: String,
}

impl Server {
    pub fn new(name: &str, client: Client) -> Self {
        Self {
            name: name.to_owned(),
            client,
        }
    }

    /// The path of a resource, such as `/api/v1` and `secrets`; the version of a group is asked for.
    pub async fn locate(&self, resource: &str) -> Result<(String, String), Refusal> {
        #[derive(Deserialize)]
        struct Group {
            #[serde(rename = "preferredVersion")]
            preferred: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "groupVersion")]
            name: String,
        }
        match resource.split_once('.') {
            None => Ok(("/api/v1".to_owned(), resource.to_owned())),
            Some((plural, group)) => {
                let bytes = self
                    .send(
                        Method::GET,
                        &format!("/apis/{group}"),
                        "application/json",
                        String::new(),
                    )
                    .await?;
                let group: Group = parse(&bytes)?;
                Ok((format!("/apis/{}", group.preferred.name), plural.to_owned()))
            }
        }
    }

    /// One page of all objects.
    pub async fn list(&self, (root, plural): &(String, String), next: Option<&str>) -> Result<Page, Refusal> {
        let next = next
            .map(|token| format!("&continue={}", encoded(token)))
            .unwrap_or_default();
        let path = format!("{root}/{plural}?limit={PAGE}{next}");
        let bytes = self.send(Method::GET, &path, LIST, String::new()).await?;
        let list: List = parse(&bytes)?;
        Ok(Page {
            items: list.items.into_iter().map(|item| item.metadata).collect(),
            next: list.metadata.next.filter(|token| !token.is_empty()),
            remaining: list.metadata.remaining_item_count.unwrap_or(0),
        })
    }

    /// A patch that changes nothing. The resourceVersion after it. With `exactly`, only if it is the one that was listed.
    pub async fn patch(
        &self,
        (root, plural): &(String, String),
        object: &Identity,
        exactly: bool,
    ) -> Result<String, Refusal> {
        let scope = object
            .namespace
            .as_ref()
            .map(|namespace| format!("/namespaces/{namespace}"))
            .unwrap_or_default();
        let path = format!(
            "{root}{scope}/{plural}/{}?fieldManager=privacy-operator-migrator",
            object.name
        );
        let mut metadata = serde_json::json!({"uid": object.uid});
        if exactly {
            metadata["resourceVersion"] = object.resource_version.clone().into();
        }
        let body = serde_json::json!({"metadata": metadata}).to_string();
        let bytes = self.send(Method::PATCH, &path, ONE, body).await?;
        let item: Item = parse(&bytes)?;
        Ok(item.metadata.resource_version)
    }

    async fn send(&self, method: Method, path: &str, accept: &str, body: String) -> Result<Vec<u8>, Refusal> {
        let later = |what: String| Refusal::Later(format!("{}: {what}", self.name));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .header(header::ACCEPT_ENCODING, "gzip")
            .body(Body::from(body.into_bytes()))
            .map_err(|error| later(error.to_string()))?;
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| later(error.to_string()))?;
        let code = response.status().as_u16();
        let (parts, body) = response.into_parts();
        let sent = body
            .collect()
            .await
            .map_err(|error| later(error.to_string()))?
            .to_bytes();
        let bytes = unpacked(&parts.headers, &sent).map_err(|error| later(error.to_string()))?;
        if (200..300).contains(&code) {
            return Ok(bytes);
        }
        let message = serde_json::from_slice::<Status>(&bytes).unwrap_or_default().message;
        // What a webhook says may hold anything: only the beginning is kept.
        let message: String = message.chars().take(160).collect();
        Err(match code {
            404 => Refusal::Gone,
            409 => Refusal::Conflict,
            410 => Refusal::Expired,
            403 if message.contains(" cannot ") => Refusal::Forbidden(message),
            500 => Refusal::Unreadable,
            400..=428 | 430..=499 => Refusal::Refused(message),
            _ => later(format!("HTTP {code}")),
        })
    }
}

/// A body as it was before it was compressed. API servers do that with large lists, whose metadata repeats itself.
fn unpacked(headers: &HeaderMap, body: &[u8]) -> std::io::Result<Vec<u8>> {
    if headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding != "gzip")
    {
        return Ok(body.to_vec());
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(body).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::Later(format!("an answer is not understood: line {}", error.line())))
}

fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_object_but_its_identity_is_kept() {
        let text = br#"{"metadata": {"continue": "x", "remainingItemCount": 3}, "items": [{"metadata": {"name": "a", "namespace": "shop", "uid": "u",
            "resourceVersion": "7", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "canary"}}}]}"#;
        let list: List = parse(text).unwrap();
        assert!(!format!("{:?}", list.items[0].metadata).contains("canary"));
        assert_eq!(list.items[0].metadata.words(), "shop/a");
        assert_eq!(encoded("a=/+"), "a%3D%2F%2B");
    }
}
