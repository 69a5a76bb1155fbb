//! Supervises the tasks that a program needs.

use std::collections::HashMap;
use std::future::Future;

use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::program::panic_message;

/// The tasks beside the server. If one panics or returns before shutdown, that is a defect of the program, which should
/// then exit with an error so that it is restarted.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<()>,
    names: HashMap<Id, String>,
    shutdown: CancellationToken,
}

/// A task panicked, or returned before shutdown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task {name:?} ended by a defect of this program: {reason}")]
pub struct TaskEnded {
    name: String,
    reason: String,
}

/// A supervised task.
#[derive(Debug)]
pub struct Supervised<T> {
    output: oneshot::Receiver<T>,
    task: AbortHandle,
}

impl<T> Supervised<T> {
    /// Waits for the output of the task; `None` if it panicked or was aborted.
    pub async fn output(self) -> Option<T> {
        self.output.await.ok()
    }

    /// Aborts the task. This does not count as a defect.
    pub fn abort(&self) {
        self.task.abort();
    }
}

impl Supervisor {
    /// Creates a supervisor without tasks. Once `shutdown` is cancelled, tasks can return.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), names: HashMap::new(), shutdown }
    }

    /// Starts a task. The name appears in the log and should be clear to an operator.
    pub fn spawn<T: Send + 'static>(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Supervised<T> {
        let (sender, output) = oneshot::channel();
        let task = self.tasks.spawn(async move {
            // The output is dropped if no caller waits for it.
            let _ = sender.send(task.await);
        });
        self.names.insert(task.id(), name.into());
        Supervised { output, task }
    }

    /// Completes when a task panics, or returns before shutdown. Cancel safe.
    pub async fn failure(&mut self) -> TaskEnded {
        loop {
            match self.tasks.join_next_with_id().await {
                None => std::future::pending().await,
                Some(ended) => {
                    if let Some(failure) = self.failure_of(ended) {
                        return failure;
                    }
                }
            }
        }
    }

    /// Checks the tasks that have ended since the last call of [`Self::failure`].
    ///
    /// # Errors
    /// A task panicked, or returned before shutdown.
    pub fn finish(mut self) -> Result<(), TaskEnded> {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Some(failure) = self.failure_of(ended) {
                return Err(failure);
            }
        }
        Ok(())
    }

    fn failure_of(&mut self, ended: Result<(Id, ()), JoinError>) -> Option<TaskEnded> {
        let (id, reason) = match ended {
            Ok((id, ())) => (id, (!self.shutdown.is_cancelled()).then(|| "it returned".to_owned())),
            Err(error) => {
                let id = error.id();
                (id, error.try_into_panic().ok().map(|panic| panic_message(&*panic).to_owned()))
            }
        };
        let name = self.names.remove(&id).unwrap_or_default();
        Some(TaskEnded { name, reason: reason? })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn names_a_task_that_panics_or_returns() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("steady", pending::<()>());
        let short = supervisor.spawn("short", async { 7 });
        assert_eq!(
            supervisor.failure().await.to_string(),
            "the task \"short\" ended by a defect of this program: it returned"
        );
        assert_eq!(short.output().await, Some(7));
        let broken = supervisor.spawn("broken", async { panic!("boom") });
        assert_eq!(
            supervisor.failure().await.to_string(),
            "the task \"broken\" ended by a defect of this program: boom"
        );
        assert_eq!(broken.output().await, None::<()>);
        assert_eq!(supervisor.finish(), Ok(()));
    }

    #[tokio::test]
    async fn only_a_panic_is_a_failure_during_shutdown() {
        let shutdown = CancellationToken::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        shutdown.cancel();
        let done = supervisor.spawn("done", async { 1 });
        assert_eq!(done.output().await, Some(1));
        let aborted = supervisor.spawn("aborted", pending::<()>());
        aborted.abort();
        assert_eq!(aborted.output().await, None);
        supervisor.spawn("broken", async { panic!("boom") });
        assert_eq!(supervisor.failure().await.name, "broken");
    }

    #[tokio::test]
    async fn finish_reports_the_last_failure() {
        let shutdown = CancellationToken::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        shutdown.cancel();
        let broken = supervisor.spawn("broken", async { panic!("boom") });
        assert_eq!(broken.output().await, None::<()>);
        tokio::task::yield_now().await;
        assert_eq!(supervisor.finish().unwrap_err().name, "broken");
    }
}
