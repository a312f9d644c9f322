//! Reading single fields out of JSON that may be anything.
//!
//! Each function returns `None` for a value that is missing, of another type, or out of range, so a
//! bad field costs that field only. (Indexing a `Value` by name never panics: a missing field is
//! `Null`.)

use jiff::Timestamp;
use metal_api::{ParseSystemUuidError::Placeholder, SystemUuid};
use serde_json::Value;
use std::str::FromStr;

/// Longer strings are cut, because they end up in objects of bounded size.
const LONGEST: usize = 256;
/// Longer lists are cut for the same reason.
const MOST: usize = 256;

/// A string that is not empty, trimmed.
pub(crate) fn text(value: &Value) -> Option<String> {
    let text: String = value.as_str()?.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A number, or a string that contains one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    number.is_finite().then_some(number)
}

/// A non-negative integer.
pub(crate) fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| whole(number(value)?))
}

/// A non-negative integer of 32 bits.
pub(crate) fn unsigned32(value: &Value) -> Option<u32> {
    u32::try_from(unsigned(value)?).ok()
}

/// A number of GiB, in bytes.
pub(crate) fn gibibytes(value: &Value) -> Option<u64> {
    whole(number(value)? * f64::from(1 << 30))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked, and a fraction of a byte means nothing"
)]
fn whole(number: f64) -> Option<u64> {
    (0.0..9e18).contains(&number).then_some(number as u64)
}

/// A value of an enum.
pub(crate) fn word<T: FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.trim().parse().ok()
}

/// The entries of a list that are values of the enum.
pub(crate) fn words<T: FromStr>(value: &Value) -> Vec<T> {
    value.as_array().into_iter().flatten().take(MOST).filter_map(word).collect()
}

/// A word as a list of allowable values spells it, else as the standard does: words are recognized
/// in upper and lower case, but not by every BMC.
pub(crate) fn spelled(word: &impl ToString, allowable: &Value) -> String {
    let word = word.to_string();
    let mut allowable = texts(allowable).into_iter();
    allowable.find(|allowed| allowed.eq_ignore_ascii_case(&word)).unwrap_or(word)
}

/// The strings of a list.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().take(MOST).filter_map(text).collect()
}

/// A UUID, if it identifies a machine.
pub(crate) fn uuid(value: &Value) -> Option<SystemUuid> {
    value.as_str()?.parse().ok()
}

/// Whether a UUID is one that many boards are shipped with. Zeros and ones say that there is none, or
/// none yet (SMBIOS 3.7, section 7.2.1).
pub(crate) fn is_shipped_uuid(value: &Value) -> bool {
    let parsed = value.as_str().map(str::parse::<SystemUuid>);
    matches!(parsed, Some(Err(Placeholder(uuid))) if !uuid.is_nil() && !uuid.is_max())
}

/// A time. The year 0 is left out: firmware without a clock reports it.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.trim().parse().ok()
}

/// The path of a link on the same BMC.
pub(crate) fn link(value: &Value) -> Option<String> {
    crate::transport::uri::path_of(value["@odata.id"].as_str()?)
}

/// Where the parameters of an action are described. The standard has a URI (DSP0266,
/// `@Redfish.ActionInfo`), some firmware a link.
pub(crate) fn action_info(action: &Value) -> Option<&str> {
    let info = &action["@Redfish.ActionInfo"];
    info.as_str().or_else(|| info["@odata.id"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_the_wrong_type_are_missing() {
        for wrong in [json!(null), json!([]), json!({}), json!(true), json!(" "), json!("x\u{0}y")]
        {
            assert_eq!(number(&wrong), None, "{wrong}");
            assert_eq!(unsigned32(&wrong), None, "{wrong}");
            assert_eq!(uuid(&wrong), None, "{wrong}");
            assert_eq!(time(&wrong), None, "{wrong}");
            assert_eq!(link(&wrong), None, "{wrong}");
            assert!(words::<u32>(&wrong).is_empty(), "{wrong}");
        }
        assert_eq!(text(&json!("")), None);
        assert_eq!(text(&json!(" a\u{0}b ")).as_deref(), Some("ab"));
        assert_eq!(text(&json!("ä".repeat(1000))).map(|text| text.chars().count()), Some(LONGEST));
    }

    #[test]
    fn numbers_may_be_written_as_text_and_must_be_in_range() {
        assert_eq!(unsigned(&json!("16")), Some(16));
        assert_eq!(unsigned(&json!(16.0)), Some(16));
        assert_eq!(unsigned(&json!(-1)), None);
        assert_eq!(unsigned(&json!(1e30)), None);
        assert_eq!(unsigned(&json!("NaN")), None);
        assert_eq!(unsigned32(&json!(1_u64 << 40)), None);
        assert_eq!(unsigned(&json!(u64::MAX)), Some(u64::MAX));
        assert_eq!(gibibytes(&json!(1.5)), Some(3 << 29));
        assert_eq!(gibibytes(&json!(-4)), None);
    }

    #[test]
    fn placeholders_are_missing() {
        assert_eq!(uuid(&json!("00000000-0000-0000-0000-000000000000")), None);
        assert_eq!(uuid(&json!("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF")), None);
        assert_eq!(uuid(&json!("03000200-0400-0500-0006-000700080009")), None);
        assert_eq!(time(&json!("0000-00-00T00:00:00+00:00")), None);
    }

    #[test]
    fn a_shipped_uuid_is_none_and_says_that_the_board_has_one() {
        for (uuid, is_shipped) in [
            (json!("03000200-0400-0500-0006-000700080009"), true),
            (json!("00000000-0000-0000-0000-000000000000"), false),
            (json!("ffffffff-ffff-ffff-ffff-ffffffffffff"), false),
            (json!("38947555-7742-3448-3784-82334782383a"), false),
            (json!("Not Available"), false),
            (json!(null), false),
        ] {
            assert_eq!(is_shipped_uuid(&uuid), is_shipped, "{uuid}");
        }
    }

    #[test]
    fn a_word_is_sent_as_the_bmc_spells_it() {
        for (allowable, sent) in [
            (json!(["none", "uefihttp"]), "uefihttp"),
            (json!(["UEFIHTTP", " "]), "UEFIHTTP"),
            (json!(["None"]), "UefiHttp"),
            (json!(null), "UefiHttp"),
        ] {
            assert_eq!(spelled(&"UefiHttp", &allowable), sent, "{allowable}");
        }
    }

    #[test]
    fn identifiers_have_one_form() {
        let upper = json!("38947555-7742-3448-3784-82334782383A");
        assert_eq!(uuid(&upper).unwrap().to_string(), "38947555-7742-3448-3784-82334782383a");
    }
}
