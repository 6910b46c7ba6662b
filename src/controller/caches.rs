//! Whether the caches are filled: nothing is decided on half of what is known.
//!
//! The library remembers one waker for each cache, that of whoever asked last. So nobody waits for a cache but
//! [`Caches::watch_over`], which runs in the task that fills them; reconciles, which are tasks of their own, wait for what it
//! says. A reconcile that asked a cache itself could wait for ever.

use std::time::Duration;

use kube::runtime::reflector::{Lookup, Store};
use tokio::sync::watch;

use super::Stores;

/// How far the caches are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Filled {
    NotYet,
    AllButNotices,
    All,
}

/// Pause between two questions to a cache.
const PAUSE: Duration = Duration::from_millis(100);

/// Known to every reconcile.
#[derive(Clone)]
pub struct Caches(watch::Receiver<Filled>);

impl Caches {
    /// What is told, and what has to be run for it.
    pub fn new(stores: Stores) -> (Self, impl Future<Output = ()> + Send) {
        let (tell, told) = watch::channel(Filled::NotYet);
        (Self(told), Self::watch_over(stores, tell))
    }

    async fn watch_over(stores: Stores, tell: watch::Sender<Filled>) {
        fill(&stores.policies).await;
        fill(&stores.sources).await;
        fill(&stores.rights).await;
        fill(&stores.requests).await;
        fill(&stores.activities).await;
        fill(&stores.holds).await;
        fill(&stores.encryptions).await;
        tell.send_replace(Filled::AllButNotices);
        fill(&stores.notices).await;
        tell.send_replace(Filled::All);
    }

    /// Waits for the caches. Notices are waited for by activities only: a notice that is not known yet must not be told as
    /// missing.
    pub async fn filled(&mut self, with_notices: bool) {
        let enough = if with_notices {
            Filled::All
        } else {
            Filled::AllButNotices
        };
        // An error means that the controllers are being stopped.
        let _ = self.0.wait_for(|filled| *filled >= enough).await;
    }
}

async fn fill<K>(stores: &[Store<K>])
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    for store in stores {
        // Asked again and again, since the cache's own controller asks too.
        while tokio::time::timeout(PAUSE, store.wait_until_ready()).await.is_err() {}
    }
}
