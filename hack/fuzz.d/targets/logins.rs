//! Logins for registries, as they are in Secrets: nothing of what is in one is told, whether or not it is
//! malformed.
#![no_main]

use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_image::{Logins, Name};
use serde_json::json;

/// What no message of ours has in it.
const MARK: char = '~';

fuzz_target!(|data: &[u8]| {
    if let Err(error) = Logins::parse(data) {
        told(&error.to_string(), 300);
    }
    // The same as fields of one login: `auth`, or user name and password.
    let text = String::from_utf8_lossy(data);
    let mut fields = text.splitn(3, '\n');
    let mut field = || fields.next().unwrap_or_default();
    let (auth, username, password) = (field(), field(), field());
    let login = json!({ "auth": auth, "username": username, "password": password });
    let text = json!({ "auths": { "ghcr.io": login } }).to_string();
    let shown = match Logins::parse(text.as_bytes()) {
        Ok(logins) => {
            let has = |name: &str| logins.has(&name.parse::<Name>().expect("it is a name"));
            assert!(!has("docker.io/library/debian") && !has("evil.example/owner/image"));
            assert_eq!(has("ghcr.io/owner/image"), format!("{logins:?}").contains("ghcr.io"));
            format!("{logins:?}")
        }
        Err(error) => error.to_string(),
    };
    told(&shown, 300);
    for secret in [auth, username, password].into_iter().filter(|it| it.contains(MARK)) {
        assert!(!shown.contains(secret), "{shown}");
    }
});
