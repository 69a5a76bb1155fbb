//! A bound on what clients do at the same time, of which no one client can take all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The share of the bound that one client may take: a quarter.
const CLIENTS: usize = 4;

/// What is taken, by client: of requests or of bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Quota(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A part of a quota; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    quota: Quota,
    client: IpAddr,
    amount: usize,
}

impl Quota {
    /// Takes one of `bound` places; `None` where all are taken, or this client's share of them.
    pub(super) fn enter(&self, client: IpAddr, bound: usize) -> Option<Place> {
        self.take(client, 1, bound)
    }

    /// Takes `amount` as long as less than `bound` is taken, and less than this client's share of it. So the last one
    /// may go beyond the bound, and nothing is too large to be served at all.
    pub(super) fn take(&self, client: IpAddr, amount: usize, bound: usize) -> Option<Place> {
        let client = network(client);
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= bound {
            return None;
        }
        if taken.get(&client).is_some_and(|own| *own >= bound.div_ceil(CLIENTS)) {
            return None;
        }
        let own = taken.entry(client).or_default();
        *own += amount;
        Some(Place { quota: self.clone(), client, amount })
    }

    /// What a client has taken.
    #[cfg(test)]
    pub(super) fn of(&self, client: IpAddr) -> usize {
        self.taken().get(&network(client)).copied().unwrap_or(0)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A critical section is one addition or subtraction.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.quota.taken();
        if let Some(own) = taken.get_mut(&self.client) {
            *own -= self.amount;
            if *own == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

/// Whoever has an IPv6 address has the 2^64 of its network.
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
    fn no_client_takes_all_and_all_take_no_more_than_the_bound() {
        let quota = Quota::default();
        let client = |number: u8| IpAddr::from([10, 0, 0, number]);
        let mut places: Vec<Place> = (0..2).map(|_| quota.enter(client(1), 8).unwrap()).collect();
        assert!(quota.enter(client(1), 8).is_none(), "more than a client's share");
        for number in 2..5 {
            places.extend((0..2).map(|_| quota.enter(client(number), 8).unwrap()));
        }
        assert!(quota.enter(client(5), 8).is_none(), "more than the bound");
        places.pop();
        assert!(quota.enter(client(5), 8).is_some());
        places.clear();
        assert!(quota.taken().is_empty());
    }

    #[test]
    fn an_amount_may_go_beyond_the_bound_once() {
        let quota = Quota::default();
        let client = |number: u8| IpAddr::from([10, 0, 0, number]);
        let large = quota.take(client(1), 1_000, 100).unwrap();
        assert!(quota.take(client(2), 1, 100).is_none());
        drop(large);
        let _share = quota.take(client(1), 25, 100).unwrap();
        assert!(quota.take(client(1), 1, 100).is_none());
        assert!(quota.take(client(2), 1, 100).is_some());
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let quota = Quota::default();
        let _place = quota.enter("2001:db8::1".parse().unwrap(), 4).unwrap();
        assert!(quota.enter("2001:db8::2".parse().unwrap(), 4).is_none());
        assert!(quota.enter("2001:db8:0:1::1".parse().unwrap(), 4).is_some());
        let _mapped = quota.enter("::ffff:10.0.0.1".parse().unwrap(), 4).unwrap();
        assert!(quota.enter("10.0.0.1".parse().unwrap(), 4).is_none());
    }
}
