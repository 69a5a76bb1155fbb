//! Tests of the sample accounts.

use std::collections::HashSet;

use sandbox::spacelift::{Account, ID, Spacelift};

use crate::client::Client;

fn ids(account: &Account) -> Vec<&ID> {
    let workers = account.pools.iter().flat_map(|pool| &pool.workers).map(|worker| &worker.id);
    account.pools.iter().map(|pool| &pool.id).chain(workers).collect()
}

#[test]
fn sample_accounts_are_consistent() {
    assert_eq!(Account::rich(), Account::rich());
    assert_eq!(Account::self_hosted().public_pool, None);
    assert!(Account::empty().pools.is_empty());
    assert_eq!(Account::with_pools(7, 3).pools.len(), 7);
    for account in [Account::rich(), Account::self_hosted(), Account::hostile(), Account::with_pools(100, 10)]
    {
        let ids = ids(&account);
        assert!(ids.iter().all(|id| id.len() == 26));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        for pool in &account.pools {
            assert!(pool.busy_workers >= 0 && pool.busy_workers as usize <= pool.workers.len(), "{pool:?}");
        }
    }
}

#[tokio::test]
async fn serves_difficult_names_unchanged() {
    let spacelift = Spacelift::builder().account(Account::hostile()).start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;
    let response = client
        .query("query All { workerPools { name } metrics { stacksCountByState { labels value } } }")
        .await
        .json();

    let account = spacelift.account();
    let served = response["data"]["workerPools"].as_array().unwrap();
    let names: Vec<_> = served.iter().map(|pool| pool["name"].as_str().unwrap()).collect();
    assert_eq!(names, account.pools.iter().map(|pool| &pool.name).collect::<Vec<_>>());
    for fragment in ["\"", "\\", "\n", "\t", "🚀", "\u{202e}", "\u{301}", "}", "#"] {
        assert!(names.iter().any(|name| name.contains(fragment)), "no name has {fragment:?}");
    }
    assert!(names.contains(&""));
    assert!(names.iter().any(|name| name.len() > 5000));
    let points = response["data"]["metrics"]["stacksCountByState"].as_array().unwrap();
    assert!(points.iter().any(|point| point["labels"].as_array().unwrap().is_empty()));
}
