//! The record of processing, as an archive prints it: read when it is needed, which is once an export.

use kube::api::{Api, ListParams};

use super::super::{Context, Error};
use crate::api::{PrivacyNotice, ProcessingActivity, SubjectRightsPolicy};

/// Activities of a namespace, and the notices that they or the policy refer to.
#[derive(Debug, Default)]
pub struct Read {
    /// Activities.
    pub activities: Vec<ProcessingActivity>,
    /// Notices.
    pub notices: Vec<PrivacyNotice>,
}

/// Reads them.
pub async fn read(context: &Context, namespace: &str, policy: &SubjectRightsPolicy) -> Result<Read, Error> {
    let activities = Api::<ProcessingActivity>::namespaced(context.client.clone(), namespace)
        .list(&ListParams::default())
        .await
        .map_err(|source| Error::request::<ProcessingActivity>("list", namespace, source))?
        .items;
    let referred = activities.iter().map(|activity| activity.spec.notice_ref.name.clone());
    let mut names: Vec<String> = referred.chain(policy.spec.notice.clone()).collect();
    names.sort();
    names.dedup();
    let mut notices = Vec::new();
    for name in names {
        let found = Api::<PrivacyNotice>::all(context.client.clone()).get_opt(&name).await;
        let found = found.map_err(|source| Error::request::<PrivacyNotice>("read", &name, source))?;
        notices.extend(found);
    }
    Ok(Read { activities, notices })
}
