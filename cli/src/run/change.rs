//! One line per change: what changed, what it did to routes, how long it took to be in force. Problems follow it.

use std::time::Duration;

use controller::{Event, Severity};
use crds::ObjectKey;
use gateway::ListenerEvent;

use crate::problem;
use crate::terminal::Paint;

/// Objects that are named; more are counted.
const NAMED: usize = 3;
/// Problems that are shown at a time.
const SHOWN: usize = 20;

/// The lines about a change, given what it did to tables and sockets.
pub(crate) fn lines(event: &Event, effects: &[String], listeners: &[ListenerEvent], paint: Paint) -> Vec<String> {
    let mut lines: Vec<String> = listeners.iter().map(|listener| socket(listener, paint)).collect();
    let what = what(event);
    if !what.is_empty() || event.first {
        let effects = if event.first { summary(event) } else { effects_of(effects) };
        let took = paint.dim(&format!("in force after {}", millis(event.took)));
        lines.push(format!("{}  {}  {effects}  {took}", paint.dim(&now()), paint.bold(&what)));
    }
    for problem in event.problems.iter().take(SHOWN) {
        lines.push(problem::render(problem, paint));
    }
    if event.problems.len() > SHOWN {
        let more = event.problems.len() - SHOWN;
        lines.push(paint.dim(&format!("… and {more} more; `sluice check` shows them all")));
    }
    let healed = event.healed.iter().filter(|problem| problem.severity != Severity::Note);
    for problem in healed.take(SHOWN) {
        lines.push(format!("{}  {} {}", paint.dim(&now()), paint.green("fixed:"), paint.dim(&problem.to_string())));
    }
    for key in &event.held {
        lines.push(format!("{} {key} stays as it was until its file is right again", paint.yellow("held:")));
    }
    for (key, why) in &event.rejected {
        lines.push(format!("{} {key}: {why}; what was in force before stays", paint.red("rejected by the gateway:")));
    }
    lines
}

/// `changed VirtualService default/shop; removed 4 objects`
fn what(event: &Event) -> String {
    let named = |verb: &str, keys: &[ObjectKey]| match keys.len() {
        0 => None,
        1..=NAMED => {
            let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
            Some(format!("{verb} {}", names.join(", ")))
        }
        count => Some(format!("{verb} {count} objects")),
    };
    if event.first {
        let count = event.added.len();
        return format!("serving {count} object{}", if count == 1 { "" } else { "s" });
    }
    let parts = [named("added", &event.added), named("changed", &event.changed), named("removed", &event.removed)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn summary(event: &Event) -> String {
    let count = event.routes.total;
    let routes = format!("{count} route{}", if count == 1 { "" } else { "s" });
    if event.errors + event.warnings == 0 {
        return routes;
    }
    format!("{routes}; {}", problem::counted(event.errors, event.warnings))
}

fn effects_of(effects: &[String]) -> String {
    if effects.is_empty() { "routes stay as they are".to_owned() } else { effects.join("; ") }
}

fn socket(event: &ListenerEvent, paint: Paint) -> String {
    match event {
        ListenerEvent::Opened { name, address, moved_from: None } => {
            format!("{} {}  {}", paint.green("listening on"), plain(address), paint.dim(name.as_str()))
        }
        ListenerEvent::Opened { name, address, moved_from: Some(port) } => format!(
            "{} {}  {}  {}",
            paint.green("listening on"),
            plain(address),
            paint.dim(name.as_str()),
            paint.yellow(&format!("moved: port {port} needs root"))
        ),
        ListenerEvent::Failed { name, address, reason } => {
            let text = format!("cannot listen on {address} ({name}): {reason}; everything else is served");
            format!("{} {text}", paint.red("error:"))
        }
        ListenerEvent::Closed { name } => format!("{} {name}", paint.dim("closed")),
    }
}

/// `port 8080` where that is the port of every address.
fn plain(address: &str) -> String {
    let port = address.strip_prefix("[::]:").or_else(|| address.strip_prefix("0.0.0.0:"));
    port.map_or_else(|| address.to_owned(), |port| format!("port {port}"))
}

pub(crate) fn now() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

fn millis(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

#[cfg(test)]
mod tests {
    use crds::ObjectKind;

    use super::*;

    fn plain(event: &Event, effects: &[String], listeners: &[ListenerEvent]) -> Vec<String> {
        lines(event, effects, listeners, Paint::new(false))
    }

    #[test]
    fn a_change_is_one_line() {
        let key = ObjectKey::new(ObjectKind::VirtualService, "default", "shop");
        let event = Event { changed: vec![key], took: Duration::from_micros(2_840), ..Event::default() };
        let shown = plain(&event, &["canary: v1 90 → 50, v2 10 → 50".to_owned()], &[]);
        assert_eq!(shown.len(), 1);
        let line = shown[0].split_once("  ").unwrap().1;
        assert_eq!(line, "changed VirtualService default/shop  canary: v1 90 → 50, v2 10 → 50  in force after 2.8 ms");
    }

    #[test]
    fn many_objects_are_counted() {
        let key = |name: &str| ObjectKey::new(ObjectKind::VirtualService, "default", name);
        let keys: Vec<_> = ["a", "b", "c", "d"].map(key).into();
        let event = Event { added: keys, removed: vec![key("e")], ..Event::default() };
        assert!(plain(&event, &[], &[])[0].contains("added 4 objects; removed VirtualService default/e  routes stay"));
    }

    #[test]
    fn sockets_say_what_became_of_them() {
        let moved = ListenerEvent::Opened {
            name: "0.0.0.0_80".into(),
            address: "0.0.0.0:8080".to_owned(),
            moved_from: Some(80),
        };
        let failed = ListenerEvent::Failed {
            name: "0.0.0.0_8443".into(),
            address: "port 8443".to_owned(),
            reason: "Address already in use".to_owned(),
        };
        let shown = plain(&Event::default(), &[], &[moved, failed]);
        assert_eq!(shown[0], "listening on port 8080  0.0.0.0_80  moved: port 80 needs root");
        assert!(shown[1].starts_with("error: cannot listen on port 8443 (0.0.0.0_8443): Address already in use"));
    }
}
