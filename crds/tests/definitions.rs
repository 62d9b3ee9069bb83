//! The definitions in the chart are those of the types, and keep the promises that a reviewer of YAML would check by eye.

#[path = "../src/bin/crdgen/render.rs"]
mod render;

use std::path::Path;

use serde_json::Value;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/base/files/crds");

#[test]
fn files_are_current() {
    let files = render::files().unwrap();
    for (name, text) in &files {
        let there = std::fs::read_to_string(Path::new(DIRECTORY).join(name)).unwrap_or_default();
        assert!(there == *text, "{name} is not what crds/ says: run `make crds` and commit what it writes");
    }
    let there = std::fs::read_dir(DIRECTORY).unwrap().count();
    assert_eq!(there, files.len(), "a file in charts/base/files/crds belongs to no kind: run `make crds`");
}

#[test]
fn kubectl_explain_has_a_text_for_every_field() {
    let mut bare = Vec::new();
    for definition in crds::schema::definitions().unwrap() {
        let name = definition.spec.names.kind.clone();
        for version in definition.spec.versions {
            let schema = serde_json::to_value(version.schema.unwrap().open_api_v3_schema.unwrap()).unwrap();
            undescribed(&format!("{name}/{}", version.name), &schema, &mut bare);
        }
    }
    assert!(bare.is_empty(), "fields without a text of some length: {bare:#?}");
}

fn undescribed(path: &str, schema: &Value, bare: &mut Vec<String>) {
    const SHORT: usize = 12;
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field["description"].as_str().unwrap_or_default().len() < SHORT {
            bare.push(path.clone());
        }
        undescribed(&path, field, bare);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            undescribed(path, &schema[inner], bare);
        }
    }
}

#[test]
fn every_rule_says_what_is_wrong() {
    fn look(path: &str, schema: &Value, count: &mut usize) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(message.len() > 10, "{path}: {rule}");
            *count += 1;
        }
        for (name, inner) in schema.as_object().into_iter().flatten().filter(|(_, inner)| inner.is_object()) {
            look(&format!("{path}.{name}"), inner, count);
        }
    }
    let mut count = 0;
    for definition in crds::schema::definitions().unwrap() {
        let schema = definition.spec.versions.into_iter().find_map(|version| version.schema?.open_api_v3_schema);
        look(&definition.spec.names.kind, &serde_json::to_value(schema).unwrap(), &mut count);
    }
    assert!(count > 150, "{count}");
}

#[test]
fn kubectl_apply_can_keep_each_in_an_annotation() {
    const MOST: usize = 262_144;
    for definition in crds::schema::definitions().unwrap() {
        let length = serde_json::to_string(&definition).unwrap().len();
        assert!(length < MOST, "{}: {length} bytes", definition.spec.names.kind);
    }
}
