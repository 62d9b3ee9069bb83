//! The answer of `explain` for people.

use super::answer::{Answer, Certificate, Destination, Forward, Line, Outcome, Rule, Tls};
use crate::terminal::{Paint, printable};

/// Skipped rules that are shown before and after the gap of a long list.
const SHOWN: usize = 20;

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
        out.row("listener", &listener.name);
    }
    if let Some(tls) = tls {
        out.tls(tls);
    }
    if let Some(host) = virtual_host {
        out.row("virtual host", host);
    }
    out.rules(rules);
    match outcome {
        Outcome::Forward(forward) => out.forward(forward, request),
        Outcome::Reply { status, reason, headers, body } => {
            out.row("answer", &format!("{} {reason}", paint.bold(&status.to_string())));
            for Line { name, value } in headers {
                out.row("", &format!("{name}: {}", printable(value)));
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

    fn forward(&mut self, forward: &Forward, request: &super::answer::Asked) {
        let Forward { destinations, timeout, retries } = forward;
        for (index, destination) in destinations.iter().enumerate() {
            self.destination(destination, if index == 0 { "destination" } else { "" });
        }
        let mut told: Option<&Destination> = None;
        for destination in destinations {
            // What all destinations receive alike is said once.
            let same = told.is_some_and(|told| {
                (&told.authority, &told.path, &told.headers, &told.response_edits)
                    == (&destination.authority, &destination.path, &destination.headers, &destination.response_edits)
            });
            if !same {
                let whose = if told.is_some() { format!("  ({})", destination.cluster) } else { String::new() };
                self.upstream(destination, request, &whose);
            }
            told.get_or_insert(destination);
        }
        let mut limits = Vec::new();
        limits.push(timeout.as_ref().map_or("no timeout".to_owned(), |timeout| format!("timeout {timeout}")));
        if let Some(retries) = retries {
            limits.push(retries.clone());
        }
        self.row("limits", &limits.join("; "));
    }

    fn destination(&mut self, destination: &Destination, label: &str) {
        let Destination { cluster, share, endpoints, problem, .. } = destination;
        let mut addresses: Vec<&str> = endpoints.iter().take(4).map(|endpoint| endpoint.address.as_str()).collect();
        let more = format!("… {} in all", endpoints.len());
        if endpoints.len() > 4 {
            addresses.push(&more);
        }
        let to = match problem {
            Some(problem) => self.paint.red(problem),
            None => addresses.join(", "),
        };
        self.row(label, &format!("{}  {cluster} → {to}", self.paint.bold(&format!("{share:>3.0} %"))));
    }

    fn upstream(&mut self, destination: &Destination, request: &super::answer::Asked, whose: &str) {
        let Destination { method, authority, path, headers, response_edits, .. } = destination;
        self.row("upstream", &format!("{method} {}  host {}{whose}", printable(path), printable(authority)));
        for line in headers {
            if !request.headers.contains(line) {
                self.row("", &self.paint.dim(&format!("{}: {}", line.name, printable(&line.value))));
            }
        }
        for Line { name, .. } in &request.headers {
            if !headers.iter().any(|line| &line.name == name) {
                self.row("", &self.paint.dim(&format!("{name} is removed")));
            }
        }
        for edit in response_edits {
            self.row("response", &printable(edit));
        }
    }
}

fn title(rule: &Rule) -> String {
    if rule.name.is_empty() { rule.object.clone() } else { format!("{} ({})", rule.name, rule.object) }
}
