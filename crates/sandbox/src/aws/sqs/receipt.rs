//! Receipt handles.

/// The beginning of every receipt handle of SQS.
const PREFIX: &str = "AQEB";

/// A receive of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Receipt {
    /// The number of the message in its queue.
    pub(super) message: u64,
    /// How many times the message had been received with this receive.
    pub(super) receive: u32,
}

impl Receipt {
    /// Returns the handle. `queue` identifies the queue.
    pub(super) fn handle(self, queue: &str) -> String {
        let Self { message, receive } = self;
        format!("{PREFIX}{queue}{message:016x}{receive:08x}")
    }

    /// Parses a handle of this queue.
    pub(super) fn parse(handle: &str, queue: &str) -> Option<Self> {
        let digits = handle.strip_prefix(PREFIX)?.strip_prefix(queue)?;
        if digits.len() != 24 {
            return None;
        }
        Some(Self {
            message: u64::from_str_radix(digits.get(..16)?, 16).ok()?,
            receive: u32::from_str_radix(digits.get(16..)?, 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_own_handles() {
        let receipt = Receipt { message: 77, receive: 3 };
        let handle = receipt.handle("queue");
        assert_eq!(Receipt::parse(&handle, "queue"), Some(receipt));
        for invalid in ["", "AQEBqueue", &handle[1..], &format!("{handle}0")] {
            assert_eq!(Receipt::parse(invalid, "queue"), None, "{invalid}");
        }
        assert_eq!(Receipt::parse(&handle, "other"), None);
    }
}
