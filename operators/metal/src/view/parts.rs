//! The parts of servers: servers of one model have the same ones, and take the memory for them once.

use metal_api::{Processor, Server, SharedList, Storage};
use metal_base::Locked;
use std::sync::Mutex;

/// At most this many different lists are recognized; of more, some are kept more than once.
const MOST: usize = 64;

/// The lists of parts that servers have.
#[derive(Debug, Default)]
pub(super) struct Parts {
    processors: Known<Processor>,
    storages: Known<Storage>,
}

impl Parts {
    /// Replaces the parts of a server by equal ones that another one has.
    pub(super) fn share(&self, server: &mut Server) {
        if let Some(status) = &mut server.status {
            self.processors.share(&mut status.processors);
            self.storages.share(&mut status.storages);
        }
    }
}

/// Lists that somebody has, the one that was last met at the end.
#[derive(Debug, Default)]
struct Known<T>(Mutex<Vec<SharedList<T>>>);

impl<T: PartialEq> Known<T> {
    fn share(&self, list: &mut SharedList<T>) {
        if list.is_empty() {
            return;
        }
        let mut known = self.0.locked();
        known.retain(SharedList::is_shared);
        let equal = known.iter().position(|other| *other == *list);
        let equal = equal.map(|index| known.remove(index));
        if known.len() >= MOST {
            known.remove(0);
        }
        let shared = equal.unwrap_or_else(|| list.clone());
        *list = shared.clone();
        known.push(shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{ServerSpec, ServerStatus};

    #[test]
    fn servers_with_equal_parts_have_the_same_ones() {
        let parts = Parts::default();
        let shared = |cpu: &str, disk: &str| {
            let mut server = server(cpu, disk);
            parts.share(&mut server);
            server.status.unwrap()
        };
        let (one, same, other) = (shared("a", "x"), shared("a", "x"), shared("a", "y"));
        assert_eq!(one, server("a", "x").status.unwrap());
        assert_eq!(other, server("a", "y").status.unwrap());
        assert!(std::ptr::eq(one.processors.as_ptr(), same.processors.as_ptr()));
        assert!(std::ptr::eq(one.storages.as_ptr(), same.storages.as_ptr()));
        assert!(std::ptr::eq(one.processors.as_ptr(), other.processors.as_ptr()));
        assert!(!std::ptr::eq(one.storages.as_ptr(), other.storages.as_ptr()));
    }

    #[test]
    fn lists_that_no_server_has_are_not_kept_and_of_others_only_so_many() {
        let known = Known::<Processor>::default();
        let processors = |id: usize| server(&id.to_string(), "").status.unwrap().processors;
        let mut in_use = vec![];
        for id in 0..2 * MOST {
            let mut list = processors(id);
            known.share(&mut list);
            in_use.push(list);
        }
        assert_eq!(known.0.locked().len(), MOST);
        in_use.clear();
        let mut list = processors(0);
        known.share(&mut list);
        assert_eq!(known.0.locked().len(), 1);
        known.share(&mut SharedList::default());
        assert_eq!(known.0.locked().len(), 1);
    }

    fn server(cpu: &str, disk: &str) -> Server {
        let processor = Processor { id: cpu.to_owned(), ..Processor::default() };
        let storage = Storage { name: Some(disk.to_owned()), ..Storage::default() };
        let (processors, storages) = (vec![processor].into(), vec![storage].into());
        let mut server = Server::new("a", ServerSpec::default());
        server.status = Some(ServerStatus { processors, storages, ..ServerStatus::default() });
        server
    }
}
