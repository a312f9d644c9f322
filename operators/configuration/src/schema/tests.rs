use super::*;
use serde_json::json;

/// What is wrong with a value, by pointer.
fn wrong(schema: &Value, value: &Value) -> Vec<(String, String)> {
    let schema = Schema::parse(&schema.to_string()).unwrap_or_else(|error| panic!("{error}"));
    schema.check(value).into_iter().map(|it| (it.pointer, it.what)).collect()
}

#[test]
fn each_keyword_accepts_what_fits_and_refuses_what_does_not() {
    for (schema, fits, does_not) in [
        (json!(true), json!(1), None),
        (json!({"type": "integer"}), json!(1.0), Some(json!(1.5))),
        (json!({"type": ["null", "string"]}), json!(null), Some(json!(1))),
        (json!({"type": "number"}), json!(1.5), Some(json!("1.5"))),
        (json!({"type": "boolean"}), json!(false), Some(json!(0))),
        (json!({"type": "array"}), json!([]), Some(json!({}))),
        (json!({"enum": ["a", 1]}), json!(1.0), Some(json!("b"))),
        (json!({"const": {"a": [1]}}), json!({"a": [1]}), Some(json!({"a": [2]}))),
        (json!({"required": ["a"]}), json!({"a": null}), Some(json!({}))),
        (json!({"properties": {"a": {"type": "string"}}}), json!({"b": 1}), Some(json!({"a": 1}))),
        (json!({"additionalProperties": false}), json!({}), Some(json!({"a": 1}))),
        (
            json!({"patternProperties": {"^x-": true}, "additionalProperties": false}),
            json!({"x-a": 1}),
            Some(json!({"y": 1})),
        ),
        (json!({"propertyNames": {"maxLength": 1}}), json!({"a": 1}), Some(json!({"ab": 1}))),
        (json!({"minProperties": 1}), json!({"a": 1}), Some(json!({}))),
        (json!({"maxProperties": 1}), json!({"a": 1}), Some(json!({"a": 1, "b": 1}))),
        (json!({"items": {"type": "string"}}), json!(["a"]), Some(json!([1]))),
        (
            json!({"prefixItems": [{"type": "string"}], "items": false}),
            json!(["a"]),
            Some(json!(["a", "b"])),
        ),
        (json!({"dependentRequired": {"a": ["b"]}}), json!({"b": 1}), Some(json!({"a": 1}))),
        (json!({"contains": {"const": 1}}), json!([2, 1]), Some(json!([2]))),
        (json!({"contains": {"const": 1}, "minContains": 0}), json!([]), None),
        (json!({"contains": {"const": 1}, "maxContains": 1}), json!([1, 2]), Some(json!([1, 1]))),
        (json!({"format": "email"}), json!("no address: it is for people"), None),
        (
            json!({
                "allOf": [{"properties": {"a": true}}],
                "anyOf": [{"required": ["b"], "properties": {"b": true}}, true],
                "unevaluatedProperties": false,
            }),
            json!({"a": 1, "b": 2}),
            Some(json!({"a": 1, "c": 2})),
        ),
        (
            json!({
                "if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
                "then": {"properties": {"b": true}},
                "else": {"properties": {"c": true}},
                "unevaluatedProperties": false,
            }),
            json!({"a": 1, "b": 2}),
            Some(json!({"a": 1, "c": 2})),
        ),
        (
            json!({"$defs": {"a": {"patternProperties": {"^a": true}}}, "$ref": "#/$defs/a",
                "unevaluatedProperties": {"type": "string"}}),
            json!({"ab": 1, "c": "x"}),
            Some(json!({"ab": 1, "c": 1})),
        ),
        // What does not fit says nothing of a field.
        (
            json!({"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": true}}],
                "unevaluatedProperties": false}),
            json!({"b": 1, "a": "x"}),
            Some(json!({"b": 1, "a": 1})),
        ),
        (json!({"minItems": 1}), json!([1]), Some(json!([]))),
        (json!({"maxItems": 1}), json!([1]), Some(json!([1, 2]))),
        (json!({"uniqueItems": true}), json!([1, "1"]), Some(json!([{"a": 1}, 2, {"a": 1.0}]))),
        (json!({"minLength": 2}), json!("äö"), Some(json!("ä"))),
        (json!({"maxLength": 2}), json!("äö"), Some(json!("äöü"))),
        (json!({"pattern": "^a+$"}), json!("aa"), Some(json!("ab"))),
        (json!({"format": "ipv4"}), json!("192.0.2.1"), Some(json!("192.0.2"))),
        (json!({"format": "ipv6"}), json!("2001:db8::1"), Some(json!("192.0.2.1"))),
        (json!({"minimum": 1}), json!(1), Some(json!(0.5))),
        (json!({"maximum": 1}), json!(1), Some(json!(u64::MAX))),
        (json!({"exclusiveMinimum": 1}), json!(2), Some(json!(1))),
        (json!({"exclusiveMaximum": 1}), json!(0), Some(json!(1))),
        (json!({"multipleOf": 5}), json!(10), Some(json!(11))),
        (json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), json!(1), Some(json!(3))),
        (json!({"anyOf": [{"minimum": 5}, {"maximum": 2}]}), json!(1), Some(json!(3))),
        (json!({"oneOf": [{"minimum": 1}, {"maximum": 2}]}), json!(3), Some(json!(1))),
        (json!({"not": {"const": 1}}), json!(2), Some(json!(1))),
        (
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            json!({"c": 1}),
            Some(json!({"a": 1})),
        ),
        (
            json!({"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"}),
            json!("a"),
            Some(json!(1)),
        ),
    ] {
        assert_eq!(wrong(&schema, &fits), [], "{schema} {fits}");
        if let Some(value) = does_not {
            assert_ne!(wrong(&schema, &value), [], "{schema} {value}");
        }
    }
}

