//! Reconciles an `ExportRequest`. What is right is decided in `plan::export`; this only fetches and writes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use super::super::context::GuardedRequest;
use super::super::status::write;
use super::super::{Context, Error, events, finalizer};
use super::ledger::{self, Answer, Question};
use super::look::{Fetched, Judged, fetch, has_finalizer, judge, needs_record, retry};
use super::work;
use super::work::Blocked;
use crate::api::export_status::ExportRequestStatus;
use crate::api::{DataSource, ExportRequest, SubjectRightsPolicy};
use crate::contract::export::{Delivery, ExportPlan, IdentifyPlan};
use crate::domain::period::Period;
use crate::plan::conditions::request_status_unchanged;
use crate::plan::export::FINALIZER;
use crate::plan::export::absorb::{Terms, absorb};
use crate::plan::export::activities::{self, Record};
use crate::plan::export::ledger::Ask;
use crate::plan::export::network::unknown_places;
use crate::plan::export::plans::{self, Identity, Material, Plan};
use crate::plan::export::status::{self, is_outlived};
use crate::plan::export::steps::{Facts, Step, decide};
use crate::plan::export::transitions::{abandoned, transitions};
use crate::plan::reasons;
use crate::plan::validated::Invalid;

/// After a step the next one is looked for.
const AGAIN: Duration = Duration::from_secs(1);

