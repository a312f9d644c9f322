use super::*;
use crate::bundle::Bundle;
use serde_json::json;

const SCHEMA_TEXT: &str = r#"{
  "type": "object",
  "required": ["name"],
  "additionalProperties": false,
  "properties": {
    "name": {"type": "string", "pattern": "^[a-z]+$"},
    "keys": {"type": "array", "items": {"type": "string"}},
    "port": {"type": "integer"}
  }
}"#;

fn package(templates: &[(&str, &str)]) -> Result<Package, Unpackable> {
    let schema = (SCHEMA.to_owned(), SCHEMA_TEXT.as_bytes().to_vec());
    let templates =
        templates.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    Package::of(templates.chain([schema]))
}

#[test]
fn templates_are_rendered_under_their_paths() {
    let text =
        "name={{.name}}\n{{range .keys}}key {{.}}\n{{end}}{{if .port}}port {{.port}}\n{{end}}";
    let package = package(&[("templates/etc/app/app.conf.tmpl", text)]).unwrap();
    let bundle =
        Bundle { configuration: json!({"name": "web", "keys": ["a", "b"], "port": 80}), package };
    let unpacked = Bundle::decode(&bundle.encode().unwrap()).unwrap().unwrap().unpack().unwrap();
    let text = "name=web\nkey a\nkey b\nport 80\n".to_owned();
    let file = Rendered { text, permissions: Permissions::default() };
    assert_eq!(unpacked.files, [("etc/app/app.conf".to_owned(), file)].into());
    assert_eq!(
        serde_json::from_str::<Value>(&unpacked.configuration).unwrap(),
        bundle.configuration
    );
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_its_lines_before_anything_is_rendered() {
    let package = package(&[("templates/x.tmpl", "{{.nothing.at.all}}")]).unwrap();
    let configuration = json!({"name": "hunter2", "other": 1});
    let error = Bundle { configuration, package }.unpack().unwrap_err().without_values();
    let says = "line 2: /name: must match ^[a-z]+$; line 3: /other: this field is not known";
    assert_eq!(error, says);
}

#[test]
fn an_error_of_a_template_does_not_quote_what_it_was_rendered_with() {
    let text = "\n{{if .name}}{{template .name}}{{end}}";
    for text in [text, "\n{{index .keys .name}}", "\n{{.port}}", "\n{{len .port}}"] {
        let package = package(&[("templates/a.conf.tmpl", text)]);
        let configuration = json!({"name": "hunter"});
        let error = match package {
            Ok(package) => Bundle { configuration, package }.unpack().unwrap_err(),
            Err(error) => error,
        };
        let told = error.without_values();
        assert!(told.contains("templates/a.conf.tmpl"), "{told}");
        assert!(!told.contains("hunter"), "{told}");
    }
}

#[test]
fn what_an_image_brings_is_a_schema_and_templates_with_plain_paths() {
    assert_eq!(Package::of([]), Err(Unpackable::NoSchema));
    let many: Vec<_> = (0..=COUNT).map(|at| format!("templates/{at}.tmpl")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
    assert!(package(&many[1..]).is_ok() && package(&many).is_err());
    for bad in [
        "templates/../x.tmpl",
        "templates//x.tmpl",
        "templates/./x.tmpl",
        "templates/.tmpl",
        "templates/a b.tmpl",
        "templates/x",
        "x.tmpl",
        "schema.yaml",
    ] {
        assert!(package(&[(bad, "")]).is_err(), "{bad}");
    }
    assert!(package(&[("templates/a.tmpl", ""), ("templates/a/b.tmpl", "")]).is_err());
    assert!(package(&[("templates/a.tmpl", &"x".repeat(TEMPLATE + 1))]).is_err());
    let error = Package::of([(SCHEMA.to_owned(), b"{\n\"typo\": 1}".to_vec())]).unwrap_err();
    let says = "usr/share/bloomery/config/schema.json: line 2: /typo: this keyword is not known";
    assert_eq!(error.to_string(), says);
}

#[test]
fn what_is_no_bundle_is_a_configuration_of_its_own() {
    assert_eq!(Bundle::decode(b"{\"password\":1}"), Ok(None));
    assert_eq!(Bundle::decode(b""), Ok(None));
    let error = Bundle::decode(b"bloomery-configuration-v1\n{\"configuration\":\"hunter2\"}");
    assert!(!error.unwrap_err().to_string().contains("hunter2"));
    let package = package(&[]).unwrap();
    let configuration = json!("x".repeat(crate::LARGEST));
    assert_eq!(Bundle { configuration, package }.encode(), None);
}

#[test]
fn each_layer_brings_a_schema_of_its_own_whose_part_its_templates_read() {
    let part =
        |name: &str, schema: &str| (format!("schema.d/{name}.json"), schema.as_bytes().to_vec());
    let base = r##"{"$defs": {"key": {"type": "string", "pattern": "^ssh-"}}, "additionalProperties": false,
        "properties": {"admin_authorized_keys": {"type": "array", "items": {"$ref": "#/$defs/key"}}}}"##;
    let app = r#"{"required": ["port"], "properties": {"port": {"type": "integer"}}}"#;
    let template = "{{range .base.admin_authorized_keys}}{{.}}\n{{end}}{{if .base.x}}x{{end}}";
    let template = ("templates/etc/keys.tmpl".to_owned(), template.as_bytes().to_vec());
    let all = [part("base", base), part("app", app), template];
    let package = Package::of(all.clone()).unwrap();
    let unpack = |configuration: Value| {
        let bundle = Bundle { configuration, package: package.clone() };
        let decoded = Bundle::decode(&bundle.encode().unwrap()).unwrap().unwrap();
        decoded.unpack().map_err(|error| error.without_values())
    };
    let fits = json!({"base": {"admin_authorized_keys": ["ssh-a", "ssh-b"]}, "app": {"port": 1}});
    assert_eq!(unpack(fits).unwrap().files["etc/keys"].text, "ssh-a\nssh-b\n");
    // A part that is not there is empty.
    assert_eq!(unpack(json!({"app": {"port": 1}})).unwrap().files["etc/keys"].text, "");
    let error = unpack(json!({"other": 1, "base": {"admin_authorized_keys": ["hunter2"]}}));
    let says = "line 7: /other: this field is not known; line 1: /app: \"port\" is missing; \
        line 4: /base/admin_authorized_keys/0: must match ^ssh-";
    assert_eq!(error.unwrap_err(), says);
    assert_eq!(unpack(json!([])).unwrap_err(), "line 1: the document: must be an object");

    for (file, says) in [
        (part("base", "{\n\"typo\": 1}"), "schema.d/base.json: line 2: /typo: this keyword"),
        (part("a-b", "{}"), "a part is named by letters"),
        (part("a/b", "{}"), "a part is named by letters"),
        ((SCHEMA.to_owned(), b"{}".to_vec()), "there is schema.d/ as well"),
    ] {
        let error = Package::of(all.clone().into_iter().chain([file])).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_template_says_whose_its_file_is() {
    let of = |text: &str| {
        let package = package(&[("templates/a.tmpl", text)])?;
        Ok::<_, Unpackable>(package.render(&json!({"name": "web"}))?.remove("a").unwrap())
    };
    for (text, rendered, says) in [
        ("{{.name}}", "web", "0600 root:root"),
        ("{{/* file: mode=0644 owner=root:nginx */}}\n{{.name}}\n", "web\n", "0644 root:nginx"),
        ("{{/* file: mode=755 */}}\n\n{{.name}}", "\nweb", "0755 root:root"),
        ("{{/* file: owner=app */}}{{.name}}", "web", "0600 app"),
        ("{{/* any other comment */}}\n{{.name}}", "\nweb", "0600 root:root"),
        ("{{.name}}\n{{/* file: mode=0644 */}}", "web\n", "0600 root:root"),
    ] {
        let file = of(text).unwrap();
        assert_eq!((file.text.as_str(), file.permissions.to_string().as_str()), (rendered, says));
    }
    for bad in [
        "mode=rw",
        "mode=4755",
        "mode=",
        "mode=+7",
        "owner=a:b:c",
        "owner=",
        "owner=-a",
        "mod=1",
        "x",
    ] {
        let error = of(&format!("{{{{/* file: {bad} */}}}}\n")).unwrap_err().to_string();
        assert!(error.contains("a in usr/share/bloomery/config: line 1: "), "{bad}: {error}");
    }
}
