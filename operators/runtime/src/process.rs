//! How a process with controllers runs: with few threads.

use std::{env, io};
use tokio::runtime::Builder;

/// Most threads that run tasks. Controllers wait for others most of the time; a node may have a hundred
/// processors, and each thread keeps memory of its own.
const WORKERS: usize = 4;
/// How many threads tokio itself would have.
const TOKIO: &str = "TOKIO_WORKER_THREADS";
/// Runs `main` to its end.
///
/// # Errors
///
/// If threads cannot be started.
pub fn run<F: Future>(main: F) -> io::Result<F::Output> {
    let mut threads = Builder::new_multi_thread();
    if env::var_os(TOKIO).is_none() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        threads.worker_threads(processors.min(WORKERS));
    }
    Ok(threads.enable_all().build()?.block_on(main))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Handle;

    #[test]
    fn a_process_has_four_threads_for_tasks_at_most() {
        let threads = run(async { Handle::current().metrics().num_workers() }).unwrap();
        assert!((1..=WORKERS).contains(&threads), "{threads}");
    }
}
