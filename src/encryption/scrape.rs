//! What an API server says of itself on `/metrics`, read from the text that Prometheus reads.

use std::collections::BTreeSet;

/// The gauge with the hash of the loaded file.
const CONFIG_INFO: &str = "apiserver_encryption_config_controller_last_config_info";
/// The counter of values that were transformed on their way to and from etcd.
const TRANSFORMATIONS: &str = "apiserver_storage_transformation_operations_total";

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scraped {
    /// Hash of the file that is loaded.
    pub config_hash: Option<String>,
    /// Hash of the server's identity.
    pub id_hash: Option<String>,
    /// `RESOURCE PREFIX` of what it has written since it started.
    pub writes: BTreeSet<String>,
}

/// Whether a line can matter.
#[must_use]
pub fn is_wanted(line: &[u8]) -> bool {
    line.starts_with(CONFIG_INFO.as_bytes()) || line.starts_with(TRANSFORMATIONS.as_bytes())
}

/// Reads the text.
#[must_use]
pub fn scrape(text: &str) -> Scraped {
    let mut scraped = Scraped::default();
    for line in text.lines() {
        if let Some(labels) = line.strip_prefix(CONFIG_INFO) {
            scraped.config_hash = label(labels, "hash");
            scraped.id_hash = label(labels, "apiserver_id_hash");
        } else if let Some(labels) = line.strip_prefix(TRANSFORMATIONS) {
            let is_write = label(labels, "transformation_type").as_deref() == Some("to_storage")
                && label(labels, "status").as_deref() == Some("OK");
            if let (true, Some(prefix)) = (is_write, label(labels, "transformer_prefix")) {
                let resource = label(labels, "resource").unwrap_or_default();
                scraped.writes.insert(format!("{resource} {prefix}").trim().to_owned());
            }
        }
    }
    scraped
}

/// A label's value. None of those that are asked for has a quote in it.
fn label(labels: &str, name: &str) -> Option<String> {
    let labels = labels.strip_prefix('{')?;
    let mut rest = labels;
    loop {
        let (key, after) = rest.split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        if key.trim_start_matches([',', ' ']) == name {
            return Some(value.to_owned());
        }
        rest = after;
        if rest.starts_with('}') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_identity_and_what_is_written_are_found() {
        let text = r#"# TYPE apiserver_encryption_config_controller_last_config_info gauge
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:aa",hash="sha256:bb"} 1
apiserver_storage_transformation_operations_total{resource="secrets",status="OK",transformation_type="to_storage",transformer_prefix="k8s:enc:secretbox:v1:"} 12
apiserver_storage_transformation_operations_total{resource="secrets",status="OK",transformation_type="from_storage",transformer_prefix="identity"} 3
apiserver_storage_transformation_operations_total{resource="pods",status="Internal",transformation_type="to_storage",transformer_prefix="x"} 1
"#;
        let scraped = scrape(text);
        assert_eq!(scraped.config_hash.as_deref(), Some("sha256:bb"));
        assert_eq!(scraped.id_hash.as_deref(), Some("sha256:aa"));
        assert_eq!(
            scraped.writes,
            BTreeSet::from(["secrets k8s:enc:secretbox:v1:".to_owned()])
        );
        assert_eq!(
            scrape("apiserver_encryption_config_controller_last_config_info{x"),
            Scraped::default()
        );
        assert_eq!(scrape(""), Scraped::default());
    }
}
