//! Compares the served schema with the exporter's schema.

use std::collections::BTreeSet;

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use sandbox::spacelift::{Spacelift, sdl};

use crate::client::Client;

/// Returns one line for the root types, for each type, and for each field or input with its arguments and
/// types.
fn facts(schema: &str) -> BTreeSet<String> {
    let document = parse_schema(schema).expect("a valid schema");
    let mut facts = BTreeSet::new();
    for definition in document.definitions {
        match definition {
            TypeSystemDefinition::Schema(schema) => {
                let root =
                    |root: Option<async_graphql::Positioned<async_graphql::Name>>| root.map(|name| name.node);
                let schema = schema.node;
                facts.insert(format!(
                    "schema {:?} {:?} {:?}",
                    root(schema.query),
                    root(schema.mutation),
                    root(schema.subscription)
                ));
            }
            TypeSystemDefinition::Type(definition) => {
                let name = definition.node.name.node;
                match definition.node.kind {
                    TypeKind::Object(object) => {
                        facts.insert(format!("type {name}"));
                        for field in object.fields.into_iter().map(|field| field.node) {
                            facts.insert(format!("{name}.{}: {}", field.name, field.ty));
                            for argument in field.arguments.into_iter().map(|argument| argument.node) {
                                facts.insert(format!(
                                    "{name}.{}({}: {} = {:?})",
                                    field.name, argument.name, argument.ty, argument.default_value
                                ));
                            }
                        }
                    }
                    TypeKind::InputObject(input) => {
                        facts.insert(format!("input {name}"));
                        for field in input.fields.into_iter().map(|field| field.node) {
                            facts.insert(format!(
                                "{name}.{}: {} = {:?}",
                                field.name, field.ty, field.default_value
                            ));
                        }
                    }
                    kind => panic!("unexpected type {kind:?}"),
                }
            }
            // Servers list the standard directives.
            TypeSystemDefinition::Directive(_) => {}
        }
    }
    facts
}

#[test]
fn serves_the_exporters_schema_exactly() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spacelift-promex/schema/spacelift.graphql");
    let written = facts(&std::fs::read_to_string(path).unwrap());
    let served = facts(&sdl());

    let missing: Vec<_> = written.difference(&served).collect();
    let added: Vec<_> = served.difference(&written).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing: {missing:#?}, added: {added:#?}");
    assert!(written.len() > 100, "only {} facts compared", written.len());
}

#[tokio::test]
async fn supports_introspection_and_rejects_unknown_fields() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;

    let types = client.query("query Types { __schema { queryType { name } } }").await.json();
    assert_eq!(types["data"]["__schema"]["queryType"]["name"], "Query");

    let invalid = client.query("query Invalid { workerPools { nonsense } }").await.json();
    let message = invalid["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("nonsense"), "{message}");
    assert!(invalid["data"].is_null());
}
