//! Work that is done once for however many want its result.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// The result of a flight, for everyone who waits for it.
pub(crate) type Landing<T> = Shared<BoxFuture<'static, T>>;

/// A single flight: while one is in the air, whoever comes joins it. It flies on by itself: a passenger that
/// gives up does not end it for the others. Once landed it is forgotten, and its result is only the passengers'.
#[derive(Debug)]
pub(crate) struct Flight<T: Clone>(Arc<Mutex<Option<Landing<T>>>>);

impl<T: Clone> Default for Flight<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Joins the running flight or starts one with `work`. Should the work panic, `crashed` is its result.
    pub(crate) fn join<F>(&self, work: impl FnOnce() -> F, crashed: T) -> Landing<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        // Whoever holds the lock assigns once, so a poisoned value is a whole one.
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = &*current {
            return landing.clone();
        }
        let air = self.0.clone();
        let work = AssertUnwindSafe(work()).catch_unwind();
        let flight = tokio::spawn(async move {
            // What the panic left half-done is dropped with the work; only `crashed` is seen of it.
            let result = work.await.unwrap_or(crashed);
            *air.lock().unwrap_or_else(PoisonError::into_inner) = None;
            result
        });
        let landing = async move {
            match flight.await {
                Ok(result) => result,
                // Only the end of the runtime cancels the task, and it ends the passengers with it.
                Err(_) => std::future::pending().await,
            }
        };
        let landing = landing.boxed().shared();
        *current = Some(landing.clone());
        landing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn joins_while_in_the_air_and_starts_anew_after_landing() {
        let started = Arc::new(AtomicUsize::new(0));
        let flight = Flight::default();
        let (land, landing) = oneshot::channel::<()>();
        let count = started.clone();
        let first = flight.join(
            move || async move {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = landing.await;
                "first"
            },
            "crashed",
        );
        let second = flight.join(|| async { "second" }, "crashed");
        drop(first);
        land.send(()).unwrap();
        assert_eq!(second.await, "first");
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert_eq!(flight.join(|| async { "third" }, "crashed").await, "third");
    }

    #[tokio::test]
    async fn a_panic_lands_as_crashed() {
        let flight = Flight::default();
        let landing = flight.join(|| async { panic!("on purpose") }, "crashed");
        assert_eq!(landing.await, "crashed");
    }
}
