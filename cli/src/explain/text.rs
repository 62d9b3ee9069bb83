//! The answer of `explain` for people.

use super::answer::{Answer, Certificate, Destination, Forward, Line, Outcome, Rule, Tls};
use crate::terminal::{Paint, printable};

/// Skipped rules that are shown before and after the gap of a long list.
const SHOWN: usize = 20;
/// Endpoints that are shown of a destination.
const ENDPOINTS: usize = 4;

pub(crate) fn render(answer: &Answer, paint: Paint) -> String {
    let mut out = Page { paint, lines: Vec::new() };
    let Answer { request, listener, tls, table: _, virtual_host, rules, outcome } = answer;
    let method = paint.bold(&format!("{} {}", request.method, printable(&request.url)));
    out.lines.push(format!("{method}  {}", paint.dim(&format!("from {}", request.from))));
    for Line { name, value } in &request.headers {
        out.lines.push(paint.dim(&format!("{name}: {}", printable(value))));
    }
    out.lines.push(String::new());
    if let Some(listener) = listener {
        out.row("listener", &format!("{}  {}", listener.name, paint.dim(&format!("port {}", listener.port))));
    }
    if let Some(tls) = tls {
        out.tls(tls);
    }
    if let Some(host) = virtual_host {
        out.row("virtual host", host);
    }
    if !rules.is_empty() {
        out.row("path", &printable(&request.path));
    }
    out.rules(rules);
    match outcome {
        Outcome::Forward(forward) => out.forward(forward),
        Outcome::Tcp => out.row("answer", "the connection is passed on as it is; requests are not looked at"),
        Outcome::Reply { status, reason, location, body } => {
            out.row("answer", &format!("{} {reason}", paint.bold(&status.to_string())));
            if let Some(location) = location {
                out.row("", &format!("location: {}", printable(location)));
            }
            if let Some(body) = body {
                out.row("", &paint.dim(&printable(&format!("{body:?}"))));
            }
        }
        Outcome::Refused { status, reason } => {
            let status = status.map(|status| format!("{status} ")).unwrap_or_default();
            out.row("answer", &format!("{}{reason}", paint.red(&status)));
        }
    }
    out.lines.join("\n")
}

struct Page {
    paint: Paint,
    lines: Vec<String>,
}

impl Page {
    fn row(&mut self, label: &str, text: &str) {
        self.lines.push(format!("{}  {text}", self.paint.dim(&format!("{label:<12}"))));
    }

    fn tls(&mut self, tls: &Tls) {
        let Tls { sni, chain, certificates } = tls;
        let chain = if chain.is_empty() { "any server name".to_owned() } else { chain.join(", ") };
        self.row("TLS", &format!("server name {} → {chain}", printable(sni)));
        for Certificate { source, names, not_after, problem } in certificates {
            let mut text = source.clone();
            if !names.is_empty() {
                text.push_str(&format!("  for {}", names.join(", ")));
            }
            if let Some(date) = not_after {
                text.push_str(&format!(", until {date}"));
            }
            if let Some(problem) = problem {
                text.push_str(&format!("  {}", self.paint.red(problem)));
            }
            self.row("certificate", &text);
        }
    }

    fn rules(&mut self, rules: &[Rule]) {
        let skipped = rules.iter().filter(|rule| !rule.matched).count();
        let width = rules.iter().map(|rule| title(rule).chars().count()).max().unwrap_or(0).min(40);
        for (index, rule) in rules.iter().enumerate() {
            if skipped > 2 * SHOWN && index == SHOWN {
                self.row("", &self.paint.dim(&format!("… {} more rules that do not match", skipped - 2 * SHOWN)));
            }
            if skipped > 2 * SHOWN && (SHOWN..skipped - SHOWN).contains(&index) {
                continue;
            }
            let title = format!("{:<width$}", title(rule));
            let label = if index == 0 { "rules" } else { "" };
            let text = match &rule.failure {
                None if rule.matched => self.paint.green(&format!("✓ {title}  matches")),
                None => format!("✗ {title}"),
                Some(failure) => format!("✗ {title}  {}", self.paint.dim(&printable(failure))),
            };
            self.row(label, &text);
        }
    }

    fn forward(&mut self, forward: &Forward) {
        let Forward { path, destinations, timeout, retries } = forward;
        for (index, destination) in destinations.iter().enumerate() {
            self.destination(destination, if index == 0 { "destination" } else { "" });
        }
        // What all destinations receive alike is said once.
        let alike = destinations.windows(2).all(|pair| edits(&pair[0]) == edits(&pair[1]));
        for destination in destinations.iter().take(if alike { 1 } else { destinations.len() }) {
            let whose = if alike { String::new() } else { format!("  ← {}", destination.cluster) };
            self.upstream(path, destination, &self.paint.dim(&whose));
        }
        let timeout = timeout.as_ref().map_or("no timeout".to_owned(), |timeout| format!("timeout {timeout}"));
        let retries = match retries {
            0 => "no retries".to_owned(),
            1 => "1 retry".to_owned(),
            count => format!("{count} retries"),
        };
        self.row("limits", &format!("{timeout}, {retries}"));
    }

    fn destination(&mut self, destination: &Destination, label: &str) {
        let Destination { cluster, share, endpoints, problem, .. } = destination;
        let mut addresses: Vec<&str> =
            endpoints.iter().take(ENDPOINTS).map(|endpoint| endpoint.address.as_str()).collect();
        let more = format!("… {} in all", endpoints.len());
        if endpoints.len() > ENDPOINTS {
            addresses.push(&more);
        }
        let to = match problem {
            Some(problem) => self.paint.red(problem),
            None => addresses.join(", "),
        };
        self.row(label, &format!("{}  {cluster} → {to}", self.paint.bold(&format!("{share:>3.0} %"))));
    }

    fn upstream(&mut self, path: &str, destination: &Destination, whose: &str) {
        let Destination { authority, request_edits, response_edits, .. } = destination;
        self.row("upstream", &format!("{}  host {}{whose}", printable(path), printable(authority)));
        for edit in request_edits {
            self.row("", &printable(edit));
        }
        for (index, edit) in response_edits.iter().enumerate() {
            self.row(if index == 0 { "response" } else { "" }, &printable(edit));
        }
    }
}

/// What a destination's requests and responses go through.
fn edits(destination: &Destination) -> (&str, &[String], &[String]) {
    (&destination.authority, &destination.request_edits, &destination.response_edits)
}

fn title(rule: &Rule) -> String {
    if rule.name.is_empty() { rule.object.clone() } else { format!("{}  {}", rule.object, rule.name) }
}
