//! Challenges of registries, a header to a line, and behind an empty line what their token services
//! answer.
#![no_main]

use bloomery_fuzz::{grown, told};
use libfuzzer_sys::fuzz_target;
use metal_image::fuzzing::{challenges, realm, token};
use std::sync::LazyLock;
use url::Url;

static ASKED: LazyLock<Url> =
    LazyLock::new(|| Url::parse("https://[2001:db8::1]:5000/v2/os/manifests/1").unwrap());

fuzz_target!(|data: &[u8]| {
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let (headers, body) = data.split_at(end);
    for header in String::from_utf8_lossy(headers).lines().take(8).map(grown) {
        let all = challenges(&header);
        let text = |(scheme, parameters): &(String, Vec<(String, String)>)| {
            scheme.len()
                + parameters.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
        };
        assert!(all.iter().map(text).sum::<usize>() <= header.len(), "nothing is added");
        assert_eq!(challenges(&print(&all)), all, "what was understood is understood again");
        for (_, value) in all.iter().flat_map(|(_, parameters)| parameters) {
            address(value);
        }
    }
    if let Some((token, seconds)) = token(body) {
        assert!(!token.is_empty() && token.len() <= 3 * body.len());
        assert!((0.0..=3600.0).contains(&seconds), "{seconds}");
    }
});

fn address(text: &str) {
    match realm(&ASKED, text) {
        Ok(url) => {
            assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
            assert!(url.username().is_empty() && url.password().is_none());
            assert_eq!(url.fragment(), None);
            assert_eq!(realm(&ASKED, url.as_str()).as_ref(), Ok(&url));
        }
        Err(error) => told(&error, 1300),
    }
}

fn print(all: &[(String, Vec<(String, String)>)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let parameter = |(name, value): &(String, String)| format!("{name}={}", quoted(value));
    let challenge = |(scheme, parameters): &(String, Vec<(String, String)>)| {
        let parameters: Vec<_> = parameters.iter().map(parameter).collect();
        format!("{scheme} {}", parameters.join(", "))
    };
    all.iter().map(challenge).collect::<Vec<_>>().join(", ")
}
