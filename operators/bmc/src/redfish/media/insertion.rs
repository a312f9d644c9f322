//! What is sent with the URL of an image to insert it (DSP0268, `VirtualMedia.InsertMedia`).

use crate::{
    redfish::forms::{Parameter, set},
    transport::field,
};
use metal_core::redfish::ImageUrl;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const METHOD: &str = "TransferMethod";
const MEDIA_TYPE: &str = "MediaType";
/// More parameters than the action has.
const MOST: usize = 32;

/// The parameters that a slot may ask for; `media_type` is what the image is to its host.
pub(super) fn parameters(image: &ImageUrl, media_type: String) -> Vec<Parameter> {
    let scheme = image.as_str().split(':').next().unwrap_or_default().to_ascii_uppercase();
    vec![
        Parameter::new(&["Inserted"], true),
        Parameter::new(&["WriteProtected"], true),
        Parameter::new(&["TransferProtocolType"], scheme),
        Parameter::new(&[METHOD], "Stream"),
        Parameter::new(&["UserName"], ""),
        Parameter::new(&["Password"], ""),
        Parameter::new(&[MEDIA_TYPE], media_type),
    ]
}

/// The sets of parameters to try, after what the BMC asks for.
pub(super) fn sets(first: &BTreeSet<String>) -> Vec<BTreeSet<String>> {
    let all = [
        "Inserted",
        "WriteProtected",
        "TransferProtocolType",
        METHOD,
        "UserName",
        "Password",
        MEDIA_TYPE,
    ];
    let with = |count: usize| first | &set(all[..count].iter().copied());
    let of_openbmc = first | &set(["Inserted", "WriteProtected", MEDIA_TYPE]);
    vec![first.clone(), with(2), with(4), with(6), of_openbmc, with(7), set([])]
}

/// The parameters that the BMC asks for: those that its `ActionInfo` requires, and those that say
/// how the image is transferred, if it lists the value that fits.
pub(super) fn asked_for(
    info: &Value,
    action: &Value,
    parameters: &mut Vec<Parameter>,
) -> BTreeSet<String> {
    let listed = info["Parameters"].as_array().into_iter().flatten().take(MOST);
    let listed: Vec<_> = listed.filter_map(|it| Some((field::text(&it["Name"])?, it))).collect();
    let required = listed.iter().filter(|(name, it)| name != "Image" && is_required(it));
    let mut asked = BTreeSet::new();
    for (name, it) in required {
        if parameters.iter().all(|known| known.name != *name) {
            parameters.push(Parameter::new(&[name], value(it)));
        }
        asked.insert(name.clone());
    }
    for parameter in parameters {
        let name = parameter.name.as_str();
        let mut allowed = field::texts(&action[format!("{name}@Redfish.AllowableValues")]);
        let described = listed.iter().filter(|(other, _)| other == name);
        allowed.extend(described.flat_map(|(_, it)| field::texts(&it["AllowableValues"])));
        let (is_of_transfer, is_method) = (name.starts_with("Transfer"), name == METHOD);
        match (parameter.spell(&allowed), allowed.first()) {
            (true, _) if is_of_transfer => {
                asked.insert(parameter.name.clone());
            }
            // Whichever way the image gets there, it is the same image.
            (false, Some(only)) if is_method && asked.contains(METHOD) => parameter.set(only),
            (true | false, _) => {}
        }
    }
    asked
}

/// Whether an action requires a parameter.
fn is_required(parameter: &Value) -> bool {
    let required = &parameter["Required"];
    let text = required.as_str().unwrap_or_default();
    *required == Value::Bool(true) || text.eq_ignore_ascii_case("true")
}

/// A value for a parameter that is not known: the first of those that are allowed, else that which
/// says least.
fn value(parameter: &Value) -> Value {
    let least = || &parameter["MinimumValue"];
    match parameter["DataType"].as_str() {
        Some("Boolean") => json!(false),
        Some("Number") => {
            if least().is_number() {
                least().clone()
            } else {
                json!(0)
            }
        }
        Some("Object") => json!({}),
        Some(array) if array.ends_with("Array") => json!([]),
        _ => match &parameter["AllowableValues"][0] {
            Value::Null => json!(""),
            first => first.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_action_requires_is_sent_with_a_value_of_its_type() {
        let info = json!({"Parameters": [
            {"Name": "Image", "Required": true},
            {"Name": "Slot", "Required": "true", "DataType": "Number", "MinimumValue": 1},
            {"Name": "Port", "Required": true, "DataType": "Number"},
            {"Name": "Hosts", "Required": true, "DataType": "StringArray"},
            {"Name": "Oem", "Required": true, "DataType": "Object"},
            {"Name": "Boot", "Required": true, "DataType": "Boolean"},
            {"Name": "Kind", "Required": true, "AllowableValues": ["A", "B"]},
            {"Name": "Note", "Required": true},
            {"Name": "Other", "Required": false},
            {"Name": "MediaType", "Required": true, "AllowableValues": ["Floppy", "dvd"]},
            {"Name": "TransferMethod", "Required": true, "AllowableValues": ["Upload"]},
        ]});
        let image = ImageUrl::new("http://10.0.0.1/x.iso");
        let mut parameters = parameters(&image, "DVD".to_owned());
        let asked = asked_for(&info, &Value::Null, &mut parameters);
        let mut body = json!({});
        for parameter in parameters.iter().filter(|it| asked.contains(&it.name)) {
            parameter.put(&mut body);
        }
        let expected = json!({"Slot": 1, "Port": 0, "Hosts": [], "Oem": {}, "Boot": false,
            "Kind": "A", "Note": "", "MediaType": "dvd", "TransferMethod": "Upload"});
        assert_eq!(body, expected);
    }
}
