//! What an installer reports, in words.

use metal_api::installation::InstallProgress;

/// The message for an installer that has failed without giving one.
pub const SILENT: &str = "the installer does not say why";

const MIB: u64 = 1 << 20;

/// How much of the disk image has come.
pub fn amount(progress: &InstallProgress) -> String {
    let share = progress.total.filter(|total| *total > 0).map(|total| {
        let share = u128::from(progress.written.min(total)) * 100 / u128::from(total);
        format!("{share} %, ")
    });
    format!("{}{}", share.unwrap_or_default(), size(progress.written))
}

/// In MiB below 1 GiB, else in GiB with one digit after the point, cut.
pub fn size(bytes: u64) -> String {
    let mib = bytes / MIB;
    if mib < 1024 {
        format!("{mib} MiB")
    } else {
        format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024)
    }
}
