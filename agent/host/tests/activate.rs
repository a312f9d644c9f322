//! The hook for images of bootc, with a bootc that is a script.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use metal_base::testing::script;
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// In place of the status of a hook that was killed.
const KILLED: i32 = -1;

/// A system, whose deployments are files with the names of their images.
struct System {
    folder: TempDir,
}

impl System {
    fn new() -> Self {
        let it = Self { folder: tempfile::tempdir().unwrap() };
        // Names in the order of RFC 8785, as bootc has them.
        let bootc = r#"
            of() {
                [ -e $1 ] || { echo null; return; }
                printf '{"cachedUpdate":null,"composefs":null,"downloadOnly":false,"image":{"architecture":"amd64",'
                printf '"image":{"image":"%s","transport":"registry"},"imageDigest":"%s"}}' $(cat $1) $(cut -d @ -f 2 $1)
            }
            case $1 in
            status)
                queued=$([ -e queued ] && echo true || echo false)
                echo '{"kind":"BootcHost","status":{"booted":'$(of booted)',"rollback":'$(of rollback)',"rollbackQueued":'$queued',"staged":'$(of staged)'}}' ;;
            switch) rm -f queued; echo $2 > staged; cp root/run/ostree/auth.json login 2> /dev/null || : ;;
            rollback) rm -f staged; if [ -e queued ]; then rm queued; else touch queued; fi ;;
            esac"#;
        it.script("bootc", &format!("echo $1 >> asked\n{bootc}"));
        it.script("systemctl", "echo $1 >> asked");
        symlink(env!("CARGO_BIN_EXE_metal-host"), it.path("metal-host")).unwrap();
        it.script(
            "sync",
            "mkdir -p root/etc; (cd root/etc && find . -type f -size +0 | sort) > synced",
        );
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files of a release that brings a login.
    fn brings_login(&self) -> String {
        let files = self.path("files");
        fs::create_dir_all(files.join("etc/ostree")).unwrap();
        fs::write(files.join("etc/ostree/auth.json"), "login of v2").unwrap();
        files.display().to_string()
    }

    fn script(&self, name: &str, body: &str) {
        let body = format!("cd {}\n{body}", self.folder.path().display());
        script(&self.path(name), &body).unwrap();
    }

    fn is(&self, deployment: &str, version: &str) {
        fs::write(self.path(deployment), format!("quay.io/example/web@sha256:{version}\n"))
            .unwrap();
    }

    /// What the next boot boots.
    fn next(&self) -> String {
        let of = |name: &str| fs::read_to_string(self.path(name)).ok();
        let queued = self.path("queued").exists();
        let next = of("staged").or_else(|| of("rollback").filter(|_| queued));
        let next = next.or_else(|| of("booted")).unwrap();
        next.trim().rsplit_once(':').unwrap().1.to_owned()
    }

    fn restart(&self) {
        let (next, booted) = (self.next(), fs::read_to_string(self.path("booted")).unwrap());
        if !booted.trim().ends_with(&format!(":{next}")) {
            fs::write(self.path("rollback"), booted).unwrap();
            self.is("booted", &next);
        }
        for gone in ["staged", "queued"] {
            fs::remove_file(self.path(gone)).ok();
        }
    }

    /// Runs the hook; returns its status, and what it asked for.
    fn hook(&self, version: &str, config: &str, files: &str) -> (i32, String) {
        let modes = self.path("modes");
        let modes = if modes.exists() { modes } else { PathBuf::new() };
        self.hook_with(version, config, files, &modes)
    }

    /// The same, where this is said to be the file of modes.
    fn hook_with(&self, version: &str, config: &str, files: &str, modes: &Path) -> (i32, String) {
        fs::write(self.path("asked"), "").unwrap();
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("activate"));
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("BLOOMERY_ROOT", self.path("root"));
        // People may write a tag beside the digest, which bootc drops.
        let image = format!("quay.io/example/web:{version}@sha256:{version}");
        command.env("BLOOMERY_IMAGE", image).env("BLOOMERY_RELEASE", "any");
        command.env("BLOOMERY_MODES", modes).env("BLOOMERY_WHY", self.path("why"));
        command.env("BLOOMERY_CONFIG", config).env("BLOOMERY_FILES", files);
        let status = command.status().unwrap().code().unwrap_or(KILLED);
        let asked = fs::read_to_string(self.path("asked")).unwrap();
        (
            status,
            asked.split_whitespace().filter(|it| *it != "status").collect::<Vec<_>>().join(" "),
        )
    }

    fn installed(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("root").join(name)).ok()
    }
}

