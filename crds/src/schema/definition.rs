//! One CustomResourceDefinition.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::SchemaError;
use super::kinds::{AGE, Column, Kind, PROGRESS};
use super::rules::Used;
use super::status;
use super::structural::structural;

pub(super) fn definition(kind: Kind, used: &mut Used) -> Result<CustomResourceDefinition, SchemaError> {
    let schema = schema(&kind, used)?;
    let name = kind.kind.as_str();
    let group = kind.kind.group();
    let columns = columns(&kind);
    let versions = kind.kind.versions().iter().enumerate().map(|(index, version)| CustomResourceDefinitionVersion {
        name: (*version).to_owned(),
        served: true,
        storage: index == 0,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(schema.clone()) }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(json!({}))),
            scale: None,
        }),
        additional_printer_columns: Some(columns.clone()),
        ..CustomResourceDefinitionVersion::default()
    });
    let names = CustomResourceDefinitionNames {
        kind: name.to_owned(),
        list_kind: Some(format!("{name}List")),
        plural: kind.plural.to_owned(),
        singular: Some(name.to_lowercase()),
        short_names: Some(kind.short.iter().map(|name| (*name).to_owned()).collect())
            .filter(|names: &Vec<String>| !names.is_empty()),
        categories: Some(vec!["istio-io".to_owned(), group.replace('.', "-")]),
    };
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Ok(CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{group}", kind.plural)),
            // Deleting a definition deletes every object of the kind: the chart must not.
            annotations: Some(BTreeMap::from([label("helm.sh/resource-policy", "keep")])),
            labels: Some(BTreeMap::from([label("app.kubernetes.io/part-of", "sluice")])),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: group.to_owned(),
            names,
            scope: "Namespaced".to_owned(),
            versions: versions.collect(),
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    })
}

fn columns(kind: &Kind) -> Vec<CustomResourceColumnDefinition> {
    let progress: &[Column] = if kind.is_pushed { &PROGRESS } else { &[] };
    let shown = kind.columns.iter().chain(progress).chain([&AGE]);
    shown
        .map(|column| CustomResourceColumnDefinition {
            name: column.name.to_owned(),
            json_path: column.path.to_owned(),
            type_: column.of.to_owned(),
            description: Some(column.description.to_owned()),
            priority: column.wide.then_some(1),
            format: None,
        })
        .collect()
}

fn schema(kind: &Kind, used: &mut Used) -> Result<JSONSchemaProps, SchemaError> {
    let name = kind.kind.as_str();
    let generator = SchemaSettings::draft2020_12().into_generator();
    let spec = structural((kind.spec)(generator).as_value(), kind.type_name, used)?;
    let description = spec.get("description").cloned().unwrap_or_default();
    let mut schema = json!({
        "type": "object",
        "description": description,
        "properties": {"spec": spec, "status": status::schema(kind.kind)},
    });
    if kind.needs_spec
        && let Some(fields) = schema.as_object_mut()
    {
        fields.insert("required".to_owned(), json!(["spec"]));
    }
    let props: JSONSchemaProps = serde_json::from_value(schema.clone())
        .map_err(|source| SchemaError::NotASchema { kind: name.to_owned(), source })?;
    // Kubernetes' type passes over words it does not know.
    let understood = serde_json::to_value(&props).unwrap_or(Value::Null);
    match difference(&schema, &understood) {
        Some(what) => Err(SchemaError::NotRepresentable { kind: name.to_owned(), what }),
        None => Ok(props),
    }
}

/// The first place where a value was not understood.
fn difference(written: &Value, understood: &Value) -> Option<String> {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => written.iter().find_map(|(key, value)| {
            let inner = difference(value, understood.get(key).unwrap_or(&Value::Null))?;
            Some(if inner.is_empty() { key.clone() } else { format!("{key}.{inner}") })
        }),
        (Value::Array(written), Value::Array(understood)) if written.len() == understood.len() => {
            written.iter().zip(understood).find_map(|(written, understood)| difference(written, understood))
        }
        (Value::Number(written), Value::Number(understood)) => {
            (written.as_f64() != understood.as_f64()).then(String::new)
        }
        (written, understood) => (written != understood).then(String::new),
    }
}