/// Brings what exists in line with the request, and the request's status in line with what exists.
pub async fn reconcile(request: Arc<GuardedRequest>, context: Arc<Context>) -> Result<Action, Error> {
    let request = match &request.0 {
        Ok(request) => request,
        Err(invalid) => {
            tracing::error!(name = ?invalid.metadata.name, namespace = ?invalid.metadata.namespace, error = %invalid.error,
                "an ExportRequest cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    if request.meta().deletion_timestamp.is_some() && !has_finalizer(request) {
        return Ok(Action::await_change());
    }
    let now = (context.now)();
    // 1. fetch (client and caches)
    let fetched = fetch(&context, request, now).await?;
    // 2. judge (pure)
    let sources: Vec<&DataSource> = fetched.sources.iter().collect();
    let judged = judge(request, &fetched, &sources, now);
    let reconcile = Reconcile {
        context: &context,
        request,
        fetched: &fetched,
        judged: &judged,
        owned: Owned {
            namespace: request.namespace().unwrap_or_default(),
            namespace_uid: fetched.namespace.uid().unwrap_or_default(),
            name: request.name_any(),
            uid: request.uid().unwrap_or_default(),
        },
        now,
    };
    // 3. reports into the status (pure), and written before anything is done on their word (client)
    let old = request.status.clone().unwrap_or_default();
    let absorbed = absorb(&old, &fetched.live, &reconcile.terms());
    if absorbed != old {
        return reconcile.publish(absorbed, None).await;
    }
    // 4. one step (client)
    let plans = reconcile.plans(&absorbed);
    let step = reconcile.step(&absorbed, &plans);
    if !matches!(step, Step::Nothing) {
        tracing::debug!(namespace = request.namespace(), request = %request.name_any(), ?step, "the next step");
    }
    // These change the object itself: what it is now must be read before anything more is written.
    let is_changed = matches!(step, Step::AddFinalizer | Step::DropFinalizer(_) | Step::DeleteRequest);
    let (absorbed, blocked) = reconcile.act(absorbed, &plans, step).await?;
    if is_changed {
        return Ok(Action::requeue(AGAIN));
    }
    let blocked = blocked.or_else(|| plans.too_large.as_ref().map(|mistake| (mistake.reason, mistake.text())));
    // 5. status (pure), written only when it says something new (client)
    reconcile.publish(absorbed, blocked).await
}

/// The plans by which workers would run now.
struct Plans {
    identify: Option<Plan<IdentifyPlan>>,
    export: Option<Plan<ExportPlan>>,
    too_large: Option<Invalid>,
}

/// One look at a request.
struct Reconcile<'a> {
    context: &'a Context,
    request: &'a ExportRequest,
    fetched: &'a Fetched,
    judged: &'a Judged<'a>,
    owned: Owned,
    now: Timestamp,
}

impl Reconcile<'_> {
    fn identity(&self) -> Identity<'_> {
        Identity {
            namespace: &self.owned.namespace,
            namespace_uid: &self.owned.namespace_uid,
            name: &self.owned.name,
            uid: &self.owned.uid,
        }
    }

    /// The plan by which the person would be identified now.
    fn identify_plan(&self) -> Option<Plan<IdentifyPlan>> {
        let policy = self.fetched.policy.as_ref()?;
        let accepted = self.judged.accepted.as_ref()?;
        Some(plans::identify(self.identity(), self.request, policy, accepted))
    }

    /// By what reports are read.
    fn terms(&self) -> Terms {
        let parsed = self.judged.parsed.as_ref();
        let plan = self.identify_plan();
        Terms {
            // Without its policy a request's archive stays no longer than the default.
            expire_after: parsed.map_or(Period::WEEK, |parsed| parsed.expire_after),
            zone: parsed.map_or(jiff::tz::TimeZone::UTC, |parsed| parsed.zone.clone()),
            count_by: self
                .fetched
                .policy
                .as_ref()
                .and_then(|policy| policy.spec.count_by.clone()),
            identities: plan
                .as_ref()
                .map(|plan| plan.plan.subject.identities.clone())
                .unwrap_or_default(),
            identify_hash: plan.map(|plan| plan.hash),
            retry: retry(self.request),
        }
    }

    fn plans(&self, status: &ExportRequestStatus) -> Plans {
        let nothing = Plans {
            identify: None,
            export: None,
            too_large: None,
        };
        let (Some(policy), Some(accepted), Some(parsed), Some(received_at)) = (
            &self.fetched.policy,
            &self.judged.accepted,
            &self.judged.parsed,
            self.judged.received,
        ) else {
            return nothing;
        };
        let activities: Vec<_> = self.fetched.record.activities.iter().collect();
        let notices: Vec<_> = self.fetched.record.notices.iter().collect();
        let policies: Vec<_> = self.fetched.retention.iter().collect();
        let export = status
            .subject
            .as_ref()
            .filter(|_| status.admitted_at.is_some())
            .map(|subject| {
                let material = Material {
                    policy,
                    parsed,
                    accepted,
                    subject,
                    record: Record {
                        activities: &activities,
                        notices: &notices,
                        policies: &policies,
                    },
                    others: self.fetched.others,
                    received_at,
                };
                plans::export(self.identity(), self.request, material)
            });
        let (export, too_large) = match export {
            None => (None, None),
            Some(Ok(plan)) => (Some(plan), None),
            Some(Err(mistake)) => (None, Some(mistake)),
        };
        Plans {
            identify: self.identify_plan(),
            export,
            too_large,
        }
    }

    fn step(&self, status: &ExportRequestStatus, plans: &Plans) -> Step {
        let zone = self
            .judged
            .parsed
            .as_ref()
            .map_or(jiff::tz::TimeZone::UTC, |parsed| parsed.zone.clone());
        decide(&Facts {
            status,
            live: &self.fetched.live,
            dates: &self.judged.dates,
            deleting: self.request.meta().deletion_timestamp.is_some(),
            terminating: self.fetched.namespace.metadata.deletion_timestamp.is_some(),
            finalizer: has_finalizer(self.request),
            accepted: self.judged.mistakes.is_empty() && self.judged.accepted.is_some(),
            stopped: self.fetched.stopped,
            identify_hash: plans.identify.as_ref().map(|plan| plan.hash.as_str()),
            export_hash: plans.export.as_ref().map(|plan| plan.hash.as_str()),
            retry: retry(self.request),
            outlived: is_outlived(status, self.now.to_zoned(zone).date()),
            now: self.now,
        })
    }

    /// Does the step. What it changes in the status comes back.
    async fn act(
        &self,
        mut status: ExportRequestStatus,
        plans: &Plans,
        step: Step,
    ) -> Result<(ExportRequestStatus, Blocked), Error> {
        let namespace = &self.owned.namespace;
        let mut blocked = None;
        match step {
            Step::Nothing => {}
            Step::EndJobs(jobs) => {
                for job in &jobs {
                    work::end(self.context, namespace, job).await?;
                }
            }
            Step::DeleteJob(job) => work::end(self.context, namespace, job.as_ref()).await?,
            Step::Admit => blocked = self.admit(&mut status).await?,
            Step::AddFinalizer => self.set_finalizer(true).await?,
            Step::Announce => status.uncertain = true,
            Step::StartIdentify => blocked = self.start_identify(plans).await?,
            Step::StartExport => blocked = self.start_export(&status, plans).await?,
            Step::StartExpire => blocked = self.start_expire(&status).await?,
            Step::DropFinalizer(location) => self.let_go(location).await?,
            Step::DeleteRequest => self.delete_request(namespace).await?,
        }
        Ok((status, blocked))
    }

    async fn admit(&self, status: &mut ExportRequestStatus) -> Result<Blocked, Error> {
        let (Some(subject), Some(policy), Some(parsed)) = (&status.subject, &self.fetched.policy, &self.judged.parsed)
        else {
            return Ok(None);
        };
        let (namespace, uid) = (
            self.fetched.namespace.uid().unwrap_or_default(),
            self.request.uid().unwrap_or_default(),
        );
        let question = Question {
            ask: Ask {
                tag: &subject.tag,
                right: self.request.spec.right.as_str(),
                regime: policy.spec.regime.as_str(),
                namespace: &namespace,
                request: &uid,
            },
            key_id: &subject.key_id,
            policy: &policy.name_any(),
            limits: &parsed.limits,
            zone: &parsed.zone,
        };
        let answer = ledger::ask(self.context, question).await?;
        (status.deferred_until, status.limited_by) = (None, None);
        let held = |until: Timestamp, reason: &str| (Some(Time(until)), Some(reason.to_owned()));
        match answer {
            Answer::Admitted(at) => status.admitted_at = Some(Time(at)),
            Answer::Deferred(until) => {
                (status.deferred_until, status.limited_by) = held(until, reasons::LIMIT_EXCEEDED);
            }
            Answer::KeyChanged(until) => {
                (status.deferred_until, status.limited_by) = held(until, reasons::SUBJECT_KEY_CHANGED);
            }
            Answer::Refused => status.limited_by = Some(reasons::LIMIT_EXCEEDED.to_owned()),
            Answer::Unusable(name, error) => {
                let message = format!(
                    "ConfigMap {name} in namespace {} cannot be used: {error}; nothing is admitted before it is put right",
                    self.context.worker.operator_namespace
                );
                return Ok(Some((reasons::LEDGER_UNUSABLE, message)));
            }
        }
        Ok(None)
    }

    async fn start_identify(&self, plans: &Plans) -> Result<Blocked, Error> {
        let (Some(plan), Some(accepted), Some(policy)) = (&plans.identify, &self.judged.accepted, &self.fetched.policy)
        else {
            return Ok(None);
        };
        work::start_identify(self.context, self.identity(), plan, (&accepted.sources, policy)).await
    }

    async fn start_export(&self, status: &ExportRequestStatus, plans: &Plans) -> Result<Blocked, Error> {
        let (Some(plan), Some(accepted), Some(policy), Some(parsed)) = (
            &plans.export,
            &self.judged.accepted,
            &self.fetched.policy,
            &self.judged.parsed,
        ) else {
            return Ok(None);
        };
        // Where the last try ended without a word, something may lie where it went: that is deleted before another
        // place is tried.
        if status
            .failure
            .as_ref()
            .is_some_and(|failure| failure.reason == reasons::NO_REPORT)
        {
            let written = work::expire_plan(self.context, self.identity(), None).await?;
            if written.is_some_and(|written| written.plan.delivery != plan.plan.delivery) {
                return self.start_expire(status).await;
            }
        }
        let deadline = parsed.active_deadline_seconds;
        work::start_export(
            self.context,
            self.identity(),
            plan,
            deadline,
            (&accepted.sources, policy),
        )
        .await
    }

    async fn start_expire(&self, status: &ExportRequestStatus) -> Result<Blocked, Error> {
        let by_policy = self
            .fetched
            .policy
            .as_ref()
            .map(|policy| delivery_now(policy, &self.owned.uid, status));
        match work::expire_plan(self.context, self.identity(), by_policy).await? {
            Some(plan) => work::start_expire(self.context, self.identity(), &plan).await,
            None if self.request.meta().deletion_timestamp.is_some() => {
                // Nothing says any more how it is deleted. A request that never goes would help nobody.
                let location = status.archive.as_ref().map(|archive| archive.location.clone());
                self.let_go(Some(location.unwrap_or_else(|| format!("archive of request {}", self.owned.uid)))).await?;
                Ok(None)
            }
            None => Ok(Some((
                reasons::UNKNOWN_RIGHTS_POLICY,
                "the archive cannot be deleted: neither the SubjectRightsPolicy nor the ConfigMap that says how is there; create the policy anew".to_owned(),
            ))),
        }
    }

    async fn let_go(&self, abandoned_at: Option<String>) -> Result<(), Error> {
        if let Some(location) = abandoned_at {
            let namespace = self.request.namespace().unwrap_or_default();
            tracing::error!(%namespace, request = %self.request.name_any(), %location, "no Job can be made to delete the archive any more: delete it by hand");
            self.context.metrics.archive_abandoned(&namespace, &location);
            // In a namespace that is being deleted no event can be made: this one is about the namespace itself.
            let reference = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Namespace".to_owned()),
                name: Some(namespace),
                uid: self.fetched.namespace.uid(),
                ..ObjectReference::default()
            };
            events::publish(self.context, &reference, abandoned(&location)).await;
        }
        if self.request.meta().deletion_timestamp.is_none() {
            work::clean_up(self.context, self.identity(), &self.fetched.live.jobs).await?;
        }
        self.set_finalizer(false).await
    }

    async fn set_finalizer(&self, ours: bool) -> Result<(), Error> {
        finalizer::set(self.context, self.request, FINALIZER, ours).await
    }

    async fn delete_request(&self, namespace: &str) -> Result<(), Error> {
        self.context.ensure_leading()?;
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: self.request.uid(),
                resource_version: self.request.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let name = self.request.name_any();
        let api = Api::<ExportRequest>::namespaced(self.context.client.clone(), namespace);
        match api.delete(&name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::request::<ExportRequest>("delete", &name, source)),
        }
    }

    /// Writes the status if it says something new, and tells what happened.
    async fn publish(&self, absorbed: ExportRequestStatus, blocked: Blocked) -> Result<Action, Error> {
        let changed_by_hand = self.request.status.as_ref() != Some(&absorbed);
        let sources: &[&DataSource] = self.judged.accepted.as_ref().map_or(&[], |accepted| &accepted.sources);
        let open = self
            .fetched
            .policy
            .as_ref()
            .map(|policy| unknown_places(sources, policy))
            .unwrap_or_default();
        let activities: Vec<_> = self.fetched.record.activities.iter().collect();
        let record = Record {
            activities: &activities,
            ..Record::default()
        };
        let unknown: Vec<String> = if needs_record(self.request) {
            activities::unknown(record, sources).into_iter().collect()
        } else {
            Vec::new()
        };
        let inputs = status::Inputs {
            request: self.request,
            absorbed: &absorbed,
            live: &self.fetched.live,
            dates: &self.judged.dates,
            policy: self.judged.parsed.as_ref(),
            received: self.judged.received,
            holidays: &self.fetched.holidays,
            mistakes: &self.judged.mistakes,
            sealing_hash: self
                .judged
                .accepted
                .as_ref()
                .map(|accepted| accepted.sealing_hash.as_str()),
            blocked: blocked.as_ref().map(|(reason, message)| (*reason, message.as_str())),
            stopped: self.fetched.stopped,
            open: &open,
            unknown_activities: &unknown,
            now: self.now,
        };
        let new = status::status(&inputs);
        let next = status::next_look(&new, &inputs);
        let is_new = !self
            .request
            .status
            .as_ref()
            .is_some_and(|old| request_status_unchanged(old, &new));
        let is_gone = self.request.meta().deletion_timestamp.is_some() && !has_finalizer(self.request);
        if is_new && !is_gone {
            let told = transitions(self.request.status.as_ref(), &new);
            write(self.context, self.request, self.request.status.as_ref(), &new).await?;
            for transition in told {
                events::publish(self.context, &self.request.object_ref(&()), transition).await;
            }
        }
        self.context.backoff.lock().await.succeeded(self.request);
        let next = if changed_by_hand {
            AGAIN
        } else {
            Duration::try_from(next).unwrap_or(Duration::from_mins(1))
        };
        Ok(Action::requeue(next))
    }
}

/// Where an archive of this request would be by the policy as it is now.
fn delivery_now(policy: &SubjectRightsPolicy, uid: &str, status: &ExportRequestStatus) -> Delivery {
    use crate::contract::export::Sealing;
    let sealing = if status.sealing_hash.as_deref() == Some("unsealed") {
        Sealing::Unsealed
    } else {
        Sealing::Age(Vec::new())
    };
    plans::delivery(policy, uid, &sealing)
}

/// Names and uids of a request and its namespace.
struct Owned {
    namespace: String,
    namespace_uid: String,
    name: String,
    uid: String,
}
