//! What is wrong with objects among the others, whichever proxy asks: the messages of `istioctl analyze`
//! (docs/semantics.md §19.3), one file for each subject. Looks at a world and says what it sees; what it sees changes
//! nothing. What a proxy finds wrong is [`crate::Translator::reports`]'s, and becomes a message here, too.

mod annotations;
mod certificates;
mod claims;
mod code;
mod destination_rules;
mod gateway_conflicts;
mod gateway_workloads;
mod message;
mod objects;
mod ports;
mod routes;
mod service_entries;
mod shared_hosts;
mod sidecars;
mod suppression;
mod telemetries;
mod workloads;

pub use code::{CODES, Code};
pub use message::Message;

use crate::World;
use objects::Objects;

/// Everything the analyzers say about a world, by object and field.
#[must_use]
pub fn analyze(world: &World, control_namespace: &str) -> Vec<Message> {
    let objects = Objects::new(world, control_namespace);
    let mut messages = Vec::new();
    let analyzers: [fn(&Objects<'_>, &mut Vec<Message>); 13] = [
        annotations::analyze,
        certificates::analyze,
        claims::analyze,
        destination_rules::analyze,
        gateway_conflicts::analyze,
        gateway_workloads::analyze,
        ports::analyze,
        routes::analyze,
        service_entries::analyze,
        shared_hosts::analyze,
        sidecars::analyze,
        telemetries::analyze,
        workloads::analyze,
    ];
    for analyzer in analyzers {
        analyzer(&objects, &mut messages);
    }
    finish(messages, world)
}

/// Puts messages of several origins together: the same about the same field is said once, by whoever said it first; what
/// an object's annotation suppresses is left out.
#[must_use]
pub fn finish(mut messages: Vec<Message>, world: &World) -> Vec<Message> {
    let mut seen = std::collections::BTreeSet::new();
    messages.retain(|message| {
        let text = if message.field.is_empty() { message.text.clone() } else { String::new() };
        seen.insert((message.code.code, message.object.clone(), message.field.clone(), text))
    });
    messages.retain(|message| {
        let object = world.get(&message.object);
        !object.is_some_and(|object| suppression::suppresses(&object.meta, message.code.code))
    });
    messages.sort_by(|a, b| {
        (&a.object, std::cmp::Reverse(a.code.level), a.code.code, &a.field).cmp(&(
            &b.object,
            std::cmp::Reverse(b.code.level),
            b.code.code,
            &b.field,
        ))
    });
    messages
}
