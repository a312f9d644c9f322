//! Locks that a panic does not poison: what they guard is consistent at any time.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

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

/// A lock of many readers or one writer that can be locked after a panic.
pub trait RwLocked<T: ?Sized> {
    /// Locks it to read, even if a thread has panicked while it held the lock.
    fn read_locked(&self) -> RwLockReadGuard<'_, T>;

    /// Locks it to write, even if a thread has panicked while it held the lock.
    fn write_locked(&self) -> RwLockWriteGuard<'_, T>;
}

impl<T: ?Sized> RwLocked<T> for RwLock<T> {
    fn read_locked(&self) -> RwLockReadGuard<'_, T> {
        self.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_locked(&self) -> RwLockWriteGuard<'_, T> {
        self.write().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn a_writer_that_panics_locks_out_neither_readers_nor_writers() {
        let lock = RwLock::new(1);
        let panicked = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let _guard = lock.write_locked();
                panic!("while it holds the lock");
            });
            writer.join().is_err()
        });
        assert!(panicked && lock.is_poisoned());
        *lock.write_locked() += 1;
        assert_eq!(*lock.read_locked(), 2);
    }
}