#[test]
fn a_problem_says_which_field_it_is_of_and_quotes_no_value() {
    let schema = json!({
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "a/b": {"items": {"pattern": "^x"}},
            "size": {"maximum": 4},
            "kind": {"enum": ["one", "two"]},
        },
    });
    let value =
        json!({"a/b": ["x", "hunter2"], "size": 77777, "kind": "hunter2", "other": "hunter2"});
    let found = wrong(&schema, &value);
    let expected = [
        ("", "\"name\" is missing"),
        ("/a~1b/1", "must match ^x"),
        ("/kind", "must be one of \"one\", \"two\""),
        ("/other", "this field is not known"),
        ("/size", "must be at most 4"),
    ];
    assert_eq!(found, expected.map(|(pointer, what)| (pointer.to_owned(), what.to_owned())));
}

#[test]
fn a_keyword_that_is_not_known_is_refused_with_its_place_and_line() {
    for (text, says) in [
        ("{\n \"properties\": {\n  \"a\": {\"minlength\": 1}}}", "line 3: /properties/a/minlength"),
        ("{\"$dynamicRef\": \"#x\"}", "line 1: /$dynamicRef: this keyword is not known"),
        ("{\"$ref\": \"https://example.org/x\"}", "must point into this document"),
        ("{\"$ref\": \"#/nowhere\"}", "/nowhere: $ref points to nothing"),
        ("{\"$ref\": \"#/title\", \"title\": \"x\"}", "a schema is an object"),
        ("{\"type\": \"text\"}", "must be a type"),
        ("{\"pattern\": \"(?=x)\"}", "/pattern: not a pattern"),
        ("{\"pattern\": \"(a{1000}){1000}\"}", "/pattern: the pattern is too costly"),
        ("{\"format\": \"e-mail\"}", "this format is not known"),
        ("{\"dependentRequired\": {\"a\": \"b\"}}", "must be a list of strings"),
        (
            "{\"$schema\": \"http://json-schema.org/draft-07/schema#\"}",
            "must be https://json-schema",
        ),
        ("{\"properties\": {\"a\": {\"$id\": \"b\"}}}", "only the document has one"),
        ("{\"minItems\": -1}", "must be an integer"),
        ("{\"anyOf\": []}", "must not be empty"),
        ("{\"multipleOf\": 0}", "must be an integer above 0"),
        ("[]", "a schema is an object"),
        ("{\n", "line 2: the document: not JSON"),
    ] {
        let error = Schema::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let draft = "https://json-schema.org/draft/2020-12/schema";
    let told = json!({"$schema": draft, "$id": "x", "title": "", "default": 1, "examples": []});
    assert!(Schema::parse(&told.to_string()).is_ok());
}

#[test]
fn a_schema_that_leads_to_itself_is_applied_to_trees_and_ends() {
    let tree = json!({"properties": {"next": {"$ref": "#"}}, "additionalProperties": false});
    assert_eq!(wrong(&tree, &json!({"next": {"next": {}}})), []);
    let found = wrong(&tree, &json!({"next": {"next": {"x": 1}}}));
    assert_eq!(found[0].0, "/next/next/x");
    let circle = json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        "$ref": "#/$defs/a"});
    assert!(wrong(&circle, &json!(1))[0].1.contains("takes too long"));
    let unevaluated = json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "anyOf": [true, {"$ref": "#/$defs/a"}],
        "$ref": "#/$defs/a", "unevaluatedProperties": false});
    assert!(!wrong(&unevaluated, &json!({"x": 1})).is_empty());
    // An excuse is no way around it.
    let negated = json!({"not": circle["$defs"]["a"], "$defs": circle["$defs"]});
    assert!(wrong(&negated, &json!(1))[0].1.contains("takes too long"));
}

#[test]
fn what_costs_too_much_is_refused_and_never_accepted() {
    let mut deep = json!(1);
    (0..=DEPTH).for_each(|_| deep = json!([deep]));
    assert!(wrong(&json!(true), &deep)[0].1.contains("nested deeper"));
    let mut doubled = json!({"type": "string"});
    (0..40).for_each(|_| doubled = json!({"anyOf": [doubled.clone()], "type": "string"}));
    assert_eq!(wrong(&doubled, &json!("x")), []);
    // Each level is tried twice: two to the power of thirty.
    let levels = (0..30).map(|at| {
        let next = format!("#/$defs/{}", at + 1);
        (at.to_string(), json!({"anyOf": [{"$ref": next}, {"$ref": next}]}))
    });
    let mut defs: serde_json::Map<_, _> = levels.collect();
    defs.insert("30".to_owned(), json!(false));
    let schema = json!({"$defs": defs, "$ref": "#/$defs/0"});
    assert!(wrong(&schema, &json!(1))[0].1.contains("takes too long"));
    let many = Value::Array((0..5_000).map(Value::from).collect());
    assert!(wrong(&json!({"uniqueItems": true}), &many)[0].1.contains("takes too long"));
    let names: Vec<_> = (0..200).map(|at| at.to_string()).collect();
    assert_eq!(wrong(&json!({"required": names}), &json!({})).len(), PROBLEMS);
    assert!(Schema::parse(&" ".repeat(LARGEST + 1)).unwrap_err().what.contains("more than"));
}
