//! The Job of the first look: a run in Observe as soon as rules are accepted, so that a newcomer sees numbers at once.

use k8s_openapi::api::batch::v1::{Job, JobSpec};

use super::{metadata, pod, run_metadata};
use crate::plan::naming;
use crate::plan::settings::WorkerSettings;
use crate::plan::work_plan::Planned;

/// How long the finished Job stays to be looked at, in seconds.
const KEPT_SECONDS: i32 = 600;

/// Builds the Job. Its name ends in the hash of the rules: there is one for each set of rules.
#[must_use]
pub fn first_look(planned: &Planned, settings: &WorkerSettings) -> Job {
    let name = naming::first_look(&planned.validated.name, &planned.rules.hash);
    let mut metadata = metadata(planned, name, "first-look");
    let run = run_metadata(planned);
    metadata.annotations = run.annotations;
    let component = metadata
        .labels
        .as_mut()
        .and_then(|labels| labels.remove(naming::LABEL_COMPONENT));
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(run.labels.unwrap_or_default());
    labels.extend(component.map(|value| (naming::LABEL_COMPONENT.to_owned(), value)));
    Job {
        metadata,
        spec: Some(JobSpec {
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            ..pod::job_spec(planned, settings, &["worker", "--observe"])
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures;

    #[test]
    fn it_only_observes_and_is_named_after_its_rules() {
        let planned = fixtures::planned(&fixtures::policy());
        let job = first_look(&planned, &fixtures::settings());
        assert!(job.metadata.name.as_ref().unwrap().ends_with(&planned.rules.hash));
        let pod = job.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.containers[0].args.as_deref().unwrap(), ["worker", "--observe"]);
        insta::assert_yaml_snapshot!(job.metadata);
    }
}
