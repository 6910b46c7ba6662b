//! The `ConfigMap` with the work plan: immutable and named by its content, so that a run never sees a plan change.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata;
use crate::plan::naming;
use crate::plan::work_plan::Planned;

/// Key of the work plan, the file name of [`crate::contract::PLAN_PATH`].
pub(super) const PLAN_KEY: &str = "plan.json";

/// Builds the `ConfigMap`.
#[must_use]
pub fn config_map(planned: &Planned) -> ConfigMap {
    let name = naming::config_map(&planned.validated.name, &planned.plan_hash);
    let mut metadata = metadata(planned, name, naming::WORK_PLAN);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(naming::LABEL_PLAN.to_owned(), planned.plan_hash.clone());
    labels.insert(naming::LABEL_STORE.to_owned(), planned.validated.store_key.clone());
    // By these a hold sees that it is known.
    let holds = &planned.validated.holds.uids;
    if !holds.is_empty() {
        metadata.annotations = Some(BTreeMap::from([(naming::ANNOTATION_HOLDS.to_owned(), holds.join(","))]));
    }
    ConfigMap {
        metadata,
        data: Some(BTreeMap::from([(PLAN_KEY.to_owned(), planned.json.clone())])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{PLAN_PATH, WorkPlan};
    use crate::plan::fixtures;

    #[test]
    fn it_carries_the_plan_under_the_file_name_that_the_worker_reads() {
        let planned = fixtures::planned(&fixtures::policy());
        let built = config_map(&planned);
        let data = built.data.as_ref().unwrap();
        assert!(PLAN_PATH.ends_with(&format!("/{PLAN_KEY}")));
        let plan: WorkPlan = serde_json::from_str(&data[PLAN_KEY]).unwrap();
        assert_eq!(plan, planned.work_plan);
        assert_eq!(built.immutable, Some(true));
        insta::assert_yaml_snapshot!(built.metadata);
    }
}
