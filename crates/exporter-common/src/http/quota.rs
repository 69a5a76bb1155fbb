//! A limit on what all clients use at the same time, with a share for each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The inverse of the share that one client can use: a quarter of the limit.
const SHARES: usize = 4;

/// The amounts in use by client, in requests or in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Quota(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// An amount in use; released when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    quota: Quota,
    client: IpAddr,
    amount: usize,
}

impl Quota {
    /// Acquires one of `limit` permits. Returns `None` if all of them, or the client's share, are in use.
    pub(super) fn try_acquire(&self, client: IpAddr, limit: usize) -> Option<Permit> {
        self.try_acquire_many(client, 1, limit)
    }

    /// Acquires `amount` if less than `limit` is in use, and less than the client's share of `limit`. The last permit
    /// can thus exceed the limit, so that nothing is too large to be sent.
    pub(super) fn try_acquire_many(&self, client: IpAddr, amount: usize, limit: usize) -> Option<Permit> {
        let client = network(client);
        let mut used = self.used();
        if used.values().sum::<usize>() >= limit {
            return None;
        }
        if used.get(&client).is_some_and(|own| *own >= limit.div_ceil(SHARES)) {
            return None;
        }
        *used.entry(client).or_default() += amount;
        Some(Permit { quota: self.clone(), client, amount })
    }

    /// The amount that a client uses.
    #[cfg(test)]
    pub(super) fn used_by(&self, client: IpAddr) -> usize {
        self.used().get(&network(client)).copied().unwrap_or(0)
    }

    fn used(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A critical section is one addition or subtraction, so the map is consistent even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.quota.used();
        if let Some(own) = used.get_mut(&self.client) {
            *own -= self.amount;
            if *own == 0 {
                used.remove(&self.client);
            }
        }
    }
}

/// The client that an address belongs to. An IPv6 client usually has all 2^64 addresses of its network.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_each_client_and_all_together() {
        let quota = Quota::default();
        let client = |number: u8| IpAddr::from([10, 0, 0, number]);
        let mut permits: Vec<Permit> = (0..2).map(|_| quota.try_acquire(client(1), 8).unwrap()).collect();
        assert!(quota.try_acquire(client(1), 8).is_none(), "more than the client's share");
        for number in 2..5 {
            permits.extend((0..2).map(|_| quota.try_acquire(client(number), 8).unwrap()));
        }
        assert!(quota.try_acquire(client(5), 8).is_none(), "more than the limit");
        permits.pop();
        assert!(quota.try_acquire(client(5), 8).is_some());
        permits.clear();
        assert!(quota.used().is_empty());
    }

    #[test]
    fn one_amount_can_exceed_the_limit() {
        let quota = Quota::default();
        let client = |number: u8| IpAddr::from([10, 0, 0, number]);
        let large = quota.try_acquire_many(client(1), 1_000, 100).unwrap();
        assert!(quota.try_acquire_many(client(2), 1, 100).is_none());
        drop(large);
        let _share = quota.try_acquire_many(client(1), 25, 100).unwrap();
        assert!(quota.try_acquire_many(client(1), 1, 100).is_none());
        assert!(quota.try_acquire_many(client(2), 1, 100).is_some());
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let quota = Quota::default();
        let _permit = quota.try_acquire("2001:db8::1".parse().unwrap(), 4).unwrap();
        assert!(quota.try_acquire("2001:db8::2".parse().unwrap(), 4).is_none());
        assert!(quota.try_acquire("2001:db8:0:1::1".parse().unwrap(), 4).is_some());
        let _mapped = quota.try_acquire("::ffff:10.0.0.1".parse().unwrap(), 4).unwrap();
        assert!(quota.try_acquire("10.0.0.1".parse().unwrap(), 4).is_none());
    }
}
