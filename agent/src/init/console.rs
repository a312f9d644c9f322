//! The machine's consoles, for a person in front of it.
//!
//! A kernel may have several, such as a serial line and a screen. `/dev/console` is only one of
//! them, and not always the one being watched, so every line goes to all of them.

use crate::root::Root;
use metal_base::Locked;
use nix::libc::{O_NOCTTY, O_NONBLOCK};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    sync::{Arc, Mutex},
};
use tracing_subscriber::fmt::{MakeWriter, format::Writer, time::FormatTime};

const ACTIVE: &str = "/sys/class/tty/console/active";
/// Warnings and worse: more of the kernel's messages would bury ours.
const KERNEL_LEVEL: &str = "4\n";

/// All consoles. Output that a console does not take at once is dropped.
#[derive(Clone, Debug)]
pub(super) struct Consoles(Arc<Mutex<Vec<File>>>);

impl Consoles {
    /// Opens the consoles, and reduces the kernel's own output.
    pub(super) fn open() -> Self {
        fs::write("/proc/sys/kernel/printk", KERNEL_LEVEL).ok();
        let files = names(&Root::new("/")).into_iter().filter_map(|name| {
            let mut options = OpenOptions::new();
            // A serial line that nobody reads must not block us, nor become our terminal.
            options.write(true).custom_flags(O_NONBLOCK | O_NOCTTY);
            options.open(format!("/dev/{name}")).ok()
        });
        Self(Arc::new(Mutex::new(files.collect())))
    }
}

/// The consoles that the kernel writes to.
fn names(root: &Root) -> Vec<String> {
    let active = root.word(ACTIVE).unwrap_or_else(|| "console".to_owned());
    active.split_whitespace().map(str::to_owned).collect()
}

impl Write for Consoles {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for file in &mut *self.0.locked() {
            // A console that fails does not silence the others.
            file.write_all(line).ok();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Consoles {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The name of the program, and seconds since the kernel started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uptime(pub(super) &'static str);

impl FormatTime for Uptime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split_whitespace().next().unwrap_or("?");
        write!(writer, "{} [{seconds:>8}]", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_console_of_the_kernel_is_written_to() {
        let tree = tempfile::tempdir().unwrap();
        let root = Root::new(tree.path());
        assert_eq!(names(&root), ["console"]);
        let file = tree.path().join(ACTIVE.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "tty0 ttyS0\n").unwrap();
        assert_eq!(names(&root), ["tty0", "ttyS0"]);
    }
}
