//! The binary's flags.

use tokio::process::Command;

#[tokio::test]
async fn a_flag_that_names_no_machine_or_no_device_says_so() {
    let cases = [
        ("tap0", "write N=TAP"),
        ("x=tap0", "x is not the number of a machine"),
        ("0=", "not the name of a tap device"),
        ("0=tap0,script=/bin/sh", "not the name of a tap device"),
    ];
    for (flag, said) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
        let output =
            command.args(["--vm", flag, "--vm-folder", "/nowhere"]).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{flag}: {error}");
    }
}
