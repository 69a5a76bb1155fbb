//! Runs a task once for however many callers want its result.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// The result of a task, shared by its callers.
pub(crate) type SharedResult<T> = Shared<BoxFuture<'static, T>>;

/// Concurrent callers share one running task. The task is spawned, so a caller that is cancelled does not cancel it. The
/// result is not cached: a call after the task's end starts a new one.
#[derive(Debug)]
pub(crate) struct SingleFlight<T: Clone>(Arc<Mutex<Option<SharedResult<T>>>>);

impl<T: Clone> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Returns the result of the running task, or of a new one that runs `work`. If the task panics, the result is
    /// `panicked`.
    pub(crate) fn call<F>(&self, work: impl FnOnce() -> F, panicked: T) -> SharedResult<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        // The critical sections are single assignments, so a poisoned value is valid.
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = &*running {
            tracing::debug!("joined the running task");
            return result.clone();
        }
        let slot = self.0.clone();
        let work = AssertUnwindSafe(work()).catch_unwind();
        let task = tokio::spawn(async move {
            // `AssertUnwindSafe`: state that a panic leaves inconsistent is dropped with the task.
            let result = work.await.unwrap_or(panicked);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
            result
        });
        let result = async move {
            match task.await {
                Ok(result) => result,
                // The task is cancelled only at the shutdown of the runtime, together with its callers.
                Err(_) => std::future::pending().await,
            }
        };
        let result = result.boxed().shared();
        *running = Some(result.clone());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn concurrent_callers_share_a_task_and_later_ones_start_another() {
        let started = Arc::new(AtomicUsize::new(0));
        let single_flight = SingleFlight::default();
        let (finish, finished) = oneshot::channel::<()>();
        let count = started.clone();
        let first = single_flight.call(
            move || async move {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = finished.await;
                "first"
            },
            "panicked",
        );
        let second = single_flight.call(|| async { "second" }, "panicked");
        drop(first);
        finish.send(()).unwrap();
        assert_eq!(second.await, "first");
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert_eq!(single_flight.call(|| async { "third" }, "panicked").await, "third");
    }

    #[tokio::test]
    async fn returns_a_result_after_a_panic() {
        let single_flight = SingleFlight::default();
        let result = single_flight.call(|| async { panic!("on purpose") }, "panicked");
        assert_eq!(result.await, "panicked");
    }
}
