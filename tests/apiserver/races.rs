//! A thousand races for the same person's limit, between two operators, on a server that checks versions as an API server
//! does: the limit is never exceeded, and nobody is turned away who would have fitted.

use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use privacy_operator::api::subject_rights_policy::{OnExceed, Right};
use privacy_operator::controller::exports::ledger::{Answer, Question, ask};
use privacy_operator::controller::{Context, Stores};
use privacy_operator::plan::export::ledger::Ask;
use privacy_operator::plan::export::policy::ParsedLimit;

use super::context::context;
use super::server::Server;

const TAG: &str = "ab0123456789abcdef0123456789abcd";
const LEDGER: &str = "/api/v1/namespaces/privacy-operator/configmaps/rights-ledger-ab";

fn now() -> Timestamp {
    "2026-11-22T05:10:00Z".parse().unwrap()
}

async fn one(context: Arc<Context>, request: String, max: usize) -> Answer {
    let limits = [ParsedLimit {
        right: Right::Access,
        max,
        window: "PT1H".parse().unwrap(),
        on_exceed: OnExceed::Defer,
    }];
    let question = Question {
        ask: Ask {
            tag: TAG,
            right: "Access",
            regime: "GDPR",
            namespace: "namespace-uid",
            request: &request,
        },
        key_id: "key",
        policy: "default",
        limits: &limits,
        zone: &jiff::tz::TimeZone::UTC,
    };
    ask(&context, question).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_races_between_two_operators_never_exceed_the_limit() {
    for round in 0..1000_usize {
        let server = Server::default();
        let operators = [(); 2].map(|()| Arc::new(context(server.client(), Stores::default(), now)));
        let (requests, max) = (2 + round % 5, 1 + round % 3);
        // Each request is asked about by both, as after a change of leaders.
        let asked = (0..requests * 2).map(|index| {
            let context = operators[index % 2].clone();
            tokio::spawn(one(context, format!("request-{}", index / 2), max))
        });
        let answers: Vec<Answer> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
        let admitted: Vec<bool> = answers
            .chunks(2)
            .map(|both| {
                assert_eq!(both[0], both[1], "both operators hear the same about one request");
                matches!(both[0], Answer::Admitted(_))
            })
            .collect();
        let count = admitted.iter().filter(|admitted| **admitted).count();
        assert_eq!(count, requests.min(max), "round {round}");
        let ledger = server.get(LEDGER).unwrap();
        let entries = ledger["data"]["entries"].as_str().unwrap().lines().count();
        assert_eq!(entries, count, "round {round}");
    }
}
