//! Runs in webhooks.

use std::time::Duration;

/// The description of a run in webhooks, without its state. Times are counted from the Unix epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunInfo {
    /// The name of the account, which is its subdomain.
    pub account: String,
    /// A ULID.
    pub id: String,
    /// `TRACKED`, `PROPOSED`, `TASK`, …
    pub run_type: String,
    /// The branch.
    pub branch: String,
    /// The time of creation.
    pub created_at: Duration,
    /// Whether it is a drift detection run.
    pub drift_detection: bool,
    /// The user who triggered it; `None` for a push.
    pub triggered_by: Option<String>,
    /// The command of a task.
    pub command: Option<String>,
    /// The commit.
    pub commit: Commit,
    /// The stack.
    pub stack: StackInfo,
    /// The private worker pool; `None` for the public pool.
    pub worker_pool: Option<WorkerPoolInfo>,
    /// The changes, after the plan.
    pub changes: Option<Changes>,
    /// The number of resources of the stack.
    pub resources: u32,
    /// The policies evaluated so far.
    pub policy_receipts: Vec<PolicyReceipt>,
}

/// The stack of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StackInfo {
    /// The slug.
    pub id: String,
    /// The name, any text.
    pub name: String,
    /// The description, any text.
    pub description: Option<String>,
    /// Labels, any text.
    pub labels: Vec<String>,
    /// The name of the repository.
    pub repository: String,
    /// The id of the space. Only the policy's payload contains it.
    pub space_id: String,
    /// The name of the space.
    pub space_name: String,
}

/// A private worker pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkerPoolInfo {
    /// A ULID.
    pub id: String,
    /// The name, any text.
    pub name: String,
    /// Labels, any text.
    pub labels: Vec<String>,
}

/// A commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Commit {
    /// The login of the author.
    pub author_login: Option<String>,
    /// The name of the author.
    pub author_name: String,
    /// SHA-1 in hexadecimal.
    pub hash: String,
    /// The first line of the message.
    pub message: String,
    /// The time of the commit.
    pub at: Duration,
}

/// The number of changed resources.
///
/// The default payload has no replacements. Terraform counts a replacement as an addition and a deletion, see
/// [`delta`](Self::delta).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Changes {
    /// Created resources.
    pub added: u32,
    /// Resources updated in place.
    pub changed: u32,
    /// Destroyed resources.
    pub deleted: u32,
    /// Resources destroyed and created again. The other numbers do not include them.
    pub replaced: u32,
}

/// An evaluated policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyReceipt {
    /// The name of the policy.
    pub name: String,
    /// `PLAN`, `APPROVAL`, `GIT_PUSH`, …
    pub policy_type: String,
    /// `allow`, `deny`, `approve`, …
    pub outcome: String,
    /// Flags set by the policy.
    pub flags: Vec<String>,
}

impl RunInfo {
    /// Returns a tracked run of a stack in the account `acme` and the space `root`, on the public pool,
    /// created at the start of 2025.
    #[must_use]
    pub fn new(id: impl Into<String>, stack: impl Into<String>) -> Self {
        let (id, stack) = (id.into(), stack.into());
        Self {
            account: "acme".to_owned(),
            id,
            run_type: "TRACKED".to_owned(),
            branch: "main".to_owned(),
            created_at: Duration::from_secs(1_735_689_600),
            drift_detection: false,
            triggered_by: None,
            command: None,
            commit: Commit {
                author_login: None,
                author_name: "A. Developer".to_owned(),
                hash: "0ee3a3b7266daf5a1d44a193a0f48ce995fa75eb".to_owned(),
                message: "Update main.tf".to_owned(),
                at: Duration::from_secs(1_735_689_000),
            },
            stack: StackInfo {
                name: stack.clone(),
                id: stack,
                description: None,
                labels: Vec::new(),
                repository: "infra".to_owned(),
                space_id: "root".to_owned(),
                space_name: "root".to_owned(),
            },
            worker_pool: None,
            changes: None,
            resources: 1,
            policy_receipts: Vec::new(),
        }
    }

    /// Sets the account.
    #[must_use]
    pub fn account(mut self, name: impl Into<String>) -> Self {
        self.account = name.into();
        self
    }

    /// Sets the type, such as `PROPOSED`.
    #[must_use]
    pub fn run_type(mut self, name: impl Into<String>) -> Self {
        self.run_type = name.into();
        self
    }

    /// Sets the time of creation, counted from the Unix epoch.
    #[must_use]
    pub fn created_at(mut self, at: Duration) -> Self {
        self.created_at = at;
        self
    }

    /// Sets whether it is a drift detection run.
    #[must_use]
    pub fn drift_detection(mut self, drift_detection: bool) -> Self {
        self.drift_detection = drift_detection;
        self
    }

    /// Sets the user who triggered it.
    #[must_use]
    pub fn triggered_by(mut self, who: impl Into<String>) -> Self {
        self.triggered_by = Some(who.into());
        self
    }

    /// Sets the private worker pool.
    #[must_use]
    pub fn worker_pool(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.worker_pool = Some(WorkerPoolInfo { id: id.into(), name: name.into(), labels: Vec::new() });
        self
    }

    /// Sets the space of the stack.
    #[must_use]
    pub fn space(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.stack.space_id = id.into();
        self.stack.space_name = name.into();
        self
    }

    /// Sets the labels of the stack.
    #[must_use]
    pub fn labels(mut self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.stack.labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the changes.
    #[must_use]
    pub fn changes(mut self, changes: Changes) -> Self {
        self.changes = Some(changes);
        self
    }

    /// Adds an evaluated policy, such as `PLAN` with the outcome `allow`.
    #[must_use]
    pub fn policy_receipt(mut self, policy_type: impl Into<String>, outcome: impl Into<String>) -> Self {
        let (policy_type, outcome) = (policy_type.into(), outcome.into());
        let name = format!("{} policy", policy_type.to_lowercase());
        self.policy_receipts.push(PolicyReceipt { name, policy_type, outcome, flags: Vec::new() });
        self
    }

    /// Returns the name of the pool, or `public`.
    #[must_use]
    pub fn pool_name(&self) -> &str {
        self.worker_pool.as_ref().map_or("public", |pool| &pool.name)
    }

    /// Returns the URL of the run.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/run/{}", self.stack_url(), self.id)
    }

    pub(super) fn stack_url(&self) -> String {
        format!("https://{}.app.spacelift.io/stack/{}", self.account, self.stack.id)
    }
}

impl Changes {
    /// Returns the added, changed and deleted resources as in the default payload.
    #[must_use]
    pub const fn delta(self) -> (u32, u32, u32) {
        (self.added + self.replaced, self.changed, self.deleted + self.replaced)
    }
}
