//! Queues of the simulated AWS, and events that are sent to them.

use super::Aws;
use crate::aws::{ec2::Instance, event::Event, sqs::Queue};

/// Queues and events.
impl Aws {
    /// Returns the first queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Returns the URL of the first queue on the simulated server.
    #[must_use]
    pub fn queue_url(&self) -> String {
        self.queue.url()
    }

    /// Returns all queues.
    #[must_use]
    pub fn queues(&self) -> Vec<Queue> {
        self.api.queues.all()
    }

    /// Adds a queue, or returns the existing one.
    pub fn add_queue(&self, account: &str, region: &str, name: &str) -> Queue {
        self.api.queues.add(account, region, name)
    }

    /// Returns a queue.
    #[must_use]
    pub fn find_queue(&self, account: &str, region: &str, name: &str) -> Option<Queue> {
        self.api.queues.find(account, region, name)
    }

    /// Sends an event to all queues of its region, of any account. Returns the number of queues.
    pub fn send_event(&self, event: &Event) -> usize {
        self.api.send_body(event.region(), &event.body())
    }

    /// Sends an event in the envelope of an SNS topic. See [`send_event`](Self::send_event).
    pub fn send_event_by_sns(&self, event: &Event) -> usize {
        self.api.send_body(event.region(), &event.in_sns_envelope())
    }

    /// Sends `EC2 Spot Instance Request Fulfillment` for an instance. Returns the event; `None` for an unknown
    /// instance.
    pub fn fulfill(&self, id: &str) -> Option<Event> {
        self.send_about(id, Event::fulfillment)
    }

    /// Sends `EC2 Spot Instance Interruption Warning` for an instance, whose state does not change. Returns the
    /// event; `None` for an unknown instance.
    pub fn warn(&self, id: &str) -> Option<Event> {
        self.send_about(id, Event::interruption_warning)
    }

    /// Sends `EC2 Capacity Reservation Instance Interruption Warning` for an instance. Returns the event;
    /// `None` for an unknown instance.
    pub fn warn_capacity_reservation(&self, id: &str) -> Option<Event> {
        self.send_about(id, Event::capacity_reservation_warning)
    }

    /// Sends `EC2 Instance Rebalance Recommendation` for an instance. Returns the event; `None` for an unknown
    /// instance.
    pub fn recommend_rebalance(&self, id: &str) -> Option<Event> {
        self.send_about(id, Event::rebalance_recommendation)
    }

    /// Sends `EC2 Instance State-change Notification` with the present state of an instance. Returns the event;
    /// `None` for an unknown instance.
    pub fn notify_state(&self, id: &str) -> Option<Event> {
        self.send_about(id, Event::state_change)
    }

    fn send_about(&self, id: &str, event: impl FnOnce(&Instance) -> Event) -> Option<Event> {
        let event = event(&self.api.fleet.get(id)?).at(self.api.clock.now());
        self.send_event(&event);
        Some(event)
    }
}
