//! A run as webhooks describe it.

use std::time::Duration;

/// What a webhook says about a run, whatever its state. Times are counted from the Unix epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunInfo {
    /// The account's name, the subdomain.
    pub account: String,
    /// A ULID.
    pub id: String,
    /// `TRACKED`, `PROPOSED`, `TASK`, …
    pub run_type: String,
    /// The branch that it was created for.
    pub branch: String,
    /// When it was created.
    pub created_at: Duration,
    /// Whether it looks for drift.
    pub drift_detection: bool,
    /// Who created it; none for a push.
    pub triggered_by: Option<String>,
    /// The command of a task.
    pub command: Option<String>,
    /// The commit that it is about.
    pub commit: Commit,
    /// Whose run it is.
    pub stack: StackInfo,
    /// Where it is executed; none for the public pool.
    pub worker_pool: Option<WorkerPoolInfo>,
    /// What it changes, once that is known.
    pub changes: Option<Changes>,
    /// The resources that the stack manages.
    pub resources: u32,
    /// The policies that were evaluated so far.
    pub policy_receipts: Vec<PolicyReceipt>,
}

/// The stack of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StackInfo {
    /// The slug.
    pub id: String,
    /// The name that somebody chose, any text.
    pub name: String,
    /// What somebody wrote about it.
    pub description: Option<String>,
    /// Labels in any form.
    pub labels: Vec<String>,
    /// The repository's name.
    pub repository: String,
    /// The identity of its space. Only the policy's payload has it.
    pub space_id: String,
    /// The name of its space.
    pub space_name: String,
}

/// A private worker pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkerPoolInfo {
    /// A ULID.
    pub id: String,
    /// The name that somebody chose, any text.
    pub name: String,
    /// Labels in any form.
    pub labels: Vec<String>,
}

/// A commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Commit {
    /// The author's login, if they have one.
    pub author_login: Option<String>,
    /// The author's name.
    pub author_name: String,
    /// SHA-1 in hexadecimal digits.
    pub hash: String,
    /// The first line.
    pub message: String,
    /// When it was made.
    pub at: Duration,
}

/// Resources that a run changes.
///
/// The default payload does not know replacements: Terraform counts one as an addition and a deletion. See
/// [`delta`](Self::delta).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Changes {
    /// New ones.
    pub added: u32,
    /// Those that are updated in place.
    pub changed: u32,
    /// Those that are destroyed.
    pub deleted: u32,
    /// Those that are destroyed and created again, which are in neither of the other numbers.
    pub replaced: u32,
}

/// A policy that was evaluated for a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyReceipt {
    /// The policy's name.
    pub name: String,
    /// `PLAN`, `APPROVAL`, `GIT_PUSH`, …
    pub policy_type: String,
    /// `allow`, `deny`, `approve`, …
    pub outcome: String,
    /// Flags that policies have set.
    pub flags: Vec<String>,
}

impl RunInfo {
    /// A tracked run of a stack in the account `acme` and the space `root`, on the public pool, created when 2025 began.
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

    /// Another account.
    #[must_use]
    pub fn account(mut self, name: impl Into<String>) -> Self {
        self.account = name.into();
        self
    }

    /// Another type, such as `PROPOSED`.
    #[must_use]
    pub fn run_type(mut self, name: impl Into<String>) -> Self {
        self.run_type = name.into();
        self
    }

    /// When it was created, counted from the Unix epoch.
    #[must_use]
    pub fn created_at(mut self, at: Duration) -> Self {
        self.created_at = at;
        self
    }

    /// Whether it looks for drift.
    #[must_use]
    pub fn drift_detection(mut self, drift_detection: bool) -> Self {
        self.drift_detection = drift_detection;
        self
    }

    /// Who created it.
    #[must_use]
    pub fn triggered_by(mut self, who: impl Into<String>) -> Self {
        self.triggered_by = Some(who.into());
        self
    }

    /// The private pool that executes it.
    #[must_use]
    pub fn worker_pool(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.worker_pool = Some(WorkerPoolInfo { id: id.into(), name: name.into(), labels: Vec::new() });
        self
    }

    /// The stack's space.
    #[must_use]
    pub fn space(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.stack.space_id = id.into();
        self.stack.space_name = name.into();
        self
    }

    /// The stack's labels.
    #[must_use]
    pub fn labels(mut self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.stack.labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// What it changes.
    #[must_use]
    pub fn changes(mut self, changes: Changes) -> Self {
        self.changes = Some(changes);
        self
    }

    /// A further policy that was evaluated, such as `PLAN` with the outcome `allow`.
    #[must_use]
    pub fn policy_receipt(mut self, policy_type: impl Into<String>, outcome: impl Into<String>) -> Self {
        let (policy_type, outcome) = (policy_type.into(), outcome.into());
        let name = format!("{} policy", policy_type.to_lowercase());
        self.policy_receipts.push(PolicyReceipt { name, policy_type, outcome, flags: Vec::new() });
        self
    }

    /// The pool's name, or `public`.
    #[must_use]
    pub fn pool_name(&self) -> &str {
        self.worker_pool.as_ref().map_or("public", |pool| &pool.name)
    }

    /// Where to look at it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/run/{}", self.stack_url(), self.id)
    }

    pub(super) fn stack_url(&self) -> String {
        format!("https://{}.app.spacelift.io/stack/{}", self.account, self.stack.id)
    }
}

impl Changes {
    /// Added, changed and deleted as the default payload has them.
    #[must_use]
    pub const fn delta(self) -> (u32, u32, u32) {
        (self.added + self.replaced, self.changed, self.deleted + self.replaced)
    }
}
