//! `metal-installer`: installs the machine whose first process it is.
//!
//! The netboot image takes it as one static file, `/init` of its initial RAM disk:
//!
//! ```text
//! RUSTFLAGS="-C target-feature=+crt-static" \
//!     cargo build --profile probe --target x86_64-unknown-linux-gnu -p metal-installer
//! ```

use metalprobe::init::{self, Program};
use std::{
    env,
    io::{Write, stderr},
    process::{self, ExitCode},
};

const PROGRAM: Program = Program {
    name: "metal-installer",
    greeting: "a disk of this machine is about to be overwritten, if an installation is due",
};

fn main() -> ExitCode {
    // Somebody who tries it on a system that runs keeps its disks.
    if process::id() != 1 || !init::is_wanted(env::args_os()) {
        let told = b"metal-installer overwrites disks: it runs only as /init, the first process\n";
        stderr().write_all(told).ok();
        return ExitCode::from(2);
    }
    init::start(PROGRAM, metal_installer::run)
}
