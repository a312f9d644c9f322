//! How a process with controllers runs: with few threads, and with an allocator that gives memory back.

use std::{env, io, os::unix::process::CommandExt, process::Command};
use tokio::runtime::Builder;

/// Most threads that run tasks. Controllers wait for others most of the time; a node may have a hundred
/// processors, and each thread keeps memory of its own.
const WORKERS: usize = 4;
/// How many threads tokio itself would have.
const TOKIO: &str = "TOKIO_WORKER_THREADS";
/// What glibc's allocator reads when a process starts. By default it has an arena for each thread, up to eight
/// for each processor, and what tasks free in the arena of another thread is of no use to their own. And with
/// every large piece that is freed it raises the size from which it gives memory back, up to 64 MiB.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// Starts this program anew in the same process, with an allocator that keeps little, unless the environment has
/// settings for it. Call it first in `main`; if it fails, nothing has changed.
pub fn keep_little_memory() {
    if ALLOCATOR.iter().any(|(name, _)| env::var_os(name).is_some()) {
        return;
    }
    let (Ok(program), mut words) = (env::current_exe(), env::args_os()) else { return };
    let mut again = Command::new(&program);
    again.arg0(words.next().unwrap_or_else(|| program.into_os_string()));
    // It returns only if it fails, and then this process goes on as it is.
    let _error = again.args(words).envs(ALLOCATOR).exec();
}

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

    /// Set in the process that starts anew.
    const INSIDE: &str = "METAL_RUNTIME_TEST_INSIDE";

    #[test]
    fn the_allocator_keeps_little_in_a_process_that_stays_the_same() {
        if env::var_os(INSIDE).is_some() {
            keep_little_memory();
            let arenas = env::var(ALLOCATOR[0].0).unwrap();
            let id = std::process::id();
            assert_eq!(run(async { arenas.clone() }).unwrap(), arenas);
            std::fs::write(env::var_os(INSIDE).unwrap(), format!("{id} {arenas}")).unwrap();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let name = "process::tests::the_allocator_keeps_little_in_a_process_that_stays_the_same";
        for (set, arenas) in [(None, "1"), (Some("7"), "7")] {
            let mut inside = Command::new(env::current_exe().unwrap());
            inside.args(["--exact", name]).env(INSIDE, &told);
            for (name, _) in ALLOCATOR {
                inside.env_remove(name);
            }
            if let Some(arenas) = set {
                inside.env(ALLOCATOR[0].0, arenas);
            }
            let mut inside = inside.stdout(std::process::Stdio::null()).spawn().unwrap();
            let id = inside.id();
            assert!(inside.wait().unwrap().success());
            assert_eq!(std::fs::read_to_string(&told).unwrap(), format!("{id} {arenas}"));
        }
    }
}