#[test]
fn a_release_is_done_once_its_image_is_booted() {
    let system = System::new();
    system.is("booted", "v1");
    assert_eq!(system.hook("v2", "", ""), (75, "switch reboot".to_owned()));
    // Again, because the restart did not come: it is staged already.
    assert_eq!(system.hook("v2", "", ""), (75, "reboot".to_owned()));
    system.restart();
    assert_eq!(system.hook("v2", "", ""), (0, String::new()));
    // Back, without a registry, and again.
    assert_eq!(system.hook("v1", "", ""), (75, "rollback reboot".to_owned()));
    assert_eq!(system.hook("v1", "", ""), (75, "reboot".to_owned()));
    system.restart();
    assert_eq!(system.hook("v1", "", ""), (0, String::new()));
}

#[test]
fn a_release_that_was_staged_and_rolled_back_does_not_boot() {
    let system = System::new();
    system.is("booted", "v1");
    assert_eq!(system.hook("v2", "", "").0, 75);
    assert_eq!(system.next(), "v2");
    assert_eq!(system.hook("v1", "", "").0, 0);
    assert_eq!(system.next(), "v1");
    // The same of one that was queued.
    system.is("rollback", "v0");
    fs::remove_file(system.path("staged")).ok();
    assert_eq!(system.hook("v0", "", "").0, 75);
    assert_eq!(system.next(), "v0");
    assert_eq!(system.hook("v1", "", "").0, 0);
    assert_eq!(system.next(), "v1");
}

#[test]
fn what_is_installed_is_on_the_disk_before_services_take_notice_and_it_is_said_to_run() {
    let system = System::new();
    system.is("booted", "v1");
    let files = system.path("files");
    fs::create_dir_all(files.join("etc/app")).unwrap();
    fs::write(files.join("etc/app/a.conf"), "a").unwrap();
    fs::write(system.path("config"), "secret").unwrap();
    let programs = system.path("root/usr/libexec/bloomery");
    fs::create_dir_all(&programs).unwrap();
    system.script("root/usr/libexec/bloomery/configured", "cp synced noticed");
    let (config, files) = (system.path("config"), files.display().to_string());
    assert_eq!(system.hook("v1", &config.display().to_string(), &files).0, 0);
    let noticed = fs::read_to_string(system.path("noticed")).unwrap();
    assert_eq!(noticed, "./app/a.conf\n./bloomery/config.json\n");
}

