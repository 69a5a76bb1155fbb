//! Looks up single instances, in batches.
//!
//! EC2 returns up to a hundred instances for one request, and it limits the requests of an account. So lookups of the
//! same account and region that arrive within a short time share a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::api::ApiError;
use super::config::{is_account, is_region};
use super::ec2::Ec2;
use super::instance_id;
use crate::attribution::Lookup;
use crate::instance::Instance;
use crate::source::LookupError;

/// Time for gathering lookups.
const GATHER: Duration = Duration::from_millis(50);

/// Maximum number of ids in a request.
const MAX_IDS: usize = 100;

type Found = Result<Option<Instance<'static>>, LookupError>;

/// Gathers lookups and sends them to EC2.
#[derive(Debug, Clone)]
pub(super) struct Lookups {
    ec2: Ec2,
    /// Whether all lookups use the same account and region, so that an error affects all of them.
    is_only_scope: bool,
    waiting: Arc<Mutex<HashMap<AccountAndRegion, Vec<Waiting>>>>,
}

type AccountAndRegion = (String, String);

#[derive(Debug)]
struct Waiting {
    id: String,
    found: oneshot::Sender<Found>,
}

impl Lookups {
    pub(super) fn new(ec2: Ec2, is_only_scope: bool) -> Self {
        Self { ec2, is_only_scope, waiting: Arc::default() }
    }

    /// Looks up an instance. `zone` of the lookup is a region or one of its zones.
    pub(super) async fn lookup(&self, lookup: &Lookup) -> Found {
        let Lookup { project: account, zone, instance: id, .. } = lookup;
        let region = if is_region(zone) {
            zone
        } else {
            zone.trim_end_matches(|last: char| last.is_ascii_lowercase())
        };
        // They come from a message and become part of a host name.
        if !is_account(account) || !is_region(region) || instance_id::parse(id).is_none() {
            return Ok(None);
        }
        let (sender, found) = oneshot::channel();
        let key = (account.clone(), region.to_owned());
        let is_first = {
            let mut waiting = self.lock();
            let waiting = waiting.entry(key.clone()).or_default();
            waiting.push(Waiting { id: id.clone(), found: sender });
            waiting.len() == 1
        };
        if is_first {
            let lookups = self.clone();
            tokio::spawn(async move { lookups.send(key).await });
        }
        let cancelled = || Err(LookupError::instance("the lookup was cancelled"));
        found.await.unwrap_or_else(|_| cancelled())
    }

    async fn send(self, key: AccountAndRegion) {
        sleep(GATHER).await;
        let mut waiting = self.lock().remove(&key).unwrap_or_default();
        let (account, region) = &key;
        while !waiting.is_empty() {
            let batch = waiting.split_off(waiting.len().saturating_sub(MAX_IDS));
            let ids: Vec<String> = batch.iter().map(|lookup| lookup.id.clone()).collect();
            let mut found = self.ec2.find(account, region, &ids).await.map(|page| {
                let described = page.instances.into_iter().map(|described| described.instance);
                described.map(|instance| (instance.instance.id, instance)).collect::<HashMap<_, _>>()
            });
            for Waiting { id, found: sender } in batch {
                let result = match &mut found {
                    Ok(found) => Ok(found.remove(&instance_id::parse(&id))),
                    Err(error) => Err(self.describe(error, account, region)),
                };
                // The lookup may have been cancelled.
                let _ = sender.send(result);
            }
        }
    }

    fn describe(&self, error: &ApiError, account: &str, region: &str) -> LookupError {
        let reason = format!(
            "EC2, looking instances up in account {account}, region {region}: {}",
            error.failure.reason
        );
        let affects_one = !self.is_only_scope
            || error.failure.status == Some(StatusCode::BAD_REQUEST) && !error.is_throttled();
        if affects_one {
            return LookupError::instance(reason);
        }
        LookupError::service(reason, error.failure.retry_after)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountAndRegion, Vec<Waiting>>> {
        // A poisoned lock is safe to use: each update is one operation on the map.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
