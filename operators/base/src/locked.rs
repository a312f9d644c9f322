//! Locks that a panic does not poison: what they guard is consistent at any time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex that can be locked after a panic.
pub trait Locked<T: ?Sized> {
    /// Locks it, even if a thread has panicked while it held the lock.
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T: ?Sized> Locked<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_thread_that_panics_does_not_lock_others_out() {
        let mutex = Mutex::new(1);
        let panicked = thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _guard = mutex.locked();
                panic!("while it holds the lock");
            });
            holder.join().is_err()
        });
        assert!(panicked && mutex.is_poisoned());
        assert_eq!(*mutex.locked(), 1);
    }
}