#[test]
fn a_file_of_the_image_that_a_release_had_replaced_comes_back_with_the_next() {
    let system = System::new();
    let (files, config) = (system.path("files"), system.path("root/etc/ssh/sshd_config"));
    let image = system.path("root/usr/etc/ssh/sshd_config");
    for folder in [files.join("etc/ssh"), system.path("root/usr/etc/ssh")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(&image, "of v1").unwrap();
    fs::set_permissions(&image, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(files.join("etc/ssh/sshd_config"), "rendered").unwrap();
    system.is("booted", "v1");
    let files = files.display().to_string();
    // Forward, and back.
    for (release, content) in [("v1", "of v1"), ("v2", "of v2"), ("v1", "of v1")] {
        system.hook(release, "", "");
        system.restart();
        fs::write(&image, content).unwrap();
        assert_eq!(system.hook(release, "", &files).0, 0);
        assert_eq!(fs::read_to_string(&config).unwrap(), "rendered");
        assert_eq!(system.hook(release, "", "").0, 0);
        assert_eq!(fs::read_to_string(&config).unwrap(), content);
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(system.hook(release, "", &files).0, 0);
    }
}

#[test]
fn a_release_without_a_configuration_runs_without_that_of_another() {
    let system = System::new();
    system.is("booted", "v1");
    let files = system.path("files");
    fs::create_dir_all(files.join("etc/app")).unwrap();
    fs::write(files.join("etc/app/a.conf"), "a").unwrap();
    fs::write(system.path("config"), "secret").unwrap();
    let config = system.path("config").display().to_string();
    let files = files.display().to_string();
    // Not before the system of the release runs.
    assert_eq!(system.hook("v2", &config, &files).0, 75);
    assert_eq!(system.installed("etc/bloomery/config.json"), None);
    system.restart();
    assert_eq!(system.hook("v2", &config, &files).0, 0);
    assert_eq!(system.installed("etc/bloomery/config.json").as_deref(), Some("secret"));
    assert_eq!(system.installed("etc/app/a.conf").as_deref(), Some("a"));
    let path = system.path("root/etc/app/a.conf");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(system.hook("v2", "", "").0, 0);
    assert_eq!(system.installed("etc/bloomery/config.json"), None);
    assert_eq!(system.installed("etc/app/a.conf"), None);
}

#[test]
fn the_login_that_a_release_brings_is_there_while_its_image_is_fetched_and_not_longer() {
    let system = System::new();
    system.is("booted", "v1");
    let (files, login) = (system.brings_login(), system.path("root/run/ostree/auth.json"));
    assert_eq!(system.hook("v2", "", &files), (75, "switch reboot".to_owned()));
    assert_eq!(fs::read_to_string(system.path("login")).unwrap(), "login of v2");
    assert!(!login.exists());
    system.restart();
    assert_eq!(system.hook("v2", "", &files).0, 0);
    assert_eq!(system.installed("etc/ostree/auth.json").as_deref(), Some("login of v2"));
    // That of somebody else stays.
    fs::create_dir_all(login.parent().unwrap()).unwrap();
    fs::write(&login, "of the system").unwrap();
    assert_eq!(system.hook("v3", "", &files).0, 75);
    assert_eq!(fs::read_to_string(system.path("login")).unwrap(), "of the system");
    assert_eq!(fs::read_to_string(login).unwrap(), "of the system");
}

#[test]
fn a_login_that_was_left_by_a_hook_that_was_killed_is_used_for_no_other_image() {
    let system = System::new();
    system.is("booted", "v1");
    let (files, login) = (system.brings_login(), system.path("root/run/ostree/auth.json"));
    // In the middle of fetching v2.
    let (real, away) = (system.path("metal-host"), system.path("metal-host-1"));
    fs::rename(&real, &away).unwrap();
    system.script("metal-host", "kill -KILL $PPID");
    assert_eq!(system.hook("v2", "", &files).0, KILLED);
    assert!(login.exists());
    fs::rename(&away, &real).unwrap();
    // v3 brings none: what the system has counts.
    assert_eq!(system.hook("v3", "", "").0, 75);
    assert!(!system.path("login").exists() && !login.exists());
}

#[test]
fn a_rendered_file_has_the_mode_that_its_template_says() {
    let system = System::new();
    system.is("booted", "v1");
    let files = system.path("files");
    fs::create_dir_all(files.join("etc/app")).unwrap();
    for name in ["public.conf", "private.conf"] {
        fs::write(files.join("etc/app").join(name), name).unwrap();
    }
    let own = fs::metadata(&files).unwrap();
    let (user, group) = (own.uid(), own.gid());
    let modes = format!("0644 {user}:{group} etc/app/public.conf\n");
    fs::write(system.path("modes"), modes).unwrap();
    assert_eq!(system.hook("v1", "", &files.display().to_string()).0, 0);
    for (name, mode) in [("public.conf", 0o644), ("private.conf", 0o600)] {
        let path = system.path("root/etc/app").join(name);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn why_a_release_cannot_be_installed_is_told() {
    let system = System::new();
    system.is("booted", "v1");
    let files = system.path("files");
    fs::create_dir_all(files.join("etc/app")).unwrap();
    fs::write(files.join("etc/app/public.conf"), "").unwrap();
    fs::write(system.path("modes"), "0644 of-no-image etc/app/public.conf\n").unwrap();
    // What bootc has failed with before it succeeded is not why.
    fs::write(system.path("why"), "the registry was away\n").unwrap();
    assert_eq!(system.hook("v1", "", &files.display().to_string()).0, 1);
    let why = || fs::read_to_string(system.path("why")).unwrap();
    assert!(why().contains("of-no-image"), "{}", why());
    // What is run in the end may say so itself.
    fs::remove_file(system.path("modes")).unwrap();
    fs::create_dir_all(system.path("root/usr/libexec/bloomery")).unwrap();
    for (body, told) in
        [("exit 7", "configured ended with 7\n"), ("echo 'no nginx' > why; exit 7", "no nginx\n")]
    {
        fs::remove_file(system.path("why")).unwrap();
        system.script("root/usr/libexec/bloomery/configured", body);
        assert_eq!(system.hook("v1", "", "").0, 7);
        assert!(why().ends_with(told), "{}", why());
    }
}

#[test]
fn a_rendered_file_whose_mode_cannot_be_read_is_for_root_alone() {
    let system = System::new();
    system.is("booted", "v1");
    let (files, modes) = (system.path("files"), system.path("modes"));
    fs::create_dir_all(files.join("etc/app")).unwrap();
    fs::write(files.join("etc/app/password"), "secret").unwrap();
    let rendered = files.display().to_string();
    let installed = system.path("root/etc/app/password");
    // As an agent that knows no modes leaves it, and one that is there and cannot be opened.
    let mut socket = None;
    for is_there in [false, true] {
        if is_there {
            socket = Some(UnixListener::bind(&modes).unwrap());
        }
        assert_eq!(system.hook_with("v1", "", &rendered, &modes).0, 0);
        let mode = fs::metadata(&installed).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{is_there}");
    }
    drop(socket);
}
