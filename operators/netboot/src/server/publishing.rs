//! What other instances hear of our leases, and what we hear of theirs.

use super::Server;
use crate::published::{Family, Published, is_news};

impl Server {
    /// Every lease is known: they can be compared with the objects there are.
    pub(super) fn publish_all(&self) {
        let Some(published) = &self.published else { return };
        published.note(self.leases.all().into_iter().filter(|lease| lease.is_durable()));
        published.complete(Family::V4);
    }

    /// Whether packets are to be answered. If they were not before, what the other instance has
    /// said is taken over first.
    pub(super) fn may_answer(&mut self) -> bool {
        let answers = self.published.as_ref().is_none_or(Published::answers);
        if answers && !self.answered {
            self.hear();
            self.recall_bmcs();
        }
        self.answered = answers;
        answers
    }

    /// Takes over what the other instance has said.
    pub(super) fn hear(&mut self) {
        let Some(published) = &self.published else { return };
        let heard = published.heard_v4();
        if heard.is_empty() {
            return;
        }
        for lease in heard {
            if is_news(&lease, self.leases.get(lease.address)) {
                self.lease_file.iter_mut().for_each(|file| file.append(&lease));
                self.leases.apply(lease);
            }
        }
        self.commit();
    }
}
